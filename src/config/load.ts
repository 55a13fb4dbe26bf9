/** Config files named on the command line → checked configs, or every problem of every file. */
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  statSync,
} from "node:fs";
import { join } from "node:path";
import { normalize } from "./normalize.ts";
import { ConfigError, type Problem } from "./problem.ts";
import type { Config } from "./schema.ts";
import { parseJson } from "./syntax.ts";
import { deciders, distrust } from "./trust.ts";

export interface LoadedConfig {
  /** The file, as the user named it. */
  readonly file: string;
  readonly config: Config;
}

/** The largest real configs are some tens of KB; this is to catch a wrong path, not to limit anybody. */
const MAX_BYTES = 8 * 1024 * 1024;

/**
 * Loads `PATH[:PATH…]`; a directory stands for every `spawn-*.json` in it, sorted.
 * @param uid who obeys them: root only those that nobody else can change
 * @throws ConfigError with every problem of every file.
 */
export function loadConfigs(spec: string, uid = process.geteuid?.() ?? 0): LoadedConfig[] {
  const problems: Problem[] = [];
  const loaded: LoadedConfig[] = [];
  const apis = new Map<string, string>();
  const paths = spec.split(":").filter((path) => path !== "");
  if (paths.length === 0) problems.push({ file: spec, path: "", message: "no config file named" });

  for (const file of paths.flatMap((path) => filesOf(path, problems))) {
    const { config, api, problems: found } = readConfig(file, uid);
    problems.push(...found);
    if (api !== undefined) {
      const earlier = apis.get(api.toLowerCase());
      if (earlier === undefined) {
        apis.set(api.toLowerCase(), file);
      } else {
        const message = `the API \`${api}\` is already registered by ${earlier}`;
        problems.push({ file, path: "metadata.api", message });
      }
    }
    if (config !== undefined) loaded.push({ file, config });
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return loaded;
}

/**
 * The JSON of a file; undefined when it is none, or none to be obeyed, which is then told.
 * @param uid who obeys it
 */
export function readJson(file: string, uid: number, problems: Problem[]): unknown {
  const text = readText(file, uid, problems);
  if (text === undefined) return undefined;
  return parseJson(text, (path, message) => problems.push({ file, path, message }));
}

/** Reads and checks one file. */
function readConfig(file: string, uid: number): ReturnType<typeof normalize> {
  const problems: Problem[] = [];
  const raw = readJson(file, uid, problems);
  // Text that is not JSON has one problem; what its values would be is guesswork.
  if (raw === undefined) return { config: undefined, api: undefined, problems };
  const normal = normalize(raw, file);
  const all = [...problems, ...normal.problems];
  return { config: all.length === 0 ? normal.config : undefined, api: normal.api, problems: all };
}

function filesOf(path: string, problems: Problem[]): string[] {
  try {
    if (!statSync(path).isDirectory()) return [path];
    const names = readdirSync(path).filter((name) => /^spawn-.*\.json$/.test(name));
    if (names.length === 0) {
      problems.push({ file: path, path: "", message: "the directory has no spawn-*.json file" });
    }
    return names.sort().map((name) => join(path, name));
  } catch (error) {
    problems.push({ file: path, path: "", message: `cannot be read: ${reason(error)}` });
    return [];
  }
}

function readText(file: string, uid: number, problems: Problem[]): string | undefined {
  const fail = (message: string) => void problems.push({ file, path: "", message });
  let fd: number | undefined;
  try {
    const real = realpathSync(file);
    const complaint = uid === 0 ? distrust(real, deciders(uid), "others' too") : undefined;
    if (complaint !== undefined) return fail(complaint);
    // Non-blocking: opening a FIFO without a writer would hang. The checks are on what was opened, not on its name.
    fd = openSync(real, constants.O_RDONLY | constants.O_NONBLOCK);
    const stat = fstatSync(fd);
    if (!stat.isFile()) return fail("is not a regular file");
    if (stat.size > MAX_BYTES) {
      return fail(`is too large: ${stat.size} bytes, at most ${MAX_BYTES} are read`);
    }
    // The decoder drops a byte order mark.
    return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(fd));
  } catch (error) {
    if (error instanceof TypeError) return fail("is not UTF-8 text");
    return fail(`cannot be read: ${reason(error)}`);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Config files named on the command line → checked configs, or every problem of every file. */
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { normalize } from "./normalize.ts";
import { type Obeyed, openObeyed } from "./obeyed.ts";
import { ConfigError, type Problem } from "./problem.ts";
import type { Config } from "./schema.ts";
import { parseJson } from "./syntax.ts";
import { trustOf } from "./trust.ts";
import type { Trust } from "./walk.ts";

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
  if (paths.length > 1 && existsSync(spec))
    problems.push({
      file: spec,
      path: "",
      message: "a colon stands between paths: give what has one in its name a link without",
    });

  const trust = trustOf(uid);
  for (const { file, text } of paths.flatMap((path) => textsOf(path, trust, problems))) {
    const { config, api, problems: found } = readConfig(file, text);
    problems.push(...found);
    if (api !== undefined) {
      const earlier = apis.get(api);
      if (earlier === undefined) {
        apis.set(api, file);
      } else if (isSameFile(file, earlier)) {
        const message = `it is given twice, the first time as ${earlier}: a directory brings all of its spawn-*.json`;
        problems.push({ file, path: "", message });
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

/** By whatever names and links. */
function isSameFile(one: string, other: string): boolean {
  const [a, b] = [one, other].map((file) =>
    statSync(file, { bigint: true, throwIfNoEntry: false }),
  );
  return a !== undefined && a.dev === b?.dev && a.ino === b.ino;
}

/** The JSON of a file; undefined when it is none, or none to be obeyed, which is then told. */
export function readJson(file: string, trust: Trust | undefined, problems: Problem[]): unknown {
  const [found] = attempt(file, problems, () => {
    using opened = openObeyed(file, trust);
    return [textOf(file, opened)];
  });
  return found === undefined ? undefined : parse(file, found.text, problems);
}

const parse = (file: string, text: string, problems: Problem[]): unknown =>
  parseJson(text, (path, message) => problems.push({ file, path, message }));

/** Checks one file. */
function readConfig(file: string, text: string): ReturnType<typeof normalize> {
  const problems: Problem[] = [];
  const raw = parse(file, text, problems);
  // Text that is not JSON has one problem; what its values would be is guesswork.
  if (raw === undefined) return { config: undefined, api: undefined, problems };
  const normal = normalize(raw, file);
  const all = [...problems, ...normal.problems];
  return { config: all.length === 0 ? normal.config : undefined, api: normal.api, problems: all };
}

interface Text {
  readonly file: string;
  readonly text: string;
}

/** Of a file, or of the configs of a directory: those of the very directory that was checked, whatever has its name by then. */
const textsOf = (path: string, trust: Trust | undefined, problems: Problem[]): Text[] =>
  attempt(path, problems, () => {
    using opened = openObeyed(path, trust, "file or directory");
    if (!opened.isDirectory) return [textOf(path, opened)];
    const names = opened.names().filter((name) => /^spawn-.*\.json$/.test(name));
    if (names.length === 0) throw new Error("the directory has no spawn-*.json file");
    return names.flatMap((name) => {
      const file = join(path, name);
      return attempt(file, problems, () => {
        using one = opened.open(name);
        return [textOf(file, one)];
      });
    });
  });

/** What cannot be read is a problem, and there is no text then. */
function attempt(file: string, problems: Problem[], read: () => Text[]): Text[] {
  try {
    return read();
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    problems.push({ file, path: "", message });
    return [];
  }
}

function textOf(file: string, opened: Obeyed): Text {
  const bytes = opened.read(MAX_BYTES);
  try {
    // The decoder drops a byte order mark.
    return { file, text: new TextDecoder("utf-8", { fatal: true }).decode(bytes) };
  } catch (error) {
    throw error instanceof TypeError ? new Error("is not UTF-8 text", { cause: error }) : error;
  }
}

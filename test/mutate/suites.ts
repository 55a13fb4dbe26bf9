/** Runs suites on the copy, where a mistake can do no harm: what it starts, mounts or names is gone with it. */
import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { SCRATCH } from "./tree.ts";

const isRoot = process.geteuid?.() === 0;

/**
 * As root with processes, mounts and a host name of their own. Of the machine's files none can be written, and in the place of /tmp lies
 * a directory beside the copy: a launcher that mounts, kills or renames what it should not does it here, and code that changes
 * directories on its way changes these.
 */
const contained = (tree: string): readonly string[] => {
  const scratch = join(dirname(tree), SCRATCH);
  const steps = [
    'mount --bind "$1" "$2/$(basename "$(dirname "$1")")/tree"',
    'mount --rbind "$2" "$3"',
    // Where ip(8) names networks, which it would make.
    "mkdir -p /run/netns",
    "mount -t tmpfs tmpfs /run/netns",
    "mount -o remount,bind,ro /",
    // What gives its output away may give away these. Not everywhere can they be made.
    '{ for one in null zero full; do cp -af "/dev/$one" "$3/.$one" && : <"$3/.$one" && mount --bind "$3/.$one" "/dev/$one"; done 2>/dev/null; true; }',
    'cd "$1"',
    "shift 3",
    '"$@"',
  ];
  return [
    // However this process ends, they end too.
    ...["setpriv", "--pdeathsig", "KILL"],
    ...["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"],
    ...["sh", "-c", `${steps.join(" && ")}; exit $?`, "sh", tree, scratch, tmpdir()],
  ];
};

export type Verdict = "passed" | "failed" | "hangs" | "none";

export interface Ran {
  readonly verdict: Verdict;
  /** Seconds. */
  readonly took: number;
  /** What was printed. */
  readonly said: string;
}

/** What ends each command that runs. */
const running = new Set<() => void>();

/** Ends all that was started here. */
export function endAll(): void {
  for (const kill of running) kill();
}

/** Runs a command with a hang guard, in seconds, and ends all that it started. */
async function run(command: readonly string[], cwd: string, guard: number): Promise<Ran> {
  const begin = performance.now();
  const child = Bun.spawn([...(isRoot ? contained(cwd) : []), ...command], {
    ...{ cwd, detached: true, stdio: ["ignore", "pipe", "pipe"] },
    // CI demands what a machine may lack: that is for the tests themselves.
    env: { ...process.env, CI: undefined },
  });
  let hangs = false;
  const kill = () => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    }
  };
  running.add(kill);
  const timer = setTimeout(() => {
    hangs = true;
    kill();
  }, guard * 1000);
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  clearTimeout(timer);
  kill();
  running.delete(kill);
  const verdict = hangs ? "hangs" : child.exitCode === 0 ? "passed" : "failed";
  return { verdict, took: (performance.now() - begin) / 1000, said: out + err };
}

/** In the copy: where a run that is measured leaves which lines ran. */
export const MEASURED = "lines";

export interface How {
  /** Seconds until it hangs. */
  readonly guard: number;
  /** Seconds of a test, unless it says itself how long it takes. */
  readonly timeout?: number;
  readonly isMeasured?: boolean;
}

/** One file after the other; the first failure ends them. */
export async function runSuites(
  tree: string,
  files: readonly string[],
  { guard, timeout = 30, isMeasured = false }: How,
): Promise<Ran> {
  if (files.length === 0) return { verdict: "none", took: 0, said: "" };
  const measured = join(tree, MEASURED);
  if (isMeasured) rmSync(measured, { recursive: true, force: true });
  const how = [
    ...["--bail", "--timeout", `${Math.round(timeout * 1000)}`, "--only-failures"],
    ...(isMeasured ? ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${measured}`] : []),
  ];
  const command = [process.execPath, "test", ...how, ...files.map((name) => `./${name}`)];
  return run(command, tree, guard);
}

/** Files of patterns, folders and names, each once. */
export function suitesOf(tree: string, patterns: readonly string[]): string[] {
  const found = patterns.flatMap((pattern) => {
    const glob = new Bun.Glob(pattern.endsWith(".ts") ? pattern : `${pattern}/**/*.test.ts`);
    return [...glob.scanSync({ cwd: tree })].toSorted();
  });
  return [...new Set(found)];
}

/** Launcher and executable of the copy. */
export const build = (tree: string): Promise<Ran> =>
  run([process.execPath, "src/make/build.ts", "--quick"], tree, 120);

/** The launcher of the copy alone. */
export const buildLauncher = (tree: string): Promise<Ran> =>
  run([process.execPath, "ffi/launcher/build.ts"], tree, 120);

/** Of all, and of the page, whose code is for a browser. */
export async function checkTypes(tree: string): Promise<Ran> {
  const all = await run([process.execPath, "check"], tree, 120);
  if (all.verdict !== "passed") return all;
  return run([process.execPath, "check", "-p", "src/console"], tree, 120);
}

/** Runs suites on the copy, where a mistake can do no harm: what it starts, mounts or names is gone with it. */
import { readFileSync, rmSync, writeFileSync } from "node:fs";
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
  /** The machine, or all that runs on it, was suspended meanwhile: what is late then says nothing. */
  readonly stoodStill: boolean;
}

/** What ends each command that runs. */
const running = new Set<() => void>();

/** Ends all that was started here. */
export function endAll(): void {
  for (const kill of running) kill();
}

/** Seconds between two looks at a command. */
const LOOK = 0.25;
/** So many late, and the machine has stood still. */
const STANDSTILL = 2;

interface Guard {
  /** Seconds until it hangs. */
  readonly guard: number;
  /** Seconds without a word of it until then. */
  readonly silence?: number;
}

/** Runs a command with a hang guard, and ends all that it started. */
async function run(
  command: readonly string[],
  cwd: string,
  { guard, silence = guard }: Guard,
): Promise<Ran> {
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
  // Counted by looks: while the machine stands still there are none.
  let [looks, silent, looked, stoodStill] = [0, 0, begin, false];
  const timer = setInterval(() => {
    const now = performance.now();
    if (now - looked > (LOOK + STANDSTILL) * 1000) stoodStill = true;
    looked = now;
    hangs = ++looks * LOOK > guard || ++silent * LOOK > silence;
    if (hangs) kill();
  }, LOOK * 1000);
  const heard = async (stream: ReadableStream<Uint8Array>): Promise<string> => {
    const chunks: Uint8Array[] = [];
    for await (const chunk of stream) {
      chunks.push(chunk);
      silent = 0;
    }
    return Buffer.concat(chunks).toString();
  };
  const [out, err] = await Promise.all([heard(child.stdout), heard(child.stderr), child.exited]);
  clearInterval(timer);
  kill();
  running.delete(kill);
  const verdict = hangs ? "hangs" : child.exitCode === 0 ? "passed" : "failed";
  const took = (performance.now() - begin) / 1000;
  return { verdict, took, said: out + err, stoodStill };
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

/** Seconds before the first test of a suite, and between two of them. */
const BETWEEN = 10;

/** One file after the other; the first failure ends them. */
export async function runSuites(
  tree: string,
  files: readonly string[],
  { guard, timeout = 30, isMeasured = false }: How,
): Promise<Ran> {
  if (files.length === 0) return { verdict: "none", took: 0, said: "", stoodStill: false };
  const measured = join(tree, MEASURED);
  if (isMeasured) rmSync(measured, { recursive: true, force: true });
  const how = [
    ...["--bail", "--timeout", `${Math.round(timeout * 1000)}`],
    ...(isMeasured ? ["--coverage", "--coverage-reporter=lcov", `--coverage-dir=${measured}`] : []),
  ];
  const command = [process.execPath, "test", ...how, ...files.map((name) => `./${name}`)];
  // Each test that is over has its line.
  return run(command, tree, { guard, silence: timeout + BETWEEN });
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
  run([process.execPath, "src/make/build.ts", "--quick"], tree, { guard: 120 });

const launcherIn = (tree: string) => join(tree, "ffi/launcher/bin/launcher");

/** The launcher of the copy alone. */
export function buildLauncher(tree: string): Promise<Ran> {
  // It is built where a source is newer, and a mistake is made in the moment in which the last one was mended.
  rmSync(launcherIn(tree), { force: true });
  return run([process.execPath, "ffi/launcher/build.ts"], tree, { guard: 120 });
}

/** Of the copy, before any mistake: what puts it back, newer than its sources. @throws Error where it cannot be built */
export async function launcherOf(tree: string): Promise<() => void> {
  const { verdict, said } = await buildLauncher(tree);
  if (verdict !== "passed") throw new Error(`the launcher cannot be built:\n${said}`);
  const file = launcherIn(tree);
  const bytes = readFileSync(file);
  return () => {
    // As another file: what runs the one there was goes on with it.
    rmSync(file, { force: true });
    writeFileSync(file, bytes, { mode: 0o755 });
  };
}

/** Of all, and of the page, whose code is for a browser. */
export async function checkTypes(tree: string): Promise<Ran> {
  const all = await run([process.execPath, "check"], tree, { guard: 120 });
  if (all.verdict !== "passed") return all;
  return run([process.execPath, "check", "-p", "src/console"], tree, { guard: 120 });
}

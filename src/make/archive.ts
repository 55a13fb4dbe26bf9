/** Archives with the same bytes from the same files. */

/** The output of a command; what it complains of is shown. @throws Error with the exit code, when it fails */
export function run(
  command: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): string {
  const done = Bun.spawnSync([...command], {
    cwd,
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "inherit"],
  });
  if (!done.success) throw new Error(`${command[0]} ${command[1]}: exit code ${done.exitCode}`);
  return done.stdout.toString();
}

/** GNU tar's recipe for it. */
const EXACT = [
  "--sort=name",
  "--owner=0",
  "--group=0",
  "--numeric-owner",
  "--mode=u+rwX,go+rX,go-w",
];

export interface Packed {
  /** Seconds since 1970, of everything in it. */
  readonly epoch: number;
  /** More options of tar. */
  readonly options?: readonly string[];
}

/** Packs `names`, which are in `folder`, or are options that name them. */
export function pack(tar: string, folder: string, names: readonly string[], how: Packed): void {
  const { epoch, options = [] } = how;
  run(["tar", "-cf", tar, ...EXACT, `--mtime=@${epoch}`, ...options, ...names], folder);
}

/** FILE becomes FILE.gz. */
export function compress(file: string): void {
  // -n leaves out name and time.
  run(["gzip", "-9", "-n", "-f", file], "/");
}

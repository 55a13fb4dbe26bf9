/** A subcommand in the process of the suite: what it prints, and its exit code. */
import { spyOn } from "bun:test";

export interface Said {
  readonly code: number;
  /** By console.log, and by console.error. */
  readonly out: string;
  readonly err: string;
}

/** @param run gets the command line; what it changes of this process is back afterwards: the mask. */
export async function saidBy(
  run: (argv: string[]) => Promise<number>,
  ...argv: readonly string[]
): Promise<Said> {
  using printed = spyOn(console, "log").mockImplementation(() => {});
  using wrong = spyOn(console, "error").mockImplementation(() => {});
  const mask = process.umask();
  try {
    const code = await run([...argv]);
    const [out, err] = [printed, wrong].map((one) => one.mock.calls.flat().join("\n"));
    return { code, out: out ?? "", err: err ?? "" };
  } finally {
    process.umask(mask);
  }
}

/** Wrong usage: what is said of it, in one line, where that is so. */
export async function wrongOf(
  run: (argv: string[]) => Promise<number>,
  ...argv: readonly string[]
): Promise<string | undefined> {
  const { code, err } = await saidBy(run, ...argv);
  return code === 2 ? err.split("\n")[0] : undefined;
}

/** What a process has open. */
import { dlopen } from "bun:ffi";
import { constants, readdirSync, readFileSync, readlinkSync } from "node:fs";

/** What its descriptors lead to, as /proc has it: a path, `pipe:[…]`, `socket:[…]`. Empty for one that is closed just then. */
export const descriptorsOf = (pid: number | "self"): string[] =>
  readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`);
    } catch {
      return "";
    }
  });

/** The descriptors of this process, by number, with what they lead to. */
export function ownDescriptors(): Map<number, string> {
  const found = new Map<number, string>();
  for (const fd of readdirSync("/proc/self/fd").map(Number))
    try {
      found.set(fd, readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // The one that the list was read by.
    }
  return found;
}

/** Pipes that are here now and were not then. */
export const newPipes = (before: ReadonlyMap<number, string>) =>
  [...ownDescriptors()].filter(([fd, to]) => to.startsWith("pipe:") && before.get(fd) !== to);

/** Of one of this process: whether it can be read from, and whether it never waits. */
export function flagsOf(fd: number): { readonly reads: boolean; readonly waits: boolean } {
  const text = readFileSync(`/proc/self/fdinfo/${fd}`, "utf8");
  const flags = Number.parseInt(/^flags:\t(\d+)/m.exec(text)?.[1] ?? "", 8);
  return {
    reads: (flags & constants.O_WRONLY) === 0,
    waits: (flags & constants.O_NONBLOCK) === 0,
  };
}

const { symbols: libc } = dlopen("libc.so.6", {
  setrlimit: { args: ["i32", "ptr"], returns: "i32" },
});
const RLIMIT_NOFILE = 7;

/** What is done while this process gets no descriptor more; those that are open stay so. */
export async function withoutDescriptors<T>(work: () => T | Promise<T>): Promise<T> {
  const limits = /^Max open files +(\d+) +(\d+)/m.exec(readFileSync("/proc/self/limits", "utf8"));
  const [soft = 0n, hard = 0n] = (limits ?? []).slice(1).map(BigInt);
  const allow = (most: bigint): void => {
    if (libc.setrlimit(RLIMIT_NOFILE, new BigUint64Array([most, hard])) < 0)
      throw new Error("setrlimit");
  };
  allow(3n);
  try {
    return await work();
  } finally {
    allow(soft);
  }
}

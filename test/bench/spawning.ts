/** The least that a launch could cost: posix_spawn(3) and waitpid(2) without anything of a runtime around them. */
import { dlopen, type Pointer, ptr } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  posix_spawn: { args: ["ptr", "ptr", "ptr", "ptr", "ptr", "ptr"], returns: "i32" },
  waitpid: { args: ["i32", "ptr", "i32"], returns: "i32" },
});

const path = Buffer.from("/bin/true\0");
const argument = Buffer.from("x\0");
const ends = (...words: readonly Buffer[]): BigUint64Array =>
  BigUint64Array.from([...words.map((word) => BigInt(ptr(word))), 0n]);
const argv = ends(path);
const argvOfOne = ends(path, argument);
const environment = ends();
const pid = new Int32Array(1);
const status = new Int32Array(1);
const nothing = null as Pointer | null;

/** Starts /bin/true. @returns its pid */
function start(words: BigUint64Array): number {
  const errno = libc.posix_spawn(pid, path, nothing, nothing, words, environment);
  if (errno !== 0) throw new Error(`posix_spawn: errno ${errno}`);
  return pid[0] ?? 0;
}

function finish(child: number): void {
  if (libc.waitpid(child, status, 0) !== child || status[0] !== 0)
    throw new Error("posix_spawn: /bin/true did not end well");
}

/** One, with or without an argument. */
export function spawned(isWithArgument = false): void {
  finish(start(isWithArgument ? argvOfOne : argv));
}

/** So many a second, `outstanding` of them at a time, for `time` ms. */
export function spawnRate(outstanding: number, time: number): number {
  const begin = performance.now();
  const running = Array.from({ length: outstanding }, () => start(argv));
  let count = 0;
  while (performance.now() - begin < time) {
    finish(running.shift() ?? 0);
    count++;
    running.push(start(argv));
  }
  const rate = count / ((performance.now() - begin) / 1000);
  for (const child of running) finish(child);
  return rate;
}

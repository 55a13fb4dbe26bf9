/**
 * Output to a terminal whose reader has stopped: a connection that hangs, Ctrl-S, a serial line without its other end. A write waits
 * there for as long as it takes, and with it all that a server does. poll(2) says of a terminal that it takes something, and not how
 * much; and O_NONBLOCK would be set for all who share its description. So it is opened once more.
 */
import { closeSync, constants, fstatSync, openSync, writeSync } from "node:fs";
import { isTerminal } from "../ffi/libc.ts";

/** ms that a reader which takes nothing is waited for, once: until it reads again, no more. */
const PATIENCE = 1000;
/** ms between two tries. */
const LOOK = 5;

let terminal: { readonly device: number; readonly fd: number } | undefined;
let isSlow = false;

/** A descriptor of the same terminal whose writes do not wait; undefined for none, or one that may not be opened, as after su(1). */
export function unwaiting(fd: number): number | undefined {
  // Asked first: it says no of one that is closed, too, and costs less where it is none.
  if (!isTerminal(fd)) return undefined;
  const { rdev: device } = fstatSync(fd);
  if (terminal?.device === device) return terminal.fd;
  if (terminal) closeSync(terminal.fd);
  terminal = undefined;
  try {
    const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
    terminal = { device, fd: openSync(`/proc/self/fd/${fd}`, flags) };
  } catch {
    return undefined;
  }
  return terminal.fd;
}

/** Writes a line there. What a reader that has stopped does not take is lost. @returns false where it was not tried */
export function toTerminal(fd: number, line: string): boolean {
  const own = unwaiting(fd);
  if (own === undefined) return false;
  const bytes = Buffer.from(`${line}\n`);
  let progress = performance.now();
  for (let done = 0; done < bytes.length;) {
    try {
      done += writeSync(own, bytes, done);
      progress = performance.now();
      isSlow = false;
    } catch (error) {
      const isFull = error instanceof Error && "code" in error && error.code === "EAGAIN";
      isSlow ||= performance.now() - progress > PATIENCE;
      // One that was hung up takes nothing any more.
      if (!isFull || isSlow) return true;
      Bun.sleepSync(LOOK);
    }
  }
  return true;
}

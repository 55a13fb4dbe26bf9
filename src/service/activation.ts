/**
 * Sockets handed over by the service manager, see sd_listen_fds(3): LISTEN_FDS of them, from descriptor 3 on, meant for the
 * process LISTEN_PID. Their names (LISTEN_FDNAMES) tell which of them are for other binders: `--rpc-server sd:NAME`.
 */
import { closeSync } from "node:fs";
import { DECIMAL } from "../config/ranges.ts";
import { type Process, takeDescriptors } from "../../ffi/processes.ts";
import { closeOnExec, isListening } from "../../ffi/sockets.ts";

const FIRST = 3;
const MOST_SOCKETS = 64;

export interface Inherited {
  readonly fd: number;
  /** `unknown` where it has none. */
  readonly name: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The descriptors, checked; empty when there are none for us. Throws an Error that says what to change in the unit. */
export function inheritedSockets(env: Environment = process.env, pid = process.pid): Inherited[] {
  const fds = handedOver(env, pid);
  for (const fd of fds) closeOnExec(fd);
  return named(checked(fds), env);
}

/** Those of another process, as descriptors of this one. All or none. */
export function takeSockets({ pid, pidfd }: Process, env: Environment): Inherited[] {
  const fds = takeDescriptors(pidfd, handedOver(env, pid));
  try {
    return named(checked(fds), env);
  } catch (error) {
    for (const fd of fds) closeSync(fd);
    throw error;
  }
}

function handedOver(env: Environment, pid: number): number[] {
  if (env["LISTEN_FDS"] === undefined || env["LISTEN_PID"] !== String(pid)) return [];
  const count = DECIMAL.test(env["LISTEN_FDS"]) ? Number(env["LISTEN_FDS"]) : Number.NaN;
  if (!(count <= MOST_SOCKETS)) {
    throw new Error(
      `LISTEN_FDS=${env["LISTEN_FDS"]}: expected a number of sockets, from 0 to ${MOST_SOCKETS}`,
    );
  }
  return Array.from({ length: count }, (_, i) => FIRST + i);
}

function named(fds: readonly number[], env: Environment): Inherited[] {
  const names = (env["LISTEN_FDNAMES"] ?? "").split(":");
  return fds.map((fd, i) => ({ fd, name: names[i] || "unknown" }));
}

function checked(fds: number[]): number[] {
  for (const [i, fd] of fds.entries()) {
    const number = FIRST + i;
    if (!listens(fd, number)) {
      throw new Error(
        `descriptor ${number} of the service manager is no listening stream socket: ` +
          `use ListenStream= and Accept=no in the .socket unit`,
      );
    }
  }
  return fds;
}

/** @param number What it is to the service manager. */
function listens(fd: number, number: number): boolean {
  try {
    return isListening(fd);
  } catch (error) {
    throw new Error(`descriptor ${number} of the service manager cannot be used`, { cause: error });
  }
}

/**
 * How many processes an ordinary user's server and its commands may have: RLIMIT_NPROC of getrlimit(2), which counts threads, and of
 * which root takes no notice. The runtime ends where it cannot make a thread, and those that had nothing to do for ten seconds it makes
 * anew; so some are left to the server by all that it launches (spare_processes in ffi/launcher/agent.c), and the server itself goes
 * as far as its hard limit, as any command can.
 */
import { SPARED } from "../../ffi/launcher/layout.ts";
import { processLimits, setProcessLimit } from "../../ffi/libc.ts";

const ANY = 2n ** 64n - 1n;

const lesser = (a: bigint, b: bigint): bigint => (a < b ? a : b);

const isRoot = (): boolean => process.geteuid?.() === 0;

/** How many are left to the server, of a hard limit. */
export function spared(hard: bigint): bigint {
  if (isRoot() || hard === ANY) return 0n;
  return lesser(hard / BigInt(SPARED.PART), BigInt(SPARED.PROCESSES));
}

/** The soft limit that the server was started with: what is launched has it as well. */
let started: bigint | undefined;

/** The soft limit of what is launched; `Infinity`: none. */
export function commandLimit(): number {
  const [soft, hard] = processLimits();
  started ??= soft;
  const limit = lesser(started, hard - spared(hard));
  return isRoot() || limit === ANY ? Infinity : Number(limit);
}

/** Makes what is to have the soft limit that the server was started with, while that has a higher one. */
export function asStarted<T>(make: () => T): T {
  if (isRoot()) return make();
  const [soft, hard] = processLimits();
  started ??= soft;
  // A hard limit may have been lowered since.
  const given = lesser(started, hard);
  if (given !== soft) setProcessLimit(given);
  try {
    return make();
  } finally {
    if (given !== hard) setProcessLimit(hard);
  }
}

/** Connections over which this server calls another machine: where that is gone, nobody says so. */
import { descriptorOf, limitUnanswered } from "../../ffi/sockets.ts";

/**
 * ms without a word of its kernel: some quarter of an hour by default, in which each call waits for an answer. Not where the other
 * calls, too: it may read what it gets as slowly as it likes, and of that the kernel makes no difference.
 */
export const UNANSWERED = 60_000;

/** @param socket of TCP */
export function limitSilence(socket: object): void {
  const fd = descriptorOf(socket);
  if (fd !== undefined) limitUnanswered(fd, UNANSWERED);
}

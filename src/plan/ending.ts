/** `stop` of a config: how a task is told to end, and how long it may take. */
import { suggestion } from "../config/nearest.ts";
import { milliseconds } from "../config/ranges.ts";
import type { Command } from "../config/command-schema.ts";
import { SIGNAL_MAX, signalName, signalNames, signalNumber } from "../config/signals.ts";
import type { Report } from "./report.ts";

/** What a stop does. */
export interface Ending {
  /** Number of the signal that the command's process group gets. */
  readonly signal: number;
  /** ms. What is left then is killed. */
  readonly grace: number;
}

/** That of a command whose config does not say it; its time-out, and the server's end, kill at once. */
export const USUAL: Ending = { signal: 2, grace: 5_000 };

/** @param outer what the sandbox says, for what the command does not. Undefined where nobody says anything, or after a problem. */
export function compileStop(
  own: Command["stop"],
  path: string,
  report: Report,
  outer?: Ending,
): Ending | undefined {
  if (own === undefined) return outer;
  const { signal = USUAL.signal, grace = USUAL.grace } = outer ?? {};
  const named = own.signal === undefined ? signal : signalNumber(own.signal);
  if (named === undefined) {
    const near = suggestion(own.signal ?? "", signalNames);
    const message = `unknown signal ${JSON.stringify(own.signal)}${near} (a name such as SIGTERM, or 1 to ${SIGNAL_MAX})`;
    report.problem(`${path}.signal`, message);
    return undefined;
  }
  return { signal: named, grace: own.grace === undefined ? grace : milliseconds(own.grace) };
}

export const stopWords = ({ signal, grace }: Ending): string =>
  `told to end by ${signalName(signal)}, also by its time limit and at the server's end: what is left ${grace / 1000} s later is killed`;

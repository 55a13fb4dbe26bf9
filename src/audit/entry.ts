/** What is told of one call, as a line of JSON. */
import type { CallerRecord, TaskRecord } from "../api/record.ts";
import { signalName } from "../config/signals.ts";
import type { WireStatus } from "../api/status.ts";
import type { Fed, Refusal, Relayed, Stopping } from "../api/witness.ts";
import { visible } from "../visible.ts";

export type Told = "start" | "stop" | "input" | "end" | "relay" | "refuse" | "lost";

/** In the order in which a line has them. */
export interface Entry {
  /** ms since the epoch. */
  readonly time: number;
  readonly event: Told;
  /** Of the task. */
  readonly id?: string | undefined;
  readonly api?: string;
  readonly verb?: string;
  readonly sandbox?: string | undefined;
  readonly command?: string | undefined;
  readonly pid?: number | undefined;
  readonly caller?: CallerRecord;
  /** What was refused, when it was no start. */
  readonly action?: string;
  /** The command line, or of a refusal the arguments, as far as the config lets them be shown. */
  readonly argv?: readonly string[] | undefined;
  readonly args?: unknown;
  readonly hidden?: true | undefined;
  readonly cut?: number | undefined;
  /** Of a refusal: the status of the reply, and what it said. */
  readonly status?: string;
  readonly info?: string | undefined;
  /** Of a stop; absent where it was the usual one. */
  readonly signal?: string | undefined;
  /** How it ended, as clients see it. */
  readonly outcome?: Omit<WireStatus, "usage">;
  /** ms. */
  readonly duration?: number;
  /** Of a call that goes on to boards of a fleet: whom it is for, and `API/VERB`. */
  readonly to?: string;
  readonly called?: string;
  /** Lines that are nowhere, and why. */
  readonly lost?: number;
}

/** One line without its end. Nothing in it is obeyed by what shows it. */
export function lineOf(entry: Entry): string {
  const text = JSON.stringify(entry);
  // The time is first, and a number.
  return visible(`{"time":"${timeOf(entry.time)}"${text.slice(text.indexOf(","))}`);
}

/** RFC 3339, UTC; also where a clock is set to what no calendar has. */
function timeOf(time: number): string {
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? String(time) : date.toISOString();
}

/** Whether it is one that people look for. */
export const isNotable = ({ event }: Entry): boolean => event === "refuse" || event === "lost";

// Each key by itself, which is several times as fast as parts that are put together.

/** Before its command runs, where a start has to be written first: then without a pid. */
export function startOf(record: TaskRecord, now: number): Entry {
  const { id, api, verb, sandbox, command, pid, caller, argv, hidden, cut } = record;
  const time = record.started ?? now;
  return { time, event: "start", id, api, verb, sandbox, command, pid, caller, argv, hidden, cut };
}

export function endOf(record: TaskRecord, now: number): Entry {
  const { id, api, verb, sandbox, command, pid, caller } = record;
  const { usage, ...outcome } = record.status ?? { usage: { wall: 0 } };
  const [time, duration] = [record.ended ?? now, Math.round(usage.wall)];
  return { time, event: "end", id, api, verb, sandbox, command, pid, caller, outcome, duration };
}

export function stopOf({ time, caller, record, signal: number }: Stopping): Entry {
  const { id, api, verb, sandbox, command, pid } = record;
  const signal = number === undefined ? undefined : signalName(number);
  return { time, event: "stop", id, api, verb, sandbox, command, pid, caller, signal };
}

export function fedOf({ time, caller, record }: Fed): Entry {
  const { id, api, verb, sandbox, command, pid } = record;
  return { time, event: "input", id, api, verb, sandbox, command, pid, caller };
}

export const relayOf = ({ time, caller, id, to, method }: Relayed): Entry => ({
  ...{ time, event: "relay", id, to, called: method, caller },
});

export function refusalOf({ time, caller, action, status, info, ...refusal }: Refusal): Entry {
  const { id, api, verb, sandbox, command, argv, args, hidden, cut } = refusal;
  return {
    ...{ time, event: "refuse", id, api, verb, sandbox, command, caller },
    ...(action !== "start" && { action }),
    ...{ argv, args, hidden, cut, status, info },
  };
}

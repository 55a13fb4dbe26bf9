/**
 * Who is told of tasks and of calls that did not become one: an audit, metrics, a history. Called in the turn in which it happens, on
 * the way of launches and replies: must neither throw (but for `mayStart`) nor take long.
 */
import type { Plan } from "../plan/plan.ts";
import type { CallerRecord, Kept, TaskRecord } from "./record.ts";
import type { Action } from "./query.ts";

/** A call of a command verb that did nothing of what it asked for, or one of any verb by who lacks the privilege. */
export interface Refusal extends Kept {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly caller: CallerRecord;
  readonly api: string;
  readonly verb: string;
  /** Of a call whose query cannot be read, `start`. */
  readonly action: Action;
  /** Where it was known by then. */
  readonly sandbox?: string;
  readonly command?: string;
  /** Of the task that waited for its turn, or was being launched. */
  readonly id?: string;
  /** Status of the reply. */
  readonly status: string;
  /** What the caller was told; absent where a secret may be in it. */
  readonly info?: string;
}

/** A stop, or a signal, that a task gets by a call. */
export interface Stopping {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly caller: CallerRecord;
  readonly record: TaskRecord;
  /** Number; undefined for a usual stop. */
  readonly signal?: number;
}

/** A task gets something to read by a call. */
export interface Fed {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly caller: CallerRecord;
  readonly record: TaskRecord;
}

/** A call that goes on to boards of a fleet, of which this server is an operator. */
export interface Relayed {
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly caller: CallerRecord;
  /** By which the boards know it. */
  readonly id: string;
  /** A board, or `@GROUP`. */
  readonly to: string;
  /** API/VERB */
  readonly method: string;
}

export interface Witness {
  /**
   * The turn of a start has come, that of an action of a config too, and nothing of it is done. A promise is waited for. Throws, or
   * rejects with, the AfbError with which it is refused.
   */
  mayStart?(record: TaskRecord, plan: Plan): Promise<void> | undefined;
  /** The command runs. */
  started?(record: TaskRecord): void;
  /** Nothing of the task is left, and its output was encoded. */
  ended?(record: TaskRecord): void;
  refused?(refusal: Refusal): void;
  stopping?(stopping: Stopping): void;
  /** The first piece of each caller. */
  fed?(fed: Fed): void;
  relayed?(relayed: Relayed): void;
}

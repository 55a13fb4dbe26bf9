/**
 * What is counted of calls, as plain numbers: made into text only for who asks. What there is to count by is of the config alone, so
 * that no caller makes this grow.
 */
import type { TaskRecord } from "../api/record.ts";
import type { WireStatus } from "../api/status.ts";
import type { Refusal, Witness } from "../api/witness.ts";
import { STATUS } from "../errors.ts";
import type { ApiPlan, Plan } from "../plan/plan.ts";
import type { Distribution } from "./family.ts";

/** Upper bounds, seconds: a warm sandbox takes about one ms, a cold one a few, and on a small board ten times that. */
export const BOUNDS = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10,
] as const;

export const MODES = ["cold", "warm"] as const;
export type Mode = (typeof MODES)[number];

/** Of one sandbox. */
export interface SandboxCounts {
  readonly api: string;
  readonly sandbox: string;
  readonly launches: Record<Mode, number>;
  /** Launches of a command that has a pool, in which none was ready. */
  misses: number;
}

/** Why a task ended: by itself with 0 or with another code, by a signal that nobody here has sent, or as outcomes have it. */
export const CAUSES = [
  "success",
  "failure",
  "signal",
  "timeout",
  "stopped",
  "seccomp",
  "oom",
  "supervisor",
] as const;
export type Cause = (typeof CAUSES)[number];

class Durations implements Distribution {
  readonly bounds = BOUNDS;
  readonly counts: number[] = Array(BOUNDS.length + 1).fill(0);
  sum = 0;

  add(seconds: number): void {
    const at = BOUNDS.findIndex((bound) => seconds <= bound);
    const bucket = at < 0 ? BOUNDS.length : at;
    this.counts[bucket] = (this.counts[bucket] ?? 0) + 1;
    this.sum += seconds;
  }
}

interface Beginning {
  readonly at: number;
  readonly counts: SandboxCounts;
  readonly pooled: boolean;
}

export class Counts implements Witness {
  readonly sandboxes = new Map<string, SandboxCounts>();
  readonly seconds: Readonly<Record<Mode, Durations>> = {
    cold: new Durations(),
    warm: new Durations(),
  };
  readonly outcomes: Record<Cause, number>;
  /** By the status of the reply. */
  readonly refusals = new Map<string, number>();
  /** Of tasks that have ended. */
  #events = 0;
  #bytes = 0;
  readonly #running = new Set<TaskRecord>();
  readonly #beginning = new WeakMap<TaskRecord, Beginning>();

  constructor() {
    this.outcomes = Object.fromEntries(CAUSES.map((cause) => [cause, 0])) as Record<Cause, number>;
  }

  /** All sandboxes that are served, so that what has not happened yet is 0. Those of before go. */
  serve(apis: readonly ApiPlan[]): void {
    const before = new Map(this.sandboxes);
    this.sandboxes.clear();
    for (const { api, sandboxes } of apis)
      for (const { uid } of sandboxes) {
        const key = keyOf(api, uid);
        this.sandboxes.set(key, before.get(key) ?? countsOf(api, uid));
      }
  }

  get running(): number {
    return this.#running.size;
  }

  /** Data events of all tasks. */
  get events(): number {
    return this.#sum(this.#events, "events");
  }

  /** What all commands have printed. */
  get bytes(): number {
    return this.#sum(this.#bytes, "bytes");
  }

  mayStart(record: TaskRecord, { api, sandbox, pool }: Plan): undefined {
    const key = keyOf(api, sandbox);
    const counts = this.sandboxes.get(key) ?? countsOf(api, sandbox);
    // One of before, that a reload has taken away meanwhile, is of no more interest.
    this.#beginning.set(record, { at: performance.now(), counts, pooled: pool !== undefined });
  }

  started(record: TaskRecord): void {
    this.#running.add(record);
    const begun = this.#beginning.get(record);
    if (!begun) return;
    const mode: Mode = record.mode === "pool" ? "warm" : "cold";
    begun.counts.launches[mode]++;
    if (begun.pooled && mode === "cold") begun.counts.misses++;
    this.seconds[mode].add((performance.now() - begun.at) / 1000);
  }

  ended(record: TaskRecord): void {
    this.#running.delete(record);
    this.#events += record.printed.events;
    this.#bytes += record.printed.bytes;
    this.outcomes[causeOf(record)]++;
  }

  refused({ status }: Refusal): void {
    // Plugins have statuses of their own.
    const known = Object.hasOwn(STATUS, status) ? status : "other";
    this.refusals.set(known, (this.refusals.get(known) ?? 0) + 1);
  }

  #sum(ended: number, what: "events" | "bytes"): number {
    let sum = ended;
    for (const { printed } of this.#running) sum += printed[what];
    return sum;
  }
}

const keyOf = (api: string, sandbox: string): string => `${api}/${sandbox}`;

const countsOf = (api: string, sandbox: string): SandboxCounts => ({
  ...{ api, sandbox },
  launches: { cold: 0, warm: 0 },
  misses: 0,
});

function causeOf({ status }: Pick<TaskRecord, "status">): Cause {
  const { cause, signal, exit }: Partial<WireStatus> = status ?? {};
  if (cause !== undefined) return cause;
  if (signal !== undefined) return "signal";
  return exit === 0 ? "success" : "failure";
}

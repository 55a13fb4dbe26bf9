/**
 * `events` of a config: when an event with the name of an action is sent, the action is done with its data, which are its
 * arguments where the config gives none.
 */
import { findCased } from "../cased.ts";
import { BUILTIN_API } from "../config/verbs.ts";
import { eventName } from "../plugins/names.ts";
import type { Action } from "./actions.ts";
import { isObject } from "../object.ts";

/** Most events that wait for one action; more are not worth being late for. */
const WAITING = 64;

/** One action and the events it has still to be done for: one after the other, in their order. */
class Queue {
  readonly #waiting: unknown[] = [];
  #busy = false;

  constructor(readonly action: Action) {}

  push(data: unknown): void {
    if (this.#waiting.length >= WAITING) {
      this.action.failed(new Error(`an event was left out: ${WAITING} are waiting already`));
      return;
    }
    this.#waiting.push(data);
    if (!this.#busy) void this.#work();
  }

  async #work(): Promise<void> {
    this.#busy = true;
    // The sender of the event goes on first.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#waiting.length > 0) {
      const data = this.#waiting.shift();
      // Told and counted where it failed.
      const { args = "%data%" } = this.action.plan;
      await this.action.run(filled(args, data)).catch(() => undefined);
    }
    this.#busy = false;
  }
}

/** By event name. An action named without API is for events of its own. */
export class EventActions {
  readonly #queues = new Map<string, Queue[]>();

  /** @param verbs `api/verb` of all that have events */
  constructor(actions: readonly Action[], verbs: Iterable<string>) {
    const events = [...verbs, `${BUILTIN_API}/disconnected`];
    for (const action of actions) {
      const written = eventName(action.plan.uid, action.deps.api);
      const name = findCased(written, events) ?? written;
      const queues = this.#queues.get(name) ?? [];
      queues.push(new Queue(action));
      this.#queues.set(name, queues);
    }
  }

  get empty(): boolean {
    return this.#queues.size === 0;
  }

  tell(event: string, data: unknown): void {
    for (const queue of this.#queues.get(event) ?? []) queue.push(data);
  }
}

/** `%data%` alone becomes the data, of whatever type; within a text, its text. */
export function filled(args: unknown, data: unknown): unknown {
  if (typeof args === "string") {
    if (args === "%data%") return data;
    const text = () => (typeof data === "string" ? data : (JSON.stringify(data) ?? ""));
    return args.includes("%data%") ? args.replaceAll("%data%", text) : args;
  }
  if (Array.isArray(args)) return args.map((inner: unknown) => filled(inner, data));
  if (!isObject(args)) return args;
  return Object.fromEntries(Object.entries(args).map(([key, inner]) => [key, filled(inner, data)]));
}

/**
 * Runs code of a plugin for a limited time, so that a loop without end costs its task and not the server. The engine ends it
 * where it stands, also between try and catch. What an `await` puts off runs later, and so without a limit.
 */
import { Script } from "node:vm";
import type { Emit, Fields } from "../encoders/encoder.ts";

/** ms of the processor's time, for which nobody else is served. Far more than any chunk of output needs. */
export const STINT = 2000;
/** Most events of one stint: more than a chunk has lines. They wait in memory until it ends. */
const MOST = 1 << 18;

// Only a script can be given a time-out; it finds its work here.
const SLOT = Symbol.for("spawnbox.stint");
const script = new Script('globalThis[Symbol.for("spawnbox.stint")]()');

/** @param what Named by the Error that is thrown when the time is over. */
export function stint<T>(what: string, work: () => T, ms = STINT): T {
  try {
    Object.assign(globalThis, { [SLOT]: work });
    return script.runInThisContext({ timeout: ms }) as T;
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw error;
    throw new Error(`${what} took more than ${ms / 1000} s without a pause`, { cause: error });
  } finally {
    Object.assign(globalThis, { [SLOT]: undefined });
  }
}

/**
 * What JSON would tell of a value now, for later: a plugin may go on to use its objects. What cannot be written as JSON stays as
 * it is, for whoever writes it to say so.
 */
export function snapshot<T>(value: T): T {
  try {
    const text = JSON.stringify(value);
    return text === undefined ? value : (JSON.parse(text) as T);
  } catch {
    return value;
  }
}

/** What is emitted within a stint is sent after it: a stint must not end in the middle of the server's own code. */
export class Outgoing {
  #held: (() => void)[] | undefined;

  constructor(readonly emit: Emit) {}

  /** @param work A stint. */
  during<T>(work: () => T): T {
    const held: (() => void)[] = [];
    this.#held = held;
    try {
      return work();
    } finally {
      this.#held = undefined;
      for (const send of held) send();
    }
  }

  send(fields: Fields): void | Promise<void> {
    if (!this.#held) return this.emit(fields);
    if (this.#held.length >= MOST) throw new Error(`more than ${MOST} events at once`);
    const own = snapshot(fields);
    return new Promise((resolve) => {
      this.#held?.push(() => resolve(this.emit(own)));
    });
  }
}

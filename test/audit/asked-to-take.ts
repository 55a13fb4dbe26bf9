/** A sink that takes what the test lets it take, an audit to it, and its clock, which the test sets on. */
import { jest } from "bun:test";
import type { TaskRecord } from "../../src/api/record.ts";
import { Audit } from "../../src/audit/audit.ts";
import type { Line, Sink, Taken } from "../../src/audit/sink.ts";
import type { Told } from "./audited.ts";

export class Fake implements Sink {
  readonly name = "the fake";
  readonly texts: string[] = [];
  /** Why it takes no more. */
  why: string | undefined;
  /** So many lines it takes before that. */
  room = 0;
  calls = 0;
  reopened = 0;
  closed = 0;
  /** Until then it does not answer. */
  held: Promise<unknown> | undefined;
  /** Called behind each time that it is asked. */
  answered: (() => void) | undefined;

  async take(lines: readonly Line[]): Promise<Taken> {
    this.calls++;
    await this.held;
    const most = this.why === undefined ? lines.length : Math.min(this.room, lines.length);
    this.room -= this.why === undefined ? 0 : most;
    this.texts.push(...lines.slice(0, most).map(({ text }) => text));
    this.answered?.();
    return { lines: most, ...(this.why !== undefined && { why: this.why }) };
  }
  reopen(): void {
    this.reopened++;
  }
  async close(): Promise<void> {
    this.closed++;
  }
  get told(): Told[] {
    return this.texts.map((text) => JSON.parse(text) as Told);
  }
}

export const record = (id: number, more: Partial<TaskRecord> = {}): TaskRecord => ({
  ...{ id: `t${id}`, api: "a", verb: "v", sandbox: "s", command: "c", state: "running" },
  ...{ caller: { via: "rest" }, asked: 1, started: 1, printed: { bytes: 0, lines: 0, events: 0 } },
  ...more,
});

export function audited() {
  const sink = new Fake();
  const said: string[] = [];
  const audit = new Audit(
    sink,
    (level, text) => said.push(`${level}: ${text}`),
    () => 7,
  );
  return { sink, said, audit };
}

/** What has begun by now comes to its end, as far as it needs no time. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 50; i++) await Promise.resolve();
}

/** By a clock that stands still otherwise. */
export async function until(what: string, probe: () => boolean): Promise<void> {
  for (let ms = 0; ms < 5_000; ms++) {
    await settled();
    if (probe()) return;
    jest.advanceTimersByTime(1);
  }
  throw new Error(`never: ${what}`);
}

export async function ended<Value>(work: Promise<Value>): Promise<Value> {
  let isOver = false;
  void work.finally(() => (isOver = true));
  await until("it ends", () => isOver);
  return work;
}

/** What waits, what is lost and what is told of it, with a sink that does as the test wants. */
import { describe, expect, test } from "bun:test";
import type { TaskRecord } from "../../src/api/record.ts";
import { Audit } from "../../src/audit/audit.ts";
import type { Line, Sink, Taken } from "../../src/audit/sink.ts";
import { until } from "../served.ts";
import type { Told } from "./audited.ts";

class Fake implements Sink {
  readonly name = "the fake";
  readonly texts: string[] = [];
  /** Why it takes no more. */
  why: string | undefined;
  /** So many lines it takes before that. */
  room = 0;
  calls = 0;
  closed = 0;
  /** Until then it does not answer. */
  held: Promise<unknown> | undefined;

  async take(lines: readonly Line[]): Promise<Taken> {
    this.calls++;
    await this.held;
    const most = this.why === undefined ? lines.length : Math.min(this.room, lines.length);
    this.room -= this.why === undefined ? 0 : most;
    this.texts.push(...lines.slice(0, most).map(({ text }) => text));
    return { lines: most, ...(this.why !== undefined && { why: this.why }) };
  }
  reopen(): void {}
  async close(): Promise<void> {
    this.closed++;
  }
  get told(): Told[] {
    return this.texts.map((text) => JSON.parse(text) as Told);
  }
}

const record = (id: number, more: Partial<TaskRecord> = {}): TaskRecord => ({
  ...{ id: `t${id}`, api: "a", verb: "v", sandbox: "s", command: "c", state: "running" },
  ...{ caller: { via: "rest" }, asked: 1, started: 1, printed: { bytes: 0, lines: 0, events: 0 } },
  ...more,
});

function audited() {
  const sink = new Fake();
  const said: string[] = [];
  const audit = new Audit(
    sink,
    (level, text) => said.push(`${level}: ${text}`),
    () => 7,
  );
  return { sink, said, audit };
}

describe("what cannot be written", () => {
  test("waits in order, and is written once that is possible", async () => {
    const { sink, said, audit } = audited();
    [sink.why, sink.room] = ["ENOSPC", 2];
    for (let i = 0; i < 50; i++) audit.started(record(i));
    await until("it is told", () => said.length > 0);
    expect(audit.counts).toEqual({ written: 2, lost: 0, why: "ENOSPC" });
    sink.why = undefined;
    await until("all are there", () => sink.texts.length === 50);
    expect(sink.told.map(({ id }) => id)).toEqual(Array.from({ length: 50 }, (_, i) => `t${i}`));
    const told = [
      "error: audit: the fake cannot be written: the disk is full (ENOSPC)",
      "notice: audit: the fake is written again; lost so far: 0",
    ];
    expect(said).toEqual(told);
    // What goes well after that is nothing to tell of; what goes wrong once more is.
    audit.started(record(50));
    await until("it is there", () => sink.texts.length === 51);
    sink.why = "ENOSPC";
    audit.started(record(51));
    await until("it is told", () => said.length > 2);
    sink.why = undefined;
    await until("all are there", () => sink.texts.length === 52);
    expect(said).toEqual([...told, ...told]);
    await audit.close();
  });

  test("is lost beyond bounds: one gap, which is told at its place, and counted", async () => {
    const { sink, said, audit } = audited();
    sink.why = "EAGAIN";
    for (let i = 0; i < 10_000; i++) audit.started(record(i));
    const { lost } = audit.counts;
    expect(lost).toBe(10_000 - 8192);
    expect(said).toEqual(["error: audit: the fake: lines are lost: its reader is slow"]);
    // As long as there is a gap, nothing comes behind it: else there would be many.
    await Bun.sleep(50);
    [sink.why, sink.room] = ["EAGAIN", 100];
    await until("some are taken", () => sink.room === 0);
    audit.started(record(20_000));
    sink.why = undefined;
    await until("all are there", () => sink.texts.length === 8193);
    expect(sink.told.at(-1)).toMatchObject({ event: "lost", lost: lost + 1 });
    audit.started(record(20_001));
    await until("it goes on", () => sink.texts.length === 8194);
    expect(sink.told.at(-1)).toMatchObject({ id: "t20001" });
    expect(audit.counts).toEqual({ written: 8194, lost: lost + 1 });
    await audit.close();
  });

  test("waits a moment for a slow reader at the end, and not where it cannot be written", async () => {
    for (const [why, texts] of [
      ["EAGAIN", 1],
      ["ENOSPC", 0],
    ] as const) {
      const { sink, audit } = audited();
      sink.why = why;
      audit.started(record(1));
      await until("it was tried", () => sink.calls > 0);
      const closed = audit.close();
      await Bun.sleep(1);
      sink.why = undefined;
      await closed;
      expect([why, sink.texts.length, sink.closed]).toEqual([why, texts, 1]);
    }
  });

  test("is bounded by bytes too", async () => {
    const { sink, audit } = audited();
    sink.why = "EAGAIN";
    for (let i = 0; i < 200; i++) audit.started(record(i, { argv: ["x".repeat(60_000)] }));
    expect(audit.counts.lost).toBeGreaterThan(100);
    await audit.close();
  });

  test("is told at the end, which does not wait for it for long", async () => {
    const { sink, said, audit } = audited();
    sink.why = "ENOSPC";
    audit.started(record(1));
    await audit.close();
    expect(said.at(-1)).toBe("error: audit: the fake: lost at the end: 1");
    expect(sink.closed).toBe(1);
    // Nor is it asked again: its file may be another's by then.
    const { calls } = sink;
    await Bun.sleep(700);
    expect(sink.calls).toBe(calls);
  });
});

describe("what must be written first", () => {
  test("is, and the start that follows is not told again", async () => {
    const { sink, audit } = audited();
    const one = record(1);
    let done = false;
    const held = Promise.withResolvers<void>();
    sink.held = held.promise;
    const begun = audit.begin(one).then((why) => {
      done = true;
      return why;
    });
    await Bun.sleep(20);
    expect(done).toBe(false);
    held.resolve();
    expect(await begun).toBeUndefined();
    audit.started(one);
    audit.started(record(2));
    await audit.close();
    expect(sink.told.map(({ event, id }) => [event, id])).toEqual([
      ["start", "t1"],
      ["start", "t2"],
    ]);
  });

  test("is refused where it cannot be, at once, and not once it can be again", async () => {
    const { sink, audit } = audited();
    sink.why = "EROFS";
    for (let i = 0; i < 3; i++) expect(await audit.begin(record(i))).toContain("read-only");
    sink.why = undefined;
    expect(await audit.begin(record(9))).toBeUndefined();
    await audit.close();
    // That of the first was on its way when it was found out.
    expect(sink.told.map(({ id }) => id)).toEqual(["t0", "t9"]);
  });

  test("waits a moment for a reader that is slow, and no longer", async () => {
    const { sink, audit } = audited();
    sink.why = "EAGAIN";
    const quick = audit.begin(record(1));
    setTimeout(() => (sink.why = undefined), 50);
    expect(await quick).toBeUndefined();
    sink.why = "EAGAIN";
    expect(await audit.begin(record(2))).toBe("its reader is slow");
    await audit.close();
  });

  test("many at a time share their writes", async () => {
    const { sink, audit } = audited();
    const whys = await Promise.all(Array.from({ length: 200 }, (_, i) => audit.begin(record(i))));
    expect(whys.filter((why) => why !== undefined)).toEqual([]);
    expect(sink.calls).toBeLessThan(10);
    await audit.close();
  });
});

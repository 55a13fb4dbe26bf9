/** What waits, what is lost and what is told of it, with a sink that does as the test wants. */
import { afterEach, beforeEach, describe, expect, jest, test } from "bun:test";
import type { TaskRecord } from "../../src/api/record.ts";
import type { Refusal } from "../../src/api/witness.ts";
import { audited, ended, record, settled, until } from "./asked-to-take.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

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
    jest.advanceTimersByTime(50);
    await settled();
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
      await settled();
      sink.why = undefined;
      await ended(closed);
      expect([why, sink.texts.length, sink.closed]).toEqual([why, texts, 1]);
    }
  });

  test("waits so at the end for as many lines as are lost, too", async () => {
    const { sink, audit } = audited();
    sink.why = "EAGAIN";
    for (let i = 0; i < 6; i++) audit.started(record(i, { argv: ["x".repeat(1 << 20)] }));
    expect(audit.counts.lost).toBe(3);
    const closed = audit.close();
    await settled();
    sink.why = undefined;
    await ended(closed);
    expect(sink.told.map(({ event }) => event)).toEqual(["start", "start", "start", "lost"]);
  });

  test.each<[string, Partial<TaskRecord>, number]>([
    ["a short line", { argv: Array<string>(40).fill("") }, 400 + 40 * 3],
    ["as many as fit to the byte", { argv: ["x".repeat(1024 - 403)] }, 1024],
    ["a command line", { argv: ["x".repeat(60_000)] }, 400 + 60_003],
  ])("is bounded by bytes too: %s", async (_, more, size) => {
    const { sink, audit } = audited();
    const room = Math.floor((4 << 20) / size);
    // What was written, and told as lost, makes room for as many.
    for (const round of [1, 2, 3]) {
      sink.why = "EAGAIN";
      const { lost } = audit.counts;
      for (let i = 0; i < room + 7; i++) audit.started(record(i, more));
      expect([round, audit.counts.lost - lost]).toEqual([round, 7]);
      // The line that tells of them waits, too.
      sink.room = room;
      const { calls } = sink;
      await until("all are taken, and that one not", () => sink.calls === calls + 2);
      sink.why = undefined;
      await until("it goes on", () => sink.texts.length === round * (room + 1));
    }
    await audit.close();
  });

  test("is bounded by what is told of refusals, too", async () => {
    const { sink, audit } = audited();
    sink.why = "EAGAIN";
    const refused = { time: 1, caller: { via: "rest" }, api: "a", verb: "v" } as const;
    const big = "x".repeat(1 << 20);
    const refuse = (more: Partial<Refusal>) => {
      audit.refused({ ...refused, action: "start", status: "bad", ...more });
      return audit.counts.lost;
    };
    expect([refuse({ info: big }), refuse({ args: { big } }), refuse({ info: big })]).toEqual([
      ...[0, 0, 0],
    ]);
    expect(refuse({ args: [big] })).toBe(1);
    sink.why = undefined;
    await audit.close();
    expect(sink.told.map(({ event }) => event)).toEqual(["refuse", "refuse", "refuse", "lost"]);
  });

  test("the line that tells of a gap waits as others do, and what is lost meanwhile is another gap", async () => {
    const { sink, audit } = audited();
    const held = Promise.withResolvers<void>();
    sink.why = "EAGAIN";
    for (let i = 0; i < 8195; i++) audit.started(record(i));
    sink.room = 8192;
    await until("all are taken", () => sink.room === 0);
    await until("it is asked for that of the gap", () => sink.calls > 1);
    // It waits, and behind it what comes.
    audit.started(record(9001));
    expect(audit.counts).toEqual({ written: 8192, lost: 3, why: "EAGAIN" });
    for (let i = 0; i < 8193; i++) audit.started(record(i));
    expect(audit.counts.lost).toBe(6);
    sink.why = undefined;
    sink.held = held.promise;
    const { calls } = sink;
    await until("it is asked again", () => sink.calls > calls);
    held.resolve();
    await until("all are there", () => sink.texts.length === 2 * 8192 + 1);
    await until("it is told", () => audit.counts.why === undefined);
    expect(sink.told[8192]).toMatchObject({ event: "lost", lost: 3 });
    expect(sink.told[8193]).toMatchObject({ id: "t9001" });
    expect(sink.told.at(-1)).toMatchObject({ event: "lost", lost: 3 });
    expect(audit.counts).toEqual({ written: 2 * 8192 + 1, lost: 6 });
    await audit.close();
  });

  test("while a gap is being told there is another one, which is told behind it", async () => {
    const { sink, audit, said } = audited();
    sink.why = "EAGAIN";
    for (let i = 0; i < 8193; i++) audit.started(record(i));
    const held = Promise.withResolvers<void>();
    sink.answered = () => {
      // All lines are there: the next is of the gap.
      sink.answered = undefined;
      sink.held = held.promise;
    };
    sink.why = undefined;
    await until("that of the gap is asked for", () => sink.calls > 1);
    audit.started(record(9001));
    audit.started(record(9002));
    held.resolve();
    await until("both are there", () => sink.texts.length === 8194);
    expect(sink.told.slice(-2)).toMatchObject([{ lost: 1 }, { lost: 2 }]);
    expect(said).toEqual([
      "error: audit: the fake: lines are lost: its reader is slow",
      "notice: audit: the fake is written again; lost so far: 3",
    ]);
    audit.started(record(9003));
    await audit.close();
    expect(sink.told.at(-1)).toMatchObject({ id: "t9003" });
  });

  test("is told once, whatever is wrong by then, and also where lines are lost already", async () => {
    const { sink, audit, said } = audited();
    for (let i = 0; i < 8193; i++) audit.started(record(i));
    sink.why = "ENOSPC";
    expect(await audit.begin(record(1))).toBe(
      "what waits to be written is lost already: its reader is slow",
    );
    await until("it is tried", () => audit.counts.why !== undefined);
    const told = [
      "error: audit: the fake: lines are lost: its reader is slow",
      "error: audit: the fake cannot be written: the disk is full (ENOSPC)",
    ];
    expect(said).toEqual(told);
    sink.why = "EROFS";
    expect(await audit.begin(record(1))).toBe("the file system is read-only (EROFS)");
    sink.why = "EUNKNOWN";
    expect(await audit.begin(record(1))).toBe("EUNKNOWN");
    expect(said).toEqual(told);
    sink.why = undefined;
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
    jest.advanceTimersByTime(10_000);
    await settled();
    expect([sink.calls, jest.getTimerCount()]).toEqual([calls, 0]);
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
    jest.advanceTimersByTime(20);
    await settled();
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

  test("waits a moment for a reader that is slow", async () => {
    const { sink, audit } = audited();
    sink.why = "EAGAIN";
    const quick = audit.begin(record(1));
    setTimeout(() => (sink.why = undefined), 50);
    expect(await ended(quick)).toBeUndefined();
    await audit.close();
  });

  test("is for each by itself: what was written is, though the next one cannot be", async () => {
    const { sink, audit } = audited();
    const held = Promise.withResolvers<void>();
    sink.held = held.promise;
    const first = audit.begin(record(1));
    const others = [audit.begin(record(2)), audit.begin(record(3))];
    [sink.why, sink.room] = ["ENOSPC", 2];
    held.resolve();
    const answers = await Promise.all([first, ...others]);
    expect(answers).toEqual([undefined, undefined, "the disk is full (ENOSPC)"]);
    sink.why = undefined;
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

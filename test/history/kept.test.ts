/** What is kept of tasks to the letter: when it is written, how much of it, and what is asked of it. Without tasks that run. */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, jest, test } from "bun:test";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Entry } from "../../src/api/book.ts";
import { EventData } from "../../src/api/event-data.ts";
import { Ring, Rings } from "../../src/api/ring.ts";
import { History } from "../../src/history/history.ts";
import { LIMITS, type Limits } from "../../src/history/limits.ts";
import { descriptorsOf } from "../descriptors.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  jest.useRealTimers();
  for (const end of ends.splice(0).reverse()) end();
});
function file(): string {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-kept-"));
  ends.push(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, "history");
}

describe("what happens is written", () => {
  const event = (text: string) => EventData.written(JSON.stringify({ stdout: text }));
  /** So much in it that all of them together know. */
  function filled(rings: Rings): Ring {
    const ring = new Ring(10_000, rings);
    ring.push(event("a".repeat(5000)));
    expect(rings.bytes).toBeGreaterThan(5000);
    return ring;
  }
  let made = 0;
  /** A task, as the book has it. */
  function entry({
    keeps = false,
    ended = false,
    ring = new Ring(8 << 20, new Rings(64 << 20)),
  } = {}) {
    const id = `${100_000 + made++}`;
    const record = {
      ...{ id, api: "a", verb: "v", sandbox: "s", command: "c", pid: 5, caller: { uid: 7 } },
      ...{ asked: Date.now(), state: ended ? "ended" : "running", status: { exit: 3 } },
    };
    const plan = { privileges: ["x"], keepsOutput: keeps };
    return {
      entry: { record, plan, events: { past: { ring } } } as unknown as Entry,
      ring,
      id,
      record,
    };
  }
  function opened(path = file(), limits: Partial<Limits> = {}) {
    const told: string[] = [];
    const tell = (text: string) => void told.push(text);
    const uid = process.geteuid?.() ?? 0;
    const history = new History({ file: path, limits: { ...LIMITS, ...limits }, tell, uid });
    history.open();
    ends.push(() => history.close());
    const rows = (sql = "SELECT count(*) AS n FROM task"): number => {
      using db = new Database(path, { readonly: true });
      return (db.query(sql).get() as { n: number }).n;
    };
    return { history, told, path, rows };
  }

  test("a second later, with all else; output each second for as long as it comes", () => {
    const { history, rows } = opened();
    jest.useFakeTimers();
    const { entry: one, ring, record } = entry({ keeps: true });
    history.note(one);
    history.note(entry().entry);
    jest.advanceTimersByTime(999);
    expect(rows()).toBe(0);
    jest.advanceTimersByTime(1);
    expect(rows()).toBe(2);
    const pieces = () => rows("SELECT count(*) AS n FROM output");
    expect(pieces()).toBe(0);
    for (const text of ["a", "b"]) ring.push(event(text));
    jest.advanceTimersByTime(999);
    expect(pieces()).toBe(0);
    jest.advanceTimersByTime(1);
    expect(pieces()).toBe(1);
    jest.advanceTimersByTime(5000);
    expect(pieces()).toBe(1);
    ring.push(event("c"));
    ring.end(event("final"));
    Object.assign(record, { state: "ended" });
    jest.advanceTimersByTime(1000);
    expect([pieces(), rows("SELECT sum(count) AS n FROM output")]).toEqual([2, 3]);
    // Nothing is followed any more.
    expect(jest.getTimerCount()).toBe(0);
  });

  test("what somebody else does not hold any more is written all the same, and then let go of", () => {
    const { history, rows } = opened();
    jest.useFakeTimers();
    const rings = new Rings(64 << 20);
    const ring = new Ring(8 << 20, rings);
    const { entry: one, record } = entry({ keeps: true, ring });
    history.note(one);
    history.note(one);
    for (const text of ["a", "b"]) ring.push(event(text));
    Object.assign(record, { state: "ended" });
    jest.advanceTimersByTime(1000);
    // It has ended, and its last event is still to come.
    ring.push(event("c"));
    ring.end(event("final"));
    ring.close();
    expect(rings.bytes).toBeGreaterThan(0);
    jest.advanceTimersByTime(1000);
    expect(rows("SELECT sum(count) AS n FROM output")).toBe(3);
    expect([rings.bytes, jest.getTimerCount()]).toEqual([0, 0]);
  });

  test("not all at once: others have their turn, but at the end", () => {
    const { history, rows } = opened();
    for (let n = 0; n < 1501; n++) history.note(entry({ ended: true }).entry);
    expect(history.kinds()).toHaveLength(1);
    expect(rows()).toBe(500);
    history.close();
    expect(rows()).toBe(1501);
  });

  test("and told of to who asks: what is there, as it ended, with its output", () => {
    const { history } = opened();
    const { entry: one, ring, id, record } = entry({ keeps: true });
    history.note(one);
    for (const text of ["a", "b"]) ring.push(event(text));
    const of = () => history.events(id);
    // Its server is lost: nobody knows how it ends.
    expect(of()).toMatchObject({
      record: { id, state: "ended", pid: 5 },
      kind: { api: "a", verb: "v", privileges: ["x"] },
      last: 3,
    });
    expect(of()?.events.map(({ number, data }) => [number, data.value])).toEqual([
      [1, { stdout: "a" }],
      [2, { stdout: "b" }],
      [3, { type: "final-event", pid: 5, status: { exit: 3 } }],
    ]);
    ring.push(event("c"));
    ring.end(event("final"));
    Object.assign(record, { state: "ended" });
    history.note(one);
    expect(of()?.events.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(history.events("none")).toBeUndefined();
    const kinds = history.kinds().map(({ key }) => key);
    expect(history.tasks({ kinds, limit: 5, caller: "7" })).toMatchObject([{ id }]);
    // Nor where none of it is kept, which has been all the same; and of one that was lost nothing is known.
    const { entry: unkept, ring: past, id: lost, record: unknown } = entry();
    Object.assign(unknown, { status: undefined });
    for (const text of ["a", "b"]) past.push(event(text));
    history.note(unkept);
    expect(history.events(lost)).toMatchObject({ last: 3, events: [{ number: 3 }] });
    expect(history.events(lost)?.events[0]?.data.value).toEqual({
      ...{ type: "final-event", pid: 5, status: {} },
    });
    // One that never ran has its end alone.
    const { entry: never, id: none } = entry({ ended: true });
    history.note({ ...never, events: undefined } as unknown as Entry);
    expect(history.events(none)?.last).toBe(1);
    // Without output, or where none is kept, the end is the first event.
    for (const keeps of [true, false]) {
      const { entry: silent, id: other } = entry({ keeps });
      history.note(silent);
      expect([history.events(other)?.last, history.events(other)?.events]).toMatchObject([
        ...[1, [{ number: 1, data: { value: { type: "final-event" } } }]],
      ]);
    }
  });

  test("of output what comes last without a gap; what is not followed by its end is no part of it", () => {
    const { history, path } = opened();
    const { entry: one, ring, id } = entry({ keeps: true });
    history.note(one);
    for (const text of ["a", "b"]) ring.push(event(text));
    history.events(id);
    const db = new Database(path);
    ends.push(() => db.close());
    const add = (first: number, count: number) =>
      db.run("INSERT INTO output VALUES (?, ?, ?, 1, ?)", [
        ...[id, first, count, Array(count).fill("{}").join("\n")],
      ] as never);
    const numbers = () => history.events(id)?.events.map(({ number }) => number);
    add(4, 2);
    expect(numbers()).toEqual([4, 5, 6]);
    add(3, 1);
    expect(numbers()).toEqual([1, 2, 3, 4, 5, 6]);
    db.run("UPDATE task SET last = 9");
    expect([numbers(), history.events(id)?.last]).toEqual([[9], 9]);
  });

  test("of one task so much output, its last", () => {
    const { history, rows } = opened();
    const { entry: one, ring, id } = entry({ keeps: true });
    history.note(one);
    const half = (1 << 19) - '{"stdout":""}'.length;
    const more = (length: number) => {
      ring.push(event("x".repeat(length)));
      history.note(one);
      return history.events(id)?.events.map(({ number }) => number);
    };
    expect(more(half)).toEqual([1, 2]);
    expect(more(half)).toEqual([1, 2, 3]);
    expect(more(1)).toEqual([2, 3, 4]);
    // One piece is kept, whatever its size, and goes with the next.
    expect(more((1 << 20) + 5)).toEqual([4, 5]);
    expect(rows("SELECT count(*) AS n FROM output")).toBe(1);
    expect(more(1)).toEqual([5, 6]);
  });

  test("at most so many wait: what has ended is lost, and what runs is noted again", () => {
    const { history } = opened();
    jest.useFakeTimers();
    const rings = new Rings(64 << 20);
    const ring = filled(rings);
    history.note(entry({ keeps: true, ring }).entry);
    history.note(entry({ ended: true }).entry);
    for (let n = 0; n < 4998; n++) history.note(entry().entry);
    expect(history.lost).toBe(0);
    history.note(entry().entry);
    // It is let go of: whoever has its ring closes it.
    ring.close();
    expect([history.lost, rings.bytes]).toEqual([0, 0]);
    history.note(entry().entry);
    expect(history.lost).toBe(1);
  });

  test("of what waits the arguments have a bound, too: the oldest are lost", () => {
    const { history } = opened();
    jest.useFakeTimers();
    // 256 of these are 16 MB.
    const argv = ["x".repeat((64 << 10) - 16)];
    const noted = (n: number) => {
      for (let i = 0; i < n; i++) {
        const { entry: one, record } = entry({ ended: true });
        Object.assign(record, { argv });
        history.note(one);
        // Again, as it is when it ends: it waits once.
        history.note(one);
      }
    };
    noted(256);
    expect(history.lost).toBe(0);
    noted(2);
    expect(history.lost).toBe(2);
    // What is written makes room.
    jest.advanceTimersByTime(1000);
    noted(256);
    expect(history.lost).toBe(2);
  });

  test("again after ten seconds, where it cannot; what is lost is told", () => {
    const { history, told, path, rows } = opened();
    jest.useFakeTimers();
    const other = new Database(path);
    ends.push(() => other.close());
    other.run("BEGIN IMMEDIATE");
    history.note(entry({ ended: true }).entry);
    jest.advanceTimersByTime(1000);
    const where = `--history ${path}: `;
    const cannot = `${where}cannot be written: another process has it, or its file system has no locks (database is locked); it is tried again, and the server goes on`;
    expect(told).toEqual([cannot]);
    for (let n = 0; n < 5000; n++) history.note(entry({ ended: true }).entry);
    jest.advanceTimersByTime(9999);
    other.run("ROLLBACK");
    expect(rows()).toBe(0);
    jest.advanceTimersByTime(1);
    expect(rows()).toBe(500);
    const again = `${where}is written again; 1 tasks are missing in it`;
    expect(told).toEqual([cannot, again]);
    // Told once, and so is the next time.
    expect(history.kinds()).toHaveLength(1);
    expect(told).toHaveLength(2);
    other.run("BEGIN IMMEDIATE");
    history.note(entry({ ended: true }).entry);
    expect(history.kinds()).toHaveLength(1);
    expect(told).toEqual([cannot, again, cannot]);
  });

  test("at the end once more, with the output since; then nobody waits for anything", () => {
    const { history, path, rows, told } = opened();
    jest.useFakeTimers();
    const { entry: one, ring } = entry({ keeps: true });
    history.note(one);
    expect(history.kinds()).toHaveLength(1);
    ring.push(event("a"));
    const other = new Database(path);
    ends.push(() => other.close());
    other.run("BEGIN IMMEDIATE");
    jest.advanceTimersByTime(1000);
    expect(told).toHaveLength(1);
    history.note(entry({ ended: true }).entry);
    other.run("ROLLBACK");
    history.close();
    expect([rows(), rows("SELECT count(*) AS n FROM output")]).toEqual([2, 1]);
    expect(jest.getTimerCount()).toBe(0);
    // Nobody has it any more: what is noted then holds nothing.
    const rings = new Rings(64 << 20);
    const late = filled(rings);
    history.note(entry({ keeps: true, ring: late }).entry);
    late.close();
    expect([jest.getTimerCount(), rings.bytes]).toEqual([0, 0]);
    // Nor is it asked any more, which is no trouble.
    expect([history.kinds(), history.events("x"), told.length]).toEqual([[], undefined, 2]);
  });

  test("nowhere, where nothing has happened: no file is made for that", () => {
    const path = file();
    new History({ file: path, limits: LIMITS, tell: () => {}, uid: 0 }).close();
    expect(existsSync(path)).toBe(false);
  });

  test("nothing any more, where it is damaged: told once, and nothing is held", () => {
    const path = file();
    const { history: before } = opened(path);
    before.note(entry().entry);
    before.close();
    const bytes = readFileSync(path);
    writeFileSync(path, bytes.fill(0xff, 4096));
    const { history, told } = opened(path);
    const rings = new Rings(64 << 20);
    const ring = filled(rings);
    history.note(entry({ keeps: true, ring }).entry);
    history.note(entry({ ended: true }).entry);
    expect(history.lost).toBe(0);
    expect(history.kinds()).toEqual([]);
    // What had ended; what runs has not yet.
    expect(history.lost).toBe(1);
    ring.close();
    expect(rings.bytes).toBe(0);
    expect(told).toEqual([
      expect.stringMatching(
        /: it is damaged: move it away \(.*\); the server goes on without a history$/,
      ),
    ]);
    history.note(entry().entry);
    expect([history.tasks({ kinds: [1], limit: 1 }), history.events("x"), told.length]).toEqual([
      ...[[], undefined, 1],
    ]);
    expect(history.lost).toBe(1);
    history.note(entry({ ended: true }).entry);
    expect(history.lost).toBe(2);
    history.close();
    const { history: fine } = opened();
    fine.close();
    fine.note(entry({ ended: true }).entry);
    expect(fine.lost).toBe(0);
  });

  test("nor open: at the end, where it is damaged, and where it is none of ours", () => {
    const path = file();
    const open = () => descriptorsOf("self").filter((one) => one.startsWith(path)).length;
    const { history: whole } = opened(path);
    whole.note(entry().entry);
    expect(whole.kinds()).toHaveLength(1);
    expect(open()).toBeGreaterThan(0);
    whole.close();
    expect(open()).toBe(0);
    const bytes = readFileSync(path);
    writeFileSync(path, Buffer.from(bytes).fill(0xff, 4096));
    const { history: damaged, told } = opened(path);
    expect(open()).toBeGreaterThan(0);
    expect(damaged.kinds()).toEqual([]);
    expect([told.length, open()]).toEqual([1, 0]);
    for (const content of [Buffer.from("no database ".repeat(1000)), bytes.fill(0xff, 60, 72)]) {
      writeFileSync(path, content);
      expect([opened(path).told.length, open()]).toEqual([1, 0]);
    }
  });

  test("now and then it is looked whether it is too much, and at once where it is", () => {
    const { history, rows } = opened(file(), { tasks: 2 });
    const write = () => {
      history.note(entry({ ended: true }).entry);
      // The second has nothing to write.
      for (let n = 0; n < 2; n++) history.kinds();
      return rows();
    };
    // The first look is at the first write, with its task.
    expect(Array.from({ length: 17 }, write)).toEqual([
      ...[...Array.from({ length: 16 }, (_one, n) => n + 1), 2],
    ]);
  });
});

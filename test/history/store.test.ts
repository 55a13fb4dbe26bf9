/** The file of a history by its rows: what is asked of it, what goes, and how much it may be. */
import { Database } from "bun:sqlite";
import { afterEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LIMITS, type Limits, parseLimits } from "../../src/history/limits.ts";
import { Store, type TaskRow } from "../../src/history/store.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});
function file(): string {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-kept-"));
  ends.push(() => rmSync(dir, { recursive: true, force: true }));
  return join(dir, "history");
}

describe("limits", () => {
  test("that nobody has given", () => {
    expect(LIMITS).toEqual({ tasks: 10_000, bytes: 64 << 20, days: 90 });
  });
  test.each<[string, Partial<Limits>]>([
    ["1", { tasks: 1 }],
    ["10000000", { tasks: 10_000_000 }],
    ["1d", { days: 1 }],
    ["36500D", { days: 36_500 }],
    ["1m", { bytes: 1 << 20 }],
    ["1024K", { bytes: 1 << 20 }],
    ["1024G", { bytes: 2 ** 40 }],
    [" 5 , 2d ,3M", { tasks: 5, days: 2, bytes: 3 << 20 }],
  ])("%s", (text, given) => {
    expect(parseLimits(text)).toEqual({ ...LIMITS, ...given });
  });
  const form =
    "expected limits such as 10000,64M,90d: tasks, bytes with K, M or G, and days, each at most once";
  test.each([
    ...["10000001", "36501d", "1025G", "0d", "0", "0K", "1d,1d", "1,1", "1T", "d", "1 d"].map(
      (text): [string, string] => [text, form],
    ),
    ["1023K", "a history takes 1M at least"],
    ["5,1K", "a history takes 1M at least"],
  ])("%s are none", (text, why) => {
    expect(() => parseLimits(text)).toThrow(new TypeError(`--history-max ${text}: ${why}`));
  });
});

describe("the file", () => {
  const row = (id: string, more: Partial<TaskRow> = {}): TaskRow => ({
    ...{ id, api: "a", verb: "v", privileges: "[]", pid: null, info: null, address: null },
    ...{ uid: null, asked: 0, last: 1, record: `{"id":"${id}"}`, ...more },
  });
  function stored(rows: readonly TaskRow[] = []): Store {
    const path = file();
    writeFileSync(path, "");
    const store = new Store(path);
    ends.push(() => store.close());
    store.write(() => rows.forEach((one) => store.task(one)));
    return store;
  }
  const ids = (store: Store, wanted: object = {}) => {
    const kinds = store.kinds().map(({ key }) => key);
    return store
      .records({ kinds, limit: 100, ...wanted })
      .map((json) => (JSON.parse(json) as { id: string }).id);
  };

  test("asked for each that a task is known by, and in which order", () => {
    const store = stored([
      row("1", { info: "ann", pid: 7 }),
      row("2", { address: "10.0.0.1", pid: 8 }),
      row("3", { uid: "1000" }),
      row("4", { verb: "w", privileges: '["x"]' }),
      row("5", { api: "b" }),
    ]);
    expect(store.kinds().map(({ key: _, ...kind }) => kind)).toEqual([
      { api: "a", verb: "v", privileges: [] },
      { api: "a", verb: "w", privileges: ["x"] },
      { api: "b", verb: "v", privileges: [] },
    ]);
    const [first, second] = store.kinds();
    expect(ids(store)).toEqual(["5", "4", "3", "2", "1"]);
    expect(ids(store, { limit: 2 })).toEqual(["5", "4"]);
    expect(ids(store, { kinds: [second?.key] })).toEqual(["4"]);
    expect(ids(store, { kinds: [] })).toEqual([]);
    for (const [caller, id] of [
      ["ann", "1"],
      ["10.0.0.1", "2"],
      ["1000", "3"],
    ] as const)
      expect(ids(store, { caller })).toEqual([id]);
    expect(ids(store, { pid: 8 })).toEqual(["2"]);
    expect(ids(store, { pid: 8, caller: "ann" })).toEqual([]);
    expect(ids(store, { id: "3" })).toEqual(["3"]);
    expect(ids(store, { before: "3" })).toEqual(["2", "1"]);
    expect(store.find("1")).toEqual({ record: '{"id":"1"}', last: 1, kind: first as never });
    expect(store.find("none")).toBeUndefined();
  });

  test("a kind is API, verb and privileges, each of them", () => {
    const all = [{}, { api: "b" }, { verb: "w" }, { privileges: '["x"]' }];
    const store = stored(all.map((more, n) => row(`${n}`, more)));
    expect(store.kinds()).toHaveLength(4);
    store.kinds().forEach(({ key }, n) => expect(ids(store, { kinds: [key] })).toEqual([`${n}`]));
    // Once written, and so it is for who opens it later.
    store.write(() => all.forEach((more, n) => store.task(row(`1${n}`, more))));
    expect(store.kinds()).toHaveLength(4);
  });

  test("a task that is written again is the same one, and what breaks off is not there", () => {
    const store = stored([row("1", { pid: 5 })]);
    store.write(() => store.task(row("1", { pid: 6, last: 9, record: '{"id":"1","x":1}' })));
    expect(ids(store, { pid: 6 })).toEqual(["1"]);
    expect(store.find("1")).toMatchObject({ last: 9, record: '{"id":"1","x":1}' });
    expect(() =>
      store.write(() => {
        store.task(row("2", { verb: "other" }));
        throw new Error("broken");
      }),
    ).toThrow("broken");
    expect([ids(store), store.kinds().length]).toEqual([["1"], 1]);
    // A kind that was not kept is none that is known.
    store.write(() => store.task(row("3", { verb: "other" })));
    expect(ids(store)).toEqual(["3", "1"]);
  });

  test("output by number, and what is forgotten of it", () => {
    const store = stored([row("1")]);
    for (const first of [3, 1, 5])
      store.output("1", { first, count: 2, events: `${first}\n${first}` });
    store.output("2", { first: 1, count: 1, events: "other" });
    store.forget("1", 3);
    expect(store.outputOf("1")).toEqual([
      { first: 3, count: 2, events: "3\n3" },
      { first: 5, count: 2, events: "5\n5" },
    ]);
    store.output("1", { first: 5, count: 1, events: "again" });
    expect(store.outputOf("1")[1]).toEqual({ first: 5, count: 1, events: "again" });
    expect(store.outputOf("2")).toHaveLength(1);
  });

  const DAY = 86_400_000;
  const BEGIN = Date.UTC(2026, 0, 1);
  test("lets go what there is too much of, and what is too old, with its output", () => {
    const all = Array.from({ length: 33 }, (_one, n) =>
      row(String.fromCharCode(65 + (n % 26)).padStart(n < 26 ? 1 : 2, "Z"), {
        asked: BEGIN + n * DAY,
        ...(n === 0 && { verb: "first" }),
      }),
    );
    const store = stored(all);
    store.output("A", { first: 1, count: 1, events: "x" });
    store.output("Z", { first: 1, count: 1, events: "x" });
    const limits = { tasks: 33, bytes: 1 << 30, days: 40 };
    store.trim(limits, BEGIN + 40 * DAY, true);
    expect(ids(store)).toHaveLength(33);
    // One is older than that by a moment.
    store.trim(limits, BEGIN + 40 * DAY + 1, true);
    expect([ids(store).length, ids(store).at(-1), store.outputOf("A")]).toEqual([32, "B", []]);
    expect(store.kinds()).toHaveLength(1);
    store.trim({ ...limits, tasks: 30 }, 0, true);
    expect([ids(store).length, ids(store).at(-1)]).toEqual([30, "D"]);
    // Of 30 a sixteenth, where they take more than they may; and as much is none too much.
    store.trim({ ...limits, bytes: store.bytes }, 0, true);
    expect(ids(store)).toHaveLength(30);
    store.trim({ ...limits, bytes: store.bytes - 1 }, 0, true);
    expect([ids(store).length, ids(store).at(-1)]).toEqual([28, "F"]);
    expect(store.outputOf("Z")).toHaveLength(1);
    store.task(row("later", { verb: "first" }));
    expect(store.find("later")?.kind.verb).toBe("first");
  });

  test("what is old goes also where nothing is new", () => {
    const limits = { tasks: 9, bytes: 1 << 30, days: 40 };
    const store = stored(["A", "B"].map((id) => row(id, { asked: BEGIN })));
    store.trim(limits, BEGIN + 41 * DAY, true);
    expect([ids(store), store.has("A")]).toEqual([[], false]);
  });

  test("of seventeen two, where they take too much: a sixteenth, and what is left of one", () => {
    const store = stored(Array.from({ length: 17 }, (_one, n) => row(`${10 + n}`)));
    store.trim({ tasks: 17, bytes: store.bytes - 1, days: 1 }, 0, true);
    expect(ids(store)).toHaveLength(15);
  });

  test("gives room back where it is much", () => {
    const path = file();
    writeFileSync(path, "");
    const store = new Store(path);
    ends.push(() => store.close());
    store.write(() => store.output("1", { first: 1, count: 1, events: "x".repeat(1 << 20) }));
    const before = store.bytes;
    expect(before).toBeGreaterThan(1 << 20);
    store.write(() => store.forget("1", 2));
    expect(store.bytes).toBeLessThan(1 << 17);
    const pages = () => {
      using db = new Database(path, { readonly: true });
      return (db.query("PRAGMA page_count").get() as { page_count: number }).page_count;
    };
    const full = pages();
    store.shrink(4 << 20);
    expect(pages()).toBe(full);
    store.shrink(1 << 19);
    expect(pages()).toBeLessThan(full / 4);
  });

  test("has little beside it of what is to come, also after much at once", () => {
    const path = file();
    writeFileSync(path, "");
    const store = new Store(path);
    ends.push(() => store.close());
    const beside = () => statSync(`${path}-wal`).size;
    let made = 0;
    const write = (bytes: number) =>
      store.write(() => {
        const events = "x".repeat(bytes);
        store.output("1", { first: ++made, count: 1, events });
      });
    for (let n = 0; n < 40; n++) {
      write(100 << 10);
      expect(beside()).toBeLessThan(3 << 19);
    }
    write(4 << 20);
    expect(beside()).toBeGreaterThan(4 << 20);
    write(1);
    expect(beside()).toBeLessThanOrEqual(1 << 20);
  });

  test("is ours by its marks", () => {
    const path = file();
    writeFileSync(path, "");
    new Store(path).close();
    using db = new Database(path);
    const of = (pragma: string) => Object.values(db.query(`PRAGMA ${pragma}`).get() as object)[0];
    expect([
      of("application_id"),
      of("user_version"),
      of("journal_mode"),
      of("auto_vacuum"),
    ]).toEqual([...[0x73706278, 1, "wal", 2]]);
    db.run("PRAGMA user_version = 2");
    expect(() => new Store(path)).toThrow(
      "is of a newer spawnbox (version 2, this one knows 1): use that, or give another file",
    );
    db.run("PRAGMA user_version = 0");
    db.run("PRAGMA application_id = 5");
    expect(() => new Store(path)).toThrow("is a database of another program: give another file");
    expect(() => new Store(`${path}.none`)).toThrow();
  });
});

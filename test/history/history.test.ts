/** What a file keeps of tasks, and that the server goes on where it cannot. */
import { describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import type { OpenRecord } from "../../src/api/book.ts";
import type { TaskRecord } from "../../src/api/record.ts";
import { History, type HistoryOptions } from "../../src/history/history.ts";
import { LIMITS, type Limits, parseLimits } from "../../src/history/limits.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { connecting, paramsOf, shell, sleeper, TestClient, use } from "../api/harness.ts";
import { isRoot, until } from "../served.ts";
import { ORDINARY } from "../accounts.ts";
import { mayTrace, told } from "../strace.ts";
import { directories } from "./directory.ts";

const connect = connecting();
const { ends, directory } = directories();

const DAY = 86_400_000;
/** ms after which a clock that is as it is counts for all. */
const LONG = 600_000;

/** @param more such as `again`: ms after which a file that cannot be written is tried again */
function opened(
  file: string,
  limits: Partial<Limits> = {},
  more: Pick<HistoryOptions, "again" | "clock" | "found"> = {},
) {
  const told: string[] = [];
  const history = new History({
    file,
    limits: { ...LIMITS, ...limits },
    tell: (text) => told.push(text),
    uid: process.geteuid?.() ?? 0,
    ...more,
  });
  history.open();
  ends.push(() => history.close());
  return { history, told };
}

/** Clocks of a test: one that goes on, and one that is set. */
function settable(start = Date.now()) {
  let [steady, wall] = [0, start];
  return {
    clock: () => [steady, wall] as const,
    get wall() {
      return wall;
    },
    set: (to: number) => void (wall = to),
    pass(ms: number) {
      steady += ms;
      wall += ms;
    },
  };
}

const say = (overrides: Partial<Plan> = {}) =>
  shell("say", "echo a; echo b", { ...use("line"), ...overrides });

async function ran(history: History, plan: Plan, times = 1): Promise<void> {
  const { client } = connect([plan], { archive: history });
  for (let i = 0; i < times; i++) {
    const before = client.frames.length;
    await client.call(plan.verb);
    while (!client.wire.slice(before).some((frame) => frame.includes("final-event")))
      await Bun.sleep(1);
  }
}

const tasksIn = (history: History): readonly TaskRecord[] => {
  const kinds = history.kinds().map(({ key }) => key);
  return kinds.length > 0 ? history.tasks({ kinds, limit: 100_000 }) : [];
};

test("limits: tasks, bytes and days, each at most once", () => {
  expect(parseLimits("100")).toEqual({ ...LIMITS, tasks: 100 });
  expect(parseLimits("2M, 7d")).toEqual({ ...LIMITS, bytes: 2 << 20, days: 7 });
  for (const wrong of [
    "",
    "0",
    "x",
    "1,2",
    "1M,2M",
    "10K",
    "1e3",
    "-1",
    "5d,5d",
    "1,",
    "99999999d",
  ])
    expect(() => parseLimits(wrong)).toThrow("--history-max");
});

describe("a file", () => {
  test("keeps tasks and their output over the end of a server", async () => {
    const file = join(directory(), "history");
    const first = opened(file);
    await ran(first.history, say({ keepsOutput: true }));
    await ran(first.history, say({ verb: "quiet" }));
    first.history.close();
    const { history, told } = opened(file);
    const [quiet, kept] = tasksIn(history);
    expect(kept).toMatchObject({ verb: "say", state: "ended", status: { exit: 0 } });
    const events = (id = "") =>
      history.events(id)?.events.map(({ number, data }) => [number, data.value]);
    expect(events(kept?.id)).toMatchObject([
      [1, { type: "data", stdout: "a" }],
      [2, { type: "data", stdout: "b" }],
      [3, { type: "final-event", status: { exit: 0 } }],
    ]);
    expect(events(quiet?.id)).toMatchObject([[3, { type: "final-event" }]]);
    expect(told).toEqual([]);
    // Before a gap nothing counts.
    const db = new Database(file);
    db.run("INSERT INTO output (task, first, count, events) SELECT task, -9, 1, '{}' FROM output");
    db.close();
    expect(events(kept?.id)).toMatchObject([
      [1, {}],
      [2, {}],
      [3, { type: "final-event" }],
    ]);
    // Whoever follows it later gets that, by the verb.
    const { registry } = connect([say()], { archive: history });
    const late = new TestClient(registry);
    await late.call("say", { action: "subscribe", args: { id: kept?.id, from: 2 } });
    await late.until("final-event");
    expect(late.wire.slice(1).map((frame) => /"seq":(\d+)/.exec(frame)?.[1])).toEqual(["2", "3"]);
  });

  test("keeps how tasks ended that a server ends with itself, and of one that was killed that it is not known", async () => {
    const file = join(directory(), "history");
    const first = opened(file);
    const { client, registry } = connect([sleeper("sleep"), sleeper("other")], {
      archive: first.history,
    });
    await client.call("sleep");
    tasksIn(first.history);
    // As it is when the server dies.
    const db = new Database(file);
    db.run(
      "INSERT INTO task (id, kind, asked, last, record) SELECT 'killed', kind, asked, 1, record FROM task",
    );
    db.close();
    await registry.close();
    first.history.close();
    const [killed, ended] = tasksIn(opened(file).history);
    expect(ended).toMatchObject({ state: "ended", status: { cause: "stopped" } });
    expect(killed?.state).toBe("ended");
    expect(killed?.status).toBeUndefined();
  });

  test("whose output is read many times over holds no more memory for that than for what runs", async () => {
    const file = join(directory(), "history");
    const first = opened(file);
    await ran(first.history, say({ keepsOutput: true, argv: shell("", "seq 5000").argv }));
    first.history.close();
    const { history } = opened(file);
    const [task] = tasksIn(history);
    const { registry } = connect([say()], { archive: history });
    const clients = Array.from({ length: 50 }, () => new TestClient(registry));
    const gate = Promise.withResolvers<void>();
    for (const client of clients) {
      client.pause = () => gate.promise;
      const args = { id: task?.id, from: 1 };
      expect((await client.call("say", { action: "subscribe", args })).request.status).toBe(
        "success",
      );
    }
    gate.resolve();
    for (const client of clients) {
      client.pause = undefined;
      await client.until("final-event");
      // All of it, or told what is gone.
      const seen = client.wire.filter((frame) => frame.includes('"seq"')).length;
      const gone = client.wire.map((frame) =>
        Number(/"gone".*"events":(\d+)/.exec(frame)?.[1] ?? 0),
      );
      expect(seen + gone.reduce((sum, one) => sum + one, 0)).toBe(5001);
    }
  });

  test.each<[string, (file: string) => void]>([
    ["removed", (file) => rmSync(file)],
    ["moved away", (file) => renameSync(file, `${file}.old`)],
    [
      "another's of before",
      (file) => {
        renameSync(file, `${file}.old`);
        opened(file).history.close();
      },
    ],
  ])(
    "that was %s is begun anew: what happens later is in the one that is there",
    async (_, away) => {
      const file = join(directory(), "history");
      const { history, told } = opened(file);
      await ran(history, say({ verb: "before" }));
      expect(tasksIn(history)).toHaveLength(1);
      away(file);
      await ran(history, say({ verb: "behind", keepsOutput: true }));
      expect(tasksIn(history).map(({ verb }) => verb)).toEqual(["behind"]);
      history.close();
      expect(told).toEqual([`--history ${file}: has been taken away: another one is begun`]);
      const { history: next } = opened(file);
      const [task] = tasksIn(next);
      expect(task).toMatchObject({ verb: "behind", state: "ended" });
      expect(next.events(task?.id ?? "")?.events).toHaveLength(3);
    },
  );

  test.each<[string, (dir: string) => void, string]>([
    ["not there", () => undefined, "there is no directory"],
    ["a file by now", (dir) => writeFileSync(dir, ""), "ENOTDIR"],
  ])("whose directory is %s is tried again, and begun anew once it is", async (_, become, why) => {
    const dir = join(directory(), "own");
    mkdirSync(dir);
    const file = join(dir, "history");
    const { history, told } = opened(file, {}, { again: 20 });
    await ran(history, say());
    expect(tasksIn(history)).toHaveLength(1);
    rmSync(dir, { recursive: true });
    become(dir);
    expect(tasksIn(history)).toEqual([]);
    await ran(history, say({ verb: "behind" }));
    await until("it is told", () => told.length > 0);
    expect(told[0]).toContain(why);
    rmSync(dir, { force: true });
    mkdirSync(dir);
    await until("it is written again", () => told.length > 2);
    expect(told.slice(1)).toEqual([
      `--history ${file}: has been taken away: another one is begun`,
      `--history ${file}: is written again`,
    ]);
    expect(tasksIn(history).map(({ verb }) => verb)).toEqual(["behind"]);
  });

  test("that another holds for a while is told once, and is written again", async () => {
    const file = join(directory(), "history");
    const { history, told } = opened(file, {}, { again: 50 });
    await ran(history, say());
    await until("it is written", () => tasksIn(history).length === 1);
    expect(told).toEqual([]);
    const other = new Database(file);
    other.run("BEGIN IMMEDIATE");
    await ran(history, say(), 2);
    // One more, in all, than are written at once.
    const [kept] = tasksIn(history);
    if (!kept) throw new Error("it is there still");
    for (let i = 2; i < 501; i++)
      history.note({ record: { ...kept, id: `${i}` } as OpenRecord, plan: say() });
    await until("it is told", () => told.length > 0);
    other.run("ROLLBACK");
    await until("it is written again", () => told.length > 1);
    const rows = other.query<{ rows: number }, []>("SELECT count(*) AS rows FROM task");
    await until("the last is written without being asked for", () => rows.get()?.rows === 502);
    other.close();
    expect(told).toEqual([
      expect.stringMatching(/cannot be written: .*; it is tried again, and the server goes on$/),
      expect.stringMatching(/is written again$/),
    ]);
    history.close();
    expect(tasksIn(opened(file).history)).toHaveLength(502);
  });

  test("that another reads without an end does not fill the disk with what is beside it", async () => {
    const file = join(directory(), "history");
    const most = 1 << 20;
    const { history, told } = opened(file, { bytes: most }, { again: 50 });
    await ran(history, say());
    await until("it is written", () => tasksIn(history).length === 1);
    const [kept] = tasksIn(history);
    if (!kept) throw new Error("it is there");
    const other = new Database(file);
    other.run("BEGIN");
    const rows = other.query<{ rows: number }, []>("SELECT count(*) AS rows FROM task");
    expect(rows.get()).toEqual({ rows: 1 });
    const beside = () => statSync(`${file}-wal`).size;
    let last = "";
    // Each is written with the look at what there is.
    for (let i = 0; i < 100 && told.length === 0; i++) {
      last = `${i}`;
      const args = { text: "x".repeat(100 << 10) };
      history.note({ record: { ...kept, id: last, args } as OpenRecord, plan: say() });
      tasksIn(history);
    }
    expect(told).toEqual([
      expect.stringMatching(/another process has it, .*it reads for long: .*-wal has \d+ bytes/),
    ]);
    expect(beside()).toBeLessThan(2 * most);
    other.run("ROLLBACK");
    await until("it is written again", () => told.length > 1);
    expect(rows.get()?.rows).toBeGreaterThan(1);
    expect(tasksIn(history).map(({ id }) => id)).toContain(last);
    other.close();
  });

  test("is for the server's user alone, through links too", async () => {
    const dir = directory();
    mkdirSync(join(dir, "real"));
    symlinkSync(join(dir, "real"), join(dir, "link"));
    const { history } = opened(join(dir, "link/history"));
    await ran(history, say());
    tasksIn(history);
    for (const name of ["history", "history-wal", "history-shm"])
      expect(statSync(join(dir, "real", name)).mode & 0o777).toBe(0o600);
    history.close();
    chmodSync(join(dir, "real/history"), 0o644);
    opened(join(dir, "real/history")).history.close();
    expect(statSync(join(dir, "real/history")).mode & 0o777).toBe(0o600);
    // What others cannot read stays as somebody has made it.
    chmodSync(join(dir, "real/history"), 0o700);
    opened(join(dir, "real/history"));
    expect(statSync(join(dir, "real/history")).mode & 0o777).toBe(0o700);
  });

  test("is bounded by number and bytes", async () => {
    const { history } = opened(join(directory(), "history"), { tasks: 5 });
    await ran(history, say(), 8);
    for (let i = 0; i < 20; i++) {
      await ran(history, say());
      tasksIn(history);
    }
    // Looked at now and then.
    expect(tasksIn(history).length).toBeLessThan(25);
    const file = join(directory(), "history");
    const small = opened(file, { bytes: 1 << 20 });
    const loud = say({ keepsOutput: true, argv: shell("", "seq 20000").argv });
    for (let i = 0; i < 16; i++) {
      await ran(small.history, loud);
      tasksIn(small.history);
    }
    small.history.close();
    expect(statSync(file).size).toBeLessThan(3 << 20);
  });

  test("has no output without its task, however much came behind one that runs", async () => {
    const file = join(directory(), "history");
    const { history } = opened(file, { tasks: 2 });
    const go = join(directory(), "go");
    const script = `echo a; until [ -e ${go} ]; do sleep 0.02; done; echo b; exec sleep 1000`;
    const long = shell("long", script, { ...use("line"), keepsOutput: true });
    const { client } = connect([long], { archive: history });
    await client.call("long");
    await client.until("data");
    for (let i = 0; i < 40; i++) {
      await ran(history, say());
      tasksIn(history);
    }
    expect(tasksIn(history).map(({ verb }) => verb)).not.toContain("long");
    writeFileSync(go, "");
    await until("more of its output", () => tasksIn(history).some(({ verb }) => verb === "long"));
    using db = new Database(file);
    const lost = "SELECT count(*) FROM output WHERE task NOT IN (SELECT id FROM task)";
    expect(db.query(lost).values()).toEqual([[0]]);
  });

  test("forgets what is old, and is not harmed by a clock that is set back", async () => {
    const file = join(directory(), "history");
    const { history } = opened(file, { days: 1 });
    await ran(history, say());
    history.close();
    const db = new Database(file);
    db.run("UPDATE task SET asked = ?", [Date.now() - 2 * 86_400_000]);
    db.run(
      "INSERT INTO task (id, kind, asked, last, record) SELECT 'future', kind, ?, last, record FROM task",
      [Date.now() + 1e12],
    );
    db.close();
    let steady = 0;
    const later = opened(file, { days: 1 }, { clock: () => [steady, Date.now()] });
    await ran(later.history, say());
    expect(tasksIn(later.history).length).toBe(3);
    // Which of both clocks was wrong shows in time.
    steady = LONG;
    for (let i = 0; i < 16; i++) {
      await ran(later.history, say());
      tasksIn(later.history);
    }
    expect(tasksIn(later.history).length).toBe(18);
  });

  describe("by a clock that is set", () => {
    /** Tasks with times of their own, the oldest first, all of before a server that begins at `start`. */
    async function kept(times: readonly number[], start: number) {
      const file = join(directory(), "history");
      const { history } = opened(file);
      await ran(history, say(), times.length);
      history.close();
      const db = new Database(file);
      times.forEach((time, i) => db.run("UPDATE task SET asked = ? WHERE seq = ?", [time, i + 1]));
      db.close();
      const clocks = settable(start);
      const later = opened(file, { days: 30 }, { clock: clocks.clock });
      let seq = times.length;
      /** Runs one at that time; those that are there then, by what their clock said. */
      const run = async (): Promise<number[]> => {
        const { wall } = clocks;
        using own = new Database(file);
        // Limits are looked at with each sixteenth writing.
        for (let i = 0; i < 16; i++) {
          await ran(later.history, say());
          tasksIn(later.history);
          own.run("UPDATE task SET asked = ? WHERE seq > ?", [wall, seq]);
        }
        const rows = own.query("SELECT DISTINCT asked FROM task").values() as [number][];
        seq = (own.query("SELECT max(seq) FROM task").values() as [number][])[0]?.[0] ?? seq;
        return rows.map(([asked]) => asked).sort((a, b) => a - b);
      };
      return { clocks, run };
    }

    const now = Date.now();

    test("what ran before the network had set it stays", async () => {
      const { clocks, run } = await kept([now - 2 * DAY], 60_000);
      await run();
      clocks.set(now);
      clocks.pass(2 * LONG);
      await run();
      clocks.pass(2 * LONG);
      expect(await run()).toMatchObject([60_000, now - 2 * DAY, now + 2 * LONG, now + 4 * LONG]);
    });

    test("one that begins with each boot at a time of its own, too", async () => {
      const { clocks, run } = await kept([now - 2 * DAY], now - 400 * DAY);
      await run();
      clocks.set(now);
      clocks.pass(2 * LONG);
      expect((await run()).slice(0, 2)).toEqual([now - 400 * DAY, now - 2 * DAY]);
    });

    test("one that is decades ahead for a moment empties nothing, and one that stays there does", async () => {
      const { clocks, run } = await kept([now - 2 * DAY, now - DAY], now + 9000 * DAY);
      expect((await run()).slice(0, 2)).toEqual([now - 2 * DAY, now - DAY]);
      clocks.set(now);
      expect((await run()).slice(0, 3)).toEqual([now - 2 * DAY, now - DAY, now]);
      // Amid a run.
      clocks.set(now + 9000 * DAY);
      expect((await run()).slice(0, 3)).toEqual([now - 2 * DAY, now - DAY, now]);
      clocks.pass(LONG);
      // What came behind one of that time is not older.
      expect((await run()).slice(0, 2)).toEqual([now, now + 9000 * DAY]);
    });

    test("what is old goes at once, where that is not all", async () => {
      const { run } = await kept([now - 40 * DAY, now - 31 * DAY, now - DAY], now);
      await run();
      expect(await run()).toEqual([now - DAY, now]);
    });
  });

  test.skipIf(!mayTrace())(
    "is kept where no memory can be had in common, as of the files of another machine, and nowhere without locks",
    () => {
      const dir = directory();
      const [file, other] = [join(dir, "history"), join(dir, "other")];
      const script = (path: string, pid: number) => `
        const { History } = await import(${JSON.stringify(join(import.meta.dir, "../../src/history/history.ts"))});
        const history = new History({
          file: ${JSON.stringify(path)},
          limits: ${JSON.stringify(LIMITS)},
          tell: (text) => console.log(text),
          uid: process.geteuid(),
        });
        history.open();
        const record = { id: "0000000000000a${pid}", api: "p", verb: "v", pid: ${pid}, caller: {}, asked: ${pid} };
        history.note({ record, plan: { privileges: [] } });
        console.log(history.tasks({ kinds: [1], limit: 9 }).map(({ pid }) => pid).join());
        history.close();`;
      const mapping = (pid: number) =>
        told(script(file, pid), "mmap:error=ENODEV", "-P", `${file}-shm`).printed.trim();
      expect([mapping(1), mapping(2)]).toEqual(["1", "2,1"]);
      expect(existsSync(`${file}-wal`)).toBe(false);
      const locking = told(script(other, 1), "fcntl:error=EOPNOTSUPP", "-P", other);
      expect(locking.printed).toContain("its file system has no locks: give a file elsewhere");
    },
  );

  test("whose directory is there later than the server is kept from then on, with what has waited", async () => {
    const dir = join(directory(), "late");
    const file = join(dir, "history");
    const found: string[] = [];
    const more = { again: 20, found: (id: string) => void found.push(id) };
    const { history, told } = opened(file, {}, more);
    expect(told).toEqual([
      `--history ${file}: cannot be written: there is no directory ${dir}: make it first (ENOENT); it is tried again, and the server goes on`,
    ]);
    await ran(history, say());
    expect([tasksIn(history), history.lost]).toEqual([[], 0]);
    mkdirSync(dir);
    await until("it is written", () => told.length > 1);
    expect(told[1]).toEndWith("is written again");
    expect(tasksIn(history).map(({ verb }) => verb)).toEqual(["say"]);
    expect(found).toEqual([]);
    history.close();
    const [task] = tasksIn(opened(file, {}, more).history);
    expect(found).toEqual([task?.id ?? ""]);
  });

  test.if(isRoot)(
    "whose disk is full when the server starts is kept once there is room",
    async () => {
      const dir = directory();
      Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=160k,mode=0700", "none", dir]);
      ends.push(() => void Bun.spawnSync(["umount", dir]));
      const filler = join(dir, "filler");
      expect(() => writeFileSync(filler, Buffer.alloc(1 << 20))).toThrow("ENOSPC");
      const { history, told } = opened(join(dir, "history"), {}, { again: 20 });
      await ran(history, say());
      expect(told).toEqual([
        expect.stringMatching(/cannot be written: the disk is full .* tried again/),
      ]);
      rmSync(filler);
      await until("it is written", () => told.length > 1);
      expect(tasksIn(history)).toHaveLength(1);
      history.close();
    },
  );

  test("a secret is not in it", async () => {
    const dir = directory();
    const { history } = opened(join(dir, "history"));
    const plan = shell("login", "test -n %password%", {
      ...use("sync"),
      params: paramsOf({ password: { type: "string", writeOnly: true } }),
    });
    const { client } = connect([plan], { archive: history });
    const caller = { token: "SECRET-TOKEN" };
    await client.call("login", { password: "hunter2" }, { caller });
    expect(tasksIn(history).length).toBe(1);
    history.close();
    expect(readFileSync(join(dir, "history"), "latin1")).not.toMatch(/hunter2|SECRET-TOKEN/);
  });
});

describe("where it cannot be kept, that is said once and the server goes on", () => {
  async function goesOn(file: string) {
    const { history, told } = opened(file);
    await ran(history, say(), 3);
    tasksIn(history);
    tasksIn(history);
    return { history, told };
  }

  test("a file that is damaged, of another program, or of a newer spawnbox", async () => {
    const dir = directory();
    const [damaged, foreign, newer] = ["damaged", "foreign", "newer"].map((name) =>
      join(dir, name),
    );
    writeFileSync(damaged ?? "", "not a database".repeat(1000), { mode: 0o600 });
    const other = new Database(foreign ?? "");
    other.run("CREATE TABLE x (y)");
    other.close();
    opened(newer ?? "").history.close();
    const ours = new Database(newer ?? "");
    ours.run("PRAGMA user_version = 2");
    ours.close();
    const words = async (file = "") => (await goesOn(file)).told;
    expect(await words(damaged)).toMatchObject([expect.stringContaining("is no database")]);
    expect(await words(foreign)).toMatchObject([expect.stringContaining("of another program")]);
    expect(await words(newer)).toMatchObject([expect.stringContaining("of a newer spawnbox")]);
    expect(readFileSync(damaged ?? "", "latin1")).toStartWith("not a database");
  });

  test("pages that are damaged", async () => {
    const file = join(directory(), "history");
    const { history } = opened(file);
    await ran(history, say(), 3);
    history.close();
    const bytes = readFileSync(file);
    bytes.fill(0xff, 4096);
    writeFileSync(file, bytes);
    const { told } = await goesOn(file);
    expect(told.length).toBe(1);
    expect(told[0]).toContain("goes on without");
  });

  test("a directory that is not there, a file that is none", async () => {
    const dir = directory();
    expect((await goesOn(join(dir, "none/history"))).told.length).toBe(1);
    expect((await goesOn(dir)).told.length).toBe(1);
    symlinkSync(join(dir, "nowhere"), join(dir, "dangling"));
    expect((await goesOn(join(dir, "dangling"))).told[0]).toContain(
      "a link to a file that is not there",
    );
    expect(existsSync(join(dir, "nowhere"))).toBe(false);
    Bun.spawnSync(["mkfifo", join(dir, "fifo")]);
    expect((await goesOn(join(dir, "fifo"))).told.length).toBe(1);
    // Nor is an ordinary user's server held up by it.
    const told: string[] = [];
    const tell = (text: string) => void told.push(text);
    new History({ file: join(dir, "fifo"), limits: LIMITS, tell, uid: ORDINARY }).open();
    expect(told).toEqual([
      `--history ${join(dir, "fifo")}: is no regular file; the server goes on without a history`,
    ]);
  });

  test.if(isRoot)(
    "[protection] a place where others can put files, or a link of theirs",
    async () => {
      const dir = directory();
      const open = join(dir, "open");
      mkdirSync(open);
      chmodSync(open, 0o1777);
      const { told } = await goesOn(join(open, "history"));
      const why = (whose: string) =>
        `: others can put files into ${open}: choose a directory of ${whose} own; the server goes on without a history`;
      expect(told[0]).toEndWith(why("root's"));
      expect(existsSync(join(open, "history"))).toBe(false);
      // Nor for an ordinary user, whose journal of SQLite others could make.
      const asOther = new History({
        file: join(open, "history"),
        limits: LIMITS,
        tell: (text) => told.push(text),
        uid: ORDINARY,
      });
      asOther.open();
      asOther.close();
      expect(told[1]).toEndWith(why("its"));
      writeFileSync(join(open, "history"), "");
      expect((await goesOn(join(open, "history"))).told.length).toBe(1);
      const theirs = join(dir, "theirs");
      symlinkSync(join(dir, "elsewhere"), theirs);
      Bun.spawnSync(["chown", "-h", `${ORDINARY}`, theirs]);
      mkdirSync(join(dir, "elsewhere"));
      expect((await goesOn(join(theirs, "history"))).told.length).toBe(1);
      expect(existsSync(join(dir, "elsewhere/history"))).toBe(false);
    },
  );

  test.if(isRoot)("a disk that is full, until it has room again", async () => {
    const dir = directory();
    Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=160k,mode=0700", "none", dir]);
    ends.push(() => void Bun.spawnSync(["umount", dir]));
    const { history, told } = opened(join(dir, "history"));
    const loud = say({ keepsOutput: true, argv: shell("", "seq 3000").argv });
    for (let i = 0; i < 30 && told.length === 0; i++) {
      await ran(history, loud);
      tasksIn(history);
    }
    expect(told.length).toBe(1);
    expect(told[0]).toContain("cannot be written");
    await ran(history, say());
    history.close();
    expect(told.length).toBe(1);
  });
});

/** One run as its clients see it, where a test decides what its command does and when. */
import { describe, expect, test } from "bun:test";
import { Admission } from "../../src/api/admission.ts";
import { Book } from "../../src/api/book.ts";
import type { Request } from "../../src/api/client.ts";
import { Hub } from "../../src/api/hub.ts";
import { Rings } from "../../src/api/ring.ts";
import { BrokenInput, type Source } from "../../src/api/source.ts";
import { Stops } from "../../src/api/stops.ts";
import { Tasks } from "../../src/api/tasks.ts";
import { type About, OutputLost, type TaskEncoder } from "../../src/encoders/encoder.ts";
import { line } from "../../src/encoders/line.ts";
import { AfbError } from "../../src/errors.ts";
import { Log } from "../../src/log.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { controlled } from "./controlled.ts";
import { apiOf, connecting, shell, TestClient, use } from "./harness.ts";
import { isSettled, turn } from "./listener.ts";

const make = connecting();

function running(plans: readonly Plan[], options: Parameters<typeof make>[1] = {}) {
  const control = controlled();
  return { ...control, ...make(plans, { launch: control.launch, ...options }) };
}

/** The data of its events, without pids. */
const events = ({ frames }: TestClient): unknown[] =>
  frames.flatMap((frame) => {
    const [kind, , body] = frame as [number, string, { data?: Record<string, unknown> }];
    const { pid: _, ...data } = body.data ?? {};
    return kind === 5 ? [data] : [];
  });

describe("seen as it is printed", () => {
  const live = async (encoder: string, opts: object = {}) => {
    const { client, last } = running([shell("v", "", use(encoder, { ...opts }))]);
    const answered = client.call("v", undefined, { live: true });
    await turn();
    const isOver = !(await isSettled(answered));
    await turn();
    void last().print("abcdef\nxy\n");
    void last().print("z");
    await turn();
    const early = events(client).filter((one) => "stdout" in (one as object));
    last().end();
    await answered;
    if (!isOver) await client.until("final-event");
    return { early, isOver };
  };
  test.each<[string, object, unknown[], boolean]>([
    ["text", {}, [{ stdout: "abcdef" }, { stdout: "xy" }], false],
    ["sync", {}, [{ stdout: "abcdef" }, { stdout: "xy" }], false],
    ["text", { maxlen: 4 }, [{ stdout: "abc\\" }, { stdout: "def" }, { stdout: "xy" }], false],
    // So many that are kept: not so many that come.
    ["sync", { maxline: 5 }, [], true],
    ["raw", {}, [], true],
    ["line", {}, [{ stdout: "abcdef" }, { stdout: "xy" }], false],
  ])("of %s with %j", async (encoder, opts, lines, isOver) => {
    const found = await live(encoder, opts);
    expect(found).toEqual({
      early: lines.map((one) => ({ type: "data", ...(one as object) })),
      isOver,
    });
  });
});

test("what an encoder says of its task, before it is started and after", async () => {
  const said: string[] = [];
  const log = new Log((line) => void said.push(line));
  let about: About | undefined;
  const told: TaskEncoder = {
    name: "told",
    synchronous: false,
    check: () => [],
    begin: (_opts, _emit, given) => {
      about = given;
      about?.tell("early");
      said.push(about?.name ?? "");
      return { stdout() {}, stderr() {}, end: () => ({}) };
    },
  };
  const { client, last } = running([shell("v/w", "", use("told"))], { log, encoders: () => told });
  await client.call("v/w");
  about?.tell("late");
  expect([...said, about?.name]).toEqual([
    ...["error: p: sb/w: early", "p: sb/w", "error: p: sb/w@1: late", "p: sb/w@1"],
  ]);
  last().end();
  await client.until("final-event");
});

test.each([
  ["of which nobody has been told", new Error("no room"), true],
  ["of which the encoder has told", new OutputLost("no room"), false],
])("output that is lost, %s, is in the outcome, and in the log once", async (_, lost, logged) => {
  const said: string[] = [];
  const log = new Log((line) => void said.push(line));
  const failing: TaskEncoder = {
    ...{ name: "failing", synchronous: false, check: () => [] },
    begin: () => ({ stdout() {}, stderr() {}, end: () => Promise.reject(lost) }),
  };
  const { client, last } = running([shell("v", "", use("failing"))], {
    ...{ log, encoders: () => failing },
  });
  await client.call("v");
  last().end();
  await client.until("final-event");
  expect(events(client).at(-1)).toMatchObject({ status: { encoder: "no room" } });
  expect(said).toEqual(logged ? ["error: p: sb/v@1: output is lost: no room"] : []);
});

test("a verb that goes is there until the last of its tasks is over, run or not", async () => {
  const admission = new Admission({ tasks: 1 });
  const { client, registry, tasks, last } = running([shell("v", "")], { admission });
  await client.call("v");
  const waiting = client.call("v");
  while (admission.load.waiting === 0) await turn();
  registry.replace([apiOf([])]);
  // One runs and one waits.
  const stop = async () => (await client.call("v", { action: "stop" })).request.status;
  expect(await stop()).toBe("success");
  expect((await waiting).request.info).toBe("it was stopped before its turn came");
  expect([tasks.length, last().told]).toEqual([1, ["stop"]]);
  last().end();
  await client.until("final-event");
  expect(await stop()).toBe("unknown-verb");
});

test("a launch that has come to its end, well or not, keeps no other waiting", async () => {
  const admission = new Admission({ starting: 1, tasks: 3, slow: 3_600_000 });
  const control = controlled();
  let fails = false;
  const launch: typeof control.launch = async (...given) => {
    if (fails) throw new Error("it cannot");
    return control.launch(...given);
  };
  const { client } = make([shell("v", "")], { launch, admission });
  for (const isBad of [false, true, false, true, false]) {
    fails = isBad;
    const { status } = (await client.call("v")).request;
    expect([isBad, status === "success"]).toEqual([isBad, !isBad]);
  }
  expect(admission.load).toEqual({ running: 3, waiting: 0 });
  for (const task of control.tasks) task.end();
  while (admission.load.running > 0) await turn();
});

describe("the end of the server", () => {
  test.each(["drain", "close"] as const)(
    "by %s waits for what its tasks still say",
    async (how) => {
      const gate = Promise.withResolvers<void>();
      const slow: TaskEncoder = {
        name: "slow",
        synchronous: false,
        check: () => [],
        begin: () => ({ stdout() {}, stderr() {}, end: () => gate.promise.then(() => ({})) }),
      };
      const { client, registry, last } = running([shell("v", "", use("slow"))], {
        encoders: () => slow,
      });
      await client.call("v");
      const ending = registry[how]();
      while (last().told.length === 0) await turn();
      await turn();
      expect(await isSettled(ending)).toBe(false);
      gate.resolve();
      await ending;
      expect(last().told).toEqual([how === "drain" ? "end" : "kill"]);
    },
  );
});

describe("a stop", () => {
  test("that was ordered is given no more once it has ended", async () => {
    const { client, tasks } = running([shell("v", "")]);
    // So many are told at once; the last has to wait.
    for (let i = 0; i < 17; i++) await client.call("v");
    await client.call("v", { action: "stop" });
    expect(tasks.map(({ told }) => told.length)).toEqual([...Array(16).fill(1), 0]);
    tasks[16]?.end();
    await client.until('"final-event","pid":17');
    for (const task of tasks.slice(0, 16)) task.end();
    await client.until('"final-event","pid":16');
    expect(tasks[16]?.told).toEqual([]);
  });

  test("is one, however often it is ordered while it waits; a signal is another", async () => {
    const { client, tasks } = running([shell("v", "")]);
    for (let i = 0; i < 17; i++) await client.call("v");
    await client.call("v", { action: "stop" });
    for (const args of [{ pid: 17 }, { pid: 17, signal: 15 }, { pid: 17, signal: 15 }])
      await client.call("v", { action: "stop", args });
    for (const task of tasks.slice(0, 16)) task.end();
    while ((tasks[16]?.told.length ?? 0) < 2) await turn();
    await turn();
    expect(tasks[16]?.told).toEqual(["stop", "stop 15"]);
    // Given, it may be ordered again.
    await client.call("v", { action: "stop", args: { pid: 17 } });
    expect(tasks[16]?.told).toEqual(["stop", "stop 15", "stop"]);
    tasks[16]?.end();
  });

  test("of the caller who gives its start up: before its turn has come, and after", async () => {
    const admission = new Admission({ tasks: 1 });
    const { client, registry, tasks, last } = running([shell("v", "")], { admission });
    await client.call("v");
    const cancel = new AbortController();
    const waiting = client.call("v", undefined, { cancel: cancel.signal });
    await turn();
    expect(await isSettled(waiting)).toBe(false);
    cancel.abort();
    const gaveUp = { status: "bad-state", info: "it was stopped before its turn came" };
    expect((await waiting).request).toMatchObject(gaveUp);
    expect((await client.call("v", undefined, { cancel: cancel.signal })).request).toMatchObject(
      gaveUp,
    );
    expect([tasks.length, admission.load]).toEqual([1, { running: 1, waiting: 0 }]);
    last().end();
    await client.until("final-event");
    // Nor where there is room for it.
    expect((await client.call("v", undefined, { cancel: cancel.signal })).request).toMatchObject(
      gaveUp,
    );
    expect(tasks).toHaveLength(1);
    const later = new AbortController();
    const other = new TestClient(registry);
    await other.call("v", undefined, { cancel: later.signal });
    expect(last().told).toEqual([]);
    later.abort();
    expect(last().told).toEqual(["stop"]);
    last().end();
    await other.until("final-event");
  });
});

describe("what it reads by its start", () => {
  /** Of a body that breaks off behind `piece`, once that is let. */
  function breaking(piece: string) {
    const gate = Promise.withResolvers<void>();
    const pieces = [Buffer.from(piece)];
    const input: Source = {
      limit: () => {},
      async next() {
        const next = pieces.shift();
        if (next) return next;
        await gate.promise;
        throw new BrokenInput("cut off");
      },
      drop: () => {},
    };
    return { input, cut: gate.resolve };
  }
  const CUT = { status: "invalid-request", info: "cut off" };
  const session = { uuid: "rest" };

  test.each([
    ["sync", true],
    ["sync", 0],
    ["line", undefined],
  ] as const)("of %s with wait %p, the reply tells that it broke off", async (encoder, wait) => {
    const plan = shell("v", "", { ...use(encoder), input: 100 });
    const { registry, last, tasks } = running([plan]);
    const { input, cut } = breaking("a");
    const more = wait === undefined ? {} : { wait };
    const answered = registry.call({
      ...{ api: "p", verb: "v", args: undefined, session, input, ...more },
    });
    while (tasks.length === 0 || last().read.length === 0) await turn();
    // What it waits for its end at most has gone by, as a rule.
    await Bun.sleep(20);
    expect(await isSettled(answered)).toBe(false);
    cut();
    while (last().told.length === 0) await turn();
    expect([last().read, last().told]).toEqual([["a"], ["end"]]);
    expect((await answered).request).toMatchObject(CUT);
  });

  test("is nothing that who has events waits for", async () => {
    const { client, last } = running([shell("v", "", { ...use("line"), input: 100 })]);
    const { input, cut } = breaking("a");
    expect((await client.call("v", undefined, { input })).request.status).toBe("success");
    cut();
    await client.until("final-event");
    expect(last().told).toEqual(["end"]);
  });

  test("a piece may be the body of a call, of a mebibyte at most", async () => {
    const { client, registry, last } = running([shell("v", "", { ...use("line"), input: 9 })]);
    await client.call("v");
    const pieces = [Buffer.from("ab"), Buffer.from("c")];
    const limits: unknown[] = [];
    const input: Source = {
      limit: (...given) => void limits.push(given),
      next: async () => pieces.shift(),
      drop: () => {},
    };
    const args = { action: "input", args: { pid: 1 } };
    const { request } = await registry.call({ api: "p", verb: "v", args, session, input });
    expect([request.status, limits, last().read]).toEqual([
      ...["success", [[1_048_576, "one piece"]], ["abc"]],
    ] as never);
    last().end();
    await client.until("final-event");
  });

  test("or by calls: of who may, while it runs, and by its id as well", async () => {
    const { client, last } = running([shell("v", "", { ...use("line"), input: 4 })]);
    await client.call("v");
    const [record] = (await client.call("tasks", {}, { api: "monitor" })).response as {
      id: string;
    }[];
    const give = async (args: object) =>
      (await client.call("v", { action: "input", args })).request;
    expect((await give({ pid: 1, data: "ab" })).status).toBe("success");
    expect((await give({ id: record?.id, data: "cd" })).status).toBe("success");
    expect((await give({ pid: 2, data: "x" })).info).toBe("invalid pid 2: no running task of p/v");
    expect((await give({ id: "0123456789abcde", data: "x" })).status).toBe("no-item");
    expect((await give({ pid: 1, end: true })).status).toBe("success");
    expect(last().read).toEqual(["ab", "cd", "", "END"]);
    last().end();
    await client.until("final-event");
    expect((await give({ id: record?.id, data: "x" })).status).toBe("invalid-request");
  });
});

describe("an action on one that somebody is asked about", () => {
  const request: Request = { api: "p", verb: "v", args: {}, session: { uuid: "u" } };
  const query = { action: "stop" as const, verbose: 0, wait: false };

  /** The tasks of a verb, one of which runs. */
  async function started() {
    const control = controlled();
    const book = new Book();
    const tasks = new Tasks("p/v", {
      ...{ admission: new Admission(), book, launch: control.launch, hub: new Hub() },
      ...{ log: () => {}, rings: new Rings(), stops: new Stops() },
    });
    const plan = shell("v", "");
    const what = { plan, encoded: { encoder: line, opts: {} }, argv: ["/x"], args: undefined };
    await tasks.start(what, request, { ...query, action: "start", args: undefined });
    const [{ record } = { record: undefined }] = book.entries;
    return { tasks, last: control.last, record };
  }

  test.each(["pid", "id", "all"] as const)("waits for the answer: by %s", async (by) => {
    const { tasks, last, record } = await started();
    const args = by === "all" ? undefined : { [by]: record?.[by] };
    const answer = Promise.withResolvers<void>();
    const acting = tasks.act(request, { ...query, args }, () => answer.promise);
    const refused = acting.then(
      (uids) => uids,
      (error: unknown) => (error as AfbError).status,
    );
    for (let i = 0; i < 3; i++) await turn();
    expect(last().told).toEqual([]);
    answer.reject(new AfbError("insufficient-scope", "no"));
    expect(await refused).toEqual(by === "all" ? [] : "insufficient-scope");
    expect(last().told).toEqual([]);
    const done = await tasks.act(request, { ...query, args }, async () => {});
    expect(done).toEqual(by === "all" ? ["sb/v@1"] : "sb/v@1");
    expect(last().told).toEqual(["stop"]);
    last().end();
  });

  test.each(["pid", "all"] as const)(
    "has not happened to one that ended meanwhile: by %s",
    async (by) => {
      const { tasks, last } = await started();
      const args = by === "all" ? undefined : { pid: 1 };
      const answer = Promise.withResolvers<void>();
      const acting = tasks.act(request, { ...query, args }, () => answer.promise);
      const result = acting.catch((error: unknown) => (error as Error).message);
      await turn();
      last().end();
      while (!tasks.idle) await turn();
      answer.resolve();
      expect(await result).toEqual(by === "all" ? [] : "invalid pid 1: no running task of p/v");
      expect(last().told).toEqual([]);
    },
  );
});

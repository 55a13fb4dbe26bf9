/** The book of tasks: what is told to whom, and for how long a task is in it. */
import { expect, test } from "bun:test";
import { Book, type Entry } from "../../src/api/book.ts";
import { EventData } from "../../src/api/event-data.ts";
import { Ring, Rings } from "../../src/api/ring.ts";
import { BrokenInput } from "../../src/api/source.ts";
import { AfbError } from "../../src/errors.ts";
import { connecting, registryOf, shell } from "./harness.ts";

const connect = connecting();
const NOW = 1_900_000_000_000;
const USAGE = { wall: 1, user: 0, system: 0, maxrss: 0 };
const request = (token = "", more: object = {}) => ({
  ...{ session: { uuid: "s" }, caller: { token }, api: "p", verb: "v", args: {}, ...more },
});

/** A book, and all that its witness, its archive and its listener were told. */
function made() {
  const told: unknown[] = [];
  const note =
    (what: string) =>
    (...given: unknown[]) =>
      void told.push([what, ...given]);
  const witness = {
    ...{ started: note("started"), ended: note("ended"), stopping: note("stopping") },
    ...{ fed: note("fed"), refused: note("refused") },
  };
  const book = new Book({
    witnesses: [witness as never],
    archive: { note: note("archive") },
    named: ({ token }) => token,
    now: () => NOW,
  });
  book.listener = (type) => void told.push(["heard", type]);
  const take = () => told.splice(0);
  return { book, take };
}
const running = { pid: 7, task: { mode: "pool" } } as never;
const names = (told: unknown[]) =>
  told.map((one) =>
    (one as unknown[])
      .slice(0, 2)
      .map((part) => (typeof part === "string" ? part : "…"))
      .join(" "),
  );

test("a task, from its turn to its end", () => {
  const { book, take } = made();
  const entry = book.enter(shell("v", ""), request("ann") as never, { args: { a: 1 } });
  const { id } = entry.record;
  expect(entry.record).toEqual({
    ...{
      id,
      api: "p",
      verb: "v",
      sandbox: "sb",
      command: "v",
      caller: { info: "ann", via: "local" },
    },
    ...{ asked: NOW, state: "waiting", args: { a: 1 }, printed: { bytes: 0, lines: 0, events: 0 } },
  });
  expect([book.find(id), book.entries, book.find("none")]).toEqual([entry, [entry], undefined]);
  book.wait(entry);
  expect(take()).toEqual([["heard", "waiting"]]);
  book.begin(entry, running);
  expect(entry.record).toMatchObject({ pid: 7, mode: "pool", started: NOW, state: "running" });
  expect(names(take())).toEqual(["archive …", "heard started", "started …"]);
  book.end(entry, { exit: 0, usage: USAGE, denied: { a: 2, b: 3 } } as never);
  expect(entry.record).toMatchObject({
    ended: NOW,
    state: "ended",
    denied: 5,
    status: { exit: 0 },
  });
  expect(entry.feeders).toBeUndefined();
  expect(names(take())).toEqual(["archive …", "heard ended", "ended …"]);
  expect([book.find(id), book.entries]).toEqual([entry, [entry]]);
});

test.each([
  [{ a: 1 }, 1],
  [{ a: 0 }, undefined],
  [undefined, undefined],
])("calls that were denied are counted: %j", (denied, count) => {
  const book = new Book();
  const request = { session: { uuid: "u" } };
  const entry = book.enter(shell("v", ""), request, {});
  book.begin(entry, running);
  book.end(entry, { exit: 0, usage: USAGE, ...(denied && { denied }) } as never);
  expect(entry.record.denied as unknown).toBe(count);
});

test("one that nothing has come of is not there, and its error tells which it was", () => {
  const { book, take } = made();
  const entry = book.enter(shell("v", ""), request() as never, {});
  const why = new AfbError("busy", "no");
  book.drop(entry, why);
  expect([book.find(entry.record.id), take()]).toEqual([undefined, [["heard", "dropped"]]]);
  book.refuse(request() as never, why, { action: "start" });
  // Once, however many verbs pass it on.
  book.refuse(request() as never, why, { action: "start" });
  expect(take()).toEqual([
    [
      "refused",
      {
        ...{ time: NOW, caller: { info: "", via: "local" }, api: "p", verb: "v" },
        ...{ id: entry.record.id, action: "start", status: "busy", info: "no" },
      },
    ],
  ]);
});

test("what is refused: of which command, and nothing of what is hidden", () => {
  const { book, take } = made();
  const plan = { sandbox: "sb", command: "c" };
  const refused = (error: unknown, more: object) => {
    book.refuse(request() as never, error, { action: "stop", ...more } as never);
    return (take()[0] as unknown[])[1];
  };
  const plain = { time: NOW, caller: { info: "", via: "local" }, api: "p", verb: "v" };
  expect(refused(new AfbError("forbidden", "why"), { plan, args: { a: 1 } })).toEqual({
    ...{ ...plain, ...plan, action: "stop", args: { a: 1 }, status: "forbidden", info: "why" },
  });
  expect(refused(new AfbError("forbidden", "why"), { discreet: true, hidden: true })).toEqual({
    ...{ ...plain, action: "stop", hidden: true, status: "forbidden" },
  });
  expect(refused("text", {})).toEqual({
    ...plain,
    action: "stop",
    status: "internal-error",
    info: "text",
  });
  // One that runs, and did not get what it was to read.
  const entry = book.enter(shell("v", ""), request() as never, {});
  const broken = new BrokenInput("cut");
  book.breakOff(entry, broken);
  expect(refused(broken, {})).toMatchObject({ id: entry.record.id, action: "input", info: "cut" });
});

test("who stops one, and who gives it something to read: each once, and of too many each time", () => {
  const { book, take } = made();
  const entry = book.enter(shell("v", ""), request() as never, {});
  const { record } = entry;
  book.stopping(record, request("ann") as never, 9);
  book.stopping(record, request("ann") as never);
  const caller = { info: "ann", via: "local" };
  expect(take()).toEqual([
    ["stopping", { time: NOW, caller, record, signal: 9 }],
    ["stopping", { time: NOW, caller, record }],
  ]);
  const feeds = (token: string) => {
    book.feeding(entry, request(token) as never);
    return take().length;
  };
  book.feeding(entry, request("ann") as never);
  expect(take()).toEqual([["fed", { time: NOW, caller, record }]]);
  expect([feeds("ann"), feeds("bob"), feeds("bob")]).toEqual([0, 1, 0]);
  for (let n = 0; n < 98; n++) feeds(`${n}`);
  expect([feeds("97"), feeds("more"), feeds("more")]).toEqual([0, 1, 1]);
  const alone = new Book();
  const other = alone.enter(shell("v", ""), request() as never, {});
  alone.feeding(other, request("ann") as never);
  expect([other.feeders, alone.isWitnessed, book.isWitnessed]).toEqual([undefined, false, true]);
});

test("those that have ended are in it as long as there are not too many, nor too much of them", () => {
  const { book } = made();
  const ended = (argv?: string[]): Entry => {
    const entry = book.enter(shell("v", ""), request() as never, argv ? { argv } : {});
    book.begin(entry, running);
    book.end(entry, { exit: 0, usage: USAGE });
    return entry;
  };
  const rings = new Rings();
  const ring = new Ring(10_000, rings);
  ring.push(EventData.of({ text: "x".repeat(5000) }));
  const [first, second] = [ended(), ended()];
  Object.assign(first, { events: { past: { ring } } });
  const there = (entry: Entry) => book.find(entry.record.id) !== undefined;
  for (let n = 0; n < 198; n++) ended();
  expect([there(first), rings.bytes > 5000]).toEqual([true, true]);
  ended();
  // Nor is anything of what it has sent.
  expect([there(first), there(second), rings.bytes]).toEqual([false, true, 0]);
  const large = ended(["x".repeat((1 << 19) - 16)]);
  const fits = ended(["x".repeat((1 << 19) - 16)]);
  expect([there(large), there(fits)]).toEqual([true, true]);
  const more = ended([""]);
  expect([there(large), there(fits), there(more), book.entries.length]).toEqual([
    false,
    true,
    true,
    2,
  ]);
});

test("who has to be waited for before a start, one after the other", async () => {
  const asked: string[] = [];
  const witness = (name: string, answer?: Promise<void>) => ({
    mayStart: () => {
      asked.push(name);
      return answer;
    },
  });
  const entry = {} as Entry;
  const of = (...witnesses: object[]) =>
    new Book({ witnesses: witnesses as never }).mayStart(entry);
  expect(of(witness("a"), {}, witness("b"))).toBeUndefined();
  const gate = Promise.withResolvers<void>();
  const answer = of(witness("c", gate.promise), witness("d"));
  expect(asked).toEqual(["a", "b", "c"]);
  gate.resolve();
  await answer;
  expect(asked).toEqual(["a", "b", "c", "d"]);
});

test("a ring whose first events are gone", () => {
  const ring = new Ring(1000, new Rings(), 5);
  expect([ring.first, ring.last]).toEqual([6, 5]);
  ring.push(EventData.of({ a: 1 }));
  expect([ring.first, ring.last, ring.jsonAt(6), ring.jsonAt(5)]).toEqual([
    6,
    6,
    '{"a":1}',
    undefined,
  ]);
});

test("while it is tried whether all can be had, what does not depend on that is answered, and nothing else", async () => {
  const tried = Promise.withResolvers<void>();
  const { client } = connect([shell("v", "true")], { tried: tried.promise });
  expect((await client.call("ping")).request.status).toBe("success");
  let isOver = false;
  const info = client.call("info").finally(() => (isOver = true));
  const none = client.call("none").finally(() => (isOver = true));
  await new Promise((resolve) => setImmediate(resolve));
  expect(isOver).toBe(false);
  tried.resolve();
  expect([(await info).request.status, (await none).request.status]).toEqual([
    ...(["success", "unknown-verb"] as const),
  ]);
  const { client: other } = connect([shell("v", "true")], {
    tried: Promise.reject(new Error("no")),
  });
  expect((await other.call("info")).request).toMatchObject({
    ...{ status: "not-available", info: "this server does not start: it has told why" },
  });
  expect((await other.call("ping")).request.status).toBe("success");
});

test("that it cannot be had is told by who tried, where nobody has called", async () => {
  const registry = registryOf([shell("v", "")], { tried: Promise.reject(new Error("not here")) });
  // What nobody catches would end the process by then.
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
  const call = { api: "p", verb: "v", args: undefined, session: { uuid: "u" } };
  expect((await registry.call(call)).request.status).toBe("not-available");
});

/** What can be had of tasks that have ended: of those that the book has, and of those that are kept for longer. */
import { describe, expect, test } from "bun:test";
import type { Archive, KeptEvents } from "../../src/api/archive.ts";
import type { Entry } from "../../src/api/book.ts";
import { EventData } from "../../src/api/event-data.ts";
import type { Target } from "../../src/api/query.ts";
import { Ring, Rings } from "../../src/api/ring.ts";
import { Subscribers } from "../../src/api/subscribers.ts";
import { Trails } from "../../src/api/trails.ts";
import { AfbError } from "../../src/errors.ts";
import { said, shell } from "./harness.ts";
import { Listener, turn } from "./listener.ts";

const ID = "0123456789abcde";
const OTHER = "edcba9876543210";
const UNKNOWN = (id: string) =>
  `no-item: no task ${id} of p/x: it is not known here, or not any more (monitor/tasks tells which are)`;
const ENDED = `bad-state: task ${ID} has ended`;
const BY_NUMBER = `${ENDED}: "from": 1 asks for what is kept of its events`;

const recordOf = (pid: number | undefined) => ({
  ...{
    id: ID,
    api: "p",
    verb: "x",
    sandbox: "sb",
    command: "c",
    caller: { via: "local" as const },
    asked: 1,
  },
  ...{ state: "ended" as const, printed: { bytes: 0, lines: 0, events: 0 } },
  ...(pid !== undefined && { pid }),
});

/** A task of two events and its end, in the book. */
function ended(isOver = true, record = recordOf(7)) {
  const ring = new Ring(1 << 20, new Rings());
  for (const n of [1, 2]) ring.push(EventData.of({ n }));
  if (isOver) ring.end(EventData.of({ type: "final" }));
  const events = new Subscribers({ id: ID, pid: 7, event: "p/x", ring }, () => ({}));
  const entry = { record, plan: shell("x", ""), events } as Entry;
  return { entry, events, ring };
}

/** An archive with one task, of which so many of three events are kept. */
function keeping(kept = 3, more: Partial<KeptEvents> = {}) {
  const rings = new Rings();
  const kind = { key: 1, api: "p", verb: "x", privileges: ["urn:kept"] };
  const all = [{ n: 1 }, { n: 2 }, { type: "final" }].map((one, i) => ({
    number: i + 1,
    data: EventData.of(one),
  }));
  const events = { record: recordOf(7), kind, events: all.slice(-kept), last: 3, ...more };
  const archive: Archive = {
    note: () => {},
    kinds: () => [kind],
    tasks: () => [events.record],
    events: (id) => (id === ID ? events : undefined),
  };
  return { trails: new Trails("p/x", { archive, rings }), rings, kind };
}

type Wanted = { action?: "subscribe" | "unsubscribe" | "stop"; target?: Target };
const asked = (client: Listener | undefined, { action = "subscribe", target = {} }: Wanted) => ({
  request: client?.asking() ?? { api: "p", verb: "x", args: {}, session: { uuid: "rest" } },
  ...{ action, target },
});

/** The same of what rejects. */
const told = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    return await work;
  } catch (error) {
    return said(() => {
      throw error;
    });
  }
};

describe("a task that the book has", () => {
  const trails = () => new Trails("p/x", { rings: new Rings() });

  test("is taken from some event on, to its end", async () => {
    const of = trails();
    const { entry, ring } = ended();
    const client = new Listener();
    expect(of.idle).toBe(true);
    expect(of.follow(entry, asked(client, { target: { from: 2 } }))).toBe("sb/c@7");
    expect(of.idle).toBe(false);
    while (!of.idle) await turn();
    expect(client.heard).toEqual([
      { n: 2, seq: 2 },
      { type: "final", seq: 3 },
    ]);
    // It is the book's.
    expect([ring.first, ring.bytes > 0, client.handlers]).toEqual([1, true, 0]);
  });

  test("is taken by several, and is so until the last has it", async () => {
    const of = trails();
    const { entry } = ended();
    const [quick, slow] = [new Listener(), new Listener()];
    const read = slow.hold();
    for (const one of [quick, slow]) of.follow(entry, asked(one, { target: { from: 3 } }));
    for (let i = 0; i < 3; i++) await turn();
    expect([quick.kinds, of.idle]).toEqual([["final"], false]);
    read();
    while (!of.idle) await turn();
    expect(slow.kinds).toEqual(["final"]);
  });

  test("is no more than what it was", async () => {
    const follow = (made: ReturnType<typeof ended>, wanted: Wanted, client?: Listener) =>
      said(() => trails().follow(made.entry, asked(client, wanted)));
    const client = new Listener();
    const from = (number: number) => ({ target: { from: number } });
    expect(follow(ended(), from(3), client)).toBe("sb/c@7");
    expect(follow(ended(), from(4), client)).toBe(
      `no-item: task ${ID} has ended, with its event 3`,
    );
    // Its last one is not there yet.
    expect(follow(ended(false), from(4), client)).toBe("sb/c@7");
    expect(follow(ended(), {}, client)).toBe(BY_NUMBER);
    expect(follow(ended(), from(1))).toBe(BY_NUMBER);
    expect(follow(ended(), { action: "stop" }, client)).toBe(ENDED);
    const never = ended(true, recordOf(undefined));
    delete never.entry.events;
    expect(follow(never, from(1), client)).toBe(BY_NUMBER);
    expect(follow(never, { action: "unsubscribe" }, client)).toBe("sb/c");
  });

  test("whose end is still to come does not wait for who takes it", async () => {
    const { entry, events, ring } = ended(false);
    const client = new Listener();
    client.hold();
    trails().follow(entry, asked(client, { target: { from: 1 } }));
    await turn();
    const final = EventData.of({ type: "final" });
    ring.end(final);
    expect(events.finish(final)).toBeUndefined();
    expect(client.kinds).toEqual([1]);
  });

  test("is left by who does not want it any more", async () => {
    const of = trails();
    const { entry } = ended();
    const client = new Listener();
    const read = client.hold();
    of.follow(entry, asked(client, { target: { from: 1 } }));
    await turn();
    expect(of.follow(entry, asked(undefined, { action: "unsubscribe" }))).toBe("sb/c@7");
    expect(of.idle).toBe(false);
    expect(of.follow(entry, asked(client, { action: "unsubscribe" }))).toBe("sb/c@7");
    expect(of.idle).toBe(true);
    read();
    await turn();
    expect([client.kinds, client.handlers]).toEqual([[1], 0]);
  });
});

describe("a task that is kept for longer", () => {
  test("is taken as far as it is, and holds memory for so long alone", async () => {
    const { trails, rings } = keeping(2);
    const client = new Listener();
    const from = { target: { from: 1 } };
    expect(await trails.followKept(ID, asked(client, from), () => undefined)).toBe("sb/c@7");
    expect([trails.idle, rings.bytes > 0]).toEqual([false, true]);
    while (!trails.idle) await turn();
    expect(client.heard).toEqual([
      { type: "gone", pid: 7, events: 1, bytes: expect.any(Number) },
      { n: 2, seq: 2 },
      { type: "final", seq: 3 },
    ]);
    expect([rings.bytes, client.handlers]).toEqual([0, 0]);
  });

  test("of which the end alone is kept", async () => {
    const { trails, rings } = keeping(1);
    const client = new Listener(true);
    await trails.followKept(ID, asked(client, { target: { from: 3 } }), () => undefined);
    while (!trails.idle) await turn();
    expect([client.heard, client.stood, client.places]).toEqual([
      [{ type: "final" }],
      [`${ID}:2`],
      [`${ID}:3`],
    ]);
    expect(rings.bytes).toBe(0);
  });

  test("is refused as one that has ended, or is not there", async () => {
    const { trails, rings } = keeping();
    const client = new Listener();
    const follow = (wanted: Wanted, id = ID, one: Listener | undefined = client) =>
      told(trails.followKept(id, asked(one, wanted), () => undefined));
    expect(await follow({}, OTHER)).toBe(UNKNOWN(OTHER));
    expect(await follow({})).toBe(BY_NUMBER);
    expect(await follow({ action: "stop" })).toBe(ENDED);
    expect(await follow({ action: "unsubscribe" })).toBe("sb/c@7");
    expect(await follow({ target: { from: 4 } })).toBe(
      `no-item: task ${ID} has ended, with its event 3`,
    );
    expect([rings.bytes, trails.idle]).toEqual([0, true]);
    const gone = new Listener();
    gone.disconnect();
    expect(await follow({ target: { from: 1 } }, ID, gone)).toBe("sb/c@7");
    expect([rings.bytes, trails.idle]).toEqual([0, true]);
    expect(
      await told(new Trails("p/x", { rings }).followKept(ID, asked(client, {}), () => undefined)),
    ).toBe(UNKNOWN(ID));
  });

  test("which never ran has no events", async () => {
    const { trails } = keeping(0, { record: recordOf(undefined) });
    const from = asked(new Listener(), { target: { from: 1 } });
    expect(await told(trails.followKept(ID, from, () => undefined))).toBe(BY_NUMBER);
  });

  test.each([{ api: "q" }, { verb: "y" }])("is none of another verb: %j", async (other) => {
    const kind = { key: 1, api: "p", verb: "x", privileges: [], ...other };
    const { trails } = keeping(3, { kind });
    const what = asked(new Listener(), { target: { from: 1 } });
    const permit = () => {
      throw new Error("nobody is asked");
    };
    expect(await told(trails.followKept(ID, what, permit))).toBe(UNKNOWN(ID));
  });

  test("is for who may follow it, once that is known", async () => {
    const { trails, kind } = keeping();
    const client = new Listener();
    const answer = Promise.withResolvers<void>();
    const plans: unknown[] = [];
    const permit = ({ plan }: { plan: unknown }) => {
      plans.push(plan);
      return answer.promise;
    };
    const what = asked(client, { target: { from: 1 } });
    const following = told(trails.followKept(ID, what, permit));
    await turn();
    expect([trails.idle, plans]).toEqual([true, [kind]]);
    answer.reject(new AfbError("insufficient-scope", "no"));
    expect(await following).toBe("insufficient-scope: no");
    await turn();
    expect([trails.idle, client.heard]).toEqual([true, []]);
  });
});

describe("those that are taken", () => {
  async function taking() {
    const { trails, rings, kind } = keeping();
    const client = new Listener();
    const read = client.hold();
    const what = asked(client, { target: { from: 1 } });
    await trails.followKept(ID, what, () => undefined);
    await turn();
    return { trails, rings, kind, client, what, read };
  }

  test("are taken away from who may not have them any more", async () => {
    const { trails, rings, kind, client, what } = await taking();
    const judged: unknown[] = [];
    trails.recheck((plan, request) => {
      judged.push(plan, request);
      return true;
    });
    expect(judged).toEqual([kind, what.request]);
    expect([client.kinds, trails.idle]).toEqual([[1], false]);
    trails.recheck(() => false);
    expect([client.kinds, trails.idle, rings.bytes]).toEqual([[1, "unsubscribed"], true, 0]);
  });

  test("end with the server", async () => {
    const { trails, rings, client, read } = await taking();
    trails.drop();
    expect([trails.idle, rings.bytes]).toEqual([true, 0]);
    read();
    await turn();
    expect([client.kinds, client.handlers]).toEqual([[1], 0]);
  });
});

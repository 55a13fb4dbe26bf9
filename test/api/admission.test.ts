/** Who starts when: places, turns, queues. */
import { describe, expect, spyOn, test } from "bun:test";
import { availableParallelism } from "node:os";
import { Admission, type Place, type Waiting } from "../../src/api/admission.ts";
import { Backlog } from "../../src/backlog.ts";
import { Served, Turns } from "../../src/api/turns.ts";
import type { AfbError } from "../../src/errors.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { connecting, pidOf, shell, sleeper, use } from "./harness.ts";

const client = (peer: string) => {
  const connection = {};
  return { from: { peer, connection }, session: { uuid: peer } };
};
const plan = (verb = "v", more = {}) => shell(verb, "", more);
const isPlace = (given: Place | Waiting): given is Place => "leave" in given;
const turn = () => new Promise((resolve) => setImmediate(resolve));
/** Of one that may wait for ever: that it is refused later is nobody's concern. */
const refused = (): void => {};
function entered(admission: Admission, one: Plan, peer: string): Place | Waiting {
  const given = admission.enter(one, client(peer));
  if (!isPlace(given)) given.place.catch(refused);
  return given;
}

describe("turns", () => {
  test("of peers, of their connections, and each in order", () => {
    const turns = new Turns<string>();
    const greedy = client("a").from;
    const twin = client("a").from;
    const modest = client("b").from;
    for (const entry of ["a1", "a2", "a3"]) turns.push(greedy, entry);
    turns.push(twin, "A1");
    turns.push(twin, "A2");
    turns.push(modest, "b1");
    turns.remove(twin, "A2");
    turns.remove(twin, "A2");
    expect(turns.size).toBe(5);
    // Who is held back keeps nobody else waiting, and is next when it is not.
    expect(turns.shift((entry) => !entry.startsWith("a"))).toBe("b1");
    expect(turns.shift((entry) => entry.startsWith("z"))).toBeUndefined();
    turns.push(modest, "b2");
    const order = Array.from({ length: 6 }, () => turns.shift());
    expect(order).toEqual(["a1", "b2", "a2", "A1", "a3", undefined]);
    expect(turns.size).toBe(0);
  });
});

test("who asks for little is next, though others of its peer make a connection for each request", () => {
  const turns = new Turns<() => string>();
  const named = (name: string) => () => name;
  const settled = client("a").from;
  turns.push(settled, named("before"));
  turns.shift();
  const loop = (one = client("a").from): void =>
    turns.push(one, () => {
      loop(one);
      return "loop";
    });
  for (let i = 0; i < 20; i++) loop();
  const served: Record<string, number> = { visit: 0, loop: 0, modest: 0 };
  const waited: number[] = [];
  let n = 0;
  for (; n < 4000; n++) {
    for (let i = 0; i < 2; i++) turns.push(client("a").from, named("visit"));
    const asked = n;
    if (n % 100 === 50)
      turns.push(settled, () => {
        waited.push(n - asked);
        return "modest";
      });
    const name = turns.shift()?.() ?? "";
    served[name] = (served[name] ?? 0) + 1;
  }
  expect(served["modest"]).toBe(40);
  expect(served["visit"]).toBeGreaterThan(1900);
  expect(served["loop"]).toBeGreaterThan(1900);
  expect(Math.max(...waited)).toBeLessThan(2);
});

describe("a queue between clients", () => {
  test("is in order again once one has taken its last entry back, or out", () => {
    const turns = new Turns<string>();
    const [one, twin] = [client("a").from, client("a").from];
    turns.push(one, "first");
    turns.push(twin, "second");
    turns.remove(one, "first");
    turns.remove(one, "nothing");
    expect([turns.size, turns.shift(), turns.shift()]).toEqual([1, "second", undefined]);
    // Known by now, and the next of its peer, had it something.
    turns.push(one, "third");
    turns.push(twin, "fourth");
    expect([turns.shift(), turns.shift(), turns.shift(), turns.size]).toEqual([
      ...["fourth", "third", undefined, 0],
    ]);
  });

  test("of one peer begins with who was served before, then they take turns with new ones", () => {
    const turns = new Turns<string>();
    const known = client("a").from;
    turns.push(known, "k0");
    expect(turns.shift()).toBe("k0");
    for (const name of ["n1", "n2"]) turns.push(client("a").from, name);
    for (const name of ["k1", "k2", "k3"]) turns.push(known, name);
    expect(Array.from({ length: 5 }, () => turns.shift())).toEqual(["k1", "n1", "k2", "n2", "k3"]);
  });

  test.each<[string, string[]]>([
    ["connections of one peer", ["x", "x", "x"]],
    ["peers", ["x", "y", "z"]],
  ])("of %s, all known, is in the order in which they were served last", (_, peers) => {
    const turns = new Turns<string>();
    const [a, b, c] = peers.map((peer) => client(peer).from);
    const push = (from: typeof a, ...names: string[]) => {
      for (const name of names) if (from) turns.push(from, name);
    };
    const order = (count: number) => Array.from({ length: count }, () => turns.shift());
    for (const [from, name] of [[a, "a0"] as const, [b, "b0"] as const, [c, "c0"] as const]) {
      push(from, name);
      expect(turns.shift()).toBe(name);
    }
    // However they come back.
    push(b, "b1", "b2");
    push(c, "c1", "c2");
    push(a, "a1", "a2");
    expect(order(6)).toEqual(["a1", "b1", "c1", "a2", "b2", "c2"]);
  });

  test("remembers when peers were served, of the last thousand", () => {
    const served = new Served();
    const connection = {};
    expect([served.peer("a"), served.connection(connection)]).toEqual([0, undefined]);
    served.serve({ peer: "a", connection });
    expect([served.peer("a"), served.peer("b"), served.connection(connection)]).toEqual([1, 1, 1]);
    for (let i = 0; i < 1023; i++) served.serve({ peer: `${i}`, connection: {} });
    expect([served.peer("a"), served.peer("0"), served.peer("new")]).toEqual([1, 2, 1024]);
    served.serve({ peer: "new", connection: {} });
    // Whoever was served longest ago is new.
    expect([served.peer("a"), served.peer("0")]).toEqual([1025, 2]);
    served.comes({ peer: "0", connection: {} });
    served.comes({ peer: "later", connection: {} });
    expect([served.peer("0"), served.peer("later")]).toEqual([1025, 1025]);
  });
});

describe("admission", () => {
  test("of one peer alone starts what keeps the processors busy, of another a quarter of that", () => {
    const most = Math.max(8, 2 * availableParallelism());
    const started = (admission: Admission, peer: string, limit = 1000) => {
      let count = 0;
      while (count < limit && isPlace(entered(admission, plan(), peer))) count++;
      return count;
    };
    const admission = new Admission();
    expect([started(new Admission(), "a"), started(admission, "a", most)]).toEqual([most, most]);
    const quarter = Math.ceil(most / 4);
    expect(started(admission, "b")).toBe(quarter);
    expect(admission.load).toEqual({ running: most + quarter, waiting: 1 });
  });

  test("who had to wait for nothing has been served all the same: the other is next", async () => {
    const admission = new Admission({ tasks: 2 });
    const order: string[] = [];
    const [first] = ["b", "a"].map((peer) => admission.enter(plan(), client(peer)));
    for (const peer of ["a", "b"]) {
      const given = entered(admission, plan(), peer);
      if (!isPlace(given)) void given.place.then(() => order.push(peer), refused);
    }
    if (first && isPlace(first)) first.leave();
    while (order.length === 0) await turn();
    expect(order).toEqual(["b"]);
  });

  test("one full sandbox keeps nobody waiting of another that has room", () => {
    const admission = new Admission();
    const [small, other] = ["small", "other"].map((sandbox) =>
      plan("v", { sandbox, sandboxConcurrency: 1 }),
    );
    if (!small || !other) throw new Error("no plans");
    const places = [small, small, other, plan(), other].map((one, i) =>
      isPlace(entered(admission, one, `${i}`)),
    );
    expect(places).toEqual([true, false, true, true, false]);
  });

  test("at once where there is room, then one by one, and fair between clients", async () => {
    const admission = new Admission({ tasks: 3, starting: 2 });
    const [greedy, modest] = [client("a"), client("b")];
    const given = Array.from({ length: 6 }, () => admission.enter(plan(), greedy));
    const late = admission.enter(plan(), modest);
    expect(given.map(isPlace)).toEqual([true, true, false, false, false, false]);
    const entered: string[] = [];
    const places: Place[] = [];
    const listen = (name: string, one: Place | Waiting) => {
      if (isPlace(one)) return void places.push(one);
      void one.place.then((place) => {
        entered.push(name);
        places.push(place);
      }, refused);
    };
    given.forEach((one, i) => listen(`a${i}`, one));
    listen("b", late);
    await turn();
    // One has as much on its way as it may have, the other nothing.
    expect(entered).toEqual(["b"]);
    places[0]?.launched();
    await turn();
    // Three of three run.
    expect(entered).toEqual(["b"]);
    expect(admission.load).toEqual({ running: 3, waiting: 4 });
    places[1]?.leave();
    await turn();
    await turn();
    expect(entered).toEqual(["b", "a2"]);
    for (let i = 0; i < 12; i++) {
      places[i]?.leave();
      await turn();
    }
    expect(entered).toEqual(["b", "a2", "a3", "a4", "a5"]);
    for (const place of places) place.leave();
    expect(admission.load).toEqual({ running: 0, waiting: 0 });
  });

  test("as many on their way as there may be, and one more for each that has launched", async () => {
    const admission = new Admission({ starting: 4, slow: 3_600_000 });
    const places: Place[] = [];
    const enter = () => {
      const given = admission.enter(plan(), client("a"));
      if (isPlace(given)) places.push(given);
      else void given.place.then((place) => places.push(place), refused);
    };
    for (let n = 0; n < 8; n++) enter();
    for (const launched of [4, 5, 6]) {
      for (let n = 0; n < 5; n++) await turn();
      expect(places).toHaveLength(launched);
      places[launched - 4]?.launched();
      // Told once more, it is the same one.
      places[launched - 4]?.launched();
    }
    for (let n = 0; n < 5; n++) await turn();
    for (const place of places) place.leave();
  });

  test("one in a turn of the event loop, and one for each four milliseconds that it took; at most eight", async () => {
    let now = 1000;
    using _clock = spyOn(performance, "now").mockImplementation(() => now);
    const backlog = new Backlog(1000, 0);
    const admission = new Admission({ starting: 100, slow: 3_600_000, backlog });
    const places: Place[] = [];
    const first = admission.enter(plan(), client("a"));
    if (isPlace(first)) places.push(first);
    backlog.add("a", 900);
    for (let n = 0; n < 60; n++) {
      const given = admission.enter(plan(), client("a"));
      if (!isPlace(given)) void given.place.then((place) => places.push(place), refused);
    }
    await turn();
    expect(places).toHaveLength(1);
    backlog.add("a", -900);
    while (places.length === 1) await turn();
    for (const [took, expected] of [
      ...([
        [12, 3],
        [0, 1],
        [3, 1],
        [8, 2],
        [11, 2],
        [32, 8],
        [36, 8],
        [1000, 8],
        [4, 1],
      ] as const),
    ]) {
      now += took;
      const before = places.length;
      // What goes on meanwhile makes it no more.
      for (const place of places.slice(0, 3)) place.launched();
      await turn();
      expect([took, places.length - before]).toEqual([took, expected]);
    }
    for (const place of places) place.leave();
  });

  test("a quarter of what may be on its way for each of several, all of it for one alone", async () => {
    const several = (starting: number, peers: string[]) => {
      const admission = new Admission({ starting, slow: 3_600_000 });
      return Array.from({ length: 2 * starting }, (_one, n) =>
        entered(admission, plan(), peers[n % peers.length] ?? ""),
      ).filter(isPlace).length;
    };
    expect(several(20, ["a"])).toBe(20);
    expect(several(20, ["a", "b"])).toBe(10);
    expect(several(20, ["a", "b", "c", "d", "e"])).toBe(25);
    // And of all together twice as many as of one.
    expect(several(20, [..."abcdefgh"])).toBe(40);
    // One at least.
    expect(several(2, ["a", "b"])).toBe(2);
  });

  test("as much for each of several as is begun in one turn, where turns are long", async () => {
    let now = 1000;
    using _clock = spyOn(performance, "now").mockImplementation(() => now);
    const admission = new Admission({ starting: 40, slow: 3_600_000 });
    entered(admission, plan(), "b");
    let begun = 0;
    for (let n = 0; n < 40; n++) {
      const given = entered(admission, plan(), "a");
      if (isPlace(given)) begun++;
      else void given.place.then(() => begun++, refused);
    }
    expect(begun).toBe(10);
    // By half of that at first: 20 of four milliseconds, of which eight begin.
    now += 160;
    await turn();
    expect(begun).toBe(18);
    // In a short one it is 10 again.
    await turn();
    expect(begun).toBe(18);
  });

  test("at once where all that waited has given up", async () => {
    const admission = new Admission({ tasks: 1 });
    const [first, second, third] = Array.from({ length: 3 }, () => entered(admission, plan(), "a"));
    if (!first || !isPlace(first)) throw new Error("it was not let in");
    const giveUp = (one: typeof first | Waiting | undefined) =>
      one && !isPlace(one) && one.giveUp({} as AfbError);
    giveUp(second);
    first.leave();
    // There is still one.
    expect(isPlace(entered(admission, plan(), "b"))).toBe(false);
    giveUp(third);
    const other = new Admission({ tasks: 1 });
    const place = entered(other, plan(), "a");
    giveUp(entered(other, plan(), "a"));
    if (isPlace(place)) place.leave();
    expect(isPlace(entered(other, plan(), "a"))).toBe(true);
  });

  test("a sandbox that is full keeps only its own waiting", async () => {
    const admission = new Admission();
    const one = plan("v", { sandboxConcurrency: 1 });
    const first = admission.enter(one, client("a"));
    const second = admission.enter(one, client("a"));
    const other = admission.enter(plan("w", { sandbox: "free" }), client("a"));
    expect([first, second, other].map(isPlace)).toEqual([true, false, true]);
    if (isPlace(first)) first.leave();
    if (!isPlace(second)) (await second.place).leave();
    expect(admission.load.running).toBe(1);
  });

  test("launches that hang, as on a dead file system, do not keep others from starting", async () => {
    const admission = new Admission({ starting: 2, slow: 50 });
    admission.enter(plan(), client("a"));
    const hangs = admission.enter(plan(), client("a"));
    // A peer of which nothing is on its way need not wait for them; this one has to.
    expect(isPlace(admission.enter(plan("w", { sandbox: "free" }), client("b")))).toBe(true);
    const other = admission.enter(plan("w", { sandbox: "free" }), client("b"));
    expect(isPlace(other)).toBe(false);
    if (!isPlace(other)) (await other.place).leave();
    if (isPlace(hangs)) hangs.leave();
    expect(admission.load.running).toBe(2);
  });

  test("what runs in a sandbox counts when a reload gives it a limit", () => {
    const admission = new Admission();
    const before = admission.enter(plan(), client("a"));
    const limited = plan("v", { sandboxConcurrency: 1 });
    expect(isPlace(entered(admission, limited, "a"))).toBe(false);
    if (isPlace(before)) before.leave();
  });

  test("no more than the queue holds, of which one client has half; and no longer than it has patience", async () => {
    const admission = new Admission({ tasks: 1, queue: 8, patience: 50 });
    admission.enter(plan(), client("a"));
    const greedy = client("b");
    const waiting: Waiting[] = [];
    let refused: unknown;
    for (let i = 0; i < 8; i++) {
      try {
        const given = admission.enter(plan(), greedy);
        if (!isPlace(given)) waiting.push(given);
      } catch (error) {
        refused = error;
      }
    }
    expect(waiting.length).toBe(4);
    expect((refused as AfbError).status).toBe("busy");
    expect((refused as AfbError).message).toContain("1 tasks run of at most 1, and 4 starts wait");
    const other = admission.enter(plan(), client("c"));
    expect(isPlace(other)).toBe(false);
    const ends = await Promise.allSettled(waiting.map(({ place }) => place));
    expect(ends.map(({ status }) => status)).toEqual(ends.map(() => "rejected"));
    if (!isPlace(other)) expect(other.place).rejects.toThrow("its turn did not come within 0.05 s");
    await Bun.sleep(60);
    expect(admission.load).toEqual({ running: 1, waiting: 0 });
  });
});

test.each([
  [0, "0 of 2 in this sandbox"],
  [1, "1 of 2 in this sandbox"],
])("who is refused is told what runs in its sandbox: %d", (count, expected) => {
  const admission = new Admission({ tasks: 1, queue: 1 });
  const limited = plan("v", { sandbox: "small", sandboxConcurrency: 2 });
  admission.enter(count === 1 ? limited : plan(), client("a"));
  entered(admission, plan(), "b");
  expect(() => admission.enter(limited, client("c"))).toThrow(expected);
});

describe("tasks", () => {
  const connect = connecting();
  const sleep = sleeper("sleep");

  test("beyond the places of the server a start waits, and begins when one is free", async () => {
    const { client } = connect([sleep], { admission: new Admission({ tasks: 1 }) });
    const pid = pidOf(await client.call("sleep"));
    const waiting = client.call("sleep");
    await client.call("sleep", { action: "stop", args: { pid, signal: 9 } });
    const second = pidOf(await waiting);
    expect(second).not.toBe(pid);
    await client.call("sleep", { action: "stop", args: { pid: second, signal: 9 } });
    await client.until(`"final-event","pid":${second}`);
  });

  test("busy after a while; what waits is withdrawn by a stop of all", async () => {
    const admission = new Admission({ tasks: 1, patience: 100 });
    const { client } = connect([sleep, shell("quick", "echo x", use("sync"))], { admission });
    await client.call("sleep");
    expect((await client.call("quick")).request).toMatchObject({ status: "busy", code: -100 });
    const waiting = client.call("sleep");
    await client.call("sleep", { action: "stop", args: { signal: 9 } });
    expect((await waiting).request).toMatchObject({ status: "bad-state" });
    await client.until("final-event");
    expect((await client.call("quick")).request.status).toBe("success");
    expect(admission.load).toEqual({ running: 0, waiting: 0 });
  });

  test("a place is free again after a launch that failed", async () => {
    const admission = new Admission({ tasks: 1 });
    const missing = shell("none", "");
    const gone = {
      ...missing,
      argv: { ...missing.argv, elements: [[{ kind: "text" as const, text: "/nowhere" }]] },
    };
    const { client } = connect([gone], { admission });
    for (let i = 0; i < 3; i++)
      expect((await client.call("none")).request.status).toBe("internal-error");
    expect(admission.load).toEqual({ running: 0, waiting: 0 });
  });
});

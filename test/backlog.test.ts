/** Output that peers have not read: who holds how much of it, and what comes of holding too much. */
import { describe, expect, spyOn, test } from "bun:test";
import { join } from "node:path";
import { Admission } from "../src/api/admission.ts";
import { Rendering } from "../src/api/rendering.ts";
import { Backlog, type Debt } from "../src/backlog.ts";
import { shell } from "./api/harness.ts";

const MB = 1 << 20;
const HOUR = 3_600_000;
const asker = (peer: string) => ({ peer, connection: {} });
const never = (): void => expect.unreachable();
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** By a clock of its own: it is looked after so many ms of the machine's, or each 100 where all hold more than there is. */
async function held(
  work: (of: {
    backlog: Backlog;
    connect: (name: string, peer: string) => Debt;
    pass: (ms: number) => void;
    looked: () => Promise<void>;
    cut: readonly string[];
  }) => Promise<void>,
  stall = HOUR,
) {
  let now = 1000;
  using clock = spyOn(performance, "now").mockImplementation(() => now);
  const backlog = new Backlog(10 * MB, 0, stall);
  const cut: string[] = [];
  const connect = (name: string, peer: string) => {
    const debt = backlog.debt(peer, () => {
      cut.push(name);
      debt.set(0);
    });
    return debt;
  };
  const looked = async () => {
    const before = clock.mock.calls.length;
    while (clock.mock.calls.length === before) await Bun.sleep(5);
  };
  await work({ backlog, connect, pass: (ms) => (now += ms), looked, cut });
}

describe("backlog", () => {
  test("a peer is full once it holds more than what is left, whatever its connections", async () => {
    const backlog = new Backlog(10 * MB, 0, HOUR);
    const debts = Array.from({ length: 4 }, () => backlog.debt("a", never));
    for (const debt of debts.slice(0, 2)) debt.set(2 * MB);
    expect(backlog.isFull("a")).toBe(false);
    for (const debt of debts) debt.set(2 * MB);
    expect([backlog.isFull("a"), backlog.isFull("b"), backlog.free]).toEqual([true, false, 2 * MB]);
    let ready = 0;
    backlog.onRoom("a", () => ready++);
    backlog.onRoom("b", () => ready++);
    await turn();
    expect(ready).toBe(1);
    for (const debt of debts) debt.set(0);
    await turn();
    expect([ready, backlog.free, backlog.of("a")]).toEqual([2, 10 * MB, 0]);
  });

  test("what the kernel takes at once does not count", () => {
    const backlog = new Backlog(MB, 0, HOUR);
    const debt = backlog.debt("a", never);
    debt.set(64 << 10);
    expect(backlog.of("a")).toBe(0);
    debt.set((64 << 10) + 1);
    expect(backlog.of("a")).toBe((64 << 10) + 1);
    debt.set(10);
    expect([backlog.of("a"), backlog.free]).toEqual([0, MB]);
  });

  test("of a peer that is full those end that take nothing, until it is not", async () => {
    const backlog = new Backlog(10 * MB, 0, 50);
    const cut: string[] = [];
    const connect = (name: string, peer = "a") => {
      const debt = backlog.debt(peer, () => {
        cut.push(name);
        debt.set(0);
      });
      return debt;
    };
    const [idle, later, reading] = [connect("idle"), connect("later"), connect("reading")];
    const other = connect("other", "b");
    idle.set(3 * MB);
    other.set(MB);
    await Bun.sleep(5);
    later.set(2 * MB);
    reading.set(2 * MB);
    const reads = setInterval(() => reading.set(MB + (Date.now() % 1000) * 100), 5);
    try {
      while (cut.length === 0) await Bun.sleep(5);
    } finally {
      clearInterval(reads);
    }
    expect(cut).toEqual(["idle"]);
    expect(backlog.isFull("a")).toBe(false);
  });

  describe("where one peer is full", () => {
    const STALL = 20;
    test.each([["first"], ["second"]])("the %s ends where that took nothing for longest", (last) =>
      held(async ({ connect, pass, looked, cut }) => {
        const debts = ["first", "second"].map((name) => [name, connect(name, "a")] as const);
        for (const [, debt] of debts) debt.set(3 * MB);
        pass(1);
        for (const [name, debt] of debts) if (name !== last) debt.set(3 * MB - 1);
        pass(1000);
        await looked();
        expect(cut).toEqual([last]);
      }, STALL),
    );

    test("who has nothing left to read does not end", () =>
      held(async ({ connect, pass, looked, cut }) => {
        const paid = connect("paid", "a");
        paid.set(2 * MB);
        connect("owing", "a").set(6 * MB);
        paid.set(0);
        pass(1000);
        await looked();
        expect(cut).toEqual(["owing"]);
      }, STALL));

    test("it is looked again, until it is not", () =>
      held(async ({ connect, pass, looked, cut }) => {
        const debt = connect("slow", "a");
        debt.set(6 * MB);
        for (const left of [5.5, 5.4]) {
          pass(STALL - 1);
          await looked();
          debt.set(left * MB);
        }
        expect(cut).toEqual([]);
        pass(STALL);
        await looked();
        expect(cut).toEqual(["slow"]);
      }, STALL));
  });

  test.each([
    ["one peer is full", 6],
    ["all hold more than there is", 11],
  ])("where %s, a process does not live for the next look", async (_, held) => {
    const script = `
      import { Backlog } from ${JSON.stringify(join(import.meta.dir, "../src/backlog.ts"))};
      const backlog = new Backlog(${10 * MB}, 0, ${HOUR});
      backlog.debt("a", () => {}).set(${held * MB});
      console.log(backlog.isFull("a"), backlog.free < 0);`;
    await using child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe" });
    expect([await child.stdout.text(), await child.exited]).toEqual([`true ${held > 10}\n`, 0]);
  });

  describe("where all together hold more than there is", () => {
    test("of who holds most those end that have taken nothing for longest, until it is enough", async () => {
      await held(async ({ backlog, connect, pass, looked, cut }) => {
        const [small, first, second] = [
          connect("small", "b"),
          connect("first", "a"),
          connect("second", "a"),
        ];
        small.set(4 * MB);
        first.set(4 * MB);
        pass(1);
        second.set(3 * MB);
        pass(1);
        // It takes something, after the other.
        first.set(3 * MB + 1);
        expect(backlog.free).toBe(-1);
        pass(1000);
        await looked();
        expect([cut, backlog.free]).toEqual([["second"], 3 * MB - 1]);
      });
    });
    test("who has taken something lately is spared, and it is looked again", async () => {
      await held(async ({ connect, pass, looked, cut }) => {
        const debt = connect("reading", "a");
        debt.set(30 * MB);
        pass(99);
        await looked();
        debt.set(29 * MB);
        pass(99);
        await looked();
        expect(cut).toEqual([]);
        pass(1);
        await looked();
        expect(cut).toEqual(["reading"]);
      });
    });
    test("just as much as there is may be held", async () => {
      await held(async ({ backlog, connect, pass, looked, cut }) => {
        connect("first", "a").set(MB);
        pass(1);
        connect("second", "a").set(5 * MB);
        connect("other", "b").set(5 * MB);
        pass(1000);
        await looked();
        expect([cut, backlog.free]).toEqual([["first"], 0]);
      });
    });
  });
});

test("who has not read starts nothing more, and keeps nobody else waiting", async () => {
  const backlog = new Backlog(10 * MB, 0, HOUR);
  const admission = new Admission({ backlog });
  const debt = backlog.debt("greedy", never);
  debt.set(6 * MB);
  const plan = shell("v", "");
  const session = { uuid: "x" };
  const waiting = admission.enter(plan, { from: asker("greedy"), session });
  expect("place" in waiting).toBe(true);
  // The config itself starts what nobody reads.
  for (const from of [asker("modest"), undefined]) {
    const other = admission.enter(plan, { from, session });
    if ("place" in other) await other.place;
  }
  for (let i = 0; i < 10; i++) await turn();
  expect(admission.load.waiting).toBe(1);
  debt.set(0);
  if ("place" in waiting) (await waiting.place).leave();
  expect(admission.load.waiting).toBe(0);
});

test("replies are made some at a time, in turns of those who ask", async () => {
  const rendering = new Rendering(4 * MB);
  expect(rendering.enter(asker("a"), 64 << 10)).toBeUndefined();
  const order: string[] = [];
  const done: (() => void)[] = [];
  const [greedy, modest] = [asker("greedy"), asker("modest")];
  const enter = (name: string, who: typeof greedy, bytes: number): void =>
    void rendering.enter(who, bytes)?.then((made) => {
      order.push(name);
      done.push(made);
    });
  // Longer than all that may be made at a time: alone.
  enter("g1", greedy, 8 * MB);
  for (const name of ["g2", "g3", "g4"]) enter(name, greedy, 2 * MB);
  enter("m1", modest, 2 * MB);
  await turn();
  expect(order).toEqual(["g1"]);
  done.shift()?.();
  await turn();
  expect(order.toSorted()).toEqual(["g1", "g2", "m1"]);
  for (const made of done.splice(0)) made();
  await turn();
  expect(order.slice(3)).toEqual(["g3", "g4"]);
});

test("a reply that is never made holds up others for a moment only", async () => {
  const rendering = new Rendering(4 * MB, 20);
  await rendering.enter(asker("hangs"), 8 * MB);
  const made = await rendering.enter(asker("other"), 8 * MB);
  made?.();
  expect(made).toBeFunction();
});

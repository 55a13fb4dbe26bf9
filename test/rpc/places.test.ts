import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { AfbError } from "../../src/errors.ts";
import { Places } from "../../src/rpc/places.ts";

test("one peer whose calls never end leaves room for others, and who waits is served in turns", async () => {
  const places = new Places(100, 1000);
  const entered: string[] = [];
  const enter = (peer: string): void => {
    const turn = places.enter(peer);
    if (turn)
      turn.then(
        () => entered.push(peer),
        () => entered.push(`no ${peer}`),
      );
    else entered.push(peer);
  };
  for (let i = 0; i < 500; i++) enter("greedy");
  expect(entered).toHaveLength(75);
  for (let i = 0; i < 3; i++) enter("small");
  expect(entered.filter((peer) => peer === "small")).toHaveLength(3);
  // Many peers at once: each has one, then they take turns.
  for (let i = 0; i < 40; i++) for (const peer of ["a", "b"]) enter(peer);
  entered.length = 0;
  for (let i = 0; i < 75; i++) places.leave("greedy");
  await Promise.resolve();
  for (const peer of ["greedy", "a", "b"])
    expect(entered.filter((one) => one === peer).length).toBeGreaterThan(10);
});

test("no more wait than may, and at the end they are told", async () => {
  const places = new Places(2, 3);
  const waiting = Array.from({ length: 5 }, () => places.enter("p"));
  expect(waiting.filter((turn) => turn === undefined).length).toBeGreaterThan(0);
  for (let i = waiting.filter(Boolean).length; i < 3; i++)
    void Promise.resolve(places.enter("q")).catch(() => undefined);
  expect(() => places.enter("p")).toThrow(AfbError);
  places.close(new Error("over"));
  const ended = await Promise.allSettled(waiting.filter((turn) => turn !== undefined));
  expect(ended.every(({ status }) => status === "rejected")).toBe(true);
});

test("a peer has three times what it leaves free, and always one; who waits comes behind who waits already", async () => {
  const places = new Places(8, 10);
  const come: string[] = [];
  const enter = (peer: string): void => {
    void Promise.resolve(places.enter(peer)).then(
      () => come.push(peer),
      (error: Error) => come.push(error.message),
    );
  };
  const now = async (): Promise<string> => {
    await Promise.resolve();
    await Promise.resolve();
    return come.splice(0).join("");
  };
  for (let i = 0; i < 10; i++) enter("a");
  // Six have two left: of seven that would be one.
  expect(await now()).toBe("aaaaaa");
  enter("b");
  enter("c");
  enter("d");
  expect(await now()).toBe("bc");
  // Nothing is free, and then one place is: `a` has more than its part, so `d` has it.
  places.leave("b");
  expect(await now()).toBe("d");
  // Five of eight are more than three times one, four are less than three times two.
  const comes: string[] = [];
  for (let i = 0; i < 5; i++) {
    places.leave("a");
    comes.push(await now());
  }
  expect(comes).toEqual(["", "a", "a", "a", "a"]);
  // Who comes while others of it wait does so behind them.
  const most = new Places(1, 2);
  const first = most.enter("a");
  const [second, third] = [most.enter("a"), most.enter("b")];
  expect([first, second instanceof Promise, third instanceof Promise]).toEqual([
    ...[undefined, true, true],
  ]);
  expect(() => most.enter("c")).toThrow("too many calls of the other binder wait: try again later");
  most.leave("a");
  await second;
  most.leave("a");
  await third;
  // Those that wait no more do not count.
  expect(most.enter("c")).toBeInstanceOf(Promise);
});

test("of a peer that has left nothing is kept", () => {
  const places = new Places(1, 0);
  const strings = (): number => {
    Bun.gc(true);
    return heapStats().objectTypeCounts["string"] ?? 0;
  };
  const before = strings();
  for (let i = 0; i < 10_000; i++) {
    places.enter(`peer ${i}`);
    places.leave(`peer ${i}`);
  }
  expect(strings() - before).toBeLessThan(5_000);
  expect(places.enter("the next")).toBeUndefined();
});

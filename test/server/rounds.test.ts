/** What clients ask is answered in rounds of some milliseconds, in turns of peers. */
import { expect, spyOn, test } from "bun:test";
import { Rounds } from "../../src/server/rounds.ts";

const asker = (peer: string) => ({ peer, connection: {} });
const turn = () => new Promise((resolve) => setImmediate(resolve));

/** Milliseconds of work, behind some promises. */
async function work(milliseconds: number): Promise<void> {
  for (let hop = 0; hop < 5; hop++) await Promise.resolve();
  for (const end = performance.now() + milliseconds; performance.now() < end;);
}

// First, as others make turns of their own.
test("who waits for nobody makes no turn of the event loop", async () => {
  const rounds = new Rounds();
  let went = 0;
  rounds.enter(asker("a"), () => went++);
  const spy = spyOn(globalThis, "setImmediate");
  try {
    while (went === 0) await turn();
    for (let i = 0; i < 2; i++) await turn();
    const before = spy.mock.calls.length;
    for (let i = 0; i < 10; i++) await turn();
    expect(spy.mock.calls.length - before).toBe(10);
  } finally {
    spy.mockRestore();
  }
});

test("who asks while the round lasts need not wait, and does where others wait", async () => {
  const rounds = new Rounds(20);
  expect([rounds.isFull, rounds.isFull]).toEqual([false, false]);
  await work(25);
  expect(rounds.isFull).toBe(true);
  await turn();
  expect(rounds.isFull).toBe(false);
  let went = false;
  rounds.enter(asker("a"), () => (went = true));
  expect(rounds.isFull).toBe(true);
  await turn();
  expect(went).toBe(true);
});

test("a round ends once its time is over, whatever was asked", async () => {
  const rounds = new Rounds(8);
  let inTurn = 0;
  let most = 0;
  let done = 0;
  const count = (): void => {
    most = Math.max(most, inTurn);
    inTurn = 0;
    if (done < 60) setImmediate(count);
  };
  setImmediate(count);
  const all = Array.from(
    { length: 60 },
    () =>
      new Promise<void>((resolve) =>
        rounds.enter(asker("a"), () => {
          inTurn++;
          void work(3).then(() => {
            done++;
            resolve();
          });
        }),
      ),
  );
  await Promise.all(all);
  expect(most).toBeWithin(1, 8);
});

test("another peer is in the next round, however many connections the first has", async () => {
  const rounds = new Rounds(8);
  const order: string[] = [];
  const enter = (name: string): void =>
    rounds.enter(asker(name), () => {
      order.push(name);
      void work(3);
    });
  for (let i = 0; i < 100; i++) enter("greedy");
  await turn();
  enter("modest");
  while (!order.includes("modest")) await turn();
  expect(order.length).toBeLessThan(20);
});

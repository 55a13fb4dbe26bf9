/** The thread that the functions of a plugin share: when it is made, and when it ends. */
import { expect, spyOn, test } from "bun:test";
import type { Asked } from "../../src/plugins/messages.ts";
import { SharedThread } from "../../src/plugins/shared.ts";
import type { Heard, Thread } from "../../src/plugins/thread.ts";

/** A thread that does as the test wants. */
class Fake {
  over: Error | undefined;
  readonly asked: Asked[] = [];
  answer: Promise<unknown> = Promise.resolve("answer");
  ask(asked: Asked): Promise<unknown> {
    this.asked.push(asked);
    return this.answer;
  }
  askNow(asked: Asked): unknown {
    this.asked.push(asked);
    return "now";
  }
  hand(_: (heard: Heard) => void): void {}
  tell(): void {}
  end(why = new Error("ended")): void {
    this.over ??= why;
  }
}

function shared({ grace = 60_000, beat = 60_000 } = {}) {
  const made: Fake[] = [];
  const make = () => {
    const fake = new Fake();
    made.push(fake);
    return fake as unknown as Thread;
  };
  return { made, thread: new SharedThread("plug", make, () => {}, { beat, grace }) };
}

const QUESTION: Asked = { kind: "ping" };

test("is made by the first question, and again after its end", async () => {
  const { made, thread } = shared();
  expect(made).toHaveLength(0);
  expect(await thread.ask(QUESTION)).toBe("answer");
  expect(thread.askNow(QUESTION)).toBe("now");
  expect(made).toHaveLength(1);
  made[0]?.end();
  await thread.ask(QUESTION);
  expect(made).toHaveLength(2);
  thread.close();
});

test("is looked at while it is asked something, and not any longer", async () => {
  const { made, thread } = shared({ beat: 5 });
  await thread.ask(QUESTION);
  const begun = spyOn(globalThis, "setInterval");
  const ended = spyOn(globalThis, "clearInterval");
  try {
    // The look that the first question began is over before the second begins one.
    while (ended.mock.calls.length === 0) await Bun.sleep(1);
    const [fake] = made;
    const { promise, resolve } = Promise.withResolvers<unknown>();
    if (fake) fake.answer = promise;
    const asked = thread.ask(QUESTION);
    expect(begun).toHaveBeenCalledTimes(1);
    while (fake?.over === undefined) await Bun.sleep(1);
    expect(fake.over.message).toBe("the plugin plug took more than 0.005 s without a pause");
    resolve("late");
    await asked;
    while (ended.mock.calls.length < 2) await Bun.sleep(1);
    expect<unknown[] | undefined>(ended.mock.lastCall).toEqual([begun.mock.results[0]?.value]);
  } finally {
    begun.mockRestore();
    ended.mockRestore();
    thread.close();
  }
});

test("ends at once where nobody waits for it", async () => {
  const { made, thread } = shared();
  await thread.ask(QUESTION);
  expect(made[0]?.over).toBeUndefined();
  thread.close();
  expect(made[0]?.over).toBeDefined();
  expect(thread.ask(QUESTION)).rejects.toThrow("the plugin plug was taken away");
});

test("ends behind the last call that is under way, whether it succeeds or not", async () => {
  const { made, thread } = shared();
  await thread.ask(QUESTION);
  const [fake] = made;
  if (!fake) throw new Error("none was made");
  const [first, second] = [Promise.withResolvers<unknown>(), Promise.withResolvers<unknown>()];
  fake.answer = first.promise;
  const one = thread.ask(QUESTION);
  fake.answer = second.promise;
  const two = thread.ask(QUESTION);
  thread.close();
  expect(fake.over).toBeUndefined();
  first.reject(new Error("no"));
  await one.catch(() => {});
  expect(fake.over).toBeUndefined();
  second.resolve("yes");
  expect(await two).toBe("yes");
  expect(fake.over).toBeDefined();
});

test("ends after a grace where a call never does", async () => {
  const { made, thread } = shared({ grace: 20 });
  await thread.ask(QUESTION);
  const [fake] = made;
  if (!fake) throw new Error("none was made");
  fake.answer = new Promise(() => {});
  void thread.ask(QUESTION);
  thread.close();
  expect(fake.over).toBeUndefined();
  while (fake.over === undefined) await Bun.sleep(5);
});

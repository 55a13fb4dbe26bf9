/** What of the permission service is told when, and how long its answers are good: by a clock that the test sets on. */
import { afterAll, afterEach, beforeEach, expect, jest, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Cynagora as Client } from "../../src/access/cynagora/client.ts";
import { turns, turnsUntil } from "../launch/turns.ts";
import { Cynagora, type Decide } from "./cynagora.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-client-clock-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;
beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

function made(decide: Decide = () => "no") {
  const service = new Cynagora(decide);
  const path = join(dir, `${++sockets}`);
  const told: string[] = [];
  let changes = 0;
  const client = new Client({
    address: { kind: "unix", path },
    changed: () => void changes++,
    tell: (text) => void told.push(text),
  });
  const ask = async (privilege: string, patient = false): Promise<string> => {
    const question = { label: "L", session: "S", uid: 1, privilege };
    const answer = await client.ask(question, { from: "", patient });
    return answer === "yes" ? answer : answer.refused;
  };
  return {
    ...{ service, client, told, ask, path },
    changes: () => changes,
    /** What is set to be done now is done. */
    async after(ms: number) {
      jest.advanceTimersByTime(ms);
      await turns(5);
    },
    async [Symbol.asyncDispose]() {
      client.close();
      expect(jest.getTimerCount()).toBe(0);
      await service.close();
    },
  };
}

const NO = "the permission service does not grant it";
const GONE = "the permission service cannot be asked now";

test("that it is not there is told once, until it answers; and not twice within ten seconds", async () => {
  await using it = made();
  expect(await it.ask("a")).toBe(GONE);
  expect(it.told).toHaveLength(1);
  expect(it.told[0]).toStartWith(`the permission service at unix:${it.path}: `);
  expect(it.told[0]).toEndWith(": what needs it is refused");
  for (let i = 0; i < 5; i++) {
    await it.after(9_000);
    await it.ask("a");
  }
  expect(it.told).toHaveLength(1);
  await it.service.listen(it.path);
  expect(await it.ask("b")).toBe(NO);
  await it.service.close();
  await turns(20);
  expect(await it.ask("c")).toBe(GONE);
  expect(it.told).toHaveLength(2);
  await it.service.listen(it.path);
  expect(await it.ask("d")).toBe(NO);
  await it.service.close();
  await turns(20);
  await it.after(9_999);
  expect(await it.ask("e")).toBe(GONE);
  expect(it.told).toHaveLength(2);
  await it.after(1);
  expect(await it.ask("e")).toBe(GONE);
  expect(it.told).toHaveLength(3);
});

test("that it hangs up while nobody waits is nothing to tell of, and it is not dialled before somebody asks", async () => {
  await using it = made();
  await it.service.listen(it.path);
  expect(await it.ask("a")).toBe(NO);
  it.service.hangUp();
  await turnsUntil("it has heard", () => jest.getTimerCount() === 1);
  // Changes are not heard of any more.
  await it.after(0);
  expect([it.changes(), jest.getTimerCount()]).toEqual([1, 0]);
  await it.after(60_000);
  expect([it.told, it.service.connections]).toEqual([[], 1] as never);
  // What was known is not known any more.
  expect(await it.ask("a")).toBe(NO);
  expect([it.service.connections, it.service.asked.length]).toEqual([2, 2]);
});

test("that something has changed is told at once, and then every 100 ms", async () => {
  await using it = made();
  await it.service.listen(it.path);
  await it.ask("a");
  const told = async (): Promise<void> => {
    it.service.clear();
    await turnsUntil("it has heard", () => jest.getTimerCount() > 0);
  };
  await told();
  await it.after(0);
  expect(it.changes()).toBe(1);
  await told();
  // What is told meanwhile is the same change.
  it.service.clear();
  await turns(20);
  await it.after(99);
  expect(it.changes()).toBe(1);
  await it.after(1);
  expect([it.changes(), jest.getTimerCount()]).toEqual([2, 0]);
  await it.after(5_000);
  await told();
  await it.after(0);
  expect(it.changes()).toBe(3);
});

test("a yes is good to the millisecond, and its end is a change; a no, and one without end, have none", async () => {
  await using it = made(({ permission }) => permission);
  await it.service.listen(it.path);
  expect([await it.ask("no 1h"), await it.ask("yes")]).toEqual([NO, "yes"]);
  expect(jest.getTimerCount()).toBe(0);
  expect(await it.ask("yes 1h")).toBe("yes");
  expect(await it.ask("yes 2h")).toBe("yes");
  // Somebody goes by that, though nobody asks the same of it.
  expect(await it.ask("yes -90m")).toBe("yes");
  expect(jest.getTimerCount()).toBe(1);
  const asked = it.service.asked.length;
  // A machine may sleep: nothing waits for longer than a minute.
  for (let i = 0; i < 59; i++) await it.after(60_000);
  await it.after(59_999);
  // One that is good for longer does not take the place of that.
  expect([it.changes(), await it.ask("yes 2h"), it.service.asked.length]).toEqual([
    ...[0, "yes", asked],
  ]);
  await it.after(1);
  await it.after(0);
  expect(it.changes()).toBe(1);
  expect([await it.ask("yes 1h"), it.service.asked.length]).toEqual(["yes", asked + 1]);
  expect([await it.ask("yes 2h"), it.service.asked.length]).toEqual(["yes", asked + 1]);
});

test("who may wait does so until it is there, which is tried twice a second", async () => {
  await using it = made();
  const answer = it.ask("a", true);
  let isOver = false;
  void answer.then(() => (isOver = true));
  // Its own ten seconds, and the next try.
  await turnsUntil("it was tried", () => jest.getTimerCount() === 2);
  await it.service.listen(it.path);
  await it.after(499);
  await turns(20);
  expect([isOver, it.service.connections]).toEqual([false, 0]);
  await it.after(1);
  await turnsUntil("it is answered", () => isOver);
  expect(await answer).toBe(NO);
  expect([it.service.connections, jest.getTimerCount()]).toEqual([1, 0]);
});

test("who waits for ten seconds is refused, and an answer that comes then counts for the next", async () => {
  const gate = Promise.withResolvers<string>();
  await using it = made(() => gate.promise);
  await it.service.listen(it.path);
  const answer = it.ask("a");
  await turnsUntil("it is asked", () => it.service.asked.length === 1);
  await it.after(9_999);
  expect(it.told).toEqual([]);
  await it.after(1);
  expect(await answer).toBe("the permission service does not answer in time");
  expect(it.told[0]).toContain("it does not answer in time");
  gate.resolve("yes");
  await turns(20);
  expect([await it.ask("a"), it.service.asked.length]).toEqual(["yes", 1]);
});

const LATE = "the permission service does not answer in time";

test("of what was given up one answer counts, and none that is from before a change", async () => {
  await using it = made(({ permission }) => (permission === "now" ? "yes" : undefined));
  await it.service.listen(it.path);
  const givenUp = async (privilege: string): Promise<string> => {
    const answer = it.ask(privilege);
    const { length } = it.service.asked;
    await turnsUntil("it is asked", () => it.service.asked.length > length);
    await it.after(10_000);
    expect(await answer).toBe(LATE);
    return it.service.asked.at(-1)?.id ?? "";
  };
  /** Whether it is known without a question. */
  const known = async (privilege: string): Promise<string> => {
    const { length } = it.service.asked;
    const answer = it.ask(privilege);
    await turns(20);
    if (it.service.asked.length === length) return answer;
    await it.after(10_000);
    return answer;
  };
  it.service.say(`yes ${await givenUp("a")}\n`);
  await turns(20);
  it.service.say(`no ${it.service.asked[0]?.id}\n`);
  await turns(20);
  expect(await known("a")).toBe("yes");
  const before = await givenUp("b");
  it.service.clear();
  it.service.say(`yes ${before}\n`);
  await turns(20);
  expect([await known("b"), await known("a")]).toEqual([LATE, LATE]);
  const other = await givenUp("c");
  it.service.hangUp();
  await turns(20);
  expect(await it.ask("now")).toBe("yes");
  it.service.say(`yes ${other}\n`);
  await turns(20);
  expect(await known("c")).toBe(LATE);
});

test("an answer that comes twice counts once", async () => {
  await using it = made(() => "yes");
  await it.service.listen(it.path);
  expect(await it.ask("a")).toBe("yes");
  it.service.say(`no ${it.service.asked[0]?.id}\n`);
  await turns(20);
  expect([await it.ask("a"), it.service.asked.length]).toEqual(["yes", 1]);
});

test("what was asked before a change is asked again by who comes behind it", async () => {
  const gates: ((answer: string) => void)[] = [];
  await using it = made(() => new Promise((resolve) => gates.push(resolve)));
  await it.service.listen(it.path);
  const first = it.ask("a");
  await turnsUntil("it is asked", () => gates.length === 1);
  it.service.clear();
  await turns(20);
  const second = it.ask("a");
  await turnsUntil("so is that", () => gates.length === 2);
  gates[0]?.("yes");
  expect(await first).toBe("yes");
  gates[1]?.("no");
  expect(await second).toBe(NO);
  // That is what is known now.
  expect([await it.ask("a"), gates.length]).toEqual([NO, 2]);
});

test("who may wait and has waited long enough is not asked for any more; nor is that a change", async () => {
  await using it = made();
  const answer = it.ask("a", true);
  for (let i = 0; i < 20; i++) {
    await turns(20);
    await it.after(500);
  }
  expect(await answer).toBe(LATE);
  await it.service.listen(it.path);
  expect(await it.ask("b")).toBe(NO);
  expect(it.service.asked.map(({ permission }) => permission)).toEqual(["b"]);
  expect(it.changes()).toBe(0);
});

test("who waits while it hangs up is asked for again", async () => {
  let answers = false;
  await using it = made(() => (answers ? "yes" : undefined));
  await it.service.listen(it.path);
  const [patient, other] = [it.ask("a", true), it.ask("b")];
  await turnsUntil("both are asked", () => it.service.asked.length === 2);
  answers = true;
  it.service.hangUp();
  expect(await other).toBe(GONE);
  await it.after(499);
  expect(it.service.connections).toBe(1);
  await it.after(1);
  expect(await patient).toBe("yes");
  expect(it.service.asked.map(({ permission }) => permission)).toEqual(["a", "b", "a"]);
  await it.after(0);
});

test("whether it can be reached", async () => {
  const it = made();
  expect(await it.client.probe()).toContain("ENOENT");
  await it.service.listen(it.path);
  expect(await Promise.all([it.client.probe(), it.client.probe()])).toEqual([undefined, undefined]);
  expect(it.service.connections).toBe(1);
  expect(await it.client.probe()).toBeUndefined();
  const waiting = it.ask("never");
  it.service.decide = () => undefined;
  const held = it.ask("held");
  await turnsUntil("it is asked", () => it.service.asked.length > 0);
  it.client.close();
  it.client.close();
  expect([await held, await it.ask("a"), await it.client.probe()]).toEqual([
    ...[GONE, GONE, "it is not asked any more"],
  ]);
  await waiting;
  expect([it.told, jest.getTimerCount()]).toEqual([[], 0] as never);
  await it.service.close();
});

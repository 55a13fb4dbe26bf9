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
  expect([it.changes(), await it.ask("yes 1h"), it.service.asked.length]).toEqual([
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

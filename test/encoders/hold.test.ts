import { expect, test } from "bun:test";
import { Backlog } from "../../src/backlog.ts";
import { Command } from "../../src/config/command-schema.ts";
import { totalmem } from "node:os";
import { everybody, HELD, Hold } from "../../src/encoders/hold.ts";

test("a task holds what its config says, and all together what there is", () => {
  const backlog = new Backlog(100, 0);
  const [first, second, third] = [
    new Hold(50, "a", backlog),
    new Hold(50, "b", backlog),
    new Hold(50, "c", backlog),
  ];
  expect([first.take(30), first.take(30), first.take(1)]).toEqual([30, 20, 0]);
  expect(second.take(40)).toBe(40);
  // It holds more than what is free for who comes next.
  expect(second.take(10)).toBe(0);
  expect(third.take(5)).toBe(5);
  first.close();
  expect(second.take(10)).toBe(10);
  second.give(50);
  expect(second.take(50)).toBe(50);
});

test("who holds as much as is free may take more, and then no more", () => {
  const backlog = new Backlog(100, 0);
  const [one, other] = [new Hold(50, "a", backlog), new Hold(50, "b", backlog)];
  expect([other.take(20), one.take(40), one.take(1), one.take(9)]).toEqual([20, 40, 1, 0]);
});

test("who may hold more than there is to get has decided so", () => {
  const alone = new Hold(90, "a", new Backlog(100, 0));
  expect([alone.take(60), alone.take(60)]).toEqual([60, 30]);
});

test("those of one peer get no more together than one alone would", () => {
  const backlog = new Backlog(1000, 10);
  const holds = Array.from({ length: 8 }, () => new Hold(500, "a", backlog));
  for (let i = 0; i < 500; i++) for (const hold of holds) hold.take(1);
  expect(backlog.of("a")).toBeGreaterThan(450);
  expect(backlog.of("a")).toBeLessThan(550);
  // Who comes next has its trifle, and somebody else as much as is free.
  const [next, other] = [new Hold(500, "a", backlog), new Hold(500, "b", backlog)];
  for (let i = 0; i < 300; i++) {
    next.take(1);
    other.take(1);
  }
  expect(backlog.of("b")).toBeGreaterThan(200);
  for (const hold of [...holds, next, other]) hold.close();
  expect(backlog.free).toBe(1000);
});

test("what a peer has not read of its replies counts with what its tasks hold", () => {
  const backlog = new Backlog(1000, 10);
  const debt = backlog.debt("a", () => {});
  const [own, other] = [new Hold(500, "a", backlog), new Hold(500, "b", backlog)];
  debt.set(400_000);
  expect([own.take(11), own.take(1)]).toEqual([11, 0]);
  debt.set(0);
  expect(own.take(400)).toBe(400);
  expect(other.take(200)).toBe(200);
});

test("what is lost is counted", () => {
  const hold = new Hold();
  hold.lose(3);
  hold.lose(4);
  hold.replace(2);
  expect(hold.loss).toEqual({ overflow: 7, replaced: 2 });
});

test("a task holds, unless its config says otherwise, what the reference says", () => {
  expect(Command.properties.buffer.description).toEndWith(`(${HELD})`);
  expect([new Hold().most, HELD]).toEqual([16_777_216, 16_777_216]);
  // For all together twice as much, and more where the machine has much, within bounds.
  // A part of the memory there is, within bounds.
  const [, most] = [2 * HELD, Math.floor(totalmem() / 16), 128 << 20].toSorted((a, b) => a - b);
  expect(everybody.most).toBe(most ?? NaN);
});

import { expect, test } from "bun:test";
import { Command } from "../../src/config/schema.ts";
import { HELD, Hold } from "../../src/encoders/hold.ts";
import { Share } from "../../src/share.ts";

test("a task holds what its config says, and all together what there is", () => {
  const share = new Share(100);
  const [first, second, third] = [new Hold(50, share), new Hold(50, share), new Hold(50, share)];
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

test("who may hold more than there is to get has decided so", () => {
  const alone = new Hold(90, new Share(100));
  expect([alone.take(60), alone.take(60)]).toEqual([60, 30]);
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
});

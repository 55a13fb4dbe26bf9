/** Bytes that are put together: what fits, what is lost, and what is given back of what a task may hold. */
import { expect, test } from "bun:test";
import { ByteBuffer } from "../../src/encoders/bytes.ts";
import { Hold } from "../../src/encoders/hold.ts";

const bytes = (...values: number[]) => Uint8Array.from(values);
/** How many more the task may hold. */
const room = (hold: Hold): number => {
  const taken = hold.take(1 << 20);
  hold.give(taken);
  return taken;
};

test("chunks are copied, in order, whatever becomes of them", () => {
  const buffer = new ByteBuffer(new Hold());
  const chunk = bytes(1, 2, 3);
  expect(buffer.append(chunk)).toBe(true);
  chunk.fill(9);
  expect(buffer.append(bytes(4))).toBe(true);
  expect([...buffer.view()]).toEqual([1, 2, 3, 4]);
  const all = [1, 2, 3, 4];
  for (let i = 0; i < 5000; i++) {
    buffer.append(bytes(i & 255, 7));
    all.push(i & 255, 7);
  }
  expect([...buffer.view()]).toEqual(all);
  expect([buffer.length, buffer.lost]).toEqual([all.length, 0]);
});

test("after the first that does not fit none is kept, and each is counted", () => {
  for (const buffer of [new ByteBuffer(new Hold(100), 5), new ByteBuffer(new Hold(5))]) {
    expect(buffer.append(bytes(1, 2, 3, 4))).toBe(true);
    expect(buffer.append(bytes())).toBe(true);
    expect(buffer.append(bytes(5, 6, 7))).toBe(false);
    expect(buffer.append(bytes(8))).toBe(false);
    expect([[...buffer.view()], buffer.lost]).toEqual([[1, 2, 3, 4, 5], 3]);
    // Of a whole line that was kept there is room again, and still the rest is lost.
    buffer.cut(2);
    expect(buffer.append(bytes(9))).toBe(false);
    expect([[...buffer.view()], buffer.lost]).toEqual([[1, 2], 7]);
    buffer.clear();
    expect([buffer.length, buffer.lost]).toEqual([0, 0]);
    expect(buffer.append(bytes(1, 2, 3, 4, 5))).toBe(true);
    expect([...buffer.view()]).toEqual([1, 2, 3, 4, 5]);
  }
});

test("one byte that was lost is enough, also where there is room again", () => {
  const hold = new Hold(4);
  const [one, other] = [new ByteBuffer(hold), new ByteBuffer(hold)];
  other.append(bytes(0, 0));
  expect(one.append(bytes(1, 2, 3))).toBe(false);
  other.clear();
  expect(one.append(bytes(4))).toBe(false);
  expect([[...one.view()], one.lost, room(hold)]).toEqual([[1, 2], 2, 2]);
});

test("what is cut off or cleared is given back, and can be held by another", () => {
  const hold = new Hold(100);
  const [one, other] = [new ByteBuffer(hold), new ByteBuffer(hold)];
  one.append(new Uint8Array(60));
  expect(room(hold)).toBe(40);
  other.append(new Uint8Array(60));
  expect([other.length, other.lost, room(hold)]).toEqual([40, 20, 0]);
  one.cut(10);
  expect(room(hold)).toBe(50);
  one.clear();
  expect(room(hold)).toBe(60);
  other.clear();
  expect(room(hold)).toBe(100);
  other.clear();
  expect(room(hold)).toBe(100);
});

test("large ones give memory back when they are cleared, and none reserves more than may be held", () => {
  const buffer = new ByteBuffer(new Hold(1 << 20));
  buffer.append(bytes(1));
  expect(buffer.view().buffer.byteLength).toBe(256);
  buffer.append(new Uint8Array(700_000));
  expect(buffer.view().buffer.byteLength).toBeLessThanOrEqual(1 << 20);
  buffer.append(new Uint8Array(100_000));
  expect(buffer.view().buffer.byteLength).toBeLessThanOrEqual(1 << 20);
  buffer.clear();
  expect(buffer.view().buffer.byteLength).toBe(0);
  const small = new ByteBuffer(new Hold(1 << 20), 1000);
  expect(small.view()).toHaveLength(0);
  for (let i = 0; i < 600; i++) small.append(bytes(1));
  // Doubled, so that short chunks are not copied again and again.
  expect(small.view().buffer.byteLength).toBe(1000);
  small.clear();
  expect(small.view().buffer.byteLength).toBe(1000);
});

test("before anybody looks they are in pieces, as long as what they hold; put together, they are the same", () => {
  const all = Buffer.alloc(900_001, "0123456789abc");
  for (const chunk of [1, 255, 4096, 65_536, 300_000, 900_001]) {
    const hold = new Hold(2 << 20);
    const buffer = new ByteBuffer(hold, 850_000);
    for (let at = 0; at < all.length; at += chunk) buffer.append(all.subarray(at, at + chunk));
    expect([buffer.length, buffer.lost, hold.held]).toEqual([850_000, 50_001, 850_000]);
    const whole = buffer.view();
    expect(all.subarray(0, 850_000).equals(whole)).toBe(true);
    // Nothing that is not needed, unless it never was in pieces.
    expect(whole.buffer.byteLength).toBe(850_000);
    buffer.cut(10);
    expect([Buffer.from(buffer.view()).toString(), buffer.lost]).toEqual(["0123456789", 899_991]);
    buffer.clear();
    expect([buffer.length, buffer.append(Buffer.from("xy")), buffer.view()]).toEqual([
      0,
      true,
      new Uint8Array([120, 121]),
    ]);
  }
  // Cut before anybody has looked.
  const cut = new ByteBuffer(new Hold());
  for (let i = 0; i < 1000; i++) cut.append(all.subarray(0, 700));
  cut.cut(699_000);
  expect(cut.append(bytes(1))).toBe(false);
  expect(cut.view()).toHaveLength(699_000);
  // Cleared before that, too.
  const clear = new ByteBuffer(new Hold());
  for (let i = 0; i < 3; i++) clear.append(all.subarray(0, 300_000));
  clear.clear();
  expect([clear.length, clear.append(bytes(1, 2)), [...clear.view()]]).toEqual([0, true, [1, 2]]);
  // Short ones do not reserve more than they may have.
  const short = new ByteBuffer(new Hold(), 100);
  short.append(bytes(1));
  expect(short.view().buffer.byteLength).toBe(100);
});

import { expect, test } from "bun:test";
import { endsIn } from "../../src/encoders/ends.ts";

test("lines are counted whatever the bytes are, and wherever they lie", () => {
  let seed = 1;
  const random = (below: number): number => {
    seed = (seed * 48_271) % 0x7fffffff;
    return seed % below;
  };
  const odd = [0x00, 0x09, 0x0a, 0x0a, 0x0b, 0x7f, 0x80, 0x8a, 0xff];
  for (let round = 0; round < 5000; round++) {
    const whole = Uint8Array.from({ length: random(40) + 8 }, () => odd[random(odd.length)] ?? 0);
    const from = random(8);
    const bytes = whole.subarray(from, from + random(whole.length - from + 1));
    expect(endsIn(bytes)).toBe([...bytes].filter((byte) => byte === 0x0a).length);
  }
  expect(endsIn(new Uint8Array())).toBe(0);
  expect(endsIn(Buffer.from("a\n".repeat(100_000)))).toBe(100_000);
});

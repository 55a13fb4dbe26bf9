/** The frame parser: messages or a FrameError, the same however the bytes are cut. */
import { FrameError, FrameReader } from "../../src/server/frames.ts";
import { frame } from "../server/harness.ts";
import { cutting, readAlike } from "./cuts.ts";
import { spoil } from "./random.ts";
import { type Json, type Random, type Target } from "./target.ts";

const LIMIT = 3000;
const CODES = [1002, 1003, 1007, 1009];

function stream(random: Random): Uint8Array {
  const frames = random.list(6, () => {
    const text = random
      .pick(["", "a", "é€𝄞", '[2,"1","a/b",null]'])
      .repeat(random.below(random.pick([3, 50, 900])));
    const opcode = random.pick([1, 1, 1, 0, 8, 9, 10, 2, random.below(16)]);
    const rsv = random.once(20) ? random.pick([0x10, 0x40]) : 0;
    const length = random.once(20) ? random.pick([125, 126, 65536, 2 ** 40]) : -1;
    const payload = opcode === 8 ? Buffer.from([random.below(20), random.below(256), 97]) : text;
    return frame(payload, { opcode, rsv, length, fin: !random.once(4), mask: random.once(2) });
  });
  return random.once(3) ? spoil(random, Buffer.concat(frames), 4) : Buffer.concat(frames);
}

/** Everything it says, the error last. */
function read(bytes: Uint8Array, cuts: readonly number[]): unknown[] {
  const reader = new FrameReader(LIMIT);
  const seen: unknown[] = [];
  try {
    for (let at = 0, i = 0; at < bytes.length; i++) {
      const size = cuts[i % cuts.length] || 1;
      reader.push(bytes.subarray(at, at + size));
      at += size;
      for (let next = reader.next(); next; next = reader.next()) seen.push(next);
    }
  } catch (error) {
    if (!(error instanceof FrameError) || !CODES.includes(error.code)) throw error;
    seen.push([error.code, error.message]);
  }
  return seen;
}

export const frames: Target = {
  name: "frames",
  make: cutting(stream),
  check(input: Json) {
    readAlike(input, read);
  },
};

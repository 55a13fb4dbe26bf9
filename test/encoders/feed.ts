/** Runs an encoder over given bytes. */
import { Hold, type Loss } from "../../src/encoders/hold.ts";
import type { About, Encoder, Fields } from "../../src/encoders/encoder.ts";

export const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A task whose log is of no interest. @param buffer bytes that it may hold */
export const about = (buffer?: number): About => ({
  name: "t: s/c@1",
  tell() {},
  hold: new Hold(buffer),
});

export interface Fed {
  events: Fields[];
  fields: Fields;
  loss: Loss;
}

/** Cuts bytes at the given sizes, taken in turn. */
export function chunks(bytes: Uint8Array, sizes: readonly number[]): Uint8Array[] {
  const cut: Uint8Array[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const size = sizes[turn % sizes.length] ?? 1;
    cut.push(bytes.slice(at, at + size));
    at += size;
  }
  return cut;
}

export async function feed(
  encoder: Encoder,
  stdout: string | Uint8Array,
  {
    stderr = "",
    opts = {},
    sizes = [65536],
    buffer,
  }: {
    stderr?: string | Uint8Array;
    opts?: Record<string, unknown>;
    sizes?: number[];
    buffer?: number;
  } = {},
): Promise<Fed> {
  const events: Fields[] = [];
  const emit = (fields: Fields): void => void events.push(fields);
  const whole = about(buffer);
  const encoding = encoder.begin(opts, emit, whole);
  const bytes = (data: string | Uint8Array) => (typeof data === "string" ? utf8(data) : data);
  for (const chunk of chunks(bytes(stdout), sizes)) await encoding.stdout(chunk);
  for (const chunk of chunks(bytes(stderr), sizes)) await encoding.stderr(chunk);
  const fields = await encoding.end();
  return { events, fields, loss: whole.hold.loss };
}

/** A small generator of numbers in [0, below) that a seed repeats (mulberry32). */
export function random(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

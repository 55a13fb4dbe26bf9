/** Makes a failing input smaller as long as it fails: pieces of lists and texts are left out, keys dropped, numbers lowered. */
import type { Json } from "./target.ts";

/** @param fails Whether an input still shows a bug. @param until Clock of performance.now() at which to be content. */
export async function shrink(
  input: Json,
  fails: (input: Json) => Promise<boolean>,
  until: number,
): Promise<Json> {
  for (;;) {
    let smaller: Json | undefined;
    for (const candidate of candidates(input)) {
      if (performance.now() > until) return input;
      if (!(await fails(candidate))) continue;
      smaller = candidate;
      break;
    }
    if (smaller === undefined) return input;
    input = smaller;
  }
}

/** Smaller inputs, the much smaller ones first. Each has fewer items, or a smaller number: so there is an end. */
function* candidates(value: Json): Generator<Json> {
  if (typeof value === "string") {
    for (const [from, to] of cuts(value.length)) yield value.slice(0, from) + value.slice(to);
  } else if (typeof value === "number") {
    if (Number.isInteger(value) && value > 0)
      yield* new Set([0, value >> 1, value - 1].filter((one) => one >= 0 && one < value));
  } else if (isList(value)) {
    for (const [from, to] of cuts(value.length)) yield value.toSpliced(from, to - from);
    for (const [i, item] of value.entries()) {
      for (const smaller of candidates(item)) yield value.with(i, smaller);
    }
  } else if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    for (let i = 0; i < entries.length; i++) yield Object.fromEntries(entries.toSpliced(i, 1));
    for (const [i, [key, item]] of entries.entries()) {
      for (const smaller of candidates(item))
        yield Object.fromEntries(entries.with(i, [key, smaller]));
    }
  }
}

const isList = (value: Json): value is readonly Json[] => Array.isArray(value);

/** Halves, quarters, … down to single places. */
function* cuts(length: number): Generator<[number, number]> {
  for (let size = Math.ceil(length / 2); size > 0; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < length; from += size) yield [from, Math.min(from + size, length)];
  }
}

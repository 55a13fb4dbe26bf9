/** What may be known of a filter before it runs: every answer to a call of which some bits are known, or the one where all are. */
import { describe, expect, test } from "bun:test";
import { type PartlyKnownCall, returnsOf, type Word } from "../../src/plan/bpf-returns.ts";
import {
  chain,
  chooseFirst,
  encode,
  type Instruction,
  lowerHalves,
  mapReturns,
  verdictOf,
} from "../../src/plan/bpf.ts";
import { deniesUserNamespaces } from "../../src/plan/nested.ts";
import { answer } from "./answer.ts";

const op = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const [LD, RET, JA, AND, IMM] = [0x20, 0x06, 0x05, 0x54, 0x00];
const [JEQ, JGT, JGE, JSET] = [0x15, 0x25, 0x35, 0x45];
const YES = 7;
const NO = 9;
const both = [YES, NO];
/** Of a jump on the first argument. */
const jump = (code: number, k: number) =>
  encode([op(LD, 16), op(code, k, 1, 0), op(RET, NO), op(RET, YES)]);
const call = (first: Word): PartlyKnownCall => ({ number: 3, arch: 5, first });
const exactly = (value: number): Word => ({ known: 0xffffffff, value });
const returns = (program: Uint8Array, first: Word = exactly(0)) =>
  [...(returnsOf(program, call(first)) ?? [])].toSorted((a, b) => a - b);

test("a thousand jumps that are undecided take a thousand steps, and not all their ways", () => {
  const jumps = Array.from({ length: 1000 }, (_one, k) => op(JEQ ?? 0, k));
  const program = encode([op(LD ?? 0, 16), ...jumps, op(RET ?? 0, YES)]);
  expect(returns(program, { known: 0, value: 0 })).toEqual([YES]);
});

describe("a jump on bits that are known", () => {
  test.each<[string, number, number, Word, number[]]>([
    ["equal", JEQ, 6, exactly(6), [YES]],
    ["not equal", JEQ, 6, exactly(7), [NO]],
    ["perhaps equal", JEQ, 6, { known: 0xf0, value: 0 }, both],
    ["not equal in what is known", JEQ, 6, { known: 0x4, value: 0 }, [NO]],
    ["greater", JGT, 6, exactly(7), [YES]],
    ["not greater", JGT, 6, exactly(6), [NO]],
    ["greater whatever the rest", JGT, 6, { known: 0xf8, value: 8 }, [YES]],
    ["perhaps greater", JGT, 6, { known: 0xfffffff0, value: 0 }, both],
    ["never greater", JGT, 7, { known: 0xfffffff8, value: 0 }, [NO]],
    ["greater, without a sign", JGT, 6, { known: 0x80000000, value: 0x80000000 }, [YES]],
    ["greater or equal", JGE, 6, exactly(6), [YES]],
    ["not greater or equal", JGE, 6, exactly(5), [NO]],
    ["perhaps greater or equal", JGE, 7, { known: 0xfffffff8, value: 0 }, both],
    ["never greater or equal", JGE, 8, { known: 0xfffffff8, value: 0 }, [NO]],
    ["a bit of it", JSET, 6, exactly(4), [YES]],
    ["no bit of it", JSET, 6, exactly(9), [NO]],
    ["a bit whatever the rest", JSET, 6, { known: 4, value: 4 }, [YES]],
    ["perhaps a bit", JSET, 6, { known: 4, value: 0 }, both],
    ["no bit in what is known", JSET, 6, { known: 6, value: 0 }, [NO]],
  ])("%s", (_, code, k, first, expected) => {
    expect(returns(jump(code, k), first)).toEqual(expected);
  });
});

test("what is loaded: number, architecture, first argument, a constant; nothing is known of others", () => {
  const of = (load: Instruction, k: number) =>
    returns(encode([load, op(JEQ, k, 1, 0), op(RET, NO), op(RET, YES)]), exactly(11));
  expect(of(op(LD, 0), 3)).toEqual([YES]);
  expect(of(op(LD, 4), 5)).toEqual([YES]);
  expect(of(op(LD, 16), 11)).toEqual([YES]);
  for (const offset of [8, 20, 24]) expect(of(op(LD, offset), 0)).toEqual(both);
  expect(of(op(IMM, 13), 13)).toEqual([YES]);
});

test("masks, jumps, and what is not followed", () => {
  const masked = (k: number, equal: number, first: Word) =>
    returns(
      encode([op(LD, 16), op(AND, k), op(JEQ, equal, 1, 0), op(RET, NO), op(RET, YES)]),
      first,
    );
  expect(masked(0xf, 3, exactly(0x13))).toEqual([YES]);
  expect(masked(0xf, 3, { known: 0xf, value: 3 })).toEqual([YES]);
  expect(masked(0xff, 3, { known: 0xf, value: 3 })).toEqual(both);
  expect(returns(encode([op(JA, 1), op(RET, NO), op(RET, YES)]))).toEqual([YES]);
  expect(returnsOf(encode([op(0x04, 1), op(RET, NO)]), call(exactly(0)))).toBeUndefined();
  expect(returnsOf(encode([op(IMM)]), call(exactly(0)))).toBeUndefined();
});

describe("one answer", () => {
  const verdict = (...code: Instruction[]) => verdictOf(encode(code), 3, 5);
  test.each<[number, number, number]>([
    [JEQ, 3, YES],
    [JEQ, 4, NO],
    [JGT, 2, YES],
    [JGT, 3, NO],
    [JGE, 3, YES],
    [JGE, 4, NO],
    [JSET, 2, YES],
    [JSET, 4, NO],
  ])("code %d with %d", (code, k, expected) => {
    expect(verdict(op(LD, 0), op(code, k, 1, 0), op(RET, NO), op(RET, YES))).toBe(expected);
    expect(verdict(op(LD, 0), op(code, k, 0, 1), op(RET, YES), op(RET, NO))).toBe(expected);
  });
  test("by architecture, over a jump, or none", () => {
    expect(verdict(op(LD, 4), op(JEQ, 5, 1, 0), op(RET, NO), op(RET, YES))).toBe(YES);
    expect(verdict(op(JA, 1), op(RET, NO), op(RET, YES))).toBe(YES);
    expect(verdict(op(LD, 16), op(RET, NO))).toBeUndefined();
    expect(verdict(op(AND, 1), op(RET, NO))).toBeUndefined();
    expect(verdict(op(0x16))).toBeUndefined();
    expect(verdict(op(LD, 0))).toBeUndefined();
  });
});

describe("programs put together", () => {
  const told = (program: Uint8Array, nr: number, first = 0n) => answer(program, nr, [first]);
  const first = encode([op(LD, 0), op(JEQ, 1, 1, 0), op(RET, 99), op(RET, YES)]);
  const second = encode([op(LD, 0), op(JEQ, 2, 1, 0), op(RET, NO), op(RET, 5)]);
  test("the second is asked where the first is undecided", () => {
    const whole = chain(first, 99, second);
    expect([1, 2, 3].map((nr) => told(whole, nr))).toEqual([YES, 5, NO]);
    const [long, end] = [Array.from({ length: 2048 }, () => op(IMM)), op(RET, 1)];
    expect(() => chain(encode([...long, end]), 99, encode([...long, end]))).toThrow("at most 4096");
  });
  test("one number has an answer of its own", () => {
    const whole = chooseFirst(2, 6, first);
    expect([1, 2, 3].map((nr) => told(whole, nr))).toEqual([YES, 6, 99]);
    const most = encode([...Array.from({ length: 4093 }, () => op(IMM)), op(RET, 1)]);
    expect(() => chooseFirst(2, 6, most)).toThrow("4097 instructions; at most 4096");
  });
  test("returns are others, and constants stay", () => {
    const whole = mapReturns(
      encode([op(LD, 0), op(JEQ, 7, 1, 0), op(RET, 7), op(RET, 8)]),
      (one) => one + 10,
    );
    expect([7, 6].map((nr) => told(whole, nr))).toEqual([18, 17]);
  });
  test("of arguments the lower half alone", () => {
    const upper = (i: number) =>
      encode([op(LD, 20 + i * 8), op(JEQ, 0, 1, 0), op(RET, NO), op(RET, YES)]);
    const high = 1n << 40n;
    expect(told(upper(0), 1, high)).toBe(NO);
    expect(told(lowerHalves(upper(0), [0]), 1, high)).toBe(YES);
    expect(told(lowerHalves(upper(0), [1, 2]), 1, high)).toBe(NO);
    const lower = encode([op(LD, 16), op(JEQ, 4, 1, 0), op(RET, NO), op(RET, YES)]);
    expect(told(lowerHalves(lower, [0]), 1, high | 4n)).toBe(YES);
  });
});

test("user namespaces are denied by whatever ends or refuses the call, and by what the supervisor refuses", () => {
  const says = (k: number) => encode([op(RET, k)]);
  const ends = [0, 0x80000000, 0x00030000, 0x00050001, 0x00050026];
  const lets = [0x7fff0000, 0x7ffc0000, 0x7ff00000, 0x7fc00000];
  for (const k of ends)
    expect([k, deniesUserNamespaces({ seccomp: says(k), told: undefined })]).toEqual([k, true]);
  for (const k of lets)
    expect([k, deniesUserNamespaces({ seccomp: says(k), told: undefined })]).toEqual([k, false]);
  const told = (k: number) => ({
    seccomp: says(0x7fc00000),
    told: { all: true, verdicts: says(k), names: {} },
  });
  for (const k of [...ends, 0x7fc00000])
    expect([k, deniesUserNamespaces(told(k))]).toEqual([k, true]);
  for (const k of lets.slice(0, 3)) expect([k, deniesUserNamespaces(told(k))]).toEqual([k, false]);
  expect(deniesUserNamespaces({ seccomp: undefined, told: undefined })).toBe(false);
});

test("before anything is loaded, the kernel has 0", () => {
  const first = (k: number) =>
    verdictOf(encode([op(JEQ, k, 1, 0), op(RET, NO), op(RET, YES)]), 3, 5);
  expect([first(0), first(1)]).toEqual([YES, NO]);
  const all = (k: number) => returns(encode([op(JEQ, k, 1, 0), op(RET, NO), op(RET, YES)]));
  expect([all(0), all(1)]).toEqual([[YES], [NO]]);
});

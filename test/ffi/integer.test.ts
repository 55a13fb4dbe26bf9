/** What C would cut to another number is refused. */
import { expect, test } from "bun:test";
import { int32, pidOf, uint32, uint64 } from "../../ffi/integer.ts";

const table: readonly [
  name: string,
  as: (value: number) => number,
  fine: readonly number[],
  wrong: readonly number[],
][] = [
  [
    "int32",
    (value) => int32(value, "x"),
    [-(2 ** 31), -1, 0, 2 ** 31 - 1],
    [-(2 ** 31) - 1, 2 ** 31, 0.5, NaN, Infinity],
  ],
  ["uint32", (value) => uint32(value, "x"), [0, 2 ** 32 - 1], [-1, 2 ** 32, 0.5, NaN, -Infinity]],
  // 0 and negative numbers are groups of processes.
  ["a pid", pidOf, [1, 2 ** 31 - 1], [0, -1, 2 ** 31, 2 ** 32 + 1, 1.5, NaN]],
];

test.each(table)("%s", (_, as, fine, wrong) => {
  for (const value of fine) expect(as(value)).toBe(value);
  for (const value of wrong)
    expect(() => as(value)).toThrow(`${value} is not a whole number from `);
});

test("uint64", () => {
  for (const value of [0n, 1n, 2n ** 63n, 2n ** 64n - 1n]) expect(uint64(value)).toBe(value);
  for (const value of [-1n, 2n ** 64n])
    expect(() => uint64(value)).toThrow(`${value} does not fit into 64 unsigned bits`);
});

/** Plans that are none: nothing of them is done. */
import { describe, expect, test } from "bun:test";
import { HEADER_SIZE, OP, OP_HEADER_SIZE, type OpName, SHAPE } from "../../ffi/launcher/layout.ts";
import { isRoot } from "../accounts.ts";
import { assembled, type WrittenOp } from "../plan/ops.ts";
import { launch, NEW } from "./direct.ts";

const REFUSED = "PLAN_READ layout: 22";
const NEXT: WrittenOp = ["UMASK", 0];
async function outcome(plan: Uint8Array): Promise<string | undefined> {
  const { records, exit } = await launch([], { plan, argv: [] });
  const [first] = records;
  // Of what fails later the supervisor has told.
  expect(exit === 0).toBe(!first?.failure?.startsWith("PLAN_READ"));
  return first?.kind === "FAILED" ? `${first.failure}: ${first.error}` : first?.kind;
}
const all = async (plans: readonly Uint8Array[]) => {
  const found: (string | undefined)[] = [];
  // Some at a time.
  for (let i = 0; i < plans.length; i += 8)
    found.push(...(await Promise.all(plans.slice(i, i + 8).map(outcome))));
  return found;
};
/** A plan with a word of it changed: by its offset. */
const changed = (plan: Uint8Array, at: number, change: (word: number) => number): Uint8Array => {
  const other = Buffer.from(plan);
  other.writeUInt32LE(change(other.readUInt32LE(at)) >>> 0, at);
  return other;
};
const plus = (more: number) => (word: number) => word + more;
const resized = (plan: Uint8Array, length: number): Uint8Array => {
  const other = Buffer.alloc(length);
  other.set(plan.subarray(0, length));
  return length < HEADER_SIZE ? other : changed(other, 8, () => length);
};

/** So many numbers and strings; empty ones, which nothing is done with. */
const op = (name: OpName, numbers: number, strings: number): WrittenOp => [
  name,
  ...Array.from({ length: numbers }, () => 0),
  ...Array.from({ length: strings }, () => ""),
];

describe("a plan is refused", () => {
  const good = assembled([["CHDIR", "/usr"], NEXT]);
  test("where its head is not that of one", async () => {
    expect(await outcome(good)).toBe("STARTED");
    expect(await outcome(assembled([]))).toBe("STARTED");
    const heads = [0, 4, 8].flatMap((at) =>
      [1, -1, 8].map((more) => changed(good, at, plus(more))),
    );
    expect(await all(heads)).toEqual(heads.map(() => REFUSED));
    const known: number = Object.values(NEW).reduce((flags, one) => flags | one, 0);
    const others = Array.from({ length: 32 }, (_, i) => 1 << i).filter(
      (flag) => (flag & known) === 0,
    );
    const flags = others.map((flag) => assembled([NEXT], flag));
    expect(await all(flags)).toEqual(flags.map(() => REFUSED));
  });
  test("where it ends too early", async () => {
    expect(await outcome(new Uint8Array(0))).toBe("PLAN_READ mmap: 22");
    const cut = [1, HEADER_SIZE - 1, HEADER_SIZE + 8, HEADER_SIZE + OP_HEADER_SIZE].map((length) =>
      resized(good, length),
    );
    cut.push(
      resized(good, good.length - 8),
      resized(good, good.length - 1),
      resized(good, good.length + 8),
    );
    expect(await all(cut)).toEqual(cut.map(() => REFUSED));
  });
  test("where a step is not within it", async () => {
    const [size, count, bytes] = [HEADER_SIZE + 4, HEADER_SIZE + 8, HEADER_SIZE + 12] as const;
    const bad = [
      ...[4, 1, -8, 1 << 20].map((more) => changed(good, size, plus(more))),
      changed(good, size, () => 0),
      ...[1, 0x20000000, 0xffffffff].map((more) => changed(good, count, () => more)),
      ...[4, 8, 0x7fffffff, 0xffffffff].map((more) => changed(good, bytes, plus(more))),
    ];
    expect(await all(bad)).toEqual(bad.map(() => REFUSED));
  });
  test("where a string has no end, unless it is a program or a file", async () => {
    const text = Buffer.from("x");
    const bad: WrittenOp[] = [
      ["CHDIR", "/usr", text],
      ["SYMLINK", "a", "b", text],
      ["JOIN_NET", "", text],
    ];
    expect(await all(bad.map((one) => assembled([one])))).toEqual(bad.map(() => REFUSED));
    const programs: WrittenOp[] = [
      ["SECCOMP", text],
      ["VERDICTS", text],
      ["FILE", 0, 0, "/f", text],
    ];
    for (const one of programs) expect(await outcome(assembled([one]))).not.toBe(REFUSED);
    const listener: WrittenOp = ["SECCOMP_LISTENER", text];
    expect(await outcome(assembled([listener]))).toBe(REFUSED);
    expect(await outcome(assembled([["VERDICTS", text], listener]))).not.toBe(REFUSED);
  });

  const shapes = Object.entries(SHAPE) as [OpName, readonly [number, number]][];
  test("where a step lacks one of its numbers, or of its strings", async () => {
    const lacking = shapes.flatMap(([name, [numbers, strings]]) => [
      ...(numbers > 0 ? [op(name, numbers - 1, strings)] : []),
      ...(strings > 0 ? [op(name, numbers, strings - 1)] : []),
    ]);
    expect(lacking.length).toBeGreaterThan(shapes.length);
    expect(await all(lacking.map((one) => assembled([one])))).toEqual(lacking.map(() => REFUSED));
  });
  test("where what a file system is told is no pair", async () => {
    for (const strings of [3, 5])
      expect(await outcome(assembled([op("FSMOUNT", 1, strings)]))).toBe(REFUSED);
    for (const strings of [2, 4])
      expect(await outcome(assembled([op("FSMOUNT", 1, strings)]))).not.toBe(REFUSED);
  });
  test("and one with more than that is none of these", async () => {
    const more: WrittenOp[] = [["UMASK", 0, 1, 2], ["CHDIR", "/usr", "more"], ["SETGROUPS"]];
    const expected = isRoot ? ["STARTED", "STARTED", "STARTED"] : ["STARTED", "STARTED"];
    expect(await all(more.slice(0, expected.length).map((one) => assembled([one])))).toEqual(
      expected,
    );
    // A step that there is not, from a program that knows more.
    const unknown = changed(assembled([["LANDLOCK_APPLY"]]), HEADER_SIZE, () => OP.EXEC - 1);
    expect(await outcome(unknown)).toBe("undefined: 38");
  });
});

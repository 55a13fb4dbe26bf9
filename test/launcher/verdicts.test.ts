/** What the supervisor says to calls that are told: its interpreter of filters, instruction by instruction, and its answers. */
import { describe, expect, test } from "bun:test";
import { HANDOVER_CALL, OP_HEADER_SIZE } from "../../ffi/launcher/layout.ts";
import { Assembly } from "../../src/plan/assembly.ts";
import { encode, type Instruction } from "../../src/plan/bpf.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { launch } from "./direct.ts";

const [ACCT, SWAPOFF, GETPPID] = process.arch === "arm64" ? [89, 225, 173] : [163, 168, 110];
const ALLOW = 0x7fff0000;
const NOTIFY = 0x7fc00000;
const ERRNO = 0x00050000;
const LOG = 0x7ffc0000;
const TRAP = 0x00030000;
const KILL = 0x80000000;

/** Passes two calls on, and that by which the child hands the filter over. */
const filter = new Assembly()
  .load(0)
  .equal(HANDOVER_CALL, "told")
  .equal(ACCT, "told")
  .equal(SWAPOFF, "told")
  .answer(ALLOW)
  .label("told")
  .answer(NOTIFY)
  .program();
const plan = (verdicts: Uint8Array): WrittenOp[] => [
  ["VERDICTS", verdicts],
  ["NO_NEW_PRIVS"],
  ["SECCOMP_LISTENER", filter],
];

/** The errno of acct(2) with these arguments; 0 where it succeeds. */
const errnoOf = (verdicts: Uint8Array, ...args: number[]) => errnoIn(plan(verdicts), ...args);
async function errnoIn(ops: readonly WrittenOp[], ...args: number[]) {
  const script = `
import ctypes, sys
libc = ctypes.CDLL(None, use_errno=True)
r = libc.syscall(${ACCT}, *[ctypes.c_ulong(one) for one in (${[...args, 0].join(", ")},)])
print(ctypes.get_errno() if r < 0 else 0)`;
  const { stdout, records } = await launch(ops, { argv: ["/usr/bin/python3", "-ISc", script] });
  return stdout === "" ? records.at(-1)?.status : Number(stdout);
}

const op = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const RET_A = op(0x16);
const [IMM, LDX_IMM, TAX, TXA] = [
  (k: number) => op(0x00, k),
  (k: number) => op(0x01, k),
  op(0x07),
  op(0x87),
];
const OR_ERRNO = op(0x44, ERRNO);
/** A program that comes to an errno in A. */
const comesTo = (...code: Instruction[]) => encode([...code, OR_ERRNO, RET_A]);
const returns = (k: number) => encode([op(0x06, k)]);
/** 7 when it jumps, else 9. */
const jumps = (code: number, a: number, k: number, x = 0) =>
  encode([LDX_IMM(x), IMM(a), op(code, k, 1, 0), op(0x06, ERRNO | 9), op(0x06, ERRNO | 7)]);

test.each<[string, Uint8Array, number]>([
  ["a constant", comesTo(IMM(40)), 40],
  ["the other register", comesTo(LDX_IMM(41), TXA), 41],
  ["and back", comesTo(IMM(42), TAX, IMM(1), TXA), 42],
  ["the number of the call", comesTo(op(0x20, 0)), ACCT],
  ["the lower half of its first argument", comesTo(op(0x20, 16)), 11],
  ["the lower half of its third", comesTo(op(0x20, 32)), 13],
  ["the upper half of its last", comesTo(op(0x20, 60)), 0],
  ["its length", comesTo(op(0x80)), 64],
  ["its length in the other register", comesTo(op(0x81), TXA), 64],
  ["memory", comesTo(IMM(21), op(0x02, 15), IMM(22), op(0x02, 0), op(0x60, 15)), 21],
  [
    "memory of the other register",
    comesTo(LDX_IMM(23), op(0x03, 3), LDX_IMM(0), op(0x61, 3), TXA),
    23,
  ],
  ["memory that nothing was put in", comesTo(IMM(3), op(0x60, 7)), 0],
  ["add", comesTo(IMM(20), op(0x04, 5)), 25],
  ["add the other", comesTo(LDX_IMM(6), IMM(20), op(0x0c)), 26],
  ["subtract", comesTo(IMM(20), op(0x14, 5)), 15],
  ["multiply", comesTo(IMM(6), op(0x24, 7)), 42],
  ["divide", comesTo(IMM(43), op(0x34, 4)), 10],
  ["divide by the other", comesTo(LDX_IMM(5), IMM(43), op(0x3c)), 8],
  ["or", comesTo(IMM(5), op(0x44, 10)), 15],
  ["and", comesTo(IMM(13), op(0x54, 7)), 5],
  ["shift left", comesTo(IMM(3), op(0x64, 2)), 12],
  ["shift right", comesTo(IMM(13), op(0x74, 2)), 3],
  ["exclusive or", comesTo(IMM(13), op(0xa4, 7)), 10],
  ["negate", comesTo(IMM(0xfffffff0), op(0x84)), 16],
  ["shift by the lower five bits", comesTo(LDX_IMM(33), IMM(3), op(0x6c)), 6],
  ["shift right by the lower five bits", comesTo(LDX_IMM(33), IMM(6), op(0x7c)), 3],
  ["jump on", encode([op(0x05, 1), op(0x06, ERRNO | 9), op(0x06, ERRNO | 7)]), 7],
  ["equal", jumps(0x15, 5, 5), 7],
  ["not equal", jumps(0x15, 5, 6), 9],
  ["equal to the other", jumps(0x1d, 5, 6, 5), 7],
  ["not greater", jumps(0x25, 5, 5), 9],
  ["greater", jumps(0x25, 6, 5), 7],
  ["greater, without a sign", jumps(0x25, 0x80000000, 5), 7],
  ["not greater or equal", jumps(0x35, 4, 5), 9],
  ["greater or equal", jumps(0x35, 5, 5), 7],
  ["a bit of it", jumps(0x45, 6, 4), 7],
  ["no bit of it", jumps(0x45, 6, 9), 9],
])("%s", async (_, verdicts, errno) => {
  expect(await errnoOf(verdicts, 11, 12, 13)).toBe(errno);
});

describe("what is answered", () => {
  test.each([
    ["an errno", ERRNO | 5, 5],
    ["an errno of 0, which is success", ERRNO, 0],
    ["the greatest errno", ERRNO | 4095, 4095],
    ["one beyond, as the kernel does", ERRNO | 4096, 4095],
    ["far beyond", ERRNO | 0xffff, 4095],
    ["EPERM to what is to be told", NOTIFY, 1],
    ["ENOSYS to what is allowed, though it does not exist", ALLOW, 38],
  ])("%s", async (_, action, errno) => {
    expect(await errnoOf(returns(action))).toBe(errno);
  });
  const SIGSYS = 31;
  test.each([
    ["KILL_PROCESS", KILL],
    ["KILL_THREAD", 0],
    ["TRAP", TRAP],
    ["what is no action", 0x12340000],
  ])("%s ends it", async (_, action) => {
    expect(await errnoOf(returns(action))).toBe(SIGSYS);
  });
  test.each([
    ["divides by 0", comesTo(LDX_IMM(0), IMM(1), op(0x3c))],
    ["reads behind the call", comesTo(op(0x20, 64))],
    ["has no end", encode([IMM(1)])],
    ["has an instruction of the network", comesTo(op(0x28, 0))],
    ["has arithmetic that there is not", comesTo(op(0x94, 3))],
  ])("a program that %s ends it", async (_, verdicts) => {
    expect(await errnoOf(verdicts)).toBe(SIGSYS);
  });
  test("a program that has no end goes on with nothing that lies behind it", async () => {
    const [first, ...rest] = plan(encode([IMM(1)]));
    // As an instruction it would be a return, of its size.
    const size = ERRNO + 8;
    const next: WrittenOp = ["SHARED_PLACES", "x".repeat(size - OP_HEADER_SIZE - 1)];
    expect(await errnoIn([first as WrittenOp, next, ...rest])).toBe(SIGSYS);
  });
  test("LOG lets it go on, to the kernel", async () => {
    // acct(2) of a file that there is not.
    expect([1, 2, 14]).toContain((await errnoOf(returns(LOG), 1)) as number);
  });
});

test("calls are counted by their number, denied and logged apart, and what ended the command is told", async () => {
  const verdicts = new Assembly()
    .load(0)
    .equal(ACCT, "denied")
    .answer(LOG)
    .label("denied")
    .answer(ERRNO | 5)
    .program();
  const script = `
import ctypes
libc = ctypes.CDLL(None)
for i in range(7): libc.syscall(${ACCT}, 0)
for i in range(3): libc.syscall(${SWAPOFF}, 0)
for i in range(2): libc.syscall(${GETPPID})`;
  const { records } = await launch(plan(verdicts), { argv: ["/usr/bin/python3", "-ISc", script] });
  expect(records.map(({ kind, counts }) => [kind, ...counts])).toEqual([
    ["STARTED"],
    ["DENIED", [ACCT, 7]],
    ["LOGGED", [SWAPOFF, 3]],
    ["ENDED"],
  ] as never);
  const fatal = await launch(plan(returns(KILL)), { argv: ["/usr/bin/python3", "-ISc", script] });
  expect(fatal.records.at(-1)).toMatchObject({
    kind: "ENDED",
    status: SIGSYS_STATUS,
    error: 1,
    op: ACCT,
  });
});
const SIGSYS_STATUS = 31;

test("for a thread its process is ended, and no other, whatever digits its number has", async () => {
  const script = `
import ctypes, os, threading
libc = ctypes.CDLL(None)
child = os.fork()
if child == 0:
    thread = threading.Thread(target=libc.syscall, args=(${ACCT}, 0))
    thread.start(); thread.join(); print("after", flush=True); os._exit(0)
print(child, os.waitpid(child, 0)[1])`;
  // Of ten in a row one has a 0.
  for (let pid = ""; !pid.includes("0");) {
    const argv = ["/usr/bin/python3", "-ISc", script];
    const { records, stdout } = await launch(plan(returns(KILL)), { argv });
    const [child = "", ...status] = stdout.trim().split(" ");
    expect(status).toEqual(["9"]);
    expect(records.at(-1)).toMatchObject({ kind: "ENDED", status: 0 });
    pid = child;
  }
});

test("each number is counted, from 0 to the last one that a call can have, and those behind it together", async () => {
  // Of call 0, which a program cannot do without, only what no program asks for.
  const some = encode([
    op(0x20, 0),
    op(0x35, 600, 4, 0),
    op(0x15, 0, 1, 0),
    op(0x06, ALLOW),
    op(0x20, 16),
    op(0x15, 999, 0, 1),
    op(0x06, NOTIFY),
    op(0x06, ALLOW),
  ]);
  const script = `
import ctypes
libc = ctypes.CDLL(None)
for i in range(3): libc.syscall(0, 999, 0, 0)
for number in (*range(600, 630), 1023, 1023, 1024, 9999): libc.syscall(number, 0)`;
  const { records } = await launch(
    [["VERDICTS", returns(ERRNO | 5)], ["NO_NEW_PRIVS"], ["SECCOMP_LISTENER", some]],
    { argv: ["/usr/bin/python3", "-ISc", script] },
  );
  const expected = [
    [0, 3],
    ...Array.from({ length: 30 }, (_, i) => [600 + i, 1]),
    [1023, 2],
    [1024, 2],
  ];
  // As many as a record has room for.
  expect(records.map(({ kind, counts }) => [kind, ...counts])).toEqual([
    ["STARTED"],
    ["DENIED", ...expected.slice(0, 26)],
    ["DENIED", ...expected.slice(26)],
    ["ENDED"],
  ] as never);
});

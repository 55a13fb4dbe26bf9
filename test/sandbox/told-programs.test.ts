/**
 * The supervisor runs a filter as the kernel does: programs made at random give the same answers to the same calls, told
 * (the launcher's interpreter) and not told (the kernel's).
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { WireStatus } from "../../src/api/status.ts";
import { encode, type Instruction, validateProgram } from "../../src/plan/bpf.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { parseAction } from "../../src/plan/seccomp-action.ts";
import { users } from "../served.ts";
import { serving } from "../serving.ts";
import { rowsOf } from "../thinned.ts";
import { acls, python, py, serveSandboxes } from "./attack.ts";

const PROGRAMS = 12;
const at = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const ret = (action: string) => at(0x06, parseAction(action));
const numberOf = (name: string) => thisMachine().syscall(name) ?? -1;

/** mulberry32: the same programs in each run, so that a failure can be looked into. */
function random(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** One of what the kernel takes; `left` instructions follow before the end of the block. */
function instruction(below: (n: number) => number, left: number): Instruction {
  const pick = (codes: readonly number[]) => codes[below(codes.length)] ?? 0;
  const k = below(4) === 0 ? below(64) : below(2 ** 32);
  const kinds: (() => Instruction)[] = [
    // Not the instruction pointer, which differs from run to run.
    () => at(0x20, pick([0, 4])),
    () => at(0x20, 16 + below(12) * 4),
    () => at(pick([0x00, 0x01]), k),
    () => at(pick([0x80, 0x81, 0x07, 0x87, 0x84])),
    () => at(pick([0x02, 0x03, 0x60, 0x61]), below(4)),
    () => at(pick([0x04, 0x14, 0x24, 0x44, 0x54, 0xa4]), k),
    () => at(pick([0x0c, 0x1c, 0x2c, 0x4c, 0x5c, 0x6c, 0x7c, 0xac])),
    () => at(pick([0x64, 0x74]), below(32)),
    () => at(0x34, 1 + below(1000)),
    () => at(0x05, below(left)),
    () => at(pick([0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d]), k, below(left), below(left)),
  ];
  return (kinds[below(kinds.length)] ?? (() => at(0x00)))();
}

/** A 32-bit result, all of whose bits decide on one of 64 numbers. Uses slot 4 and X. */
const FOLD = [16, 8].flatMap((bits) => [
  at(0x02, 4),
  at(0x74, bits),
  at(0x07),
  at(0x60, 4),
  at(0xac),
]);
const ANSWERS = [
  at(0x54, 63),
  ...Array.from({ length: 64 }, (_, i) => [at(0x15, i, 0, 1), ret(`ERRNO(${i + 1})`)]).flat(),
  ret("ERRNO(100)"),
];

/** Lets everything pass but acct(2), which fails with an errno that `decision` leaves. */
function onAcct(decision: readonly Instruction[]): Uint8Array {
  const head = [at(0x20, 0), at(0x15, numberOf("acct"), 1, 0), ret("ALLOW")];
  const whole = encode([...head, ...decision, ...ANSWERS]);
  validateProgram(whole);
  return whole;
}

function randomProgram(seed: number): Uint8Array {
  const below = random(seed);
  const LENGTH = 60;
  // Slots that are written, and a divisor that is not zero.
  const start = [0, 1, 2, 3].flatMap((slot) => [at(0x20, 16 + slot * 8), at(0x02, slot)]);
  const block = Array.from({ length: LENGTH }, (_, i) => instruction(below, LENGTH - i));
  const divide = [at(0x02, 5), at(0x87), at(0x44, 1), at(0x07), at(0x60, 5), at(0x3c)];
  return onAcct([...start, ...block, ...divide, ...FOLD]);
}

/** Each instruction by itself, on A and X from the first two arguments; the sixth says which. */
const SINGLE: readonly (readonly Instruction[])[] = [
  ...[0x04, 0x14, 0x24, 0x34, 0x44, 0x54, 0xa4].flatMap((code) => [
    [at(code, 0x80000001)],
    [at(code, 3)],
    [at(code | 0x08)],
  ]),
  ...[0x64, 0x74].flatMap((code) => [[at(code, 31)], [at(code, 1)], [at(code | 0x08)]]),
  [at(0x84)],
  [at(0x87)],
  [at(0x07), at(0x00, 9), at(0x0c)],
  [at(0x00, 0x87654321)],
  [at(0x01, 0x87654321), at(0x87)],
  [at(0x80)],
  [at(0x81), at(0x87)],
  [at(0x02, 15), at(0x00), at(0x60, 15)],
  [at(0x03, 7), at(0x61, 7), at(0x87)],
  ...[0x15, 0x25, 0x35, 0x45].flatMap((code) =>
    [at(code, 3, 0, 1), at(code, 0x80000000, 0, 1), at(code | 0x08, 0, 0, 1)].map((branch) => [
      branch,
      at(0x00, 1),
      at(0x44, 2),
    ]),
  ),
  [at(0x05, 1), at(0x00), at(0x44, 4)],
  ...Array.from({ length: 12 }, (_, i) => [at(0x20, 16 + i * 4)]),
  [at(0x20, 0)],
  [at(0x20, 4)],
];
function singleProgram(): Uint8Array {
  // X is never zero, which would end it; the end of a block is found from its distance to the end of all.
  const blocks = SINGLE.map((single) => [
    at(0x20, 24),
    at(0x44, 1),
    at(0x07),
    at(0x20, 16),
    ...single,
    ...FOLD,
  ]);
  let left = blocks.reduce((sum, block) => sum + block.length + 3, 0);
  const decision = blocks.flatMap((block, i) => {
    left -= block.length + 3;
    return [at(0x20, 56), at(0x15, i, 0, block.length + 1), ...block, at(0x05, left)];
  });
  return onAcct(decision);
}

const only = (name: string, ...then: Instruction[]) =>
  encode([at(0x20, 0), at(0x15, numberOf(name), 0, then.length), ...then, ret("ALLOW")]);
const FILES: Readonly<Record<string, Uint8Array>> = {
  ...Object.fromEntries(
    Array.from({ length: PROGRAMS }, (_, i) => [`random${i}`, randomProgram(i + 1)]),
  ),
  single: singleProgram(),
  zero: only("acct", at(0x01, 0), at(0x3c), ret("ERRNO(1)")),
  // Errno 0: the call does nothing and succeeds.
  nothing: only("acct", at(0x06, 0x00050000)),
  kill: only("acct", at(0x06, 0x80000000)),
  notify: only("acct", at(0x06, 0x7fc00000)),
  foreign: encode([
    at(0x20, 4),
    at(0x15, process.arch === "x64" ? 0xc000003e : 0xc00000b7, 1, 0),
    ret("KILL_PROCESS"),
    at(0x20, 0),
    at(0x35, 0x40000000, 0, 1),
    ret("KILL_PROCESS"),
    ret("ALLOW"),
  ]),
};

/**
 * Makes calls with arguments of all sizes; the last says which of `kinds`. Prints for each kind a checksum of the errnos, then which
 * errnos there were.
 */
const calls = (count: number, kinds: number) => `
import random, zlib
random.seed(7)
edges = [0, 1, 2, 3, 4, 31, 32, 33, 0x7fffffff, 0x80000000, 0x80000001, 0xffffffff]
def value():
    return random.choice(edges) if random.random() < 0.4 else random.getrandbits(random.choice((8, 31, 32, 33, 64)))
def tried(kind):
    arguments = [ctypes.c_ulong(value()) for _ in range(5)] + [ctypes.c_ulong(kind)]
    ctypes.set_errno(0)
    libc.syscall(ctypes.c_long(NUMBERS["acct"][ARM]), *arguments)
    return ctypes.get_errno()
every = set()
for kind in range(${kinds}):
    seen = [tried(kind) for _ in range(${count})]
    every.update(seen)
    print(kind, zlib.crc32(repr(seen).encode()))
print(*every)`;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-programs-"));
  chmodSync(dir, 0o755);
  for (const [name, content] of Object.entries(FILES)) writeFileSync(join(dir, name), content);
});
afterAll(() => rmSync(dir, { recursive: true }));

describe.each(users)("served by %s", (user) => {
  const served = serving(() => {
    const sandboxes = Object.keys(FILES).flatMap((name) =>
      [true, false].map((report) => ({
        uid: report ? name : `${name}-untold`,
        acls,
        seccomp: { rulespath: join(dir, name), report },
        commands: python,
      })),
    );
    return serveSandboxes(sandboxes, { user });
  });
  const run = async (sandbox: string, script: string) => {
    const { lines, status } = await py(served, sandbox, script);
    return { lines, ...(status as WireStatus) };
  };

  /** The errnos that there were; the supervisor and the kernel must have given the same to each call. */
  async function compared(sandbox: string, count: number, kinds: number): Promise<string[]> {
    const script = calls(count, kinds);
    const [told, untold] = await Promise.all([
      run(sandbox, script),
      run(`${sandbox}-untold`, script),
    ]);
    expect(told.lines, sandbox).toEqual(untold.lines);
    expect(told).toMatchObject({ exit: 0, denied: { acct: count * kinds } });
    expect(untold.denied).toBeUndefined();
    return told.lines.at(-1)?.split(" ") ?? [];
  }

  const row = rowsOf(user, users);
  row(
    "[system calls] the supervisor understands each instruction of a filter as the kernel does",
    async () => {
      expect(await compared("single", 100, SINGLE.length)).toHaveLength(64);
    },
  );

  row(
    "[system calls] random filters say the same to the supervisor and to the kernel",
    async () => {
      const different = new Set<string>();
      for (let i = 0; i < PROGRAMS; i++)
        for (const errno of await compared(`random${i}`, 200, 1)) different.add(errno);
      // Programs that decided nothing would prove nothing.
      expect(different.size).toBeGreaterThan(32);
    },
  );

  test("a division by zero kills, and is the kernel's to find", async () => {
    const script = `call("acct", 0); print("after")`;
    for (const sandbox of ["zero", "zero-untold"]) {
      const seen = await run(sandbox, script);
      expect(seen).toMatchObject({ lines: [], signal: "Bad system call", cause: "seccomp" });
      expect(seen.syscall).toBeUndefined();
    }
  });

  test("errno 0, KILL_PROCESS and USER_NOTIF of a compiled filter", async () => {
    const script = `print(call("acct", 0))`;
    expect(await run("nothing", script)).toMatchObject({ lines: ["ok"], denied: { acct: 1 } });
    expect(await run("kill", script)).toMatchObject({ signal: "Bad system call", syscall: "acct" });
    for (const sandbox of ["notify", "notify-untold"])
      expect(await run(sandbox, script)).toMatchObject({ lines: ["EPERM"], denied: { acct: 1 } });
  });

  test.skipIf(process.arch !== "x64")("calls of other ABIs do not get names of ours", async () => {
    expect(await run("foreign", "call(0x40000000 + 39)")).toMatchObject({
      signal: "Bad system call",
      syscall: `syscall ${0x40000000 + 39}`,
      denied: { other: 1 },
    });
    const i386 = `
import mmap
code = mmap.mmap(-1, 4096, prot=7)
code.write(bytes.fromhex("b814000000cd80c3"))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()`;
    // A kernel without 32-bit emulation has no int 0x80.
    const untold = await run("foreign-untold", i386);
    expect(await run("foreign", i386)).toMatchObject(
      untold.signal === "Segmentation fault"
        ? { signal: "Segmentation fault" }
        : {
            signal: "Bad system call",
            syscall: "syscall 20 of another ABI",
            denied: { other: 1 },
          },
    );
  });
});

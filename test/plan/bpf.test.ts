/** Programs of seccomp: what the kernel takes, what is made of them, and what they say, instruction by instruction. */
import { describe, expect, test } from "bun:test";
import {
  chain,
  chooseFirst,
  decode,
  encode,
  type Instruction,
  lowerHalves,
  mapReturns,
  validateProgram,
  verdictOf,
} from "../../src/plan/bpf.ts";
import {
  errnoAction,
  isErrno,
  isTellable,
  kindOf,
  mayGoOn,
  parseAction,
  passes,
} from "../../src/plan/seccomp-action.ts";
import { parseSize } from "../../src/plan/size.ts";
import {
  capabilityName,
  capabilityNumber,
  capabilityNumbers,
  capabilityShort,
  capabilityWords,
  rlimitWords,
} from "../../src/plan/words.ts";

const op = (code: number, k = 0, jt = 0, jf = 0): Instruction => ({ code, jt, jf, k });
const [LD, IMM, MEM, MEMX, ST, STX] = [0x20, 0x00, 0x60, 0x61, 0x02, 0x03] as const;
const [RET, RETA, JA, AND, DIV, LSH, RSH] = [0x06, 0x16, 0x05, 0x54, 0x34, 0x64, 0x74] as const;
const [JEQ, JGT, JGE, JSET] = [0x15, 0x25, 0x35, 0x45] as const;
const pass = op(RET, 7);

test("bytes are the kernel's", () => {
  const code = [op(0x1234, 0x89abcdef, 5, 6), op(RET, 1)];
  const bytes = encode(code);
  expect(Buffer.from(bytes).toString("hex")).toBe("34120506efcdab890600000001000000");
  expect(decode(bytes)).toEqual(code);
  const within = new Uint8Array(24);
  within.set(bytes, 8);
  expect(decode(within.subarray(8))).toEqual(code);
});

describe("what the kernel takes", () => {
  const fault = (...code: Instruction[]): string => {
    try {
      validateProgram(encode(code));
      return "fine";
    } catch (error) {
      return (error as Error).message;
    }
  };
  test.each<[Instruction[], string]>([
    [[op(LD, 60), pass], "fine"],
    [
      [op(LD, 62), pass],
      "instruction 0 (code 0x20): loads from offset 62, which is not a multiple of 4",
    ],
    [[op(LD, 64), pass], "instruction 0 (code 0x20): loads from offset 64; the last word is at 60"],
    [[op(JA, 0), pass], "fine"],
    [[op(JA, 1), pass], "instruction 0 (code 0x05): jumps to 2, behind the end"],
    ...[0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d].flatMap(
      (code): [Instruction[], string][] => {
        const hex = code.toString(16);
        return [
          [[op(code, 0, 1, 0), pass, pass], "fine"],
          [[op(code, 0, 0, 1), pass, pass], "fine"],
          [
            [op(code, 0, 2, 0), pass, pass],
            `instruction 0 (code 0x${hex}): jumps to 3, behind the end`,
          ],
          [
            [op(code, 0, 0, 2), pass, pass],
            `instruction 0 (code 0x${hex}): jumps to 3, behind the end`,
          ],
        ];
      },
    ),
    [[op(DIV, 1), pass], "fine"],
    [[op(DIV, 0), pass], "instruction 0 (code 0x34): divides by zero"],
    [[op(0x3c, 0), pass], "fine"],
    ...[LSH, RSH].flatMap((code): [Instruction[], string][] => [
      [[op(code, 31), pass], "fine"],
      [[op(code, 32), pass], `instruction 0 (code 0x${code.toString(16)}): shifts by 32 bits`],
    ]),
    [[op(ST, 15), pass], "fine"],
    ...[ST, STX, MEM, MEMX].map((code): [Instruction[], string] => [
      [op(code, 16), pass],
      `instruction 0 (code 0x${code.toString(16).padStart(2, "0")}): uses memory slot 16 of 16`,
    ]),
    [[op(0x99), pass], "instruction 0 (code 0x99): seccomp has no such instruction"],
    [[pass, op(RETA)], "fine"],
    [[pass, op(AND)], "instruction 1 (code 0x54): the last instruction must be a return"],
    [
      [op(MEM, 3), pass],
      "instruction 0 (code 0x60): reads memory slot 3 before anything is written there",
    ],
    [[op(ST, 3), op(MEM, 3), op(MEMX, 3), pass], "fine"],
    [[op(STX, 0), op(MEM, 0), pass], "fine"],
    [
      [op(ST, 2), op(MEM, 3), pass],
      "instruction 1 (code 0x60): reads memory slot 3 before anything is written there",
    ],
    // By one of its ways only.
    [
      [op(JEQ, 0, 0, 1), op(ST, 3), op(MEM, 3), pass],
      "instruction 2 (code 0x60): reads memory slot 3 before anything is written there",
    ],
    [[op(JEQ, 0, 0, 2), op(ST, 3), op(JA, 1), op(ST, 3), op(MEM, 3), pass], "fine"],
    [
      [op(JEQ, 0, 1, 0), op(ST, 3), op(MEMX, 3), pass],
      "instruction 2 (code 0x61): reads memory slot 3 before anything is written there",
    ],
    [
      [op(JEQ, 0, 0, 2), op(ST, 3), op(JA, 1), op(ST, 4), op(MEM, 4), pass],
      "instruction 4 (code 0x60): reads memory slot 4 before anything is written there",
    ],
    // What comes behind a jump is reached by others alone.
    [[op(ST, 3), op(JA, 1), pass, op(MEM, 3), pass], "fine"],
  ])("%j: %s", (code, expected) => {
    expect(fault(...code)).toBe(expected);
  });
  test.each([
    0x00, 0x01, 0x80, 0x81, 0x07, 0x87, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c,
    0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0xa4, 0xac, 0x84,
  ])("0x%x", (code) => {
    expect(fault(op(code, 1), pass)).toBe("fine");
  });
  test("of a length", () => {
    const many = (count: number) => fault(...Array.from({ length: count }, () => pass));
    expect([many(4096), many(4097)]).toEqual(["fine", "it has 4097 instructions; at most 4096"]);
    for (const bytes of [0, 7, 9])
      expect(() => validateProgram(new Uint8Array(bytes))).toThrow(
        `it is not compiled BPF: ${bytes} bytes, expected a multiple of 8`,
      );
  });
});

describe("what is made of programs", () => {
  test("one behind another", () => {
    const first = encode([op(JEQ, 5, 1, 0), op(RET, 1), op(RET, 2), op(RETA, 1)]);
    expect(decode(chain(first, 1, encode([op(LD, 0), pass])))).toEqual([
      ...[op(JEQ, 5, 1, 0), op(JA, 2), op(RET, 2), op(RETA, 1), op(LD, 0), pass],
    ]);
    const long = encode(Array.from({ length: 4096 }, () => pass));
    expect(() => chain(long, 1, encode([pass]))).toThrow("at most 4096");
    expect(() => chooseFirst(1, 2, long)).toThrow("at most 4096");
  });
  test("an answer of its own to one call", () => {
    expect(decode(chooseFirst(39, 9, encode([pass])))).toEqual([
      ...[op(LD, 0), op(JEQ, 39, 0, 1), op(RET, 9), pass],
    ]);
  });
  test("other answers", () => {
    const program = encode([op(LD, 7), op(RETA, 7), op(RET, 7), op(RET, 8)]);
    expect(decode(mapReturns(program, (action) => action + 10))).toEqual([
      ...[op(LD, 7), op(RETA, 7), op(RET, 17), op(RET, 18)],
    ]);
  });
  test("arguments of 32 bits", () => {
    const program = encode([op(LD, 16), op(LD, 20), op(LD, 28), op(LD, 60), op(JEQ, 20), pass]);
    expect(decode(lowerHalves(program, [0, 5]))).toEqual([
      ...[op(LD, 16), op(IMM, 0), op(LD, 28), op(IMM, 0), op(JEQ, 20), pass],
    ]);
    expect(lowerHalves(program, [])).toEqual(program);
  });
});

describe("what a program says to a call", () => {
  const of = (...code: Instruction[]) => verdictOf(encode(code), 5, 0xc000003e);
  const [yes, no] = [op(RET, 1), op(RET, 2)];
  test.each<[string, Instruction[], number | undefined]>([
    ["at once", [yes], 1],
    ["after a jump", [op(JA, 1), no, yes], 1],
    ["by its number", [op(LD, 0), op(JEQ, 5, 0, 1), yes, no], 1],
    ["by its architecture", [op(LD, 4), op(JEQ, 0xc000003e, 0, 1), yes, no], 1],
    ["by neither", [op(JEQ, 0, 0, 1), yes, no], 1],
    ["not that one", [op(LD, 0), op(JEQ, 6, 0, 1), yes, no], 2],
    ["greater", [op(LD, 0), op(JGT, 4, 0, 1), yes, no], 1],
    ["not greater", [op(LD, 0), op(JGT, 5, 0, 1), yes, no], 2],
    ["as great", [op(LD, 0), op(JGE, 5, 0, 1), yes, no], 1],
    ["not as great", [op(LD, 0), op(JGE, 6, 0, 1), yes, no], 2],
    ["with a bit", [op(LD, 0), op(JSET, 4, 0, 1), yes, no], 1],
    ["without", [op(LD, 0), op(JSET, 2, 0, 1), yes, no], 2],
    ["with the highest", [op(LD, 4), op(JSET, 0x80000000, 0, 1), yes, no], 1],
    ["by an argument", [op(LD, 16), yes], undefined],
    ["by reckoning", [op(AND, 1), yes], undefined],
    ["by what it has loaded", [op(RETA)], undefined],
    ["nothing", [op(LD, 0)], undefined],
    ["behind its end", [op(JA, 5)], undefined],
  ])("%s", (_what, code, expected) => {
    expect(of(...code)).toBe(expected as number);
  });
});

describe("answers", () => {
  test.each<[string, number]>([
    ["KILL", 0],
    ["SCMP_ACT_KILL_THREAD", 0],
    ["scmp_act_kill_process", 0x80000000],
    [" trap ", 0x30000],
    ["NOTIFY", 0x7fc00000],
    ["LOG", 0x7ffc0000],
    ["ALLOW", 0x7fff0000],
    ["ERRNO(EPERM)", 0x50001],
    ["errno ( enosys )", 0x50026],
    ["ERRNO(1)", 0x50001],
    ["ERRNO(4094)", 0x50ffe],
  ])("%s", (text, action) => {
    expect(parseAction(text)).toBe(action);
  });
  test.each([
    ["ERRNO(0)", 'unknown errno 0 in "ERRNO(0)": a name such as EPERM, or 1 to 4094'],
    ["ERRNO(4095)", 'unknown errno 4095 in "ERRNO(4095)": a name such as EPERM, or 1 to 4094'],
    ["errno(EX)", 'unknown errno EX in "errno(EX)": a name such as EPERM, or 1 to 4094'],
    [
      "ALOW",
      'unknown action "ALOW"; did you mean `ALLOW`? SCMP_ACT_ KILL, KILL_THREAD, KILL_PROCESS, TRAP, NOTIFY, LOG, ALLOW or ERRNO(EPERM)',
    ],
    [
      "x",
      'unknown action "x": SCMP_ACT_ KILL, KILL_THREAD, KILL_PROCESS, TRAP, NOTIFY, LOG, ALLOW or ERRNO(EPERM)',
    ],
  ])("%s is none", (text, why) => {
    expect(() => parseAction(text)).toThrow(new Error(why));
  });
  test("what each is", () => {
    const all = [
      0,
      0x80000001,
      0x30001,
      errnoAction(5),
      0x7fc00000,
      0x7ff00000,
      0x7ffc0000,
      0x7fff0000,
    ];
    expect(all.map(isErrno)).toEqual([false, false, false, true, false, false, false, false]);
    expect(all.map(kindOf)).toEqual([
      ...[0, 0x80000000, 0x30000, 0x50000, 0x7fc00000, 0x7ff00000, 0x7ffc0000, 0x7fff0000],
    ]);
    expect(all.map(isTellable)).toEqual([true, true, false, true, false, false, true, false]);
    expect(all.map(mayGoOn)).toEqual([false, false, false, false, false, true, true, true]);
    expect(all.map(passes)).toEqual([false, false, false, false, false, false, true, true]);
  });
});

describe("words and sizes", () => {
  test("of limits", () => {
    expect([0, 1, 4, 6, 7, 8, 9, 14, 99].map((resource) => rlimitWords(resource, 5n))).toEqual([
      "at most 5 CPU seconds",
      "at most 5 bytes of a file",
      "at most 5 bytes of a core file",
      "at most 5 processes of the user",
      "at most 5 open files",
      "at most 5 bytes of locked memory",
      "at most 5 bytes of address space",
      "at most 5 of real-time priority",
      "at most 5 resource 99",
    ]);
    expect([rlimitWords(7, -1n), rlimitWords(7, 0n)]).toEqual([
      ...["any number of open files", "at most 0 open files"],
    ]);
  });
  test("of capabilities", () => {
    expect([12, 0, 41].map(capabilityWords)).toEqual([
      ...["NET_ADMIN (configure the network)", "CHOWN (give files to others)", "capability 41"],
    ]);
    expect([12, 41].map(capabilityName)).toEqual(["CAP_NET_ADMIN", "capability 41"]);
    expect([12, 41].map(capabilityShort)).toEqual(["NET_ADMIN", "capability 41"]);
    expect([capabilityNumber("CHOWN"), capabilityNumber("BPF")]).toEqual([0, 39]);
    expect(() => capabilityNumber("X")).toThrow("no capability X");
    expect(capabilityNumbers(["CHOWN", "BPF"])).toEqual(new Set([0, 39]));
  });
  test("of bytes", () => {
    const largest = `${2n ** 64n - 2n}`;
    const all = ["0", "5", "1k", "2M", "3g", largest].map(parseSize);
    expect(all).toEqual([0n, 5n, 1024n, 2n << 20n, 3n << 30n, 2n ** 64n - 2n]);
    expect(["", "k", "1t", "1 k", "-1", "1.5"].map(parseSize)).toEqual(Array(6).fill(undefined));
    expect(() => parseSize(`${2n ** 64n - 1n}`)).toThrow(
      '"18446744073709551615" is more than the kernel counts with 64 bits: at most 18446744073709551614',
    );
  });
});

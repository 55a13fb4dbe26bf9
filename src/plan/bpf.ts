/**
 * What the kernel demands of a seccomp program, checked before it gets there: an EINVAL of the launcher would not say
 * which instruction is wrong. Follows seccomp(2) and the checks of the kernel on classic BPF (net/core/filter.c,
 * kernel/seccomp.c).
 */

/** struct sock_filter { u16 code; u8 jt, jf; u32 k } */
export const INSTRUCTION_BYTES = 8;
/** BPF_MAXINSNS. */
export const MAX_INSTRUCTIONS = 4096;
/** sizeof(struct seccomp_data): nr, arch, instruction pointer, six arguments. */
const DATA_BYTES = 64;
/** BPF_MEMWORDS: slots of the scratch memory. */
const MEMORY_SLOTS = 16;

export interface Instruction {
  readonly code: number;
  readonly jt: number;
  readonly jf: number;
  readonly k: number;
}

const LD_IMMEDIATE = 0x00;
const LD_ABS = 0x20;
const LD_MEM = 0x60;
const LDX_MEM = 0x61;
const ST = 0x02;
const STX = 0x03;
export const JA = 0x05;
export const RET_K = 0x06;
export const RET_A = 0x16;
const JEQ_K = 0x15;
const JGT_K = 0x25;
const JGE_K = 0x35;
const JSET_K = 0x45;
const DIV_K = 0x34;
/** LSH|K, RSH|K */
const SHIFTS = new Set([0x64, 0x74]);
/** JEQ, JGT, JGE, JSET, each with K and X. */
const BRANCHES = new Set([0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d]);
/** Loads of immediates and lengths, TAX, TXA, and arithmetic: ADD SUB MUL DIV OR AND LSH RSH XOR with K and X, NEG. */
const PLAIN = new Set([
  0x00, 0x01, 0x80, 0x81, 0x07, 0x87, 0x04, 0x0c, 0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c,
  0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0xa4, 0xac, 0x84,
]);

export function decode(program: Uint8Array): Instruction[] {
  const view = new DataView(program.buffer, program.byteOffset, program.byteLength);
  return Array.from({ length: program.length / INSTRUCTION_BYTES }, (_, i) => {
    const at = i * INSTRUCTION_BYTES;
    return {
      code: view.getUint16(at, true),
      jt: view.getUint8(at + 2),
      jf: view.getUint8(at + 3),
      k: view.getUint32(at + 4, true),
    };
  });
}

/** The program's bytes; the inverse of {@link decode}. */
export function encode(instructions: readonly Instruction[]): Uint8Array {
  const program = new Uint8Array(instructions.length * INSTRUCTION_BYTES);
  const view = new DataView(program.buffer);
  instructions.forEach(({ code, jt, jf, k }, i) => {
    const at = i * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, jt);
    view.setUint8(at + 3, jf);
    view.setUint32(at + 4, k, true);
  });
  return program;
}

/** @throws Error naming the first instruction that the kernel would refuse, counted from 0. */
export function validateProgram(program: Uint8Array): void {
  const { length } = program;
  if (length === 0 || length % INSTRUCTION_BYTES !== 0) {
    throw new Error(
      `it is not compiled BPF: ${length} bytes, expected a multiple of ${INSTRUCTION_BYTES}`,
    );
  }
  const instructions = decode(program);
  if (instructions.length > MAX_INSTRUCTIONS) {
    throw new Error(`it has ${instructions.length} instructions; at most ${MAX_INSTRUCTIONS}`);
  }
  instructions.forEach((instruction, pc) => {
    const fault = faultOf(instruction, pc, instructions.length);
    if (fault !== undefined) refuse(instruction, pc, fault);
  });
  const last = instructions.at(-1);
  if (last && last.code !== RET_K && last.code !== RET_A) {
    refuse(last, instructions.length - 1, "the last instruction must be a return");
  }
  checkMemory(instructions);
}

function refuse({ code }: Instruction, pc: number, fault: string): never {
  throw new Error(`instruction ${pc} (code 0x${code.toString(16).padStart(2, "0")}): ${fault}`);
}

function faultOf({ code, jt, jf, k }: Instruction, pc: number, count: number): string | undefined {
  if (code === LD_ABS) {
    if (k % 4 !== 0) return `loads from offset ${k}, which is not a multiple of 4`;
    if (k > DATA_BYTES - 4) return `loads from offset ${k}; the last word is at ${DATA_BYTES - 4}`;
    return undefined;
  }
  if (code === JA) {
    return pc + 1 + k < count ? undefined : `jumps to ${pc + 1 + k}, behind the end`;
  }
  if (BRANCHES.has(code)) {
    const far = pc + 1 + Math.max(jt, jf);
    return far < count ? undefined : `jumps to ${far}, behind the end`;
  }
  if ([LD_MEM, LDX_MEM, ST, STX].includes(code)) {
    return k < MEMORY_SLOTS ? undefined : `uses memory slot ${k} of ${MEMORY_SLOTS}`;
  }
  if (code === DIV_K && k === 0) return "divides by zero";
  if (SHIFTS.has(code) && k >= 32) return `shifts by ${k} bits`;
  if (code === RET_K || code === RET_A || PLAIN.has(code)) return undefined;
  return "seccomp has no such instruction";
}

/** No slot of the scratch memory is read on a path that has not written it. Jumps only lead forward: one pass is enough. */
function checkMemory(instructions: readonly Instruction[]): void {
  const written = new Array<number>(instructions.length).fill(0xffff);
  let now = 0;
  const arrive = (pc: number) => (written[pc] = (written[pc] ?? 0xffff) & now);
  instructions.forEach((instruction, pc) => {
    const { code, jt, jf, k } = instruction;
    now &= written[pc] ?? 0xffff;
    if (code === ST || code === STX) now |= 1 << k;
    else if ((code === LD_MEM || code === LDX_MEM) && (now & (1 << k)) === 0) {
      refuse(instruction, pc, `reads memory slot ${k} before anything is written there`);
    } else if (code === JA) {
      arrive(pc + 1 + k);
      now = 0xffff;
    } else if (BRANCHES.has(code)) {
      arrive(pc + 1 + jt);
      arrive(pc + 1 + jf);
      now = 0xffff;
    }
  });
}

/**
 * One program that asks `first`, and where that returns `undecided`, `second`: the returns become jumps. Both keep their
 * own checks of the architecture.
 * @throws Error when the whole is longer than the kernel takes
 */
export function chain(first: Uint8Array, undecided: number, second: Uint8Array): Uint8Array {
  const head = decode(first);
  const jumps = head.map((instruction, pc) =>
    instruction.code === RET_K && instruction.k === undecided
      ? { code: JA, jt: 0, jf: 0, k: head.length - pc - 1 }
      : instruction,
  );
  const program = encode([...jumps, ...decode(second)]);
  validateProgram(program);
  return program;
}

/**
 * The program with an answer of its own to the call of one number.
 * @throws Error when the whole is longer than the kernel takes
 */
export function chooseFirst(number: number, action: number, program: Uint8Array): Uint8Array {
  const whole = encode([
    { code: LD_ABS, jt: 0, jf: 0, k: 0 },
    { code: JEQ_K, jt: 0, jf: 1, k: number },
    { code: RET_K, jt: 0, jf: 0, k: action },
    ...decode(program),
  ]);
  validateProgram(whole);
  return whole;
}

/** The program with other numbers in its returns. */
export function mapReturns(program: Uint8Array, map: (action: number) => number): Uint8Array {
  return encode(
    decode(program).map((instruction) =>
      instruction.code === RET_K ? { ...instruction, k: map(instruction.k) } : instruction,
    ),
  );
}

/** struct seccomp_data: the upper half of argument i, little-endian. */
const upperHalf = (i: number): number => 16 + i * 8 + 4;

/** The program with these arguments taken as 32 bits: what loads an upper half loads 0. */
export function lowerHalves(program: Uint8Array, args: readonly number[]): Uint8Array {
  const offsets = new Set(args.map(upperHalf));
  return encode(
    decode(program).map((instruction) =>
      instruction.code === LD_ABS && offsets.has(instruction.k)
        ? { code: LD_IMMEDIATE, jt: 0, jf: 0, k: 0 }
        : instruction,
    ),
  );
}

const LD_ABS_NUMBER = 0;
const LD_ABS_ARCH = 4;

/**
 * What a program says to a call of that number and AUDIT_ARCH_…, as SECCOMP_RET_…; undefined where that depends on arguments, or
 * takes arithmetic.
 */
export function verdictOf(program: Uint8Array, number: number, arch: number): number | undefined {
  const code = decode(program);
  let a = 0;
  for (let at = 0; at < code.length; at++) {
    const { code: op, jt, jf, k } = code[at] ?? { code: RET_A, jt: 0, jf: 0, k: 0 };
    if (op === RET_K) return k;
    if (op === JA) at += k;
    else if (op === LD_ABS && k === LD_ABS_NUMBER) a = number;
    else if (op === LD_ABS && k === LD_ABS_ARCH) a = arch;
    else if (op === JEQ_K) at += a === k ? jt : jf;
    else if (op === JGT_K) at += a > k ? jt : jf;
    else if (op === JGE_K) at += a >= k ? jt : jf;
    else if (op === JSET_K) at += (a & k) !== 0 ? jt : jf;
    else return undefined;
  }
  return undefined;
}

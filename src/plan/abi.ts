/**
 * A filter for more than one ABI: each has its own numbers, and so a program of its own, chosen by the architecture that the kernel
 * tells with each call. What is of no chosen ABI ends its caller. See seccomp(2), syscall(2).
 */
import { constants } from "node:os";
import { type Abi, type Architecture, ABIS } from "../../ffi/libseccomp.ts";
import { encode, type Instruction, decode, JA, RET_K, validateProgram } from "./bpf.ts";
import { errnoAction } from "./seccomp-action.ts";
import type { Verdict, Verdicts } from "./verdict.ts";

/** Those that a processor runs beside its own. */
export const SECOND: Readonly<Record<Architecture, Abi>> = { x64: "i386", arm64: "arm" };

/** Its programs have 32 bits, and arguments of no more. */
export const isShort = (abi: Abi): boolean => abi === "i386" || abi === "arm";

/** struct seccomp_data: number, architecture, lower half of the first argument. */
const DATA = { nr: 0, arch: 4, first: 16 } as const;
const LD = 0x20;
const AND = 0x54;
const JEQ = 0x15;
const JGT = 0x25;
const JGE = 0x35;

const load = (k: number): Instruction => ({ code: LD, jt: 0, jf: 0, k });
const answer = (k: number): Instruction => ({ code: RET_K, jt: 0, jf: 0, k });
const NO_CALL = errnoAction(constants.errno.ENOSYS);

/**
 * Since 424 (Linux 5.1) a new call has the same number everywhere, and a greater one than all before it; what is older came in any
 * order, and every author may have known it.
 */
const LAST_UNORDERED = 423;
/** Behind it are x32, and the calls of arm alone. */
const END: Readonly<Record<Abi, number>> = {
  x64: 0x40000000,
  arm64: 0x40000000,
  i386: 0x40000000,
  arm: 0x000f0000,
};

/** The newest call that these rules show their author to have known. */
function newest(verdicts: Verdicts, abi: Abi): number {
  return [...verdicts.keys()]
    .filter((number) => number < END[abi])
    .reduce((most, number) => Math.max(most, number), LAST_UNORDERED);
}

/**
 * The program with this answer to calls that are newer than its author: programs and C libraries fall back to an older call on ENOSYS
 * only, so any other errno would break them on the day they learn of the new one.
 */
export function withNewer(program: Uint8Array, verdicts: Verdicts, abi: Abi, action: number) {
  return prepended(program, [
    load(DATA.arch),
    { code: JEQ, jt: 0, jf: 4, k: ABIS[abi] },
    load(DATA.nr),
    { code: JGT, jt: 0, jf: 2, k: newest(verdicts, abi) },
    { code: JGE, jt: 1, jf: 0, k: END[abi] },
    answer(action),
  ]);
}

/** The program with what is said of calls by their numbers. */
export function withCalls(
  program: Uint8Array,
  abi: Abi,
  said: readonly (readonly [number: number, action: number])[],
): Uint8Array {
  if (said.length === 0) return program;
  const answers = said.flatMap(([number, action]): Instruction[] => [
    { code: JEQ, jt: 0, jf: 1, k: number },
    answer(action),
  ]);
  return prepended(program, [
    load(DATA.arch),
    { code: JEQ, jt: 0, jf: answers.length + 1, k: ABIS[abi] },
    load(DATA.nr),
    ...answers,
  ]);
}

interface Multiplexer {
  readonly number: number;
  /** Bits of the first argument that say which function is meant. */
  readonly mask: number;
  readonly functions: Readonly<Record<string, number>>;
}

/** linux/net.h, linux/ipc.h: one call of i386 for many, whose arguments lie in memory. */
const MULTIPLEXERS: readonly Multiplexer[] = [
  {
    number: 102,
    mask: 0xffffffff,
    functions: {
      socket: 1,
      bind: 2,
      connect: 3,
      listen: 4,
      accept: 5,
      getsockname: 6,
      getpeername: 7,
      socketpair: 8,
      send: 9,
      recv: 10,
      sendto: 11,
      recvfrom: 12,
      shutdown: 13,
      setsockopt: 14,
      getsockopt: 15,
      sendmsg: 16,
      recvmsg: 17,
      accept4: 18,
      recvmmsg: 19,
      sendmmsg: 20,
    },
  },
  {
    number: 117,
    // Above are versions of the interface.
    mask: 0xffff,
    functions: {
      semop: 1,
      semget: 2,
      semctl: 3,
      semtimedop: 4,
      msgsnd: 11,
      msgrcv: 12,
      msgget: 13,
      msgctl: 14,
      shmat: 21,
      shmdt: 22,
      shmget: 23,
      shmctl: 24,
    },
  },
];

/** Functions that i386 has a multiplexer for. */
export const MULTIPLEXED: ReadonlySet<string> = new Set(
  MULTIPLEXERS.flatMap(({ functions }) => Object.keys(functions)),
);

/**
 * The program of i386 with what the rules say of each function, whichever call asks for it. Where they look at arguments, which no
 * filter sees there, the function is not there either: what has its own call is left.
 * @param said by name
 */
export function withMultiplexers(
  program: Uint8Array,
  said: ReadonlyMap<string, Verdict>,
  action: (of: number) => number,
): Uint8Array {
  return MULTIPLEXERS.reduce((whole, { number, mask, functions }) => {
    const answers = Object.entries(functions).flatMap(([name, k]): Instruction[] => {
      const verdict = said.get(name);
      if (!verdict) return [];
      const always = verdict.conditional.length > 0 ? NO_CALL : verdict.always?.action;
      if (always === undefined) return [];
      return [{ code: JEQ, jt: 0, jf: 1, k }, answer(action(always))];
    });
    if (answers.length === 0) return whole;
    return prepended(whole, [
      load(DATA.nr),
      { code: JEQ, jt: 0, jf: answers.length + 2, k: number },
      load(DATA.first),
      { code: AND, jt: 0, jf: 0, k: mask },
      ...answers,
    ]);
  }, program);
}

/** One program of that of the processor and one of another ABI. @throws Error when the whole is longer than the kernel takes */
export function withAbi(program: Uint8Array, abi: Abi, other: Uint8Array): Uint8Array {
  const { length } = decode(program);
  return prepended(Buffer.concat([program, other]), [
    load(DATA.arch),
    { code: JEQ, jt: 0, jf: 1, k: ABIS[abi] },
    { code: JA, jt: 0, jf: 0, k: length },
  ]);
}

function prepended(program: Uint8Array, instructions: readonly Instruction[]): Uint8Array {
  const whole = encode([...instructions, ...decode(program)]);
  validateProgram(whole);
  return whole;
}

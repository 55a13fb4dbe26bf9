/** What a seccomp program may answer to a call of which only some bits are known: every way through it is gone. */
import { decode, type Instruction, JA, RET_K } from "./bpf.ts";

/** 32 bits; `value` has only bits that are `known`. */
export interface Word {
  readonly known: number;
  readonly value: number;
}

export interface PartlyKnownCall {
  readonly number: number;
  /** AUDIT_ARCH_… of linux/audit.h. */
  readonly arch: number;
  /** Lower half of the first argument; nothing is known of the others. */
  readonly first: Word;
}

const ANYTHING: Word = { known: 0, value: 0 };
const exactly = (value: number): Word => ({ known: 0xffffffff, value: value >>> 0 });

const LD_IMMEDIATE = 0x00;
const LD_ABS = 0x20;
const AND_K = 0x54;
const OFFSET = { number: 0, arch: 4, first: 16 } as const;

/** Whether the condition of a jump holds; undefined where that depends on unknown bits. */
function holds({ code, k }: Instruction, { known, value }: Word): boolean | undefined {
  const most = (value | ~known) >>> 0;
  switch (code) {
    case 0x15: // JEQ
      if (((value ^ k) & known) !== 0) return false;
      return known >>> 0 === 0xffffffff ? true : undefined;
    case 0x25: // JGT
      return value > k ? true : most > k ? undefined : false;
    case 0x35: // JGE
      return value >= k ? true : most >= k ? undefined : false;
    default: // JSET
      if ((value & k) !== 0) return true;
      return (k & ~known) === 0 ? false : undefined;
  }
}
const JUMPS: ReadonlySet<number> = new Set([0x15, 0x25, 0x35, 0x45]);

/** Every SECCOMP_RET_… that it may come to; undefined where it does what is not followed here. */
export function returnsOf(program: Uint8Array, call: PartlyKnownCall): Set<number> | undefined {
  const code = decode(program);
  const loaded: Readonly<Record<number, Word>> = {
    [OFFSET.number]: exactly(call.number),
    [OFFSET.arch]: exactly(call.arch),
    [OFFSET.first]: call.first,
  };
  const returns = new Set<number>();
  const seen = new Set<string>();
  const open: { pc: number; a: Word }[] = [{ pc: 0, a: exactly(0) }];
  for (let next = open.pop(); next; next = open.pop()) {
    const { pc, a } = next;
    const key = `${pc} ${a.known} ${a.value}`;
    const instruction = code[pc];
    if (seen.has(key)) continue;
    if (!instruction) return undefined;
    seen.add(key);
    const { code: op, jt, jf, k } = instruction;
    const go = (by: number, now = a) => open.push({ pc: pc + 1 + by, a: now });
    if (op === RET_K) returns.add(k);
    else if (op === JA) go(k);
    else if (op === LD_IMMEDIATE) go(0, exactly(k));
    else if (op === LD_ABS) go(0, loaded[k] ?? ANYTHING);
    else if (op === AND_K) go(0, { known: (a.known | ~k) >>> 0, value: (a.value & k) >>> 0 });
    else if (JUMPS.has(op)) {
      const condition = holds(instruction, a);
      if (condition !== false) go(jt);
      if (condition !== true) go(jf);
    } else return undefined;
  }
  return returns;
}

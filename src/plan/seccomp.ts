/** seccomp → a BPF program, compiled at boot. See seccomp(2), seccomp_rule_add(3). */
import { constants } from "node:os";
import type { Rule } from "../../ffi/libseccomp.ts";
import type { Seccomp, SeccompRule } from "../config/schema.ts";
import type { Machine } from "./machine.ts";
import type { Report } from "./report.ts";

const ACTIONS: Readonly<Record<string, number>> = {
  KILL: 0x00000000,
  KILL_THREAD: 0x00000000,
  KILL_PROCESS: 0x80000000,
  TRAP: 0x00030000,
  LOG: 0x7ffc0000,
  ALLOW: 0x7fff0000,
};
const ERRNO = 0x00050000;
/** BPF_MAXINSNS of the kernel, 8 bytes each. */
const LARGEST_PROGRAM = 4096 * 8;

/** `SCMP_ACT_ERRNO(EPERM)` → its number. The prefix may be left out, case does not matter. */
export function parseAction(text: string): number {
  const name = text
    .trim()
    .toUpperCase()
    .replace(/^SCMP_ACT_/, "");
  const fixed = Object.hasOwn(ACTIONS, name) ? ACTIONS[name] : undefined;
  if (fixed !== undefined) return fixed;
  const errno = /^ERRNO\s*\(\s*(\w+)\s*\)$/.exec(name)?.[1];
  if (errno !== undefined) {
    const number = /^\d+$/.test(errno)
      ? Number(errno)
      : Object.entries(constants.errno).find(([key]) => key === errno)?.[1];
    if (number !== undefined && number > 0 && number < 4096) return ERRNO | number;
    throw new Error(
      `unknown errno ${errno} in ${JSON.stringify(text)}: a name such as EPERM, or 1 to 4095`,
    );
  }
  throw new Error(
    `unknown action ${JSON.stringify(text)}: SCMP_ACT_ ${Object.keys(ACTIONS).join(", ")} or ERRNO(EPERM)`,
  );
}

function operand(value: number | string): bigint {
  try {
    const number = BigInt(value);
    if (number >= 0n && number <= 0xffff_ffff_ffff_ffffn) return number;
  } catch {
    // told below, with the number that is out of range
  }
  throw new Error(`${JSON.stringify(value)} is not a number from 0 to 2^64-1`);
}

/** A rule in libseccomp's terms; undefined when it cannot match on this architecture. */
function compileRule(
  rule: SeccompRule,
  path: string,
  machine: Machine,
  report: Report,
): Rule | undefined {
  return report.attempt(path, () => {
    const action = parseAction(rule.action);
    const number = machine.syscall(rule.syscall);
    if (number === undefined)
      throw new Error(`unknown syscall ${JSON.stringify(rule.syscall)}, see syscalls(2)`);
    if (number < 0) {
      report.notice(
        path,
        `${rule.syscall} does not exist on this architecture: the rule has no effect here`,
      );
      return undefined;
    }
    const args = (rule.args ?? []).map(({ index, op, value, mask }) => {
      if ((op === "masked_eq") !== (mask !== undefined))
        throw new Error("mask goes with op masked_eq, and only with it");
      return {
        index,
        op,
        value: operand(value),
        ...(mask !== undefined && { mask: operand(mask) }),
      };
    });
    return { syscall: rule.syscall, action, args };
  });
}

export function compileSeccomp(
  seccomp: Seccomp | undefined,
  path: string,
  machine: Machine,
  report: Report,
): Uint8Array | undefined {
  if (seccomp === undefined) return undefined;
  if (seccomp.rulespath !== undefined) {
    const file = seccomp.rulespath;
    return report.attempt(`${path}.rulespath`, () => {
      const program = machine.readFile(file);
      if (program.length === 0 || program.length % 8 !== 0 || program.length > LARGEST_PROGRAM) {
        throw new Error(
          `${file} is not compiled BPF: ${program.length} bytes, expected a multiple of 8, up to ${LARGEST_PROGRAM}`,
        );
      }
      return Uint8Array.from(program);
    });
  }
  const before = report.problems.length;
  const fallback = report.attempt(`${path}.default`, () => parseAction(seccomp.default ?? "KILL"));
  const rules: Rule[] = [];
  for (const [i, rule] of (seccomp.rules ?? []).entries()) {
    const compiled = compileRule(rule, `${path}.rules[${i}]`, machine, report);
    if (compiled) rules.push(compiled);
  }
  if (fallback === undefined || report.problems.length > before) return undefined;
  const passes = (action: number) => action === ACTIONS["ALLOW"] || action === ACTIONS["LOG"];
  if (
    !passes(fallback) &&
    !rules.some((rule) => rule.syscall === "execve" && passes(rule.action))
  ) {
    report.problem(
      path,
      `no command could start: the default action denies execve; add {"syscall": "execve", "action": "SCMP_ACT_ALLOW"} and what the command needs, or use "default": "SCMP_ACT_ALLOW" with rules for what is denied`,
    );
    return undefined;
  }
  return report.attempt(path, () => machine.compileFilter(fallback, rules));
}

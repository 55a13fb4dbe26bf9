/**
 * The rules of a config, in order, made into what a filter can say: groups opened, and for each syscall what holds.
 *
 * The last rule wins: one without `args` replaces whatever was said before about its syscalls, one with `args` takes
 * precedence over what holds otherwise.
 */
import type { Abi, ArgCondition } from "../../ffi/libseccomp.ts";
import { suggestion } from "../config/nearest.ts";
import type { SeccompRule } from "../config/sandbox-schema.ts";
import type { Machine } from "./machine.ts";
import { isShort, MULTIPLEXED } from "./abi.ts";
import type { Verdict, Verdicts } from "./verdict.ts";
import { isNarrow } from "./narrow-arguments.ts";
import type { Report } from "./report.ts";
import { parseAction } from "./seccomp-action.ts";
import { groupNames, syscallsOf } from "./syscall-groups.ts";

const LOW = 0xffff_ffffn;
const ALL = 0xffff_ffff_ffff_ffffn;

export function resolveRules(
  rules: readonly SeccompRule[],
  path: string,
  machine: Machine,
  report: Report,
  abi: Abi = machine.arch,
  /** Others that the filter is made for: a call that only they have is none that is missing. */
  others: readonly Abi[] = [],
): Verdicts {
  const short = isShort(abi);
  const verdicts: Verdicts = new Map();
  for (const [i, rule] of rules.entries()) {
    const place = `${path}[${i}]`;
    report.attempt(place, () => {
      const action = parseAction(rule.action);
      const given = conditionsOf(rule);
      const named = !rule.syscall.startsWith("@");
      if (isMissing(rule.syscall, [abi, ...others], machine)) {
        report.notice(
          place,
          `${rule.syscall} does not exist on this architecture: the rule has no effect here`,
        );
      }
      for (const [number, name] of numbersOf(rule.syscall, abi, machine)) {
        let verdict = verdicts.get(number);
        if (!verdict) verdicts.set(number, (verdict = { name, conditional: [] }));
        if (given.length > 0) {
          const args = given.map((one) =>
            short || isNarrow(name, one.index) ? narrowed(one) : one,
          );
          const key = args.map(({ index, op, value, mask }) => [index, op, value, mask]).join();
          verdict.conditional = verdict.conditional.filter((earlier) => earlier.key !== key);
          verdict.conditional.push({ syscall: name, action, args, key });
          continue;
        }
        replaced(verdict, action, rule.action, place, report);
        verdict.always = { action, text: rule.action, named };
        verdict.conditional = [];
      }
    });
  }
  return verdicts;
}

/** Tells when a rule that named the syscall loses. That groups overlap, and are refined, is what they are for. */
function replaced(
  { name, always, conditional }: Verdict,
  action: number,
  text: string,
  place: string,
  report: Report,
): void {
  if (conditional.length > 0) {
    report.notice(
      place,
      `${name}: ${text} replaces the earlier rules with args: the last rule wins`,
    );
  } else if (always?.named && always.action !== action) {
    report.notice(
      place,
      `${name}: ${text} replaces the earlier ${always.text}: the last rule wins`,
    );
  }
}

/** A call that exists, but in none of these. */
const isMissing = (syscall: string, abis: readonly Abi[], machine: Machine): boolean =>
  !syscall.startsWith("@") && abis.every((abi) => numbersOf(syscall, abi, machine).length === 0);

/** Number and name of each syscall meant that the ABI has. */
function numbersOf(syscall: string, abi: Abi, machine: Machine): [number, string][] {
  if (syscall.startsWith("@")) {
    const members = syscallsOf(syscall.toLowerCase());
    if (!members) {
      const hint = suggestion(syscall, groupNames) || ";";
      throw new Error(
        `unknown group ${JSON.stringify(syscall)}${hint} groups: ${groupNames.join(" ")}`,
      );
    }
    return members.flatMap((name): [number, string][] => {
      const number = machine.syscall(name, abi);
      return number === undefined || !isThere(number, name, abi) ? [] : [[number, name]];
    });
  }
  const number = machine.syscall(syscall, abi);
  if (number === undefined) {
    const hint = suggestion(syscall, syscallsOf("@known") ?? []);
    throw new Error(`unknown syscall ${JSON.stringify(syscall)}, see syscalls(2)${hint}`);
  }
  return isThere(number, syscall, abi) ? [[number, syscall]] : [];
}

/** The library gives what i386 can ask for through a multiplexer a number below 0 of its own, though it may have a call too. */
const isThere = (number: number, name: string, abi: Abi): boolean =>
  number >= 0 || (abi === "i386" && MULTIPLEXED.has(name));

/** The condition on the lower half. Equality is said with a mask; for the others see `compileVerdicts`. */
function narrowed(one: ArgCondition): ArgCondition {
  const { index, op, value, mask = LOW } = one;
  if (value > LOW) {
    throw new Error(
      `args: the kernel reads 32 bits of argument ${index}, and ${value} does not fit: no call could match`,
    );
  }
  // All ones means all that there is; other bits up there would be passed over.
  if (mask > LOW && mask !== ALL) {
    throw new Error(
      `args: the kernel reads 32 bits of argument ${index}, and the mask 0x${mask.toString(16)} has more`,
    );
  }
  return op === "eq" || op === "masked_eq"
    ? { index, op: "masked_eq", value, mask: mask & LOW }
    : one;
}

/** Each argument is asked once, as libseccomp has it. */
function conditionsOf({ args = [] }: SeccompRule): ArgCondition[] {
  const asked = new Set<number>();
  for (const { index } of args) {
    if (asked.has(index))
      throw new Error(
        `args: two conditions on argument ${index}, and a rule has one for each: say it with a further rule behind this one, as the last one wins`,
      );
    asked.add(index);
  }
  return args.map(condition);
}

function condition({
  index,
  op,
  value,
  mask,
}: NonNullable<SeccompRule["args"]>[number]): ArgCondition {
  if ((op === "masked_eq") !== (mask !== undefined))
    throw new Error("mask goes with op masked_eq, and only with it");
  const [wanted, bits] = [operand(value), mask === undefined ? undefined : operand(mask)];
  if (bits === 0n) throw new Error("args: a mask of 0 would match every call");
  if (bits !== undefined && (wanted & ~bits) !== 0n)
    throw new Error("args: value has bits that mask has not: no call could match");
  return { index, op, value: wanted, ...(bits !== undefined && { mask: bits }) };
}

function operand(value: number | string): bigint {
  // The schema has seen to its form.
  const number = BigInt(value);
  if (number >= 0n && number <= ALL) return number;
  throw new Error(`${JSON.stringify(value)} is not a number from 0 to 2^64-1`);
}

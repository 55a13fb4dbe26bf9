/** seccomp → a BPF program, compiled at boot. See seccomp(2), seccomp_rule_add(3). */
import { constants } from "node:os";
import type { Abi, Rule } from "../../ffi/libseccomp.ts";
import type { Seccomp } from "../config/sandbox-schema.ts";
import { isShort, MULTIPLEXED, SECOND, withAbi, withMultiplexers, withNewer } from "./abi.ts";
import { chain, lowerHalves, validateProgram } from "./bpf.ts";
import type { Families } from "./families.ts";
import { withFamilies } from "./families-filter.ts";
import type { Machine } from "./machine.ts";
import { isNarrow } from "./narrow-arguments.ts";
import { Report } from "./report.ts";
import { ACTIONS, errnoAction, isErrno, mayGoOn, parseAction, passes } from "./seccomp-action.ts";
import { ordered } from "./rule-order.ts";
import { resolveRules } from "./seccomp-rules.ts";
import type { Verdicts } from "./verdict.ts";
import { type Filter, fromFile, fromRules, standIn, TOLD_NO_CALL } from "./told.ts";

/** SECCOMP_RET_TRACE with a number of our own: what no config can ask for, and `chain` replaces. */
const UNDECIDED = 0x7ff05b0c;
const NO_CALL = errnoAction(constants.errno.ENOSYS);
const NONE: Filter = { seccomp: undefined, told: undefined };

/**
 * The filter of a sandbox (struct sock_filter[]), checked as the kernel will, and what of it is told; undefined when there
 * is none, or when it cannot be made and the report says why. `families`: what sockets it lets through; `ports`: beside it stands the
 * filter of Landlock's ports (tcp-filter.ts).
 */
export function compileSeccomp(
  seccomp: Seccomp | undefined,
  families: Families | undefined,
  ports: boolean,
  path: string,
  machine: Machine,
  report: Report,
): Filter {
  if (seccomp === undefined) return NONE;
  if (seccomp.rulespath !== undefined)
    return fromPath(seccomp, seccomp.rulespath, families, path, machine, report);
  const key = keyOf([seccomp, families?.names, families?.protocolNames, ports]);
  const known = knownOf(machine);
  const before = known.get(key);
  if (before) return before;
  const said = toldBy(report);
  const filter = fromConfig(seccomp, families, ports, path, machine, report);
  // What is told is to be told of each.
  if (toldBy(report) === said) known.set(key, filter);
  return filter;
}

/** Filters of sandboxes that ask for the same, as those of one profile do. */
const made = new WeakMap<Machine, Map<string, Filter>>();

function knownOf(machine: Machine): Map<string, Filter> {
  const known = made.get(machine) ?? new Map<string, Filter>();
  made.set(machine, known);
  return known;
}

const keyOf = (value: unknown): string =>
  JSON.stringify(value, (_, part) => (typeof part === "bigint" ? `${part}` : part));

const toldBy = ({ problems, notices }: Report): number => problems.length + notices.length;

function fromPath(
  { abis, report: all = false }: Seccomp,
  file: string,
  families: Families | undefined,
  path: string,
  machine: Machine,
  report: Report,
): Filter {
  if (abis?.length)
    report.problem(`${path}.abis`, "a filter of rulespath says itself which ABIs it allows");
  const filter = report.attempt(`${path}.rulespath`, () => {
    const program = Uint8Array.from(machine.readFile(file));
    try {
      validateProgram(program);
      const whole = families ? withFamilies(program, families, machine.arch, mayGoOn) : program;
      return fromFile(whole, all, machine);
    } catch (error) {
      throw new Error(`${file}: ${error instanceof Error ? error.message : String(error)}`, {
        cause: error,
      });
    }
  });
  return filter ?? NONE;
}

function fromConfig(
  seccomp: Seccomp,
  families: Families | undefined,
  ports: boolean,
  path: string,
  machine: Machine,
  report: Report,
): Filter {
  const before = report.problems.length;
  const back = backBy(families, ports);
  const fallback = report.attempt(`${path}.default`, () => parseAction(seccomp.default ?? "KILL"));
  const second = secondAbi(seccomp, back, path, machine, report);
  const rules = (abi: Abi, others: readonly Abi[], to: Report) =>
    resolveRules(seccomp.rules ?? [], `${path}.rules`, machine, to, abi, others);
  const verdicts = rules(machine.arch, second ? [second] : [], report);
  if (fallback === undefined || report.problems.length > before) return NONE;
  if (!startsCommands(fallback, verdicts)) {
    report.problem(
      path,
      `no command could start: execve is denied; add {"syscall": "@system-service", "action": "SCMP_ACT_ALLOW"} and what else the command needs, or use "default": "SCMP_ACT_ALLOW" with rules for what is denied`,
    );
    return NONE;
  }
  if (
    second === "i386" &&
    report.attempt(`${path}.abis`, () => checkMultiplexed(verdicts)) === undefined
  )
    return NONE;
  if (back !== undefined) tellRings(verdicts, back, path, report);
  const filter = report.attempt(path, () => {
    let program = compileFor(machine.arch, fallback, verdicts, machine);
    if (second) {
      const others = rules(second, [machine.arch], foreignReport(report, second));
      if (report.problems.length > before) return NONE;
      program = withAbi(program, second, compileFor(second, fallback, others, machine));
    }
    // The stand-ins for actions that libseccomp does not take are denials.
    const whole = families ? withFamilies(program, families, machine.arch, passes) : program;
    return {
      ...fromRules(whole, seccomp.report ?? false, machine),
      ...(second && { abi: second }),
    };
  });
  return filter ?? NONE;
}

/** What the rules say there is told once: here only what is wrong with them for that ABI alone. */
function foreignReport(report: Report, abi: Abi): Report {
  const own = new Report(report.file);
  own.problem = (place, message) => report.problem(place, `for programs of ${abi}: ${message}`);
  return own;
}

/** The ABI that programs may have besides that of the processor. */
function secondAbi(
  { abis = [] }: Seccomp,
  back: string | undefined,
  path: string,
  machine: Machine,
  report: Report,
): Abi | undefined {
  const second = SECOND[machine.arch];
  for (const [i, abi] of abis.entries()) {
    const place = `${path}.abis[${i}]`;
    if (abi !== second) {
      report.notice(place, `${abi} is no ABI of this processor: nothing is allowed by it here`);
      continue;
    }
    if (machine.inherits && machine.runs(abi) === false) {
      const option =
        abi === "i386" ? "CONFIG_IA32_EMULATION (or ia32_emulation=1)" : "CONFIG_COMPAT";
      report.notice(place, `this kernel runs no programs of ${abi}: it needs ${option}`);
    }
    if (back !== undefined && abi === "i386") {
      report.notice(
        place,
        `programs of i386 get no sockets through socketcall(2), which hides their family: those whose C library calls it (glibc does) have none here; ${back}`,
      );
    }
  }
  return abis.includes(second as "i386" | "arm") ? second : undefined;
}

/** libseccomp takes arguments from rules on what a multiplexer stands for, and then they must not differ. */
function checkMultiplexed(verdicts: Verdicts): true {
  for (const { name, conditional } of verdicts.values()) {
    if (!MULTIPLEXED.has(name) || new Set(conditional.map(({ action }) => action)).size <= 1)
      continue;
    throw new Error(
      `the rules with args of ${name} have different actions, which cannot be said for programs of i386: give them one, or leave i386 out`,
    );
  }
  return true;
}

/** The program for the calls of one ABI. */
function compileFor(abi: Abi, fallback: number, verdicts: Verdicts, machine: Machine): Uint8Array {
  let program = compileVerdicts(fallback, verdicts, abi, machine);
  if (abi === "i386") {
    const said = new Map([...verdicts.values()].map((verdict) => [verdict.name, verdict]));
    program = withMultiplexers(program, said, standIn);
  }
  if (isErrno(fallback)) return withNewer(program, verdicts, abi, NO_CALL);
  return fallback === ACTIONS.NOTIFY ? withNewer(program, verdicts, abi, TOLD_NO_CALL) : program;
}

/** What a config says instead, where the filters beside its own take what hides sockets; undefined where they do not. */
function backBy(families: Families | undefined, ports: boolean): string | undefined {
  const landlock = "landlock without connectTcp and bindTcp";
  if (!families) return ports ? `${landlock} gives them back` : undefined;
  return `"network": {"families": "all"}${ports ? `, and ${landlock},` : ""} gives them back`;
}

/** A config that asks for what it does not get. */
function tellRings(verdicts: Verdicts, back: string, path: string, report: Report): void {
  const setup = [...verdicts.values()].find(({ name }) => name === "io_uring_setup");
  const asked = [setup?.always, ...(setup?.conditional ?? [])];
  if (!asked.some((rule) => rule && passes(rule.action))) return;
  report.notice(
    path,
    `io_uring_setup fails with ENOSYS whatever the rules say: rings make sockets of any family past every filter; ${back}`,
  );
}

function startsCommands(fallback: number, verdicts: Verdicts): boolean {
  const execve = [...verdicts.values()].find(({ name }) => name === "execve");
  return (
    passes(execve?.always?.action ?? fallback) ||
    (execve?.conditional ?? []).some(({ action }) => passes(action))
  );
}

/**
 * libseccomp cannot say "this action under that condition, else another one than the default", nor compare the lower half
 * of an argument but for equality, nor which of two conditions goes first. Where a config needs it, conditions are programs of
 * their own, asked first.
 */
function compileVerdicts(
  action: number,
  verdicts: Verdicts,
  abi: Abi,
  machine: Machine,
): Uint8Array {
  const fallback = standIn(action);
  const all = [...verdicts.values()];
  const always = all.flatMap(({ name, always }): Rule[] =>
    always ? [{ syscall: name, action: standIn(always.action), args: [] }] : [],
  );
  const conditional = all.flatMap((verdict) =>
    ordered(verdict.conditional).map(({ rule, turn }) => {
      const narrow = isShort(abi) ? [] : halves(rule);
      return { rule: { ...rule, action: standIn(rule.action) }, turn, narrow };
    }),
  );
  const mixed = all.some((verdict) => verdict.always && verdict.conditional.length > 0);
  if (!mixed && conditional.every(({ turn, narrow }) => turn === 0 && narrow.length === 0)) {
    const rules: Rule[] = [...always, ...conditional.map(({ rule }) => rule)];
    return machine.compileFilter(fallback, rules, abi);
  }
  let program = machine.compileFilter(fallback, always, abi);
  const asked = conditional.toSorted((a, b) => a.turn - b.turn);
  for (const group of Map.groupBy(asked, ({ turn, narrow }) => [turn, ...narrow].join()).values()) {
    const rules = group.map(({ rule }) => rule);
    const first = machine.compileFilter(UNDECIDED, rules, abi);
    program = chain(lowerHalves(first, group[0]?.narrow ?? []), UNDECIDED, program);
  }
  return program;
}

/** Arguments whose order, or difference, is to be found in their lower half. */
const halves = ({ syscall, args }: Rule): number[] =>
  args
    .filter(({ op, index }) => op !== "masked_eq" && isNarrow(syscall, index))
    .map(({ index }) => index)
    .sort();

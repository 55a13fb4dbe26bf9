/**
 * Which calls of a filter the outcome tells of: in the kernel's program they return SECCOMP_RET_USER_NOTIF, and the supervisor
 * looks into the other program, which still has what the config says, for what is to happen. See seccomp_unotify(2).
 */
import { constants } from "node:os";
import { HANDOVER_CALL } from "../../ffi/launcher/layout.ts";
import { chooseFirst, decode, mapReturns, RET_A } from "./bpf.ts";
import type { Machine } from "./machine.ts";
import type { Policy } from "./policy.ts";
import { ACTIONS, errnoAction, isTellable, kindOf } from "./seccomp-action.ts";
import { syscallsOf } from "./syscall-groups.ts";

export type Filter = Pick<Policy, "seccomp" | "told" | "abi">;

/**
 * While libseccomp compiles, SECCOMP_RET_TRACE with numbers of our own stands for what it does not take as a default, and for what
 * must not be mistaken for its own: the end of those who call through a foreign ABI stays with the kernel.
 */
const STAND_IN = new Map<number, number>([
  [ACTIONS.NOTIFY, 0x7ff05b0d],
  [ACTIONS.KILL_PROCESS, 0x7ff05b0e],
]);
const MEANT = new Map([...STAND_IN].map(([action, standIn]) => [standIn, action]));
/** ENOSYS that is told, as NOTIFY is. */
export const TOLD_NO_CALL = 0x7ff05b10;
MEANT.set(TOLD_NO_CALL, errnoAction(constants.errno.ENOSYS));

/** What to compile for an action of a config. */
export const standIn = (action: number): number => STAND_IN.get(action) ?? action;

/** A program compiled with {@link standIn}; `all`: not only NOTIFY is told. */
export function fromRules(program: Uint8Array, all: boolean, machine: Machine): Filter {
  const meant = (action: number) => MEANT.get(action) ?? action;
  const isTold = (action: number) =>
    meant(action) === ACTIONS.NOTIFY ||
    action === TOLD_NO_CALL ||
    (all && isTellable(meant(action)) && action !== ACTIONS.KILL_PROCESS);
  return split(program, all, isTold, meant, machine);
}

/** A program of somebody else's making. @throws Error where it cannot be told what it says */
export function fromFile(program: Uint8Array, all: boolean, machine: Machine): Filter {
  if (all && decode(program).some(({ code }) => code === RET_A)) {
    throw new Error("report needs returns of constants, and it has one that is computed");
  }
  const isTold = (action: number) =>
    kindOf(action) === ACTIONS.NOTIFY || (all && isTellable(action));
  return split(program, all, isTold, (action) => action, machine);
}

function split(
  program: Uint8Array,
  all: boolean,
  isTold: (action: number) => boolean,
  meant: (action: number) => number,
  machine: Machine,
): Filter {
  let some = false;
  const filter = mapReturns(program, (action) => {
    if (!isTold(action)) return meant(action);
    some = true;
    return ACTIONS.NOTIFY;
  });
  if (!some) return { seccomp: filter, told: undefined };
  const missing = machine.inherits ? machine.cannotTell() : undefined;
  if (missing !== undefined) throw new Error(`calls cannot be told here: ${missing}`);
  const verdicts = mapReturns(program, meant);
  const seccomp = chooseFirst(HANDOVER_CALL, ACTIONS.NOTIFY, filter);
  return { seccomp, told: { all, verdicts, names: namesOf(machine) } };
}

const known = new WeakMap<Machine, Readonly<Record<string, string>>>();

/** One object for all sandboxes of a machine. */
function namesOf(machine: Machine): Readonly<Record<string, string>> {
  const made = known.get(machine);
  if (made) return made;
  const names: Record<string, string> = {};
  for (const name of syscallsOf("@known") ?? []) {
    const number = machine.syscall(name);
    if (number !== undefined && number >= 0) names[number] = name;
  }
  known.set(machine, names);
  return names;
}

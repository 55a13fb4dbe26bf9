/** What the launcher tells on its status pipe. */
import {
  OP,
  type OpName,
  RECORD,
  RECORD_AT,
  RECORD_SIZE,
  TOLD_NUMBERS,
} from "../../ffi/launcher/layout.ts";
import { errnoName } from "../../ffi/errno.ts";
import type { Plan } from "../plan/plan.ts";
import { confinement } from "./confinement.ts";
import { hint, killed } from "./hints.ts";
import { NO_AGENT } from "./no-agent.ts";
import { refusedProgram } from "./refused-program.ts";
import { LaunchError } from "./task.ts";

export type LauncherRecord =
  | { kind: "supervises" }
  | { kind: "started"; pid: number }
  | { kind: "failed"; error: LaunchError }
  | { kind: "told"; how: "denied" | "logged"; counts: [call: ToldCall, count: number][] }
  | {
      kind: "ended";
      status: number;
      maxrss: number;
      user: number;
      system: number;
      /** What was left was killed by way of its group. */
      groupSpent?: true;
      /** The call whose denial ended the command, where calls are told. */
      fatal?: ToldCall;
    };

/** A system call that the supervisor answered. */
export type ToldCall =
  /** One of this architecture. */
  | { readonly number: number }
  /** One of another ABI; `other`: any of those that are not counted apart. */
  | { readonly foreign: number | "other" };

const OP_NAMES = new Map<number, OpName>(
  Object.entries(OP).map(([name, code]) => [code, name as OpName]),
);
/** What a step is called in an error. */
const wordsOf = (step: OpName): string => step.toLowerCase().replaceAll("_", " ");

const text = new TextDecoder();

/**
 * @param isMade there is a supervisor, which tells it
 * @param plan what was launched, for what its config asks
 */
function failure(
  op: number,
  errno: number,
  what: string,
  isMade: boolean,
  plan?: Plan,
): LaunchError {
  if (errno === 0)
    return new LaunchError(
      "launcher",
      "",
      "",
      `killed before it could execute the command: ${killed(confinement())}`,
    );
  const name = errnoName(errno);
  const step = OP_NAMES.get(op) ?? "PLAN_READ";
  // What is done outside the sandbox takes rights of the server's, whatever the sandbox has.
  const whose = step === "OUTPUT" ? undefined : plan;
  const words = hint({ step, errno: name, what, plan: whose }, confinement());
  if (step === "EXEC")
    return new LaunchError("exec", what, name, (plan && refusedProgram(plan, what)) ?? words);
  // What a supervisor is denied is no matter of the agent, which would not end.
  if (step === "SPAWN" && name === "EPERM" && !isMade) return NO_AGENT;
  if (step === "SPAWN" || step === "OUTPUT") return new LaunchError("spawn", what, name, words);
  const explanation = "the sandbox cannot be set up as configured, so nothing was run";
  return new LaunchError(wordsOf(step), what, name, `${words}. ${explanation}`);
}

function fatalCall(how: number, number: number): { fatal?: ToldCall } {
  if (how === 0) return {};
  return { fatal: how === 1 ? { number } : { foreign: number } };
}

/** The process that this is about; 0 where it was not made. */
export const supervisorOf = (bytes: Uint8Array): number =>
  new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE).getUint32(RECORD_AT.supervisor, true);

/** @param plan whose launch it is, for the words of a failure */
export function decode(bytes: Uint8Array, plan?: Plan): LauncherRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE);
  const u32 = (at: number) => view.getUint32(at, true);
  const micros = (at: number) => Number(view.getBigUint64(at, true));
  switch (u32(RECORD_AT.kind)) {
    case RECORD.SUPERVISES:
      return { kind: "supervises" };
    case RECORD.STARTED:
      return { kind: "started", pid: u32(RECORD_AT.pid) };
    case RECORD.FAILED: {
      const end = bytes.indexOf(0, RECORD_AT.what);
      const what = text.decode(bytes.subarray(RECORD_AT.what, end < 0 ? RECORD_SIZE : end));
      const isMade = supervisorOf(bytes) !== 0;
      return {
        kind: "failed",
        error: failure(u32(RECORD_AT.op), u32(RECORD_AT.error), what, isMade, plan),
      };
    }
    case RECORD.DENIED:
    case RECORD.LOGGED:
      return {
        kind: "told",
        how: u32(RECORD_AT.kind) === RECORD.DENIED ? "denied" : "logged",
        counts: Array.from({ length: u32(RECORD_AT.op) }, (_, i) => {
          const number = u32(RECORD_AT.what + i * 8);
          const call = number < TOLD_NUMBERS ? { number } : { foreign: "other" as const };
          return [call, u32(RECORD_AT.what + i * 8 + 4)];
        }),
      };
    case RECORD.ENDED:
      return {
        kind: "ended",
        status: u32(RECORD_AT.status),
        maxrss: u32(RECORD_AT.maxrss),
        user: micros(RECORD_AT.user) / 1000,
        system: micros(RECORD_AT.system) / 1000,
        ...(bytes[RECORD_AT.what] === 1 && { groupSpent: true }),
        ...fatalCall(u32(RECORD_AT.error), u32(RECORD_AT.op)),
      };
    default:
      throw new Error(`the launcher sent a record of kind ${u32(RECORD_AT.kind)}`);
  }
}

/** What a filter answers to a syscall: the SCMP_ACT_ words of a config as numbers of seccomp(2). */
import { constants } from "node:os";
import { suggestion } from "../config/nearest.ts";
import { DECIMAL } from "../config/ranges.ts";

export const ACTIONS = {
  KILL: 0x00000000,
  KILL_THREAD: 0x00000000,
  KILL_PROCESS: 0x80000000,
  TRAP: 0x00030000,
  /** SECCOMP_RET_USER_NOTIF: told in the outcome, and denied with EPERM. */
  NOTIFY: 0x7fc00000,
  LOG: 0x7ffc0000,
  ALLOW: 0x7fff0000,
} as const;
const ERRNO = 0x00050000;
/** libseccomp takes only what is less. */
const MAX_ERRNO = 4095;
/** The action without its data. */
const ACTION = 0xffff0000;

/** `SCMP_ACT_ERRNO(EPERM)` → its number. The prefix may be left out, case does not matter. */
export function parseAction(text: string): number {
  const name = text
    .trim()
    .toUpperCase()
    .replace(/^SCMP_ACT_/, "");
  const fixed = Object.entries(ACTIONS).find(([key]) => key === name)?.[1];
  if (fixed !== undefined) return fixed;
  const errno = /^ERRNO\s*\(\s*(\w+)\s*\)$/.exec(name)?.[1];
  if (errno !== undefined) {
    const number = DECIMAL.test(errno)
      ? Number(errno)
      : Object.entries(constants.errno).find(([key]) => key === errno)?.[1];
    if (number !== undefined && number > 0 && number < MAX_ERRNO) return ERRNO | number;
    throw new Error(
      `unknown errno ${errno} in ${JSON.stringify(text)}: a name such as EPERM, or 1 to ${MAX_ERRNO - 1}`,
    );
  }
  const hint = suggestion(name, Object.keys(ACTIONS)) || ":";
  throw new Error(
    `unknown action ${JSON.stringify(text)}${hint} SCMP_ACT_ ${Object.keys(ACTIONS).join(", ")} or ERRNO(EPERM)`,
  );
}

/** The call fails with this errno. */
export const errnoAction = (errno: number): number => ERRNO | errno;

/** The call fails, with whatever errno. */
export const isErrno = (action: number): boolean => kindOf(action) === ERRNO;

/** Without its data, such as the errno. */
export const kindOf = (action: number): number => (action & ACTION) >>> 0;

/** The call fails, or is the last of its caller, or is logged. TRAP is not among them: it is the command's own affair. */
export const isTellable = (action: number): boolean =>
  [ERRNO, ACTIONS.KILL_THREAD, ACTIONS.KILL_PROCESS, ACTIONS.LOG].includes(kindOf(action));

/** The call is carried out, or may be: by what traces the command, or for a reason that is not known here. */
export const mayGoOn = (action: number): boolean =>
  ![ERRNO, ACTIONS.TRAP, ACTIONS.NOTIFY, ACTIONS.KILL_THREAD, ACTIONS.KILL_PROCESS].includes(
    kindOf(action),
  );

/** The call goes on. */
export const passes = (action: number): boolean =>
  action === ACTIONS.ALLOW || action === ACTIONS.LOG;

/** The `afb-reply` object: what every call is answered with, on every transport. */
import { AfbError, type FailureStatus, isExhausted, STATUS, type Status } from "../errors.ts";

export interface Reply {
  jtype: "afb-reply";
  /** In wire order: some clients print it. */
  request: { status: Status; info?: string; code: number };
  /** Absent when there is nothing to say. */
  response?: unknown;
}

export function success(response?: unknown): Reply {
  const reply: Reply = { jtype: "afb-reply", request: { status: "success", code: 0 } };
  if (response !== undefined) reply.response = response;
  return reply;
}

/** Codes that a plugin may give its own errors: these and below. */
const USER_CODE = -1000;

/** The reply to a failed call. Anything but an {@link AfbError}, or a plugin's own, is a bug: `internal-error`. */
export function failure(error: unknown): Reply {
  const user = userError(error);
  if (user) return { jtype: "afb-reply", request: user };
  const status: FailureStatus =
    error instanceof AfbError ? error.status : isExhausted(error) ? "busy" : "internal-error";
  const info = error instanceof Error ? error.message : String(error);
  const request: Reply["request"] = info
    ? { status, info, code: STATUS[status].code }
    : { status, code: STATUS[status].code };
  return { jtype: "afb-reply", request };
}

/** An error with a status word and a code of its own, thrown by a plugin. */
function userError(error: unknown): Reply["request"] | undefined {
  if (!(error instanceof Error) || !("code" in error && "status" in error)) return undefined;
  const { code, status, message } = error;
  if (typeof code !== "number" || !Number.isInteger(code) || code > USER_CODE) return undefined;
  if (typeof status !== "string" || !/^[\w-]{1,64}$/.test(status)) return undefined;
  // Those of the catalogue have their own codes; `success` even is none.
  if (Object.hasOwn(STATUS, status)) return undefined;
  // Not in the catalogue: who looks a status up there has to expect that.
  const own = status as Status;
  return message ? { status: own, info: message, code } : { status: own, code };
}

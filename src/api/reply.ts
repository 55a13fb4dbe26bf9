/** The `afb-reply` object: what every call is answered with, on every transport. */
import { AfbError, STATUS, type Status } from "../errors.ts";

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

/** The reply to a failed call. Anything but an {@link AfbError} is a bug of ours: `internal-error`. */
export function failure(error: unknown): Reply {
  const status = error instanceof AfbError ? error.status : "internal-error";
  const info = error instanceof Error ? error.message : String(error);
  const request: Reply["request"] = info
    ? { status, info, code: STATUS[status].code }
    : { status, code: STATUS[status].code };
  return { jtype: "afb-reply", request };
}

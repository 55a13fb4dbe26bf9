/** How a call can fail for a caller. */
import type { Reply } from "../api/reply.ts";

/** The server could not be reached, or hung up. */
export class ConnectionError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "ConnectionError";
  }
}

/** The reply to a start is an error, or is about no task; or the right to follow the task was withdrawn. */
export class CallError extends Error {
  constructor(
    readonly method: string,
    readonly reply: Reply,
  ) {
    const { status, info } = reply.request;
    const what = status === "success" ? "started no task" : status;
    super(`${method}: ${what}${info ? `: ${info}` : ""}`);
    this.name = "CallError";
  }
}

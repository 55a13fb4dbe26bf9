/** What became of a call on one board, as its answers tell. */
import type { Reply } from "../api/reply.ts";
import { parseForeign } from "../json.ts";
import { isObject } from "../object.ts";
import type { Kind } from "./outflow.ts";

/**
 * - `ok`: the call succeeded, and so did the task that it started
 * - `error`: it did not, or it is not known whether it did
 * - `refused`: nothing was done
 * - `timeout`: there is no answer, or the task has not ended
 * - `offline`: the board is not there, and was not called
 */
export type Result = "ok" | "error" | "refused" | "timeout" | "offline";

export interface Outcome {
  readonly board: string;
  readonly result: Result;
  readonly reply?: Reply;
  /** In words, where there is no reply. */
  readonly info?: string;
}

export type Counts = Partial<Record<Result, number>>;

export function countsOf(all: readonly Pick<Outcome, "result">[]): Counts {
  const found: Counts = {};
  for (const { result } of all) found[result] = (found[result] ?? 0) + 1;
  return found;
}

const KINDS: ReadonlySet<unknown> = new Set<Kind>(["accepted", "event", "part", "reply"]);
const isKind = (value: unknown): value is Kind => KINDS.has(value);
export const kindOf = (value: unknown): Kind | undefined => (isKind(value) ? value : undefined);

/** undefined where it is none. */
export function jsonOf(text: string): unknown {
  try {
    return parseForeign(text);
  } catch {
    // Whatever a board has written there, others are not to suffer.
  }
  return undefined;
}

export function replyOf(text: string): Reply | undefined {
  const value = jsonOf(text);
  return isReply(value) ? value : undefined;
}

function isReply(value: unknown): value is Reply {
  if (!isObject(value) || !isObject(value["request"])) return false;
  const { status, info = "" } = value["request"];
  return typeof status === "string" && typeof info === "string";
}

/** @param isAccepted something was done */
export function resultOf({ request, response }: Reply, isAccepted: boolean): Result {
  if (request.status === "timeout") return "timeout";
  if (request.status !== "success") return isAccepted ? "error" : "refused";
  const { status } = isObject(response) ? response : {};
  return isObject(status) && status["exit"] !== 0 ? "error" : "ok";
}

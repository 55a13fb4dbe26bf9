/** An outcome as clients see it: `{"exit":0}`, `{"signal":"Killed"}` or `{"signal":"Killed","info":"timeout"}`, then ours. */
import type { Outcome, Usage } from "../launch/task.ts";
import { signalWords } from "./signals.ts";

export interface WireStatus {
  exit?: number;
  /** Words of the C library. */
  signal?: string;
  /** Existing clients take any `info` for a time-out: nothing else goes here. */
  info?: "timeout";
  /** Why it ended, when the command did not end by itself. */
  cause?: NonNullable<Outcome["cause"]>;
  usage: Usage;
  /** What went wrong in the encoder, where output is missing for that. */
  encoder?: string;
}

/** Keys in wire order. */
export function wireStatus(outcome: Outcome): WireStatus {
  return {
    ...(outcome.exit === undefined ? {} : { exit: outcome.exit }),
    ...(outcome.signal === undefined ? {} : { signal: signalWords(outcome.signal) }),
    ...(outcome.cause === "timeout" ? { info: "timeout" as const } : {}),
    ...(outcome.cause === undefined ? {} : { cause: outcome.cause }),
    usage: outcome.usage,
  };
}

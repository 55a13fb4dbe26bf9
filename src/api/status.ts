/** An outcome as clients see it: `{"exit":0}`, `{"signal":"Killed"}` or `{"signal":"Killed","info":"timeout"}`, then ours. */
import type { Outcome, Usage } from "../launch/task.ts";
import { signalWords } from "../config/signals.ts";

export interface WireStatus {
  exit?: number;
  /** Words of the C library. */
  signal?: string;
  /** Existing clients take any `info` for a time-out: nothing else goes here. */
  info?: "timeout";
  /** Why it ended, when the command did not end by itself. */
  cause?: NonNullable<Outcome["cause"]>;
  /** So many other processes were ended with it, by a time-out or a stop. */
  others?: number;
  usage: Usage;
  /** The system call that was its last, where the sandbox tells of calls. */
  syscall?: string;
  /** Names and counts of the calls that its filter denied, and of those that it logged. */
  denied?: Outcome["denied"];
  logged?: Outcome["logged"];
  /** Bytes of its output that are lost, beyond what is held of it. */
  overflow?: { readonly bytes: number };
  /** Bytes of its output that were no text: U+FFFD stands for them. */
  replaced?: { readonly bytes: number };
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
    ...(outcome.others === undefined ? {} : { others: outcome.others }),
    usage: outcome.usage,
    ...(outcome.syscall === undefined ? {} : { syscall: outcome.syscall }),
    ...(outcome.denied === undefined ? {} : { denied: outcome.denied }),
    ...(outcome.logged === undefined ? {} : { logged: outcome.logged }),
  };
}

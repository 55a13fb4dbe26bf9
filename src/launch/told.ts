/** What a filter denied or logged, by the names of the calls. */
import type { Outcome } from "./task.ts";
import type { LauncherRecord, ToldCall } from "./records.ts";

type Told = Pick<Outcome, "syscall" | "denied" | "logged">;

/** Counts above 2^32-2 are not told apart. */
export class ToldCounts {
  readonly #counts = { denied: new Map<string, number>(), logged: new Map<string, number>() };

  constructor(readonly names: Readonly<Record<string, string>> = {}) {}

  add({ how, counts }: Extract<LauncherRecord, { kind: "told" }>): void {
    for (const [call, count] of counts) this.#counts[how].set(this.#nameOf(call), count);
  }

  /** What of an outcome tells of calls; `fatal` is the one that ended the command. */
  outcome(fatal: ToldCall | undefined): Told {
    const { denied, logged } = this.#counts;
    return {
      ...(fatal && { syscall: this.#nameOf(fatal) }),
      ...(denied.size > 0 && { denied: Object.fromEntries(denied) }),
      ...(logged.size > 0 && { logged: Object.fromEntries(logged) }),
    };
  }

  #nameOf(call: ToldCall): string {
    if ("number" in call) return this.names[call.number] ?? `syscall ${call.number}`;
    return call.foreign === "other" ? "other" : `syscall ${call.foreign} of another ABI`;
  }
}

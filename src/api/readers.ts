/** Who takes the output of tasks as it is, for as long as they may. */
import type { Bytes } from "../encoders/encoder.ts";
import type { Request } from "./client.ts";
import { unless } from "./gate.ts";
import type { MayFollow, Run } from "./run.ts";

export class Readers {
  readonly #of = new Map<Run, { readonly bytes: Bytes; readonly request: Request }>();

  /** Until the task has ended, and its output with it. */
  add(run: Run, bytes: Bytes, request: Request): void {
    this.#of.set(run, { bytes, request });
  }

  remove(run: Run): void {
    this.#of.delete(run);
  }

  /** Nobody waits for what they have not read. */
  drop(): void {
    for (const { bytes } of this.#of.values()) bytes.drop();
  }

  /** Takes it from those who may not have it any more; the tasks go on. */
  recheck(may: MayFollow): void {
    for (const [{ plan }, { bytes, request }] of this.#of)
      unless(may(plan, request), () => bytes.drop());
  }
}

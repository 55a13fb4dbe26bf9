/** What is counted of a server, and who may read it. */
import { Counts } from "../metrics/counts.ts";
import { METRICS_PRIVILEGE } from "../metrics/verb.ts";
import type { Values } from "../manual/options.ts";

export const METRICS = {
  "metrics-privilege": {
    argument: "URN",
    text:
      `privilege that GET /metrics takes (default ${METRICS_PRIVILEGE} where there is --access, its ` +
      'default file or --cynagora, else none; "": none)',
  },
} as const;

/** undefined: as it is by default; "": none. */
export const metricsOptions = (values: Values<typeof METRICS>): string | undefined =>
  values["metrics-privilege"];

/** @param guarded somebody has said who may call what */
export function metricsPrivileges(option: string | undefined, guarded: boolean): readonly string[] {
  if (option === undefined) return guarded ? [METRICS_PRIVILEGE] : [];
  return option === "" ? [] : [option];
}

/** Of one server. */
export class Metering {
  readonly counts = new Counts();
  readonly #reloads = { done: 0, failed: 0, isGood: true };

  get reloads(): { readonly done: number; readonly failed: number; readonly isGood: boolean } {
    return this.#reloads;
  }

  reloaded(isGood: boolean): void {
    this.#reloads.isGood = isGood;
    this.#reloads[isGood ? "done" : "failed"]++;
  }
}

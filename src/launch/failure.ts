/** A step of a launch that the kernel refused, and what can be said of it. */
import type { Plan } from "../plan/plan.ts";
import type { Confinement } from "./confinement.ts";
import type { Step } from "./step-needs.ts";

export interface Failure {
  readonly step: Step;
  /** Name of an errno. */
  readonly errno: string;
  /** The object, as the launcher tells it; empty where there is none. */
  readonly what: string;
  /** Undefined where none is launched yet. */
  readonly plan?: Pick<Plan, "policy"> | undefined;
}

/** A sentence, or how it is found; undefined where another has to be. */
export type Words = string | ((failure: Failure, here: Confinement) => string | undefined);

export const lacks = (cap: number | undefined, { plan }: Failure, { caps }: Confinement): boolean =>
  cap !== undefined &&
  ((caps >> BigInt(cap)) & 1n) === 0n &&
  // In a user namespace of its own the launcher has all of them.
  !plan?.policy.namespaces.has("user");

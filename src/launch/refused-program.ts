/** Why a program that was fit at the start is not any more: it was exchanged since, or taken away. */
import { mayExecute } from "../plan/landlock.ts";
import { hostFiles } from "../plan/machine.ts";
import type { Plan } from "../plan/plan.ts";
import { checkProgram } from "../plan/program.ts";
import { View } from "../plan/view.ts";

/**
 * The sentence that `check` would say of it now; undefined where it finds nothing wrong. The kernel has just looked at these files,
 * so their file systems answer.
 */
export function refusedProgram({ policy }: Pick<Plan, "policy">, path: string): string | undefined {
  try {
    const view = new View(policy.mounts, hostFiles);
    checkProgram(view, path, (real) => mayExecute(policy.landlock, real));
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

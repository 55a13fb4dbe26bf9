/** Why a program that was fit at the start is not any more: it was exchanged since, or taken away. */
import { hostFiles } from "../plan/machine.ts";
import type { Plan } from "../plan/plan.ts";
import { checkProgram } from "../plan/program.ts";
import { programContext } from "../plan/program-context.ts";

/**
 * The sentence that `check` would say of it now; undefined where it finds nothing wrong. The kernel has just looked at these files,
 * so their file systems answer.
 */
export function refusedProgram(
  { policy, env }: Pick<Plan, "policy" | "env">,
  path: string,
): string | undefined {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  try {
    checkProgram(programContext(policy, env, { files: hostFiles, arch }), path);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Which sandboxes get a cgroup, and under which name. */
import type { CgroupPolicy } from "./cgroup.ts";
import { leavesGroup } from "./cgroup-grip.ts";
import { type ApiPlan, launchable, type Plan } from "./plan.ts";

export interface SandboxGroupNeed {
  readonly key: string;
  readonly file: string;
  readonly policy: CgroupPolicy | undefined;
  /** Its tasks leave their group as it was. */
  readonly reusable: boolean;
  /** All of its commands may be missing. */
  readonly mayBeMissing: boolean;
}

export const cgroupKey = ({ api, sandbox }: Pick<Plan, "api" | "sandbox">): string =>
  `${api}/${sandbox}`;

/**
 * Those with limits; and those without a pid namespace, where there can be groups: only cgroup.kill ends a tree whose processes
 * fork faster than they can be found.
 */
export function groupsNeeded(apis: readonly ApiPlan[]): SandboxGroupNeed[] {
  return apis.flatMap(({ api, file, sandboxes }) =>
    sandboxes.flatMap((sandbox) => {
      const plans = launchable(sandbox);
      const policy = plans[0]?.policy;
      if (!policy || (!policy.cgroup && policy.namespaces.has("pid"))) return [];
      const key = cgroupKey({ api, sandbox: sandbox.uid });
      const mayBeMissing = plans.every(({ optional }) => optional === true);
      const reusable = leavesGroup(policy);
      return [{ key, file, policy: policy.cgroup, reusable, mayBeMissing }];
    }),
  );
}

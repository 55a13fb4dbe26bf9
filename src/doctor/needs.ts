/** What loaded plans need and this machine does not have. */
import { type ApiPlan, launchable, type Plan } from "../plan/plan.ts";
import type { Feature, FeatureName } from "./feature.ts";

/** Features that a plan cannot start without. */
function needsOf({ policy }: Plan): FeatureName[] {
  const needs: FeatureName[] = ["launch"];
  for (const name of policy.namespaces)
    needs.push(name === "mount" ? "mounts" : `namespace-${name}`);
  if (policy.seccomp) needs.push("seccomp");
  if (policy.families) needs.push("families");
  if (policy.told) needs.push("seccomp-report");
  if (policy.landlock) needs.push("landlock");
  if (policy.label) needs.push("label");
  if (policy.identity) needs.push("user-switch");
  return needs;
}

/** One line per sandbox and missing feature, such as `box: namespace-net: …`. */
export function unmet(api: ApiPlan, features: readonly Feature[]): string[] {
  const lacking = new Map(
    features.filter(({ ok }) => !ok).map((feature) => [feature.name, feature]),
  );
  return api.sandboxes.flatMap((sandbox) => {
    const needs = new Set(launchable(sandbox).flatMap(needsOf));
    return [...needs].flatMap((name) => {
      const feature = lacking.get(name);
      return feature ? [`sandbox ${sandbox.uid} needs ${name}: ${feature.found}`] : [];
    });
  });
}

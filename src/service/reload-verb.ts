/** `monitor/reload`: what SIGHUP does, for callers who may, with the result as the reply. */
import type { Verb } from "../api/verb.ts";
import { problemLine } from "../config/problem.ts";
import { AfbError } from "../errors.ts";
import { isNothing } from "../object.ts";
import { pack } from "../plan/pack.ts";
import type { ApiPlan, Plan } from "../plan/plan.ts";
import type { ReloadResult } from "./reload.ts";

export const RELOAD_PRIVILEGE = "urn:spawnbox:reload";

/** Verbs, as `api/verb`. */
export interface Changes {
  readonly added: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** @param reload resolves to what has changed, or the result of a reload that failed */
export function reloadVerb(
  reload: () => Promise<ReloadResult<{ readonly changes: Changes }>>,
): Verb {
  return {
    name: "reload",
    privileges: [RELOAD_PRIVILEGE],
    async call({ args }) {
      if (!isNothing(args)) throw new AfbError("invalid-request", "reload takes no arguments");
      const { loaded, problems } = await reload();
      if (loaded) return loaded.changes;
      const count = `${problems.length} problem${problems.length === 1 ? "" : "s"}`;
      throw new AfbError(
        "bad-state",
        `nothing changed: ${count}\n${problems.map(problemLine).join("\n")}`,
      );
    },
    describe: () => ({ info: "reads the configs and the access file anew", parameters: [] }),
  };
}

/** What a reload changes for callers. */
export function changesOf(before: readonly ApiPlan[], after: readonly ApiPlan[]): Changes {
  const [old, now] = [fingerprints(before), fingerprints(after)];
  const names = [...now.keys()];
  return {
    added: names.filter((name) => !old.has(name)),
    changed: names.filter((name) => old.has(name) && old.get(name) !== now.get(name)),
    removed: [...old.keys()].filter((name) => !now.has(name)),
  };
}

function fingerprints(apis: readonly ApiPlan[]): Map<string, string> {
  // Those of a sandbox share their blob.
  const hashes = new Map<Uint8Array, string>();
  const hashOf = (ops: Uint8Array): string => {
    const hash = hashes.get(ops) ?? Bun.hash.xxHash3(ops).toString();
    hashes.set(ops, hash);
    return hash;
  };
  // The ops are what the policy does, but for its cgroup.
  const of = ({ policy, ops, ...plan }: Plan): string =>
    JSON.stringify([pack({ ...plan, cgroup: policy.cgroup }), hashOf(ops)]);
  return new Map(
    apis.flatMap(({ api, sandboxes, actions, imports = [] }) => {
      const execs = sandboxes.flatMap(({ exec }) => (exec ? [of(exec)] : []));
      return [
        ...sandboxes.flatMap(({ plans }) => plans.map((plan) => [plan.verb, of(plan)] as const)),
        ...(execs.length > 0 ? [["exec", execs.join()] as const] : []),
        ...(actions?.extra ?? []).map((plan) => [plan.uid, JSON.stringify(plan)] as const),
      ]
        .map(([verb, print]) => [`${api}/${verb}`, print] as const)
        .concat(imports.map((plan) => [`${plan.name}/*`, JSON.stringify(plan)] as const));
    }),
  );
}

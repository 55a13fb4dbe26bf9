/** How the keys of a sandbox refine its profile: single values override, lists are appended, an own mount replaces. */
import { posix } from "node:path";
import type { Mount, Namespace, Seccomp } from "../config/sandbox-schema.ts";
import type { Sandbox } from "../config/schema.ts";
import type { ProfileBase } from "./profile.ts";
import { Report } from "./report.ts";

export function mergeSandbox(base: ProfileBase, own: Sandbox): Sandbox {
  const seccomp = mergeSeccomp(base.seccomp, own.seccomp);
  const namespace = mergeNamespace(base.namespace, own.namespace);
  return {
    ...base,
    ...own,
    envs: [...(base.envs ?? []), ...(own.envs ?? [])],
    acls: { ...base.acls, ...own.acls },
    caps: [...(base.caps ?? []), ...(own.caps ?? [])],
    limits: { ...base.limits, ...own.limits },
    ...((base.network ?? own.network) && { network: { ...base.network, ...own.network } }),
    ...(seccomp && { seccomp }),
    ...(namespace && { namespace }),
  };
}

function mergeSeccomp(base: Seccomp | undefined, own: Seccomp | undefined): Seccomp | undefined {
  // A compiled filter is whole: it cannot be added to.
  if (own?.rulespath !== undefined || base === undefined) return own;
  return { ...base, ...own, rules: [...(base.rules ?? []), ...(own?.rules ?? [])] };
}

function mergeNamespace(
  base: Namespace | undefined,
  own: Namespace | undefined,
): Namespace | undefined {
  if (base === undefined || own === undefined) return base ?? own;
  const mounts = [...keptMounts(base.mounts ?? [], own.mounts ?? []), ...(own.mounts ?? [])];
  return {
    opts: { ...base.opts, ...own.opts },
    shares: { ...base.shares, ...own.shares },
    mounts,
  };
}

/** The profile's mounts but for those that the config's own would hide. */
function keptMounts(base: readonly Mount[], own: readonly Mount[]): Mount[] {
  const hidden = own.map(({ target }) => posix.normalize(target).replace(/(.)\/$/, "$1"));
  return base.filter(
    ({ target }) => !hidden.some((path) => target === path || target.startsWith(`${path}/`)),
  );
}

/**
 * Reports on a merged sandbox at the places of the config: entries of lists count from the config's first; what is wrong
 * with the profile's own stands at `profile`.
 */
export function mergedReport(report: Report, path: string, own: Sandbox, merged: Sandbox): Report {
  if (own === merged) return report;
  const length = (list: readonly unknown[] | undefined) => list?.length ?? 0;
  const added: Readonly<Record<string, number>> = {
    envs: length(merged.envs) - length(own.envs),
    caps: length(merged.caps) - length(own.caps),
    "seccomp.rules": length(merged.seccomp?.rules) - length(own.seccomp?.rules),
    "namespace.mounts": length(merged.namespace?.mounts) - length(own.namespace?.mounts),
  };
  return report.at((place) => {
    if (!place.startsWith(`${path}.`)) return place;
    const match = /^([\w.]+)\[(\d+)\](.*)$/.exec(place.slice(path.length + 1));
    const offset = added[match?.[1] ?? ""];
    if (!match || offset === undefined) return place;
    const index = Number(match[2]) - offset;
    return index < 0 ? `${path}.profile` : `${path}.${match[1]}[${index}]${match[3]}`;
  });
}

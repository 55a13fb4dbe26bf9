/** How the keys of a sandbox refine its profile: single values override, lists are appended, an own mount replaces. */
import { posix } from "node:path";
import type { Mount, Namespace, Seccomp } from "../config/sandbox-schema.ts";
import type { Sandbox } from "../config/schema.ts";
import { Report } from "./report.ts";

/** What a profile says. */
export type ProfileBase = Omit<Sandbox, "uid" | "commands" | "profile">;

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
    ...(base.network && { network: { ...base.network, ...own.network } }),
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
  // Its own alone is there already.
  if (base === undefined || own === undefined) return base;
  const isRoot = ({ target }: Mount) => posix.normalize(target) === "/";
  const all = [...keptMounts(base.mounts ?? [], own.mounts ?? []), ...(own.mounts ?? [])];
  // The rest is mounted on it.
  const mounts = [...all.filter(isRoot), ...all.filter((mount) => !isRoot(mount))];
  return {
    opts: { ...base.opts, ...own.opts },
    shares: { ...base.shares, ...own.shares },
    mounts,
  };
}

/** The profile's mounts but for those that the config's own would hide. */
function keptMounts(base: readonly Mount[], own: readonly Mount[]): Mount[] {
  const targets = own.map(({ target }) => posix.normalize(target).replace(/(.)\/$/, "$1"));
  const hidden = targets.filter((path) => path !== "/");
  // With a root of the host there is what the profile shows of it, and no link or file can be made.
  const shown = ({ mode = "ro", source }: Mount) =>
    (mode === "ro" && source === undefined) || mode === "symlink" || mode === "hosts";
  const kept = hidden.length < targets.length ? base.filter((mount) => !shown(mount)) : base;
  return kept.filter(
    ({ target }) => !hidden.some((path) => target === path || target.startsWith(`${path}/`)),
  );
}

/**
 * Reports on a merged sandbox at the places of the config: entries of lists count as the config has them; what is wrong
 * with the profile's own stands at `profile`.
 */
export function mergedReport(report: Report, path: string, own: Sandbox, merged: Sandbox): Report {
  if (own === merged) return report;
  const lists: Readonly<Record<string, readonly (readonly unknown[] | undefined)[]>> = {
    envs: [merged.envs, own.envs],
    caps: [merged.caps, own.caps],
    "seccomp.rules": [merged.seccomp?.rules, own.seccomp?.rules],
    "namespace.mounts": [merged.namespace?.mounts, own.namespace?.mounts],
  };
  return report.at((place) => {
    if (!place.startsWith(`${path}.`)) return place;
    const match = /^([\w.]+)\[(\d+)\](.*)$/.exec(place.slice(path.length + 1));
    const list = lists[match?.[1] ?? ""];
    if (!match || list === undefined) return place;
    const [whole = [], written = []] = list;
    const index = written.indexOf(whole[Number(match[2])]);
    return index < 0 ? `${path}.profile` : `${path}.${match[1]}[${index}]${match[3]}`;
  });
}

/**
 * Where commands that are confined can make links as root, or give root's links other names: there no link is followed at a launch,
 * since a command may have left it to be shown what its own sandbox does not have.
 */
import type { Blobs } from "./policies.ts";
import { encodePolicy } from "./encode.ts";
import { covers } from "./inside.ts";
import { type ApiPlan, launchable, type Plan, type SandboxPlan } from "./plan.ts";
import type { Notice } from "./report.ts";
import type { MountStep, Policy } from "./policy.ts";
import { heldNotice } from "./source.ts";

/** LANDLOCK_ACCESS_FS_MAKE_SYM: of a path that is rw. */
const MAKE_LINK = 1n << 12n;
/** Of the kernel's own, where nobody makes links. */
const KERNELS = ["/proc", "/sys"];

/** Of a user who is not root, the files are not root's. In a user namespace, root's are. */
function makesRootsFiles({ privileged, identity, caps, noNewPrivs }: Policy): boolean {
  if (!privileged) return false;
  if (!identity || identity.uid === 0 || !noNewPrivs) return true;
  return (caps ?? []).length > 0 || [identity.gid, ...identity.groups].includes(0);
}

/** Who sees the host's files without any limit has no need of links. */
function writable({ mounts, landlock }: Policy): string[] {
  if (mounts) {
    return mounts.flatMap((step) =>
      step.kind === "bind" && !step.flags.readonly ? [step.source] : [],
    );
  }
  return (landlock?.paths ?? []).flatMap(([path, access]) =>
    (access & MAKE_LINK) !== 0n ? [path] : [],
  );
}

/** All of these are served together, so what a command of one leaves is there for the others. */
function sharedPlaces(apis: readonly ApiPlan[]): string[] {
  const plans = apis.flatMap(({ sandboxes }) => sandboxes.flatMap(launchable));
  const places = plans.filter(({ policy }) => makesRootsFiles(policy)).map(({ policy }) => policy);
  return [...new Set(places.flatMap(writable))].filter(
    (place) => !KERNELS.some((kernels) => covers(kernels, place)),
  );
}

/** The plans as they are when no link is followed where one of these commands can have made it. */
export function withSharedPlaces(apis: readonly ApiPlan[], blobs: Blobs): readonly ApiPlan[] {
  const places = sharedPlaces(apis);
  if (places.length === 0) return apis;
  return apis.map((api) => {
    const notices = new Map<string, Notice>();
    const sandboxes = api.sandboxes.map((sandbox, i) => {
      const tell = (message: string) =>
        notices.set(`${i} ${message}`, { path: `sandboxes[${i}]`, message });
      return withPlaces(sandbox, (plan) => holding(plan, places, blobs, tell));
    });
    return { ...api, sandboxes, notices: [...api.notices, ...notices.values()] };
  });
}

const withPlaces = (sandbox: SandboxPlan, change: (plan: Plan) => Plan): SandboxPlan => ({
  ...sandbox,
  plans: sandbox.plans.map(change),
  ...(sandbox.exec && { exec: change(sandbox.exec) }),
});

function holding(
  plan: Plan,
  places: readonly string[],
  blobs: Blobs,
  tell: (message: string) => void,
): Plan {
  const { policy: before } = plan;
  const shared = (links: readonly string[] = []) =>
    links.find((link) => places.some((place) => covers(place, link)));
  const told = (asked: string, link: string) =>
    tell(heldNotice(asked, link, "which commands that may write there could change"));
  const mounts = before.mounts?.map((step): MountStep => {
    const link = step.kind === "bind" ? shared(step.links) : undefined;
    if (step.kind !== "bind" || step.asked === undefined || link === undefined) return step;
    told(`source ${step.asked}`, link);
    const { asked: _, ...held } = step;
    return held;
  });
  const link = shared(before.landlock?.links);
  const landlock = before.landlock && {
    ...before.landlock,
    ...(link !== undefined && {
      paths: before.landlock.paths.map(([path, access]) => [path, access] as const),
    }),
  };
  if (link !== undefined) told("landlock", link);
  const policy: Policy = { ...before, mounts, landlock, sharedPlaces: places };
  const { pool } = plan;
  return {
    ...plan,
    policy,
    ops: blobs.intern(encodePolicy(policy)),
    ...(pool && { pool: { ...pool, ops: blobs.intern(encodePolicy(policy, true)) } }),
  };
}

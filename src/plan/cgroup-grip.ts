/**
 * Whether limits hold a command that does not want them. A group's files belong to the server's user: who is that user and sees
 * the hierarchy writable can lift its own limits, or move to another group. See cgroup-v2.rst, "Delegation".
 */
import type { SandboxPolicy } from "./policy.ts";
import { capabilityNumbers } from "./words.ts";

const HIERARCHY = "/sys/fs/cgroup";
/** LANDLOCK_ACCESS_FS_WRITE_FILE */
const WRITE_FILE = 2n;
const [DAC_OVERRIDE = -1] = capabilityNumbers(["DAC_OVERRIDE"]);
const [SYS_ADMIN = -1] = capabilityNumbers(["SYS_ADMIN"]);

/** How a command gets around its limits, and what prevents it; undefined when it cannot. */
export function looseLimits(policy: SandboxPolicy): string | undefined {
  if (!policy.cgroup) return undefined;
  const { identity, server } = policy;
  const isOwner = identity === undefined || identity.uid === server.uid;
  if (!isOwner && !has(policy, DAC_OVERRIDE)) return undefined;
  const place = policy.cgroup.mount ?? HIERARCHY;
  const how = seesWritable(policy, place)
    ? `can write to ${place}`
    : has(policy, SYS_ADMIN)
      ? "can mount the cgroup file system"
      : undefined;
  if (how === undefined) return undefined;
  const remedy = policy.privileged
    ? "let acls.user be another user than the server's, without DAC_OVERRIDE and SYS_ADMIN in caps"
    : `give the sandbox mounts of its own, without ${place}, such as those of the profile "minimal"`;
  return `a command could lift these limits: it has the rights of the server's user over its group and ${how}: ${remedy}`;
}

/**
 * Whether a command leaves its group as it was: it has no rights over the group's files, nor over anybody who has, and executes nothing
 * that has them. Then the group can be that of the next task.
 */
export function leavesGroup(policy: SandboxPolicy): boolean {
  const { privileged, identity, server, noNewPrivs, caps = [] } = policy;
  const isAnother = identity !== undefined && identity.uid !== server.uid;
  return privileged && isAnother && noNewPrivs && caps.length === 0;
}

/** Over what belongs to the machine: a capability in a user namespace of its own has no power over the server's groups. */
function has({ caps, namespaces }: SandboxPolicy, cap: number): boolean {
  if (namespaces.has("user")) return false;
  // Untouched are those of who is root alone: it has all.
  return caps?.includes(cap) ?? true;
}

const contains = (above: string, path: string): boolean =>
  above === "/" || path === above || path.startsWith(`${above}/`);

function seesWritable({ mounts, landlock }: SandboxPolicy, place: string): boolean {
  const touches = (path: string) => contains(path, place) || contains(place, path);
  if (mounts) {
    // A mount is shown with all that is mounted below it, as restricted as itself.
    return mounts.some(
      (step) => step.kind === "bind" && !step.flags.readonly && touches(step.source),
    );
  }
  if (!landlock || (landlock.files & WRITE_FILE) === 0n) return true;
  return landlock.paths.some(([path, access]) => (access & WRITE_FILE) !== 0n && touches(path));
}

/** Getting the controllers into our part of the hierarchy, and saying why one cannot be had. See cgroup-v2.rst, "Delegation". */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { xattr } from "../../../ffi/files.ts";
import type { Controller } from "../../plan/cgroup.ts";
import { errnoOf, get, makeGroups, move, put, words } from "./files.ts";
import { DELEGATE, notMade } from "./made.ts";
import { CgroupUnavailable, GROUP, LEAF, type Place } from "./place.ts";
import { relocate } from "./relocate.ts";

/** Makes the group all of ours lie in. @throws CgroupUnavailable */
export function makeGroup(place: Place): string {
  const group = join(place.base, GROUP);
  refuseThreaded(place);
  try {
    makeGroups(group);
  } catch (error) {
    throw notMade(group, errnoOf(error));
  }
  return group;
}

/** Below a group whose threads may be in several, no other can have processes: see cgroup-v2.rst, "Threads". */
function refuseThreaded({ base, isRoot }: Place): void {
  // What is made below is of the same kind.
  if (isRoot || isDomain(get(base, "cgroup.type"))) return;
  throw new CgroupUnavailable(
    `${base} is a threaded group, and those below it cannot have processes: start the server in a group of its own, such as a systemd unit with Delegate=yes`,
  );
}

/** @param type what cgroup.type of a group says */
export const isDomain = (type: string): boolean => type.trim() === "domain";

/** @returns why controllers cannot be had here, for each that is missing */
export function lackingControllers(
  place: Place,
  wanted: ReadonlySet<Controller>,
): Map<Controller, string> {
  const missing = new Map<Controller, string>();
  if (wanted.size === 0) return missing;
  const { base } = place;
  const available = words(base, "cgroup.controllers");
  const unit = isManaged(place);
  for (const name of wanted) {
    if (!available.includes(name)) missing.set(name, whyMissing(name, place));
    // It would take them back at its next reload, and the limits would silently be gone.
    else if (unit)
      missing.set(
        name,
        `no ${name} controller: systemd has not delegated ${base} to us: ${DELEGATE}`,
      );
  }
  return missing;
}

/** What the group that we are in hands to its children already. */
export const handedOn = ({ base }: Place): string[] => words(base, "cgroup.subtree_control");

/**
 * Hands the controllers to the children of our group; the server steps aside into a leaf where the kernel demands it.
 * @returns why the others cannot be had, for each that is missing
 */
export function enableControllers(
  place: Place,
  wanted: ReadonlySet<Controller>,
): Map<Controller, string> {
  const missing = lackingControllers(place, wanted);
  const { base } = place;
  const granted = [...wanted].filter((name) => !missing.has(name));
  if (granted.length === 0) return missing;
  const crowded = makeRoom(place);
  for (const name of granted) {
    const why = crowded ?? enable(base, name) ?? enable(join(base, GROUP), name);
    if (why !== undefined) missing.set(name, why);
  }
  return missing;
}

/** Enables a controller for the children of a group; says why when that fails. */
export function enable(group: string, controller: Controller): string | undefined {
  try {
    put(group, "cgroup.subtree_control", `+${controller}`);
    return undefined;
  } catch (error) {
    return whyNotEnabled(group, controller, errnoOf(error));
  }
}

export function whyNotEnabled(group: string, controller: Controller, errno: string): string {
  const what = `cannot enable ${controller} below ${group}: ${errno}`;
  if (errno === "EBUSY")
    return `${what}: other processes are in this group (${words(group, "cgroup.procs").slice(0, 5).join(", ")}): start the server in one of its own: ${DELEGATE}`;
  if (errno === "EACCES" || errno === "EPERM") return `${what}: run as root, or ${DELEGATE}`;
  // See cgroup-v2.rst, "CPU": with CONFIG_RT_GROUP_SCHED all of them must be in the root of the hierarchy.
  if (errno === "EINVAL" && controller === "cpu")
    return `${what}: realtime processes are in groups (such as multipathd, rtkit-daemon: ps -eLo cls,pid,comm | grep -E "FF|RR"): end them, or use a kernel without CONFIG_RT_GROUP_SCHED (rt_group_sched=0 on its command line)`;
  return what;
}

/** A group with controllers for its children cannot hold processes, but the root of the hierarchy can. Says why that fails. */
function makeRoom({ base, isRoot, isContainer, inLeaf }: Place): string | undefined {
  if (isRoot || inLeaf) return undefined;
  const leaf = join(base, GROUP, LEAF);
  try {
    makeGroups(leaf);
    relocate(leaf);
    // The shell or the init that started us in this container: nobody else will ever step aside for us. Some rounds, since they fork.
    for (let round = 0; isContainer && round < 10; round++) {
      const others = words(base, "cgroup.procs");
      if (others.length === 0) break;
      for (const pid of others) move(pid, leaf);
    }
    return undefined;
  } catch (error) {
    return `cannot move to ${leaf}: ${errnoOf(error)}: run as root, or ${DELEGATE}`;
  }
}

/** The base is the group of a systemd unit that systemd goes on managing. See systemd.resource-control(5), Delegate=. */
export function isManaged(
  { base, mount, isRoot }: Place,
  runsSystemd = existsSync("/run/systemd/system"),
): boolean {
  const flag = (group: string, name: string) =>
    xattr(group, `user.${name}`) ?? xattr(group, `trusted.${name}`);
  if (isRoot || !runsSystemd) return false;
  if (flag(base, "invocation_id") === undefined) return false;
  for (let group = base; ; group = dirname(group)) {
    if (flag(group, "delegate") === "1") return false;
    if (group.length <= mount.length) return true;
  }
}

function whyMissing(controller: Controller, { base, mount }: Place): string {
  const what = `no ${controller} controller in ${base}`;
  if (words(mount, "cgroup.controllers").includes(controller))
    return `${what}: it is not delegated: ${DELEGATE}; in a container, give it to the container`;
  if (existsSync(join(mount, "cgroup.type")))
    return `${what}: the host gives none to this container`;
  return `${what}: ${whyOff(controller, allControllers())}`;
}

function allControllers(): string | undefined {
  try {
    return readFileSync("/proc/cgroups", "utf8");
  } catch (error) {
    errnoOf(error);
    return undefined;
  }
}

/** @param cgroups /proc/cgroups: name, hierarchy, groups, enabled, see cgroups(7); undefined where /proc hides it */
export function whyOff(controller: Controller, cgroups: string | undefined): string {
  if (cgroups === undefined)
    return "/proc/cgroups, which tells why, is hidden: ProcSubset=all of the unit, and check again";
  const name = controller === "io" ? "blkio" : controller;
  const [found, , , enabled] =
    cgroups
      .split("\n")
      .map((line) => line.split("\t"))
      .find(([first]) => first === name) ?? [];
  if (found === undefined) return "this kernel is built without it";
  if (enabled === "0") return `it is off: put "cgroup_enable=${name}" on the kernel command line`;
  return 'it is in use by cgroup v1 (a hybrid system): put "systemd.unified_cgroup_hierarchy=1", or without systemd "cgroup_no_v1=all", on the kernel command line';
}

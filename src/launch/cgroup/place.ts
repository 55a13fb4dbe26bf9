/** Where the cgroup v2 hierarchy is mounted, and which group of it we are in. See cgroups(7), proc_pid_mountinfo(5). */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { errnoOf } from "./files.ts";

/** Groups cannot be used here; the message says why and what to do. */
export class CgroupUnavailable extends Error {
  override name = "CgroupUnavailable";
}

/** Our own groups lie in this one; the server itself, where it must not stay in {@link Place.base}, in LEAF of it. */
export const GROUP = "spawnbox";
export const LEAF = "server";

export interface Place {
  /** Mount point of the hierarchy. */
  readonly mount: string;
  /** Directory of the group that is ours to divide. */
  readonly base: string;
  /** It is the root of the whole hierarchy, to which the rule of no processes beside groups does not apply. */
  readonly isRoot: boolean;
  /** It is all that our cgroup namespace, so our container, sees: every process in it is the container's. */
  readonly isContainer: boolean;
  /** We have been moved to its leaf before, by an earlier server that became us. */
  readonly inLeaf: boolean;
}

export interface ProcFiles {
  /** /proc/self/cgroup */
  readonly cgroup: string;
  /** /proc/self/mountinfo */
  readonly mountinfo: string;
}

const HOW_TO_UNIFY =
  'boot with "systemd.unified_cgroup_hierarchy=1", or without systemd mount -t cgroup2 none /sys/fs/cgroup';

/** A mount of the host's shows a container's namespace its group as one somewhere below, and not which. */
export const OWN_VIEW =
  "give the container a cgroup namespace of its own, and not the host's /sys/fs/cgroup (docker: --cgroupns=private, no -v of it)";

export const HIDDEN =
  "something is mounted over it, such as another /sys: mount -t cgroup2 none /sys/fs/cgroup there";

const isGroup = (path: string): boolean => existsSync(join(path, "cgroup.procs"));

/**
 * @param mount the mount point of the config; undefined: the first that shows our group
 * @param isThere whether a directory is a group: a mount is listed also where another one hides it
 * @throws CgroupUnavailable
 */
export function findPlace(
  mount: string | undefined,
  files: ProcFiles = ourFiles(),
  isThere = isGroup,
): Place {
  const path = groupIn(files.cgroup);
  if (path === undefined)
    throw new CgroupUnavailable(
      files.cgroup === ""
        ? "this kernel is built without control groups (CONFIG_CGROUPS)"
        : `this kernel runs cgroup v1 only: ${HOW_TO_UNIFY}`,
    );
  const mounts = cgroupMounts(files.mountinfo).filter(({ controllers }) => !controllers);
  const candidates =
    mount === undefined
      ? mounts
      : mounts.filter(({ point }) => point === mount.replace(/(.)\/+$/, "$1"));
  if (candidates.length === 0)
    throw new CgroupUnavailable(
      mount === undefined
        ? `no cgroup v2 hierarchy is mounted: ${HOW_TO_UNIFY}`
        : `${mount} is not a mounted cgroup v2 hierarchy${mounts[0] ? `; ${mounts[0].point} is` : `: ${HOW_TO_UNIFY}`}`,
    );
  const hidden: string[] = [];
  for (const { point, root } of candidates) {
    const below = relative(root, path);
    if (below === undefined) continue;
    if (!isThere(join(point, below))) {
      hidden.push(point);
      continue;
    }
    const suffix = `/${GROUP}/${LEAF}`;
    const inLeaf = `/${below}`.endsWith(suffix);
    const name = inLeaf ? `/${below}`.slice(1, -suffix.length) : below;
    const base = join(point, name);
    // Every group but the root of the hierarchy has a type.
    const isRoot = !existsSync(join(base, "cgroup.type"));
    return { mount: point, base, isRoot, isContainer: name === "" && !isRoot, inLeaf };
  }
  if (hidden.length > 0)
    throw new CgroupUnavailable(
      `our group ${path} cannot be seen at ${hidden.join(", ")}: ${HIDDEN}`,
    );
  throw new CgroupUnavailable(
    `our group ${path} is not visible below ${candidates.map(({ point }) => point).join(", ")}: ${OWN_VIEW}`,
  );
}

export const ourFiles = (): ProcFiles => ({
  cgroup: cgroupFile("self"),
  mountinfo: readFileSync("/proc/self/mountinfo", "utf8"),
});

/** What /proc tells of the groups of a process; empty where the kernel has none, or the process has ended. Throws what node:fs does. */
export function cgroupFile(pid: number | "self", read = readFileSync): string {
  try {
    return read(`/proc/${pid}/cgroup`, "utf8");
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
    return "";
  }
}

/** The group in the hierarchy of version 2, as {@link cgroupFile} has it; undefined where there is no such hierarchy. */
export const groupIn = (cgroup: string): string | undefined => /^0::(.*)$/m.exec(cgroup)?.[1];

export interface CgroupMount {
  readonly point: string;
  /** The group that is seen at it. */
  readonly root: string;
  /** Of a hierarchy of cgroup v1, and its other options; undefined: v2. */
  readonly controllers: readonly string[] | undefined;
}

/** The last mounted first. */
export function cgroupMounts(mountinfo: string): CgroupMount[] {
  const mounts = mountinfo.split("\n").flatMap((line): CgroupMount[] => {
    const [before = "", after = ""] = line.split(" - ");
    const [, , , root, point] = before.split(" ");
    const [type, , options = ""] = after.split(" ");
    if (root === undefined || point === undefined) return [];
    if (type !== "cgroup" && type !== "cgroup2") return [];
    const controllers = type === "cgroup" ? options.split(",") : undefined;
    return [{ point: unescape(point), root: unescape(root), controllers }];
  });
  // A later mount hides an earlier one at the same point.
  return mounts.reverse();
}

/** The directory of a group, of the first of the mounts that shows it; undefined where none does. */
export function seenAt(mounts: readonly CgroupMount[], path: string): string | undefined {
  for (const { point, root } of mounts) {
    const below = relative(root, path);
    if (below !== undefined) return join(point, below);
  }
  return undefined;
}

/** Spaces and the like are octal in mountinfo. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** `path` seen from `root`, without a leading slash; undefined when it lies outside. */
export function relative(root: string, path: string): string | undefined {
  if (path.split("/").includes("..")) return undefined;
  if (root === "/") return path.slice(1);
  return path === root || path.startsWith(`${root}/`) ? path.slice(root.length + 1) : undefined;
}

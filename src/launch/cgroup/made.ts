/** Why the kernel makes no group, and what to do. See cgroup-v2.rst, "Core Interface Files", and mkdir(2). */
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { get } from "./files.ts";
import { CgroupUnavailable } from "./place.ts";

export const DELEGATE = 'put "Delegate=yes" into the systemd unit (systemd-run: -p Delegate=yes)';

/** What a group may bound: how many there are below it, and how deep. */
const BOUNDS = ["cgroup.max.descendants", "cgroup.max.depth"];

/** @param errno of mkdir(2) */
export const notMade = (group: string, errno: string): CgroupUnavailable =>
  new CgroupUnavailable(
    [`cannot make ${group}`, errno, whyNotMade(group, errno)].filter(Boolean).join(": "),
  );

/** What an errno of mkdir(2) means for a group; empty where nothing is known of it. */
export function whyNotMade(group: string, errno: string): string {
  switch (errno) {
    case "EROFS":
      return "in a container, have the cgroup file system mounted writable";
    case "EACCES":
    case "EPERM":
      return `the group we are in is not ours: run as root, or ${DELEGATE}`;
    case "EAGAIN":
      return `there may be no more, or none so deep: raise ${boundsAbove(group) || `${BOUNDS.join(" or ")} of a group above`}`;
    case "ENOSPC":
    case "ENOMEM":
      return "the kernel has room for no more: groups that were removed stay while something of their memory is in use";
    default:
      return "";
  }
}

/** Those of the groups that are seen above it, with their values: which one is reached they do not tell. */
function boundsAbove(group: string): string {
  const found: string[] = [];
  for (let above = dirname(group); ; above = dirname(above)) {
    const files = BOUNDS.filter((name) => existsSync(join(above, name)));
    if (files.length === 0) return found.join(" or ");
    for (const name of files) {
      const value = get(above, name).trim();
      if (value !== "max") found.push(`${join(above, name)} (${value})`);
    }
  }
}

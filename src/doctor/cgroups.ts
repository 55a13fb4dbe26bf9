/** Which control groups there are. See cgroups(7). */
import { accessSync, constants } from "node:fs";
import { isDomain } from "../launch/cgroup/controllers.ts";
import { cgroupMounts, groupIn, HIDDEN, OWN_VIEW, seenAt } from "../launch/cgroup/place.ts";
import { type Feature, missing, there } from "./feature.ts";
import { kernelFile } from "./host.ts";

const WANTED = ["cpu", "cpuset", "io", "memory", "pids"];

/** @param file as {@link kernelFile} @param writable whether this process may write there */
export function cgroupFeature(file = kernelFile, writable = isWritable): Feature {
  const mounts = cgroupMounts(file("/proc/self/mountinfo") ?? "");
  const v2 = mounts.filter(({ controllers }) => !controllers);
  const v1 = mounts.length > v2.length;
  const name = "cgroup-v2";
  const remedy =
    "boot with systemd.unified_cgroup_hierarchy=1 (or cgroup_no_v1=all), so that version 2 has the controllers";
  if (v2.length === 0)
    return missing(
      name,
      v1 ? "only version 1" : "not mounted",
      v1 ? remedy : "mount -t cgroup2 none /sys/fs/cgroup",
    );
  const own = groupIn(file("/proc/self/cgroup") ?? "") ?? "/";
  const group = seenAt(v2, own);
  if (group === undefined)
    return missing(
      name,
      `${v2.map(({ point }) => point).join(", ")}: our group ${own} is not visible there`,
      OWN_VIEW,
    );
  const given = file(`${group}/cgroup.controllers`);
  if (given === undefined) return missing(name, `${group}: cannot be seen`, HIDDEN);
  const controllers = given.split(" ");
  const lacking = WANTED.filter((wanted) => !controllers.includes(wanted));
  const found = `${group}: ${controllers.join(" ") || "no controllers"}`;
  if (!writable(group))
    return missing(name, `${found}; not writable`, "Delegate=yes in the unit, or run as root");
  // The root of the hierarchy has no type.
  if (!isDomain(file(`${group}/cgroup.type`) || "domain"))
    return missing(
      name,
      `${group}: a threaded group`,
      "start the server in a group of its own, such as a systemd unit with Delegate=yes",
    );
  if (lacking.length === 0) return there(name, found);
  if (v1) return missing(name, `${found}; the system is hybrid`, remedy);
  return missing(
    name,
    found,
    `${lacking.join(", ")}: enable in cgroup.subtree_control of the parent, Delegate=yes in the unit`,
  );
}

function isWritable(path: string): boolean {
  try {
    accessSync(path, constants.W_OK);
    return true;
  } catch {
    // either it is not there or not ours: the answer is no
    return false;
  }
}

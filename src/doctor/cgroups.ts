/** Which control groups there are. See cgroups(7). */
import { accessSync, constants } from "node:fs";
import { isDomain } from "../launch/cgroup/controllers.ts";
import { type Feature, missing, there } from "./feature.ts";
import { kernelFile } from "./host.ts";

const WANTED = ["cpu", "cpuset", "io", "memory", "pids"];

/** @param file as {@link kernelFile} @param writable whether this process may write there */
export function cgroupFeature(file = kernelFile, writable = isWritable): Feature {
  const mounts = (file("/proc/self/mountinfo") ?? "").split("\n").map((line) => {
    const [left = "", right = ""] = line.split(" - ");
    const [, , , , place = ""] = left.split(" ");
    const [type = ""] = right.split(" ");
    return { place, type };
  });
  const v2 = mounts.find(({ type }) => type === "cgroup2");
  const v1 = mounts.some(({ type }) => type === "cgroup");
  const name = "cgroup-v2";
  const remedy =
    "boot with systemd.unified_cgroup_hierarchy=1 (or cgroup_no_v1=all), so that version 2 has the controllers";
  if (!v2)
    return missing(
      name,
      v1 ? "only version 1" : "not mounted",
      v1 ? remedy : "mount -t cgroup2 none /sys/fs/cgroup",
    );
  const own = /^0::(.*)$/m.exec(file("/proc/self/cgroup") ?? "")?.[1] ?? "/";
  const group = `${v2.place}${own === "/" ? "" : own}`;
  const controllers = (file(`${group}/cgroup.controllers`) ?? "").split(" ");
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

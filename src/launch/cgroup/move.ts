/** Moving whole processes: a server that becomes a service goes where the service manager looks for it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { isManaged } from "./controllers.ts";
import { errnoOf, makeGroups } from "./files.ts";
import { cgroupFile, CgroupUnavailable, findPlace, GROUP, groupIn, LEAF } from "./place.ts";
import { relocate } from "./relocate.ts";

/** The group of a process, as a directory of the hierarchy that is mounted here; undefined where there is none. */
export function groupOf(pid: number | "self"): string | undefined {
  const path = groupIn(cgroupFile(pid));
  try {
    const { mount } = findPlace(undefined);
    const group = path === undefined ? undefined : join(mount, path);
    return group !== undefined && existsSync(group) ? group : undefined;
  } catch (error) {
    if (error instanceof CgroupUnavailable) return undefined;
    throw error;
  }
}

/** Says why that is not possible. */
export function moveTo(group: string): string | undefined {
  try {
    relocate(group);
    return undefined;
  } catch (error) {
    return `cannot move to ${group}: ${errnoOf(error)}`;
  }
}

/**
 * Into the leaf where a server must be that divides its unit's group, so that who takes its place is there too. Says why that is
 * not possible.
 */
export function stepAside(): string | undefined {
  if (groupOf("self") === undefined) return undefined;
  const place = findPlace(undefined);
  if (place.isRoot || place.inLeaf || isManaged(place)) return undefined;
  const leaf = join(place.base, GROUP, LEAF);
  try {
    makeGroups(leaf);
  } catch (error) {
    return `cannot make ${leaf}: ${errnoOf(error)}`;
  }
  return moveTo(leaf);
}

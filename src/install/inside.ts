/** Paths of an image, whose links mean the image: absolute ones, and those with too many `..`, must not lead to this machine. */
import { lstatSync, readlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { deciders } from "../config/trust.ts";

/** As the kernel's, see path_resolution(7). */
const MOST_LINKS = 40;

/** For what is only looked for. */
export const ANYBODY = { includes: (_uid: number): boolean => true };

/**
 * Where `path` is below `root`, all links followed; what is not there counts as no link.
 * @param owners whose directories and links they must be: those of others could lead what is installed somewhere else
 * @throws Error when links go in a circle, or something on the way is of others
 */
export function inside(
  root: string,
  path: string,
  owners: { includes(uid: number): boolean } = deciders(process.geteuid?.() ?? 0),
): string {
  const ahead = parts(path);
  let at = "/";
  let links = 0;
  for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
    const next = name === ".." ? dirname(at) : join(at, name);
    const here = join(root, next);
    const found = lstatSync(here, { throwIfNoEntry: false });
    if (found && !owners.includes(found.uid))
      throw new Error(
        `${here} belongs to uid ${found.uid}, who could lead this elsewhere: chown it to root`,
      );
    if (!found?.isSymbolicLink()) {
      at = next;
      continue;
    }
    if (++links > MOST_LINKS) throw new Error(`${join(root, path)}: its links go in a circle`);
    const target = readlinkSync(here);
    if (target.startsWith("/")) at = "/";
    ahead.unshift(...parts(target));
  }
  return join(root, at);
}

const parts = (path: string): string[] =>
  path.split("/").filter((name) => name !== "" && name !== ".");

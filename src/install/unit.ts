/** What others have of our unit: packages that bring it too, and the links by which it is started at boot. See systemd.unit(5). */
import { existsSync, lstatSync, readdirSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { UNIT, UNIT_PATH } from "./files.ts";
import { ANYBODY, inside } from "./inside.ts";

/** Where packages put units. */
const PACKAGED = ["/usr/lib/systemd/system", "/lib/systemd/system"].map((dir) => `${dir}/${UNIT}`);

/** The unit of a package below `root`; undefined where none brings one. */
export const packagedUnit = (root: string): string | undefined =>
  PACKAGED.map((path) => inside(root, path, ANYBODY)).find((path) => existsSync(path));

/**
 * Removes what `systemctl enable` has left of `unit`, as that does only where systemd knows the root: a link without its end
 * otherwise, by which a unit of this name would start again one day.
 * @returns the links that were there
 * @throws Error as {@link inside}
 */
export function removeEnablement(unit: string, root: string): string[] {
  const units = dirname(UNIT_PATH);
  const dir = inside(root, units);
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => /\.(wants|requires)$/.test(name))
    .map((name) => inside(root, join(units, name)))
    .filter((wants) => statSync(wants, { throwIfNoEntry: false })?.isDirectory() === true)
    .map((wants) => join(wants, unit))
    .filter((link) => {
      const isLink = lstatSync(link, { throwIfNoEntry: false })?.isSymbolicLink() === true;
      if (isLink) rmSync(link);
      return isLink;
    });
}

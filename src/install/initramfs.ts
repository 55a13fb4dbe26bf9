/** initramfs-tools, of Debian and what descends from it: it packs the scripts that it finds into the initramfs. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";

const SCRIPTS = "/usr/share/initramfs-tools/scripts";
const UPDATE = "/usr/sbin/update-initramfs";

export const hasInitramfsTools = (root: string): boolean => existsSync(join(root, SCRIPTS));

/** Makes the initramfs of the next boot anew; takes seconds. Throws when none is made, and says what is to be done. */
export function updateInitramfs(update = UPDATE): void {
  try {
    const said = run(update, "-u").trim();
    // It also ends well where it finds none, may not make any, or /boot is read-only.
    if (!/: (Generating|deferring) /.test(said))
      throw new Error(said || `${update} -u: it found none that it may make anew`);
    console.log(said);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${why}\nThe initramfs is as it was: mend that, and run ${update} -u`);
  }
}

/** initramfs-tools, of Debian and what descends from it: it packs the scripts that it finds into the initramfs. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { run } from "./run.ts";

const SCRIPTS = "/usr/share/initramfs-tools/scripts";
const UPDATE = "/usr/sbin/update-initramfs";

export const hasInitramfsTools = (root: string): boolean => existsSync(join(root, SCRIPTS));

/** Makes the initramfs of the next boot anew; takes seconds. */
export function updateInitramfs(): void {
  try {
    run(UPDATE, "-u");
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    throw new Error(`${said}\nThe initramfs is as it was: mend that, and run ${UPDATE} -u`);
  }
}

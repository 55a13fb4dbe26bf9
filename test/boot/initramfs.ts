/** The initramfs of a Debian on which `spawnbox install --initramfs` has been run, made by its own initramfs-tools. */
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Image } from "./image.ts";
import { run } from "./run.ts";

/** As root of a namespace, which any user can be. */
const INSIDE = `mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
exec chroot "$1" /root/spawnbox install --initramfs --no-start`;

/** @returns path of the initramfs, in `scratch` */
export async function initramfs(
  image: Image,
  executable: string,
  scratch: string,
): Promise<string> {
  const root = join(scratch, "debian");
  mkdirSync(root);
  await run(["tar", "-xf", image.initramfsTools, "-C", root, "--no-same-owner"]);
  copyFileSync(executable, join(root, "root/spawnbox"));
  const namespaces = ["--user", "--map-root-user", "--mount", "--pid", "--fork"];
  const install = () => run(["unshare", ...namespaces, "/bin/sh", "-ec", INSIDE, "sh", root]);
  const said = await install();
  if (!/^update-initramfs: Generating /m.test(said)) throw new Error(`no new initramfs:\n${said}`);
  const again = await install();
  if (/^(installed|updated|update-initramfs)/m.test(again))
    throw new Error(`a second installation is not without changes:\n${again}`);
  const name = readdirSync(join(root, "boot")).find((file) => file.startsWith("initrd.img-"));
  if (name === undefined) throw new Error(`no initramfs:\n${said}`);
  return join(root, "boot", name);
}

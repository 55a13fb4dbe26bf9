/** The initramfs of a Debian on which `spawnbox install --initramfs` has been run, made by its own initramfs-tools. */
import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { Image } from "./image.ts";
import { run } from "./run.ts";

/** As root of a namespace, which any user can be. */
const INSIDE = `mount -t proc proc "$1/proc"
mount --rbind /dev "$1/dev"
root=$1; shift
exec chroot "$root" "$@"`;

const SCRIPT = "scripts/init-bottom/spawnbox";
const GENERATED = /^update-initramfs: Generating /m;

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
  const inside = (...command: string[]) =>
    run(["unshare", ...namespaces, "/bin/sh", "-ec", INSIDE, "sh", root, ...command]);
  const install = (...options: string[]) =>
    inside("/root/spawnbox", "install", ...options, "--no-start");
  const said = await install("--initramfs");
  if (!GENERATED.test(said)) throw new Error(`no new initramfs:\n${said}`);
  const again = await install("--initramfs");
  if (/^(installed|updated|update-initramfs)/m.test(again))
    throw new Error(`a second installation is not without changes:\n${again}`);
  const name = readdirSync(join(root, "boot")).find((file) => file.startsWith("initrd.img-"));
  if (name === undefined) throw new Error(`no initramfs:\n${said}`);
  const made = join(scratch, name);
  copyFileSync(join(root, "boot", name), made);

  const has = async () => (await inside("lsinitramfs", `/boot/${name}`)).includes(SCRIPT);
  if (!(await has())) throw new Error(`${name} is without ${SCRIPT}`);
  const gone = await install("--uninstall");
  if (!GENERATED.test(gone) || (await has()))
    throw new Error(`the initramfs still has ${SCRIPT}:\n${gone}`);
  return made;
}

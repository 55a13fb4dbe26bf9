/** Debian's kernels, unpacked: the image to boot, and for the root file system its modules and how it was configured. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Target } from "./arch.ts";
import { run } from "./run.ts";
import { debianSources } from "../../src/make/debian-sources.ts";

/** The kernels that are booted, by the release of Debian that has them. 5.10 is what boards in the field run. */
export const KERNELS = { "6.1": "bookworm", "5.10": "bullseye" } as const;
export type Kernel = keyof typeof KERNELS;

/** Unpacks a kernel: its image becomes `image`, its modules come below `root`. `scratch` is a directory to work in. */
export async function unpackKernel(
  target: Target,
  kernel: Kernel,
  { scratch, image, root }: { scratch: string; image: string; root: string },
): Promise<void> {
  const sources = join(scratch, "debian.sources");
  const state = join(scratch, "apt");
  for (const dir of ["lists/partial", "cache/archives/partial"])
    mkdirSync(join(state, dir), { recursive: true });
  // As released: of an old release's updates, the archive may list more than it still has.
  writeFileSync(sources, debianSources(KERNELS[kernel], false));
  const options = [
    `Dir::Etc::SourceList=${sources}`,
    "Dir::Etc::SourceParts=-",
    `Dir::State=${state}`,
    `Dir::State::Lists=${join(state, "lists")}`,
    "Dir::State::Status=/dev/null",
    `Dir::Cache=${join(state, "cache")}`,
    `APT::Architecture=${target.debian}`,
    `APT::Architectures=${target.debian}`,
    "APT::Sandbox::User=root",
    // An archived release is not signed anew.
    "Acquire::Check-Valid-Until=false",
  ].flatMap((option) => ["-o", option]);
  await run(["apt-get", ...options, "update", "-qq"]);
  const depends = await run(["apt-cache", ...options, "depends", target.kernel]);
  const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
  if (!name?.includes(`-${kernel}.`))
    throw new Error(`${KERNELS[kernel]} has no ${kernel} kernel: ${target.kernel} is ${name}`);
  // Downloaded, not installed: installing would also make an initramfs.
  await run(["apt-get", ...options, "download", "-qq", name], { cwd: scratch });
  const script = `dpkg-deb -x linux-image-*.deb kernel
cp -a kernel/lib/modules "$2/usr/lib/"
cp kernel/boot/config-* "$2/boot/"
cp kernel/boot/vmlinuz-* "$1"
chmod 644 "$1"
depmod -b "$2" "$(ls kernel/lib/modules)"`;
  await run(["/bin/sh", "-ec", script, "sh", image, root], { cwd: scratch });
}

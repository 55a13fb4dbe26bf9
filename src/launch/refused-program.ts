/** Why a program that was fit at the start is not any more: it was exchanged since, or taken away. */
import { readFileSync } from "node:fs";
import { hostFiles, ownCaps } from "../plan/machine.ts";
import type { Plan } from "../plan/plan.ts";
import { checkProgram } from "../plan/program.ts";
import { programContext } from "../plan/program-context.ts";
import type { HostFiles } from "../plan/view.ts";

/** File systems that always answer. Of others, such as one that a command's user mounts by FUSE, the server would wait for them. */
const LOCAL = new Set(
  (
    "ext2 ext3 ext4 btrfs xfs f2fs zfs bcachefs ubifs jffs2 squashfs erofs iso9660 vfat exfat ntfs3 " +
    "overlay tmpfs ramfs rootfs devtmpfs"
  ).split(" "),
);

/** The sentence that `check` would say of it now; undefined where it finds nothing wrong, or cannot look without waiting. */
export function refusedProgram(
  { policy, env }: Pick<Plan, "policy" | "env">,
  path: string,
): string | undefined {
  const arch = process.arch === "arm64" ? "arm64" : "x64";
  const isLocal = localMounts(readFileSync("/proc/self/mountinfo", "utf8"));
  let isSure = true;
  const local = <Path extends string, Found>(look: (path: Path) => Found) => {
    return (path: Path): Found => {
      isSure &&= isLocal(path);
      if (!isSure) throw new Error(`${path} may not answer`);
      return look(path);
    };
  };
  const files: HostFiles = {
    ...hostFiles,
    lookup: local(hostFiles.lookup),
    readlink: local(hostFiles.readlink),
    isAllowed: (path, right) => local((path) => hostFiles.isAllowed(path, right))(path),
    hasOnlyMode: local(hostFiles.hasOnlyMode),
    capabilities: local(hostFiles.capabilities),
    mountFlags: local(hostFiles.mountFlags),
    head: (path, bytes) => local((path) => hostFiles.head(path, bytes))(path),
  };
  try {
    const machine = { files, arch, bounding: ownCaps("CapBnd") } as const;
    checkProgram(programContext(policy, env, machine), path);
    return undefined;
  } catch (error) {
    if (!isSure) return undefined;
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * @param mountinfo proc_pid_mountinfo(5)
 * @returns whether a path without links is on local file systems only, whichever of them it is that shows it
 */
export function localMounts(mountinfo: string): (path: string) => boolean {
  const mounts = mountinfo.split("\n").flatMap((line) => {
    const place = line.split(" ")[4];
    const type = / - (\S+) /.exec(line)?.[1];
    if (place === undefined || type === undefined) return [];
    const at = place.replace(/\\([0-7]{3})/g, (_, octal: string) =>
      String.fromCharCode(parseInt(octal, 8)),
    );
    return [{ at: Buffer.from(at, "latin1").toString(), isLocal: LOCAL.has(type) }];
  });
  return (path) => {
    const above = mounts.filter(({ at }) => at === "/" || path === at || path.startsWith(`${at}/`));
    return above.length > 0 && above.every(({ isLocal }) => isLocal);
  };
}

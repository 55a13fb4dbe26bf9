/**
 * What a config shows and its commands may not reach: the directory is root's, or the device of a group that they are not in. A mount
 * changes no rights of files, and the program that meets them says no more than "Permission denied".
 */
import { covers } from "./inside.ts";
import type { Machine } from "./machine.ts";
import type { MountStep, SandboxPolicy } from "./policy.ts";
import { lacking, RIGHT, type User, userOf } from "./rights.ts";
import { seen } from "./source.ts";
import type { HostFiles } from "./view.ts";

type HostFile = NonNullable<ReturnType<HostFiles["lookup"]>>;

/** Directories in which only the kernel makes something: they are mounted for what is in them. */
const KERNELS = ["/sys", "/dev"];

/** @returns a sentence with what to do; undefined where no right is sure to be lacking */
export function outOfReach(
  step: MountStep,
  policy: SandboxPolicy,
  { files, groupName }: Pick<Machine, "files" | "groupName">,
): string | undefined {
  const user = userOf(policy);
  if (!user || step.kind !== "bind") return undefined;
  const { source, flags } = step;
  // The mode is not all that decides there: who has NET_ADMIN may write to /proc/sys/net as root may.
  if (covers("/proc", source)) return undefined;
  const file = seen(files, source);
  if (!file) return undefined;
  // Where nothing can be written on the host either is told elsewhere.
  if (!flags.readonly && files.mountFlags(source).readonly) return undefined;
  const isKernels = KERNELS.some((place) => covers(place, source));
  if (file.kind === "dir" && isKernels) return undefined;
  const isDir = file.kind === "dir";
  const right = !flags.readonly ? RIGHT.write : isDir ? RIGHT.execute : RIGHT.read;
  if (lacking(files, user, source, right) === undefined) return undefined;
  const what = isDir ? ["make nothing in", "not enter"] : ["not write", "not read"];
  const todo = ofItsGroup(file, user, right, groupName) ?? otherwise(isKernels, user);
  return `the user of the sandbox (uid ${user.uid}) may ${what[flags.readonly ? 1 : 0]} ${source}, which a mount does not change: ${todo}`;
}

function ofItsGroup(
  { group, mode }: HostFile,
  { gids, isServers }: User,
  right: number,
  groupName: Machine["groupName"],
): string | undefined {
  if (group === 0 || gids.has(group) || ((mode >> 3) & right) === 0) return undefined;
  const name = groupName(group) ?? `${group}`;
  return isServers
    ? `let the server's user be in its group, ${name}`
    : `add its group to acls, "groups": ["${name}"]`;
}

function otherwise(isKernels: boolean, { uid, isServers }: User): string {
  if (uid === 0) return 'add "DAC_OVERRIDE" to caps, without which rights of files hold root too';
  if (isServers) return "serve as a user who may, or change its owner or group";
  if (isKernels) return "name a user in acls that may, or let a rule of udev give it a group";
  return "name a user or group in acls that may, or chown it";
}

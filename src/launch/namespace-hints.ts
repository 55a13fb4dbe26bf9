/** Words for the steps that make namespaces, and mounts in them. See namespaces(7), mount_namespaces(7). */
import type { Confinement } from "./confinement.ts";
import { type Failure, lacks, type Words } from "./failure.ts";
import { keeps } from "./lower-limits.ts";
import { spared } from "./process-limit.ts";
import { CAP, needOf, option } from "./step-needs.ts";

/** A keyring each, whether by a user namespace or by keyctl(2). */
export const KEYS =
  "the user has as many keys as it may, and each command has a keyring of its own: sysctl kernel.keys.maxkeys, or limit how many tasks run at once (--concurrency)";

export const THREADED =
  "the control group that the server was started in has become a threaded one, and those below it cannot have processes any more: start the server anew, in a group of its own, such as a systemd unit with Delegate=yes";

/** Processes that the server's user may have, and how many of them its commands get. */
export function processLimit(here: Confinement): string {
  const hard = here.hardLimit("Max processes") ?? "unknown";
  return /^\d+$/.test(hard) ? `${hard}${keeps(spared(BigInt(hard)))}` : hard;
}

const REMOVED = "others have removed its control group at this moment: try again";

export const NAMESPACE_WORDS: Readonly<Record<string, Words>> = {
  ENOSPC: (_, here) => {
    const zero = namespacesOff(here);
    return zero === undefined
      ? "there are as many namespaces as the user may have: raise user.max_*_namespaces (sysctl), or limit how many tasks run at once"
      : `${zero} is 0, so no such namespace can be made: ${
          here.readOnlySettings
            ? `it is read-only here, so set it where the container or unit is started: sysctl ${zero}=10000`
            : `sysctl ${zero}=10000`
        }`;
  },
  EDQUOT: KEYS,
  EUSERS: "user namespaces are nested too deeply, or there are too many of them",
  EAGAIN: (_, here) =>
    `there are as many processes as the server's user (limit ${processLimit(here)}), the group or the machine may have: see limits.nproc, cgroups.pids and kernel.pid_max; LimitNPROC= and TasksMax= of the unit, --pids-limit of the container; or limit how many tasks run at once (--concurrency)`,
  ENOMEM: "out of memory, or the pid namespace is ending",
  EINVAL: "this kernel lacks such a namespace: CONFIG_NAMESPACES, CONFIG_USER_NS",
  EOPNOTSUPP: THREADED,
  // Of clone3(2) into a group that was there when it was opened.
  ENOENT: REMOVED,
  ENODEV: REMOVED,
  EPERM: (failure, here) => userNamespaces(failure, here),
  EACCES: (failure, here) => userNamespaces(failure, here),
};

const NAMESPACE_SYSCTLS = ["user", "pid", "net", "ipc", "uts", "mnt", "cgroup"].map(
  (name) => `user.max_${name}_namespaces`,
);

/** The sysctl by which there are no namespaces of a kind at all. */
export const namespacesOff = (here: Confinement): string | undefined =>
  NAMESPACE_SYSCTLS.find((name) => here.setting(name) === "0");

/** Who turned user namespaces off: the sysctls that ask for them. */
export function userNamespaces({ plan }: Failure, here: Confinement): string | undefined {
  if (plan && !plan.policy.namespaces.has("user")) return undefined;
  if (here.setting("kernel.unprivileged_userns_clone") === "0")
    return "kernel.unprivileged_userns_clone is 0: sysctl kernel.unprivileged_userns_clone=1, or run the server as root";
  if (here.setting("kernel.apparmor_restrict_unprivileged_userns") === "1")
    return "kernel.apparmor_restrict_unprivileged_userns is 1: give spawnbox an AppArmor profile with `userns,`, or sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run the server as root";
  return undefined;
}

/** A link that the launcher follows must be one that only root can make: ffi/launcher/follow.c. */
export const FOLLOWED: Words = ({ what }) =>
  `${what} is a link, or leads through links, that a launch does not follow, since others than root can change them, or that go in a circle: give the link and the directories above it to root, or name in the config what it leads to`;

export const MOUNT_SOURCE: Readonly<Record<string, Words>> = {
  ENOENT: ({ what }) =>
    `${what} is not there any more: make it, or take the mount out of the config`,
  ELOOP: FOLLOWED,
  ENOTDIR: ({ what }) => `something on the way to ${what} is no directory any more`,
  EACCES: ({ what }, here) =>
    mac(here) ??
    `the server's user may not reach ${what}: give it the right to enter each directory above`,
  ENOSPC: "there are as many mounts as may be: sysctl fs.mount-max",
  EBUSY: ({ what }) => `${what} is in use in a way that forbids it, as a mount point of another`,
  EINVAL: ({ what }) =>
    `${what} cannot be mounted here: it is of another mount or user namespace, or a file where a directory is wanted`,
};

export const MADE_PLACE: Readonly<Record<string, Words>> = {
  ...MOUNT_SOURCE,
  ENOENT: ({ what }) => `${what} does not exist in the sandbox, and nothing is made there`,
  ELOOP: ({ what }) =>
    `a symbolic link is on the way to ${what} inside the sandbox: name what it leads to`,
  EROFS: ({ what }) =>
    `${what} would have to be made in a read-only mount: make it on the host, or mount a tmpfs above it`,
  EEXIST: ({ what }) => `there is something at ${what} already, from a mount above it`,
  ENOTDIR: ({ what }) =>
    `${what}, or something above it, is a file where a directory is needed, or the other way round`,
  EACCES: ({ what }, here) =>
    mac(here) ??
    `${what} would have to be made in a directory of the host that the server's user may not write to: make it there`,
  ENOSPC: "no space is left in the file system above it",
};

/** A security module that confines the server is known to answer EACCES. */
export function mac({ label, container }: Confinement): string | undefined {
  if (label === undefined) return undefined;
  return `${label} confines the server and may forbid it: ${
    container === undefined
      ? "see dmesg; AppArmorProfile= or SELinuxContext= of the unit"
      : "--security-opt apparmor=unconfined, or label=disable"
  }`;
}

/** The kernel gives a new proc or sysfs in a user namespace only to who sees the whole of one: mount_namespaces(7). */
export function masked(failure: Failure, here: Confinement): string | undefined {
  const { step, what } = failure;
  if (what !== "proc" && what !== "sysfs") return mounting(failure, here);
  if (lacks(CAP.SYS_ADMIN, failure, here)) return undefined;
  return `the kernel gives no new ${what} to who sees one with parts masked or read-only, as here: ${option(here, needOf(step, what))}`;
}

export function mounting(failure: Failure, here: Confinement): string | undefined {
  return userNamespaces(failure, here);
}

/**
 * What each step of a launch needs of the kernel, and by which options it is usually taken away: unit options of systemd.exec(5),
 * options of docker run and podman run.
 */
import type { OpName } from "../../ffi/launcher/layout.ts";
import type { Confinement } from "./confinement.ts";

/** The ops of the launcher, and what the server does before it: the launcher in memory, a pipe to it, its start. */
export type Step = OpName | "MEMFD" | "PIPE";

/** What a step asks of the kernel, and by which options it is usually taken away. */
export interface Need {
  readonly calls: string;
  /** First Linux with it, where that is after 5.9. */
  readonly since?: string;
  /** Number of the capability that it takes in the user namespace of the launch. */
  readonly cap?: number;
  /** Unit options that forbid it, and what they must be. */
  readonly unit?: string;
  /** Options of docker run and podman run that allow it. */
  readonly container?: string;
}

export const CAP = {
  CHOWN: 0,
  SETGID: 6,
  SETUID: 7,
  SETPCAP: 8,
  SYS_ADMIN: 21,
  SYS_NICE: 23,
  SYS_RESOURCE: 24,
};
export const UNCONFINED = "--security-opt seccomp=unconfined, or a profile of yours that allows it";
/** User namespaces give the rights, where the filter lets them be made. */
const CONTAINER_OF_NAMESPACES =
  "--security-opt seccomp=unconfined --security-opt apparmor=unconfined, and --security-opt systempaths=unconfined (docker) or unmask=ALL (podman)";
const MOUNTING: Need = {
  calls: "fsopen(2), open_tree(2), openat2(2), move_mount(2), mount(2), pivot_root(2)",
  cap: CAP.SYS_ADMIN,
  unit: "SystemCallFilter=@mount @file-system, RestrictNamespaces=no",
  container: CONTAINER_OF_NAMESPACES,
};
const NAMESPACES: Need = {
  calls: "clone(2), unshare(2)",
  cap: CAP.SYS_ADMIN,
  unit: "RestrictNamespaces=no, and no SystemCallFilter= without @privileged",
  container: CONTAINER_OF_NAMESPACES,
};
export const IDS = {
  unit: "PrivateUsers=no, no DynamicUser=, and SystemCallFilter=@setuid",
  container: "--userns=host, or more ids in /etc/subuid and /etc/subgid",
};
const MAPS: Need = { calls: "writing the id maps of user_namespaces(7)", ...IDS };
const LANDLOCK: Need = {
  calls: "landlock_restrict_self(2)",
  since: "5.13, with landlock in lsm=",
  unit: "SystemCallFilter=@sandbox",
  container: UNCONFINED,
};
const FILTER: Need = {
  calls: "seccomp(2)",
  unit: "SystemCallFilter=seccomp prctl",
  container: UNCONFINED,
};
const CAPS: Need = {
  calls: "prctl(2), capset(2)",
  cap: CAP.SETPCAP,
  unit: "SystemCallFilter=@privileged, CapabilityBoundingSet= with CAP_SETPCAP and the capabilities of the config, no SecureBits=",
  container: "--cap-add SETPCAP, and --cap-add for those of the config",
};

export const NEEDS: Readonly<Record<Step, Need>> = {
  MEMFD: {
    calls: "memfd_create(2)",
    unit: "SystemCallFilter=memfd_create",
    container: UNCONFINED,
  },
  PIPE: {
    calls: "pipe2(2), fcntl(2), prctl(2)",
    unit: "SystemCallFilter=@system-service",
    container: UNCONFINED,
  },
  SPAWN: {
    calls: "clone(2), execve(2) of a memory file",
    unit: "SystemCallFilter=@process, NoExecPaths= without /proc and memory files",
    container: UNCONFINED,
  },
  OUTPUT: {
    calls: "fchown(2), to give the command its output",
    cap: CAP.CHOWN,
    unit: "SystemCallFilter=@chown @setuid",
    container: UNCONFINED,
  },
  UID_MAP: MAPS,
  GID_MAP: MAPS,
  CGROUP: {
    calls: "clone3(2) into a control group",
    unit: "Delegate=yes, ProtectControlGroups=no, SystemCallFilter=clone3",
    container: `--cgroupns=private with a writable /sys/fs/cgroup, and ${UNCONFINED}`,
  },
  JOIN_NET: {
    calls: "setns(2)",
    cap: CAP.SYS_ADMIN,
    unit: "RestrictNamespaces=no, CapabilityBoundingSet= with CAP_SYS_ADMIN",
    container: "--cap-add SYS_ADMIN",
  },
  VERDICTS: FILTER,
  BOUNDING: CAPS,
  LABEL: {
    calls: "writing /proc/self/attr",
    unit: "NoNewPrivileges=no, ProtectKernelTunables=no",
    container: "--security-opt label=disable, or apparmor=unconfined",
  },
  FORK: { calls: "clone(2), eventfd2(2)", unit: "SystemCallFilter=@process @io-event" },
  ROOT_BEGIN: MOUNTING,
  // Only names places, for the mounts that come.
  SHARED_PLACES: { calls: "none" },
  BIND: MOUNTING,
  FSMOUNT: MOUNTING,
  SYMLINK: MOUNTING,
  DIR: MOUNTING,
  SETATTR: MOUNTING,
  ROOT_END: MOUNTING,
  FILE: MOUNTING,
  REBIND: MOUNTING,
  LOCK: MOUNTING,
  SETTING: {
    calls: "writing a sysctl of a namespace of its own",
    unit: "ProtectKernelTunables=no, ProcSubset=all",
    container: "--security-opt systempaths=unconfined (docker), --security-opt unmask=ALL (podman)",
  },
  UNSHARE: NAMESPACES,
  LOOPBACK: {
    calls: "socket(2), ioctl(2) on lo",
    unit: "RestrictAddressFamilies=AF_INET (among others)",
    container: UNCONFINED,
  },
  HOSTNAME: { ...NAMESPACES, calls: "sethostname(2)", unit: "ProtectHostname=no" },
  NICE: {
    calls: "setpriority(2)",
    cap: CAP.SYS_NICE,
    unit: "LimitNICE=, CapabilityBoundingSet= with CAP_SYS_NICE, SystemCallFilter=@resources",
    container: "--cap-add SYS_NICE",
  },
  RLIMIT: {
    calls: "prlimit64(2)",
    cap: CAP.SYS_RESOURCE,
    unit: "the Limit…= of that name, CapabilityBoundingSet= with CAP_SYS_RESOURCE, SystemCallFilter=@resources",
    container: "--ulimit NAME=VALUE, or --cap-add SYS_RESOURCE",
  },
  UMASK: { calls: "umask(2)" },
  CHDIR: { calls: "chdir(2)" },
  SETGROUPS: { calls: "setgroups(2)", cap: CAP.SETGID, ...IDS },
  SETGID: { calls: "setresgid(2)", cap: CAP.SETGID, ...IDS },
  PTY: {
    calls: "open(2) of the multiplexer of terminals, ioctl(2) on it, setfsuid(2)",
    unit: "PrivateDevices= with /dev/pts, SystemCallFilter=@system-service",
    container: UNCONFINED,
  },
  SECUREBITS: CAPS,
  SETUID: { calls: "setresuid(2)", cap: CAP.SETUID, ...IDS },
  AMBIENT: CAPS,
  CAPS,
  NO_NEW_PRIVS: { ...FILTER, calls: "prctl(2)" },
  LANDLOCK,
  LANDLOCK_PATH: LANDLOCK,
  LANDLOCK_PORT: { ...LANDLOCK, since: "6.7, for TCP ports" },
  LANDLOCK_APPLY: LANDLOCK,
  WAIT: { calls: "read(2), mmap(2)" },
  SECCOMP: FILTER,
  SECCOMP_LISTENER: {
    calls: "seccomp(2) with a listener, pidfd_getfd(2)",
    unit: "SystemCallFilter=seccomp pidfd_getfd",
    container: `--cap-add SYS_PTRACE, and ${UNCONFINED}`,
  },
  EXEC: { calls: "execve(2)", unit: "NoExecPaths=, SystemCallFilter=@process" },
  PLAN_READ: { calls: "mmap(2) of the plan" },
  CLONE: {
    ...NAMESPACES,
    calls: "clone(2) with new namespaces, or what is before it: socketpair(2), signalfd4(2)",
  },
  INHERIT: {
    calls: "sched_setscheduler(2), setpriority(2), ioprio_set(2), prlimit64(2), personality(2)",
    unit: "SystemCallFilter=@resources personality, and LockPersonality=no",
    container: UNCONFINED,
  },
};

/** What the launcher's own objects need, where that is something else. */
const PARTS: Readonly<Record<string, Partial<Need>>> = {
  "PLAN_READ fstat": {
    calls: "statx(2)",
    unit: "SystemCallFilter=statx",
    container: `a newer runtime, or ${UNCONFINED}`,
  },
  "CLONE session keyring": {
    calls: "keyctl(2)",
    unit: "SystemCallFilter=@keyring, or ~@keyring, so that the command can use no keys at all",
    container: UNCONFINED,
  },
  "CLONE close_range": {
    calls: "close_range(2), of Linux 5.9",
    unit: "SystemCallFilter=close_range",
    container: `a newer runtime, or ${UNCONFINED}`,
  },
  "INHERIT personality": {
    calls: "personality(2)",
    unit: "LockPersonality=no, SystemCallFilter=personality",
  },
  "INHERIT /proc/self/oom_score_adj": {
    calls: "writing /proc/self/oom_score_adj",
    unit: "ProtectKernelTunables=no",
  },
  "FSMOUNT proc": {
    calls: "mounting a new proc",
    unit: "ProtectKernelTunables=no, ProtectKernelLogs=no, ProcSubset=all, ProtectProc=default",
    container: "--security-opt systempaths=unconfined (docker), --security-opt unmask=ALL (podman)",
  },
  "PTY devpts": {
    calls: "fsopen(2) and fsmount(2) of a new devpts",
    cap: CAP.SYS_ADMIN,
    unit: "SystemCallFilter=@mount",
    container: "--cap-add SYS_ADMIN --security-opt seccomp=unconfined",
  },
  "FSMOUNT sysfs": {
    calls: "mounting a new sysfs",
    unit: "ProtectKernelTunables=no, ProtectControlGroups=no",
    container: "--security-opt systempaths=unconfined (docker), --security-opt unmask=ALL (podman)",
  },
};

export function needOf(step: Step, what: string): Need {
  return { ...NEEDS[step], ...PARTS[`${step} ${what}`] };
}

/** The options where the server is: those of the unit, or both, as a unit may be in a container. */
export function option(here: Confinement, { unit, container }: Partial<Need>): string {
  const ofUnit = unit && `${unit}, in the unit`;
  const ofContainer = container && `${container}, of the container`;
  const isUnit = here.isUnit && here.container === undefined;
  const all =
    isUnit && ofUnit
      ? [ofUnit]
      : here.container === undefined
        ? [ofUnit, ofContainer]
        : [ofContainer, ofUnit];
  return all.filter(Boolean).join("; or ") || "start the server with fewer restrictions";
}

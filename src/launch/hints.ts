/**
 * What to say of a step that the kernel refused: why here, and what to do, in the terms of who runs the server (unit options,
 * options of containers, sysctls, limits). The one place of these sentences.
 */
import { capabilityName } from "../plan/words.ts";
import type { Confinement } from "./confinement.ts";
import { type Failure, lacks, type Words } from "./failure.ts";
import { lowerLimits } from "./lower-limits.ts";
import { NO_NULL } from "./null-device.ts";
import {
  FOLLOWED,
  mac,
  MADE_PLACE,
  masked,
  MOUNT_SOURCE,
  mounting,
  KEYS,
  NAMESPACE_WORDS,
  THREADED,
  userNamespaces,
  processLimit,
} from "./namespace-hints.ts";
import { CAP, IDS, needOf, NEEDS, option, type Step, UNCONFINED } from "./step-needs.ts";

const ENOUGH_OF: Readonly<Record<string, string>> = {
  ENOMEM:
    "out of memory: see MemoryMax= of the unit, --memory of the container, limits.as of the config",
  ENFILE: "all files that the machine may have open are open: sysctl fs.file-max",
  EDQUOT: KEYS,
  EFBIG:
    "the server may write no file that large: LimitFSIZE=infinity of the unit, --ulimit fsize=-1 of the container",
};

const ID_WORDS: Readonly<Record<string, Words>> = {
  EINVAL: (_, here) =>
    here.fewIds
      ? `that id does not exist in the user namespace of the server, which maps only some: ${option(here, IDS)}; or choose another user in acls`
      : "that id does not exist in the user namespace of the sandbox",
  EAGAIN: "the user has as many processes as it may: see limits.nproc and LimitNPROC=",
};

const WORDS: Readonly<Partial<Record<Step, Readonly<Record<string, Words>>>>> = {
  MEMFD: {
    EACCES: (_, here) =>
      here.setting("vm.memfd_noexec") === "2"
        ? "vm.memfd_noexec=2 forbids the launcher: sysctl vm.memfd_noexec=1 (or 0)"
        : undefined,
  },
  SPAWN: {
    EMFILE: files,
    EAGAIN: (_, here) =>
      `the server's user has as many processes as it may (limit ${processLimit(here)}), or the control group: LimitNPROC= and TasksMax= of the unit, --pids-limit of the container; or limit how many tasks run at once (--concurrency)`,
    E2BIG: "the arguments and the environment are too long for the kernel",
    EACCES: ({ what }, here) =>
      what === ""
        ? (mac(here) ?? "a security module forbids to execute from memory: see dmesg")
        : NO_NULL,
    ENOENT: ({ what }) =>
      what === ""
        ? "/proc/self/fd is not there: mount proc at /proc, and let the server see its own files in it"
        : NO_NULL,
    ENODEV: NO_NULL,
    // By a control group of devices: see checkNull.
    EPERM: ({ what }) => (what === "/dev/null" ? NO_NULL : undefined),
  },
  PIPE: { EMFILE: files },
  OUTPUT: { EINVAL: ID_WORDS["EINVAL"] ?? "" },
  UID_MAP: {
    EPERM: maps,
    EACCES: maps,
    EINVAL: ID_WORDS["EINVAL"] ?? "",
    ENOENT: hiddenChild,
  },
  GID_MAP: {
    EPERM: maps,
    EACCES: maps,
    EINVAL: ID_WORDS["EINVAL"] ?? "",
    ENOENT: hiddenChild,
  },
  CGROUP: {
    EBADF: "the sandbox has no control group, and limits that are not optional",
    EOPNOTSUPP: THREADED,
  },
  JOIN_NET: {
    ENOENT: ({ what }) =>
      `there is no such network namespace: ip netns add ${what.replace(/^.*\//, "")}`,
    EINVAL: ({ what }) =>
      `${what} is a file and no network namespace, left by one that was not taken away well: ip netns delete, then add it anew`,
  },
  LABEL: {
    ENOENT:
      "no profile of that name is loaded: apparmor_parser loads it, before the command starts",
    EINVAL: "the loaded policy knows no such label",
    EACCES: "the loaded policy does not let the server change to it",
    EPERM: "the loaded policy does not let the server change to it",
    EROFS: readOnlyProc,
  },
  CLONE: NAMESPACE_WORDS,
  FORK: NAMESPACE_WORDS,
  UNSHARE: NAMESPACE_WORDS,
  ROOT_BEGIN: { EACCES: (_, here) => mac(here), EPERM: mounting },
  BIND: {
    ...MOUNT_SOURCE,
    EPERM: mounting,
    ENODEV: ({ what }) =>
      `${what} has to be a device, and is none: rm it, then mount -t devtmpfs devtmpfs /dev, or mknod -m 666 as null(4), random(4) and tty(4) say`,
  },
  FSMOUNT: {
    ENODEV: ({ what }) => `this kernel has no file system ${what}`,
    EINVAL: ({ what }) =>
      what === "hidepid"
        ? "the kernel does not take that option of proc: it needs Linux 5.8"
        : `the kernel does not take that ${what}: see the options of the mount in the config`,
    EBUSY: ({ what }) => `the kernel does not give another ${what} here`,
    EPERM: masked,
    EACCES: (_, here) => mac(here),
  },
  SYMLINK: MADE_PLACE,
  DIR: MADE_PLACE,
  FILE: MADE_PLACE,
  SETATTR: { ...MADE_PLACE, EPERM: mounting },
  REBIND: { ...MADE_PLACE, EPERM: mounting },
  LOCK: {
    ...MADE_PLACE,
    EACCES: ({ what }) => `the server's user may not read ${what}`,
    EAGAIN: ({ what }) => `somebody else holds a write lock on ${what}`,
    ENOLCK: ({ what }) => `the file system of ${what} has no locks`,
  },
  ROOT_END: {
    EINVAL:
      "pivot_root(2) cannot leave the root of an initramfs, nor a chroot that is no mount: start the server after switch_root, or on a root that is a mount of its own",
    EPERM: mounting,
  },
  SETTING: {
    EROFS: readOnlyProc,
    ENOENT: ({ what }, here) =>
      existsInKernel(what, here)
        ? `/proc hides ${what}: ${option(here, NEEDS.SETTING)}`
        : `this kernel has no ${what}, or /proc hides it: ProcSubset=all of the unit`,
  },
  LOOPBACK: {
    EAFNOSUPPORT: (_, here) =>
      here.filtered
        ? `a filter around the server denies sockets of AF_INET: ${option(here, NEEDS.LOOPBACK)}`
        : "this kernel has no IPv4: CONFIG_INET",
    ENODEV: "the new network namespace has no lo: a kernel without CONFIG_NET_NS",
  },
  HOSTNAME: { EINVAL: "the name is too long: at most 64 bytes" },
  NICE: {
    EACCES: ({ plan }, here) => {
      const limit = `a limit that allows it (now ${here.hardLimit("Max nice priority") ?? "unknown"}, of 20 - nice)`;
      if (!plan?.policy.namespaces.has("user"))
        return `a nice value below the server's own needs CAP_SYS_NICE, or ${limit}: ${option(here, NEEDS.NICE)}`;
      const shared = plan.policy.privileged
        ? 'needs the host\'s users, "users": "enable" in shares'
        : "needs a server of root";
      return `a nice value below the server's own ${shared}, as in a user namespace no capability gives it; or ${limit}: ${option(here, { unit: "LimitNICE=", container: "--ulimit nice=" })}`;
    },
  },
  RLIMIT: { EPERM: limits, EINVAL: "the kernel does not take that value of a limit" },
  CHDIR: {
    ENOENT: ({ what }) =>
      `${what} does not exist inside the sandbox: mount it, or change acls.chdir`,
    EACCES: ({ what }) => `the user of the sandbox may not enter ${what}`,
    ENOTDIR: ({ what }) => `${what} is no directory`,
    ELOOP: ({ what }) => `too many symbolic links lead to ${what}`,
  },
  SETGROUPS: ID_WORDS,
  SETGID: ID_WORDS,
  SETUID: ID_WORDS,
  PTY: {
    ENOENT: ({ what }) =>
      `there is no ${what}: mount devpts at /dev/pts, or give the sandbox mounts, with which it has its own`,
    ENODEV: "there is no devpts: mount it at /dev/pts, or the kernel has none (CONFIG_UNIX98_PTYS)",
    ENXIO: "this kernel has no pseudo terminals: CONFIG_UNIX98_PTYS",
    EIO: "the multiplexer belongs to a devpts that is not there any more",
    ENOSPC: (_, here) =>
      `all terminals that the machine may have are open: sysctl kernel.pty.max, of which the last ${here.setting("kernel.pty.reserve") ?? "1024"} (kernel.pty.reserve) are for /dev/pts of the machine`,
    EINVAL: "the user of the sandbox does not exist in its user namespace",
  },
  SECUREBITS: {
    EPERM: (_, here) =>
      (here.caps >> BigInt(CAP.SETPCAP)) & 1n
        ? "the securebits of the server are locked: no SecureBits= in the unit"
        : undefined,
  },
  AMBIENT: { EPERM: capabilities },
  CAPS: { EPERM: capabilities },
  LANDLOCK: {
    EOPNOTSUPP:
      "Landlock is in this kernel and turned off: add landlock to lsm= of its command line",
    EINVAL: "this kernel knows fewer rights than when the config was loaded: reload the server",
  },
  LANDLOCK_PATH: {
    ENOENT: ({ what }) =>
      `${what} does not exist inside the sandbox: mount it, or take it out of landlock`,
    EACCES: ({ what }) => `the user of the sandbox may not reach ${what}`,
    ELOOP: FOLLOWED,
    EINVAL: ({ what }) => `${what} is no directory, so it cannot have rights of directories`,
    EBADFD: ({ what }) =>
      `${what} lies on a file system of the kernel, for which there are no rules`,
  },
  LANDLOCK_APPLY: {
    E2BIG:
      "there are 16 rulesets of Landlock around this process already: the kernel takes no more",
    EPERM: "it needs no_new_privs or CAP_SYS_ADMIN",
  },
  SECCOMP: {
    EINVAL: "the kernel does not take the filter: CONFIG_SECCOMP_FILTER, and actions that it knows",
    EACCES: "it needs no_new_privs or CAP_SYS_ADMIN: leave acls.newPrivs out",
    ENOMEM: "the filters around this process are too long together",
  },
  SECCOMP_LISTENER: {
    EBUSY:
      "another filter around the server has a listener, and the kernel takes one: seccomp.report and SCMP_ACT_NOTIFY cannot work within it",
    EPERM: (_, here) =>
      `the supervisor may not trace its child: kernel.yama.ptrace_scope is ${here.setting("kernel.yama.ptrace_scope") ?? "unknown"} (at most 2 for root, 1 for others), or a filter denies pidfd_getfd(2): ${option(here, NEEDS.SECCOMP_LISTENER)}`,
    ENOSYS: "pidfd_getfd(2) needs Linux 5.6",
    EINVAL: "this kernel has no user notification of seccomp(2)",
  },
  INHERIT: {
    EROFS: readOnlyProc,
    EACCES: "lowering that needs a right that the server lacks: CAP_SYS_RESOURCE, CAP_SYS_NICE",
  },
  EXEC: {
    ENOENT: "it, or the interpreter or loader it needs, does not exist inside the sandbox",
    EACCES: "the user of the sandbox may not execute it, or it lies on a noexec mount",
    EPERM:
      "a security module, or a noexec rule of the file system, forbids it; or it is set-user-id and may not be; or its file has capabilities (getcap) that neither the sandbox nor the server may have",
    ENOEXEC: "it is neither a script with a #! line nor a program of this machine",
    E2BIG: "the arguments and the environment are too long for the kernel",
    ETXTBSY: "somebody has it open for writing: close it first, or replace it by rename",
    ELOOP: "too many symbolic links, or interpreters of interpreters, lead to it",
    ENOTDIR: "something on the way to it is no directory",
    EISDIR: "it, or its interpreter, is a directory",
    ELIBBAD: "its loader cannot be used",
    ENOMEM: "out of memory, or limits.as of the config is less than the program needs",
    EIO: "its file system does not give it",
    EAGAIN: "the user has as many processes as it may: see limits.nproc",
    ENAMETOOLONG: "its path is too long",
    EINVAL: "it is a program that this kernel does not take",
  },
  PLAN_READ: { EINVAL: "the plan was made for another version of the launcher" },
};

function files(_: Failure, here: Confinement): string {
  return `the server may have ${here.hardLimit("Max open files") ?? "too few"} file descriptors: raise LimitNOFILE= of the unit, --ulimit nofile= of the container, or limit how many tasks run at once (--concurrency)`;
}

function maps(failure: Failure, here: Confinement): string {
  if (here.foreignProc)
    return "the /proc that is mounted here is of another pid namespace than the server's: mount -t proc proc /proc";
  return (
    userNamespaces(failure, here) ??
    (here.fewIds || here.container !== undefined
      ? `the server may not map the ids of the sandbox, as its own namespace maps only some: ${option(here, IDS)}`
      : `the server may not map the ids of the sandbox: it needs ${capabilityName(CAP.SETUID)} and ${capabilityName(CAP.SETGID)}, or to be the sandbox's user itself`)
  );
}

function hiddenChild(failure: Failure, here: Confinement): string {
  return here.foreignProc
    ? maps(failure, here)
    : "/proc does not show the launcher's own child: hidepid= of /proc, ProtectProc=default";
}

function readOnlyProc({ what }: Failure, here: Confinement): string {
  return `${what} is read-only here: ${option(here, NEEDS.SETTING)}`;
}

const existsInKernel = (path: string, here: Confinement): boolean =>
  path.startsWith("/proc/sys/") &&
  here.setting(path.slice("/proc/sys/".length).replaceAll("/", ".")) !== undefined;

function limits({ plan }: Failure, here: Confinement): string | undefined {
  const { rlimits = [], profileLimits = [] } = plan?.policy ?? {};
  // The lower one of the server's holds instead of a profile's.
  const found = lowerLimits(
    rlimits.filter(([resource]) => !profileLimits.includes(resource)),
    here,
  );
  return found.length > 0 ? found.join("; ") : undefined;
}

function capabilities({ plan }: Failure, here: Confinement): string | undefined {
  const lacking = (plan?.policy.caps ?? []).filter(
    (cap) => ((here.caps >> BigInt(cap)) & 1n) === 0n,
  );
  if (lacking.length === 0 || plan?.policy.namespaces.has("user")) return undefined;
  const names = lacking.map(capabilityName);
  return `the server itself lacks ${names.join(", ")}: ${option(here, {
    unit: `CapabilityBoundingSet= (and AmbientCapabilities= where User= is set) with ${names.join(" ")}`,
    container: names.map((name) => `--cap-add ${name.replace(/^CAP_/, "")}`).join(" "),
  })}`;
}

/** What is said of an errno that its step has no words for. */
function general(failure: Failure, here: Confinement): string {
  const { step, errno, what } = failure;
  const need = needOf(step, what);
  const enough = ENOUGH_OF[errno];
  if (enough !== undefined) return enough;
  if (errno === "EMFILE") return files(failure, here);
  if (errno === "EROFS")
    return /^\/(proc|sys)(\/|$)/.test(what)
      ? readOnlyProc(failure, here)
      : `${what} is read-only here: make it where it comes from, or mount a tmpfs above it`;
  if (errno === "ENOSYS") {
    const wanted = `Linux ${need.since ?? "5.9"}`;
    return here.filtered
      ? `a seccomp filter around the server hides ${need.calls}, or this is no ${wanted}: ${option(here, need)}`
      : `this kernel has no ${need.calls}: it needs ${wanted}`;
  }
  if (errno === "EPERM" || errno === "EACCES") {
    if (need.cap !== undefined && lacks(need.cap, failure, here)) {
      const name = capabilityName(need.cap);
      const remedy = option(here, {
        unit: `CapabilityBoundingSet= (and AmbientCapabilities= where User= is set) with ${name}`,
        container: `--cap-add ${name.replace(/^CAP_/, "")}`,
      });
      return `the server lacks ${name}, without which ${need.calls} is refused: ${remedy}`;
    }
    if (here.filtered)
      return `a seccomp filter around the server denies ${need.calls}: ${option(here, need)}`;
    return mac(here) ?? `the server may not use ${need.calls} here: ${option(here, need)}`;
  }
  if (here.filtered)
    return `a seccomp filter around the server may answer so to ${need.calls}: ${option(here, need)}`;
  return `the kernel refused ${need.calls} with an answer that is not known here: \`spawnbox doctor\` tells what this machine can do`;
}

/** Why a step failed here, and what to do. Never empty. */
export function hint(failure: Failure, here: Confinement): string {
  const { step, errno, what } = failure;
  // Where a step that makes processes names an object, the error is about that.
  const own = WORDS[step] === NAMESPACE_WORDS && what !== "" ? undefined : WORDS[step]?.[errno];
  const words = typeof own === "function" ? own(failure, here) : own;
  return words || general(failure, here);
}

/** How the launcher died that nobody of the server has ended. @param signal its name, where that is known */
export function killed(here: Confinement, signal?: string): string {
  if (signal === "SIGSYS")
    return `a seccomp filter around the server ends what makes a call that it denies: ${option(here, { unit: "SystemCallErrorNumber=EPERM, to be told which", container: UNCONFINED })}`;
  const reasons = [
    "out of memory (see dmesg, MemoryMax= of the unit, --memory of the container)",
    "somebody of its user has killed it",
    ...(here.filtered
      ? ["a seccomp filter around the server denies it a call, such as capset(2)"]
      : []),
  ];
  return reasons.join(", or ");
}

/**
 * What a sandbox does, in the terms of the kernel: resolved users, masks, flags and paths. Pure data, made once per sandbox
 * (and command limits), read by encode.ts (→ launcher ops) and explain.ts (→ words).
 */

import type { CgroupPolicy } from "./cgroup.ts";

/** Namespaces of clone(2) that a sandbox can have for itself. */
export type NamespaceName = "user" | "mount" | "pid" | "net" | "ipc" | "uts" | "cgroup";

export interface MountFlags {
  readonly readonly: boolean;
  readonly nosuid: boolean;
  readonly nodev: boolean;
  readonly noexec: boolean;
}

/** One entry of the new root, in order. Targets are absolute, normal (no `.` or `..`), inside the sandbox. */
export type MountStep =
  | {
      readonly kind: "bind";
      /** Where the source lay at boot, without links. */
      readonly source: string;
      /** As the config has it, where the links on the way are followed at each launch. */
      readonly asked?: string;
      /** Those at boot. */
      readonly links?: readonly string[];
      /** Where there is no source, there is no mount. */
      readonly optional?: true;
      /** It must be a character device. */
      readonly device?: true;
      /** Where there is none at the start, it is made: its owner's, or else the server's user's. */
      readonly made?: { readonly owner?: Pick<Identity, "uid" | "gid"> };
      readonly target: string;
      readonly flags: MountFlags;
    }
  | {
      readonly kind: "tmpfs";
      readonly target: string;
      /** As tmpfs(5) takes it; the kernel's default is half of the memory. */
      readonly size?: string;
      readonly mode: number;
      readonly owner?: { readonly uid: number; readonly gid: number };
      readonly flags: MountFlags;
    }
  | { readonly kind: "symlink"; readonly target: string; readonly text: string }
  | { readonly kind: "dir"; readonly target: string; readonly mode: number }
  | { readonly kind: "proc"; readonly target: string }
  | { readonly kind: "devpts"; readonly target: string }
  /** Makes a mount made before read-only, now that it is filled. */
  | { readonly kind: "seal"; readonly target: string }
  | { readonly kind: "mqueue"; readonly target: string }
  | { readonly kind: "sys"; readonly target: string }
  /** What is at the target, mounted again with other flags. */
  | { readonly kind: "rebind"; readonly target: string; readonly flags: MountFlags }
  /** A read-only file whose content was made at boot. */
  | {
      readonly kind: "file";
      readonly target: string;
      readonly content: Uint8Array;
      readonly mode: number;
      /** The host name, as it is in the sandbox, and a new line follow. */
      readonly named?: true;
    }
  /** A file that is locked while the sandbox lives. */
  | { readonly kind: "lock"; readonly target: string };

/** What landlock(7) is told; rights are the kernel's LANDLOCK_ACCESS_… bits. */
export interface LandlockPolicy {
  readonly files: bigint;
  readonly net: bigint;
  readonly scopes: bigint;
  /** As they will be seen inside, without links at boot; `asked`: as the config has it, where links are followed at each launch. */
  readonly paths: readonly (readonly [path: string, access: bigint, asked?: string])[];
  /** Links at boot, and where the paths lie, on the host. */
  readonly links: readonly string[];
  readonly hosts: readonly string[];
  readonly ports: readonly (readonly [port: number, access: bigint])[];
  /** struct sock_filter[], where ports are listed: what would pass by their rules. */
  readonly filter?: Uint8Array;
}

/** The label of a security module: what is written where, in /proc/self/attr. */
export interface LabelPolicy {
  readonly module: "selinux" | "smack" | "apparmor";
  readonly file: string;
  readonly text: string;
}

/** What the supervisor needs where calls are told: they reach it as SECCOMP_RET_USER_NOTIF of the policy's filter. */
export interface ToldCalls {
  /** All that the filter denies or logs, or only SCMP_ACT_NOTIFY. */
  readonly all: boolean;
  /** struct sock_filter[]: what is to happen to each call. */
  readonly verdicts: Uint8Array;
  /** Names of system calls by number. */
  readonly names: Readonly<Record<string, string>>;
}

/** Which sockets a command may make. */
export interface FamiliesPolicy {
  /** AF_… that it may use. */
  readonly names: readonly string[];
  /** NETLINK_… of AF_NETLINK. */
  readonly protocols: readonly string[];
  /** struct sock_filter[]; undefined where it is part of the sandbox's own. */
  readonly filter: Uint8Array | undefined;
}

/** A supplementary group of an ordinary user's server. */
export interface KeptGroup {
  readonly gid: number;
  readonly name?: string;
}

/** What a name of the config was when it was looked up: of a user the uid, and the gid where that is its own. */
export interface NamedIds {
  readonly kind: "user" | "group";
  readonly name: string;
  readonly ids: readonly number[];
}

export interface Identity {
  readonly uid: number;
  readonly gid: number;
  /** Supplementary groups, exactly. */
  readonly groups: readonly number[];
  /** Name of the user where it has one. */
  readonly name?: string;
  readonly home?: string;
  /** Those of its numbers that the config has as names. */
  readonly named?: readonly NamedIds[];
}

/** A terminal of the command's own. */
export interface PtyPolicy {
  readonly columns: number;
  readonly rows: number;
  /** An instance of devpts that is mounted nowhere, that which the mounts show, or the machine's. */
  readonly origin:
    | { readonly kind: "own" }
    | { readonly kind: "mounted"; readonly path: string }
    | { readonly kind: "machine"; readonly path: string };
  /** struct sock_filter[]: nothing types into it. */
  readonly filter: Uint8Array;
}

export interface Policy {
  /** The server is root: it can switch users and set capabilities without a user namespace. */
  readonly privileged: boolean;
  /** Ids of the server, which a user namespace maps. */
  readonly server: {
    readonly uid: number;
    readonly gid: number;
    /** Supplementary ones, which its commands keep where it is not root. */
    readonly groups: readonly KeptGroup[];
  };
  /** Supplementary groups that an ordinary user's server may set; undefined: it may not, or `identity` has them. */
  readonly groups: readonly number[] | undefined;
  /** What the launcher switches to; undefined: stays what the server is. */
  readonly identity: Identity | undefined;
  /** umask of the command; undefined: the server's. */
  readonly umask: number | undefined;
  readonly chdir: string | undefined;
  readonly namespaces: ReadonlySet<NamespaceName>;
  /** Network namespace to join, by path. */
  readonly joinNet: string | undefined;
  readonly hostname: string | undefined;
  /** The whole new root; undefined: the host's file system is kept. */
  readonly mounts: readonly MountStep[] | undefined;
  /** Paths of the host where commands can make links as root, see shared-places.ts: no links are followed there at a launch. */
  readonly sharedPlaces?: readonly string[];
  /** The capabilities of the command, exactly (numbers of capability.h); undefined: untouched. */
  readonly caps: readonly number[] | undefined;
  readonly noNewPrivs: boolean;
  /** What its programs gain by their files `caps` does not bound: newPrivs was said, and caps was not. */
  readonly gains?: true;
  /** Limits of the sandbox and of each launch; undefined: none. */
  readonly cgroup: CgroupPolicy | undefined;
  readonly landlock: LandlockPolicy | undefined;
  readonly label: LabelPolicy | undefined;
  /** Nice value, -20 to 19; undefined: the server's. */
  readonly nice: number | undefined;
  /** undefined: sockets of every family. */
  readonly families: FamiliesPolicy | undefined;
  /** Compiled filter (struct sock_filter[]). */
  readonly seccomp: Uint8Array | undefined;
  /** Programs of it may run besides, under the same rules: i386, arm. */
  readonly abi?: string;
  /** Which calls the outcome tells of; undefined: none. */
  readonly told: ToldCalls | undefined;
  /** undefined: its output goes to pipes. */
  readonly pty?: PtyPolicy;
  /** Resource limits as [RLIMIT number, value]; -1n is unlimited. */
  readonly rlimits: readonly (readonly [number, bigint])[];
  /** Those that only the profile sets: it restricts, so where the server's own hard limit is lower, that holds. */
  readonly profileLimits?: readonly number[];
}

/** What a sandbox has of it: the limits and the terminal are added by each command. */
export type SandboxPolicy = Omit<Policy, "rlimits" | "profileLimits" | "pty">;

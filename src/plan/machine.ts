/** The look-ups a compile needs, handed in: what this machine is, and who we are on it. */
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  lstatSync,
  openSync,
  readFileSync,
  readlinkSync,
  readSync,
  realpathSync,
  type Stats,
} from "node:fs";
import { hostname } from "node:os";
import { fileCapabilities, hasOnlyMode } from "../../ffi/files.ts";
import { missingCall } from "../../ffi/kernel.ts";
import { mountFlags } from "../../ffi/libc.ts";
import { landlockAbi } from "../../ffi/landlock.ts";
import { capFromName } from "../../ffi/libcap.ts";
import {
  type Abi,
  type Architecture,
  compileFilter,
  libseccompVersion,
  resolveSyscall,
  type Rule,
  takesRule,
} from "../../ffi/libseccomp.ts";
import { readObeyed } from "../config/obeyed.ts";
import { deciders, trustOf } from "../config/trust.ts";
import { Walk } from "../config/walk.ts";
import { idOf } from "../config/ranges.ts";
import { withCalls } from "./abi.ts";
import { foreignFormats } from "./binfmt.ts";
import { imagined, makeDirectory, type Owner } from "./make-directory.ts";
import { runs } from "./runs-abi.ts";
import { silences } from "./silent.ts";
import { outputOf } from "./output.ts";
import type { LabelPolicy } from "./policy.ts";
import type { HostFiles } from "./view.ts";
import { groupById, groupByName, type User, userById, userByName } from "../../ffi/users.ts";

export interface Machine {
  readonly uid: number;
  readonly gid: number;
  /** Its supplementary groups and real gid. */
  readonly groups: readonly number[];
  /** Capabilities that what it executes has too: see capabilities(7). Root's are not told. */
  readonly ambient: ReadonlySet<number>;
  /** Those of root, which a container or unit may have taken some of; undefined where that is not known. */
  readonly held: ReadonlySet<number> | undefined;
  /** What a program may gain by its file at most; undefined where that is not known, as of another server. */
  readonly bounding: ReadonlySet<number> | undefined;
  /** It runs under no_new_privs, and so does what it executes. */
  readonly noNewPrivs: boolean;
  /** The server may switch users and set capabilities: it runs as root. */
  readonly privileged: boolean;
  readonly pid: number;
  readonly hostname: string;
  /** The working directory: AFB_ROOTDIR of the configs. */
  readonly rootdir: string;
  now(): Date;
  uuid(): string;
  /** The architecture that filters are made for. */
  readonly arch: Architecture;
  /** Commands get the server's environment, less what is its own: not where a plan file is made for another server. */
  readonly inherits: boolean;
  /** The server's own environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  user(nameOrUid: string): User | undefined;
  group(name: string): number | undefined;
  groupName(gid: number): string | undefined;
  /** Number of a capability; undefined when unknown. */
  cap(name: string): number | undefined;
  /** Number of a syscall here; negative when only other architectures have it; undefined when unknown. */
  syscall(name: string, abi?: Abi): number | undefined;
  compileFilter(defaultAction: number, rules: readonly Rule[], abi?: Abi): Uint8Array;
  /** Whether the kernel runs programs of it; undefined when that cannot be told. */
  runs(abi: Abi): boolean | undefined;
  /** Why the supervisor cannot answer calls of a command; undefined when it can. */
  cannotTell(): string | undefined;
  /** The active security module that has labels. */
  labelModule(): LabelPolicy["module"] | undefined;
  /** Version of Landlock, 0 for none. */
  landlockAbi(): number;
  exists(path: string): boolean;
  /** Standard output of a shell command; throws when it fails. */
  output(command: string): Uint8Array;
  /** The path without any symbolic link; throws with an errno name when it is missing. */
  realpath(path: string): string;
  readonly files: HostFiles;
  /** Makes a directory that is missing, and what is missing above it. */
  mkdir(path: string, owner: Owner | undefined): void;
  /** Content of a regular file that a config names: root obeys it only when nobody else can change it. */
  readFile(path: string): Uint8Array;
  /** How others than root, and who has called it, can change what is at a path, or what it leads through; undefined: they cannot. */
  changeable(path: string): string | undefined;
}

/** A line of /proc/self/status, as it is there; "" where there is none. */
const ownStatus = (field: string): string =>
  new RegExp(`^${field}:\\t(.*)$`, "m").exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "";

export function ownCaps(set: "CapAmb" | "CapBnd" | "CapPrm"): Set<number> {
  const mask = BigInt(`0x${ownStatus(set) || "0"}`);
  return new Set(Array.from({ length: 64 }, (_, i) => i).filter((i) => (mask >> BigInt(i)) & 1n));
}

/** How long a command of boot may take, ms. */
const OUTPUT_LIMIT = 30_000;
/** Far above the largest filter: 4096 instructions of 8 bytes. */
const FILE_LIMIT = 1024 * 1024;

/** The launcher says the same of a directory: ffi/launcher/follow.c. */
const isOpen = ({ gid, mode }: Stats): boolean => (mode & (gid === 0 ? 0o002 : 0o022)) !== 0;

function changeable(path: string): string | undefined {
  try {
    using walk = Walk.to(path, { owners: deciders(0), beside: "others' too" });
    walk.refuse("file");
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** Below what is no directory there is nothing either. */
function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ENOTDIR") return undefined;
    if (code !== "EACCES") throw error;
    const why = `${path} lies where the server's user (uid ${process.geteuid?.()}) may not look: put it elsewhere, or chmod o+x what is above it`;
    throw Object.assign(new Error(why, { cause: error }), { code });
  }
}

export const hostFiles: HostFiles = {
  lookup: (path) => {
    const stat = statOf(path);
    if (!stat) return undefined;
    const kind = stat.isFile()
      ? "file"
      : stat.isDirectory()
        ? "dir"
        : stat.isSymbolicLink()
          ? "link"
          : "other";
    const { mode, uid: owner, gid: group } = stat;
    const open = kind === "dir" && isOpen(stat);
    return {
      ...{ kind, owner, group, open },
      executable: (mode & 0o111) !== 0,
      mode: mode & 0o7777,
      rootsOnly: kind === "dir" && owner === 0 && (!open || (mode & 0o1000) !== 0),
    };
  },
  readlink: (path) => readlinkSync(path),
  head: (path, bytes) => {
    const fd = openForReading(path);
    if (fd === undefined) return undefined;
    try {
      const buffer = new Uint8Array(bytes);
      return buffer.subarray(0, readSync(fd, buffer, 0, bytes, 0));
    } finally {
      closeSync(fd);
    }
  },
  isAllowed: (path, right) => {
    try {
      accessSync(path, right);
      return true;
    } catch {
      // whatever keeps us from it
      return false;
    }
  },
  hasOnlyMode,
  capabilities: fileCapabilities,
  mountFlags,
  foreignFormats,
};

/** Not waiting for a writer, should it have become a FIFO. */
function openForReading(path: string): number | undefined {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EACCES") return undefined;
    throw error;
  }
}

/** By what each registers only when it is active; securityfs, which lists them, may not be mounted. */
export function activeLabelModule(
  content: (path: string) => string,
): LabelPolicy["module"] | undefined {
  const filesystems = content("/proc/filesystems");
  if (/\bselinuxfs$/m.test(filesystems)) return "selinux";
  if (/\bsmackfs$/m.test(filesystems)) return "smack";
  return content("/sys/module/apparmor/parameters/enabled").startsWith("Y")
    ? "apparmor"
    : undefined;
}

const contentOf = (path: string): string => (existsSync(path) ? readFileSync(path, "utf8") : "");

/** Taking the listener of a filter over came after all else that answering needs; unless user notification was left out. */
function cannotTell(): string | undefined {
  const errno = missingCall("pidfd_getfd");
  if (errno !== undefined) return `pidfd_getfd(2): ${errno}; it needs Linux 5.6`;
  const actions = "/proc/sys/kernel/seccomp/actions_avail";
  if (!existsSync(actions) || readFileSync(actions, "utf8").split(/\s+/).includes("user_notif"))
    return undefined;
  return "this kernel has no user notification of seccomp(2)";
}

/** Each sandbox asks for one of few, and where they come from may be a directory of the network. */
function rememberingUsers(): Machine["user"] {
  const known = new Map<string, ReturnType<Machine["user"]>>();
  return (name) => {
    if (!known.has(name)) {
      const uid = idOf(name);
      known.set(name, uid === undefined ? userByName(name) : userById(uid));
    }
    return known.get(name);
  };
}

/** Filters as they were asked for: sandboxes with equal rules share one, and each costs milliseconds. */
function rememberingFilters(arch: Architecture): Machine["compileFilter"] {
  const made = new Map<string, Uint8Array>();
  return (fallback, rules, abi = arch) => {
    const key = JSON.stringify([fallback, rules, abi], (_, value) =>
      typeof value === "bigint" ? `${value}` : value,
    );
    let program = made.get(key);
    if (!program) made.set(key, (program = filterFor(fallback, rules, abi)));
    return program;
  };
}

/** Of calls that the library does not know it says nothing to other processors: what is said of them goes first. */
function filterFor(fallback: number, rules: readonly Rule[], abi: Abi): Uint8Array {
  const taken = rules.filter(({ syscall }) => takesRule(syscall, abi));
  const left = rules.filter((rule) => !taken.includes(rule));
  const said = left.map(({ syscall, action, args }): [number, number] => {
    const number = resolveSyscall(syscall, abi);
    if (number === undefined || args.length > 0)
      throw new Error(
        `libseccomp ${libseccompVersion()} does not know ${syscall}, and makes no rule with args for it on ${abi}: install a newer one`,
      );
    return [number, action];
  });
  return withCalls(compileFilter(fallback, taken, abi), abi, said);
}

/** For who only says what would be: it makes nothing here. */
export function lookingOnly(machine: Machine): Machine {
  return { ...machine, ...imagined(machine.files) };
}

/** `arch`: what the filters are made for. Throws where spawnbox does not run. */
export function thisMachine(arch: string = process.arch): Machine {
  if (arch !== "x64" && arch !== "arm64") throw new Error(`no filters are made for ${arch}`);
  const uid = process.geteuid?.() ?? -1;
  const silenceAt = silences();
  /** @throws Error where nobody would answer. */
  const answering = (path: string): string => {
    const why = silenceAt(path);
    if (why !== undefined) throw Object.assign(new Error(why), { code: "ETIMEDOUT" });
    return path;
  };
  return {
    uid,
    gid: process.getegid?.() ?? -1,
    groups: [...(process.getgroups?.() ?? []), process.getgid?.() ?? -1],
    ambient: uid === 0 ? new Set() : ownCaps("CapAmb"),
    held: uid === 0 ? ownCaps("CapPrm") : undefined,
    bounding: ownCaps("CapBnd"),
    noNewPrivs: ownStatus("NoNewPrivs") === "1",
    privileged: uid === 0,
    pid: process.pid,
    hostname: hostname(),
    rootdir: process.cwd(),
    now: () => new Date(),
    uuid: () => crypto.randomUUID(),
    arch,
    inherits: true,
    env: process.env,
    user: rememberingUsers(),
    group: groupByName,
    groupName: groupById,
    cap: capFromName,
    syscall: (name, abi = arch) => resolveSyscall(name, abi),
    compileFilter: rememberingFilters(arch),
    runs,
    cannotTell,
    labelModule: () => activeLabelModule(contentOf),
    landlockAbi,
    exists: (path) => existsSync(answering(path)),
    output: (command) => outputOf(command, OUTPUT_LIMIT),
    realpath: (path) => realpathSync(answering(path)),
    files: { ...hostFiles, lookup: (path) => hostFiles.lookup(answering(path)) },
    mkdir: makeDirectory,
    readFile: (path) => readObeyed(answering(path), trustOf(uid), FILE_LIMIT),
    changeable,
  };
}

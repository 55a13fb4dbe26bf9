/** Policy → the blob of launcher ops (ffi/launcher/layout.ts). The order of the ops is the order of enforcement. */
import {
  BIND,
  HEADER_SIZE,
  LINKS,
  MAGIC,
  OP,
  OP_HEADER_SIZE,
  type OpName,
  PTY,
  VERSION,
} from "../../ffi/launcher/layout.ts";
import { uint64 } from "../../ffi/integer.ts";
import { isId } from "../config/ranges.ts";
import { boundCaps, capMask } from "./bounding.ts";
import { deniesUserNamespaces } from "./nested.ts";
import { sharedInside } from "./inside.ts";
import { parseSize } from "./size.ts";
import type {
  LandlockPolicy,
  MountFlags,
  MountStep,
  NamespaceName,
  Policy,
  PtyPolicy,
} from "./policy.ts";

/** CLONE_NEW… of clone(2). */
const CLONE: Readonly<Record<NamespaceName, number>> = {
  mount: 0x00020000,
  cgroup: 0x02000000,
  uts: 0x04000000,
  ipc: 0x08000000,
  user: 0x10000000,
  pid: 0x20000000,
  net: 0x40000000,
};
/** RLIMIT_… of setrlimit(2) that every command has set. */
const RLIMIT = { nice: 13, rtprio: 14 } as const;
/** MOUNT_ATTR_… of mount_setattr(2). */
const ATTRIBUTE = { RDONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8 } as const;
/** Securebits of capabilities(7). */
const SECBITS = {
  /** While the uid is switched: it takes no capability along. */
  SWITCHING: 0b0000_0101,
  /**
   * For the command: uid 0 gives no capability at exec, none can be made ambient, and all of it is locked. Not locked is
   * PR_SET_KEEPCAPS: it keeps what a process has, which the config gave it, and who gives up root by it (ping, chronyd, tcpdump,
   * setpriv, all users of libcap-ng) ends where it is refused.
   */
  LOCKED: 0b1100_1011,
} as const;

const utf8 = new TextEncoder();

/** NUL-ended strings one after the other. */
function strings(...texts: string[]): Uint8Array {
  return utf8.encode(texts.map((text) => `${text}\0`).join(""));
}

/** The launcher takes 32 bits of it. @throws RangeError where they are another id */
function id(number: number): number {
  if (isId(number)) return number;
  throw new RangeError(`${number} is no uid or gid`);
}

/** Bytes at first; most policies fit. */
const ROOM = 8192;

class Blob {
  // One buffer for all ops: to make one for each is most of the time.
  #buffer = new ArrayBuffer(ROOM);
  #bytes = new Uint8Array(this.#buffer);
  #view = new DataView(this.#buffer);
  #size = HEADER_SIZE;

  op(name: OpName, numbers: readonly (number | bigint)[] = [], data?: Uint8Array): this {
    const length = data?.length ?? 0;
    const size = Math.ceil((OP_HEADER_SIZE + numbers.length * 8 + length) / 8) * 8;
    const at = this.#add(size);
    const view = this.#view;
    view.setUint32(at, OP[name], true);
    view.setUint32(at + 4, size, true);
    view.setUint32(at + 8, numbers.length, true);
    view.setUint32(at + 12, length, true);
    numbers.forEach((number, i) =>
      view.setBigUint64(at + OP_HEADER_SIZE + i * 8, uint64(BigInt(number)), true),
    );
    if (data) this.#bytes.set(data, at + OP_HEADER_SIZE + numbers.length * 8);
    return this;
  }

  /** Where so many bytes, all zero, begin. */
  #add(size: number): number {
    const at = this.#size;
    this.#size += size;
    if (this.#size > this.#buffer.byteLength) {
      const larger = new Uint8Array(Math.max(this.#size, 2 * this.#buffer.byteLength));
      larger.set(this.#bytes);
      this.#bytes = larger;
      this.#buffer = larger.buffer;
      this.#view = new DataView(this.#buffer);
    }
    return at;
  }

  bytes(cloneFlags: number): Uint8Array {
    [MAGIC, VERSION, this.#size, cloneFlags].forEach((word, i) =>
      this.#view.setUint32(i * 4, word, true),
    );
    return this.#bytes.slice(0, this.#size);
  }
}

function attributes(flags: MountFlags): number {
  return (
    (flags.readonly ? ATTRIBUTE.RDONLY : 0) |
    (flags.nosuid ? ATTRIBUTE.NOSUID : 0) |
    (flags.nodev ? ATTRIBUTE.NODEV : 0) |
    (flags.noexec ? ATTRIBUTE.NOEXEC : 0)
  );
}

const SAFE = ATTRIBUTE.NOSUID | ATTRIBUTE.NODEV | ATTRIBUTE.NOEXEC;

/** Bytes of a tmpfs for each file in it, which has a page unless it is empty, and so many files at least. */
const BYTES_A_FILE = 2048n;
const FEWEST_FILES = 1024n;

/** Files without content are not in its size, and take a KB of the kernel's memory each, which is no process's: see tmpfs(5). */
function inodesOf(size: string): string {
  const files = (parseSize(size) ?? 0n) / BYTES_A_FILE;
  return `${files > FEWEST_FILES ? files : FEWEST_FILES}`;
}

function encodeMount(blob: Blob, step: MountStep): void {
  switch (step.kind) {
    case "bind":
      blob.op(
        "BIND",
        [
          attributes(step.flags),
          (step.asked === undefined ? 0 : BIND.FOLLOWS) |
            (step.optional ? BIND.OPTIONAL : 0) |
            (step.device ? BIND.DEVICE : 0),
        ],
        strings(step.asked ?? step.source, step.target),
      );
      break;
    case "tmpfs": {
      const options = ["mode", step.mode.toString(8)];
      if (step.size !== undefined)
        options.push("size", step.size, "nr_inodes", inodesOf(step.size));
      if (step.owner) options.push("uid", `${id(step.owner.uid)}`, "gid", `${id(step.owner.gid)}`);
      blob.op("FSMOUNT", [attributes(step.flags)], strings("tmpfs", step.target, ...options));
      break;
    }
    case "proc":
      blob.op("FSMOUNT", [SAFE], strings("proc", step.target, "hidepid", "invisible"));
      break;
    case "sys":
      blob.op("FSMOUNT", [SAFE | ATTRIBUTE.RDONLY], strings("sysfs", step.target));
      break;
    case "rebind":
      blob.op("REBIND", [attributes(step.flags)], strings(step.target));
      break;
    case "file": {
      const target = strings(step.target);
      blob.op("FILE", [step.mode, step.named ? 1 : 0], Buffer.concat([target, step.content]));
      break;
    }
    case "lock":
      blob.op("LOCK", [], strings(step.target));
      break;
    case "mqueue":
      blob.op("FSMOUNT", [SAFE], strings("mqueue", step.target));
      break;
    case "devpts":
      blob.op(
        "FSMOUNT",
        [ATTRIBUTE.NOSUID | ATTRIBUTE.NOEXEC],
        strings("devpts", step.target, "ptmxmode", "0666", "mode", "0620"),
      );
      break;
    case "symlink":
      blob.op("SYMLINK", [], strings(step.text, step.target));
      break;
    case "dir":
      blob.op("DIR", [step.mode], strings(step.target));
      break;
    case "seal":
      blob.op("SETATTR", [ATTRIBUTE.RDONLY], strings(step.target));
      break;
  }
}

/** One line per id: the same number inside and outside. */
function identityMap(ids: Iterable<number>): Uint8Array {
  return strings([...new Set(ids)].map((one) => `${id(one)} ${one} 1\n`).join(""));
}

/** @param waits for a warm sandbox, which gets its command line later */
export function encodePolicy(policy: Policy, waits = false): Uint8Array {
  const blob = new Blob();
  const { identity, namespaces, server } = policy;
  let cloneFlags = 0;
  for (const name of namespaces) cloneFlags |= CLONE[name];
  const forked = namespaces.has("pid");
  // With an init beside it, the command makes its network namespace while the init builds the root; unless the root
  // has a sysfs, which shows the network of who mounts it.
  const lateNet =
    forked && namespaces.has("net") && !policy.mounts?.some((step) => step.kind === "sys");
  if (lateNet) cloneFlags &= ~CLONE.net;

  // Without a group the launch then fails; an optional one is used where it was made.
  if (policy.cgroup && !policy.cgroup.optional) blob.op("CGROUP");
  if (policy.told) blob.op("VERDICTS", [], policy.told.verdicts);
  if (policy.sharedPlaces) blob.op("SHARED_PLACES", [], strings(...policy.sharedPlaces));
  if (policy.joinNet !== undefined) blob.op("JOIN_NET", [], strings(policy.joinNet));

  if (namespaces.has("user")) {
    // setgroups must be denied before an ordinary user may write a gid map: user_namespaces(7).
    const gids = identity ? [server.gid, identity.gid, ...identity.groups] : [server.gid];
    gids.push(...(policy.groups ?? []));
    blob.op("UID_MAP", [], identityMap(identity ? [server.uid, identity.uid] : [server.uid]));
    blob.op("GID_MAP", [policy.privileged || policy.groups ? 0 : 1], identityMap(gids));
  }
  const bound = boundCaps(policy);
  // Bounds what an exec may give, not what the steps below may do; 41 system calls in the shadow of the id maps.
  if (bound) blob.op("BOUNDING", [capMask(bound)]);
  if (policy.label) blob.op("LABEL", [], strings(policy.label.file, policy.label.text));
  if (forked) blob.op("FORK");
  if (namespaces.has("user")) {
    // Of the user namespace that the writer is in: no further one in there. See namespaces(7).
    blob.op(
      "SETTING",
      [deniesUserNamespaces(policy) ? 0 : 1],
      strings("/proc/sys/user/max_user_namespaces", "0"),
    );
  }
  if (policy.mounts) {
    blob.op("ROOT_BEGIN");
    for (const step of policy.mounts) encodeMount(blob, step);
    blob.op("ROOT_END");
  }
  if (namespaces.has("net")) {
    if (lateNet) blob.op("UNSHARE", [CLONE.net]);
    blob.op("LOOPBACK");
  }
  if (policy.hostname !== undefined && namespaces.has("uts"))
    blob.op("HOSTNAME", [], strings(policy.hostname));

  // While there is the right to mount, and before a limit that it would not fit in.
  if (policy.pty) encodePty(blob, policy.pty, identity ?? server);
  if (policy.nice !== undefined) blob.op("NICE", [policy.nice + 20]);
  // What the server may is not for its commands: real-time policies and better nice values stop everything else.
  blob.op("RLIMIT", [RLIMIT.nice, 0, 1]);
  if (!policy.rlimits.some(([resource]) => resource === RLIMIT.rtprio))
    blob.op("RLIMIT", [RLIMIT.rtprio, 0, 1]);
  for (const [resource, value] of policy.rlimits) {
    const lowers = policy.profileLimits?.includes(resource) ? 1 : 0;
    blob.op("RLIMIT", [resource, BigInt.asUintN(64, value), lowers]);
  }
  if (policy.umask !== undefined) blob.op("UMASK", [policy.umask]);

  // With CAP_SYS_ADMIN, as long as it is there: set-user-id programs keep their power.
  const { families, landlock, pty } = policy;
  const filters = [families?.filter, landlock?.filter, pty?.filter].filter(
    (one) => one !== undefined,
  );
  const restrict = () => filters.forEach((filter) => blob.op("SECCOMP", [], filter));
  if (!policy.noNewPrivs) restrict();
  if (identity) blob.op("SETGROUPS", identity.groups.map(id)).op("SETGID", [id(identity.gid)]);
  else if (policy.groups)
    blob.op("SETGROUPS", policy.groups.map(id)).op("SETGID", [id(server.gid)]);
  if (bound) blob.op("SECUREBITS", [SECBITS.SWITCHING]);
  if (identity) blob.op("SETUID", [id(identity.uid)]);
  if (policy.caps) {
    // Locking the securebits needs CAP_SETPCAP, so it comes before CAPS; and it ends the raising of ambient ones.
    const mask = capMask(policy.caps);
    blob.op("AMBIENT", [mask]);
    if (bound) blob.op("SECUREBITS", [SECBITS.LOCKED]);
    blob.op("CAPS", [mask]);
  }
  // As the command itself: root would follow a link of the command's user to where that user may not go.
  if (policy.chdir !== undefined) blob.op("CHDIR", [], strings(policy.chdir));
  if (policy.noNewPrivs) blob.op("NO_NEW_PRIVS");
  if (policy.noNewPrivs) restrict();
  if (policy.landlock) encodeLandlock(blob, policy.landlock, sharedInside(policy));
  if (waits) blob.op("WAIT");
  if (policy.seccomp) blob.op(policy.told ? "SECCOMP_LISTENER" : "SECCOMP", [], policy.seccomp);
  return blob.bytes(cloneFlags >>> 0);
}

function encodePty(
  blob: Blob,
  { columns, rows, origin }: PtyPolicy,
  { uid, gid }: { readonly uid: number; readonly gid: number },
): void {
  const where = { own: PTY.OWN, mounted: PTY.MOUNTED, machine: PTY.MACHINE }[origin.kind];
  const path = origin.kind === "own" ? "" : origin.path;
  blob.op("PTY", [columns, rows, id(uid), id(gid), where], strings(path));
}

function encodeLandlock(
  blob: Blob,
  { files, net, scopes, paths, ports }: LandlockPolicy,
  shared: readonly string[],
): void {
  blob.op("LANDLOCK", [files, net, scopes], strings(...shared));
  for (const [path, access, asked] of paths) {
    // Links of the kernel that lead every process to itself.
    const ofKernel = /^\/proc\/(thread-)?self(\/|$)/.test(path);
    const links = ofKernel ? LINKS.ALL : asked === undefined ? LINKS.NONE : LINKS.ROOTS;
    blob.op("LANDLOCK_PATH", [access, links], strings(ofKernel ? path : (asked ?? path)));
  }
  for (const [port, access] of ports) blob.op("LANDLOCK_PORT", [access, port]);
  blob.op("LANDLOCK_APPLY");
}

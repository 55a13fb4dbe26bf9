/** What node:net does not tell of a socket: who is at the other end, see unix(7), and what an inherited one is. */
import { dlopen } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";
import { hasEnded, openProcess, type Process } from "./processes.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  getsockname: { args: ["i32", "ptr", "ptr"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i64"], returns: "i32" },
});

const SOL_SOCKET = 1;
const SO_TYPE = 3;
const SO_RCVBUF = 8;
const SO_PEERCRED = 17;
const SO_ACCEPTCONN = 30;
const SO_PEERSEC = 31;
const SO_PEERGROUPS = 59;
const SO_PEERPIDFD = 77;
const SOCK_STREAM = 1;
const AF_UNIX = 1;
const IPPROTO_TCP = 6;
const TCP_USER_TIMEOUT = 18;
const F_SETFD = 2;
const FD_CLOEXEC = 1;
/** struct sockaddr_un: a family of 2 bytes and a path of 108. */
const FAMILY_BYTES = 2;
const SOCKADDR_BYTES = FAMILY_BYTES + 108;

function checked(result: number, call: string, what: string): number {
  if (result >= 0) return result;
  throw new CError(call, what, errnoAt(libc.__errno_location()));
}

function option(fd: number, name: number, words: number): Int32Array {
  const value = new Int32Array(words);
  const length = Uint32Array.of(value.byteLength);
  checked(libc.getsockopt(fd, SOL_SOCKET, name, value, length), "getsockopt", `fd ${fd}`);
  return value;
}

function setOption(fd: number, level: number, name: number, number: number): void {
  const value = Int32Array.of(number);
  checked(libc.setsockopt(fd, level, name, value, value.byteLength), "setsockopt", `fd ${fd}`);
}

/** How much the kernel keeps of what was sent and not read, about: socket(7), SO_RCVBUF. Throws CError. */
export function limitReceiving(fd: number, bytes: number): void {
  setOption(fd, SOL_SOCKET, SO_RCVBUF, bytes);
}

/**
 * How long what was sent over TCP may stay unanswered by the other machine before the connection is over: tcp(7), TCP_USER_TIMEOUT.
 * Also where that machine answers, and its program reads nothing. Throws CError.
 * @param limit ms
 */
export function limitUnanswered(fd: number, limit: number): void {
  setOption(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, limit);
}

export interface Peer {
  /** 0 for a process that this pid namespace cannot see. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** Who connected a unix socket: the ids of the process when it called connect(2), told by the kernel. Throws CError. */
export function peerCredentials(fd: number): Peer {
  const [pid = 0, uid = -1, gid = -1] = option(fd, SO_PEERCRED, 3);
  // The kernel's ids are unsigned.
  return { pid, uid: uid >>> 0, gid: gid >>> 0 };
}

/** The supplementary groups of the process that connected a unix socket, when it did (Linux 4.13). Throws CError. */
export function peerGroups(fd: number): number[] {
  for (let most = 64; ;) {
    const groups = new Uint32Array(most);
    const length = Uint32Array.of(groups.byteLength);
    try {
      checked(
        libc.getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, length),
        "getsockopt",
        `fd ${fd}, SO_PEERGROUPS`,
      );
      return [...groups.subarray(0, (length[0] ?? 0) / groups.BYTES_PER_ELEMENT)];
    } catch (error) {
      // It then tells how much room there must be.
      const needed = (length[0] ?? 0) / groups.BYTES_PER_ELEMENT;
      if (!(error instanceof CError) || error.errno !== "ERANGE" || needed <= most) throw error;
      most = needed;
    }
  }
}

/** Bytes of a label that is believed to be one: those of SELinux have 4096 at most, and others fewer. */
const MOST_LABEL = 4096;

/**
 * The label that the security module had given the process which connected a unix socket, when it did: an SELinux context, a
 * Smack label, the name of an AppArmor profile. undefined where no module is active, or the one that is has none for sockets.
 */
export function peerLabel(fd: number): string | undefined {
  for (let most = 256; ;) {
    const label = Buffer.alloc(most);
    const length = Uint32Array.of(most);
    try {
      checked(
        libc.getsockopt(fd, SOL_SOCKET, SO_PEERSEC, label, length),
        "getsockopt",
        `fd ${fd}, SO_PEERSEC`,
      );
      return labelIn(label.subarray(0, length[0] ?? 0));
    } catch (error) {
      if (!(error instanceof CError)) throw error;
      // It then tells how much room there must be. A part of a label would be another one.
      const needed = length[0] ?? 0;
      if (error.errno !== "ERANGE" || needed <= most || needed > MOST_LABEL) return undefined;
      most = needed;
    }
  }
}

/** Some modules end it with a NUL, or with a line. */
export function labelIn(bytes: Buffer): string | undefined {
  const text = bytes.toString().replace(/[\0\n]+$/, "");
  return text === "" ? undefined : text;
}

/**
 * Looks something up about the process that connected a unix socket, by its pid; undefined when it has ended. Linux 6.5 pins
 * it by a pidfd, so that another which gets the pid meanwhile is not taken for it; before, there is only the pid.
 */
export function lookAtPeer<T>(fd: number, pid: number, look: (pid: number) => T): T | undefined {
  const pidfd = peerPidfd(fd);
  if (typeof pidfd !== "number") return pidfd === "unknown" ? look(pid) : undefined;
  try {
    const seen = look(pid);
    return hasEnded(pidfd) ? undefined : seen;
  } finally {
    libc.close(pidfd);
  }
}

/**
 * The process at the other end of a unix socket, which connected or listens there; undefined when this pid namespace cannot see
 * it, or it has ended and the kernel knows no more of it than that: see hasEnded. Before Linux 6.5 it is the one that has its pid
 * now. Throws CError.
 */
export function openPeer(fd: number): Process | undefined {
  const { pid } = peerCredentials(fd);
  if (pid === 0) return undefined;
  const found = peerPidfd(fd);
  const pidfd = found === "unknown" ? openProcess(pid) : found;
  return typeof pidfd === "number" ? { pid, pidfd } : undefined;
}

function peerPidfd(fd: number): number | "ended" | "unknown" {
  const value = Int32Array.of(-1);
  const length = Uint32Array.of(value.byteLength);
  try {
    const what = `fd ${fd}, SO_PEERPIDFD`;
    checked(libc.getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, value, length), "getsockopt", what);
  } catch (error) {
    if (!(error instanceof CError)) throw error;
    return error.errno === "ENOPROTOOPT" ? "unknown" : "ended";
  }
  return value[0] ?? -1;
}

/** Of a socket of node:net, which does not tell it, or of one that does. undefined once the socket is closed. */
export function descriptorOf(socket: object): number | undefined {
  if ("descriptor" in socket)
    return typeof socket.descriptor === "number" && socket.descriptor >= 0
      ? socket.descriptor
      : undefined;
  const handle: unknown = Reflect.get(socket, "_handle");
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
  return typeof handle.fd === "number" && handle.fd >= 0 ? handle.fd : undefined;
}

/** Whether the descriptor is a stream socket that listens. Throws CError when it is no socket. */
export function isListening(fd: number): boolean {
  return option(fd, SO_TYPE, 1)[0] === SOCK_STREAM && option(fd, SO_ACCEPTCONN, 1)[0] === 1;
}

/** The path of a unix socket (`@name` for an abstract one); undefined for other families. Throws CError. */
export function unixPath(fd: number): string | undefined {
  const address = Buffer.alloc(SOCKADDR_BYTES);
  const length = Uint32Array.of(address.length);
  checked(libc.getsockname(fd, address, length), "getsockname", `fd ${fd}`);
  if (address.readUInt16LE(0) !== AF_UNIX) return undefined;
  const path = address.subarray(FAMILY_BYTES, Math.min(length[0] ?? 0, SOCKADDR_BYTES));
  if (path[0] === 0) return `@${path.subarray(1).toString()}`;
  const end = path.indexOf(0);
  return path.subarray(0, end < 0 ? path.length : end).toString();
}

/** Keeps an inherited descriptor from programs executed later. Throws CError. */
export function closeOnExec(fd: number): void {
  checked(libc.fcntl(fd, F_SETFD, FD_CLOEXEC), "fcntl", `fd ${fd}, F_SETFD`);
}

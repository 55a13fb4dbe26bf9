/** Messages with descriptors between two processes: unix(7), SCM_RIGHTS. */
import { dlopen, ptr } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  socketpair: { args: ["i32", "i32", "i32", "ptr"], returns: "i32" },
  sendmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
});

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;

const failure = (call: string): CError => new CError(call, "", errnoAt(libc.__errno_location()));

const ends = new Int32Array(2);

/** Two connected sockets (SOCK_SEQPACKET), close-on-exec. Throws CError. */
export function messagePair(): [number, number] {
  if (libc.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
    throw failure("socketpair");
  return [ends[0] ?? -1, ends[1] ?? -1];
}

/** struct iovec, struct msghdr, struct cmsghdr with its descriptors: of 64 bits on every architecture. */
const part = new BigUint64Array(2);
const message = new BigUint64Array(7);
const MOST = 16;
const control = new BigUint64Array(2 + MOST / 2);
const header = new Uint32Array(control.buffer);
const HEADER = 16;
message[2] = BigInt(ptr(part));
message[3] = 1n;
message[4] = BigInt(ptr(control));

/**
 * Sends a message with copies of descriptors, 16 at most.
 * @returns false: there is no room for it now. Throws CError: EPIPE or ECONNRESET when nobody has the other end any more.
 */
export function sendMessage(socket: number, bytes: Uint8Array, fds: readonly number[]): boolean {
  if (fds.length > MOST || bytes.length === 0) throw new RangeError("a message of a wrong size");
  part[0] = BigInt(ptr(bytes));
  part[1] = BigInt(bytes.length);
  const length = HEADER + 4 * fds.length;
  control[0] = BigInt(length);
  header[2] = SOL_SOCKET;
  header[3] = SCM_RIGHTS;
  header.set(fds, HEADER / 4);
  // CMSG_SPACE: to the next 8 bytes.
  message[5] = BigInt((length + 7) & ~7);
  if (Number(libc.sendmsg(socket, message, MSG_DONTWAIT | MSG_NOSIGNAL)) >= 0) return true;
  const error = failure("sendmsg");
  // ETOOMANYREFS: so many descriptors are on their way already.
  if (error.errno === "EAGAIN" || error.errno === "ENOBUFS" || error.errno === "ETOOMANYREFS")
    return false;
  throw error;
}

/** The first bytes of all messages that nobody has received; the descriptors in them are closed. */
export function takeUnreceived(socket: number, size: number): Uint8Array[] {
  const taken: Uint8Array[] = [];
  for (;;) {
    const bytes = new Uint8Array(size);
    if (Number(libc.recv(socket, bytes, BigInt(size), MSG_DONTWAIT)) <= 0) return taken;
    taken.push(bytes);
  }
}

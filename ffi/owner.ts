/** Whose a TCP connection within this machine is: sock_diag(7) tells the user of the socket at its other end. */
import { dlopen } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";

const open = () =>
  dlopen("libc.so.6", {
    __errno_location: { args: [], returns: "ptr" },
    socket: { args: ["i32", "i32", "i32"], returns: "i32" },
    send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
    recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  }).symbols;
/** With the first connection, as a start is not to wait for it. */
let known: ReturnType<typeof open> | undefined;

const AF_INET = 2;
const AF_INET6 = 10;
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_SOCK_DIAG = 4;
const SOCK_DIAG_BY_FAMILY = 20;
const NLM_F_REQUEST = 1;
const MSG_DONTWAIT = 0x40;
const IPPROTO_TCP = 6;

/** struct nlmsghdr, then struct inet_diag_req_v2: the id of a socket is in both directions at the same place within it. */
const HEADER = 16;
const REQUEST = HEADER + 56;
const REQUEST_ID = HEADER + 8;
const NO_COOKIE = REQUEST_ID + 40;
/** Of struct inet_diag_msg: the id, the uid and the inode. */
const ID = HEADER + 4;
const PORTS_AND_ADDRESSES = 36;
const UID = HEADER + 64;
const INODE = HEADER + 68;
const ANSWER = HEADER + 72;

/** One end of a connection. */
export interface End {
  readonly address: string;
  readonly port: number;
}

let opened: number | undefined;
/** There is one question at a time. */
const request = Buffer.alloc(REQUEST);
const answer = Buffer.alloc(512);
let sequence = 0;

/**
 * The uid of who has the socket at `theirs` that is connected to `ours`, as this user namespace knows it. Both are addresses of
 * this machine, both IPv4 or both IPv6. undefined where there is no such socket in this network namespace, or nobody has it open any
 * more. Throws CError where the kernel does not tell (CONFIG_INET_DIAG, a filter).
 */
export function ownerOf(theirs: End, ours: End): number | undefined {
  ask(theirs, ours);
  const libc = (known ??= open());
  const checked = (result: number, call: string): number => {
    if (result >= 0) return result;
    throw new CError(call, "sock_diag", errnoAt(libc.__errno_location()));
  };
  opened ??= checked(libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG), "socket");
  checked(Number(libc.send(opened, request, BigInt(request.length), 0)), "send");
  // The kernel has answered within the call; what is of an earlier one, which failed, is passed over.
  for (;;) {
    const length = Number(libc.recv(opened, answer, BigInt(answer.length), MSG_DONTWAIT));
    if (checked(length, "recv") < HEADER) return undefined;
    if (answer.readUInt32LE(8) !== sequence) continue;
    const isAnswer = answer.readUInt16LE(4) === SOCK_DIAG_BY_FAMILY && length >= ANSWER;
    if (!isAnswer || !sameId(request, answer)) return undefined;
    // One that nobody has open has none; older kernels then say that it is root's.
    return answer.readUInt32LE(INODE) === 0 ? undefined : answer.readUInt32LE(UID);
  }
}

function ask(theirs: End, ours: End): void {
  const v4 = isIPv4(theirs.address);
  request.fill(0);
  request.writeUInt32LE(REQUEST, 0);
  request.writeUInt16LE(SOCK_DIAG_BY_FAMILY, 4);
  request.writeUInt16LE(NLM_F_REQUEST, 6);
  request.writeUInt32LE((sequence = (sequence + 1) >>> 0), 8);
  request.set([v4 ? AF_INET : AF_INET6, IPPROTO_TCP], HEADER);
  request.writeUInt16BE(theirs.port, REQUEST_ID);
  request.writeUInt16BE(ours.port, REQUEST_ID + 2);
  request.set(bytesOf(theirs.address), REQUEST_ID + 4);
  request.set(bytesOf(ours.address), REQUEST_ID + 20);
  request.fill(0xff, NO_COOKIE, NO_COOKIE + 8);
}

/** As the kernel writes them. */
const isIPv4 = (address: string): boolean => /^\d+(\.\d+){3}$/.test(address);

/** In network order. Of IPv6 only what a loopback address needs. */
function bytesOf(address: string): number[] {
  if (isIPv4(address)) return address.split(".").map(Number);
  if (address === "::1") return [...new Array<number>(15).fill(0), 1];
  throw new RangeError(`${address} is no loopback address`);
}

/** A listener is the answer where there is no such connection. */
const sameId = (request: Buffer, answer: Buffer): boolean =>
  request
    .subarray(REQUEST_ID, REQUEST_ID + PORTS_AND_ADDRESSES)
    .equals(answer.subarray(ID, ID + PORTS_AND_ADDRESSES));

/** Datagrams to the service manager, see sd_notify(3): node:dgram has no unix sockets. */
import { dlopen } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "u64", "i32", "ptr", "u32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
  clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
});

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_NOSIGNAL = 0x4000;
const MSG_DONTWAIT = 0x40;
const CLOCK_MONOTONIC = 1;
/** sun_path with its NUL, see unix(7). */
const PATH_BYTES = 108;

const failed = (call: string, what: string): CError =>
  new CError(call, what, errnoAt(libc.__errno_location()));

/**
 * Sends one datagram to a unix socket: a path, or `@name` in the abstract namespace. Never waits: a manager that does not
 * read must not stop the server. Throws CError.
 */
export function sendDatagram(to: string, text: string): void {
  const address = socketAddress(to);
  const message = Buffer.from(text);
  const fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) throw failed("socket", "AF_UNIX");
  try {
    const flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    const sent = libc.sendto(fd, message, message.length, flags, address, address.length);
    if (Number(sent) < 0) throw failed("sendto", to);
  } finally {
    libc.close(fd);
  }
}

/** struct sockaddr_un. The length of an abstract address counts: it has no NUL at the end. */
function socketAddress(to: string): Buffer {
  const abstract = to.startsWith("@");
  const path = Buffer.from(abstract ? `\0${to.slice(1)}` : `${to}\0`);
  if (path.length > PATH_BYTES) throw new CError("sendto", to, "ENAMETOOLONG");
  const address = Buffer.alloc(2 + path.length);
  address.writeUInt16LE(AF_UNIX, 0);
  path.copy(address, 2);
  return address;
}

/** Microseconds of CLOCK_MONOTONIC, which is the manager's clock too. */
export function monotonicMicroseconds(): bigint {
  const time = new BigInt64Array(2);
  if (libc.clock_gettime(CLOCK_MONOTONIC, time) < 0) throw failed("clock_gettime", "MONOTONIC");
  const [seconds = 0n, nanoseconds = 0n] = time;
  return seconds * 1_000_000n + nanoseconds / 1_000n;
}

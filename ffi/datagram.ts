/** A datagram socket that is kept, connected to one of the file system, and never waits: unix(7). What is too long for it goes as a memfd. */
import { dlopen, ptr } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  send: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  sendmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
});

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
/** sun_path with its NUL, see unix(7). */
const PATH_BYTES = 108;

function checked(result: number | bigint, call: string, what: string): number {
  if (result >= 0) return Number(result);
  throw new CError(call, what, errnoAt(libc.__errno_location()));
}

export class Datagrams implements Disposable {
  readonly #fd: number;

  /** Throws CError: ENOENT and ECONNREFUSED where nobody listens, EPROTOTYPE where it is a stream. */
  constructor(readonly path: string) {
    const name = Buffer.from(`${path}\0`);
    if (name.length > PATH_BYTES) throw new CError("connect", path, "ENAMETOOLONG");
    const address = Buffer.alloc(2 + name.length);
    address.writeUInt16LE(AF_UNIX, 0);
    name.copy(address, 2);
    const type = SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    this.#fd = checked(libc.socket(AF_UNIX, type, 0), "socket", "AF_UNIX");
    try {
      checked(libc.connect(this.#fd, address, address.length), "connect", path);
    } catch (error) {
      libc.close(this.#fd);
      throw error;
    }
  }

  /** Throws CError: EAGAIN where its reader is slow, EMSGSIZE where it is too long. */
  send(message: Uint8Array): void {
    checked(libc.send(this.#fd, message, message.length, 0), "send", this.path);
  }

  /** An empty datagram with a descriptor, SCM_RIGHTS of unix(7). Throws CError. */
  sendDescriptor(fd: number): void {
    // struct cmsghdr: cmsg_len (8), cmsg_level (4), cmsg_type (4), then the data, in words.
    const control = Buffer.alloc(24);
    control.writeBigUInt64LE(20n, 0);
    control.writeInt32LE(SOL_SOCKET, 8);
    control.writeInt32LE(SCM_RIGHTS, 12);
    control.writeInt32LE(fd, 16);
    // struct msghdr: name (8), its length (4, 4 of padding), iov (8), how many (8), control (8), its length (8), flags (4, 4).
    const message = Buffer.alloc(56);
    message.writeBigUInt64LE(BigInt(ptr(control)), 32);
    message.writeBigUInt64LE(BigInt(control.length), 40);
    checked(libc.sendmsg(this.#fd, message, 0), "sendmsg", this.path);
  }

  [Symbol.dispose](): void {
    libc.close(this.#fd);
  }
}

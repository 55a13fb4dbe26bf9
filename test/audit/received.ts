/** A socket of the journal's or of syslog's, by the C library: what comes as a datagram, or as a file that was passed. */
import { dlopen, ptr } from "bun:ffi";
import { closeSync, readFileSync, rmSync } from "node:fs";

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  recvmsg: { args: ["i32", "ptr", "i32"], returns: "i64" },
  fcntl: { args: ["i32", "i32", "i64"], returns: "i32" },
});

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0o2000000;
const MSG_DONTWAIT = 0x40;
const F_GET_SEALS = 1034;

export class Received {
  readonly #fd: number;
  /** Of the last file that was passed. */
  seals: number | undefined;

  constructor(readonly path: string) {
    const address = Buffer.concat([Uint8Array.of(AF_UNIX, 0), Buffer.from(`${path}\0`)]);
    this.#fd = libc.socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (this.#fd < 0 || libc.bind(this.#fd, address, address.length) < 0)
      throw new Error(`cannot bind ${path}`);
  }

  /** The next one; undefined when there is none. */
  bytes(): Buffer | undefined {
    const data = Buffer.alloc(1 << 19);
    const iov = Buffer.alloc(16);
    iov.writeBigUInt64LE(BigInt(ptr(data)), 0);
    iov.writeBigUInt64LE(BigInt(data.length), 8);
    const control = Buffer.alloc(24);
    const message = Buffer.alloc(56);
    message.writeBigUInt64LE(BigInt(ptr(iov)), 16);
    message.writeBigUInt64LE(1n, 24);
    message.writeBigUInt64LE(BigInt(ptr(control)), 32);
    message.writeBigUInt64LE(BigInt(control.length), 40);
    const length = Number(libc.recvmsg(this.#fd, message, MSG_DONTWAIT));
    if (length < 0) return undefined;
    if (message.readBigUInt64LE(40) < 20n) return data.subarray(0, length);
    const fd = control.readInt32LE(16);
    this.seals = libc.fcntl(fd, F_GET_SEALS, 0);
    try {
      return readFileSync(`/proc/self/fd/${fd}`);
    } finally {
      closeSync(fd);
    }
  }

  text(): string | undefined {
    return this.bytes()?.toString();
  }

  /** As the journal reads them: `NAME=VALUE` lines, and such with a length. */
  fields(): Record<string, string> {
    const bytes = this.bytes();
    if (!bytes) throw new Error("nothing came");
    const found: [string, string][] = [];
    for (let at = 0; at < bytes.length;) {
      const end = bytes.indexOf(0x0a, at);
      if (end < 0) throw new Error("a field without an end");
      const head = bytes.toString("utf8", at, end);
      const equals = head.indexOf("=");
      const name = equals < 0 ? head : head.slice(0, equals);
      if (!/^[A-Z][A-Z0-9_]{0,63}$/.test(name)) throw new Error(`no name: ${head}`);
      if (equals >= 0) {
        found.push([name, head.slice(equals + 1)]);
        at = end + 1;
        continue;
      }
      const length = Number(bytes.readBigUInt64LE(end + 1));
      const from = end + 9;
      if (bytes[from + length] !== 0x0a) throw new Error(`${name}: its length is wrong`);
      found.push([name, bytes.toString("utf8", from, from + length)]);
      at = from + length + 1;
    }
    return Object.fromEntries(found);
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
    rmSync(this.path, { force: true });
  }
}

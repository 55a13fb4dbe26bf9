/** A service manager's side of its sockets, through the C library. */
import { dlopen } from "bun:ffi";

const { symbols: libc } = dlopen("libc.so.6", {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  recv: { args: ["i32", "ptr", "u64", "i32"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
});

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const MSG_DONTWAIT = 0x40;

function bound(type: number, name: string): number {
  const path = Buffer.from(name.startsWith("@") ? `\0${name.slice(1)}` : `${name}\0`);
  const address = Buffer.concat([Uint8Array.of(AF_UNIX, 0), path]);
  const fd = libc.socket(AF_UNIX, type, 0);
  if (fd < 0 || libc.bind(fd, address, address.length) < 0) throw new Error(`cannot bind ${name}`);
  return fd;
}

export class DatagramSocket {
  readonly #fd: number;

  /** @param name A path, or `@name` in the abstract namespace. */
  constructor(name: string) {
    this.#fd = bound(SOCK_DGRAM, name);
  }

  /** The next datagram; undefined when there is none. */
  receive(): string | undefined {
    const buffer = Buffer.alloc(4096);
    const length = Number(libc.recv(this.#fd, buffer, buffer.length, MSG_DONTWAIT));
    return length < 0 ? undefined : buffer.subarray(0, length).toString();
  }

  /** A stream socket that listens, to be handed over. */
  static listenStream(path: string): { fd: number; close(): void } {
    const fd = bound(SOCK_STREAM, path);
    if (libc.listen(fd, 16) < 0) throw new Error(`cannot listen on ${path}`);
    return { fd, close: () => void libc.close(fd) };
  }

  [Symbol.dispose](): void {
    libc.close(this.#fd);
  }
}

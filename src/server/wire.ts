/**
 * A connection as the server uses it: what `node:net` and `node:tls` have of a socket, and what {@link RawSocket} has. See
 * https://nodejs.org/api/net.html#class-netsocket for what each of these means.
 */
export interface Wire {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
  readonly localAddress?: string | undefined;
  readonly localPort?: number | undefined;
  readonly destroyed: boolean;
  readonly writable: boolean;
  /** Bytes that the kernel has not taken. */
  readonly writableLength: number;
  /** The last write was more than the kernel took: `drain` will tell that it has. */
  readonly writableNeedDrain: boolean;
  write(data: string | Uint8Array): boolean;
  write(data: string, encoding: BufferEncoding): boolean;
  end(data: string | Uint8Array): unknown;
  end(done?: () => void): unknown;
  destroy(): unknown;
  pause(): unknown;
  resume(): unknown;
  setTimeout(milliseconds: number): unknown;
  setNoDelay(noDelay: boolean): unknown;
  setKeepAlive(enable: boolean, delay: number): unknown;
  on(event: "data", listener: (chunk: Buffer) => void): unknown;
  on(event: "end" | "drain" | "close", listener: () => void): unknown;
  on(event: "error", listener: (error: Error) => void): unknown;
  once(event: "close", listener: () => void): unknown;
  off(event: "data", listener: (chunk: Buffer) => void): unknown;
  off(event: "end" | "close", listener: () => void): unknown;
}

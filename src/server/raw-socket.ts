/**
 * A connection on the runtime's own sockets. Those of `node:net` are streams on top of them, which cost a call 0.1 ms where the
 * server has had nothing to do for some milliseconds; of streams nothing is needed here but that whoever writes can wait.
 */
import { EventEmitter } from "node:events";
import { isHungUp } from "../../ffi/libc.ts";
import type { Wire } from "./wire.ts";

/** What the runtime has of it besides what its types say. */
export type Native = Bun.Socket<RawSocket> & {
  readonly fd: number;
  /** close(2) */
  close(): void;
  pause(): void;
};

/**
 * Bytes that are read while nobody takes them, as streams do: who goes is only noticed where the runtime reads, and where it reads
 * nothing any more, and the peer takes nothing, it may not be noticed at all.
 */
const EARLY = 64 << 10;

export class RawSocket extends EventEmitter implements Wire {
  destroyed = false;
  writableNeedDrain = false;
  writableLength = 0;
  readonly #native: Native;
  /** As of streams: null before anybody wants to hear of data; false is paused. */
  #flowing: boolean | null = null;
  /** What was read, and has nobody who takes it. */
  #early: Buffer[] = [];
  #held = 0;
  /** So much that no more is read, or nobody has come to it yet. */
  #stopped = false;
  #delivering = false;
  /** The peer has ended, and whether that was told. */
  #ended: "no" | "yes" | "told" = "no";
  /** What the kernel has not taken, from `#at` of the first on. */
  readonly #queue: Uint8Array[] = [];
  #at = 0;
  /** {@link end} was called, and what is called then. */
  #ending = false;
  #done: (() => void) | undefined;
  #address: Bun.Socket["remoteAddress"] | undefined;

  constructor(native: Native) {
    super();
    this.#native = native;
  }

  /** undefined once it is closed. */
  get descriptor(): number | undefined {
    return this.destroyed ? undefined : this.#native.fd;
  }

  /** Also when it is closed, where it was asked for before. */
  get remoteAddress(): string | undefined {
    return (this.#address ??= this.#native.remoteAddress);
  }

  get remotePort(): number | undefined {
    return this.#native.remotePort;
  }

  get localAddress(): string | undefined {
    return this.#native.localAddress;
  }

  get localPort(): number | undefined {
    return this.#native.localPort;
  }

  get writable(): boolean {
    return !this.destroyed && !this.#ending;
  }

  /** @returns whether the kernel has taken all of it; after {@link end} nothing is written */
  write(data: string | Uint8Array, encoding: BufferEncoding = "utf8"): boolean {
    if (!this.writable) return false;
    const bytes = typeof data === "string" ? Buffer.from(data, encoding) : data;
    const taken = this.#queue.length > 0 ? 0 : Math.max(this.#native.write(bytes), 0);
    if (taken === bytes.length) return true;
    this.#queue.push(taken === 0 ? bytes : bytes.subarray(taken));
    this.writableLength += bytes.length - taken;
    this.writableNeedDrain = true;
    return false;
  }

  /** Ends our side, behind all that was written. */
  end(last?: string | Uint8Array | (() => void)): void {
    if (typeof last === "function") this.#done = last;
    else if (last !== undefined) this.write(last);
    if (!this.writable) return;
    this.#ending = true;
    if (this.#queue.length === 0) this.#shutDown();
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.#forget();
    this.#native.close();
  }

  /** Before anybody has wanted data, nothing is read ahead: of a unix socket all is closed as soon as its peer is. */
  pause(): void {
    if (this.#flowing === null) this.#stop();
    this.#flowing = false;
  }

  resume(): void {
    this.#flowing = true;
    this.#deliverSoon();
  }

  setTimeout(_milliseconds: number): void {}

  setNoDelay(noDelay: boolean): void {
    this.#native.setNoDelay(noDelay);
  }

  setKeepAlive(enable: boolean, delay: number): void {
    this.#native.setKeepAlive(enable, delay);
  }

  override on(event: string, listener: Parameters<EventEmitter["on"]>[1]): this {
    super.on(event, listener);
    if (event === "data" && this.#flowing !== false) this.resume();
    return this;
  }

  /** For the listener: what the kernel has received. */
  received(chunk: Buffer): void {
    if (this.destroyed) return;
    if (this.#flowing && this.#early.length === 0 && this.emit("data", chunk)) return;
    this.#early.push(chunk);
    this.#held += chunk.length;
    if (this.#held >= EARLY) this.#stop();
  }

  /** For the listener: the peer sends nothing more. */
  ended(): void {
    if (this.#ended !== "no") return;
    this.#ended = "yes";
    this.#deliver();
  }

  /** For the listener: the kernel takes some again. */
  drained(): void {
    for (let next = this.#queue[0]; next && !this.destroyed; next = this.#queue[0]) {
      const taken = Math.max(this.#native.write(next, this.#at, next.length - this.#at), 0);
      this.#at += taken;
      this.writableLength -= taken;
      if (this.#at < next.length) {
        // The error that tells of its end may have been the answer to this write.
        if (taken === 0 && isHungUp(this.#native.fd)) this.destroy();
        return;
      }
      this.#queue.shift();
      this.#at = 0;
    }
    if (!this.writableNeedDrain || this.destroyed) return;
    this.writableNeedDrain = false;
    if (this.#ending) this.#shutDown();
    else this.emit("drain");
  }

  /** For the listener: it is closed, by whomever. @param error it was not as both sides wanted */
  closed(error: Error | undefined): void {
    // Where ours has ended before, the end of the other side is the end of all.
    if (!error && !this.destroyed) this.ended();
    this.destroyed = true;
    this.#forget();
    // As of streams: who has closed it goes on first.
    process.nextTick(() => this.emit("close"));
  }

  #forget(): void {
    this.#early = [];
    this.#queue.length = 0;
    this.writableLength = 0;
  }

  #shutDown(): void {
    this.#native.shutdown();
    if (this.#done) process.nextTick(this.#done);
  }

  #stop(): void {
    if (this.#stopped || this.destroyed) return;
    this.#stopped = true;
    this.#native.pause();
  }

  #deliverSoon(): void {
    const nothing = this.#early.length === 0 && this.#ended !== "yes" && !this.#stopped;
    if (this.#delivering || nothing) return;
    this.#delivering = true;
    process.nextTick(() => {
      this.#delivering = false;
      this.#deliver();
    });
  }

  #deliver(): void {
    while (this.#flowing && !this.destroyed && this.listenerCount("data") > 0) {
      const chunk = this.#early.shift();
      if (!chunk) break;
      this.#held -= chunk.length;
      this.emit("data", chunk);
    }
    if (this.#stopped && this.#early.length === 0 && !this.destroyed) {
      this.#stopped = false;
      this.#native.resume();
    }
    if (this.#ended !== "yes" || !this.#flowing || this.#early.length > 0 || this.destroyed) return;
    this.#ended = "told";
    this.emit("end");
  }
}

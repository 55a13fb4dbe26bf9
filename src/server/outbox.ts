/**
 * What waits to be written to one WebSocket. Frames of one turn of the event loop leave in one write: a burst of small
 * events costs one system call per {@link BATCH} bytes, and a lone reply leaves at the end of its turn.
 *
 * Back-pressure is honest: {@link Outbox.send} returns a promise as soon as the socket is full, and every such promise
 * settles when it drains or closes. A sender that waits adds at most one frame to memory.
 */
import { headerSize, writeHeader } from "./encode.ts";
import { OPCODE } from "./frames.ts";
import type { Wire } from "./wire.ts";

const BATCH = 64 * 1024;
/** Frames that make a batch full, however small; and what the memory of a waiting frame costs beyond its bytes. */
const BATCH_FRAMES = 4096;
const FRAME_COST = 64;

export class Outbox {
  /** Encoded frames, or texts still to be encoded, from `#head` on. */
  #frames: (Buffer | string)[] = [];
  #sizes: number[] = [];
  #head = 0;
  #bytes = 0;
  #scheduled = false;
  #full = false;
  #closed = false;
  #ending = false;
  #room: PromiseWithResolvers<void> | undefined;

  /** @param drained Called whenever the socket took what was waiting. */
  constructor(
    readonly socket: Pick<Wire, "on" | "write" | "end" | "writableNeedDrain">,
    readonly drained: () => void,
  ) {
    socket.on("drain", () => this.#drain());
  }

  /** Memory of what waits here, in bytes, not counting what the socket holds (about one batch). */
  get weight(): number {
    return this.#bytes + (this.#frames.length - this.#head) * FRAME_COST;
  }

  /** Queues a text message, or a frame that is encoded already. */
  send(item: string | Buffer): void | Promise<void> {
    if (this.#closed || this.#ending) return;
    const size = typeof item === "string" ? Buffer.byteLength(item) : item.length;
    this.#frames.push(item);
    this.#sizes.push(size);
    this.#bytes += size;
    if (!this.#full && (this.#bytes >= BATCH || this.#frames.length >= BATCH_FRAMES)) {
      this.#flush(true);
    }
    if (this.#full) return (this.#room ??= Promise.withResolvers<void>()).promise;
    if (!this.#scheduled) {
      this.#scheduled = true;
      // After the microtasks of this turn: senders that await one another share the write.
      process.nextTick(() => {
        this.#scheduled = false;
        if (!this.#full) this.#flush();
      });
    }
  }

  /** Sends what waits, then ends the socket. Nothing can be queued after. */
  end(): void {
    if (this.#closed || this.#ending) return;
    this.#ending = true;
    if (!this.#full) this.#flush();
  }

  /** Forgets everything and settles every promise: the socket is gone. */
  close(): void {
    this.#closed = true;
    this.#frames = [];
    this.#sizes = [];
    this.#head = 0;
    this.#bytes = 0;
    this.#settle();
  }

  /**
   * Writes one batch. After a whole one, senders wait for the next turn of the event loop even if the kernel took it
   * all: one that never has to wait would starve the other connections.
   */
  #flush(whole = false): void {
    if (this.#closed) return;
    if (this.#head < this.#frames.length) {
      const accepted = this.socket.write(this.#take());
      this.#full = !accepted || whole || this.#head < this.#frames.length;
      if (accepted && this.#full) setImmediate(() => this.#drain());
    }
    if (this.#ending && !this.#full) this.socket.end();
  }

  /** Removes up to a batch of frames from the queue, encoded. A frame longer than that goes alone. */
  #take(): Buffer {
    let total = 0;
    let end = this.#head;
    for (; end < this.#frames.length; end++) {
      const size = this.#sizes[end] ?? 0;
      const framed = typeof this.#frames[end] === "string" ? headerSize(size) + size : size;
      if (total > 0 && total + framed > BATCH) break;
      total += framed;
    }
    const batch = Buffer.allocUnsafe(total);
    let at = 0;
    for (let i = this.#head; i < end; i++) {
      const item = this.#frames[i] ?? "";
      const size = this.#sizes[i] ?? 0;
      if (typeof item === "string") {
        at = writeHeader(batch, at, OPCODE.text, size);
        at += batch.write(item, at, "utf8");
      } else {
        at += item.copy(batch, at);
      }
      // The text is released now; the arrays are cut when half is taken, which keeps that linear.
      this.#frames[i] = "";
      this.#bytes -= size;
    }
    this.#head = end;
    if (end * 2 >= this.#frames.length) {
      this.#frames.splice(0, end);
      this.#sizes.splice(0, end);
      this.#head = 0;
    }
    return batch;
  }

  #drain(): void {
    if (this.#closed) return;
    this.#full = this.socket.writableNeedDrain;
    if (this.#full) return;
    this.#flush();
    if (this.#full) return;
    this.#settle();
    this.drained();
  }

  #settle(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }
}

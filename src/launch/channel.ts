/** The read end of a pipe that a command writes to. Owns the fd: closes it once, when reading is over. */
import { closeSync, readSync } from "node:fs";
import type { ReadableStreamDefaultReader } from "node:stream/web";
import { isReadable } from "../../ffi/libc.ts";
import { isExhausted } from "../errors.ts";
import { heavy } from "../turnstile.ts";

/**
 * Bytes handed on at once: as many as take some of a turn, since a line may go to hundreds who follow the task, and nothing is done
 * with bytes that go to a file.
 */
const SLICE = { first: 1024, least: 64, most: 64 * 1024 } as const;
/** Milliseconds of work between turns of the event loop. */
const TURN = 4;

/** Milliseconds of work in this turn of the event loop. */
class Spent {
  spent = 0;
  #scheduled = false;

  add(milliseconds: number): void {
    this.spent += milliseconds;
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.spent = 0;
    });
  }
}

/** Of all commands together: beyond it they go one in each turn, as hundreds may have printed something. */
const ALL = 2 * TURN;
const together = new Spent();

/** Milliseconds after which a stream is tried again for which there was no descriptor. */
const RETRY = 20;

/** Read at once where it is there: what a pipe holds, as a rule. It is copied before anybody else reads. */
const ROOM = 64 * 1024;
const room = Buffer.allocUnsafeSlow(ROOM);

type Take = (chunk: Uint8Array) => void | Promise<void>;

export class Channel {
  #reader: ReadableStreamDefaultReader<Uint8Array<ArrayBuffer>> | undefined;
  #closed = false;
  /** A read is waiting for the other side (and not the consumer for itself). */
  #waiting = false;
  #cancelled = false;
  /** When the event loop had its last turn, and milliseconds of work since. */
  #turn = performance.now();
  #worked = 0;
  #slice: number = SLICE.first;

  constructor(readonly fd: number) {}

  /** There is nothing to read. Where the event loop was held up, a read may wait for its turn with bytes in the pipe: those count. */
  get waiting(): boolean {
    return this.#waiting && !isReadable(this.fd);
  }

  /**
   * Hands to `take` what is there by now, waiting for it, but not for more, and not without end.
   * @returns whether that was as much as a pipe holds: whoever writes more is waiting
   */
  async now(take: Take): Promise<boolean> {
    for (let left = ROOM; left > 0 && !this.#closed && isReadable(this.fd);) {
      const size = readSync(this.fd, room, 0, left, null);
      if (size === 0) {
        this.#close();
        return false;
      }
      left -= size;
      const chunk = new Uint8Array(room.subarray(0, size));
      const taken = size > this.#slice ? this.#hand(chunk, take) : take(chunk);
      if (taken) await taken;
      if (left === 0) return true;
    }
    return false;
  }

  /**
   * Hands everything to `take`, waiting for it, until the other side closes or `cancel` is called. Where the pipe never runs dry,
   * reading it would keep to microtasks, and timers and sockets of the server would starve: so after a few milliseconds of work
   * the event loop gets a turn; and who makes work for so long has one after the other, however many they are.
   */
  async drain(take: Take): Promise<void> {
    while (!this.#closed) {
      if (this.#cancelled) return this.#close();
      try {
        return await this.#stream(take);
      } catch (error) {
        if (!isExhausted(error)) throw error;
      }
      // The event loop waits with a descriptor of its own, and none is left.
      await this.now(take);
      this.#waiting = true;
      await Bun.sleep(RETRY);
      this.#waiting = false;
    }
  }

  async #stream(take: Take): Promise<void> {
    const reader = Bun.file(this.fd).stream().getReader();
    this.#reader = reader;
    this.#turn = performance.now();
    try {
      for (;;) {
        this.#waiting = true;
        const { done, value } = await reader.read();
        this.#waiting = false;
        if (done) break;
        await this.#hand(value, take);
      }
    } finally {
      this.#waiting = false;
      this.#reader = undefined;
    }
    if (!this.#cancelled) await reader.cancel();
    this.#close();
  }

  async #hand(chunk: Uint8Array, take: Take): Promise<void> {
    for (let at = 0; at < chunk.length;) {
      if (together.spent >= ALL) await this.#rest(true);
      const begin = performance.now();
      const slice = chunk.subarray(at, at + this.#slice);
      at += slice.length;
      const taken = take(slice);
      const worked = performance.now() - begin;
      if (worked > TURN) this.#slice = Math.max(SLICE.least, Math.ceil(slice.length / 2));
      else if (worked < TURN / 4 && slice.length === this.#slice)
        this.#slice = Math.min(SLICE.most, this.#slice * 2);
      this.#worked += worked;
      together.add(worked);
      if (taken) await taken;
      if (performance.now() - this.#turn >= TURN) await this.#rest(this.#worked >= TURN);
    }
  }

  /** @param inTurn one after the other */
  async #rest(inTurn: boolean): Promise<void> {
    if (inTurn) await new Promise<void>((resolve) => heavy.enter(resolve));
    else await new Promise((resolve) => setImmediate(resolve));
    this.#worked = 0;
    this.#turn = performance.now();
  }

  /** Ends `drain` without waiting for the other side to close. */
  cancel(): void {
    this.#cancelled = true;
    void this.#reader?.cancel();
  }

  #close(): void {
    this.#closed = true;
    closeSync(this.fd);
  }
}

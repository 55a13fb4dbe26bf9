/**
 * What a task may hold of its output until a client can have it: for a reply, an unfinished line, a JSON value. A bound in bytes for
 * each task, and one for all of them together: who holds less than what is free may hold more (see share.ts). What is beyond is
 * lost, and counted.
 */
import { totalmem } from "node:os";
import { Share } from "../share.ts";

/** Bytes of output that a task may hold unless its config says otherwise. */
export const HELD = 16 << 20;

/** Whoever holds so little may always. */
const TRIFLE = 64 << 10;
/** For all tasks. What is made of it for the reply takes several times as much for a moment. */
const TOTAL = Math.max(2 * HELD, Math.min(256 << 20, Math.floor(totalmem() / 16)));
const everybody = new Share(TOTAL, TRIFLE);

/** What is gone of an output, in bytes. */
export interface Loss {
  /** Neither sent nor held. */
  readonly overflow: number;
  /** No UTF-8, and U+FFFD stands for it. */
  readonly replaced: number;
}

export class Hold {
  readonly #part;
  #held = 0;
  #overflow = 0;
  #replaced = 0;

  /** @param most bytes */
  constructor(
    readonly most = HELD,
    share = everybody,
  ) {
    this.#part = share.part();
  }

  /** Of so many bytes, how many may be held besides. */
  take(bytes: number): number {
    // Whose config lets it hold more than anybody could get of the share has decided so.
    const full = this.#part.full && this.most <= this.#part.share.most / 2;
    const taken = full ? 0 : Math.min(bytes, this.most - this.#held);
    this.#held += taken;
    this.#part.add(taken);
    return taken;
  }

  /** They have been sent. */
  give(bytes: number): void {
    this.#held -= bytes;
    this.#part.add(-bytes);
  }

  /** Bytes of the output that nobody will get. */
  lose(bytes: number): void {
    this.#overflow += bytes;
  }

  /** Bytes of the output that were no text. */
  replace(bytes: number): void {
    this.#replaced += bytes;
  }

  get loss(): Loss {
    return { overflow: this.#overflow, replaced: this.#replaced };
  }

  /** Nothing is held any more. */
  close(): void {
    this.#part.close();
  }
}

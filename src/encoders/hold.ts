/**
 * What a task may hold of its output until a client can have it: for a reply, an unfinished line, a JSON value. A bound in bytes for
 * each task, and one for all of them together, with what is not read of their replies: a peer that holds less than what is free may
 * hold more, and of its tasks one that holds less than what that leaves (see backlog.ts). What is beyond is lost, and counted.
 */
import { totalmem } from "node:os";
import { Backlog } from "../backlog.ts";

/** Bytes of output that a task may hold unless its config says otherwise. */
export const HELD = 16 << 20;

/** Whoever holds so little may always. */
const TRIFLE = 64 << 10;
/** For all. What is made of it for the reply takes several times as much for a moment. */
const TOTAL = Math.max(2 * HELD, Math.min(128 << 20, Math.floor(totalmem() / 16)));
/** What everybody holds here. */
export const everybody = new Backlog(TOTAL, TRIFLE);

/** What is gone of an output, in bytes. */
export interface Loss {
  /** Neither sent nor held. */
  readonly overflow: number;
  /** No UTF-8, and U+FFFD stands for it. */
  readonly replaced: number;
}

export class Hold {
  #held = 0;
  #closed = false;
  #overflow = 0;
  #replaced = 0;

  /**
   * @param most bytes
   * @param peer whose task it is
   */
  constructor(
    readonly most = HELD,
    readonly peer = "",
    readonly backlog = everybody,
  ) {}

  /** Of so many bytes, how many may be held besides. */
  take(bytes: number): number {
    const taken = this.#isFull() ? 0 : Math.min(bytes, this.most - this.#held);
    this.#add(taken);
    return taken;
  }

  /** They have been sent. */
  give(bytes: number): void {
    this.#add(-bytes);
  }

  /** It holds more than what is free besides what others of the same peer hold. */
  #isFull(): boolean {
    // Whose config lets it hold more than anybody could get of the whole has decided so.
    if (this.most > this.backlog.most / 2) return false;
    const others = this.backlog.of(this.peer) - this.#held;
    return this.#held > Math.max(this.backlog.free - others, this.backlog.trifle);
  }

  #add(bytes: number): void {
    if (this.#closed) return;
    this.#held += bytes;
    this.backlog.add(this.peer, bytes);
  }

  /** Bytes of the output that nobody will get. */
  lose(bytes: number): void {
    this.#overflow += bytes;
  }

  /** Bytes of the output that were no text. */
  replace(bytes: number): void {
    this.#replaced += bytes;
  }

  /** Bytes that are held now. */
  get held(): number {
    return this.#held;
  }

  get loss(): Loss {
    return { overflow: this.#overflow, replaced: this.#replaced };
  }

  /** Nothing is held any more. */
  close(): void {
    this.#add(-this.#held);
    this.#closed = true;
  }
}

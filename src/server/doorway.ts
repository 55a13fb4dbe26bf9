/**
 * Connections that have come are taken in some at a time: a flood of them, hundreds in one turn of the event loop, would keep everybody
 * waiting who is in already.
 */
import type { Wire } from "./wire.ts";

/** Taken in one turn, by all doors: some 5 ms. */
const A_TURN = 16;
/** That wait at one door; it is as many as the kernel keeps, see listen(2). */
const WAITING = 512;

let left = A_TURN;
let turning = false;
/** At which somebody waits. */
const crowded = new Set<Doorway>();

/** In the next turn as many may come again. */
function turn(): void {
  if (turning) return;
  turning = true;
  setImmediate(() => {
    turning = false;
    left = A_TURN;
    // One of each door, whatever comes in at another.
    while (left > 0 && crowded.size > 0)
      for (const door of crowded) {
        if (left === 0) break;
        door.next();
      }
    if (left < A_TURN) turn();
  });
}

export class Doorway {
  readonly #waiting: Wire[] = [];

  /** @param sockets what is open: those that wait, too */
  constructor(
    readonly sockets: Set<Wire>,
    readonly take: (socket: Wire) => void,
  ) {}

  /** Takes it in now, or when its turn has come. */
  enter(socket: Wire): void {
    turn();
    if (left > 0 && this.#waiting.length === 0) {
      left--;
      this.take(socket);
      return;
    }
    // Unheard, an error would end the process.
    socket.on("error", () => socket.destroy());
    if (this.#waiting.length >= WAITING) {
      socket.destroy();
      return;
    }
    this.sockets.add(socket);
    socket.on("close", () => this.sockets.delete(socket));
    // Who sends and goes meanwhile is told apart, and heard, by then.
    socket.pause();
    this.#waiting.push(socket);
    crowded.add(this);
  }

  /** Takes in one that waits. */
  next(): void {
    const socket = this.#waiting.shift();
    if (this.#waiting.length === 0) crowded.delete(this);
    if (!socket || socket.destroyed) return;
    left--;
    // Nothing comes before this turn is over.
    socket.resume();
    this.take(socket);
  }
}

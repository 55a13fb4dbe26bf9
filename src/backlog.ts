/**
 * Output that is held until who asked for it has it: what running tasks keep for their reply, and what connections have been sent
 * and have not taken. All peers share it (see share.ts). One that holds more than is left for the others starts nothing more until
 * it has read, and those of its connections that take nothing end before their time.
 */
import { type Part, Share } from "./share.ts";

/** Bytes that a connection may leave unread without being looked at: what the kernel takes at once, about. */
const TRIFLE = 64 << 10;
/** Milliseconds in which a connection takes something, where its peer holds too much; and where nothing is left for anybody. */
const STALL = 2_000;
const HASTE = 100;

interface Peer {
  readonly part: Part;
  /** Those of its connections that have something to read. */
  readonly debts: Set<Debt>;
  pressing: ReturnType<typeof setTimeout> | undefined;
}

export class Backlog {
  readonly #share: Share;
  /** None holds nothing. */
  readonly #peers = new Map<string, Peer>();
  #relieving: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param most bytes
   * @param trifle bytes that any peer may hold whatever others do
   * @param stall ms in which a connection takes something, where its peer holds too much
   */
  constructor(
    readonly most: number,
    readonly trifle = TRIFLE,
    readonly stall = STALL,
  ) {
    this.#share = new Share(most, trifle);
  }

  /** Bytes that nobody holds. */
  get free(): number {
    return this.#share.free;
  }

  /** Bytes that are held for a peer. */
  of(peer: string): number {
    return this.#peers.get(peer)?.part.held ?? 0;
  }

  /** So many bytes are held for a peer besides, or with a negative number less. */
  add(name: string, bytes: number): void {
    if (bytes === 0) return;
    const peer = this.#peer(name);
    peer.part.add(bytes);
    if (peer.part.held <= 0) this.#forget(name, peer);
    else if (bytes > 0) {
      this.#press(peer);
      this.#relieve();
    }
  }

  /** Whether a peer holds more than what is left for the others. */
  isFull(peer: string): boolean {
    return this.#peers.get(peer)?.part.full ?? false;
  }

  /** Calls `ready` once, as soon as the peer is not full. */
  onRoom(peer: string, ready: () => void): void {
    const part = this.#peers.get(peer)?.part;
    if (part) part.onRoom(ready);
    else queueMicrotask(ready);
  }

  /** What one connection of a peer has to read. @param cut ends the connection */
  debt(peer: string, cut: () => void): Debt {
    return new Debt(this, peer, cut);
  }

  /** For debts. */
  owes(name: string, debt: Debt, does: boolean): void {
    const { debts } = this.#peer(name);
    if (does) debts.add(debt);
    else debts.delete(debt);
  }

  #peer(name: string): Peer {
    let peer = this.#peers.get(name);
    if (!peer) {
      peer = { part: this.#share.part(), debts: new Set(), pressing: undefined };
      this.#peers.set(name, peer);
    }
    return peer;
  }

  #forget(name: string, peer: Peer): void {
    clearTimeout(peer.pressing);
    this.#peers.delete(name);
  }

  /** Where more is held than there is, as answers are large that no task has made: of who holds most those end that take nothing. */
  #relieve(): void {
    if (this.free >= 0 || this.#relieving !== undefined) return;
    this.#relieving = setTimeout(() => {
      this.#relieving = undefined;
      const since = performance.now() - Math.min(HASTE, this.stall);
      const largest = [...this.#peers.values()].sort((a, b) => b.part.held - a.part.held);
      for (const { debts } of largest)
        for (const debt of [...debts].sort((a, b) => a.moved - b.moved))
          if (this.free < 0 && debt.moved <= since) debt.cut();
      this.#relieve();
    }, HASTE);
    this.#relieving.unref();
  }

  #press(peer: Peer): void {
    if (peer.pressing !== undefined || !peer.part.full || peer.debts.size === 0) return;
    peer.pressing = setTimeout(() => {
      peer.pressing = undefined;
      const since = performance.now() - this.stall;
      const stalled = [...peer.debts].filter(({ moved }) => moved <= since);
      for (const debt of stalled.sort((a, b) => a.moved - b.moved)) if (peer.part.full) debt.cut();
      this.#press(peer);
    }, this.stall);
    peer.pressing.unref();
  }
}

/** Of one connection. */
export class Debt {
  #bytes = 0;
  /** When it took something last, ms of performance.now(). */
  moved = 0;

  constructor(
    readonly backlog: Backlog,
    readonly peer: string,
    readonly cut: () => void,
  ) {}

  /** So many bytes wait for it now; few do not count. */
  set(bytes: number): void {
    const now = bytes > TRIFLE ? bytes : 0;
    const change = now - this.#bytes;
    if (change === 0) return;
    if (change < 0 || this.#bytes === 0) this.moved = performance.now();
    const before = this.#bytes;
    this.#bytes = now;
    // Those that owe belong to a peer that holds something.
    if (before === 0) this.backlog.owes(this.peer, this, true);
    if (now === 0) this.backlog.owes(this.peer, this, false);
    this.backlog.add(this.peer, change);
  }
}

/**
 * Who is connected to one door (a listener), and how many may be. Each door has places of its own, and each peer a share of them:
 * it may have up to {@link GREED} times what it leaves free, so there is always room for somebody else. Beyond that its connection
 * that has been idle for longest makes room for the next, and where none is idle the next is refused.
 */
import { type Guest, Idleness } from "./idleness.ts";

const GREED = 3;
/** Milliseconds for which one is spared that says nothing: what it said may wait in the kernel for the server to come to it. */
const GRACE = 500;

export class Guests {
  readonly #peers = new Map<string, Idleness>();
  #count = 0;

  /**
   * @param most connections of this door
   * @param now ms, of the clock of {@link Guest.idleSince}
   */
  constructor(
    readonly most: number,
    readonly now: () => number = () => performance.now(),
  ) {}

  /** Takes a guest in, if need be in the place of an idle one. False: there is no place, and it is to be refused. */
  admit(peer: string, guest: Guest): boolean {
    const own = this.#peers.get(peer);
    const count = own?.size ?? 0;
    const beyond = count > 0 && count >= GREED * (this.most - this.#count);
    if (beyond || this.#count >= this.most) {
      // Of its own where it has more than its share, else of who has most, and somebody idle.
      const crowds = beyond && own ? [own] : this.#largestFirst();
      if (!crowds.some((crowd) => this.#makeRoom(crowd))) return false;
    }
    this.#add(peer, guest);
    return true;
  }

  /** From now on it is one of another peer's. False: there is no place for it there, and it stays where it is. */
  move(from: string, to: string, guest: Guest): boolean {
    if (from === to) return true;
    this.leave(from, guest);
    const admitted = this.admit(to, guest);
    if (!admitted) this.#add(from, guest);
    return admitted;
  }

  #add(peer: string, guest: Guest): void {
    const guests = this.#peers.get(peer) ?? new Idleness();
    this.#peers.set(peer, guests);
    guests.add(guest);
    this.#count++;
  }

  leave(peer: string, guest: Guest): void {
    const guests = this.#peers.get(peer);
    if (guests) this.#remove(guests, guest);
    if (guests?.size === 0) this.#peers.delete(peer);
  }

  #remove(guests: Idleness, guest: Guest): void {
    if (guests.delete(guest)) this.#count--;
  }

  /** Whether there was an idle one. */
  #makeRoom(crowd: Idleness): boolean {
    const now = this.now();
    const idle = crowd.longest(now - GRACE, now);
    if (!idle) return false;
    this.#remove(crowd, idle);
    idle.evict();
    return true;
  }

  #largestFirst(): Idleness[] {
    return [...this.#peers.values()].sort((a, b) => b.size - a.size);
  }
}

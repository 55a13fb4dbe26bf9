/** The connections of one peer, such that the one which has been idle for longest is found without looking at all of them. */

export interface Guest {
  /** Since when it has asked for nothing, ms of performance.now(); undefined while something is done for it. */
  readonly idleSince: number | undefined;
  /** The kernel has something of it that the server has not come to yet. */
  readonly unread: boolean;
  /** Ends it, as one that has been idle for too long. */
  evict(): void;
}

interface Entry {
  readonly guest: Guest;
  /** Since then it is idle at most, ms: so it was when it was looked at. */
  since: number;
}

/** Guests that are looked at more closely, to find one that has said nothing. */
const LOOKS = 16;

/**
 * A heap by {@link Entry.since}. A guest that is heard of only becomes less idle, so what is known of it is a bound; it is looked
 * at again when it would be the next, and takes its new place. So it costs as much as guests are heard of, and not as there are.
 */
export class Idleness {
  readonly #heap: Entry[] = [];
  readonly #guests = new Set<Guest>();

  get size(): number {
    return this.#guests.size;
  }

  add(guest: Guest): void {
    this.#guests.add(guest);
    this.#push({ guest, since: -Infinity });
  }

  /** @returns whether it was one of them */
  delete(guest: Guest): boolean {
    if (!this.#guests.delete(guest)) return false;
    // Its entry stays until it would be the next, or until most are such.
    if (this.#heap.length > 2 * this.#guests.size + LOOKS) this.#tidy();
    return true;
  }

  /**
   * The one that has been idle for longest, and of which nothing waits to be read; undefined where none is.
   * @param before ms: it was idle then already
   * @param now ms
   */
  longest(before: number, now: number): Guest | undefined {
    const spared: Entry[] = [];
    let found: Guest | undefined;
    while (!found && spared.length < LOOKS) {
      const first = this.#first(before, now);
      if (!first) break;
      if (!first.guest.unread) found = first.guest;
      else spared.push(this.#pop() ?? first);
    }
    for (const entry of spared) this.#push(entry);
    return found;
  }

  /** The first whose bound is what is true now. */
  #first(before: number, now: number): Entry | undefined {
    for (let [first] = this.#heap; first && first.since < before; [first] = this.#heap) {
      if (!this.#guests.has(first.guest)) {
        this.#pop();
        continue;
      }
      // Of one that is busy now, whatever it is idle from comes later.
      const since = first.guest.idleSince ?? now;
      if (since <= first.since) return first;
      first.since = since;
      this.#sink(0);
    }
    return undefined;
  }

  #tidy(): void {
    const entries = this.#heap.splice(0).filter(({ guest }) => this.#guests.has(guest));
    for (const entry of entries) this.#push(entry);
  }

  #push(entry: Entry): void {
    const heap = this.#heap;
    let at = heap.push(entry) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (!parent || parent.since <= entry.since) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): Entry | undefined {
    const [first] = this.#heap;
    const last = this.#heap.pop();
    if (!last || last === first) return first;
    this.#heap[0] = last;
    this.#sink(0);
    return first;
  }

  #sink(from: number): void {
    const heap = this.#heap;
    const entry = heap[from];
    if (!entry) return;
    let at = from;
    for (;;) {
      let below = 2 * at + 1;
      const right = heap[below + 1];
      if (right && right.since < (heap[below]?.since ?? Infinity)) below++;
      const child = heap[below];
      if (!child || child.since >= entry.since) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = entry;
  }
}

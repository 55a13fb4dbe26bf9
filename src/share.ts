/**
 * A common good that clients take from: memory, places. Nobody is given a fixed part: whoever holds less than what is free may
 * take more. So one alone gets half of it, two get a third each, and however many are greedy, something is left for who comes
 * next (dynamic thresholds, as switches share their buffers).
 */
export class Share {
  #held = 0;
  /** Who waits for room, in order. */
  readonly #waiting = new Set<() => boolean>();

  /** @param most all there is: bytes, or whatever is shared */
  constructor(readonly most: number) {}

  /** Below 0 where something was taken that could not be known beforehand. */
  get free(): number {
    return this.most - this.#held;
  }

  /** A part for one client, empty at first. */
  part(): Part {
    return new Part(
      (change) => this.#change(change),
      () => this.free,
      this.#waiting,
    );
  }

  #change(change: number): void {
    this.#held += change;
    if (change >= 0) return;
    for (const goOn of this.#waiting) {
      if (!goOn()) continue;
      this.#waiting.delete(goOn);
    }
  }
}

/** What one client holds. */
export class Part {
  #held = 0;
  #closed = false;

  constructor(
    readonly change: (by: number) => void,
    readonly free: () => number,
    readonly waiting: Set<() => boolean>,
  ) {}

  get held(): number {
    return this.#held;
  }

  /** It holds more than what is left for everybody else. */
  get full(): boolean {
    return this.#held > this.free();
  }

  /** The client has gone, and holds nothing any more, whatever is taken or given back from now on. */
  close(): void {
    this.set(0);
    this.#closed = true;
  }

  /** Takes, or with a negative number gives back. */
  add(amount: number): void {
    if (this.#closed) return;
    this.#held += amount;
    this.change(amount);
  }

  set(amount: number): void {
    if (amount !== this.#held) this.add(amount - this.#held);
  }

  /** Calls `ready` once, as soon as this part is not full. Returns a function that takes that back. */
  onRoom(ready: () => void): () => void {
    const goOn = (): boolean => {
      if (this.full) return false;
      queueMicrotask(ready);
      return true;
    };
    if (goOn()) return () => {};
    this.waiting.add(goOn);
    return () => void this.waiting.delete(goOn);
  }
}

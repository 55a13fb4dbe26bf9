/**
 * A common good that clients take from: memory, places. Nobody is given a fixed part: whoever holds less than what is free may
 * take more. So one alone gets half of it, two get a third each, and however many are greedy, something is left for who comes
 * next (dynamic thresholds, as switches share their buffers).
 */
/** Milliseconds in which one that need not wait, though all is taken, finishes what it has begun. */
const FAVOUR = 5_000;

export class Share {
  #held = 0;
  /** Who waits for room, in order; each tells whether it goes on now. */
  readonly #waiting = new Set<() => boolean>();
  #favoured: Part | undefined;
  #favour: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param most all there is: bytes, or whatever is shared
   * @param trifle so much a client may hold whatever others do: else who asks for little would wait where all is taken, as it is
   * where something comes in pieces. It adds to `most` for each client.
   * @param favour ms
   */
  constructor(
    readonly most: number,
    readonly trifle = 0,
    readonly favour = FAVOUR,
  ) {}

  /** Below 0 where something was taken that could not be known beforehand. */
  get free(): number {
    return this.most - this.#held;
  }

  /** A part for one client, empty at first. */
  part(): Part {
    return new Part(this);
  }

  /** For parts. */
  change(by: number): void {
    this.#held += by;
    if (by < 0) this.#goOn();
  }

  /** For parts: who waits to finish what it has begun, and has this, need not wait any more. */
  favours(part: Part): boolean {
    return this.#favoured === part;
  }

  /** For parts, see {@link Part.onRoom}. */
  wait(part: Part, ready: () => void, late: (() => void) | undefined): void {
    const goOn = (): boolean => {
      // Else all could wait for one another, each with half of what it needs.
      if (late && !this.#favoured && part.full) {
        this.#favoured = part;
        this.#favour = setTimeout(late, this.favour);
      }
      if (part.full) return false;
      queueMicrotask(ready);
      return true;
    };
    if (!goOn()) this.#waiting.add(goOn);
  }

  /** For parts: what was begun is finished. */
  finished(part: Part): void {
    if (this.#favoured !== part) return;
    this.#favoured = undefined;
    clearTimeout(this.#favour);
    this.#goOn();
  }

  #goOn(): void {
    for (const goOn of this.#waiting) if (goOn()) this.#waiting.delete(goOn);
  }
}

/** What one client holds. */
export class Part {
  #held = 0;
  #closed = false;

  constructor(readonly share: Share) {}

  get held(): number {
    return this.#held;
  }

  /** It holds more than what is left for everybody else. */
  get full(): boolean {
    const { free, trifle } = this.share;
    return !this.#closed && this.#held > Math.max(free, trifle) && !this.share.favours(this);
  }

  /** It need not wait though all is taken, until it has {@link finished}. */
  get favoured(): boolean {
    return this.share.favours(this);
  }

  /** The client has gone, and holds nothing any more, whatever is taken or given back from now on. */
  close(): void {
    this.set(0);
    this.#closed = true;
    this.finished();
  }

  /** Takes, or with a negative number gives back. */
  add(amount: number): void {
    if (this.#closed || amount === 0) return;
    this.#held += amount;
    this.share.change(amount);
  }

  set(amount: number): void {
    this.add(amount - this.#held);
  }

  /**
   * Calls `ready` once, as soon as this part is not full.
   * @param late something begun is to be finished, see {@link finished}: of these one at a time need not wait. It is called where
   * that takes long, and has to end the client, since others wait behind it
   */
  onRoom(ready: () => void, late?: () => void): void {
    this.share.wait(this, ready, late);
  }

  /** What was begun is finished: another one may go on. */
  finished(): void {
    this.share.finished(this);
  }
}

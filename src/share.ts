/**
 * A common good that clients take from: memory, places. Nobody is given a fixed part: whoever holds less than what is free may
 * take more. So one alone gets half of it, two get a third each, and however many are greedy, something is left for who comes
 * next (dynamic thresholds, as switches share their buffers).
 */
/** Milliseconds in which one that need not wait, though all is taken, finishes what it has begun. */
const FAVOUR = 5_000;

export class Share {
  #held = 0;
  /** Who waits for room, in order. */
  readonly #waiting = new Set<Waiter>();
  /** None of them holds less: where no more than this is free, they are not looked at one by one, since hundreds may wait. */
  #least = Infinity;
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
  change(by: number, part: Part): void {
    this.#held += by;
    if (by > 0) return;
    if (part.waits > 0) this.#least = Math.min(this.#least, part.held);
    if (this.#least <= this.room) this.#goOn();
  }

  /** So much a part may hold. */
  get room(): number {
    return Math.max(this.free, this.trifle);
  }

  /** For parts: who waits to finish what it has begun, and has this, need not wait any more. */
  favours(part: Part): boolean {
    return this.#favoured === part;
  }

  /** For parts, see {@link Part.onRoom}. */
  wait(part: Part, ready: () => void, late: (() => void) | undefined): void {
    const waiter: Waiter = { part, ready, late };
    if (this.#goesOn(waiter)) return;
    part.waits++;
    this.#waiting.add(waiter);
    this.#least = Math.min(this.#least, part.held);
  }

  /** For parts: what was begun is finished. */
  finished(part: Part): void {
    if (this.#favoured !== part) return;
    this.#favoured = undefined;
    clearTimeout(this.#favour);
    this.#goOn();
  }

  #goesOn({ part, ready, late }: Waiter): boolean {
    // Else all could wait for one another, each with half of what it needs.
    if (late && !this.#favoured && part.full) {
      this.#favoured = part;
      this.#favour = setTimeout(late, this.favour);
      // It may wait for something else, too.
      if (part.waits > 0) queueMicrotask(() => this.#goOn());
    }
    if (part.full) return false;
    queueMicrotask(ready);
    return true;
  }

  #goOn(): void {
    this.#least = Infinity;
    for (const waiter of this.#waiting) {
      const { part } = waiter;
      if (!this.#goesOn(waiter)) this.#least = Math.min(this.#least, part.held);
      else if (this.#waiting.delete(waiter)) part.waits--;
    }
  }
}

interface Waiter {
  readonly part: Part;
  readonly ready: () => void;
  readonly late: (() => void) | undefined;
}

/** What one client holds. */
export class Part {
  #held = 0;
  #closed = false;
  /** For the share: how many times it waits for room. */
  waits = 0;

  constructor(readonly share: Share) {}

  get held(): number {
    return this.#held;
  }

  /** It holds more than what is left for everybody else. */
  get full(): boolean {
    return !this.#closed && this.#held > this.share.room && !this.share.favours(this);
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
    this.share.change(amount, this);
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

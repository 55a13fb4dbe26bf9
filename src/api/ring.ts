/**
 * The last events of a task, for who comes later: their JSON, which is made once for whoever gets it. Texts are nothing that the
 * garbage collector has to look into, where objects would cost as much as the event. All rings together are bounded, too: where that is reached, the oldest events of the largest ring go.
 */
import { totalmem } from "node:os";
import { EventData } from "./event-data.ts";

/** Bytes of a ring unless the config says otherwise. */
export const RING = 256 << 10;
/** Bytes of all rings. */
export const RINGS = Math.min(16 << 20, Math.floor(totalmem() / 64));
/** What an event takes besides its JSON, about. */
const EACH = 32;
const LEAST = 16;

/** What of the past is gone. */
export interface Gone {
  readonly events: number;
  /** About; absent where nobody knows any more. */
  readonly bytes?: number;
}

export interface Numbered {
  readonly number: number;
  readonly data: EventData;
}

/** What all rings may hold together. */
export class Rings {
  readonly #all = new Set<Ring>();
  #bytes = 0;

  constructor(readonly most = RINGS) {}

  get bytes(): number {
    return this.#bytes;
  }

  enter(ring: Ring): void {
    this.#all.add(ring);
  }

  leave(ring: Ring): void {
    if (this.#all.delete(ring)) this.#bytes -= ring.bytes;
  }

  change(by: number): void {
    this.#bytes += by;
    while (this.#bytes > this.most) {
      const largest = this.#largest();
      if (!largest) return;
      // Some at a time, since who is largest has to be looked for.
      largest.shed(Math.max(largest.bytes / 8, this.#bytes - this.most));
    }
  }

  #largest(): Ring | undefined {
    let found: Ring | undefined;
    for (const ring of this.#all) if (ring.bytes > (found?.bytes ?? 0)) found = ring;
    return found;
  }
}

/** Of one task. Numbers of events begin with 1. */
export class Ring {
  /** By number, in a circle. */
  #events: (string | undefined)[] = [];
  /** Bytes of all events so far, that one included. */
  #sums: number[] = [];
  #first = 1;
  #last = 0;
  #sum = 0;
  /** Bytes of all that is gone. */
  #gone = 0;
  #holders = 0;
  #closing = false;
  /** The last event of all, which stays. */
  #final: string | undefined;

  /**
   * @param most bytes; 0: it keeps nothing, and only counts
   * @param gone so many events were before, and are not kept
   */
  constructor(
    readonly most: number,
    readonly all: Rings,
    gone = 0,
  ) {
    this.#last = gone;
    this.#first = gone + 1;
    if (most > 0) all.enter(this);
  }

  /** Number of the last event, 0 where there was none. */
  get last(): number {
    return this.#last;
  }

  /** Number of the first that is kept; one more than the last where none is. */
  get first(): number {
    return this.#first;
  }

  get bytes(): number {
    return this.#sum - this.#gone;
  }

  /** An event that is not kept for its size, which therefore need not be written. */
  skip(size: number): void {
    if (this.most > 0) this.#add(undefined, Math.max(size, this.most + 1));
    else this.#first = ++this.#last + 1;
  }

  push(data: EventData): void {
    if (this.most === 0) return this.skip(0);
    const { json } = data;
    this.#add(json, EACH + json.length);
  }

  #add(json: string | undefined, size: number): void {
    const number = ++this.#last;
    this.#sum += size;
    if (number - this.#first >= this.#events.length) this.#grow();
    const at = number & (this.#events.length - 1);
    this.#events[at] = json;
    this.#sums[at] = this.#sum;
    this.all.change(size);
    if (this.bytes > this.most) this.shed(this.bytes - this.most);
  }

  /** The last event of all: there will be no more. */
  end(data: EventData): void {
    this.#final = data.json;
    this.#last++;
  }

  /** There will be no more. */
  get over(): boolean {
    return this.#final !== undefined;
  }

  /** The event of a number that is kept. */
  at(number: number): EventData | undefined {
    const json = this.jsonAt(number);
    return json === undefined ? undefined : EventData.written(json);
  }

  jsonAt(number: number): string | undefined {
    if (this.#final !== undefined && number === this.#last) return this.#final;
    if (number < this.#first || number > this.#last) return undefined;
    return this.#events[number & (this.#events.length - 1)];
  }

  /** Bytes of all events up to one; undefined where that is not known any more. */
  sumAt(number: number): number | undefined {
    if (number <= 0) return 0;
    if (number === this.#first - 1) return this.#gone;
    if (number < this.#first) return undefined;
    return this.#final !== undefined && number >= this.#last
      ? this.#sum
      : this.#sums[number & (this.#events.length - 1)];
  }

  /** What is gone before the first, of what comes behind `number`. @param sum bytes up to there, see {@link sumAt} */
  goneSince(number: number, sum: number | undefined): Gone | undefined {
    const events = this.#first - 1 - number;
    if (events <= 0) return undefined;
    return { events, ...(sum !== undefined && this.most > 0 && { bytes: this.#gone - sum }) };
  }

  /** Lets the oldest events go, of so many bytes at least. */
  shed(bytes: number): void {
    const before = this.#gone;
    const mask = this.#events.length - 1;
    const last = this.#final !== undefined ? this.#last - 1 : this.#last;
    while (this.#gone - before < bytes && this.#first <= last) {
      const at = this.#first++ & mask;
      this.#gone = this.#sums[at] ?? this.#gone;
      this.#events[at] = undefined;
    }
    this.all.change(before - this.#gone);
  }

  /** Somebody still takes from it: it is not closed before {@link letGo}. */
  hold(): void {
    this.#holders++;
  }

  letGo(): void {
    if (--this.#holders === 0 && this.#closing) this.close();
  }

  /** Nobody asks for it any more. */
  close(): void {
    this.#closing = true;
    if (this.#holders > 0) return;
    this.shed(Infinity);
    this.all.leave(this);
    this.#events = [];
    this.#sums = [];
  }

  #grow(): void {
    const [events, sums] = [this.#events, this.#sums];
    const size = Math.max(LEAST, 2 * events.length);
    this.#events = Array.from({ length: size });
    this.#sums = Array.from({ length: size }, () => 0);
    for (let number = this.#first; number < this.#last; number++) {
      const [from, to] = [number & (events.length - 1), number & (size - 1)];
      this.#events[to] = events[from];
      this.#sums[to] = sums[from] ?? 0;
    }
  }
}

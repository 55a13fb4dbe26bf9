/**
 * The last events of a task, for who comes later: their JSON, which is made once for whoever gets it. Texts are nothing that the
 * garbage collector has to look into, where objects would cost as much as the event. All rings together are bounded, too: where that is reached, the oldest events of the largest ring go.
 */
import { totalmem } from "node:os";
import { EventData } from "./event-data.ts";

/** Bytes of a ring unless the config says otherwise. */
export const RING = 256 << 10;
/** Bytes of all rings. */
export const RINGS = Math.min(8 << 20, Math.floor(totalmem() / 64));
/** What an event takes besides its JSON, about. */
const EACH = 32;
const LEAST = 16;
/** Bytes that a ring takes or gives before all rings are looked at. */
const COUNTED = 4096;

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
    this.#all.delete(ring);
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

/** Part of a ring that goes at a time: one event for each that comes would cost more. */
const DROPPED = 1 / 16;

/** Of one task. Numbers of events begin with 1. */
export class Ring {
  /** By number, in a circle. */
  #events: (string | undefined)[] = [];
  #first: number;
  #last: number;
  /** Bytes of those that are kept, and of all that is gone. */
  #bytes = 0;
  #gone = 0;
  /** Bytes of which {@link all} does not know yet. */
  #uncounted = 0;
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
    all.enter(this);
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
    return this.#bytes;
  }

  push(data: EventData): void {
    if (this.most === 0) return this.skip(0);
    const { json } = data;
    const size = EACH + json.length;
    if (size > this.most) return this.skip(size);
    const number = ++this.#last;
    if (number - this.#first >= this.#events.length) this.#grow();
    this.#events[number & (this.#events.length - 1)] = json;
    this.#bytes += size;
    this.#uncounted += size;
    if (this.#bytes > this.most) this.#drop(this.most * (1 - DROPPED));
    // Not each by itself: that would cost as much as the rest.
    if (this.#uncounted > COUNTED || this.#uncounted < -COUNTED) this.#count();
  }

  /** An event that is not kept for its size, which therefore need not be written; nor is what was before it. */
  skip(size: number): void {
    this.#drop(0);
    this.#gone += size;
    this.#first = ++this.#last + 1;
  }

  /** The last event of all: there will be no more. */
  end(data: EventData): void {
    this.#final = data.json;
    this.#last++;
    this.#count();
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
    if (number < this.#first - 1) return undefined;
    let sum = this.#gone;
    for (let one = this.#first; one <= Math.min(number, this.#kept); one++)
      sum += sizeOf(this.jsonAt(one));
    return sum;
  }

  /** What is gone before the first, of what comes behind `number`. @param sum bytes up to there, see {@link sumAt} */
  goneSince(number: number, sum: number | undefined): Gone | undefined {
    const events = this.#first - 1 - number;
    if (events <= 0) return undefined;
    return { events, ...(sum !== undefined && this.most > 0 && { bytes: this.#gone - sum }) };
  }

  /** Lets the oldest events go, of so many bytes at least. */
  shed(bytes: number): void {
    this.#drop(this.#bytes - bytes);
    this.#count();
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
  }

  /** Number of the last but the final event. */
  get #kept(): number {
    return this.#final === undefined ? this.#last : this.#last - 1;
  }

  /** Lets the oldest events go until so many bytes are left. */
  #drop(left: number): void {
    const events = this.#events;
    const mask = events.length - 1;
    const last = this.#kept;
    let dropped = 0;
    for (; this.#bytes - dropped > left && this.#first <= last; this.#first++) {
      dropped += sizeOf(events[this.#first & mask]);
      events[this.#first & mask] = undefined;
    }
    this.#bytes -= dropped;
    this.#gone += dropped;
    this.#uncounted -= dropped;
  }

  #count(): void {
    const by = this.#uncounted;
    this.#uncounted = 0;
    this.all.change(by);
  }

  #grow(): void {
    const events = this.#events;
    const size = Math.max(LEAST, 2 * events.length);
    this.#events = Array.from({ length: size });
    for (let number = this.#first; number < this.#last; number++)
      this.#events[number & (size - 1)] = events[number & (events.length - 1)];
  }
}

/** Bytes that an event takes, by its JSON. */
export const sizeOf = (json: string | undefined): number => EACH + (json?.length ?? 0);

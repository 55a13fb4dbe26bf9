/**
 * Keeps the process small. The engine collects garbage by how much memory the machine has, so on a large one a server that is
 * talked to a lot would take hundreds of megabytes, most of it long dead. Where it has grown by some, it is asked to collect beside
 * its work, which holds nobody up. What is freed so is used again, and not given back: where it has become large all the same, it
 * collects at once and gives back what it can, in which time, some 50 to 100 ms, nobody is heard.
 */

import { heavy } from "../turnstile.ts";

/** Milliseconds between looks; where it is small, so that one that nobody talks to sleeps; and at least. */
const EACH = 30;
const SELDOM = 100;
const LEAST = EACH / 2;
/** Bytes below which nobody minds, and bytes of growth that are worth a collection. */
const SMALL = 112 << 20;
const GROWTH = 16 << 20;
/** The same where it is too much. */
const LITTLE = 8 << 20;
/** Bytes from which on memory is given back amid work; of growth since, that are worth it; and with how much that must not be waited for. */
const LARGE = 144 << 20;
const WORTH = 24 << 20;
const HUGE = 176 << 20;
const TOO_MUCH = 192 << 20;
/** The same near what is promised, of a growth that is worth it: half as long as the last one took. */
const NEAR = 240 << 20;
/** Milliseconds from one time to the next at least; where it is huge; where it is too much. As long as the last one took, but near the promise. */
const RARELY = 1_000;
const SOONER = 150;
const AT_ONCE = 50;
/** Milliseconds without growth after which it is given back in any case. */
const QUIET = 5_000;
/** Milliseconds after which a large one looks again, as clients may have gone that held it; and at most, where that was for nothing. */
const AGAIN = 10_000;
const AT_LAST = 600_000;

/** undefined where it cannot be told: the runtime opens a file of /proc for it, and no descriptor may be left. */
function rss(): number | undefined {
  try {
    return process.memoryUsage.rss();
  } catch {
    return undefined;
  }
}

/** What is done about it: `beside` collects beside the work, `all` at once. */
export interface Collector {
  readonly now: () => number;
  /** Bytes, where that can be told. */
  readonly rss: () => number | undefined;
  readonly collect: (how: "beside" | "all") => void;
}

export class Thrift {
  /** Milliseconds to the next look. */
  next = SELDOM;
  #looked = -Infinity;
  /** The least since the last collection. */
  #least = 0;
  #grown = -Infinity;
  #gaveBack = -Infinity;
  /** ms that it took then. */
  #took = 0;
  /** What was left then: as much as is in use. */
  #left = 0;
  #again = AGAIN;

  constructor(readonly collector: Collector) {}

  /** To be called often. */
  look(): void {
    const { now, rss, collect } = this.collector;
    const begin = now();
    if (begin - this.#looked < LEAST) return;
    this.#looked = begin;
    const size = rss();
    this.next = size === undefined || size < SMALL ? SELDOM : EACH;
    if (size === undefined) return;
    this.#least = Math.min(this.#least, size);
    if (size < SMALL) return;
    const sinceGiven = begin - this.#gaveBack;
    if (size - this.#least < (size >= TOO_MUCH ? LITTLE : GROWTH)) {
      const isQuiet = this.#grown > this.#gaveBack && begin - this.#grown > QUIET;
      if (isQuiet || (size >= LARGE && sinceGiven > this.#again)) this.#giveBack(size);
      return;
    }
    this.#grown = begin;
    const isWorth = size - this.#left >= WORTH || size >= HUGE;
    const usual = size >= TOO_MUCH ? AT_ONCE : size >= HUGE ? SOONER : RARELY;
    const isNear = size >= NEAR && size - this.#least >= WORTH;
    const pause = isNear ? this.#took / 2 : Math.max(usual, this.#took);
    if (size >= LARGE && isWorth && sinceGiven >= pause) return this.#giveBack(size);
    collect("beside");
    this.#least = size;
  }

  #giveBack(before: number): void {
    const { now, rss, collect } = this.collector;
    const begin = now();
    collect("all");
    this.#gaveBack = now();
    this.#took = this.#gaveBack - begin;
    this.#least = rss() ?? this.#least;
    this.#left = this.#least;
    this.#again = before - this.#least < GROWTH ? Math.min(2 * this.#again, AT_LAST) : AGAIN;
  }
}

/** Returns a function that ends it. */
export function keepSmall(): () => void {
  const thrift = new Thrift({
    now: () => performance.now(),
    rss,
    collect: (how) => void Bun.gc(how === "all"),
  });
  const look = () => thrift.look();
  let timer: ReturnType<typeof setTimeout>;
  const soon = (): void => {
    timer = setTimeout(() => {
      look();
      soon();
    }, thrift.next);
  };
  soon();
  // Where much is taken apart, the timer comes late.
  heavy.after = look;
  return () => {
    clearTimeout(timer);
    heavy.after = undefined;
  };
}

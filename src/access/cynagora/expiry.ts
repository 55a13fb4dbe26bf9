/** For how long an answer is good. */

export interface Expiry {
  /** Milliseconds from now; Infinity: until something changes. */
  readonly ms: number;
  /** Whether it counts for who asks the same. */
  readonly cacheable: boolean;
}

const SECOND = 1000;
const DAY = 86_400 * SECOND;
const UNITS: Readonly<Record<string, number>> = {
  ...{ y: 365 * DAY, w: 7 * DAY, d: DAY, h: 3600 * SECOND, m: 60 * SECOND, s: SECOND },
  "": SECOND,
};
const ENDLESS = ["forever", "always", "*"];
const ONCE: Expiry = { ms: Infinity, cacheable: false };

/** As an answer has it: `59m59s`, seconds without a unit, `-` before what is not to be kept. What cannot be read is not kept. */
export function parseExpiry(text: string | undefined): Expiry {
  if (text === undefined) return { ms: Infinity, cacheable: true };
  if (text.startsWith("-")) {
    const ms = text === "-" ? Infinity : durationOf(text.slice(1));
    return ms === undefined ? ONCE : { ms, cacheable: false };
  }
  const ms = durationOf(text);
  return ms === undefined ? ONCE : { ms, cacheable: true };
}

function durationOf(text: string): number | undefined {
  if (ENDLESS.includes(text)) return Infinity;
  const part = /(\d{1,12})([ywdhms]|$)/y;
  let ms = 0;
  while (part.lastIndex < text.length) {
    const [, count = "", unit = ""] = part.exec(text) ?? [];
    if (count === "") return undefined;
    ms += Number(count) * (UNITS[unit] ?? 0);
  }
  // No time at all is once, as what is not to be kept is.
  return ms === 0 ? undefined : ms;
}

/** Milliseconds, of a clock that nobody sets and of the time of day. */
export type Clock = () => readonly [steady: number, wall: number];
export const theClock: Clock = () => [performance.now(), Date.now()];

/**
 * A moment to come. It is there as soon as one of both clocks says so: the steady one stands still while the machine sleeps, and
 * the other is set.
 */
export class Moment {
  readonly #steady: number;
  readonly #wall: number;

  constructor(
    ms: number,
    readonly clock: Clock,
  ) {
    const [steady, wall] = clock();
    this.#steady = steady + ms;
    this.#wall = wall + ms;
  }

  /** Milliseconds; 0 and less: it is there. */
  get left(): number {
    const [steady, wall] = this.clock();
    return Math.min(this.#steady - steady, this.#wall - wall);
  }
}

/**
 * Keeps the process small. The engine collects garbage by how much memory the machine has, so on a large one a server that is
 * talked to a lot would take hundreds of megabytes, most of it long dead. Where it has grown by some, it is asked to collect beside
 * its work, which holds nobody up. What is freed so is used again, and not given back: where it has become large all the same, it
 * collects at once and gives back what it can, in which time, some 50 to 100 ms, nobody is heard.
 */

import { heavy } from "../turnstile.ts";

/** Milliseconds between looks. */
const EACH = 100;
/** Bytes below which nobody minds, and bytes of growth that are worth a collection. */
const SMALL = 112 << 20;
const GROWTH = 16 << 20;
/** Bytes from which on memory is given back amid work; of growth since, that are worth it; and with how much that must not be waited for. */
const LARGE = 144 << 20;
const WORTH = 32 << 20;
const HUGE = 208 << 20;
const TOO_MUCH = 232 << 20;
/** Milliseconds from one time to the next at least; where it is huge; where it is too much. */
const RARELY = 1_000;
const SOONER = 500;
const AT_ONCE = 150;
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

/** Returns a function that ends it. */
export function keepSmall(): () => void {
  let looked = -Infinity;
  /** The least since the last collection. */
  let least = 0;
  let grown = -Infinity;
  let gaveBack = -Infinity;
  /** What was left then: as much as is in use. */
  let left = 0;
  let again = AGAIN;
  const giveBack = (before: number): void => {
    Bun.gc(true);
    gaveBack = performance.now();
    least = rss() ?? least;
    left = least;
    again = before - least < GROWTH ? Math.min(2 * again, AT_LAST) : AGAIN;
  };
  const look = (): void => {
    const begin = performance.now();
    if (begin - looked < EACH / 2) return;
    looked = begin;
    const now = rss();
    if (now === undefined) return;
    least = Math.min(least, now);
    if (now < SMALL) return;
    if (now - least < GROWTH) {
      const isQuiet = grown > gaveBack && begin - grown > QUIET;
      if (isQuiet || (now >= LARGE && begin - gaveBack > again)) giveBack(now);
      return;
    }
    grown = begin;
    const isWorth = now - left >= WORTH || now >= HUGE;
    const pause = now >= TOO_MUCH ? AT_ONCE : now >= HUGE ? SOONER : RARELY;
    if (now >= LARGE && isWorth && begin - gaveBack >= pause) return giveBack(now);
    Bun.gc(false);
    least = now;
  };
  const timer = setInterval(look, EACH);
  timer.unref();
  // Where much is taken apart, the timer comes late.
  heavy.after = look;
  return () => {
    clearInterval(timer);
    heavy.after = undefined;
  };
}

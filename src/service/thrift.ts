/**
 * Keeps the process small. The engine collects garbage by how much memory the machine has, so on a large one a server that is
 * talked to a lot would take hundreds of megabytes, most of it long dead. Where it has grown well beyond what it had after the
 * last collection, it is asked for another: some 20 ms, and not often.
 */

import { heavy } from "../turnstile.ts";

/** Milliseconds between looks. */
const EACH = 200;
/** Bytes below which nobody minds, and bytes of growth that are worth a collection. */
const SMALL = 112 << 20;
const GROWTH = 16 << 20;

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
  let after = 0;
  const look = (): void => {
    const now = rss();
    if (now === undefined || now < SMALL || now - after < GROWTH) return;
    Bun.gc(true);
    after = rss() ?? now;
  };
  const timer = setInterval(look, EACH);
  timer.unref();
  // Where much is taken apart, it grows by more than that in between.
  heavy.after = look;
  return () => {
    clearInterval(timer);
    heavy.after = undefined;
  };
}

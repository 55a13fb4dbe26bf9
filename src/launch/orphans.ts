/**
 * What a task leaves behind when its supervisor is killed, as a command of the same user can do: the server adopts it, being a
 * child subreaper too, and ends it.
 *
 * An orphan is a child of the server in another session than the server's: a supervisor makes a session before anything
 * else, and no session can be joined from outside. So what plugins start is none, unless it is detached. The supervisors
 * themselves are known.
 *
 * Why this ends is what ffi/launcher/sweep.c says, and it is the same here: children are killed again and again, and as long
 * as one of them lives, none of the dead is reaped, so each keeps its number and its place below a process limit. Only the
 * server reaps orphans, so a number that has been found to be a child's is its own when it is killed.
 */
import {
  becomeSubreaper,
  killNow,
  listChildren,
  reapChild,
  sessionOf,
  stateOfChild,
} from "../../ffi/children.ts";
import { isExhausted } from "../errors.ts";
import { allKnown, living } from "./living.ts";

/** Milliseconds of work between turns of the event loop, however many there are. */
const TURN = 4;
/** Of the dead that are not reaped: see sweep.c. */
const MOST_DEAD = 16_384;
/** Milliseconds between two rounds while none dies; in between, it is each time twice as long. */
const LONGEST_NAP = 64;

/** Children that were there before: of whoever executed the server in its own place, as the entry of a container does. */
let spared: ReadonlySet<number> = new Set();

/** From here on orphans come to this process. Throws CError. */
export function adoptOrphans(): void {
  // Nobody reaps them, so their numbers stay theirs.
  spared = new Set(listChildren().filter((pid) => stateOfChild(pid) !== undefined));
  becomeSubreaper();
}

let last: Promise<void> = Promise.resolve();

/**
 * Kills and reaps all orphans, until there are none. Those that are nobody's to kill here (set-user-id programs) are let be; and
 * to PID 1 come the orphans of everybody, so it kills none.
 */
export function sweepOrphans(): Promise<void> {
  if (process.pid === 1) return Promise.resolve();
  // One after the other: what came to be an orphan after the look of a sweep under way is met by the next.
  last = last.then(sweep, sweep);
  return last;
}

async function sweep(): Promise<void> {
  let before = -1;
  for (let nap = 1; ;) {
    const found = await round().catch(onlyExhaustion);
    if (!found) {
      // Nobody is let live because no descriptor is left to find them with.
      await Bun.sleep(LONGEST_NAP);
      continue;
    }
    const { alive, dead } = found;
    if (alive === 0 && dead.length === 0) return;
    // All that is on the list was dead before it was made, so there are no heirs that are not on it.
    if ((alive === 0 && dead.length === before) || dead.length >= MOST_DEAD) {
      for (const pid of dead) reapChild(pid);
      before = -1;
      continue;
    }
    nap = dead.length === before ? Math.min(nap * 2, LONGEST_NAP) : 1;
    before = dead.length;
    if (alive > 0) await Bun.sleep(nap);
  }
}

function onlyExhaustion(error: unknown): undefined {
  if (!isExhausted(error)) throw error;
}

async function round(): Promise<{ alive: number; dead: number[] }> {
  const own = sessionOf(0);
  const dead: number[] = [];
  let alive = 0;
  let turn = performance.now();
  // Who was made ahead for a launch that is asked for meanwhile, and becomes its supervisor, is in the server's own session by now.
  const children = listChildren().filter((pid) => sessionOf(pid) !== own);
  // All supervisors among them were asked for before, and are known then.
  await allKnown();
  for (const pid of children) {
    if (performance.now() - turn > TURN) {
      await new Promise((resolve) => setImmediate(resolve));
      turn = performance.now();
    }
    if (living.has(pid) || spared.has(pid)) continue;
    const state = stateOfChild(pid);
    if (state === undefined || sessionOf(pid) === own) continue;
    // What it has made a leader of, it and its descendants are in: most of a tree at once.
    killNow(-pid);
    if (state === "dead") dead.push(pid);
    else if (killNow(pid)) alive++;
  }
  return { alive, dead };
}

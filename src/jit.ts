/**
 * How readily the runtime compiles: what only the start runs is not worth it, and what a server runs again and again is, sooner than
 * after the thousand times that the runtime waits for by itself (ffi/entry/entry.S sets that number for a server).
 */

/**
 * What the runtime multiplies its numbers by as the executable begins. Without it a sixth of the processor time of a start went to
 * compiling; with a thousand commands more than this would make loading them slower than what it saves.
 */
export const WHILE_STARTING = 50;

/** The start is over. */
export const compileReadily = (): void => Bun.unsafe.setJITPolicy(1);

/** What the entry adds to the variables of a server, for the runtime alone. */
const ADDED = { name: "BUN_JSC_thresholdForOptimizeAfterWarmUp", value: "60" } as const;

/** The runtime has read it; to anybody else it would be a variable that somebody has given the server. */
export function forgetAdded(): void {
  if (process.env[ADDED.name] === ADDED.value) delete process.env[ADDED.name];
}

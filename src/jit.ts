/**
 * How readily the runtime compiles: what only the start runs is not worth it, and what a server runs again and again is, sooner than
 * after the thousand times that the runtime waits for by itself (ffi/entry/entry.S sets those numbers for a server).
 */

/**
 * What the runtime multiplies its numbers by as the executable begins. Without it a sixth of the processor time of a start went to
 * compiling; with a thousand commands more than this would make loading them slower than what it saves.
 */
export const WHILE_STARTING = 50;

/** The start is over. */
export const compileReadily = (): void => Bun.unsafe.setJITPolicy(1);

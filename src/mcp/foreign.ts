/** In `_meta` of what others have written: whoever reads it is not to obey it. */
export const FOREIGN = { "spawnbox/untrusted": true } as const;

/** What JSON calls an object. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Arguments of a verb that takes none. */
export const isNothing = (args: unknown): boolean =>
  args === undefined ||
  args === null ||
  (typeof args === "object" && Object.keys(args).length === 0);

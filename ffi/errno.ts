/** Names of errno values and of the C library's failures, so that no error reaches a user as a bare number. */
import { constants } from "node:os";

const names = new Map<number, string>();
for (const [name, value] of Object.entries(constants.errno)) {
  // EWOULDBLOCK and EOPNOTSUPP have two names; the first is the usual one.
  if (!names.has(value)) names.set(value, name);
}

/** `ENOENT` for 2; `errno 999` for what has no name. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** A C function failed: which, on what, and why. */
export class CError extends Error {
  constructor(
    readonly call: string,
    readonly what: string,
    readonly errno: string,
  ) {
    super(`${call}(${what}): ${errno}`);
    this.name = "CError";
  }
}

/** Names of errno values and of the C library's failures, so that no error reaches a user as a bare number. */
import { constants } from "node:os";
import { type Pointer, read } from "bun:ffi";

const names = new Map<number, string>();
for (const [name, value] of Object.entries(constants.errno)) {
  // EWOULDBLOCK is the other name of one; the first is the usual one.
  if (!names.has(value)) names.set(value, name);
}

/** Of errno(3), what the runtime has no name for and system calls may say; the same on all architectures served here. */
const MORE = {
  EBADFD: 77,
  ELIBACC: 79,
  ELIBBAD: 80,
  EUSERS: 87,
  ESOCKTNOSUPPORT: 94,
  // What manual pages call it.
  EOPNOTSUPP: 95,
  EPFNOSUPPORT: 96,
  ESHUTDOWN: 108,
  ETOOMANYREFS: 109,
  EHOSTDOWN: 112,
  EUCLEAN: 117,
  EREMOTEIO: 121,
  ENOMEDIUM: 123,
  EMEDIUMTYPE: 124,
  ENOKEY: 126,
  EKEYEXPIRED: 127,
  EKEYREVOKED: 128,
  EKEYREJECTED: 129,
};
for (const [name, value] of Object.entries(MORE)) names.set(value, name);

/** `ENOENT` for 2; `errno 999` for what has no name. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/**
 * The name of errno, by where __errno_location() of the C library says it lies: of the call just made, as a call and this look go on one
 * thread with nothing in between.
 */
export const errnoAt = (place: bigint | Pointer | null): string =>
  errnoName(read.i32(Number(place)));

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

/** Which errno is behind an error that says it in words, if one is. */
export function errnoBehind(error: unknown): string | undefined {
  if (error instanceof CError) return error.errno;
  if (!(error instanceof Error)) return undefined;
  // The runtime's own.
  if ("code" in error && typeof error.code === "string") return error.code;
  return errnoBehind(error.cause);
}

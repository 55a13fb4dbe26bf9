/**
 * The numbers of a config that reach the kernel, and what it takes of each: the one place. What is beyond would be cut to another
 * number, perhaps a small one. A JSON number is checked by its schema, a text by who compiles it.
 */
import { type TString, Type } from "@sinclair/typebox";

type Doc = { description: string };

/** Uids and gids: (uid_t)-1 means "leave it" to setresuid(2), and is nobody. */
export const LARGEST_ID = 0xffff_fffe;
/** What a timer of the runtime can count is 2^31 - 1 ms; beyond, it would be over at once. */
export const MOST_SECONDS = 2_147_483;
/** PID_MAX_LIMIT of linux/threads.h: the largest pid that Linux can have. */
export const MOST_PIDS = 4_194_304;
/** cpu.weight of the kernel's cgroup-v2.rst. */
export const CPU_WEIGHT = [1, 10_000] as const;

/** A text that may be a JSON number: then a whole one, from `minimum` to `maximum`. */
const numeric = (doc: Doc, minimum: number, maximum: number = Number.MAX_SAFE_INTEGER): TString =>
  Type.String({ text: true, minimum, maximum, ...doc });

export const Id = (description: string) => numeric({ description }, 0, LARGEST_ID);
export const Amount = (description: string) => numeric({ description }, 0);
export const Weight = (description: string) => numeric({ description }, ...CPU_WEIGHT);
export const Pids = (description: string) => numeric({ description }, 1, MOST_PIDS);

export const Seconds = (description: string) =>
  Type.Number({ minimum: 0, maximum: MOST_SECONDS, description });

/** Umask of umask(2), which passes over what is not a permission. */
export const Umask = (description: string) =>
  Type.String({ pattern: "^0?[0-7]{1,3}$", text: true, description });

/** Permissions with set-user-id, set-group-id and sticky bit: chmod(2). */
export const FileMode = (description: string) =>
  Type.String({ pattern: "^[0-7]{1,4}$", text: true, description });

export const Port = (description: string) =>
  Type.Integer({ minimum: 0, maximum: 65_535, description });

/** A register: 64 bits, of which a JSON number holds 53. */
export const Operand = (description: string) =>
  Type.Union(
    [
      Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER }),
      Type.String({ pattern: "^(?:0[xX][0-9a-fA-F]{1,16}|0|[1-9][0-9]{0,19})$" }),
    ],
    { description },
  );

/** Whole, from 0 on, and written so that no reader takes it for octal. */
export const DECIMAL = /^(?:0|[1-9]\d*)$/;
const LOOKS_NUMERIC = /^\s*[+-]?(?:0x[\da-f]*|\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*$/i;

/** The id that a text is; undefined for a name. @throws Error when it is meant to be one, and is none */
export function idOf(text: string): number | undefined {
  if (DECIMAL.test(text) && Number(text) <= LARGEST_ID) return Number(text);
  // Not left to getpwnam(3), since nobody can tell what all its sources make of it.
  if (!LOOKS_NUMERIC.test(text)) return undefined;
  throw new Error(
    `${JSON.stringify(text)} is not an id: from 0 to ${LARGEST_ID}, in digits without a leading 0`,
  );
}

/** Whether an id that was looked up is one. */
export const isId = (id: number): boolean => Number.isInteger(id) && id >= 0 && id <= LARGEST_ID;

/** Rounded, but what is not 0 does not become it: that would be none. */
export const milliseconds = (seconds: number): number =>
  seconds > 0 ? Math.max(1, Math.round(seconds * 1000)) : 0;

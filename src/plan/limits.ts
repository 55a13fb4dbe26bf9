/** Resource limits of a command, as setrlimit(2) numbers them on the architectures Linux shares numbers for. */
import type { Command } from "../config/command-schema.ts";
import { parseSize } from "./size.ts";

const RESOURCE = {
  cpu: 0,
  fsize: 1,
  core: 4,
  nproc: 6,
  nofile: 7,
  memlock: 8,
  as: 9,
  rtprio: 14,
} as const;
const UNLIMITED = -1n;
/** The kernel counts in nanoseconds, of 64 bits: more seconds would wrap around to few. */
const MOST_CPU_SECONDS = (1n << 64n) / 1_000_000_000n;

const RESOURCES = Object.entries(RESOURCE) as [keyof typeof RESOURCE, number][];

/** The numbers of those that are not among a config's own. */
export function limitsOfProfile(
  limits: Command["limits"],
  own: Command["limits"],
): readonly number[] {
  if (limits === undefined) return [];
  return RESOURCES.flatMap(([key, resource]) =>
    limits[key] !== undefined && own?.[key] === undefined ? [resource] : [],
  );
}

function sizeOf(name: string, text: string): bigint | undefined {
  try {
    return parseSize(text);
  } catch (error) {
    throw new Error(`${name}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

/** Throws naming the limit whose value is not a number or `unlimited`. */
export function compileLimits(limits: Command["limits"]): (readonly [number, bigint])[] {
  const rlimits: (readonly [number, bigint])[] = [];
  if (limits === undefined) return rlimits;
  for (const [name, resource] of RESOURCES) {
    const text = limits[name];
    if (text === undefined) continue;
    if (text.toLowerCase() === "unlimited") {
      rlimits.push([resource, UNLIMITED]);
      continue;
    }
    const value = sizeOf(name, text);
    if (value === undefined)
      throw new Error(
        `${name}: ${JSON.stringify(text)} is not a number (K, M, G allowed) or "unlimited"`,
      );
    if (name === "cpu" && value > MOST_CPU_SECONDS)
      throw new Error(`cpu: ${JSON.stringify(text)} is more than ${MOST_CPU_SECONDS} seconds`);
    rlimits.push([resource, value]);
  }
  return rlimits;
}

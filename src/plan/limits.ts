/** Resource limits of a command, as setrlimit(2) numbers them on the architectures Linux shares numbers for. */
import type { Command } from "../config/command-schema.ts";
import type { SandboxPolicy } from "./policy.ts";
import { parseSize } from "./size.ts";
import { capabilityNumbers, capabilityShort } from "./words.ts";

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
const EXEMPTING = [...capabilityNumbers(["SYS_RESOURCE", "SYS_ADMIN"])];
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

/**
 * Why a number of processes does not hold these commands; undefined where none is given, or it does. It is counted for each user, and
 * the kernel exempts root, and who has one of two capabilities over the machine: see setrlimit(2).
 */
export function unboundProcesses(
  limits: Command["limits"],
  { identity, caps = [], namespaces }: SandboxPolicy,
): string | undefined {
  const most = limits?.nproc;
  if (most === undefined || most.toLowerCase() === "unlimited") return undefined;
  const exempting = namespaces.has("user") ? [] : EXEMPTING.filter((cap) => caps.includes(cap));
  const who =
    identity?.uid === 0
      ? "root (unless that is another user of the machine, as in some containers)"
      : exempting.length > 0
        ? `who has ${exempting.map(capabilityShort).join(", ")}`
        : undefined;
  return who && `the kernel does not hold ${who} to a number of processes: cgroups.pids does that`;
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

/** Limits that a config asks for and the server itself may not have. See setrlimit(2). */
import { SPARED } from "../../ffi/launcher/layout.ts";
import type { Confinement } from "./confinement.ts";
import { spared } from "./process-limit.ts";

const NPROC = 6;

/** By the number of the resource: its name in configs, in /proc/self/limits, and in units. */
const NAMES: Readonly<Record<number, readonly [key: string, line: string, unit: string]>> = {
  0: ["cpu", "Max cpu time", "LimitCPU"],
  1: ["fsize", "Max file size", "LimitFSIZE"],
  4: ["core", "Max core file size", "LimitCORE"],
  6: ["nproc", "Max processes", "LimitNPROC"],
  7: ["nofile", "Max open files", "LimitNOFILE"],
  8: ["memlock", "Max locked memory", "LimitMEMLOCK"],
  9: ["as", "Max address space", "LimitAS"],
  13: ["nice", "Max nice priority", "LimitNICE"],
  14: ["rtprio", "Max realtime priority", "LimitRTPRIO"],
};

/** What is left to the server, said behind its limit. */
export const keeps = (left: bigint): string => (left > 0n ? `, of which it keeps ${left}` : "");

/** One sentence for each that is above the server's own hard limit, with both values and the remedy. */
export function lowerLimits(
  wanted: readonly (readonly [resource: number, value: bigint])[],
  here: Confinement,
): string[] {
  return wanted.flatMap(([resource, value]) => {
    const names = NAMES[resource];
    if (!names) return [];
    const [key, line, unit] = names;
    const own = here.hardLimit(line);
    if (own === undefined || own === "unlimited") return [];
    const isUnlimited = value < 0n;
    const left = resource === NPROC ? spared(BigInt(own)) : 0n;
    if (!isUnlimited && value <= BigInt(own)) return [];
    const asked = isUnlimited ? "unlimited" : `${value}`;
    // Of a higher one it would keep some, too.
    const enough = left > 0n ? value + BigInt(SPARED.PROCESSES) : value;
    const remedy = remedyOf(key, unit, isUnlimited ? undefined : enough, here);
    return [
      `limits.${key} is ${asked}, and the server's own hard limit is ${own}${keeps(left)}: ${remedy}, or a lower value in the config`,
    ];
  });
}

/** One sentence for each that is within the server's own hard limit, and above what it leaves to its commands. */
export function keptLimits(
  wanted: readonly (readonly [resource: number, value: bigint])[],
  here: () => Confinement,
): string[] {
  const [, value] = wanted.find(([resource]) => resource === NPROC) ?? [];
  if (value === undefined || value < 0n) return [];
  const own = here().hardLimit("Max processes");
  if (own === undefined || own === "unlimited") return [];
  const hard = BigInt(own);
  const left = spared(hard);
  if (value > hard || value <= hard - left) return [];
  const remedy = remedyOf("nproc", "LimitNPROC", value + BigInt(SPARED.PROCESSES), here());
  return [
    `limits.nproc is ${value}, and the server's own hard limit is ${own}${keeps(left)}: ${remedy}, or a lower value in the config`,
  ];
}

/** @param value undefined: none is to be set */
function remedyOf(
  key: string,
  unit: string,
  value: bigint | undefined,
  { container }: Confinement,
): string {
  return container === undefined
    ? `${unit}=${value ?? "infinity"} in the unit`
    : `--ulimit ${key}=${value ?? -1}, of the container`;
}

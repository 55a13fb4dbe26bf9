/** What the program of a sandbox may gain by its file at an exec: the bounding set of capabilities(7). */
import type { Policy } from "./policy.ts";

type Bounds = Pick<Policy, "caps" | "namespaces" | "privileged" | "gains">;

const ALL_CAPABILITIES = 0xffff_ffff_ffff_ffffn;

export const capMask = (caps: readonly number[]): bigint =>
  caps.reduce((mask, cap) => mask | (1n << BigInt(cap)), 0n);

/**
 * Its capabilities where an exec gives no others. That takes CAP_SETPCAP: without it the command runs under no_new_privs, or said
 * that it may gain what a file gives. undefined: what the server's own set lets it.
 */
export function boundCaps({
  caps,
  namespaces,
  privileged,
  gains,
}: Bounds): readonly number[] | undefined {
  return !gains && (privileged || namespaces.has("user")) ? caps : undefined;
}

/** Capabilities that are left of the server's bounding set where it launches this: a mask. A user namespace has its own. */
export function boundingOf(policy: Bounds): bigint {
  if (policy.namespaces.has("user")) return 0n;
  const bound = boundCaps(policy);
  return bound ? capMask(bound) : ALL_CAPABILITIES;
}

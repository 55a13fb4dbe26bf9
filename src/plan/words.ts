/** Names of the kernel in words, for people who read a plan: capabilities(7), namespaces(7), setrlimit(2). */
import { CAPABILITIES } from "../config/capabilities.ts";
import type { NamespaceName } from "./policy.ts";

/** `NET_ADMIN (configure the network)`; a number that this table does not know as `capability 41`. */
export function capabilityWords(number: number): string {
  const found = CAPABILITIES[number];
  return found ? `${found[0]} (${found[1]})` : `capability ${number}`;
}

/** `CAP_NET_ADMIN`, as units have it. */
export function capabilityName(number: number): string {
  const found = CAPABILITIES[number];
  return found ? `CAP_${found[0]}` : `capability ${number}`;
}

/** `NET_ADMIN`, as configs and containers have it. */
export const capabilityShort = (number: number): string =>
  capabilityName(number).replace(/^CAP_/, "");

/** @throws Error for a name that this table does not know */
export function capabilityNumber(name: string): number {
  const number = CAPABILITIES.findIndex(([known]) => known === name);
  if (number < 0) throw new Error(`no capability ${name}`);
  return number;
}

/** Numbers of capabilities, as a set such as `["SYS_ADMIN"]` has them. */
export const capabilityNumbers = (names: readonly string[]): ReadonlySet<number> =>
  new Set(names.map((name) => CAPABILITIES.findIndex(([known]) => known === name)));

export const NAMESPACE_WORDS: Readonly<Record<NamespaceName, string>> = {
  user: "users",
  mount: "mounts",
  pid: "processes",
  net: "network",
  ipc: "System V IPC and message queues",
  uts: "host name",
  cgroup: "control groups",
};

/** By number of setrlimit(2). */
const RLIMITS: Readonly<Record<number, string>> = {
  0: "CPU seconds",
  1: "bytes of a file",
  4: "bytes of a core file",
  6: "processes of the user",
  7: "open files",
  8: "bytes of locked memory",
  9: "bytes of address space",
  14: "of real-time priority",
};

export function rlimitWords(resource: number, value: bigint): string {
  const what = RLIMITS[resource] ?? `resource ${resource}`;
  return value < 0n ? `any number of ${what}` : `at most ${value} ${what}`;
}

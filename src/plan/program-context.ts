/** A compiled sandbox, as who executes a program in it. */
import { boundCaps } from "./bounding.ts";
import { verdictOf } from "./bpf.ts";
import { mayExecute } from "./landlock.ts";
import type { Machine } from "./machine.ts";
import type { Policy } from "./policy.ts";
import type { ProgramContext } from "./program.ts";
import { userOf } from "./rights.ts";
import { kindOf } from "./seccomp-action.ts";
import { View } from "./view.ts";

/** Of the 32-bit ABI: AUDIT_ARCH_…, and its first call in a new program, brk(2). */
const SECOND = {
  x64: { arch: 0x40000003, brk: 45 },
  arm64: { arch: 0x40000028, brk: 45 },
} as const;
/** SECCOMP_RET_KILL_PROCESS, KILL_THREAD. */
const KILLS: ReadonlySet<number> = new Set([0x80000000, 0]);
/** Of a policy what decides whether a program can be executed. */
export type Surroundings = Pick<
  Policy,
  | "mounts"
  | "landlock"
  | "identity"
  | "server"
  | "groups"
  | "caps"
  | "label"
  | "seccomp"
  | "privileged"
  | "namespaces"
  | "gains"
>;

/** @param env of the command */
export function programContext(
  sandbox: Surroundings,
  env: Readonly<Record<string, string>>,
  { files, arch, bounding }: Pick<Machine, "files" | "arch" | "bounding">,
): ProgramContext {
  const { mounts, landlock, seccomp, namespaces } = sandbox;
  const { arch: second, brk } = SECOND[arch];
  const bound = boundCaps(sandbox);
  const verdict = seccomp && verdictOf(seccomp, brk, second);
  return {
    view: new View(mounts, files),
    // A plan file for the other architecture is made here, and its programs are there.
    arch: arch === process.arch ? arch : undefined,
    mayExecute: (path) => mayExecute(landlock, path),
    user: userOf(sandbox),
    searchPath: env["PATH"],
    // A user namespace has a set of its own, which is full.
    mayGain: bound ? new Set(bound) : namespaces.has("user") ? undefined : bounding,
    isServersBound: bound === undefined,
    killsForeign: verdict !== undefined && KILLS.has(kindOf(verdict)),
  };
}

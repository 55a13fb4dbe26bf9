/**
 * Who, besides root, could put another program in the place of one that runs with rights which they have not: whoever can write
 * the file, or a directory or a link on the way to it. Only told: who writes the config may mean it so.
 */
import type { Machine } from "./machine.ts";
import type { Policy } from "./policy.ts";
import { executedWith, type ProgramContext } from "./program.ts";

type Powers = Pick<Policy, "identity" | "caps" | "mounts">;

/** What others would gain; undefined: nothing that a user has not anyway. */
function gain({ identity, caps = [] }: Powers, { privileged }: Pick<Machine, "privileged">) {
  if (!privileged) return undefined;
  if (identity === undefined || identity.uid === 0) return "runs as root";
  return caps.length > 0 ? "has capabilities" : undefined;
}

/**
 * @param path of a program that can be executed inside
 * @returns what to tell; undefined where there is nothing
 */
export function changeableProgram(
  path: string,
  policy: Powers,
  context: ProgramContext,
  machine: Pick<Machine, "privileged" | "changeable">,
): string | undefined {
  const what = gain(policy, machine);
  if (what === undefined) return undefined;
  for (const one of executedWith(context, path)) {
    const { host } = context.view.resolve(one);
    // Made at the launch, by the config.
    if (host === undefined) continue;
    // Where the command has the files of this machine, its path may lead through links that are others'.
    const why = (policy.mounts ? undefined : machine.changeable(one)) ?? machine.changeable(host);
    const needed = one === path ? path : `${one}, which ${path} needs,`;
    if (why) return `${needed} ${what}, and others could put another program there: ${why}`;
  }
  return undefined;
}

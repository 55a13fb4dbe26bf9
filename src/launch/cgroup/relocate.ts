/** The server into another group: itself, and the process that launches for it, since what they start is where they are. */
import { agentPid } from "../agent.ts";
import { move, put } from "./files.ts";

/** Throws what node:fs does. */
export function relocate(group: string): void {
  put(group, "cgroup.procs", "0");
  const agent = agentPid();
  if (agent !== undefined) move(String(agent), group);
}

/** The server into another group: itself, and the processes that launch for it, since what they start is where they are. */
import { agentPids, aheadOf } from "../agent.ts";
import { move, put } from "./files.ts";

/** Throws what node:fs does. */
export function relocate(group: string): void {
  put(group, "cgroup.procs", "0");
  for (const agent of agentPids()) {
    move(String(agent), group);
    // From here on, what is made ahead is made there.
    for (const pid of aheadOf(agent)) move(String(pid), group);
  }
}

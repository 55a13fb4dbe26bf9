/** What /proc says of a process, and what is done to it in this turn of the event loop: nobody has been told of that. */
import { readFileSync } from "node:fs";
import { aheadOf } from "../../src/launch/agent.ts";

const statusOf = (pid: number) => readFileSync(`/proc/${pid}/status`, "utf8");

export const parentOf = (pid: number) => Number(/^PPid:\t(\d+)/m.exec(statusOf(pid))?.[1]);

export const childrenOf = (pid: number) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean).map(Number);

export const isStopped = (pid: number) => /^State:\tT/m.test(statusOf(pid));

/** It is there, and not dead. */
export function isRunning(pid: number): boolean {
  try {
    return !/^State:\t[ZX]/m.test(statusOf(pid));
  } catch {
    return false;
  }
}

/** An agent waits for its first message: it blocks all signals, and then notes what it has. */
export const isReady = (pid: number) => /^State:\tS[^]*^SigBlk:\tf{7}/m.test(statusOf(pid));

export function stopped(pid: number): void {
  process.kill(pid, "SIGSTOP");
  while (!isStopped(pid));
}

/** A child of this process, which is not reaped yet. */
export function killed(pid: number): void {
  process.kill(pid, "SIGKILL");
  while (!/^State:\tZ/m.test(statusOf(pid)));
}

/** An agent, and who was made ahead by it, at once. */
export function killedAll(agent: number): void {
  const all = [agent, ...aheadOf(agent)];
  process.kill(-agent, "SIGKILL");
  for (const pid of all) while (isRunning(pid));
}

/** On a single processor no launch is made ahead. */
export const hasProcessors = /^Cpus_allowed_list:\s+\d+[-,]/m.test(statusOf(process.pid));

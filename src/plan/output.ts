/** What a shell command of boot prints. */
import { inherited } from "./server-variables.ts";

/**
 * Standard output of a command, which ends with all it has started: only what made itself a session of its own, setsid(2),
 * stays.
 * @param limit ms
 * @throws Error telling why there is none
 */
export function outputOf(command: string, limit: number): Uint8Array {
  // Detached: a process group of its own, whose number nobody else gets while a member is left.
  const { pid, exitCode, signalCode, exitedDueToTimeout, stdout, stderr } = Bun.spawnSync(
    ["/bin/sh", "-c", command],
    {
      env: inherited(process.env),
      stdin: "ignore",
      timeout: limit,
      killSignal: "SIGKILL",
      detached: true,
    },
  );
  killGroup(pid);
  if (exitedDueToTimeout)
    throw new Error(`${command}: killed after ${limit / 1000} s, which nothing may take at boot`);
  if (exitCode === 0) return stdout;
  const how = signalCode ? `ended by ${signalCode}` : `exit code ${exitCode}`;
  const said = stderr.toString().trim();
  throw new Error(`${command}: ${how}${said === "" ? "" : `: ${said}`}`);
}

function killGroup(leader: number): void {
  try {
    process.kill(-leader, "SIGKILL");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

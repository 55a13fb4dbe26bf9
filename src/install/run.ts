/** Programs of the machine that is installed on. */

/** Runs to its end, with its output on ours. Throws what it said on standard error. */
export function run(...command: string[]): void {
  const { exitCode, stderr } = Bun.spawnSync(command, { stdio: ["ignore", "inherit", "pipe"] });
  if (exitCode === 0) return;
  throw new Error(`${command.join(" ")}: ${stderr.toString().trim() || `exit ${exitCode}`}`);
}

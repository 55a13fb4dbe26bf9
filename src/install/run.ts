/** Programs of the machine that is installed on. */

/** Runs to its end, and returns its output. Its warnings are passed on; throws what it said, when it fails. */
export function run(...command: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, {
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = stderr.toString().trim();
  if (exitCode !== 0) throw new Error(`${command.join(" ")}: ${said || `exit ${exitCode}`}`);
  if (said) console.error(said);
  return stdout.toString();
}

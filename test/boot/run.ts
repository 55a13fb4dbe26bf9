/** Runs a program to its end. */
export async function run(
  command: string[],
  options: { env?: Record<string, string | undefined>; cwd?: string } = {},
): Promise<string> {
  const child = Bun.spawn(command, { ...options, stdio: ["ignore", "pipe", "pipe"] });
  const [output, errors, code] = await Promise.all([
    child.stdout.text(),
    child.stderr.text(),
    child.exited,
  ]);
  if (code !== 0) throw new Error(`${command.join(" ")}: exit code ${code}\n${output}${errors}`);
  return output;
}

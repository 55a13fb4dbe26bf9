/** System calls of other processes: whether they can be seen here, and what becomes of a script where they are answered otherwise. */

/** By strace(1), which must be there where `CI` is set. Containers may deny ptrace(2) to root, too. */
export function mayTrace(): boolean {
  if (Bun.which("strace") === null) return process.env["CI"] !== undefined;
  const tried = Bun.spawnSync(["strace", "-qq", "-o", "/dev/null", "true"]);
  if (tried.success) return true;
  console.log(`system calls are not seen: ${tried.stderr}`);
  return false;
}

/** The words before a command whose calls are answered so, see `inject=` of strace(1). Only what it prints itself is told. */
export const injecting = (inject: string): readonly string[] => {
  const [call = ""] = inject.split(":");
  return [
    "strace",
    "-f",
    "-qq",
    "-o",
    "/dev/null",
    "-e",
    `trace=${call}`,
    "-e",
    `inject=${inject}`,
  ];
};

/** What a script of its own process prints where a call is answered so, see `inject=` of strace(1), and what is told of the calls. */
export function told(script: string, inject: string, ...only: readonly string[]) {
  const [call = ""] = inject.split(":");
  const { stdout, stderr } = Bun.spawnSync([
    ...["strace", "-f", "-qq", ...only, "-e", `trace=${call}`, "-e", `inject=${inject}`],
    ...[process.execPath, "-e", script],
  ]);
  return { printed: stdout.toString(), calls: whole(stderr.toString().split("\n")) };
}

/** Each call in one line, also where that of another thread came between its beginning and its end. */
function whole(lines: readonly string[]): string[] {
  const begun = new Map<string, string>();
  return lines.flatMap((line) => {
    const [, thread = ""] = /^\[pid +(\d+)\]/.exec(line) ?? [];
    const [, beginning] = /^(.*) <unfinished \.\.\.>$/.exec(line) ?? [];
    if (beginning !== undefined) {
      begun.set(thread, beginning);
      return [];
    }
    const [, end] = /<\.\.\. \w+ resumed>(.*)$/.exec(line) ?? [];
    return [end === undefined ? line : `${begun.get(thread) ?? ""}${end.replace(/ +=/, " =")}`];
  });
}

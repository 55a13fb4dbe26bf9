/** What is compared with: processes started without spawnbox, and by bwrap. */
import { gid, LINKS, PROBE, uid } from "./configs.ts";

export async function plain(): Promise<void> {
  const child = Bun.spawn({ cmd: ["/bin/true"], stdio: ["ignore", "ignore", "ignore"] });
  if ((await child.exited) !== 0) throw new Error("/bin/true failed");
}

/** Both outputs read to their end, as any server must that returns them. */
export async function captured(cmd: readonly string[]): Promise<string> {
  const child = Bun.spawn({ cmd: [...cmd], stdio: ["ignore", "pipe", "pipe"] });
  const [code, stdout, stderr] = await Promise.all([
    child.exited,
    child.stdout.text(),
    child.stderr.text(),
  ]);
  if (code !== 0) throw new Error(`${cmd.join(" ")}: exit code ${code}: ${stderr.trim()}`);
  return stdout;
}

const POLICY = [
  ...["--unshare-all", "--die-with-parent", "--new-session"],
  ...["--ro-bind", "/usr", "/usr"],
  ...LINKS.flatMap((name) => ["--symlink", `usr/${name}`, `/${name}`]),
  ...["--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"],
  ...["--uid", `${uid}`, "--gid", `${gid}`, "--cap-drop", "ALL"],
];

export interface Bwrap {
  readonly version: string;
  /** The command that runs another one under the policy. */
  readonly command: readonly string[];
}

/** bwrap, or why it cannot be compared with. */
export async function findBwrap(): Promise<Bwrap | string> {
  const path = Bun.which("bwrap");
  if (!path) return "not installed: install the package bubblewrap to compare with it";
  const command = [path, ...POLICY];
  try {
    requirePrivate("bwrap", (await captured([...command, ...PROBE])).trim().split("\n"));
    const version = (await captured([path, "--version"])).trim();
    return { version, command };
  } catch (error) {
    return `does not work here: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Throws unless every namespace that the probe printed is another one than ours. */
export function requirePrivate(who: string, inside: unknown): void {
  const outside = Bun.spawnSync([...PROBE])
    .stdout.toString()
    .trim()
    .split("\n");
  if (!Array.isArray(inside) || inside.length !== outside.length) {
    throw new Error(`${who}: the probe printed ${JSON.stringify(inside)}`);
  }
  const shared = outside.filter((namespace) => inside.includes(namespace));
  if (shared.length > 0) throw new Error(`${who} shares ${shared.join(", ")} with the host`);
}

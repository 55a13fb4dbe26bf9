/** Shows a text page by page, by the pager that the user has. */

/** What sudo(8), doas(1) and pkexec(1) tell of who has called them. */
const CALLERS = ["SUDO_UID", "DOAS_USER", "PKEXEC_UID"] as const;

type Environment = Readonly<Record<string, string | undefined>>;

const forOthers = (env: Environment): boolean => CALLERS.some((name) => env[name] !== undefined);

/** The command line for sh(1), or undefined where the text is to be printed as it is. */
export function pagerOf(
  env: Environment,
  which: (name: string) => string | null,
): string | undefined {
  // What they let run must not become a shell of root's: less(1) has a mode without, others have none.
  const trusted = !forOthers(env);
  const own = env["PAGER"];
  if (trusted && own !== undefined) return /^\s*(cat\s*)?$/.test(own) ? undefined : own;
  // Where nothing can be scrolled, less(1) only complains, and waits for a key.
  if (env["TERM"] === "dumb") return undefined;
  const known = trusted ? ["less", "more"] : ["less"];
  return known.find((name) => which(name) !== null);
}

/** @returns false where the pager could not show anything */
export async function page(text: string, pager: string, env: Environment): Promise<boolean> {
  // Ctrl-C is for the pager, which would be left behind on a terminal that it has changed.
  const ignore = () => {};
  process.on("SIGINT", ignore);
  try {
    const shown = Bun.spawn(["/bin/sh", "-c", pager], {
      // Short texts are printed and left on the screen; colours are shown.
      env: { LESS: "FRX", ...env, ...(forOthers(env) && { LESSSECURE: "1" }) },
      stdio: [Buffer.from(text), "inherit", "inherit"],
    });
    // sh(1) says so of what is not there, or cannot be executed.
    return ![126, 127].includes(await shown.exited);
  } catch (error) {
    // There is no shell.
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return false;
    throw error;
  } finally {
    process.off("SIGINT", ignore);
  }
}

/** What nobody foresaw, told to whoever runs the program: one line, how to report it, and no code that nobody can read. */
import { readFileSync } from "node:fs";
import { Refused } from "./errors.ts";
import { version } from "./version.ts";
import { visible } from "./visible.ts";

/** In it, any text: what is unexpected is told with the stack. Like all of SPAWNBOX_*, no command gets it. */
const DEBUG = "SPAWNBOX_DEBUG";

/** What an error says, in one line; under SPAWNBOX_DEBUG also where it comes from. */
export function errorLine(error: unknown): string {
  if (process.env[DEBUG] && error instanceof Error)
    return error.stack ?? `${error.name}: ${error.message}`;
  if (!(error instanceof Error)) return visible(String(error));
  // The name of a class of ours, or of the language, says what kind it is; "Error" says nothing.
  return visible(error.name === "Error" ? error.message : `${error.name}: ${error.message}`);
}

/** What the runtime says where it is not let be, and what that means. */
const RUNTIME: readonly (readonly [said: string, words: () => string])[] = [
  [
    "requires the JIT",
    () =>
      littleSpace() ??
      "the runtime may not make code as it runs: MemoryDenyWriteExecute=no in the unit, and no JSC_useJIT=0 in the environment",
  ],
];

/** It reserves address space for code, far more than it uses: where there is less, it makes none. See RLIMIT_AS of getrlimit(2). */
function littleSpace(): string | undefined {
  const limit = /^Max address space +(\d+) /m.exec(ownFile("limits"))?.[1];
  return (
    limit &&
    `the runtime may have ${limit} bytes of address space, and reserves more than it uses: LimitAS=infinity in the unit (ulimit -v unlimited); MemoryMax= is for what it uses`
  );
}

/** The whole line for an error that ends the program. @param name what failed, such as `spawnbox serve` */
export function fatalLine(name: string, error: unknown): string {
  const said = error instanceof Error ? error.message : "";
  const known = RUNTIME.find(([part]) => said.includes(part));
  if (known) return `${name}: ${known[1]()} (${visible(said)})`;
  if (error instanceof Refused) return `${name}: ${visible(error.message)}`;
  const denied = deniedAround(error);
  if (denied !== undefined) return `${name}: ${denied}`;
  const report = process.env[DEBUG]
    ? `with this stack`
    : `with what ${DEBUG}=1 in its environment makes it tell`;
  return `${name}: failed unexpectedly: ${errorLine(error)}. This is a bug of spawnbox ${version}: please report it, ${report}`;
}

const HIDDEN = /\b(ENOENT|EACCES|EPERM|EIO|ENOTDIR)\b/;

/** What to say of an error that what is around this process is the likely cause of: a filter, or who hides files of the kernel. */
export function deniedAround(error: unknown): string | undefined {
  const said = error instanceof Error ? error.message : "";
  if (/\b(EPERM|ENOSYS)\b/.test(said) && isFiltered())
    return `${visible(said)}: a seccomp filter around it denies that: SystemCallFilter=@system-service in the unit; or --security-opt seccomp=unconfined, of the container`;
  const isOfSystem = error instanceof Error && "errno" in error;
  if (isOfSystem && HIDDEN.test(said) && /\W\/(proc|sys)\//.test(said))
    return `${visible(said)}: it is to be there and to be read: a security module (AppArmor, SELinux, Smack), ProcSubset= or InaccessiblePaths= of the unit, or the container hides it`;
  return undefined;
}

/** Whether somebody has put a filter around this process: seccomp(2). */
const isFiltered = (): boolean => /^Seccomp:\s*2$/m.test(ownFile("status"));

/** A file of /proc/self; nothing where it is hidden. */
function ownFile(name: string): string {
  try {
    return readFileSync(`/proc/self/${name}`, "utf8");
  } catch {
    // nothing is known then
    return "";
  }
}

/**
 * From here on, what nobody caught ends the process so. All tasks end with it: the kernel closes their lifelines, and a service
 * manager starts it again.
 */
export function endOnUnexpected(name: string): (error: unknown) => never {
  const end = (error: unknown): never => {
    console.error(fatalLine(name, error));
    process.exit(1);
  };
  process.on("uncaughtException", end);
  process.on("unhandledRejection", end);
  return end;
}

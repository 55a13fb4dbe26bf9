/** Checks that a program can be executed inside a sandbox: itself, its `#!` interpreter, its ELF loader. See execve(2). */
import { SECOND } from "./abi.ts";
import { posix } from "node:path";
import { MACHINE, programFile } from "./program-file.ts";
import { lacking, RIGHT, type User } from "./rights.ts";
import type { Found, View } from "./view.ts";
import { capabilityShort } from "./words.ts";

/** The kernel follows interpreters of interpreters this deep, and the loader of the last does not count. */
const MOST_INTERPRETERS = 5;
const HEAD = 4096;
/** Who executes, and within what. */
export interface ProgramContext {
  readonly view: View;
  /** Of the programs; undefined where those of this machine are not those that will be executed. */
  readonly arch: "x64" | "arm64" | undefined;
  /** Whether Landlock lets a path without links be executed. */
  mayExecute(path: string): boolean;
  /** Who the command is; undefined where the rights of files do not hold it, or are not known. */
  readonly user?: User | undefined;
  /** PATH of the command; undefined where that is not known yet. */
  readonly searchPath?: string | undefined;
  /** Capabilities that a file may give; undefined where nothing bounds them. */
  readonly mayGain?: ReadonlySet<number> | undefined;
  /** What bounds them is not the sandbox. */
  readonly isServersBound?: boolean;
  /** Whether the filter kills what makes calls of the architecture's 32-bit ABI. */
  readonly killsForeign: boolean;
  /** Is told of each file that is executed. */
  needs?(path: string): void;
}

/** Throws telling what is wrong, who needs it, and what to do. */
export function checkProgram(context: ProgramContext, path: string): void {
  check(context, path, "", 0);
}

/** The same; what is executed with the program, first itself: its interpreters and its loader. */
export function executedWith(context: ProgramContext, path: string): readonly string[] {
  const paths: string[] = [];
  check({ ...context, needs: (one) => paths.push(one) }, path, "", 0);
  return paths;
}

function check(context: ProgramContext, path: string, neededBy: string, depth: number): void {
  const { view } = context;
  const needed = neededBy === "" ? "" : `, which ${neededBy} needs`;
  const found = attempt(needed, () => view.resolve(path));
  if (!context.mayExecute(found.path))
    throw new Error(
      `${path} may not be executed${needed}: add it, or a directory above it, to landlock.exec`,
    );
  // Made at boot by execfd: its content is the config's business.
  const { host } = found;
  if (host === undefined) return;
  const file = view.files.lookup(host);
  if (file?.kind === "dir")
    throw new Error(`${path} is a directory, and not an executable file${needed}`);
  if (file?.kind !== "file") throw new Error(`${path} is not an executable file${needed}`);
  if (!file.executable)
    throw new Error(`${path} is not an executable file${needed}: chmod +x ${host}`);
  if (found.noexec)
    throw new Error(`${path} lies on a noexec mount${needed}: set "exec": true on it`);
  if (view.files.mountFlags(host).noexec)
    throw new Error(
      `${path} lies on a noexec mount of this machine${needed}: put it elsewhere, or mount -o remount,exec what ${host} is on`,
    );
  checkRights(context, found, path, RIGHT.execute, needed);
  context.needs?.(path);
  const head = view.files.head(host, HEAD);
  // The server may not read what it, or another user, may execute.
  if (head === undefined) return;
  const foreign = view.files.foreignFormats().find((one) => one.matches(head, path));
  if (foreign) {
    if (!foreign.opened) deeper(context, foreign.interpreter, path, depth);
    return;
  }
  const program = told(path, needed, () => programFile(head));
  if (program.kind === "elf") {
    checkMachine(context, program.machine, path, needed);
    checkGain(context, found, path, needed);
    // It has none of its own.
    if (program.loader !== undefined) check(context, program.loader, path, MOST_INTERPRETERS);
    return;
  }
  checkRights(context, found, path, RIGHT.read, needed);
  deeper(context, program.interpreter, path, depth);
  if (posix.basename(program.interpreter) === "env")
    checkSearched(context, program.argument, path, depth);
}

function deeper(context: ProgramContext, path: string, neededBy: string, depth: number): void {
  if (depth >= MOST_INTERPRETERS)
    throw new Error(`${neededBy}: interpreters of interpreters, too deep`);
  check(context, path, neededBy, depth + 1);
}

/** What env(1) looks up in PATH, for `#!/usr/bin/env NAME`. */
function checkSearched(
  context: ProgramContext,
  argument: string,
  path: string,
  depth: number,
): void {
  const split = /^(?:-S|--split-string[= ])\s*(.*)$/s.exec(argument)?.[1];
  const [name = "", ...more] = (split ?? argument).split(/[ \t]+/);
  // Its options and variables may change anything.
  if (name === "" || name.startsWith("-") || name.includes("=")) return;
  if (split === undefined && more.length > 0)
    throw new Error(
      `${path} gives env the one name ${JSON.stringify(argument)}, as the kernel does not split it: write #!/usr/bin/env -S ${argument}`,
    );
  if (name.startsWith("/")) return deeper(context, name, path, depth);
  const { searchPath } = context;
  if (searchPath === undefined || name.includes("/")) return;
  const at = searchPath
    .split(":")
    .filter((directory) => directory.startsWith("/"))
    .map((directory) => posix.join(directory, name))
    .find((one) => isThere(context, one));
  if (at === undefined)
    throw new Error(
      `${path} needs ${name}, which is in no directory of PATH inside the sandbox (${searchPath}): mount it there, or set PATH in envs`,
    );
  deeper(context, at, path, depth);
}

/**
 * Whether env(1) would stop here: it goes on to the next directory where the user may not execute what is there, see execvp in
 * exec(3). What is made at boot is there; where the server cannot look, nothing is known to be.
 */
function isThere(context: ProgramContext, path: string): boolean {
  const { view } = context;
  try {
    const found = view.resolve(path);
    checkRights(context, found, path, RIGHT.execute, "");
    const file = found.host === undefined ? undefined : view.files.lookup(found.host);
    return found.host === undefined || (file?.kind === "file" && file.executable);
  } catch {
    // not visible, no such file, or not for this user: the next directory is looked at
    return false;
  }
}

function checkMachine(
  { arch, killsForeign }: ProgramContext,
  machine: number,
  path: string,
  needed: string,
): void {
  if (arch === undefined || machine === MACHINE[arch]) return;
  if (machine !== (arch === "x64" ? MACHINE.i386 : MACHINE.arm)) {
    const names = Object.entries(MACHINE).find(([, number]) => number === machine);
    throw new Error(
      `${path} is a program of another architecture (${names?.[0] ?? `machine ${machine}`})${needed}: install that for ${arch}`,
    );
  }
  if (killsForeign)
    throw new Error(
      `${path} is a 32-bit program${needed}, and the seccomp filter of the sandbox kills what makes calls of another ABI than that of ${arch}: install the 64-bit program, or let the filter take that ABI: "abis": ["${SECOND[arch]}"]`,
    );
}

/** As the kernel refuses it with EPERM, no_new_privs or not: "capability-dumb binaries" in capabilities(7). */
function checkGain(
  { view, mayGain, isServersBound }: ProgramContext,
  { host, nosuid }: Found,
  path: string,
  needed: string,
): void {
  if (mayGain === undefined || host === undefined || nosuid) return;
  const own = view.files.capabilities(host);
  if (!own?.effective || view.files.mountFlags(host).nosuid) return;
  const names = bits(own.permitted)
    .filter((cap) => !mayGain.has(cap))
    .map(capabilityShort);
  if (names.length === 0) return;
  const [whose, todo] = isServersBound
    ? [
        "the server itself may not have",
        `its container needs --cap-add ${names.join(", ")}, its unit CapabilityBoundingSet= with ${names.map((name) => `CAP_${name}`).join(" ")}, or the sandbox`,
      ]
    : [
        "the sandbox has not",
        `add ${names.map((name) => JSON.stringify(name)).join(", ")} to caps, or give the sandbox`,
      ];
  throw new Error(
    `${path} has capabilities of its own (getcap ${host}), which ${whose}, and the kernel does not execute it without${needed}: ${todo} mounts, as all profiles but admin have them: there, files give none`,
  );
}

const bits = (mask: bigint): number[] =>
  Array.from({ length: 64 }, (_, bit) => bit).filter((bit) => ((mask >> BigInt(bit)) & 1n) === 1n);

/** Only what is sure to be refused: an access control list may allow more than the mode says. See path_resolution(7), acl(5). */
function checkRights(
  { view, user }: ProgramContext,
  { host, path: inside }: Found,
  path: string,
  right: number,
  needed: string,
): void {
  if (!user || host === undefined) return;
  for (let above = posix.dirname(inside); above !== "/"; above = posix.dirname(above)) {
    const place = view.hostPath(above);
    const whose = place === undefined ? undefined : lacking(view.files, user, place, RIGHT.execute);
    if (whose !== undefined)
      throw new Error(
        `${path} lies in ${above}, which the user of the sandbox (uid ${user.uid}) may not enter${needed}: put it elsewhere, or chmod ${whose}+x ${place}`,
      );
  }
  const whose = lacking(view.files, user, host, right);
  if (whose !== undefined)
    throw new Error(
      `${path} may not be ${right === RIGHT.read ? "read" : "executed"} by the user of the sandbox (uid ${user.uid})${needed}: chmod ${whose}+${right === RIGHT.read ? "r" : "x"} ${host}`,
    );
}

/** Who needs it stands behind what is wrong, and before what to do. */
function attempt<Value>(needed: string, look: () => Value): Value {
  try {
    return look();
  } catch (error) {
    const [what = "", ...todo] = messageOf(error).split(": ");
    throw new Error([`${what}${needed}`, ...todo].join(": "), { cause: error });
  }
}

/** An error that begins with a verb, behind the path that it is about. */
function told<Value>(path: string, needed: string, look: () => Value): Value {
  return attempt(needed, () => {
    try {
      return look();
    } catch (error) {
      throw new Error(`${path} ${messageOf(error)}`, { cause: error });
    }
  });
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

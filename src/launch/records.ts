/** What the launcher tells on its status pipe. */
import { OP, RECORD, RECORD_AT, RECORD_SIZE, TOLD_NUMBERS } from "../../ffi/launcher/layout.ts";
import { errnoName } from "../../ffi/errno.ts";
import { LaunchError } from "./task.ts";

export type LauncherRecord =
  | { kind: "started"; pid: number }
  | { kind: "failed"; error: LaunchError }
  | { kind: "told"; how: "denied" | "logged"; counts: [call: ToldCall, count: number][] }
  | {
      kind: "ended";
      status: number;
      maxrss: number;
      user: number;
      system: number;
      /** The call whose denial ended the command, where calls are told. */
      fatal?: ToldCall;
    };

/** A system call that the supervisor answered. */
export type ToldCall =
  /** One of this architecture. */
  | { readonly number: number }
  /** One of another ABI; `other`: any of those that are not counted apart. */
  | { readonly foreign: number | "other" };

/** What each step is called in an error. */
const STEP = new Map<number, string>(
  Object.entries(OP).map(([name, code]) => [code, name.toLowerCase().replaceAll("_", " ")]),
);

const text = new TextDecoder();

const EXEC_HINTS: Readonly<Record<string, string>> = {
  ENOENT: "it, or the interpreter or loader it needs, does not exist inside the sandbox",
  EACCES: "the user of the sandbox may not execute it, or it lies on a noexec mount",
};

/** What the kernel means by an errno of the step that makes processes and namespaces: clone(2), unshare(2). */
const NAMESPACE_HINTS: Readonly<Record<string, string>> = {
  ENOSPC:
    "there are as many namespaces as the user may have: raise user.max_*_namespaces (sysctl), or limit how many tasks run at once",
  EUSERS: "user namespaces are nested too deeply, or there are too many of them",
  EAGAIN:
    "there are as many processes as the user, the group or the machine may have: see limits.nproc, cgroups.pids and kernel.pid_max",
  ENOMEM: "out of memory, or the pid namespace is ending",
  EPERM: "this user may not make such a namespace: spawnbox doctor tells what would help",
};
const MAKES_NAMESPACES: ReadonlySet<number> = new Set([OP.CLONE, OP.FORK, OP.UNSHARE]);

const LABEL_HINTS: Readonly<Record<string, string>> = {
  ENOENT: "no profile of that name is loaded: apparmor_parser loads it, before the command starts",
  EINVAL: "the loaded policy knows no such label",
  EACCES: "the loaded policy does not let the server change to it",
  EPERM: "the loaded policy does not let the server change to it",
};

/** A link that the launcher follows must be one that only root can make: ffi/launcher/follow.c. */
const FOLLOWS: ReadonlySet<number> = new Set([OP.BIND, OP.LANDLOCK_PATH]);
const LINK_HINT =
  "it is a link, or leads through links, that a launch does not follow, since others than root can change them, or that go in a circle: give the link and the directories above it to root, or name in the config what it leads to";

/** Where a step of MAKES_NAMESPACES names an object, the error is about that. */
function hint(op: number, name: string, what: string): string | undefined {
  if (op === OP.LABEL) return LABEL_HINTS[name];
  if (FOLLOWS.has(op) && name === "ELOOP") return LINK_HINT;
  return MAKES_NAMESPACES.has(op) && what === "" ? NAMESPACE_HINTS[name] : undefined;
}

function failure(op: number, errno: number, what: string): LaunchError {
  if (errno === 0)
    return new LaunchError("launcher", "", "", "killed before it could execute the command");
  const name = errnoName(errno);
  if (op === OP.EXEC) {
    return new LaunchError("exec", what, name, EXEC_HINTS[name] ?? "see execve(2)");
  }
  const why = hint(op, name, what);
  const explanation = "the sandbox cannot be set up as configured, so nothing was run";
  return new LaunchError(
    STEP.get(op) ?? `op ${op}`,
    what,
    name,
    why === undefined ? explanation : `${why}. ${explanation}`,
  );
}

function fatalCall(how: number, number: number): { fatal?: ToldCall } {
  if (how === 0) return {};
  return { fatal: how === 1 ? { number } : { foreign: number } };
}

function decode(bytes: Uint8Array): LauncherRecord {
  const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_SIZE);
  const u32 = (at: number) => view.getUint32(at, true);
  const micros = (at: number) => Number(view.getBigUint64(at, true));
  switch (u32(RECORD_AT.kind)) {
    case RECORD.STARTED:
      return { kind: "started", pid: u32(RECORD_AT.pid) };
    case RECORD.FAILED: {
      const end = bytes.indexOf(0, RECORD_AT.what);
      const what = text.decode(bytes.subarray(RECORD_AT.what, end < 0 ? RECORD_SIZE : end));
      return { kind: "failed", error: failure(u32(RECORD_AT.op), u32(RECORD_AT.error), what) };
    }
    case RECORD.DENIED:
    case RECORD.LOGGED:
      return {
        kind: "told",
        how: u32(RECORD_AT.kind) === RECORD.DENIED ? "denied" : "logged",
        counts: Array.from({ length: u32(RECORD_AT.op) }, (_, i) => {
          const number = u32(RECORD_AT.what + i * 8);
          const call = number < TOLD_NUMBERS ? { number } : { foreign: "other" as const };
          return [call, u32(RECORD_AT.what + i * 8 + 4)];
        }),
      };
    case RECORD.ENDED:
      return {
        kind: "ended",
        status: u32(RECORD_AT.status),
        maxrss: u32(RECORD_AT.maxrss),
        user: micros(RECORD_AT.user) / 1000,
        system: micros(RECORD_AT.system) / 1000,
        ...fatalCall(u32(RECORD_AT.error), u32(RECORD_AT.op)),
      };
    default:
      throw new Error(`the launcher sent a record of kind ${u32(RECORD_AT.kind)}`);
  }
}

/** Cuts what is read from the status pipe into records. */
export class RecordReader {
  #rest = new Uint8Array();

  push(chunk: Uint8Array): LauncherRecord[] {
    const bytes = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    const records: LauncherRecord[] = [];
    let offset = 0;
    for (; bytes.length - offset >= RECORD_SIZE; offset += RECORD_SIZE) {
      records.push(decode(bytes.subarray(offset, offset + RECORD_SIZE)));
    }
    this.#rest = Uint8Array.from(bytes.subarray(offset));
    return records;
  }
}

/** Children of this process that nobody here has started: a subreaper gets those whose parent has died, prctl(2). */
import { readdirSync, readFileSync } from "node:fs";
import { dlopen } from "bun:ffi";
import { CError, errnoAt } from "./errno.ts";
import { int32, pidOf } from "./integer.ts";

const { symbols: libc } = dlopen("libc.so.6", {
  __errno_location: { args: [], returns: "ptr" },
  // Variadic; what these say is all in the first two: prctl(2).
  prctl: { args: ["i32", "u64"], returns: "i32" },
  waitid: { args: ["i32", "u32", "ptr", "i32"], returns: "i32" },
  getsid: { args: ["i32"], returns: "i32" },
  getpgid: { args: ["i32"], returns: "i32" },
  kill: { args: ["i32", "i32"], returns: "i32" },
});

const PR_SET_CHILD_SUBREAPER = 36;

/** From here on, what descends from this process comes to it when its parent dies. Also after execve(2). Throws CError. */
export function becomeSubreaper(): void {
  if (libc.prctl(PR_SET_CHILD_SUBREAPER, 1n) < 0)
    throw new CError("prctl", "PR_SET_CHILD_SUBREAPER", errnoAt(libc.__errno_location()));
}

const P_ALL = 0;
const P_PID = 1;
const P_PGID = 2;
const WNOHANG = 1;
const WEXITED = 4;
const WNOWAIT = 0x1000000;
/** siginfo_t; si_pid is its fourth word. */
const info = new Int32Array(32);
const SI_PID = 4;

/** Without reaping it: waitid(2). undefined: it is no child of this process. */
export function stateOfChild(pid: number): "alive" | "dead" | undefined {
  info[SI_PID] = 0;
  if (libc.waitid(P_PID, pidOf(pid), info, WEXITED | WNOHANG | WNOWAIT) < 0) return undefined;
  return info[SI_PID] === 0 ? "alive" : "dead";
}

/** Some child that is dead, whoever has started it, without reaping it; undefined: none is. */
export function deadChild(): number | undefined {
  info[SI_PID] = 0;
  libc.waitid(P_ALL, 0, info, WEXITED | WNOHANG | WNOWAIT);
  return info[SI_PID] || undefined;
}

/** siginfo_t: its third and seventh word; what of the latter is an exit code. */
const SI_CODE = 2;
const SI_STATUS = 6;
const CLD_EXITED = 1;

/**
 * Reaps a child that has ended: waitid(2), since wait4(2) may be denied. One that somebody else has waited for has ended without
 * anybody knowing how.
 */
export function exitOf(
  pid: number,
): "alive" | { readonly exit?: number; readonly signal?: number } {
  if (libc.waitid(P_PID, pidOf(pid), info, WEXITED | WNOHANG) < 0) return {};
  if (info[SI_PID] === 0) return "alive";
  const value = info[SI_STATUS] ?? 0;
  return info[SI_CODE] === CLD_EXITED ? { exit: value } : { signal: value };
}

/** Reaps a child that is dead, and no other. */
export function reapChild(pid: number): void {
  libc.waitid(P_PID, pidOf(pid), info, WEXITED | WNOHANG);
}

/** setsid(2): nobody can join a session; undefined where there is no such process. 0 is this process. */
export function sessionOf(pid: number): number | undefined {
  const session = libc.getsid(int32(pid, "pid"));
  return session < 0 ? undefined : session;
}

const SIGKILL = 9;

/** A process, or with a negative number a process group. Whether there was somebody whom this process may kill. */
export function killNow(pid: number): boolean {
  return libc.kill(pid < 0 ? -pidOf(-pid) : pidOf(pid), SIGKILL) === 0;
}

const SIGCONT = 18;

/** The children that are in a process group, see setpgid(2). Throws as {@link listChildren}. */
export const childrenIn = (group: number): number[] =>
  listChildren().filter((pid) => libc.getpgid(pid) === group);

/** Goes on, where it was stopped; nothing happens where there is no such group. */
export function continueGroup(group: number): void {
  libc.kill(-pidOf(group), SIGCONT);
}

/** Of the children in a process group one that is dead, without reaping it; `alive`: none is; undefined: there are none. */
export function deadChildIn(group: number): number | "alive" | undefined {
  info[SI_PID] = 0;
  if (libc.waitid(P_PGID, pidOf(group), info, WEXITED | WNOHANG | WNOWAIT) < 0) return undefined;
  return info[SI_PID] || "alive";
}

/**
 * The children, and where the kernel does not list them (CONFIG_PROC_CHILDREN), all processes. Those whom a dying process hands
 * over are on the list before it is dead for {@link stateOfChild}. Throws EMFILE, ENFILE and ENOMEM.
 */
export function listChildren(): number[] {
  // Each thread has its own.
  const lists = readdirSync("/proc/self/task").map((thread) => childrenOf(thread));
  const known = lists.filter((list) => list !== undefined);
  if (known.length > 0) return known.flat();
  return readdirSync("/proc").map(Number).filter(Number.isInteger);
}

/** proc_pid_children(5); undefined also when the thread has ended meanwhile, whose children another has now. */
function childrenOf(thread: string): number[] | undefined {
  try {
    return readFileSync(`/proc/self/task/${thread}/children`, "latin1")
      .split(" ")
      .filter(Boolean)
      .map(Number);
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    // Without a descriptor that is left nobody can tell.
    if (code === undefined || code === "EMFILE" || code === "ENFILE" || code === "ENOMEM")
      throw error;
    return undefined;
  }
}

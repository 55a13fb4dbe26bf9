/** Where `--audit` says that it goes. Loaded only where it is said. */
import { accessSync, constants, readFileSync, realpathSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { CError, errnoBehind } from "../../ffi/errno.ts";
import { trustOf } from "../config/trust.ts";
import type { Trust } from "../config/walk.ts";
import type { Logger } from "../log.ts";
import { isMountPoint } from "../plan/mount-types.ts";
import { Audit, wordsOf } from "./audit.ts";
import { FileSink } from "./file.ts";
import { crowded, lookAtKept } from "./kept.ts";
import { JournalSink } from "./journal.ts";
import type { Sink } from "./sink.ts";
import { StderrSink } from "./stderr.ts";
import { SyslogSink } from "./syslog.ts";

export interface AuditOptions {
  /** `stderr`, `journal`, `syslog`, or the path of a file. */
  readonly to: string;
  /** Bytes of a file; 0: without a bound. */
  readonly most: number;
  /** Files of before that are kept. */
  readonly count: number;
}

/** What may be otherwise in a moment: the server starts, and tries again. Anything else is for the operator to mend first. */
const PASSING: ReadonlySet<string> = new Set([
  "ENOSPC",
  "EDQUOT",
  "EROFS",
  "EIO",
  // A FIFO without a reader.
  "ENXIO",
]);

/** @throws Error that says why it cannot be there, and what to do */
export function openAudit({ to, most, count }: AuditOptions, tell: Logger): Audit {
  return new Audit(sinkOf(to, most, count, tell), tell);
}

/** The same before a start, without making or opening anything. @throws as {@link openAudit} */
export function lookAtAudit({ to, most }: AuditOptions): void {
  if (["stderr", "journal", "syslog"].includes(to)) return;
  const path = resolve(to);
  const trust = trustOf(process.geteuid?.() ?? 0);
  try {
    requirePlace(path, most, trust);
  } catch (error) {
    if (!(error instanceof CError && PASSING.has(error.errno))) throw toldOf(path, error);
  }
}

/** @throws as {@link lookAtKept}, or where the file could not give way to the next */
function requirePlace(path: string, most: number, trust: Trust | undefined): void {
  if (lookAtKept(path, trust) && most > 0) requireRoom(path, trust);
}

function sinkOf(to: string, most: number, count: number, tell: Logger): Sink {
  if (to === "stderr") return new StderrSink();
  if (to === "journal") return new JournalSink();
  if (to === "syslog") return new SyslogSink();
  const trust = trustOf(process.geteuid?.() ?? 0);
  // Wherever the process goes.
  const path = resolve(to);
  const sink = new FileSink({ path, most, count, trust });
  try {
    requirePlace(path, most, trust);
    sink.open();
  } catch (error) {
    if (!(error instanceof CError && PASSING.has(error.errno))) throw toldOf(path, error);
    tell("error", `audit: ${path} cannot be opened, it is tried again: ${wordsOf(error.errno)}`);
  }
  return sink;
}

/** Else it would be found out when the file is full. @throws Error that says what to do */
function requireRoom(path: string, trust: Trust | undefined): void {
  const why = crowded(path, trust);
  if (why !== undefined)
    throw new Error(`${why}: choose a directory of its own, or say --audit-max 0`);
  if (isMounted(path))
    throw new Error(
      `${path} is a mount of its own, as a file that a container is given, and so cannot give way to another file: mount its directory, or say --audit-max 0`,
    );
  const directory = dirname(path);
  try {
    accessSync(directory, constants.W_OK);
  } catch (error) {
    // It may be written to later.
    if (error instanceof Error && "code" in error && error.code === "EROFS") return;
    throw new Error(
      `${path} cannot give way to another file: this user may not write in ${directory}: let it, or say --audit-max 0`,
      { cause: error },
    );
  }
}

/** rename(2) says EBUSY of such a file. One that is not there yet is none. */
function isMounted(path: string): boolean {
  try {
    return isMountPoint(realpathSync(path), readFileSync("/proc/self/mountinfo", "utf8"));
  } catch (error) {
    if (error instanceof Error && "code" in error) return false;
    throw error;
  }
}

const ADVICE: Readonly<Record<string, string>> = {
  ENOENT: "there is no such directory: make it first",
  EACCES: "this user may not write there",
  EISDIR: "it is a directory: name a file",
  ELOOP: "it is a link, and links are not followed: name the file itself",
};

function toldOf(path: string, error: unknown): Error {
  const behind = errnoBehind(error);
  // What else says why says it better.
  const errno = error instanceof CError || behind === "ENOENT" ? behind : undefined;
  const said = error instanceof Error ? error.message : String(error);
  const advice = errno === undefined ? undefined : ADVICE[errno];
  const why = advice === undefined ? said : `${path}: ${advice} (${errno})`;
  return new Error(`--audit: ${why}`, { cause: error });
}

/**
 * Output for the operator, not the client: appended to the files `stdout` and `stderr` of the options, byte for byte, or among
 * what the server itself says, line by line. Clients get only the final event, which tells what is lost.
 */
import { closeSync, fstatSync, lstatSync, type Stats } from "node:fs";
import { resolve } from "node:path";
import { ENCODER_OPTIONS } from "../config/encoder-options.ts";
import { trustOf } from "../config/trust.ts";
import { openAppended } from "../config/written.ts";
import { errnoBehind } from "../../ffi/errno.ts";
import { Refused } from "../errors.ts";
import { isKernelLog } from "../kernel-log.ts";
import { type About, type Encoder, type Encoding, OutputLost } from "./encoder.ts";
import { checkOptions, withoutIgnored } from "./options.ts";
import { Shown } from "./shown.ts";
import { Written } from "./written.ts";

const SERVER = 2;
/** ms between two looks at whether a file has still its name. */
const LOOK = 1000;

/** Where the output goes, for one or both streams. */
interface Target {
  readonly written: Written;
  write(bytes: Uint8Array): void | Promise<void>;
  /** Some of it was in a file that is gone. */
  isGone(): boolean;
  /** Not byte for byte: a terminal, the console, the kernel log, or what the server itself writes to. */
  readonly shown: boolean;
  readonly file: boolean;
}

/** @throws NotKept */
function opened(path: string, open: (path: string) => number): number {
  try {
    return open(path);
  } catch (error) {
    const errno = errnoBehind(error);
    // What is no errno says itself what it is.
    throw errno === undefined ? error : new NotKept(path, errno);
  }
}

const OWN = "leave the option out: then it goes among what the server itself says";

/** What an errno of open(2) means here. */
const MEANING: Readonly<Record<string, string>> = {
  ELOOP: "it is a link, and those are not followed: name what it leads to",
  ENXIO: `nobody reads this FIFO; of a socket, ${OWN}`,
  EISDIR: "it is a directory: name a file in it",
  ENOENT: "its directory is not there: make it first",
  ENOTDIR: "what is to be its directory is none",
  EACCES: "the server's user may not write there",
  EPERM: "the file may not be written (lsattr tells more)",
  EROFS: "the file system is read-only",
};

/** A command whose log cannot be kept is not started. */
class NotKept extends Refused {
  constructor(
    path: string,
    readonly errno: string,
  ) {
    const why = /^\/dev\/std(out|err)$/.test(path) ? OWN : MEANING[errno];
    super(["log encoder", path, errno, why].filter(Boolean).join(": "));
  }
}

function openTarget(path: string | undefined, about: About): Target {
  const own = path === undefined;
  const open = (file: string) => openAppended(file, 0o640, trustOf(process.geteuid?.() ?? 0));
  const fd = own ? SERVER : opened(path, open);
  const stats = fstatSync(fd);
  const where = own ? "the server's own output" : path;
  const failed = (errno: string) =>
    about.tell(`log encoder: cannot write ${where}: ${errno}: output of this task is lost`);
  const written = new Written(fd, own, failed);
  const shown = own || isForPeople(stats);
  const isKept = !own && stats.isFile();
  return {
    ...{ written, shown, file: !own },
    ...(isKept
      ? new Kept(written, path, open).target
      : { write: (bytes: Uint8Array) => written.write(bytes), isGone: () => false }),
  };
}

/**
 * A file on disk. logrotate(8) and its like give it another name, and a task may run for months: so what is printed from then on goes
 * into a new one of the name.
 */
class Kept {
  #looked = performance.now();
  #isGone = false;

  constructor(
    readonly written: Written,
    readonly path: string,
    readonly open: (path: string) => number,
  ) {}

  get target(): Pick<Target, "write" | "isGone"> {
    return {
      write: (bytes) => {
        const now = performance.now();
        if (now - this.#looked >= LOOK) {
          this.#looked = now;
          this.#look();
        }
        return this.written.write(bytes);
      },
      isGone: () => this.#isGone || fstatSync(this.written.fd).nlink === 0,
    };
  }

  #look(): void {
    const { dev, ino, nlink } = fstatSync(this.written.fd);
    try {
      const named = lstatSync(this.path, { throwIfNoEntry: false });
      if (named?.dev === dev && named.ino === ino) return;
      this.written.moveTo(this.open(this.path));
      this.#isGone ||= nlink === 0;
    } catch {
      // There can be none: the one that is open has all of it.
    }
  }
}

function isForPeople(stats: Stats): boolean {
  if (stats.isCharacterDevice()) return true;
  return [1, 2].some((fd) => {
    const { dev, ino } = fstatSync(fd);
    return stats.dev === dev && stats.ino === ino;
  });
}

export const log: Encoder = {
  name: "log",
  synchronous: false,
  check: (opts) => checkOptions("log", opts),
  /** Existing configs say how long lines may be, which has never meant anything here; and name files beside themselves. */
  adapt(opts, directory) {
    const kept = withoutIgnored("log", opts);
    const placed = Object.entries(kept.opts).map(([name, value]): [string, unknown] => {
      const isPath =
        Object.hasOwn(ENCODER_OPTIONS.log, name) && typeof value === "string" && value !== "";
      return [name, isPath ? resolve(directory, value) : value];
    });
    return { ...kept, opts: Object.fromEntries(placed) };
  },
  /** Throws {@link NotKept}, or what names a place that is not to be trusted. */
  begin(opts, _emit, about) {
    const targets = new Map<string | undefined, Target>();
    const target = (value: unknown): Target => {
      const path = typeof value === "string" ? value : undefined;
      const known = targets.get(path);
      if (known) return known;
      const opened = openTarget(path, about);
      targets.set(path, opened);
      return opened;
    };
    const close = () => {
      for (const { written, file } of targets.values()) if (file) closeSync(written.fd);
    };
    try {
      const streams = { stdout: target(opts["stdout"]), stderr: target(opts["stderr"]) };
      const stdout = streamTo("stdout", streams.stdout, about);
      const stderr = streamTo("stderr", streams.stderr, about);
      return {
        stdout: stdout.push,
        stderr: stderr.push,
        async end() {
          try {
            await stdout.end();
            await stderr.end();
            const lost = lostOf(streams, about);
            if (lost !== "") throw new OutputLost(lost);
            return {};
          } finally {
            close();
          }
        },
      };
    } catch (error) {
      close();
      throw error;
    }
  },
};

/** For a reply that waits for the end: what is printed is the operator's all the same, and not in it. */
export const logged: Encoder = { ...log, synchronous: true };

function streamTo(
  stream: "stdout" | "stderr",
  { written, shown, write }: Target,
  about: About,
): { push: Encoding["stdout"]; end(): void | Promise<void> } {
  if (!shown) return { push: write, end() {} };
  const lines = new Shown(
    () => about.name,
    stream,
    write,
    () => isKernelLog(written.fd),
  );
  return { push: (chunk) => lines.push(chunk), end: () => lines.end() };
}

/** What of the output is nowhere, and why; "" when it is all there. */
function lostOf({ stdout, stderr }: Record<"stdout" | "stderr", Target>, about: About): string {
  const both = stdout === stderr;
  return [
    describe(both ? "stdout and stderr" : "stdout", stdout, about),
    ...(both ? [] : [describe("stderr", stderr, about)]),
  ]
    .filter((text) => text !== undefined)
    .join("; ");
}

function describe(what: string, { written, isGone }: Target, about: About): string | undefined {
  const { lost, why } = written;
  if (why !== undefined) return `${lost} bytes of ${what} are lost: ${why}`;
  if (!isGone()) return undefined;
  about.tell(`log encoder: the file of ${what} was removed while the task ran: its output is lost`);
  return `${what} is lost: the file was removed meanwhile`;
}

/**
 * The launcher without a server: as any process could execute it, with whatever that has left open, ignored, blocked or set. What
 * the runtime of the server does by chance when it starts a process, it does not do here.
 */
import { closeSync, writeSync } from "node:fs";
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hostArch, launcherFile } from "../../ffi/launcher/build.ts";
import { OP, RECORD, RECORD_AT, RECORD_SIZE } from "../../ffi/launcher/layout.ts";
import { pipe } from "../../ffi/libc.ts";
import { Channel } from "../../src/launch/channel.ts";
import { filterSource, numbered, type Rule } from "../places/rules.ts";
import { assembled, type WrittenOp } from "../plan/ops.ts";
import { injecting } from "../strace.ts";

/** CLONE_NEW… of clone(2). */
export const NEW = {
  mount: 0x00020000,
  cgroup: 0x02000000,
  uts: 0x04000000,
  ipc: 0x08000000,
  user: 0x10000000,
  pid: 0x20000000,
  net: 0x40000000,
} as const;

export interface Direct {
  /** The bytes of the plan, in the place of those that come of the steps. */
  readonly plan?: Uint8Array;
  readonly argv?: readonly string[];
  /** CLONE_NEW… */
  readonly flags?: number;
  /** Python that is done before the launcher is executed by the same process: `os`, `signal`, `ctypes`, `libc` are there. */
  readonly before?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** What a filter around the launcher, and around the command, answers. */
  readonly denied?: readonly Rule[];
  /** What the kernel answers instead, to the launcher and to the command: `inject=` of strace(1). */
  readonly inject?: string;
  /** Whom the launcher is executed as; only root can choose. */
  readonly uid?: number;
  /** Bytes that are on the lifeline from the start. */
  readonly orders?: readonly number[];
  /** With WAIT: what comes on the pipe of the words. */
  readonly words?: Uint8Array;
  /** Before that: by its process, which may not be the supervisor yet, and with bytes for the lifeline. */
  readonly waiting?: (supervisor: number, order: Running["order"]) => Promise<void>;
  /** While the command runs: its pid, that of the supervisor, and the write end of the lifeline. */
  readonly meanwhile?: (running: Running) => Promise<void>;
}

export interface Running {
  readonly pid: number;
  readonly supervisor: number;
  /** Bytes for the lifeline. */
  order(...bytes: number[]): void;
  /** The server is gone. */
  hangUp(): void;
}

export interface Told {
  readonly kind: keyof typeof RECORD;
  readonly pid: number;
  /** Of a failure: the step and what it was about. */
  readonly failure?: string;
  /** errno of a failure, or how a verdict ended the command. */
  readonly error: number;
  /** As waitpid(2) has it. */
  readonly status: number;
  /** The call that ended the command, by its number. */
  readonly op: number;
  /** KiB, and µs of processor time. */
  readonly maxrss: number;
  readonly user: number;
  readonly system: number;
  /** Of the launch, and of its supervisor. */
  readonly from: number;
  readonly supervisor: number;
  /** How often calls were denied or logged. */
  readonly counts: readonly (readonly [call: number, count: number])[];
}

export interface Launched {
  readonly stdout: string;
  readonly stderr: string;
  readonly records: readonly Told[];
  /** Of its supervisor. */
  readonly exit: number;
}

/** Of the first thread of a process; none of one that is gone. */
export function childrenOf(pid: number): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8");
    return text.split(" ").filter(Boolean).map(Number);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
    return [];
  }
}

const NAMES = Object.entries(OP) as [string, number][];
const KINDS = Object.entries(RECORD) as [keyof typeof RECORD, number][];

/** A record, as the server reads it. */
export function told(record: Buffer): Told {
  const word = (at: number) => record.readUInt32LE(at);
  const [kind = "FAILED"] = KINDS.find(([, code]) => code === word(RECORD_AT.kind)) ?? [];
  const [name] = NAMES.find(([, code]) => code === word(RECORD_AT.op)) ?? [];
  const [what] = record.toString("utf8", RECORD_AT.what).split("\0");
  return {
    kind,
    ...(kind === "FAILED" && { failure: `${name} ${what}`.trim() }),
    ...{ pid: word(RECORD_AT.pid), error: word(RECORD_AT.error), status: word(RECORD_AT.status) },
    op: word(RECORD_AT.op),
    maxrss: word(RECORD_AT.maxrss),
    user: Number(record.readBigUInt64LE(RECORD_AT.user)),
    system: Number(record.readBigUInt64LE(RECORD_AT.system)),
    ...{ from: word(RECORD_AT.from), supervisor: word(RECORD_AT.supervisor) },
    counts:
      kind === "DENIED" || kind === "LOGGED"
        ? Array.from({ length: word(RECORD_AT.op) }, (_, i) => {
            const at = RECORD_AT.what + i * 8;
            return [word(at), word(at + 4)] as const;
          })
        : [],
  };
}

/** Closes its own ends, gives the launcher fds 3, 4 and 5 and nothing else but what `before` opens, and becomes it. */
const BEFORE = `
import os, sys
launcher, before, rules, uid, argv = *sys.argv[1:4], int(sys.argv[4]), sys.argv[5:]
if before or rules != "[]":
    import ctypes, json, resource, signal
    libc = ctypes.CDLL(None, use_errno=True)
    exec(before)
if rules != "[]":
    filters = {"__name__": "filters"}
    exec(${JSON.stringify(filterSource)}, filters)
    filters["apply"](json.loads(rules))
if uid >= 0:
    os.setgroups([]); os.setresgid(uid, uid, uid); os.setresuid(uid, uid, uid)
os.execve(launcher, ["spawnbox: test"] + argv, dict(os.environ))
`;

/** Launches and waits until the whole tree is gone, and the launcher with it. */
export async function launch(ops: readonly WrittenOp[], direct: Direct = {}): Promise<Launched> {
  const { argv = ["/bin/true"], flags = 0, before = "", env = {}, uid = -1 } = direct;
  const { denied = [], orders = [], words, waiting, meanwhile, inject } = direct;
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-direct-"));
  const mine: number[] = [];
  try {
    const file = join(dir, "plan");
    writeFileSync(file, direct.plan ?? assembled(ops, flags));
    const plan = openSync(file, "r");
    const [status, statusEnd] = pipe();
    const [lifelineEnd, lifeline] = pipe();
    mine.push(lifeline);
    writeSync(lifeline, Uint8Array.from(orders));
    const [wordsEnd, given] = words ? pipe() : [];
    const launcher = launcherFile(hostArch);
    const child = Bun.spawn(
      [
        ...(inject === undefined ? [] : injecting(inject)),
        ...["/usr/bin/python3", "-ISc", BEFORE, launcher, before],
        ...[JSON.stringify(numbered(denied)), `${uid}`, ...argv],
      ],
      {
        stdio: [
          ...(["ignore", "pipe", "pipe", plan, statusEnd, lifelineEnd] as const),
          ...(wordsEnd === undefined ? [] : [wordsEnd]),
        ],
        env: { PATH: "/usr/bin:/bin", ...env },
      },
    );
    for (const fd of [plan, statusEnd, lifelineEnd]) closeSync(fd);
    if (wordsEnd !== undefined) closeSync(wordsEnd);
    const output = Promise.all([child.stdout.text(), child.stderr.text()]);
    const records: Told[] = [];
    let running: Promise<void> | undefined;
    const hangUp = () => {
      const fd = mine.pop();
      if (fd !== undefined) closeSync(fd);
    };
    const order = (...bytes: number[]) => void writeSync(lifeline, Uint8Array.from(bytes));
    if (words && given !== undefined) {
      await waiting?.(child.pid, order);
      try {
        writeSync(given, words);
      } catch (error) {
        // Nobody waits any more.
        if ((error as NodeJS.ErrnoException).code !== "EPIPE") throw error;
      }
      closeSync(given);
    }
    let rest = Buffer.alloc(0);
    await new Channel(status).drain((chunk) => {
      rest = Buffer.concat([rest, chunk]);
      for (; rest.length >= RECORD_SIZE; rest = rest.subarray(RECORD_SIZE)) {
        const record = told(rest.subarray(0, RECORD_SIZE));
        records.push(record);
        if (record.kind === "STARTED" && meanwhile)
          running = meanwhile({ pid: record.pid, supervisor: child.pid, order, hangUp });
      }
    });
    await running;
    const [stdout, stderr] = await output;
    return { stdout, stderr, records, exit: await child.exited };
  } finally {
    for (const fd of mine) closeSync(fd);
    rmSync(dir, { recursive: true });
  }
}

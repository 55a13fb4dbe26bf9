/**
 * The launcher against plans that nobody compiled: it refuses them or does their steps, and never crashes. The real one runs, as
 * an ordinary user inside bubblewrap, where everything but one directory is read-only: whatever a step does, it does it there.
 */
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  HEADER_SIZE,
  MAGIC,
  OP,
  OP_HEADER_SIZE,
  type OpName,
  RECORD,
  RECORD_AT,
  RECORD_SIZE,
  SHAPE,
  VERSION,
} from "../../ffi/launcher/layout.ts";
import { launcherFile } from "../../ffi/launcher/build.ts";
import { asUser, compiled, planOf } from "../plan/compiling.ts";
import { spoil } from "./random.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

const ORDINARY = 65534;
const isRoot = process.geteuid?.() === 0;
/** Signals of a broken program: SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGSEGV. */
const CRASHES = [4, 5, 6, 7, 8, 11];
/** timeout(1) has killed it, and says how. */
const HANGS = 128 + 9;
/** Of what main.c says that it is no plan. An empty file cannot even be mapped. */
const REFUSALS = ["PLAN_READ layout", "PLAN_READ mmap"];
const KILLED_BEFORE_EXEC = "CLONE killed before exec";
const CODES = Object.values(OP);
const OP_NAMES = Object.entries(OP) as [OpName, number][];

let plans: Uint8Array[] | undefined;
/** Of sandboxes that use most ops between them. */
function seeds(): Uint8Array[] {
  const system = ["/usr", "/bin", "/lib", "/lib64"].map((target) => ({ target, mode: "ro" }));
  const machine = isRoot ? asUser : { privileged: false };
  return (plans ??= [
    {},
    {
      acls: { umask: "027", chdir: "/tmp" },
      commands: { uid: "c", exec: { cmdpath: "/bin/sh" }, limits: { nofile: 64 } },
    },
    {
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        rules: [{ syscall: "@mount", action: "SCMP_ACT_ERRNO(EPERM)" }],
      },
    },
    { namespace: { shares: { all: "disable" }, opts: { hostname: "box" } } },
    {
      namespace: {
        shares: { all: "disable" },
        mounts: [
          ...system,
          { target: "/proc", mode: "proc" },
          { target: "/tmp", mode: "tmpfs", size: "1M" },
          { target: "/x", source: "y", mode: "symlink" },
          { target: "/d/e", mode: "dir" },
          { target: "/dev", mode: "dev" },
        ],
      },
    },
    {
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        report: true,
        rules: [{ syscall: "@mount", action: "SCMP_ACT_ERRNO(EPERM)" }],
      },
    },
    { commands: { uid: "c", pty: true, exec: { cmdpath: "/bin/sh" } } },
    {
      namespace: { shares: { all: "disable" }, mounts: system },
      commands: { uid: "c", pty: { cols: 9 }, exec: { cmdpath: "/bin/sh" } },
    },
    { landlock: { ro: ["/usr"], rw: ["/tmp"], exec: ["/usr"] } },
  ].map((sandbox) => planOf(compiled(sandbox, machine)).ops));
}

/** Offsets of the ops of a plan that is in order. */
function offsets(blob: Buffer): number[] {
  const found: number[] = [];
  for (let at = HEADER_SIZE; at + 16 <= blob.length; at += Math.max(16, blob.readUInt32LE(at + 4)))
    found.push(at);
  return found;
}

function mutate(random: Random): Uint8Array {
  const [first = new Uint8Array(), ...rest] = seeds();
  let blob = Buffer.from(random.pick([first, ...rest]));
  for (let i = random.below(4); i >= 0; i--) {
    const ops = offsets(blob);
    const at = ops[random.below(ops.length)] ?? HEADER_SIZE;
    const word = (offset: number, ...values: [number, ...number[]]): void => {
      if (offset + 4 <= blob.length) blob.writeUInt32LE(random.pick(values), offset);
    };
    switch (random.below(7)) {
      case 0:
        word(at, random.below(90), CODES[random.below(CODES.length)] ?? 0);
        break;
      case 1:
        word(
          at + random.pick([4, 8, 12]),
          0,
          1,
          8,
          15,
          16,
          24,
          32,
          4096,
          0x7fffffff,
          0xffffffff,
          0xfffffff8,
        );
        break;
      case 2:
        word(
          random.pick([4, 8, 12]),
          0,
          1,
          2,
          0xffffffff,
          random.below(2 ** 32),
          0x7e020000,
          0x100,
        );
        break;
      case 3: {
        const op = blob.subarray(at, at + (blob.length >= at + 8 ? blob.readUInt32LE(at + 4) : 0));
        const to = ops[random.below(ops.length)] ?? HEADER_SIZE;
        blob = Buffer.concat([blob.subarray(0, to), op, blob.subarray(to)]);
        break;
      }
      case 4:
        blob = Buffer.concat([blob.subarray(0, at), blob.subarray(at + 16 + 8 * random.below(6))]);
        break;
      case 5:
        blob = Buffer.from(spoil(random, blob, 2));
        break;
      default:
        blob = Buffer.from(blob.subarray(0, random.below(blob.length + 1)));
    }
    // Mostly of the size that it says, or nothing behind the first check would ever be reached.
    if (!random.once(8) && blob.length >= HEADER_SIZE) blob.writeUInt32LE(blob.length, 8);
  }
  // A page exactly filled: what reads on behind the last op would meet nothing mapped.
  if (random.once(4) && blob.length > HEADER_SIZE && blob.length < 4096) blob = filled(blob);
  return blob;
}

/** The plan with an op in front that takes up the rest of its page. */
function filled(blob: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
  const room = 4096 - blob.length;
  if (room < 16 || room % 8 !== 0) return blob;
  const padding = Buffer.alloc(room);
  padding.writeUInt32LE(room, 4);
  const page = Buffer.concat([blob.subarray(0, HEADER_SIZE), padding, blob.subarray(HEADER_SIZE)]);
  page.writeUInt32LE(page.length, 8);
  return page;
}

/** Each plan in a launcher of its own; the exit status of each goes to a file beside it. */
const SCRIPT = `
for plan in "$1"/*.plan; do
  timeout -s KILL 10 bash -c 'exec -a "spawnbox: fuzz" "$1/launcher" /bin/true' _ "$1" 3<"$plan" 4>"$plan.status" 5<&9
  echo $? >"$plan.exit"
done`;

function run(blobs: readonly Uint8Array[]): { exit: number; records: Buffer }[] {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-fuzz-"));
  try {
    chmodSync(dir, 0o777);
    copyFileSync(launcherFile(process.arch === "arm64" ? "arm64" : "x64"), join(dir, "launcher"));
    chmodSync(join(dir, "launcher"), 0o755);
    const name = (i: number): string => `${i}`.padStart(4, "0");
    blobs.forEach((blob, i) => writeFileSync(join(dir, `${name(i)}.plan`), blob));
    const drop = isRoot
      ? ["setpriv", `--reuid=${ORDINARY}`, `--regid=${ORDINARY}`, "--clear-groups"]
      : [];
    const box = [
      ...[
        "bwrap",
        "--ro-bind",
        "/",
        "/",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--tmpfs",
        "/tmp",
        "--bind",
        dir,
        dir,
      ],
      ...[
        "--unshare-pid",
        "--unshare-net",
        "--unshare-ipc",
        "--new-session",
        "--die-with-parent",
        "--chdir",
        dir,
      ],
    ];
    // The lifeline: a pipe that nobody writes to or closes, but a process that ends with the script.
    const script = `exec 9< <(exec sleep 1000)\nsleeper=$!${SCRIPT}\nkill $sleeper`;
    const done = Bun.spawnSync([...drop, ...box, "bash", "-c", script, "fuzz", dir], {
      stdio: ["ignore", "ignore", "pipe"],
      timeout: 120_000,
    });
    demand(
      done.success,
      `a launcher hangs, or could not be run: ${done.exitCode} ${done.signalCode}`,
      done.stderr.toString(),
      readdirSync(dir).length,
    );
    return blobs.map((_, i) => ({
      exit: Number(readFileSync(join(dir, `${name(i)}.plan.exit`), "utf8")),
      records: readFileSync(join(dir, `${name(i)}.plan.status`)),
    }));
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** NAMESPACES of main.c. */
const CLONE_FLAGS = 0x7e020000;

const BINARY: readonly (OpName | undefined)[] = ["FILE", "SECCOMP", "SECCOMP_LISTENER", "VERDICTS"];

/** Whether a plan is one by the contract in layout.ts, read anew from there. */
function isPlan(blob: Buffer): boolean {
  if (blob.length < HEADER_SIZE) return false;
  const word = (at: number): number => blob.readUInt32LE(at);
  if (word(0) !== MAGIC || word(4) !== VERSION || word(8) !== blob.length) return false;
  if ((word(12) & ~CLONE_FLAGS) !== 0) return false;
  for (let at = HEADER_SIZE; at < blob.length; at += word(at + 4)) {
    const left = blob.length - at;
    if (left < OP_HEADER_SIZE) return false;
    const [size, count, bytes] = [word(at + 4), word(at + 8), word(at + 12)];
    if (size > left || size % 8 !== 0 || size < OP_HEADER_SIZE + count * 8 + bytes) return false;
    const data = blob.subarray(at + OP_HEADER_SIZE + count * 8).subarray(0, bytes);
    if (!isShaped(word(at), count, data)) return false;
  }
  return !has(blob, OP.SECCOMP_LISTENER) || has(blob, OP.VERDICTS);
}

function isShaped(code: number, count: number, data: Buffer): boolean {
  const [name] = OP_NAMES.find(([, one]) => one === code) ?? [];
  const [numbers, strings] = (name && SHAPE[name]) ?? [0, 0];
  const ended = data.toString("latin1").split("\0").length - 1;
  if (count < numbers || ended < strings || (name === "FSMOUNT" && ended % 2 !== 0)) return false;
  return BINARY.includes(name) || data.length === 0 || data.at(-1) === 0;
}

/** The op of a record, and the object it failed on. */
function whatOf(records: Buffer, at: number): string {
  if (records.length < at + RECORD_SIZE) return "";
  const code = records.readUInt32LE(at + RECORD_AT.op);
  const [name = ""] = OP_NAMES.find(([, one]) => one === code) ?? [];
  const [what = ""] = records.toString("latin1", at + RECORD_AT.what, at + RECORD_SIZE).split("\0");
  return `${name} ${what}`;
}

const has = (blob: Buffer, ...codes: number[]): boolean =>
  offsets(blob).some((at) => codes.includes(blob.readUInt32LE(at)));

/** Stands for the version in inputs, so that a seed outlives it. */
const ANY_VERSION = "VERS";

function toHex(blob: Uint8Array): string {
  const bytes = Buffer.from(blob);
  if (bytes.length >= 8 && bytes.readUInt32LE(4) === VERSION) bytes.write(ANY_VERSION, 4, "latin1");
  return bytes.toString("hex");
}

function fromHex(hex: string): Buffer {
  const bytes = Buffer.from(hex, "hex");
  if (bytes.toString("latin1", 4, 8) === ANY_VERSION) bytes.writeUInt32LE(VERSION, 4);
  return bytes;
}

export const launcher: Target = {
  name: "launcher",
  missing() {
    const needed = [...(isRoot ? ["setpriv"] : []), "bwrap", "bash"];
    const absent = needed.filter((program) => Bun.which(program) === null);
    return absent.length > 0
      ? `the programs ${absent.join(", ")} (packages util-linux, bubblewrap, bash)`
      : undefined;
  },
  make: (random) => Array.from({ length: 20 }, () => toHex(mutate(random))),
  check(input: Json) {
    const blobs = (input as string[]).map(fromHex);
    run(blobs).forEach(({ exit, records }, i) => {
      const blob = blobs[i] ?? Buffer.alloc(0);
      const seen = () => blob.toString("hex");
      // A call may wait for a verdict that never comes: the server limits how long a launch takes.
      demand(exit !== HANGS || has(blob, OP.SECCOMP_LISTENER), "the launcher hangs", seen());
      demand(!CRASHES.includes(exit - 128), `the launcher crashed: exit ${exit}`, seen());
      const refused = REFUSALS.includes(whatOf(records, 0));
      demand(
        refused === !isPlan(blob),
        refused ? "a plan is refused" : "no plan, and taken",
        seen(),
      );
      demand(records.length % RECORD_SIZE === 0, "half a record", records.length, seen());
      for (let at = 0; at < records.length; at += RECORD_SIZE) {
        const kind = records.readUInt32LE(at + RECORD_AT.kind);
        demand(
          (Object.values(RECORD) as number[]).includes(kind),
          `record of kind ${kind}`,
          seen(),
        );
        const killed = kind === RECORD.FAILED && whatOf(records, at) === KILLED_BEFORE_EXEC;
        demand(
          !killed || has(blob, OP.SECCOMP, OP.SECCOMP_LISTENER, OP.RLIMIT),
          "the child crashed before its exec",
          seen(),
        );
      }
    });
  },
};

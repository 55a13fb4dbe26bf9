/** A terminal of the command's own: what it is like, how it fails, and that what is printed comes out as it was. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PTY } from "../../ffi/launcher/layout.ts";
import { isRoot } from "../accounts.ts";
import type { Rule } from "../places/rules.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { until } from "../served.ts";
import { type Direct, launch, NEW } from "./direct.ts";

const [UID, GID] = [4321, 1234];
const [EACCES, ENOENT, ENODEV, EINVAL, ELOOP] = [13, 2, 19, 22, 40];
const terminal = (
  where: number = PTY.OWN,
  path = "",
  [uid, gid]: readonly [number, number] = [UID, GID],
): WrittenOp[] => [["PTY", 91, 37, uid, gid, where, path]];

const LOOK = `
import fcntl, json, os, struct, termios, tempfile
modes = termios.tcgetattr(1)
i, o, c, l, _, _, cc = modes
plain = lambda n: cc[n] if isinstance(cc[n], int) else cc[n][0]
stat = os.fstat(0)
with tempfile.TemporaryFile() as own: mine = os.fstat(own.fileno())
os.write(2, b"to stderr\\n")
print(json.dumps(dict(
    terminals=[os.isatty(fd) for fd in (0, 1, 2)], same=len({os.fstat(fd).st_rdev for fd in (0, 1, 2)}) == 1,
    size=list(os.get_terminal_size()), pixels=list(struct.unpack("HHHH", fcntl.ioctl(0, termios.TIOCGWINSZ, b"\\0" * 8)))[2:],
    output=o & (termios.OPOST | termios.ONLCR),
    lines=l & (termios.ICANON | termios.ECHO | termios.ECHOE | termios.ECHOK | termios.ECHONL | termios.ECHOCTL | termios.ECHOKE),
    signals=l & termios.ISIG != 0, least=[plain(termios.VMIN), plain(termios.VTIME)],
    read=os.read(0, 9).decode(), owner=[stat.st_uid, stat.st_gid], mode=oct(stat.st_mode & 0o777),
    controls=os.tcgetpgrp(os.open("/dev/tty", os.O_RDWR)) == os.getpgid(0),
    fds=[fd for fd in range(64) if os.path.exists(f"/proc/self/fd/{fd}")][:3], mine=[mine.st_uid, mine.st_gid])))
`;

describe.skipIf(!isRoot)("a terminal", () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-terminal-"));
  beforeAll(() => chmodSync(dir, 0o755));
  afterAll(() => rmSync(dir, { recursive: true }));
  /** In a mount namespace of the launcher's. */
  const before = `
assert libc.unshare(0x20000) == 0 and libc.mount(None, b"/", None, 0x44000, None) == 0
assert libc.mount(b"devpts", b"${dir}", b"devpts", 0, b"newinstance,ptmxmode=0666,mode=0620") == 0`;
  const python = (script: string) => ["/usr/bin/python3", "-ISc", script];
  const outcome = async (ops: readonly WrittenOp[], direct: Direct = {}) => {
    const [first] = (await launch(ops, { argv: [], ...direct })).records;
    return first?.kind === "FAILED" ? `${first.failure}: ${first.error}` : first?.kind;
  };

  test.each([
    ["in an instance of its own", PTY.OWN, ""],
    ["in one that is mounted", PTY.MOUNTED, dir],
    ["of the machine", PTY.MACHINE, "/dev/ptmx"],
  ] as const)(
    "%s: all three, its size, raw, its owner's, and the controlling one",
    async (_, where, path) => {
      const { stdout, stderr, records } = await launch(terminal(where, path), {
        ...{ argv: python(LOOK), before },
      });
      expect([stderr, records.map(({ kind }) => kind)]).toEqual(["", ["STARTED", "ENDED"]]);
      const [first = "", second = ""] = stdout.split("\n");
      expect(first).toBe("to stderr");
      expect(JSON.parse(second)).toEqual({
        ...{ terminals: [true, true, true], same: true, size: [91, 37], pixels: [0, 0] },
        ...{ output: 0, lines: 0, signals: true, least: [0, 0], read: "" },
        ...{ owner: [UID, GID], mode: "0o600", controls: true, fds: [0, 1, 2], mine: [0, 0] },
      });
    },
  );

  test("says where it cannot be had", async () => {
    const link = join(dir, "link");
    symlinkSync("/dev/pts", link);
    for (const [where, path, errno] of [
      [PTY.MOUNTED, dir, ENODEV],
      [PTY.MOUNTED, link, ELOOP],
      [PTY.MOUNTED, "/no/pts", ENOENT],
      [PTY.MACHINE, "/no/ptmx", ENOENT],
    ] as const)
      expect(await outcome(terminal(where, path))).toBe(`PTY ${path}: ${errno}`);
    // Of ids that there are not in a user namespace.
    const maps: WrittenOp[] = [
      ["UID_MAP", "0 0 1\n"],
      ["GID_MAP", 0, "0 0 1\n"],
    ];
    const flags = NEW.user | NEW.mount;
    for (const ids of [
      [UID, 0],
      [0, GID],
    ] as const)
      expect(await outcome([...maps, ...terminal(PTY.OWN, "", ids)], { flags })).toBe(
        `PTY devpts: ${EINVAL}`,
      );
    expect(await outcome([...maps, ...terminal(PTY.OWN, "", [0, 0])], { flags })).toBe("STARTED");
  });

  const ioctl = (number: number): Partial<Rule> => ({ arg: 1, is: number });
  test.each<[string, string, Partial<Rule>, string]>([
    ["an instance", "fsopen", {}, "devpts"],
    ["its modes", "fsconfig", { arg: 1, is: 1 }, "devpts"],
    ["its making", "fsconfig", { arg: 1, is: 6 }, "devpts"],
    ["its mount", "fsmount", {}, "devpts"],
    ["its lock", "ioctl", ioctl(0x40045431), "pty"],
    ["its other end", "ioctl", ioctl(0x5441), "pty"],
    ["its rights", "fchmod", {}, "pty"],
    ["its modes to ask for", "ioctl", ioctl(0x5401), "pty"],
    ["its modes to set", "ioctl", ioctl(0x5402), "pty"],
    ["its size", "ioctl", ioctl(0x5414), "pty"],
    ["its way to the supervisor", "sendmsg", {}, "pty"],
    ["its control", "ioctl", ioctl(0x540e), "pty"],
    ["its numbers", "dup3", {}, "pty"],
  ])("fails where %s cannot be", async (_, call, more, what) => {
    const denied = [{ call, errno: EACCES, ...more }];
    expect(await outcome(terminal(), { denied })).toBe(`PTY ${what}: ${EACCES}`);
  });
  test("is none where nobody can tell what it is", async () => {
    const denied = [{ call: "fstatfs", errno: EACCES }];
    expect(await outcome(terminal(), { denied })).toBe(`PTY devpts: ${ENODEV}`);
  });

  /** What the terminal is told to add, and what is written, each with its own system call. */
  const writes = (adds: boolean, ...texts: readonly string[]) =>
    python(`
import os, termios
modes = termios.tcgetattr(1)
if ${adds ? 1 : 0}:
    modes[1] |= termios.OPOST | termios.ONLCR
    termios.tcsetattr(1, termios.TCSANOW, modes)
for text in ${JSON.stringify(texts)}: os.write(1, text.encode())`);
  test.each([
    ["lines", ["a\nb\n"]],
    ["returns", ["a\r\nb\rc\r\r\nd\n\r\n\re"]],
    ["one at the end", ["a\r"]],
    ["one at the end of each write", ["a\r", "\nb\r", "c\r", "\r", "\n"]],
    ["nothing but", ["\r"]],
  ])("passes on what is printed: %s", async (_, texts) => {
    for (const adds of [false, true]) {
      const { stdout, records } = await launch(terminal(), { argv: writes(adds, ...texts) });
      expect([stdout, records.at(-1)?.status]).toEqual([texts.join(""), 0]);
    }
  });
  test.each(["x", "\r"])("passes on %j while its command goes on", async (text) => {
    const seen = join(dir, "seen");
    // Who notes what comes, and is no child of the launcher.
    const reader = `
r, w = os.pipe()
if os.fork() == 0:
    if os.fork() == 0:
        for fd in (w, 1, 2, 3, 4, 5): os.close(fd)
        while data := os.read(r, 65536): open("${seen}", "ab").write(data)
    os._exit(0)
os.wait()
os.dup2(w, 1)
for fd in (r, w): os.close(fd)`;
    for (const adds of [false, true]) {
      const argv = writes(adds, text);
      argv.push(`${argv.pop()}\n__import__("time").sleep(1000)`);
      writeFileSync(seen, "");
      await launch(terminal(), {
        ...{ before: reader, argv },
        meanwhile: async ({ hangUp }) => {
          await until("it has come", () => readFileSync(seen, "utf8") === text);
          hangUp();
        },
      });
    }
  });
  test.each([false, true])("passes on much, added returns %p, to the byte", async (adds) => {
    const line = `${"0123456789abcde".repeat(8)}\r\n\n`;
    const count = 6000;
    const [program = "", flags = "", script = ""] = writes(adds);
    const argv = [
      program,
      flags,
      `${script}\nfor _ in range(${count}): os.write(1, ${JSON.stringify(line)}.encode())`,
    ];
    const { stdout } = await launch(terminal(), { argv });
    expect(stdout.length).toBe(line.length * count);
    expect(stdout === line.repeat(count)).toBe(true);
  });
  test("may be closed and opened anew; hung up by its command, it ends alone", async () => {
    const again = `
import os
name = os.ttyname(0)
print("first", flush=True)
other = os.open("/dev/tty", os.O_RDWR)
for fd in (0, 1, 2): os.close(fd)
os.write(other, b"second\\n")`;
    const { stdout } = await launch(terminal(PTY.MACHINE, "/dev/ptmx"), { argv: python(again) });
    expect(stdout).toBe("first\nsecond\n");
    const hangs = `
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.write(1, b"said\\n")
libc = __import__("ctypes").CDLL(None)
libc.vhangup()
os._exit(7)`;
    const hung = await launch(terminal(), { argv: python(hangs) });
    expect(["said\n", ""]).toContain(hung.stdout);
    expect(hung.records.at(-1)).toMatchObject({ kind: "ENDED", status: 7 << 8 });
  });
  test("of which the output is not read yet, the end is told, and its supervisor waits for that", async () => {
    // Who reads it, and is no child of the launcher.
    const reader = `
r, w = os.pipe(); own = os.dup(1)
if os.fork() == 0:
    if os.fork() == 0:
        for fd in (w, 1, 2, 3, 4, 5): os.close(fd)
        import time
        end = time.time() + 25
        while not os.path.exists("${dir}/go") and time.time() < end: time.sleep(0.01)
        while data := os.read(r, 65536): os.write(own, data)
    os._exit(0)
os.wait()
os.dup2(w, 1)
for fd in (r, w, own): os.close(fd)`;
    // More than a pipe holds, and less than is held besides.
    const size = 68 << 10;
    let waits = "";
    const { stdout } = await launch(terminal(), {
      ...{ before: reader, argv: python(`import os; os.write(1, b"x" * ${size})`) },
      meanwhile: async ({ supervisor }) => {
        const of = (name: string) => readFileSync(`/proc/${supervisor}/${name}`, "utf8");
        await until("the end is told", () => !readdirSync(`/proc/${supervisor}/fd`).includes("4"));
        await until("it waits", () => /poll/.test((waits = of("wchan"))));
        writeFileSync(join(dir, "go"), "");
      },
    });
    expect([stdout.length, /poll/.test(waits)]).toEqual([size, true]);
  });
});

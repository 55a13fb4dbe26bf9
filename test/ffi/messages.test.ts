/** Messages and datagrams to other processes, as they get them; children that nobody here has started; the number 0 of a descriptor. */
import { describe, expect, test } from "bun:test";
import { dlopen } from "bun:ffi";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Datagrams } from "../../ffi/datagram.ts";
import { copyFd } from "../../ffi/libc.ts";
import { messagePair, sendMessage } from "../../ffi/messages.ts";
import { monotonicMicroseconds, sendDatagram } from "../../ffi/notify.ts";
import { labelIn } from "../../ffi/sockets.ts";
import { has, isOpen } from "./descriptors.ts";

const FFI = join(import.meta.dir, "../../ffi");
const inPython = (script: string, fds: readonly number[] = [], argv: readonly string[] = []) =>
  Bun.spawn(["/usr/bin/python3", "-ISc", script, ...argv], {
    stdio: ["ignore", "pipe", "inherit", ...fds],
  });
/** In a process of its own, that may become something else, or wait for ever. */
const alone = async (code: string): Promise<unknown> => {
  const child = Bun.spawn([process.execPath, "-e", code], {
    ...{ stdio: ["ignore", "pipe", "inherit"], timeout: 20_000, killSignal: "SIGKILL" },
  });
  return JSON.parse(await child.stdout.text());
};
const within = async (run: (dir: string) => Promise<void>): Promise<void> => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-messages-"));
  try {
    await run(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
};

describe("a message", () => {
  test("comes whole, with copies of its descriptors in their order, however many", () =>
    within(async (dir) => {
      const fds = Array.from({ length: 16 }, (_, i) => {
        writeFileSync(join(dir, `${i}`), `file ${i}`);
        return openSync(join(dir, `${i}`), "r");
      });
      const [ours, theirs] = messagePair();
      expect([has(ours, "CLOEXEC"), has(theirs, "CLOEXEC")]).toEqual([true, true]);
      await using receiver = inPython(
        `
import os, socket
one = socket.socket(fileno=3)
print(one.type == socket.SOCK_SEQPACKET)
while True:
    data, fds, flags, _ = socket.recv_fds(one, 4096, 16)
    if not data: break
    print(data.decode(), flags & ~socket.MSG_CMSG_CLOEXEC, [os.pread(fd, 99, 0).decode() for fd in fds])
    for fd in fds: os.close(fd)`,
        [theirs],
      );
      closeSync(theirs);
      for (const count of [0, 1, 2, 3, 16])
        expect(sendMessage(ours, Buffer.from(`${count} of them`), fds.slice(0, count))).toBe(true);
      for (const [bytes, count] of [
        [1, 17],
        [0, 1],
      ] as const)
        expect(() => sendMessage(ours, Buffer.alloc(bytes), Array(count).fill(fds[0]))).toThrow(
          new RangeError("a message of a wrong size"),
        );
      closeSync(ours);
      const lines = (await receiver.stdout.text()).trimEnd().split("\n");
      const names = (count: number) =>
        `[${Array.from({ length: count }, (_, i) => `'file ${i}'`).join(", ")}]`;
      expect(lines).toEqual([
        "True",
        ...[0, 1, 2, 3, 16].map((count) => `${count} of them 0 ${names(count)}`),
      ]);
      for (const fd of fds) closeSync(fd);
    }));
  test("has no room, or nobody who takes it", () => {
    const [ours, theirs] = messagePair();
    let sent = 0;
    while (sendMessage(ours, Buffer.alloc(4096), [])) sent++;
    expect(sent).toBeGreaterThan(0);
    closeSync(theirs);
    expect(() => sendMessage(ours, Buffer.of(1), [])).toThrow(/^sendmsg\(\): (EPIPE|ECONNRESET)$/);
    closeSync(ours);
    expect(() => sendMessage(ours, Buffer.of(1), [])).toThrow("sendmsg(): EBADF");
  });
});

describe("a datagram", () => {
  const RECEIVE = `
import socket, sys
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
name = sys.argv[1]
one.bind("\\0" + name[1:] if name[0] == "@" else name)
print("ready", flush=True)
while True:
    data, fds, _, _ = socket.recv_fds(one, 65536, 4)
    if data == b"end": break
    print(data.decode(), [open(fd).read() for fd in fds], flush=True)`;
  /** As many bytes as a name can have, without its NUL. */
  const longest = (dir: string) => join(dir, "x".repeat(107 - dir.length - 1));
  test.each(["path", "abstract"])("comes to a %s as long as can be", (kind) =>
    within(async (dir) => {
      const to = kind === "path" ? longest(dir) : `@spawnbox-${process.pid}-`.padEnd(108, "y");
      await using receiver = inPython(RECEIVE, [], [to]);
      const reader = receiver.stdout.getReader();
      let said = "";
      const hear = async (text: string) => {
        while (!said.includes(text)) said += new TextDecoder().decode((await reader.read()).value);
      };
      await hear("ready");
      sendDatagram(to, "READY=1\nä");
      if (kind === "path") {
        using kept = new Datagrams(to);
        kept.send(Buffer.from("kept"));
        writeFileSync(join(dir, "file"), "in a file");
        const fd = openSync(join(dir, "file"), "r");
        kept.sendDescriptor(fd);
        closeSync(fd);
        await hear("['in a file']");
        expect(() => kept.send(Buffer.alloc(8 << 20))).toThrow("EMSGSIZE");
      }
      await hear("ä []");
      sendDatagram(to, "end");
      await receiver.exited;
      expect(said.split("\n").slice(0, 3)).toEqual(["ready", "READY=1", "ä []"]);
      if (kind === "path") expect(said).toContain("kept []\n ['in a file']\n");
      expect(() => sendDatagram(to, "x")).toThrow("ECONNREFUSED");
    }),
  );
  test("waits for no reader", () =>
    within(async (dir) => {
      const path = join(dir, "unread");
      const script = `
import signal, socket, sys
one = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
one.bind(sys.argv[1])
print("ready", flush=True)
signal.pause()`;
      await using receiver = inPython(script, [], [path]);
      await receiver.stdout.getReader().read();
      const said = await alone(`
import { Datagrams } from ${JSON.stringify(join(FFI, "datagram.ts"))};
import { sendDatagram } from ${JSON.stringify(join(FFI, "notify.ts"))};
const path = ${JSON.stringify(path)};
const kept = new Datagrams(path);
const sends = [() => kept.send(Buffer.from("x")), () => kept.sendDescriptor(0), () => sendDatagram(path, "x")];
console.log(JSON.stringify(sends.map((send) => {
  try { for (;;) send(); } catch (error) { return error.errno; }
})));`);
      expect(said).toEqual(["EAGAIN", "EAGAIN", "EAGAIN"]);
    }));
  test("goes nowhere where nobody is, or the name is too long", () =>
    within(async (dir) => {
      const none = join(dir, "none");
      expect(() => sendDatagram(none, "x")).toThrow(`sendto(${none}): ENOENT`);
      expect(() => new Datagrams(none)).toThrow(`connect(${none}): ENOENT`);
      const long = `${longest(dir)}x`;
      expect(() => sendDatagram(long, "x")).toThrow(`sendto(${long}): ENAMETOOLONG`);
      expect(() => sendDatagram("@".padEnd(109, "x"), "x")).toThrow("ENAMETOOLONG");
      expect(() => new Datagrams(long)).toThrow(`connect(${long}): ENAMETOOLONG`);
    }));
});

test("the clock of the service manager is that of this process, to the microsecond", () => {
  const { symbols: libc } = dlopen("libc.so.6", {
    clock_gettime: { args: ["i32", "ptr"], returns: "i32" },
  });
  const time = new BigInt64Array(2);
  const monotonic = () => {
    libc.clock_gettime(1, time);
    const [seconds = 0n, nanoseconds = 0n] = time;
    return (seconds * 1_000_000_000n + nanoseconds) / 1000n;
  };
  for (let i = 0; i < 1000; i++) {
    const before = monotonic();
    const now = monotonicMicroseconds();
    expect([before <= now, now <= monotonic()]).toEqual([true, true]);
  }
});

test("a label ends before what some modules put behind it", () => {
  expect(
    ["a\0", "a\n", "a\n\0", "a", "", "\0", "a\nb\n"].map((text) => labelIn(Buffer.from(text))),
  ).toEqual([...["a", "a", "a", "a", undefined, undefined, "a\nb"]]);
});

test("a copy of a descriptor goes to no program, and what there is none of cannot be copied", () => {
  const fd = openSync("/dev/null", "r");
  const copy = copyFd(fd);
  expect([copy === fd, has(copy, "CLOEXEC")]).toEqual([false, true]);
  closeSync(copy);
  closeSync(fd);
  expect(isOpen(copy)).toBe(false);
  expect(() => copyFd(copy)).toThrow("fcntl(F_DUPFD_CLOEXEC): EBADF");
});

test("0 is a descriptor as any other", async () => {
  const code = `
import { closeSync } from "node:fs";
import { openAt } from ${JSON.stringify(join(FFI, "at.ts"))};
import { openBeneath, walkBeneath, openDirectory } from ${JSON.stringify(join(FFI, "beneath.ts"))};
import { copyFd, memfdCreate } from ${JSON.stringify(join(FFI, "libc.ts"))};
const top = openDirectory("/usr");
const got = [() => openAt(top, "bin", 0), () => openBeneath(top, "bin"), () => walkBeneath(top, "bin"), () => copyFd(top), () => memfdCreate("x", true), () => memfdCreate("x", false)].map((open) => {
  closeSync(0);
  return open();
});
console.log(JSON.stringify(got));`;
  expect(await alone(code)).toEqual([0, 0, 0, 0, 0, 0]);
});

test("what descends from a subreaper comes to it, and how it ended is told once", async () => {
  const code = `
import { becomeSubreaper, deadChild, exitOf, killNow, stateOfChild, reapChild } from ${JSON.stringify(join(FFI, "children.ts"))};
const wait = async (is) => { for (const end = Date.now() + 20000; !is(); await Bun.sleep(5)) if (Date.now() > end) process.exit(9); };
becomeSubreaper();
const orphan = (script) => Number(Bun.spawnSync(["/bin/sh", "-c", "(" + script + ") >/dev/null 2>&1 & echo $!"]).stdout.toString());
const said = [];
const one = orphan("sleep 0.1; exit 7");
await wait(() => stateOfChild(one) === "dead");
said.push(deadChild() === one, exitOf(one), exitOf(one), stateOfChild(one) ?? "none", deadChild() ?? "none");
const two = orphan("exec sleep 1000");
await wait(() => stateOfChild(two) === "alive");
said.push(exitOf(two), deadChild() ?? "none", killNow(two));
await wait(() => stateOfChild(two) === "dead");
said.push(deadChild() === two, exitOf(two));
const three = orphan("sleep 0.1; exit 1");
await wait(() => stateOfChild(three) === "dead");
reapChild(three);
said.push(stateOfChild(three) ?? "none");
console.log(JSON.stringify(said));`;
  expect(await alone(code)).toEqual([
    ...[true, { exit: 7 }, {}, "none", "none", "alive", "none", true, true, { signal: 9 }, "none"],
  ]);
});

/** "pty": what a command on a terminal of its own prints reaches the client, at once and as it was; and what it can do to anybody else. */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isAlive, type Served, serve, system, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried, rowsOf } from "../thinned.ts";
import { acls, canLookInside, childrenOf, pythonScript } from "./attack.ts";

const ON = { pty: true } as const;
const raw = (uid: string, more: object = ON) => ({
  uid,
  encoder: "raw",
  exec: { cmdpath: "/bin/sh", args: ["-c", "%script%"] },
  ...more,
});
const py = (uid: string, more: object = ON) => ({
  uid,
  encoder: "raw",
  exec: { cmdpath: "/usr/bin/python3", args: ["-IS", "-c", "%script%"] },
  ...more,
});
const commands = [
  raw("cold"),
  raw("warm", { ...ON, pool: 2 }),
  raw("sized", { pty: { cols: 132, rows: 50 } }),
  raw("rows", { pty: { rows: 7 } }),
  raw("none", { pty: false }),
  raw("line", { ...ON, encoder: "line" }),
  raw("json", { ...ON, encoder: "json" }),
  raw("small", { ...ON, encoder: "line", buffer: 65536 }),
  raw("timely", { ...ON, timeout: 1 }),
  py("py"),
  py("pywarm", { ...ON, pool: 2 }),
  py("pyline", { ...ON, encoder: "line" }),
  py("pypipe", { encoder: "line" }),
];
const bare = system.filter(({ target }) => target !== "/dev");
const own = (mounts: readonly object[]) => ({ shares: { all: "disable" }, mounts });
const allow = { default: "SCMP_ACT_ALLOW" };
const filtered = {
  ...allow,
  report: true,
  rules: [{ syscall: "mkdir", action: "SCMP_ACT_ERRNO(EPERM)" }],
};
/** In the order of what their terminal is of: the mounts' devpts, one mounted nowhere, the machine's. */
const sandboxes = [
  { uid: "shown", acls, namespace: own(system), commands },
  { uid: "bare", acls, namespace: own(bare), commands },
  { uid: "host", acls, commands },
  { uid: "profile", profile: "minimal", acls, commands },
  { uid: "filter", acls, seccomp: filtered, commands },
  { uid: "pidless", acls, namespace: { shares: { users: "disable" } }, commands },
];
const config = { metadata: { uid: "p", api: "p" }, sandboxes };
const BOXES = sandboxes.map(({ uid }) => uid);
const OPS = ["cold", "warm"].flatMap((how) => BOXES.map((box) => [box, how] as const));
const PY = ["py", "pywarm"].flatMap((how) => BOXES.map((box) => [box, how] as const));

/** The whole output, and how it ended. */
async function output(served: Served, verb: string, script: string) {
  const { response } = await served.call(`p/${verb}`, { script });
  const { stdout = "", encoding, status } = response as Record<string, unknown>;
  const bytes = Buffer.from(String(stdout), encoding === "base64" ? "base64" : "utf8");
  return { bytes, text: bytes.toString(), status: status as Record<string, unknown> };
}

/** Requests of ioctl(2), and the same with words in the half that the kernel does not take. */
const ATTACK = pythonScript(`
import array, fcntl, termios
def ask(request, arg=b"x"):
    return call("ioctl", 0, request, ctypes.c_char_p(arg))
TIOCSTI, TIOCLINUX = 0x5412, 0x541c
print([ask(r | high) for r in (TIOCSTI, TIOCLINUX) for high in (0, 1 << 32, 0xffffffff << 32, 1 << 63)])
try:
    fd = os.open("/dev/tty", os.O_RDWR)
    print(call("ioctl", fd, TIOCSTI, ctypes.c_char_p(b"x")))
except FileNotFoundError: print("EPERM")
size = array.array("H", [0] * 4)
fcntl.ioctl(0, termios.TIOCGWINSZ, size)
print(list(size)[:2])`);

const ALL_BYTES = `
import os, random
r = random.Random(5)
data = r.randbytes(300000) + bytes(range(256)) + b"a\\r\\nb\\rc\\n\\r\\r\\n\\x04\\x1a\\x03end\\r"
at = 0
while at < len(data):
    at += os.write(1, data[at:at + r.choice((1, 7, 4095, 4096, 4097, 70000))])
`;
let inPipe: Buffer | undefined;
/** The same, where no terminal is. */
const printed = (): Buffer =>
  (inPipe ??= Bun.spawnSync(["/usr/bin/python3", "-IS", "-c", ALL_BYTES], {
    stderr: "inherit",
  }).stdout);

describe.each(users)("served by %s", (user) => {
  const row = rowsOf(user, users);
  /** Either way in each sandbox, each way as one of the users. */
  const tried = ([box, how]: readonly [string, string]) =>
    isTried(BOXES.indexOf(box) + Number(how.endsWith("warm")), user, users);
  const served = serving(() => serve(config, { user }));

  test.each(OPS.filter(tried))(
    "%s, %s: it is a terminal, of the command alone",
    async (box, how) => {
      const script = `
      for fd in 0 1 2; do test -t $fd && echo $fd; done
      stty size; echo "$TERM"; echo error >&2
      cat; read word; echo "read $? [$word]"
      ps -o sid=,tpgid= -p $$ | tr -s ' '`;
      const { text, status } = await output(served, `${box}/${how}`, script);
      expect(status).toMatchObject({ exit: 0 });
      const [last = "", ...rest] = text.trim().split("\n").reverse();
      expect(rest.reverse()).toEqual([...["0", "1", "2", "24 80", "dumb", "error", "read 1 []"]]);
      // It leads its session, to which the terminal belongs.
      const [session, foreground] = last.trim().split(" ");
      expect(session).toBe(foreground);
    },
  );

  test("its name is that in the mounts, or that of the machine", async () => {
    expect((await output(served, "shown/cold", "tty; ls -1 /dev/pts")).text).toBe(
      "/dev/pts/0\n0\nptmx\n",
    );
    expect((await output(served, "profile/cold", "tty")).text).toBe("/dev/pts/0\n");
    expect((await output(served, "host/cold", "tty")).text).toMatch(/^\/dev\/pts\/\d+\n$/);
    expect((await output(served, "bare/cold", "tty")).text).toBe("not a tty\n");
    expect((await output(served, "host/cold", "stat -c '%a %u' $(tty); id -u")).text).toMatch(
      /^600 (\d+)\n\1\n$/,
    );
    for (const box of ["shown", "host"]) {
      const script = "echo x >/dev/stdout; echo y >/dev/tty; echo z >/dev/stderr; echo w >$(tty)";
      expect((await output(served, `${box}/cold`, script)).text).toBe("x\ny\nz\nw\n");
    }
  });

  row("its size, and none where there is none", async () => {
    expect((await output(served, "shown/sized", "stty size")).text).toBe("50 132\n");
    expect((await output(served, "host/rows", "stty size")).text).toBe("7 80\n");
    expect((await output(served, "shown/none", "test -t 1 || echo none")).text).toBe("none\n");
    const look = "ls --color=auto -d /usr; TERM=xterm top -bn1 | head -1 | cut -c 1-3";
    expect((await output(served, "shown/cold", look)).text).toMatch(/\/usr.*\ntop/);
  });

  row("what a program would hold back comes at once", async () => {
    const script = "import time\nprint(1)\ntime.sleep(30)";
    for (const [verb, comes] of [
      ["shown/pyline", true],
      ["host/pyline", true],
      ["shown/pypipe", false],
    ] as const) {
      const task = served.client.start(`p/${verb}`, { script });
      const first = task[Symbol.asyncIterator]().next();
      const seen = await Promise.race([first, Bun.sleep(comes ? 15_000 : 1_500).then(() => null)]);
      expect(seen?.value?.stdout).toBe(comes ? "1" : undefined);
      await served.call(`p/${verb}`, { action: "stop", signal: "KILL" });
      await first;
    }
  });

  test.each(PY.filter(tried))("%s, %s: all bytes, as they were printed", async (box, how) => {
    const { bytes, status } = await output(served, `${box}/${how}`, ALL_BYTES);
    expect(status).toMatchObject({ exit: 0 });
    expect(bytes.equals(printed())).toBe(true);
  });

  row("what the terminal adds is taken away, where the command says that it shall", async () => {
    const printed = String.raw`a\nb\r\nc\rd\r\r\n\n\re\r`;
    for (const modes of ["opost onlcr", "sane -echo", "opost -onlcr", "-opost onlcr"]) {
      for (const box of ["shown", "host"]) {
        const script = `stty ${modes}; printf '${printed}'; sleep 0.1; printf '\\n\\r'`;
        const { text } = await output(served, `${box}/cold`, script);
        expect(text).toBe(`${JSON.parse(`"${printed}"`)}\n\r`);
      }
    }
    // A return at the very end of what one read gives.
    const script = `stty opost onlcr; for i in $(seq 3000); do printf 'x\\n'; done`;
    expect((await output(served, "shown/warm", script)).text).toBe("x\n".repeat(3000));
  });

  row(
    "what is printed just before the end is not lost, nor waits for what others hold",
    async () => {
      for (let round = 0; round < 20; round++) {
        const box = BOXES[round % BOXES.length] ?? "";
        const how = round % 2 ? "warm" : "cold";
        const script = `head -c ${round * 997} /proc/self/exe | tr -c x x; printf end`;
        const { text } = await output(served, `${box}/${how}`, script);
        expect(text).toBe(`${"x".repeat(round * 997)}end`);
      }
      const begin = performance.now();
      const left = "setsid sleep 60 & (trap '' HUP TERM INT; sleep 60) & echo here";
      expect((await output(served, "host/cold", left)).text).toBe("here\n");
      expect((await output(served, "shown/cold", left)).text).toBe("here\n");
      expect(performance.now() - begin).toBeLessThan(20_000);
    },
  );

  row("it may close them all, and open the terminal anew", async () => {
    const script =
      "import os, time\nfor fd in range(3): os.close(fd)\ntime.sleep(0.2)\nos.write(os.open('/dev/tty', os.O_RDWR), b'still')";
    for (const box of ["shown", "host"]) {
      expect(await output(served, `${box}/py`, script)).toMatchObject({
        text: "still",
        status: { exit: 0 },
      });
    }
  });

  row("hung up by the command itself, it is the end of the output, not of the task", async () => {
    const script = "exec 2>&1; echo before; exec >/dev/null 2>&1 </dev/null; sleep 0.3; exit 3";
    const { text, status } = await output(served, "host/cold", script);
    expect({ text, status }).toMatchObject({ text: "before\n", status: { exit: 3 } });
  });

  row(
    "raw modes, stopped output, an echo: a time-out ends it, and what came is there",
    async () => {
      for (const modes of ["raw echo", "sane echo", "cooked", "-icanon min 1"]) {
        const { text, status } = await output(
          served,
          "shown/timely",
          `stty ${modes}; echo said; cat; sleep 30`,
        );
        expect(text).toBe("said\n");
        expect(status).toMatchObject({ cause: "timeout" });
      }
      const stopped = `exec /usr/bin/python3 -c 'import termios, os; print("x", flush=True); termios.tcflow(1, termios.TCOOFF); print("y", flush=True)'`;
      expect((await output(served, "shown/timely", stopped)).status).toMatchObject({
        cause: "timeout",
      });
    },
  );

  test.each(PY.filter(tried).map(([box, how]) => `${box}/${how}`))(
    "[terminal] nothing can be typed into one of its own, however it is asked: %s",
    async (verb) => {
      const { text } = await output(served, verb, ATTACK);
      const [first, second, ...rest] = text.trim().split("\n");
      expect(first).toBe(`[${Array.from({ length: 8 }, () => "'EPERM'").join(", ")}]`);
      expect(second).toBe("EPERM");
      expect(rest.at(-1)).toBe("[24, 80]");
    },
  );

  test("[terminal] in a devpts of its own no other is there, nor its own master", async () => {
    const script = `
import os
print(sorted(os.listdir("/dev/pts")))
for fd in range(3, 1024):
    try: print("open", fd, os.readlink(f"/proc/self/fd/{fd}"))
    except OSError: pass
for n in range(1, 50):
    try: print("pts", os.open(f"/dev/pts/{n}", os.O_RDWR))
    except OSError: pass
m = [os.openpty() for _ in range(40)]
print(len(m), len(os.listdir("/dev/pts")))`;
    const { text } = await output(served, "shown/py", script);
    expect(text.trim().split("\n")).toEqual(["['0', 'ptmx']", "40 42"]);
    const hidden = `
import os
for fd in range(0, 1024):
    try: os.fstat(fd); fd > 2 and print("open", fd)
    except OSError: pass
for name in ("ptmx", "../ptmx", "."):
    try: print(os.open(f"/proc/self/fd/0/{name}", os.O_RDONLY))
    except OSError as e: print(e.strerror)`;
    expect((await output(served, "bare/py", hidden)).text).toBe("Not a directory\n".repeat(3));
  });

  test("[terminal] that of the server is neither kept nor to be had", async () => {
    const script = `
import os, fcntl, termios
print(os.getsid(0) == os.getpid())
for path in ("/dev/console", "/dev/tty1", "/dev/pts/ptmx"):
    try: fd = os.open(path, os.O_RDWR)
    except OSError: continue
    try: fcntl.ioctl(fd, termios.TIOCSCTTY, 1); print("stolen", path)
    except OSError: pass`;
    expect((await output(served, "host/py", script)).text).toBe("True\n");
  });

  row(
    "a flood is held back, and ends when it is stopped; and no byte of one that ends is lost",
    async () => {
      const many = "import os\nfor i in range(200000): os.write(1, b'%07d\\n' % i)";
      let next = 0;
      for await (const { stdout } of served.client.start("p/shown/pyline", { script: many })) {
        if (Number(stdout) !== next) throw new Error(`${String(stdout)} instead of ${next}`);
        next++;
      }
      expect(next).toBe(200_000);
      const flood = served.client.start("p/host/line", { script: "yes" });
      for await (const _ of flood) break;
      await served.call("p/host/line", { action: "stop" });
      const { request } = await served.call("p/ping");
      expect(request.status).toBe("success");
    },
  );

  row("what is beyond the buffer is told to the byte", async () => {
    const script = "head -c 70000 /dev/zero | tr '\\0' x";
    const { bytes, status } = await output(served, "shown/cold", script);
    expect([bytes.length, status["overflow"]]).toEqual([70000, undefined]);
    const seen = [];
    for await (const event of served.client.start("p/host/small", { script })) seen.push(event);
    const [first] = seen;
    expect(String(first?.stdout).length).toBe(65536);
    expect(first?.["overflow"]).toEqual({ bytes: 4464 });
  });

  row("JSON, and what stderr puts among it", async () => {
    const script = `printf '{"a":'; sleep 0.1; echo '1}'; echo '[2]'`;
    const seen = [];
    for await (const { stdout } of served.client.start("p/shown/json", { script }))
      seen.push(stdout);
    expect(seen).toEqual([{ a: 1 }, [2]]);
  });

  test("a command that is killed, and one that stops its supervisor", async () => {
    const { text, status } = await output(served, "shown/cold", "echo x; kill -KILL $$");
    expect({ text, status }).toMatchObject({ text: "x\n", status: { signal: "Killed" } });
    if (user === "root") return;
    // Of its own user, outside of a pid namespace.
    const stops = "kill -STOP $PPID; echo here; exit 4";
    expect(await output(served, "host/cold", stops)).toMatchObject({
      text: "here\n",
      status: { exit: 4 },
    });
  });

  row("job control", async () => {
    const script =
      "set -m; sleep 0.1 & wait $!; echo $?; (sleep 9 &) ; jobs; sh -c 'kill -TSTP $$' ; echo stopped $?";
    const { text, status } = await output(served, "shown/cold", script);
    expect(status).toMatchObject({ exit: 0 });
    expect(text).toContain("0\n");
    expect(text).toContain("stopped 148");
  });

  row("info, and the plan in words", async () => {
    const { response } = await served.call("p/info");
    expect(JSON.stringify(response)).toContain('"pty":{"cols":132,"rows":50}');
    const reply = await served.call("p/shown/cold", {
      action: "start",
      args: { script: "true" },
      verbose: 1,
    });
    expect(JSON.stringify(reply)).toContain("a terminal of its own devpts at /dev/pts");
  });

  test.skipIf(!canLookInside)("its master stays with the supervisor", async () => {
    const task = served.client.start("p/shown/line", { script: "echo up; exec sleep 30" });
    for await (const _ of task) break;
    const links = (pid: string | number) =>
      [...new Bun.Glob("*").scanSync({ cwd: `/proc/${pid}/fd`, onlyFiles: false })].map((fd) => {
        const link = `/proc/${pid}/fd/${fd}`;
        return readlinkSync(link);
      });
    const trees = childrenOf(served.pid);
    const holders = trees.filter((pid) => links(pid).some((link) => link.endsWith("/ptmx")));
    expect(holders.length).toBeGreaterThan(0);
    expect(links(served.pid).filter((link) => link.includes("ptmx"))).toEqual([]);
    for (const pid of holders) {
      const below = childrenOf(Number(pid)).flatMap((child) => [
        child,
        ...childrenOf(Number(child)),
      ]);
      for (const child of below)
        expect(links(child).filter((link) => link.includes("ptmx"))).toEqual([]);
    }
    await served.call("p/shown/line", { action: "stop", signal: "KILL" });
  });

  test("the end of the server is that of its trees", async () => {
    const other = await serve(config, { user });
    try {
      const { response } = await other.call("p/host/line", { script: "echo up; exec sleep 300" });
      const { pid } = response as { pid: number };
      expect(await isAlive(pid)).toBe(true);
      await other.crash();
      await until("the command ends", async () => !(await isAlive(pid)));
    } finally {
      await other[Symbol.asyncDispose]();
    }
  });
});

test("check tells where no terminal can be had, and what goes not with one", () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-pty-"));
  const program = join(import.meta.dir, "../../dist/spawnbox");
  const check = (through: readonly string[], ...extra: object[]) => {
    const file = join(dir, "c.json");
    const sandbox = { uid: "s", acls: { user: "daemon" }, commands: raw("c") };
    writeFileSync(file, JSON.stringify({ ...config, sandboxes: Object.assign(sandbox, ...extra) }));
    const { stdout, stderr, exitCode } = Bun.spawnSync([...through, program, "check", file]);
    return { said: stdout.toString() + stderr.toString(), exitCode };
  };
  try {
    expect(check([]).exitCode).toBe(0);
    for (const [pty, said] of [
      [{ cols: 0 }, "from 1 to 65535"],
      [{ columns: 80 }, "unknown key `columns`"],
      ["yes", "true or false"],
    ] as const) {
      const found = check([], { commands: raw("c", { pty }) });
      expect(found.exitCode).toBe(1);
      expect(found.said).toContain(said);
    }
    expect(check([], { commands: raw("c", { pty: true, encoder: "json" }) }).said).toContain(
      "a terminal has one stream",
    );
    if (process.geteuid?.() !== 0) return;
    // A machine that has none of its own: only what needs that is refused.
    const hidden = [
      ...["unshare", "--mount", "sh", "-c"],
      'mount -t tmpfs none /dev && mknod -m 666 /dev/null c 1 3 && exec "$0" "$@"',
    ];
    const refused = check(hidden);
    expect(refused.exitCode).toBe(1);
    expect(refused.said).toContain("pty /dev/ptmx: ENOENT: there is no /dev/ptmx");
    expect(check(hidden, { namespace: own(bare) }).exitCode).toBe(0);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

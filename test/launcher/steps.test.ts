/** Each op of a plan, seen from inside and with its refusals: the launcher driven directly. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { landlockAbi } from "../../ffi/landlock.ts";
import { isRoot, until } from "../served.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { type Direct, launch, NEW } from "./direct.ts";

const sh = (script: string) => ["/bin/sh", "-c", script];
const python = (script: string) => ["/usr/bin/python3", "-ISc", script];
const ALL = (1n << 41n) - 1n;
const hex = (mask: bigint) => mask.toString(16).padStart(16, "0");

/** What a shell prints after these steps, line by line. */
async function says(
  ops: readonly WrittenOp[],
  script: string,
  direct: Direct = {},
): Promise<string[]> {
  const { stdout, stderr, records } = await launch(ops, { argv: sh(script), ...direct });
  expect({ stderr, records: records.map(({ kind, failure }) => failure ?? kind) }).toEqual({
    stderr: "",
    records: ["STARTED", "ENDED"],
  });
  return stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.trimEnd());
}
const failure = async (ops: readonly WrittenOp[], direct: Direct = {}) => {
  const { records } = await launch(ops, { argv: ["/bin/true"], ...direct });
  return records.map(({ kind, failure = kind, error }) => [failure, error]);
};
const status = (...fields: string[]) =>
  `grep -E '^(${fields.join("|")}):' /proc/self/status | tr -s '\\t ' ' '`;

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-steps-"));
  chmodSync(dir, 0o755);
});
afterAll(() => rmSync(dir, { recursive: true }));

test("nothing changes without an op", async () => {
  const [umask, cwd] = await says([], "umask; pwd", { before: 'os.chdir("/usr")' });
  expect([umask, cwd]).toEqual(["0000", "/usr"]);
});

describe("limits", () => {
  const limit = (resource: number, ...values: (number | bigint)[]): WrittenOp => [
    "RLIMIT",
    resource,
    ...values,
  ];
  const before = (soft: number, hard: number) =>
    `resource.setrlimit(resource.RLIMIT_NOFILE, (${soft}, ${hard}))`;
  const NOFILE = 7;
  test.each([
    ["both soft and hard", limit(NOFILE, 50, 0), before(100, 200), "50 50"],
    ["that are there already", limit(NOFILE, 50, 0), before(50, 50), "50 50"],
    ["soft ones raised", limit(NOFILE, 150, 0), before(100, 200), "150 150"],
    ["of a profile where the server's are higher", limit(NOFILE, 50, 1), before(100, 200), "50 50"],
    ["of a profile as high as the server's", limit(NOFILE, 200, 1), before(100, 200), "200 200"],
    [
      "of a profile, but no more than the server's",
      limit(NOFILE, 500, 1),
      before(100, 200),
      "200 200",
    ],
  ])("%s", async (_, op, before, expected) => {
    expect(await says([op], "echo $(ulimit -Sn) $(ulimit -Hn)", { before })).toEqual([expected]);
  });
  test.skipIf(!isRoot)("above the server's are refused to an ordinary user", async () => {
    const direct = { before: before(100, 200), uid: 65534 };
    expect(await failure([limit(NOFILE, 500, 0)], direct)).toEqual([["RLIMIT", 1]]);
  });
  test("that there are not", async () => {
    expect(await failure([limit(99, 1, 0)])).toEqual([["RLIMIT", 22]]);
  });
});

test("directory, mask, no new privileges", async () => {
  expect(
    await says(
      [["UMASK", 0o751], ["CHDIR", "/usr/bin"], ["NO_NEW_PRIVS"]],
      `umask; pwd; ${status("NoNewPrivs")}`,
    ),
  ).toEqual(["0751", "/usr/bin", "NoNewPrivs: 1"]);
  expect(await says([["UMASK", 0]], status("NoNewPrivs"))).toEqual(["NoNewPrivs: 0"]);
  expect(await failure([["CHDIR", "/etc/passwd"]])).toEqual([["CHDIR /etc/passwd", 20]]);
});

describe.skipIf(!isRoot)("identity", () => {
  const USER: WrittenOp[] = [
    ["SETGID", 2001],
    ["SETUID", 1001],
  ];
  test("uid and gid: real, effective, saved and of files; the groups, exactly", async () => {
    const ids = status("Uid", "Gid", "Groups");
    const before = "os.setgroups([4, 27])";
    expect(await says([["SETGROUPS", 3001, 3002, 3003], ...USER], ids, { before })).toEqual([
      "Uid: 1001 1001 1001 1001",
      "Gid: 2001 2001 2001 2001",
      "Groups: 3001 3002 3003",
    ]);
    expect((await says([["SETGROUPS"], ...USER], ids, { before }))[2]).toBe("Groups:");
    const many = Array.from({ length: 64 }, (_, i) => 5000 + i);
    expect((await says([["SETGROUPS", ...many], ...USER], ids))[2]).toBe(
      `Groups: ${many.join(" ")}`,
    );
    expect(await failure([["SETGROUPS", ...many, 1]])).toEqual([["SETGROUPS", 22]]);
  });
  test("an ordinary user is refused each of them", async () => {
    const direct = { uid: 65534 };
    for (const op of [
      ["SETGROUPS", 1],
      ["SETGID", 1],
      ["SETUID", 1],
    ] as WrittenOp[])
      expect(await failure([op], direct)).toEqual([[op[0], 1]]);
  });
  const CAPS = status("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb");
  const switching = (mask: bigint): WrittenOp[] => [
    ["BOUNDING", mask],
    ["SETGROUPS"],
    ["SETGID", 2001],
    ["SECUREBITS", 5],
    ["SETUID", 1001],
    ["AMBIENT", mask],
    ["SECUREBITS", 203],
    ["CAPS", mask],
  ];
  test.each([[0n], [1n], [1n << 5n], [(1n << 40n) | (1n << 31n) | (1n << 32n)]])(
    "capabilities %#: exactly these, in every set",
    async (mask) => {
      const held = BigInt(
        `0x${/CapPrm:\s*(\w+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1]}`,
      );
      const own = hex(mask & held & ALL);
      if ((mask & ~held) !== 0n) return;
      expect(await says(switching(mask), CAPS)).toEqual(
        ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"].map((set) => `${set}: ${own}`),
      );
    },
  );
  test("capabilities that the launcher had as inheritable and ambient ones are gone", async () => {
    // capset(2): permitted, effective and inheritable of the first 32.
    const before = `
head = (ctypes.c_uint32 * 2)(0x20080522, 0); data = (ctypes.c_uint32 * 6)()
assert libc.capget(head, data) == 0
data[2] = 0x20; assert libc.capset(head, data) == 0
assert libc.prctl(47, 2, 5, 0, 0) == 0`;
    expect(await says([["AMBIENT", 0]], status("CapInh", "CapAmb"), { before })).toEqual([
      `CapInh: ${hex(0n)}`,
      `CapAmb: ${hex(0n)}`,
    ]);
    expect(await says([["CAPS", 0]], status("CapInh", "CapAmb"), { before })).toEqual([
      `CapInh: ${hex(0n)}`,
      `CapAmb: ${hex(0n)}`,
    ]);
  });
  test("what is no capability of the launcher cannot be given", async () => {
    expect(
      (
        await failure([
          ["CAPS", 0],
          ["AMBIENT", 32],
        ])
      )[0],
    ).toEqual(["AMBIENT", 1]);
    expect(
      (
        await failure([
          ["CAPS", 0],
          ["CAPS", 32],
        ])
      )[0],
    ).toEqual(["CAPS", 1]);
  });
  test("securebits are what the plan says", async () => {
    const script = `import ctypes; print(ctypes.CDLL(None).prctl(27, 0, 0, 0, 0))`;
    const { stdout } = await launch(switching(0n), { argv: python(script) });
    expect(stdout).toBe("203\n");
  });
});

describe.skipIf(!isRoot)("namespaces", () => {
  test("a host name, a network with its loopback, made before or beside", async () => {
    expect(await says([["HOSTNAME", "a-box"]], "uname -n", { flags: NEW.uts })).toEqual(["a-box"]);
    const links = `tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '; cat /sys/class/net/lo/flags 2>/dev/null; /usr/bin/python3 -ISc "
import socket
a = socket.socket(); a.bind(('127.0.0.1', 0)); a.listen(); b = socket.create_connection(a.getsockname()); print('up')"`;
    const [own, , ...rest] = await says([["LOOPBACK"]], links, { flags: NEW.net });
    expect([own, rest.at(-1)]).toEqual(["lo", "up"]);
    const beside = await says([["FORK"], ["UNSHARE", NEW.net], ["LOOPBACK"]], links, {
      flags: NEW.pid,
    });
    expect([beside[0], beside.at(-1)]).toEqual(["lo", "up"]);
    const { stdout } = await launch([["UMASK", 0]], {
      flags: NEW.net,
      argv: python(
        "import socket; a = socket.socket(); a.bind(('127.0.0.1', 1)); print(a.connect_ex(('127.0.0.1', 2)))",
      ),
    });
    expect(stdout).not.toBe("111\n");
  });
  test("a user namespace has the maps of the plan", async () => {
    const ops: WrittenOp[] = [
      ["UID_MAP", "0 0 1\n1001 1001 1\n"],
      ["GID_MAP", 0, "0 0 1\n7 7 1\n"],
      ["SETGROUPS", 7],
      ["SETGID", 7],
      ["SETUID", 1001],
    ];
    expect(
      await says(
        ops,
        `${status("Uid", "Gid", "Groups")}; cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups | tr -s ' '`,
        { flags: NEW.user },
      ),
    ).toEqual([
      "Uid: 1001 1001 1001 1001",
      "Gid: 7 7 7 7",
      "Groups: 7",
      ...[" 0 0 1", " 1001 1001 1", " 0 0 1", " 7 7 1", "allow"],
    ]);
  });
  test("an ordinary user's has given setgroups(2) up", async () => {
    const ops: WrittenOp[] = [
      ["UID_MAP", "65534 65534 1\n"],
      ["GID_MAP", 1, "65534 65534 1\n"],
    ];
    expect(
      await says(ops, "id -u; cat /proc/self/setgroups", { flags: NEW.user, uid: 65534 }),
    ).toEqual(["65534", "deny"]);
    expect(
      await failure([ops[0] as WrittenOp, ["GID_MAP", 0, "65534 65534 1\n"]], {
        flags: NEW.user,
        uid: 65534,
      }),
    ).toEqual([["GID_MAP /gid_map", 1]]);
  });
  test("maps that are none are a failure, and nothing runs", async () => {
    expect(await failure([["UID_MAP", "x\n"]], { flags: NEW.user })).toEqual([
      ["UID_MAP /uid_map", 22],
    ]);
    expect(await failure([["JOIN_NET", "/no/net"]])).toEqual([["JOIN_NET /no/net", 2]]);
    expect(await failure([["JOIN_NET", "/proc/self/ns/uts"]])).toEqual([
      ["JOIN_NET /proc/self/ns/uts", 22],
    ]);
    expect(await failure([["UNSHARE", 1]])).toEqual([["UNSHARE", 22]]);
  });
  test("a network is joined", async () => {
    const sleeper = Bun.spawn(["unshare", "--net", "sleep", "1000"], {
      stdio: ["ignore", "ignore", "ignore"],
    });
    try {
      const net = `/proc/${sleeper.pid}/ns/net`;
      const own = readlinkSync("/proc/self/ns/net");
      await until("it has its network", () => readlinkSync(net) !== own);
      expect(await says([["JOIN_NET", net]], "readlink /proc/self/ns/net")).toEqual([
        readlinkSync(net),
      ]);
    } finally {
      sleeper.kill("SIGKILL");
      await sleeper.exited;
    }
  });
  test("a setting is the namespace's, and must hold where nothing else does what it is for", async () => {
    const users: WrittenOp[] = [
      ["UID_MAP", "0 0 1\n"],
      ["GID_MAP", 0, "0 0 1\n"],
    ];
    const file = "/proc/sys/user/max_user_namespaces";
    const before = readFileSync(file, "utf8");
    expect(
      await says([...users, ["SETTING", 1, file, "0"]], `cat ${file}`, { flags: NEW.user }),
    ).toEqual(["0"]);
    expect(readFileSync(file, "utf8")).toBe(before);
    expect(
      await failure([...users, ["SETTING", 1, "/proc/sys/user/none", "0"]], { flags: NEW.user }),
    ).toEqual([["SETTING /proc/sys/user/none", 2]]);
    expect(
      await says([...users, ["SETTING", 0, "/proc/sys/user/none", "0"]], "echo ran", {
        flags: NEW.user,
      }),
    ).toEqual(["ran"]);
    // Where /proc/sys is read-only: only who sees the whole of a proc is given one of its own.
    const whole = join(dir, "proc");
    mkdirSync(whole);
    const readonly = (more: string) => `
assert libc.unshare(0x20000) == 0
mount = lambda source, target, type, flags: libc.mount(source, target.encode(), type, flags, None)
assert mount(None, "/", None, 0x44000) == 0
assert mount(b"/proc/sys", "/proc/sys", None, 4096) == 0 and mount(None, "/proc/sys", None, 4096 | 32 | 1) == 0
${more}`;
    const flags = NEW.user | NEW.pid | NEW.mount;
    const setting = (needed: number): WrittenOp[] => [
      ...users,
      ["FORK"],
      ["SETTING", needed, file, "0"],
    ];
    const seen = `assert mount(b"proc", "${whole}", b"proc", 0) == 0`;
    const script = `cat ${file}; (echo 1 > ${file}) 2>/dev/null || echo read-only`;
    expect(await says(setting(1), script, { flags, before: readonly(seen) })).toEqual([
      "0",
      "read-only",
    ]);
    expect(await failure(setting(1), { flags, before: readonly("") })).toEqual([
      [`SETTING ${file}`, 30],
    ]);
    expect(await says(setting(0), "echo ran", { flags, before: readonly("") })).toEqual(["ran"]);
  });
});

describe.skipIf(!isRoot)("a new root", () => {
  const ROOT: WrittenOp[] = [
    ["ROOT_BEGIN"],
    ...["/usr", "/bin", "/lib", "/lib64"]
      .filter((path) => existsSync(path))
      .map((path): WrittenOp => ["BIND", 7, 1, path, path]),
    ["BIND", 2, 0, "/dev/null", "/dev/null"],
  ];
  const END: WrittenOp[] = [["ROOT_END"]];
  const inside = (ops: readonly WrittenOp[], script: string, direct: Direct = {}) =>
    says([...ROOT, ...ops, ...END], script, { flags: NEW.mount, ...direct });
  const fails = (ops: readonly WrittenOp[], direct: Direct = {}) =>
    failure([...ROOT, ...ops, ...END], { flags: NEW.mount, ...direct });
  const TMP: WrittenOp = ["FSMOUNT", 6, "tmpfs", "/tmp", "mode", "1777"];
  const PROC: WrittenOp = ["FSMOUNT", 14, "proc", "/proc"];
  const EMPTY: WrittenOp = ["FSMOUNT", 0, "tmpfs", "/e"];
  const wide = "os.umask(0o777)";

  test("has what the plan puts there, and nothing can be made in it", async () => {
    expect(await inside([], "echo /*; (echo > /x) 2>/dev/null || echo no; pwd")).toEqual([
      ["/bin", "/dev", "/lib", "/lib64", "/usr"].filter((path) => existsSync(path)).join(" "),
      "no",
      "/",
    ]);
  });
  test("directories on the way are 0755, files 0644, and those of the plan as it says, whatever the mask of the launcher", async () => {
    writeFileSync(join(dir, "file"), "content\n");
    const ops: WrittenOp[] = [
      ["BIND", 0, 0, join(dir, "file"), "/a/b/file"],
      EMPTY,
      ["DIR", 0o1730, "/e/x/y"],
      ["FILE", 0o640, 0, "/e/f", "text"],
      TMP,
    ];
    expect(
      await inside(
        ops,
        "stat -c '%a %n' /a /a/b /e/x /e/x/y /e/f /tmp; cat /a/b/file; tr '\\0' . < /e/f",
        { before: wide },
      ),
    ).toEqual([
      "755 /a",
      "755 /a/b",
      "755 /e/x",
      "1730 /e/x/y",
      "640 /e/f",
      "1777 /tmp",
      "content",
      "text.",
    ]);
  });
  test("mounts have the flags of the plan, each", async () => {
    const options = `while read -r _ _ _ _ at flags _; do [ "$at" = /m ] && echo "$flags"; done < /proc/self/mountinfo`;
    const [plain] = await inside([PROC, ["BIND", 0, 0, dir, "/m"]], options);
    expect(plain?.split(",")[0]).toBe("rw");
    for (const [flag, name] of [
      [1, "ro"],
      [2, "nosuid"],
      [4, "nodev"],
      [8, "noexec"],
    ] as const) {
      const [line = ""] = await inside([PROC, ["BIND", flag, 0, dir, "/m"]], options);
      expect(line.split(",")).toContain(name);
      const [other = ""] = await inside([PROC, ["FSMOUNT", flag, "tmpfs", "/m"]], options);
      expect(other.split(",")).toContain(name);
    }
    const [remade = ""] = await inside(
      [PROC, ["BIND", 0, 0, dir, "/m"], ["SETATTR", 1, "/m"]],
      options,
    );
    expect(remade.split(",")).toContain("ro");
    mkdirSync(join(dir, "again"));
    const again = await inside(
      [PROC, ["BIND", 0, 0, dir, "/m"], ["REBIND", 9, "/m/again"]],
      `grep ' /m/again ' /proc/self/mountinfo | cut -d' ' -f6; [ -w /m ] && echo writable`,
    );
    expect(again[0]).toContain("ro");
    expect(again[0]).toContain("noexec");
    expect(again[1]).toBe("writable");
  });
  test("a file of the plan cannot be written, also by root, nor is there anything of where it was made", async () => {
    const lines = await inside(
      [EMPTY, ["FILE", 0o777, 0, "/e/f", "text"], PROC],
      `(echo x > /e/f) 2>/dev/null || echo no; rm /e/f 2>/dev/null || echo stays; ls -A / /e | tr '\\n' ' '; grep ' /e/f ' /proc/self/mountinfo | cut -d' ' -f6; grep -c deleted /proc/self/mountinfo`,
    );
    expect(lines.slice(0, 2)).toEqual(["no", "stays"]);
    expect(lines[2]).not.toContain(".file");
    expect(lines[2]).toContain("ro,nosuid,nodev");
  });
  test("a file gets the host name of the sandbox, where the plan says so", async () => {
    const file = (named: number): WrittenOp[] => [
      EMPTY,
      ["FILE", 0o444, named, Buffer.from("/e/f\0a\t")],
    ];
    const name = readFileSync("/proc/sys/kernel/hostname", "utf8");
    expect(await inside(file(1), "cat /e/f")).toEqual([`a\t${name.trim()}`]);
    expect(await inside(file(0), "cat /e/f; echo .")).toEqual(["a\t."]);
  });
  test("links, and what lies behind them in the new root is not followed", async () => {
    expect(await inside([["SYMLINK", "../x y", "/deep/er/l"]], "readlink /deep/er/l")).toEqual([
      "../x y",
    ]);
    symlinkSync("/etc", join(dir, "out"));
    const shown: WrittenOp = ["BIND", 0, 0, dir, "/m"];
    for (const op of [
      ["FSMOUNT", 0, "tmpfs", "/m/out"],
      ["DIR", 0o755, "/m/out/x"],
      ["BIND", 0, 0, "/usr", "/m/out/x"],
      ["FILE", 0o444, 0, "/m/out/passwd", ""],
    ] as WrittenOp[]) {
      const [[what, error] = []] = await fails([shown, op]);
      expect(what).toStartWith(op[0]);
      expect([20, 40]).toContain(error as number);
    }
  });
  test("a source that is not there is a failure, unless it is optional", async () => {
    expect(await fails([["BIND", 0, 0, "/no/source", "/m"]])).toEqual([["BIND /no/source", 2]]);
    expect(await fails([["BIND", 0, 1, "/no/source", "/m"]])).toEqual([["BIND /no/source", 2]]);
    expect(
      await inside(
        [
          ["BIND", 0, 2, "/no/source", "/m"],
          ["BIND", 0, 3, "/etc/passwd/x", "/n"],
        ],
        "ls -d /m /n 2>/dev/null; echo ran",
      ),
    ).toEqual(["ran"]);
  });
  test("links on the way to a source are followed only where the plan says so, and only those of root", async () => {
    mkdirSync(join(dir, "real"));
    writeFileSync(join(dir, "real/in"), "seen\n");
    symlinkSync("real", join(dir, "mine"));
    const through = join(dir, "mine/in");
    expect(await fails([["BIND", 0, 0, through, "/m"]])).toEqual([[`BIND ${through}`, 40]]);
    // In /tmp anybody can make links, and so whose this one is, is the question.
    expect((await fails([["BIND", 0, 1, through, "/m"]]))[0]?.[0]).toMatch(/^(STARTED|BIND )/);
  });
  test("what is mounted does not reach the host, nor what the host mounts later the sandbox", async () => {
    const place = join(dir, "shared");
    mkdirSync(place);
    // In a mount namespace of the launcher's own, all of which is shared with what comes of it.
    const before = `
import os, time
assert libc.unshare(0x20000) == 0
mount = lambda *a: libc.mount(*[x and x.encode() for x in a[:3]], a[3], None)
assert mount(None, "/", None, 0x44000) == 0
assert mount("t", "${place}", "tmpfs", 0) == 0
assert mount(None, "/", None, 0x4000 | 0x100000) == 0
os.mkdir("${place}/sub"); os.chmod("${place}", 0o777)
mounts = lambda: sorted(line.split()[4] for line in open("/proc/self/mountinfo"))
had = mounts()
if os.fork() == 0:
    for fd in (1, 2, 3, 4, 5): os.close(fd)
    deadline = time.time() + 20
    while not os.path.exists("${place}/go") and time.time() < deadline: time.sleep(0.01)
    seen = [one for one in mounts() if one not in had]
    assert mount("u", "${place}/sub", "tmpfs", 0) == 0
    open("${place}/told", "w").write(repr(seen) + "\\n")
    os.rename("${place}/told", "${place}/done")
    os._exit(0)
os.waitpid(-1, os.WNOHANG)
pid = os.fork()
if pid: os.waitpid(pid, 0); os._exit(0)
`;
    const script = `touch /d/go; i=0; while [ ! -e /d/done ] && [ $i -lt 1000 ]; do sleep 0.02; i=$((i+1)); done; cat /d/done; grep -c ' /d/sub ' /proc/self/mountinfo || true`;
    expect(await inside([PROC, ["BIND", 0, 0, place, "/d"]], script, { before })).toEqual([
      "[]",
      "0",
    ]);
  });
  test("a root of the host can be shown, with more on it", async () => {
    const root = [["ROOT_BEGIN"], ["BIND", 1, 0, "/", "/"], TMP, ["ROOT_END"]] as WrittenOp[];
    const lines = await says(
      root,
      "test -d /etc && echo host; (echo > /etc/x) 2>/dev/null || echo no; ls -A /tmp; echo > /tmp/x && echo tmp",
      { flags: NEW.mount },
    );
    expect(lines).toEqual(["host", "no", "tmp"]);
  });
  test("a lock is held while the sandbox lives, by its init", async () => {
    const file = join(dir, "lock");
    writeFileSync(file, "");
    const taken = (): boolean =>
      Bun.spawnSync(
        [
          "/usr/bin/python3",
          "-ISc",
          `import fcntl,sys; fcntl.lockf(open("${file}", "r+"), fcntl.LOCK_EX | fcntl.LOCK_NB)`,
        ],
        { stderr: "ignore" },
      ).exitCode !== 0;
    let while_ = false;
    const ops: WrittenOp[] = [
      ["FORK"],
      ...ROOT,
      ["BIND", 0, 0, file, "/l"],
      ["LOCK", "/l"],
      ...END,
    ];
    await launch(ops, {
      flags: NEW.mount | NEW.pid,
      argv: ["/bin/sleep", "1000"],
      meanwhile: async ({ hangUp }) => {
        await until("it is taken", () => (while_ = taken()));
        hangUp();
      },
    });
    expect([while_, taken()]).toEqual([true, false]);
    expect(statSync(file).size).toBe(0);
  });
});

describe.skipIf(landlockAbi() < 1)("Landlock", () => {
  const bit = (...numbers: number[]) => numbers.reduce((mask, n) => mask | (1n << BigInt(n)), 0n);
  const FILES = bit(...Array.from({ length: 13 }, (_, i) => i));
  const READ = bit(2, 3);
  const system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"].filter((path) =>
    existsSync(path),
  );
  const rules = (...more: WrittenOp[]): WrittenOp[] => [
    ["NO_NEW_PRIVS"],
    ["LANDLOCK", FILES, 0, 0],
    ...system.map((path): WrittenOp => ["LANDLOCK_PATH", READ | 1n, 1, path]),
    ["LANDLOCK_PATH", READ | bit(1), 0, "/dev/null"],
    ...more,
    ["LANDLOCK_APPLY"],
  ];
  test("opens what is listed, for what it is listed, and nothing else", async () => {
    const file = join(dir, "landlocked");
    writeFileSync(file, "in\n");
    const script = `cat ${file}; (cat /etc/passwd) >/dev/null 2>&1 || echo closed; (echo x >> ${file}) 2>/dev/null || echo unwritable`;
    expect(await says(rules(["LANDLOCK_PATH", FILES & ~bit(1), 0, file]), script)).toEqual([
      "in",
      "closed",
      "unwritable",
    ]);
    expect(
      await says(rules(["LANDLOCK_PATH", FILES, 0, file]), `echo more >> ${file}; cat ${file}`),
    ).toEqual(["in", "more"]);
  });
  test("follows no link unless the plan says which", async () => {
    const link = join(dir, "linked");
    symlinkSync("/etc", link);
    expect(await failure(rules(["LANDLOCK_PATH", READ, 0, link]))).toEqual([
      [`LANDLOCK_PATH ${link}`, 40],
    ]);
    expect(
      await says(
        rules(["LANDLOCK_PATH", READ, 1, link]),
        "cat /etc/hostname > /dev/null 2>&1; test -r /etc/passwd && read -r a < /etc/passwd && echo read",
      ),
    ).toEqual(["read"]);
    expect(await failure(rules(["LANDLOCK_PATH", READ, 0, "/no/such"]))).toEqual([
      ["LANDLOCK_PATH /no/such", 2],
    ]);
  });
});

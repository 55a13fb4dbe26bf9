/** What is mounted below a source, with the attributes of the plan: also where the kernel restricts one mount at a time. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot } from "../accounts.ts";
import { ENOSYS, EPERM } from "../places/rules.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { type Direct, launch, NEW } from "./direct.ts";

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-mounts-"));
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, "top"));
  writeFileSync(join(dir, "file"), "");
});
afterAll(() => rmSync(dir, { recursive: true }));

const FLAGS = [
  [1, "ro"],
  [2, "nosuid"],
  [4, "nodev"],
  [8, "noexec"],
] as const;
/** Below the source: where, and what it has already. Names that mountinfo escapes, or that look alike. */
const BELOW: readonly (readonly [string, number])[] = [
  ["a", 0],
  ["a/b", 2],
  ["a b", 4],
  ["a\\b", 8],
  ["a\n\t", 0],
  ["ab", 1],
];
/** In a mount namespace of the launcher's: those, a file, and one that another hides. */
const before = () =>
  `
assert libc.unshare(0x20000) == 0 and libc.mount(None, b"/", None, 0x44000, None) == 0
def mount(at, flags=0, source=b"tmpfs", type=b"tmpfs"): assert libc.mount(source, at, type, flags, None) == 0, at
top = b"${dir}/top"
mount(top)
for name, flags in ${JSON.stringify(BELOW)}:
    at = top + b"/" + name.encode()
    os.makedirs(at, exist_ok=True)
    mount(at)
    for more in [n for n, _ in ${JSON.stringify(BELOW)} if n.startswith(name + "/")]: os.makedirs(top + b"/" + more.encode())
    if flags: mount(at, flags | 32, None, None)
open(top + b"/file", "w").close()
mount(top + b"/file", 4096, b"${dir}/file", None)
os.makedirs(top + b"/hides/in")
mount(top + b"/hides/in")
mount(top + b"/hides")
mount(top + b"/hides")
`;

/** And of a process that has ended, which was all that could have answered. */
const DEAD = `
os.mkdir(top + b"/dead")
fuse = os.open("/dev/fuse", os.O_RDWR)
options = b"fd=%d,rootmode=40755,user_id=0,group_id=0" % fuse
assert libc.mount(b"none", top + b"/dead", b"fuse", 2, options) == 0
os.close(fuse)
`;

const ROOT: readonly WrittenOp[] = [
  ["ROOT_BEGIN"],
  ...["/usr", "/bin", "/lib", "/lib64"]
    .filter((path) => existsSync(path))
    .map((path): WrittenOp => ["BIND", 7, 1, path, path]),
];
const PROC: WrittenOp = ["FSMOUNT", 14, "proc", "/proc"];
const END: WrittenOp = ["ROOT_END"];

/** The options of each mount at or below /m, by where it is. */
async function mounted(ops: readonly WrittenOp[], direct: Direct = {}) {
  const { stdout, records } = await launch([...ROOT, PROC, ...ops, END], {
    ...{ flags: NEW.mount, argv: ["/bin/cat", "/proc/self/mountinfo"], before: before() },
    ...direct,
  });
  const [first] = records;
  if (first?.kind === "FAILED") return `${first.failure}: ${first.error}`;
  const fields = stdout
    .trimEnd()
    .split("\n")
    .map((line) => line.split(" "));
  return fields
    .filter(([, , , , at = ""]) => at === "/m" || at.startsWith("/m/"))
    .map(([, , , , at = "", options = ""]): [string, string[]] => [
      at.replaceAll(/\\(\d{3})/g, (_, code: string) =>
        String.fromCharCode(Number.parseInt(code, 8)),
      ),
      FLAGS.map(([, name]) => name).filter((name) => options.split(",").includes(name)),
    ])
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
}
const names = (flags: number) => FLAGS.filter(([flag]) => flags & flag).map(([, name]) => name);

const ways: readonly [string, Direct][] = [
  ["as one", {}],
  ["one by one, where that is not known", { denied: [{ call: "mount_setattr", errno: ENOSYS }] }],
  ["one by one, where that is denied", { denied: [{ call: "mount_setattr", errno: EPERM }] }],
  [
    "one by one, and by paths alone",
    { denied: ["mount_setattr", "openat2"].map((call) => ({ call, errno: ENOSYS })) },
  ],
];

// Without openat2(2) each step of the way is looked at.
test.skipIf(!isRoot || !existsSync("/dev/fuse")).each(ways.slice(0, 3))(
  "who has died below a source keeps nobody from it, %s",
  async (_, direct) => {
    const shown = await mounted([["BIND", 5, 0, join(dir, "top"), "/m"]], {
      ...direct,
      before: before() + DEAD,
    });
    expect(shown).toContainEqual(["/m/dead", ["ro", "nosuid", "nodev"]]);
  },
);

describe.skipIf(!isRoot).each(ways)("mounts are restricted %s", (_, direct) => {
  const shown = (flags: number) => mounted([["BIND", flags, 0, join(dir, "top"), "/m"]], direct);
  const expected = (flags: number) =>
    [
      ["/m", names(flags)],
      ...BELOW.map(([at, own]) => [`/m/${at}`, names(flags | own)]),
      ["/m/file", names(flags)],
    ].toSorted(([a = ""], [b = ""]) => (a < b ? -1 : 1));

  test.each([0, 1, 2, 4, 8, 15])(
    "with %i: each of them, and what it has already stays",
    async (flags) => {
      const found = await shown(flags);
      if (typeof found === "string") throw new Error(found);
      expect(found.filter(([at]) => !at.startsWith("/m/hides"))).toEqual(expected(flags) as never);
      // The uppermost is the one that can be reached.
      const hides = found.filter(([at]) => at === "/m/hides").map(([, flags]) => flags);
      expect(hides).toContainEqual(names(flags));
    },
  );
  test("a file, a mount again, and one that is there", async () => {
    const top = join(dir, "top");
    expect(await mounted([["BIND", 9, 0, join(dir, "file"), "/m"]], direct)).toEqual([
      ["/m", ["ro", "noexec"]],
    ]);
    expect(await mounted([["FILE", 0o644, 0, "/m", "text"]], direct)).toEqual([
      ["/m", ["ro", "nosuid", "nodev"]],
    ]);
    const again = await mounted(
      [
        ["BIND", 0, 0, top, "/m"],
        ["REBIND", 5, "/m/a"],
      ],
      direct,
    );
    expect(
      (again as [string, string[]][]).filter(
        ([at]) => at === "/m" || at.startsWith("/m/a/") || at === "/m/a",
      ),
    ).toEqual([
      ["/m", []],
      ["/m/a", []],
      ["/m/a", ["ro", "nodev"]],
      ["/m/a/b", ["nosuid"]],
      ["/m/a/b", ["ro", "nosuid", "nodev"]],
    ]);
    // It alone.
    const one = await mounted(
      [
        ["BIND", 0, 0, top, "/m"],
        ["SETATTR", 1, "/m/a"],
      ],
      direct,
    );
    expect((one as [string, string[]][]).filter(([at]) => /^\/m(\/a(\/b)?)?$/.test(at))).toEqual([
      ["/m", []],
      ["/m/a", ["ro"]],
      ["/m/a/b", ["nosuid"]],
    ]);
  });
  test("the root is made read-only, and nothing of where it was made is left", async () => {
    const { stdout } = await launch([...ROOT, PROC, END], {
      ...{ flags: NEW.mount, ...direct },
      argv: [
        "/bin/sh",
        "-c",
        "grep ' / / ' /proc/self/mountinfo | cut -d' ' -f6; grep unbindable /proc/self/mountinfo; cut -d' ' -f5 /proc/self/mountinfo | sort | uniq -d; stat -c %a /",
      ],
    });
    expect(stdout).toMatch(/^ro,nosuid,nodev\S*\n755\n$/);
  });
  test("nor where the host's own is the root", async () => {
    const { stdout } = await launch([["ROOT_BEGIN"], ["BIND", 0, 0, "/", "/"], END], {
      ...{ flags: NEW.mount, ...direct },
      argv: [
        "/bin/sh",
        "-c",
        "grep -c ' / / ' /proc/self/mountinfo; grep -c unbindable /proc/self/mountinfo; cd /; cd ..; test -d usr && echo usr",
      ],
    });
    expect(stdout).toBe("1\n0\nusr\n");
  });
});

describe.skipIf(!isRoot)("a target", () => {
  const EMPTY: WrittenOp = ["FSMOUNT", 0, "tmpfs", "/e"];
  const tried = async (...ops: readonly WrittenOp[]) => {
    const { records } = await launch([...ROOT, EMPTY, ...ops, END], { flags: NEW.mount, argv: [] });
    const [first] = records;
    return first?.kind === "FAILED" ? `${first.failure}: ${first.error}` : first?.kind;
  };
  const LONG = "n".repeat(255);
  test("is walked name by name, however these are written", async () => {
    const argv = ["/bin/sh", "-c", "find /e | sort; stat -c %a /e/a/b /e/c"];
    const ops: WrittenOp[] = [
      ["DIR", 0o700, "//e///a//b//"],
      ["DIR", 0o710, "/e/c/"],
      ["SYMLINK", "to", "/e//a//l"],
      ["BIND", 0, 0, join(dir, "file"), "/e/a//f"],
      ["DIR", 0o755, `/e/${LONG}`],
    ];
    const { stdout } = await launch([...ROOT, EMPTY, ...ops, END], { flags: NEW.mount, argv });
    const found = ["/e", "/e/a", "/e/a/b", "/e/a/f", "/e/a/l", "/e/c", `/e/${LONG}`];
    expect(stdout.trimEnd().split("\n")).toEqual([...found, "700", "710"]);
  });
  test("that shows the root of the host hides nothing of it, also behind a file of the plan", async () => {
    const ops: WrittenOp[] = [
      ...ROOT,
      ["FILE", 0o444, 0, "/f", "x"],
      ["BIND", 1, 0, "/", "/r"],
      END,
    ];
    const argv = ["/bin/sh", "-c", `test -e /r${dir}/file && echo seen`];
    for (const denied of [[], [{ call: "mount_setattr", errno: ENOSYS }]])
      expect((await launch(ops, { flags: NEW.mount, argv, denied })).stdout).toBe("seen\n");
  });
  test("does not go up, where the kernel does not look to that; a name may have dots", async () => {
    const direct = { flags: NEW.mount, argv: [], denied: [{ call: "openat2", errno: ENOSYS }] };
    for (const name of ["..", "...", "..x", "x..", ".x", "x."]) {
      const target = `/e/${name}`;
      const ops: WrittenOp[] = [...ROOT, EMPTY, ["DIR", 0o755, target], ["REBIND", 1, target], END];
      const [first] = (await launch(ops, direct)).records;
      const said = first?.kind === "FAILED" ? `${first.failure}: ${first.error}` : first?.kind;
      expect(said).toBe(name === ".." ? "REBIND /e/..: 18" : "STARTED");
    }
  });
  test("that cannot be is a failure", async () => {
    const file: WrittenOp = ["FILE", 0o444, 0, "/e/f", ""];
    const long = `/e/${LONG}n`;
    expect(await tried(["DIR", 0o755, long])).toBe(`DIR ${long.slice(0, 207)}: 36`);
    expect(await tried(["SYMLINK", "x", `${long}/y`])).toBe(`SYMLINK ${long.slice(0, 207)}: 36`);
    for (const op of ["/e/f/x", "/e/f"])
      expect(await tried(file, ["DIR", 0o755, op])).toBe(`DIR ${op}: 20`);
    expect(await tried(file, ["SETATTR", 1, "/e/f"])).toBe("SETATTR /e/f: 20");
    expect(await tried(file, ["BIND", 0, 0, join(dir, "file"), "/e/f/x"])).toBe("BIND /e/f/x: 20");
    expect(await tried(file, ["FSMOUNT", 0, "tmpfs", "/e/f"])).toBe("FSMOUNT /e/f: 20");
    expect(await tried(["SYMLINK", "a", "/e/l"], ["SYMLINK", "b", "/e/l"])).toBe(
      "SYMLINK /e/l: 17",
    );
    expect(await tried(["REBIND", 1, "/e/none"])).toBe("REBIND /e/none: 2");
    expect(await tried(["LOCK", "/e/none"])).toBe("LOCK /e/none: 2");
    expect(await tried(["FSMOUNT", 0, "tmpfs", "/t", "mode", "x"])).toBe("FSMOUNT mode: 22");
    expect(await tried(["FSMOUNT", 0, "nofs", "/t"])).toBe("FSMOUNT nofs: 19");
  });
});

describe.skipIf(!isRoot)("one by one", () => {
  const denied = (...calls: string[]) => ({
    denied: ["mount_setattr", ...calls].map((call) => ({ call, errno: ENOSYS })),
  });
  const top = (): WrittenOp => ["BIND", 1, 0, join(dir, "top"), "/m"];
  test("there may be some thousands of them", async () => {
    const many = (count: number) => `
assert libc.unshare(0x20000) == 0 and libc.mount(None, b"/", None, 0x44000, None) == 0
top = b"${dir}/top"
assert libc.mount(b"tmpfs", top, b"tmpfs", 0, None) == 0
open(top + b"/of", "w").close()
for i in range(${count}):
    name = top + b"/%d" % i
    open(name, "w").close()
    assert libc.mount(top + b"/of", name, None, 4096, None) == 0`;
    // With the uppermost.
    const most = await mounted([top()], { ...denied(), before: many(4095) });
    if (typeof most === "string") throw new Error(most);
    expect([most.length, most.filter(([, flags]) => !flags.includes("ro"))]).toEqual([4096, []]);
    expect(await mounted([top()], { ...denied(), before: many(4096) })).toBe("BIND /m: 7");
  });
  test("one that lies on another hides it, with nothing beside them", async () => {
    const stacked = `
assert libc.unshare(0x20000) == 0 and libc.mount(None, b"/", None, 0x44000, None) == 0
top = b"${dir}/top"
assert libc.mount(b"tmpfs", top, b"tmpfs", 0, None) == 0
os.mkdir(top + b"/a")
for i in range(2): assert libc.mount(b"tmpfs", top + b"/a", b"tmpfs", 0, None) == 0`;
    const found = await mounted([top()], { ...denied(), before: stacked });
    // The lower one cannot be reached, and stays as it is.
    expect(found).toEqual([
      ["/m", ["ro"]],
      ["/m/a", []],
      ["/m/a", ["ro"]],
    ]);
  });
  test("also by who may open no file against its mode", async () => {
    // Neither he nor what he executes has CAP_DAC_OVERRIDE.
    const obeys = `${before()}\nassert libc.prctl(24, 1, 0, 0, 0) == 0`;
    const found = await mounted([top()], { ...denied(), before: obeys });
    if (typeof found === "string") throw new Error(found);
    expect(found.filter(([, flags]) => flags.includes("ro")).length).toBeGreaterThan(BELOW.length);
  });
  test("nothing is shown that cannot be restricted", async () => {
    expect(await mounted([top()], denied("fstatfs"))).toMatch(/: 38$/);
    // Farther down than a path can say: nothing lies on it, so that it is there, whatever lies in it.
    const deep = `
assert libc.unshare(0x20000) == 0 and libc.mount(None, b"/", None, 0x44000, None) == 0
def mount(at): assert libc.mount(b"tmpfs", at, b"tmpfs", 0, None) == 0
mount(b"${dir}/top")
back = os.getcwd()
os.chdir(b"${dir}/top")
for name in [b"n" * 255] * 17 + [b"deep"]:
    os.mkdir(name)
    if name == b"deep": mount(name)
    os.chdir(name)
for name in b"1", b"2":
    os.mkdir(name)
    mount(name)
os.chdir(back)`;
    expect(await mounted([top()], { ...denied(), before: deep })).toBe("BIND /m: 116");
    // Without a view of the mounts nothing is known of them.
    const blind = `${before()}
mount(b"/proc")
os.makedirs("/proc/self/fd")`;
    expect(String(await mounted([top()], { ...denied(), before: blind }))).toMatch(/^\w+ .*: \d+$/);
  });
});

/** What is found at a path of the host, through which links: with openat2(2) and without, seen from here and from a user namespace. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { landlockAbi } from "../../ffi/landlock.ts";
import { isRoot } from "../accounts.ts";
import { ENOSYS, EPERM } from "../places/rules.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { type Direct, launch, NEW } from "./direct.ts";

const [ENOENT, EACCES, ENOTDIR, ENAMETOOLONG, ELOOP] = [2, 13, 20, 36, 40];
const [FOLLOWS, OPTIONAL] = [1, 2];
/** Somebody's, who is not root. */
const THEIRS = 4321;
/** As the kernel's, and of a file system. */
const [MOST_LINKS, MOST_PATH] = [40, 4095];
const LONG = "d".repeat(255);
/** Fifteen of these, so that one more name fills a path. */
const DEEP = Array.from({ length: 15 }, () => LONG).join("/");

const dir = mkdtempSync(join(tmpdir(), "spawnbox-sources-"));
const at = (path: string) => `${dir}/${path}`;
/** The same place in so many characters. */
const padded = (before: string, rest: string, length: number): string => {
  const room = length - before.length - rest.length;
  return `${before}${"./".repeat(Math.floor(room / 2))}${room % 2 ? "/" : ""}${rest}`;
};
/** The name that makes the path of what lies in DEEP so long. */
const filling = (length: number) => "e".repeat(length - at(DEEP).length - 1);

function make(path: string, mode: number, uid = 0, gid = 0): void {
  mkdirSync(at(path));
  chownSync(at(path), uid, gid);
  chmodSync(at(path), mode);
}
beforeAll(() => {
  chmodSync(dir, 0o755);
  if (!isRoot) return;
  make("real", 0o755);
  writeFileSync(at("real/in"), "seen\n");
  symlinkSync("real", at("relative"));
  symlinkSync("real", at("l"));
  symlinkSync(at("real"), at("absolute"));
  symlinkSync("real/in", at("last"));
  symlinkSync("../real/in", at("real/up"));
  symlinkSync("..//.//real/./in", at("real/dots"));
  symlinkSync("/", at("root"));
  symlinkSync("none", at("nowhere"));
  symlinkSync("real/in", at("link1"));
  for (let i = 2; i <= MOST_LINKS + 1; i++) symlinkSync(`link${i - 1}`, at(`link${i}`));
  symlinkSync("real/in", at("others"));
  lchownSync(at("others"), THEIRS, 0);
  // Whose directories, with which rights: a link of root's in each, and in a directory of root's in each.
  for (const [name, mode, uid, gid] of [
    ["theirs", 0o755, THEIRS, 0],
    ["group", 0o775, 0, THEIRS],
    ["group-reads", 0o755, 0, THEIRS],
    ["roots-group", 0o775, 0, 0],
    ["all", 0o777, 0, 0],
    ["sticky", 0o1777, 0, 0],
    ["theirs-sticky", 0o1777, THEIRS, 0],
    ["shared", 0o755, 0, 0],
    ["shared-not", 0o755, 0, 0],
  ] as const) {
    make(name, mode, uid, gid);
    make(`${name}/below`, 0o755);
    symlinkSync("../real/in", at(`${name}/link`));
    symlinkSync(at("real/in"), at(`${name}/absolute`));
    symlinkSync("../../real/in", at(`${name}/below/link`));
  }
  symlinkSync(at("relative/in"), at("sticky/below/back"));
  // As long as a text of a link can be with what comes behind it, and one more.
  symlinkSync(padded("", "real", MOST_PATH - 4), at("text"));
  symlinkSync(padded("", "real", MOST_PATH - 3), at("text-more"));
  const fills = [filling(MOST_PATH), filling(MOST_PATH + 1)];
  const made = Bun.spawnSync(
    ["/bin/sh", "-c", `mkdir -p ${DEEP} && cd ${DEEP} && touch ${fills.join(" ")}`],
    {
      ...{ cwd: dir, stdio: ["ignore", "inherit", "inherit"] },
    },
  );
  expect(made.exitCode).toBe(0);
  symlinkSync(DEEP, at("deep"));
  make("closed", 0o700);
  expect(Bun.spawnSync(["mkfifo", at("fifo")]).exitCode).toBe(0);
}, 30_000);
// Names that are too long for one path.
afterAll(() => void Bun.spawnSync(["rm", "-rf", dir]));

const SYSTEM = ["/usr", "/bin", "/lib", "/lib64"]
  .filter((path) => existsSync(path))
  .map((path): WrittenOp => ["BIND", 7, FOLLOWS, path, path]);
const MAPS: readonly WrittenOp[] = [
  ["UID_MAP", "0 0 65536\n"],
  ["GID_MAP", 0, "0 0 65536\n"],
];
const SHARED = (): WrittenOp => ["SHARED_PLACES", at("nothing"), at("shared")];

/** What a command reads, or what of a trial failed. */
async function shown(binds: readonly WrittenOp[], { direct, isMapped }: Way, script?: string) {
  const ops: WrittenOp[] = [
    ...(isMapped ? MAPS : []),
    SHARED(),
    ["ROOT_BEGIN"],
    ...(script === undefined ? [] : SYSTEM),
    ...binds,
    ["ROOT_END"],
  ];
  const flags = NEW.mount | (isMapped ? NEW.user : 0);
  const argv = script === undefined ? [] : ["/bin/sh", "-c", script];
  const { stdout, records } = await launch(ops, { flags, argv, ...direct });
  const [first] = records;
  return first?.kind === "FAILED" ? [first.failure, first.error] : stdout;
}

interface Way {
  readonly direct: Direct;
  readonly isMapped: boolean;
}
const without = (errno: number): Direct => ({ denied: [{ call: "openat2", errno }] });
const ways: readonly (readonly [string, Way])[] = [
  ["with openat2", { direct: {}, isMapped: false }],
  ["where that is not known", { direct: without(ENOSYS), isMapped: false }],
  ["from a user namespace", { direct: {}, isMapped: true }],
  ["from one where that is denied", { direct: without(EPERM), isMapped: true }],
];

describe.skipIf(!isRoot).each(ways)("a source %s", (_, way) => {
  const tried = (source: string, flags = FOLLOWS) => shown([["BIND", 0, flags, source, "/m"]], way);

  test("is found", async () => {
    const paths = [
      ...[
        "real/in",
        "real/./in",
        "real//in",
        "relative/in",
        "absolute/in",
        "last",
        "real/up",
        "l/in",
      ],
      ...["real/dots", "relative/../real/in", `link${MOST_LINKS}`, "roots-group/link"],
      ...["roots-group/below/link", "sticky/below/link", "sticky/below/back"],
      ...["group-reads/link", "shared-not/link", "text/in", `root${at("relative/in")}`],
    ].map(at);
    // At the end of a path that is as long as can be.
    paths.push(padded(at("relative/"), "in", MOST_PATH));
    const binds = paths.map((path, i): WrittenOp => ["BIND", 0, FOLLOWS, path, `/m/${i}`]);
    // Nothing of the way there is open then.
    const open = "for fd in 3 4 5 6 7 8 9; do (: <&$fd) 2>&- && echo $fd is open; done; true";
    const script = [...paths.map((_, i) => `cat /m/${i}`), open].join(";");
    expect(await shown(binds, way, script)).toBe("seen\n".repeat(paths.length));
    expect(await tried(`${at("deep")}/${filling(MOST_PATH)}`)).toBe("");
  });

  test("is not followed where others may have made the link", async () => {
    const paths = [
      ...["others", "theirs/link", "theirs/absolute", "theirs/below/link", "group/link"],
      ...["group/below/link", "all/link", "all/below/link", "sticky/link", "sticky/absolute"],
      ...["theirs-sticky/below/link", "shared/link", "shared/below/link"],
    ];
    const refused: [path: string, link: string][] = [
      ["theirs/../last", "last"],
      ["theirs/below/../../relative/in", "relative"],
      ["relative/../shared/./link", "shared/link"],
      ...paths.map((path) => [path, path] as [string, string]),
    ];
    // By the supervisor in the same way, which is a matter of some.
    const asked = way.isMapped ? refused.slice(0, 5) : refused;
    // Though there is none that could be shown.
    const outcomes = asked.map(([path]) => tried(at(path), FOLLOWS | OPTIONAL));
    expect(await Promise.all(outcomes)).toEqual(
      asked.map(([, link]) => [`BIND ${at(link)}`, ELOOP]),
    );
  });

  test("is not there", async () => {
    const all: readonly (readonly [string, number])[] = [
      ["nowhere", ENOENT],
      ["last/x", ENOTDIR],
      ["none", ENOENT],
      ["real/in/x", ENOTDIR],
      ["real/in/.", ENOTDIR],
      ["real/in/../in", ENOTDIR],
    ];
    const asked = way.isMapped ? all.slice(0, 2) : all;
    expect(await Promise.all(asked.map(([path]) => tried(at(path))))).toEqual(
      asked.map(([path, errno]) => [`BIND ${at(path)}`, errno]),
    );
    const optional = asked.map(([path]) => tried(at(path), FOLLOWS | OPTIONAL));
    expect(await Promise.all(optional)).toEqual(asked.map(() => ""));
  });
  test("is not looked for beyond what the kernel would", async () => {
    const link = at(`link${MOST_LINKS + 1}`);
    expect(await tried(link)).toEqual([`BIND ${link}`, ELOOP]);
    for (const source of [
      at("d".repeat(256)),
      at(`relative/${"d".repeat(256)}`),
      at(`relative/${"d".repeat(3000)}`),
      padded(at("relative/"), "in", MOST_PATH + 1),
      at("text-more/in"),
      `${at("deep")}/${filling(MOST_PATH + 1)}`,
    ]) {
      const [what, errno] = (await tried(source)) as [string, number];
      // A record has no room for more.
      expect([what, errno]).toEqual([`BIND ${source.slice(0, 207)}`, ENAMETOOLONG]);
    }
  });
  test("is not opened: nobody is waited for at the other end of a FIFO", async () => {
    expect(await tried(at("fifo"))).toBe("");
    expect(await tried(at("relative/../fifo"))).toBe("");
  });
  test("has no links at all, where the plan follows none", async () => {
    for (const [flags, path] of [
      [0, "relative/in"],
      [OPTIONAL, "last"],
      [0, "real/up"],
    ] as const)
      expect(await tried(at(path), flags)).toEqual([`BIND ${at(path)}`, ELOOP]);
    expect(await tried(at("real/in"), 0)).toBe("");
  });
  test("is each its own, of several", async () => {
    const binds: WrittenOp[] = [
      ["BIND", 0, FOLLOWS, at("root"), "/r"],
      ["BIND", 0, FOLLOWS | OPTIONAL, at("nowhere"), "/n"],
      ["BIND", 0, FOLLOWS, at("relative"), "/d"],
      ["BIND", 0, FOLLOWS, at("real/up"), "/m"],
    ];
    const script = `cat /d/in /m /r${at("real/in")}; echo /*`;
    const [, , , places = ""] = String(await shown(binds, way, script)).split("\n");
    expect(places.split(" ").toSorted()).toEqual(
      ["/d", "/m", "/r", ...SYSTEM.map((op) => String(op.at(-1)))].toSorted(),
    );
  });
});

describe
  .skipIf(!isRoot)
  .each([
    ...ways,
    [
      "where mounts are restricted one by one",
      { direct: { denied: [{ call: "mount_setattr", errno: ENOSYS }] }, isMapped: false },
    ],
  ] as typeof ways)("descriptors are given back %s", (_, { direct, isMapped }) => {
  /** More often than there are descriptors. */
  const FEW = 32;
  const often = (step: (i: number) => WrittenOp) => Array.from({ length: FEW }, (_, i) => step(i));
  const before = `resource.setrlimit(resource.RLIMIT_NOFILE, (${FEW}, ${FEW}))`;
  const NONE = at("nowhere");
  test("by each step, however it ends", async () => {
    const ops: WrittenOp[] = [
      ...(isMapped ? MAPS : []),
      SHARED(),
      ["ROOT_BEGIN"],
      // One that its network has, and one that there is not, also not in a proc of its own.
      ...often(() => ["SETTING", 1, "/proc/sys/net/ipv4/ip_default_ttl", "64"]),
      ...often(() => ["SETTING", 0, "/proc/sys/none", "1"]),
      ...often((i) => ["BIND", 1, FOLLOWS, at("relative/in"), `/m/${i}`]),
      ...often((i) => ["BIND", 1, FOLLOWS, at("absolute/in"), `/a/${i}`]),
      ...often((i) => ["BIND", 1, FOLLOWS, at("real"), `/n/${i}`]),
      ...often(() => ["BIND", 0, FOLLOWS | OPTIONAL, NONE, "/o"]),
      ...often(() => ["BIND", 0, FOLLOWS | OPTIONAL, at("last/x"), "/o"]),
      ...often((i) => ["FSMOUNT", 0, "tmpfs", `/t/${i}`, "mode", "755"]),
      ...often((i) => ["SYMLINK", "x", `/s/t/${i}`]),
      ...often((i) => ["DIR", 0o755, `/d/e/${i}`]),
      ...often((i) => ["SETATTR", 1, `/t/${i}`]),
      ...often((i) => ["FILE", 0o444, 1, `/f/${i}`, "x"]),
      ...often((i) => ["REBIND", 1, `/n/${i}`]),
      ["ROOT_END"],
      ...often(() => ["LOOPBACK"]),
    ];
    const flags = NEW.mount | NEW.net | (isMapped ? NEW.user : 0);
    const { records } = await launch(ops, { ...direct, flags, before, argv: [] });
    expect(records.map(({ kind, failure = "", error }) => `${kind} ${failure} ${error}`)).toEqual([
      "STARTED  0",
      "ENDED  0",
    ]);
  });
});

test.skipIf(!isRoot)("a lock takes one descriptor, out of the way of others", async () => {
  const [many, apart] = [300, 256];
  const limit = apart + many;
  const before = `resource.setrlimit(resource.RLIMIT_NOFILE, (${limit}, ${limit}))`;
  const ops: WrittenOp[] = [
    ["ROOT_BEGIN"],
    ["FSMOUNT", 0, "tmpfs", "/t"],
    ["FILE", 0o444, 0, "/t/lock", ""],
    ...Array.from({ length: many }, (): WrittenOp => ["LOCK", "/t/lock"]),
  ];
  const { records } = await launch(ops, { flags: NEW.mount, before, argv: [] });
  expect(records.map(({ kind }) => kind)).toEqual(["STARTED", "ENDED"]);
});

describe.skipIf(!isRoot)("of the sources of a user namespace", () => {
  test("only so much is remembered", async () => {
    // The place of each is remembered: 8 bytes, the text with its end, in whole words; of 256 KiB without 8.
    const place = `${at(DEEP)}/${filling(MOST_PATH)}`;
    const most = Math.floor((256 * 1024 - 8) / (Math.ceil((8 + place.length + 1) / 8) * 8));
    const many = (count: number) =>
      Array.from({ length: count }, (): WrittenOp => {
        return ["BIND", 0, FOLLOWS, `${at("deep")}/${filling(MOST_PATH)}`, "/m"];
      });
    const way = { direct: {}, isMapped: true };
    expect(await shown(many(most), way)).toBe("");
    const [what, errno] = (await shown(many(most + 1), way)) as [string, number];
    expect([what.startsWith(`BIND ${at("deep")}/`), errno]).toEqual([true, ENAMETOOLONG]);
  });
  test("what its user may not see is none to be shown", async () => {
    const ops = (flags: number): WrittenOp[] => [
      ["UID_MAP", "65534 65534 1\n"],
      ["GID_MAP", 1, "65534 65534 1\n"],
      ["ROOT_BEGIN"],
      ["BIND", 0, flags, at("closed/in"), "/m"],
      ["ROOT_END"],
    ];
    const direct = { flags: NEW.mount | NEW.user, uid: 65534, argv: [] };
    const [failed] = (await launch(ops(0), direct)).records;
    expect(failed).toMatchObject({ failure: `BIND ${at("closed/in")}`, error: EACCES });
    const { records } = await launch(ops(OPTIONAL), direct);
    expect(records.map(({ kind }) => kind)).toEqual(["STARTED", "ENDED"]);
  });
});

describe.skipIf(!isRoot || landlockAbi() < 1).each(ways.slice(0, 2))(
  "a path of Landlock %s",
  (_, { direct }) => {
    const NONE = 0;
    const ROOTS = 2;
    const READ = 4;
    const rule = async (path: string, links: number) => {
      const ops: WrittenOp[] = [
        ["NO_NEW_PRIVS"],
        ["LANDLOCK", READ, 0, 0, at("nothing"), at("shared")],
        ["LANDLOCK_PATH", READ, links, path],
        ["LANDLOCK_APPLY"],
      ];
      const { records } = await launch(ops, { ...direct, argv: [] });
      const [first] = records;
      return first?.kind === "FAILED" ? [first.failure, first.error] : first?.kind;
    };
    test("follows the links of root alone", async () => {
      for (const path of ["relative", "last", "sticky/below/link", "shared-not/link"])
        expect(await rule(at(path), ROOTS)).toBe("STARTED");
      for (const path of ["others", "theirs/link", "sticky/link", "shared/link"]) {
        const refused = [`LANDLOCK_PATH ${at(path)}`, ELOOP];
        expect(await rule(at(path), ROOTS)).toEqual(refused);
        expect(await rule(at(path), NONE)).toEqual(refused);
      }
      expect(await rule(at("none"), ROOTS)).toEqual([`LANDLOCK_PATH ${at("none")}`, ENOENT]);
    });
  },
);

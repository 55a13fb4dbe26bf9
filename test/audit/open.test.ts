/** Where an audit may go: what is told of a place that cannot be one, before a start and at it, and what may pass. */
import { afterAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { crowded, lookAtKept, openKept } from "../../src/audit/kept.ts";
import { lookAtAudit, openAudit } from "../../src/audit/open.ts";
import { trustOf } from "../../src/config/trust.ts";
import { asOrdinary, isRoot, ORDINARY } from "../accounts.ts";
import { descriptorsOf } from "../descriptors.ts";
import { Received } from "./received.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-audit-open-"));
chmodSync(dir, 0o755);
afterAll(() => rmSync(dir, { recursive: true }));

let names = 0;
/** A directory of its own, with this mode. */
function place(mode = 0o755): string {
  const own = join(dir, `${++names}`);
  mkdirSync(own);
  chmodSync(own, mode);
  return own;
}
const DIR_SHOWN = "DIR";
/** Of its own: what suites before this one have left is closed at any time. */
const opened = () => descriptorsOf("self").filter((path) => path.startsWith(dir)).length;

/** What is said of it before a start, and what at it; by the name of the place. */
async function said(to: string, most = 4096): Promise<string[]> {
  const before = opened();
  const told: string[] = [];
  const tried = async (what: () => unknown): Promise<string> => {
    try {
      await what();
      return "fine";
    } catch (error) {
      return (error as Error).message.replaceAll(dir, DIR_SHOWN);
    }
  };
  const look = await tried(() => lookAtAudit({ to, most, count: 2 }));
  const open = await tried(() =>
    openAudit({ to, most, count: 2 }, (level, text) =>
      told.push(`${level}: ${text.replaceAll(dir, DIR_SHOWN)}`),
    ).close(),
  );
  // Whatever was wrong.
  expect(opened()).toBe(before);
  return [look, open, ...told];
}

test("a file that is there, or is not: only the start makes it", async () => {
  const path = join(place(), "log");
  lookAtAudit({ to: path, most: 4096, count: 2 });
  expect(existsSync(path)).toBe(false);
  expect(await said(path)).toEqual(["fine", "fine"]);
  expect(statSync(path).mode & 0o7777).toBe(0o600);
  expect(await said(path)).toEqual(["fine", "fine"]);
});

test("streams of the system, whatever files there are of these names", async () => {
  const here = process.cwd();
  const own = place();
  for (const to of ["stderr", "journal", "syslog"]) mkdirSync(join(own, to));
  process.chdir(own);
  try {
    for (const to of ["stderr", "journal", "syslog"])
      expect(await said(to)).toEqual(["fine", "fine"]);
  } finally {
    process.chdir(here);
  }
  const names = ["stderr", "journal", "syslog"].map(
    (to) => openAudit({ to, most: 0, count: 1 }, () => {}).sink.name,
  );
  expect(names).toEqual(["standard error", "the journal", "syslog"]);
  const { sink } = openAudit({ to: join(place(), "log"), most: 0, count: 1 }, () => {});
  expect(basename(sink.name)).toBe("log");
  await sink.close();
});

describe("told before and at the start is", () => {
  test("a directory that is not there, is named, or a link", async () => {
    const own = place();
    const missing = "--audit: DIR/none/log: there is no such directory: make it first (ENOENT)";
    expect(await said(join(dir, "none/log"))).toEqual([missing, missing]);
    const directory = `--audit: ${own}: it is a directory: name a file (EISDIR)`.replace(
      dir,
      "DIR",
    );
    expect(await said(own)).toEqual([directory, directory]);
    const link = join(own, "link");
    symlinkSync(join(own, "other"), link);
    const linked = `--audit: ${link}: it is a link, and links are not followed: name the file itself (ELOOP)`;
    expect(await said(link)).toEqual([linked, linked].map((one) => one.replace(dir, "DIR")));
    expect(existsSync(join(own, "other"))).toBe(false);
    for (const [path, errno] of [
      [link, "ELOOP"],
      [own, "EISDIR"],
    ] as const)
      expect(() => lookAtKept(path, undefined)).toThrow(`open(${path}): ${errno}`);
  });

  test("what is no file to write to", async () => {
    const own = join(place(), "socket");
    using _received = new Received(own);
    const [look, open] = await said(own);
    // Nobody reads it, as nobody does of a FIFO.
    expect([look, open]).toEqual(["fine", "fine"]);
  });
});

test("a pipe that nobody reads is tried again later; one that is read is fine", async () => {
  const path = join(place(), "pipe");
  Bun.spawnSync(["mkfifo", "-m", "600", path]);
  const reader = join(DIR_SHOWN, basename(join(path, "..")), "pipe");
  expect(await said(path)).toEqual([
    ...["fine", "fine"],
    `error: audit: ${reader} cannot be opened, it is tried again: nobody reads it (ENXIO)`,
  ]);
});

const ROOM = (path: string): string =>
  `others can make files in ${path}, and so keep ${path}/log from giving way to another file`;

describe.if(isRoot)("[protection] of root's", () => {
  test.each([
    [0o755, true, true],
    [0o700, true, true],
    [0o775, true, "walk"],
    [0o757, true, "walk"],
    [0o1777, true, false],
    [0o1775, true, false],
    [0o755, false, true],
    [0o775, false, true],
    [0o757, false, false],
    [0o1777, false, false],
  ])("a directory of mode %o, with trust: %p", (mode, trusts, expected) => {
    const own = place(mode);
    const trust = trusts ? trustOf(0) : undefined;
    const before = opened();
    const look = () => crowded(join(own, "log"), trust);
    if (expected === "walk") expect(look).toThrow("chmod go-w");
    else expect(look()).toBe(expected === true ? undefined : ROOM(own));
    expect(opened()).toBe(before);
  });

  test("where others can make files a file has no bound, or is not", async () => {
    const own = place(0o1777);
    const why = `--audit: ${ROOM(own)}: choose a directory of its own, or say --audit-max 0`;
    const told = why.replaceAll(dir, DIR_SHOWN);
    expect(await said(join(own, "log"))).toEqual([told, told]);
    expect(existsSync(join(own, "log"))).toBe(false);
    expect(await said(join(own, "log"), 0)).toEqual(["fine", "fine"]);
    // A pipe gives way to nothing.
    const pipe = join(own, "pipe");
    Bun.spawnSync(["mkfifo", "-m", "600", pipe]);
    expect((await said(pipe)).slice(0, 2)).toEqual(["fine", "fine"]);
  });

  test("another's file, or one that others can write, is none, but a device is anybody's", async () => {
    const path = join(place(), "log");
    writeFileSync(path, "");
    chownSync(path, 1234, 0);
    const theirs = `--audit: ${path} belongs to uid 1234, who could change it: chown or remove it`;
    expect(await said(path)).toEqual([theirs, theirs].map((one) => one.replace(dir, "DIR")));
    chownSync(path, 0, 0);
    for (const [mode, is] of [
      [0o620, false],
      [0o602, false],
      [0o644, true],
      [0o711, true],
    ] as const) {
      chmodSync(path, mode);
      const [look, open] = await said(path);
      const expected = is ? "fine" : "can be written by others than its owner: chmod go-w";
      expect([mode, look, open]).toEqual([
        ...[mode, expect.stringContaining(expected), expect.stringContaining(expected)],
      ] as never);
    }
    expect(lookAtKept("/dev/null", { owners: [1234, 0], beside: "others' too" })).toBe(false);
    const kept = openKept("/dev/null", trustOf(0));
    expect(kept.stat.isFile()).toBe(false);
    (await import("node:fs")).closeSync(kept.fd);
  });

  test("an ordinary user is told where he may not write: the file, its directory, and beside it", () => {
    const own = place();
    const path = join(own, "log");
    const module = JSON.stringify(join(import.meta.dir, "../../src/audit/open.ts"));
    const script = `
      const { lookAtAudit, openAudit } = await import(${module});
      for (const most of [0, 4096])
        for (const one of [
          () => lookAtAudit({ to: ${JSON.stringify(path)}, most, count: 2 }),
          () => openAudit({ to: ${JSON.stringify(path)}, most, count: 2 }, console.log).close(),
        ])
          try { await one(); console.log("fine"); } catch (error) { console.log(error.message); }`;
    const told = () =>
      Bun.spawnSync([...asOrdinary, process.execPath, "-e", script], { stderr: "inherit" })
        .stdout.toString()
        .replaceAll(own, "OWN")
        .trim()
        .split("\n");
    const not = "--audit: OWN/log: this user may not write there (EACCES)";
    expect(told()).toEqual([not, not, not, not]);
    writeFileSync(path, "");
    expect(told()).toEqual([not, not, not, not]);
    chownSync(path, ORDINARY, ORDINARY);
    const beside =
      "--audit: OWN/log cannot give way to another file: this user may not write in OWN: let it, or say --audit-max 0";
    expect(told()).toEqual(["fine", "fine", beside, beside]);
    chownSync(own, ORDINARY, ORDINARY);
    expect(told()).toEqual(["fine", "fine", "fine", "fine"]);
  });

  test("a file that is a mount of its own cannot give way, which is told before it is full", () => {
    const own = place();
    const path = join(own, "a log");
    const module = JSON.stringify(join(import.meta.dir, "../../src/audit/open.ts"));
    const script = `
      const { lookAtAudit, openAudit } = await import(${module});
      const to = ${JSON.stringify(path)};
      for (const most of [4096, 0])
        for (const act of [lookAtAudit, openAudit])
          try { act({ to, most, count: 2 }, console.log); console.log("fine"); }
          catch ({ message }) { console.log(message); }
      process.exit();`;
    writeFileSync(path, "");
    const mounted = `mount --bind '${path}' '${path}'; exec "$@"`;
    const { stdout } = Bun.spawnSync(
      ["unshare", "--mount", "sh", "-ec", mounted, "sh", process.execPath, "-e", script],
      { stderr: "inherit" },
    );
    const why = `--audit: ${path} is a mount of its own, as a file that a container is given, and so cannot give way to another file: mount its directory, or say --audit-max 0`;
    expect(stdout.toString().trim().split("\n")).toEqual([why, why, "fine", "fine"]);
    expect(() => lookAtAudit({ to: path, most: 4096, count: 2 })).not.toThrow();
  });

  test("on a file system that is read-only a start is tried again later, and a file that is mounted there is written", () => {
    const [own, apart] = [place(), place()];
    const module = JSON.stringify(join(import.meta.dir, "../../src/audit/open.ts"));
    const script = `
      const { lookAtAudit, openAudit } = await import(${module});
      const places = ${JSON.stringify([join(own, "log"), join(own, "mounted")])};
      for (const [i, most] of [4096, 0].entries()) {
        const options = { to: places[i], most, count: 2 };
        lookAtAudit(options);
        openAudit(options, (level, text) => console.log(level + ": " + text));
      }
      process.exit();`;
    const mounted = `mount -t tmpfs -o mode=755 none ${own}; : >${own}/log; : >${own}/mounted; : >${apart}/file
      mount --bind ${apart}/file ${own}/mounted; mount -o remount,ro ${own}; exec "$@"`;
    const { stdout } = Bun.spawnSync(
      ["unshare", "--mount", "sh", "-ec", mounted, "sh", process.execPath, "-e", script],
      { stderr: "inherit" },
    );
    // It may give way to the next later on.
    expect(stdout.toString()).toBe(
      `error: audit: ${own}/log cannot be opened, it is tried again: the file system is read-only (EROFS)\n`,
    );
  });
});

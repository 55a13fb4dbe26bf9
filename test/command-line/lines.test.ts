/** What is printed while other things go on, and what is made where some of it is secret: by processes of their own. */
import { afterEach, describe, expect, test } from "bun:test";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { putSecrets } from "../../src/command-line/put.ts";
import { mayTrace, told } from "../strace.ts";

const dirs: string[] = [];
afterEach(() => {
  for (const dir of dirs.splice(0)) rmSync(dir, { recursive: true });
});
const directory = () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-lines-"));
  dirs.push(dir);
  return dir;
};
const room = join(import.meta.dir, "../../src/command-line");
/** A process that prints by `lines.ts` and `print.ts`, whose standard output goes to `to` of sh(1). */
function printed(script: string, to = "cat"): { out: string; err: string } {
  const source = `import { Lines } from "${room}/lines.ts"; import { printJson, printText } from "${room}/print.ts"; const out = new Lines(); ${script}`;
  const command = `"$0" -e "$1" | ${to}`;
  const { stdout, stderr } = Bun.spawnSync(["/bin/sh", "-c", command, process.execPath, source]);
  return { out: stdout.toString(), err: stderr.toString() };
}

test("lines, each as one, and what a terminal would obey as text", () => {
  const script = `out.print("a\\u001b"); out.print("b"); await out.flush(); console.error(printJson('"c\\u202e"'), printText("d\\u001b"), out.isClosed);`;
  expect(printed(script)).toEqual({
    out: 'a\\u001b\nb\n"c\\u202e"\nd\u001b',
    err: "true true false\n",
  });
});

test("who prints waits where nobody takes it, and not before", () => {
  const script = `
    const size = (n) => "x".repeat(n - 1);
    // The first is on its way at once.
    out.print("z");
    const seen = [out.print(size(65536)) === undefined, out.print(size(1)) instanceof Promise];
    await out.flush();
    seen.push(out.print("y") === undefined);
    await out.flush();
    console.error(seen.join(" "));`;
  const { out, err } = printed(script);
  expect([out.length, err]).toEqual([2 + 65_536 + 1 + 2, "true true true\n"]);
});

test("until nobody reads any more: that is told, and nothing is printed", () => {
  const script = `
    for (let n = 0; n < 200 && !out.isClosed; n++) { await out.print("x".repeat(100_000)); await out.flush(); }
    await out.closed;
    console.error(out.isClosed, out.print("y"), printText("y".repeat(100_000)), printJson("1"));`;
  expect(printed(script, "head -c 1")).toEqual({ out: "x", err: "true undefined false false\n" });
});

test("[protection] a secret is whole, of its mode from the first, and never where somebody else has led it", () => {
  const dir = directory();
  const file = join(dir, "key");
  const before = process.umask(0o077);
  try {
    writeFileSync(join(dir, "theirs"), "theirs");
    symlinkSync(join(dir, "theirs"), `${file}.new`);
    for (const mode of [0o600, 0o644]) {
      putSecrets({ file, text: `text ${mode}`, mode });
      expect([readFileSync(file, "utf8"), statSync(file).mode & 0o7777]).toEqual([
        `text ${mode}`,
        mode,
      ]);
    }
    expect([readFileSync(join(dir, "theirs"), "utf8"), existsSync(`${file}.new`)]).toEqual([
      "theirs",
      false,
    ]);
    const nowhere = { file: join(dir, "none/key"), text: "x", mode: 0o600 };
    expect(() => putSecrets(nowhere)).toThrow("ENOENT");
  } finally {
    process.umask(before);
  }
});

describe("files that belong together", () => {
  const put = (dir: string, text = "new") => {
    const files = ["key", "pem"].map((name) => ({ file: join(dir, name), text, mode: 0o600 }));
    return `import { putSecrets } from ${JSON.stringify(join(import.meta.dir, "../../src/command-line/put.ts"))};
      try { putSecrets(...${JSON.stringify(files)}); } catch (error) { console.log(error.message); }`;
  };
  const olds = (dir: string) => {
    for (const name of ["key", "pem"]) writeFileSync(join(dir, name), "old");
    return () => ["key", "pem"].map((name) => readFileSync(join(dir, name), "utf8"));
  };

  test.skipIf(!mayTrace())("stay as they were where the disk is full by the second", () => {
    const dir = directory();
    const now = olds(dir);
    const second = ["-P", join(dir, "pem.new")];
    const { printed: said } = told(put(dir), "write:error=ENOSPC", ...second);
    expect([said, now(), readdirSync(dir).sort()]).toEqual([
      expect.stringContaining("ENOSPC"),
      ["old", "old"],
      ["key", "pem"],
    ]);
    // Half of it was written.
    const short = told(put(dir, "abcdef"), "write:retval=3:when=1", ...second);
    expect([short.printed, now()]).toEqual(["", ["abcdef", "def"]]);
  });

  test.skipIf(!mayTrace())(
    "are all on the disk before one has its name, and the names then",
    () => {
      const dir = directory();
      olds(dir);
      const trace = join(dir, "trace");
      Bun.spawnSync([
        ...[
          "strace",
          "-f",
          "-qq",
          "-y",
          "-o",
          trace,
          "-e",
          "trace=fsync,rename,renameat,renameat2",
        ],
        ...[process.execPath, "-e", put(dir)],
      ]);
      const calls = readFileSync(trace, "utf8").matchAll(
        /(fsync|rename)\w*\((?:\d+<)?[^\n]*?([^/">]+)[">]/g,
      );
      expect([...calls].map(([, call, name]) => `${call} ${name}`)).toEqual([
        ...["fsync key.new", "fsync pem.new", "rename key.new", "rename pem.new"],
        `fsync ${basename(dir)}`,
      ]);
    },
  );

  test.skipIf(!mayTrace())("are there also in a directory that this user may not list", () => {
    const dir = directory();
    const now = olds(dir);
    const { printed: said } = told(put(dir), "open,openat:error=EACCES", ...["-P", dir]);
    expect([said, now()]).toEqual(["", ["new", "new"]]);
  });

  test.skipIf(!mayTrace())(
    "are not made where others could read them, since nothing keeps modes",
    () => {
      const dir = directory();
      const now = olds(dir);
      // As vfat does: it says yes, or refuses, and its files are what they were mounted as. The struct statx up to its mode: 0100777.
      const all = `ff170000${"00100000"}${"00".repeat(8)}01000000${"00".repeat(8)}ff81`;
      const { printed: said } = told(
        put(dir),
        `statx:poke_exit=@arg5=${all}`,
        ...["-P", join(dir, "key.new")],
      );
      expect([said, now()]).toEqual([
        expect.stringContaining("keeps no modes, so others could read or change it"),
        ["old", "old"],
      ]);
      // Where it refuses, and its files are for their owner alone, all is well.
      expect([told(put(dir), "fchmod:error=EPERM").printed, now()]).toEqual(["", ["new", "new"]]);
    },
  );
});

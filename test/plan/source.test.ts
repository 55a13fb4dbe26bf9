import { afterAll, describe, expect, test } from "bun:test";
import {
  existsSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { thisMachine } from "../../src/plan/machine.ts";
import { isRoots, resolveSource } from "../../src/plan/source.ts";
import type { HostFiles } from "../../src/plan/view.ts";
import { refused } from "./compiling.ts";

const dir = mkdtempSync(join(realpathSync(tmpdir()), "spawnbox-source-"));
afterAll(() => rmSync(dir, { recursive: true }));
mkdirSync(join(dir, "real/deep"), { recursive: true });
symlinkSync("real", join(dir, "mine"));
symlinkSync(join(dir, "mine/deep"), join(dir, "twice"));
symlinkSync("loop", join(dir, "loop"));
symlinkSync("real", join(dir, "foreign"));
if (process.geteuid?.() === 0) lchownSync(join(dir, "foreign"), 1, 1);

const machine = thisMachine();
/** For whom the last link belongs to somebody else, also where nobody but root could give it away. */
const other = { ...machine, uid: machine.uid === 0 ? 0 : machine.uid + 1 };
const resolve = (path: string, make = false) =>
  resolveSource(join(dir, path), make ? "made" : "refused", machine).path;

test("a link is root's where nobody else could exchange it, nor what is above it", () => {
  type Seen = NonNullable<ReturnType<HostFiles["lookup"]>>;
  const mine = { owner: 0, open: false, rootsOnly: true } as Seen;
  const all: Record<string, Seen> = { "/": mine, "/a": mine, "/a/b": mine, "/a/b/l": mine };
  const is = (more: Record<string, Partial<Seen> | undefined> = {}) => {
    const merged = (path: string) => ({ ...all[path], ...more[path] }) as Seen;
    const files = {
      lookup: (path: string) => (path in more && !more[path] ? undefined : merged(path)),
    };
    return isRoots("/a/b/l", files as HostFiles);
  };
  expect(is()).toBe(true);
  for (const dir of ["/a/b", "/a", "/"]) {
    expect([dir, is({ [dir]: { rootsOnly: false } })]).toEqual([dir, false]);
    expect([dir, is({ [dir]: undefined })]).toEqual([dir, false]);
  }
  // Where others can make files, though not exchange any, one could be another name of a link made elsewhere.
  expect([is({ "/a/b": { open: true } }), is({ "/a": { open: true } })]).toEqual([false, true]);
  expect([is({ "/a/b/l": { owner: 1 } }), is({ "/a/b/l": undefined })]).toEqual([false, false]);
});

describe("a source without links", () => {
  test("is what realpath(3) says", () => {
    for (const path of ["real", "mine", "twice", "mine/deep", "real/.", "real//deep/"])
      expect(resolve(path)).toBe(realpathSync(join(dir, path)));
    expect(resolveSource(`${dir}/twice/../../real`, "refused", machine)).toEqual({
      path: join(dir, "real"),
      asked: `${dir}/twice/../../real`,
      links: [join(dir, "twice"), join(dir, "mine")],
    });
    expect(resolveSource("/", "refused", machine).path).toBe("/");
  });

  test("is made below what is there, where that is meant", () => {
    expect(() => resolve("mine/new")).toThrow("does not exist on this machine");
    expect(resolve("mine/new/deep", true)).toBe(join(dir, "real/new/deep"));
    expect(existsSync(join(dir, "real/new/deep"))).toBe(true);
  });
});

test("links of others are not followed, nor is anything made behind them", () => {
  const through = `goes through the link ${join(dir, "foreign")} of uid ${machine.uid || 1}`;
  expect(() => resolveSource(join(dir, "foreign/deep"), "refused", other)).toThrow(through);
  expect(() => resolveSource(join(dir, "foreign/made"), "made", other)).toThrow(through);
  expect(existsSync(join(dir, "real/made"))).toBe(false);
  expect(() => resolve("loop")).toThrow("too many symbolic links");
});

test("a config is refused with the place", () => {
  const mounts = [{ target: "/usr" }, { target: "/data", source: join(dir, "foreign") }];
  const machine = { uid: other.uid, gid: 0, privileged: other.uid === 0 };
  const [problem] = refused({ acls: { user: "daemon" }, namespace: { mounts } }, machine);
  expect(problem).toStartWith("sandboxes[0].namespace.mounts[1]: source");
});

test("as many links as the kernel follows, and no more", () => {
  mkdirSync(join(dir, "l40"));
  for (let i = 0; i < 40; i++) symlinkSync(`l${i + 1}`, join(dir, `l${i}`));
  symlinkSync("l0", join(dir, "more"));
  expect(resolve("l0")).toBe(join(dir, "l40"));
  expect(() => resolve("more")).toThrow("too many symbolic links");
});

test("where the server may not look there is nothing; what cannot be looked at at all is told", () => {
  const failing = (code: string) => {
    const files = {
      ...machine.files,
      lookup: (path: string) => {
        if (path === join(dir, "real")) throw Object.assign(new Error("cannot look"), { code });
        return machine.files.lookup(path);
      },
    };
    return () =>
      resolveSource(join(dir, "real/deep"), "looked for at each launch", { ...machine, files });
  };
  const unseen = [
    "EACCES",
    "ENOTDIR",
    "ETIMEDOUT",
    "ENOTCONN",
    "ESTALE",
    "EHOSTDOWN",
    "EHOSTUNREACH",
  ];
  for (const code of unseen) expect(failing(code)().path).toBe(join(dir, "real/deep"));
  for (const code of ["EIO", "ELOOP"]) expect(failing(code)).toThrow("cannot look");
});

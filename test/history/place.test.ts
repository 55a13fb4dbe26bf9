/** What is said of the file of a history before a start, which makes nothing; and of what cannot be made. */
import { expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { lookAtPlace, placeOf } from "../../src/history/place.ts";
import { descriptorsOf } from "../descriptors.ts";
import { ORDINARY } from "../accounts.ts";
import { isRoot } from "../served.ts";
import { directories } from "./directory.ts";

const { ends, directory } = directories();
const own = process.geteuid?.() ?? 0;
/** Of each kind of user: root's server asks more, of files that are root's. */
const uids = isRoot ? [0, ORDINARY] : [own];

test("nothing where there is one, or room for one; and nothing is made, changed or left open", () => {
  const dir = directory();
  const open = () => descriptorsOf("self").filter((one) => one.startsWith(dir));
  for (const uid of uids) lookAtPlace(join(dir, "history"), uid);
  expect(readdirSync(dir)).toEqual([]);
  writeFileSync(join(dir, "history"), "", { mode: 0o644 });
  symlinkSync("history", join(dir, "link"));
  for (const uid of uids) for (const name of ["history", "link"]) lookAtPlace(join(dir, name), uid);
  expect(statSync(join(dir, "history")).mode & 0o777).toBe(0o644);
  expect(open()).toEqual([]);
});

test("what is no file, or a link to nothing, or where there is no directory", () => {
  const dir = directory();
  const why = (name: string, uid: number) => () => lookAtPlace(join(dir, name), uid);
  mkdirSync(join(dir, "below"));
  symlinkSync("nowhere", join(dir, "dangling"));
  expect(why("below", ORDINARY)).toThrow(new Error("is no regular file"));
  if (isRoot) expect(why("below", 0)).toThrow(/below is not a regular file/);
  for (const uid of uids) {
    expect(why("dangling", uid)).toThrow(
      "is a link to a file that is not there: make that, or remove the link",
    );
    expect(why("none/history", uid)).toThrow(
      new Error(`there is no directory ${join(dir, "none")}: make it first (ENOENT)`),
    );
    writeFileSync(join(dir, "file"), "");
    expect(why("file/history", uid)).toThrow("ENOTDIR");
  }
  expect(existsSync(join(dir, "nowhere"))).toBe(false);
});

test.if(isRoot)("where others can put files", () => {
  const dir = directory();
  chmodSync(dir, 0o777);
  const look = (uid: number) => () => lookAtPlace(join(dir, "history"), uid);
  const why = (whose: string) =>
    `others can put files into ${dir}: choose a directory of ${whose} own`;
  expect(look(0)).toThrow(new Error(why("root's")));
  expect(look(ORDINARY)).toThrow(new Error(why("its")));
  writeFileSync(join(dir, "history"), "", { mode: 0o600 });
  expect(look(0)).toThrow(`${dir} can be written by others than its owner`);
  expect(look(ORDINARY)).toThrow(new Error(why("its")));
  expect(descriptorsOf("self").filter((one) => one.startsWith(dir))).toEqual([]);
});

test.if(isRoot)("what can only be read: the file, and its directory", () => {
  const dir = directory();
  Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "mode=0700", "none", dir]);
  ends.push(() => void Bun.spawnSync(["umount", dir]));
  writeFileSync(join(dir, "history"), "", { mode: 0o600 });
  Bun.spawnSync(["mount", "-o", "remount,ro", dir]);
  for (const name of ["history", "other"])
    for (const uid of uids) expect(() => lookAtPlace(join(dir, name), uid)).toThrow("EROFS");
  for (const uid of uids) expect(() => placeOf(join(dir, "other"), uid)).toThrow("EROFS");
  expect(descriptorsOf("self").filter((one) => one.startsWith(dir))).toEqual([]);
});

test("what cannot be made leaves nothing open: it is tried again for as long as the server runs", () => {
  const before = descriptorsOf("self").length;
  for (let i = 0; i < 20; i++)
    expect(() => placeOf(`/proc/${process.pid}/history`, ORDINARY)).toThrow("ENOENT");
  expect(descriptorsOf("self").length).toBeLessThan(before + 20);
});

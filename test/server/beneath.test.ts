/** Both ways to what lies below a directory come to the same, and neither to anything else. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { descriptorsOf } from "../descriptors.ts";
import { openBeneath, openDirectory, walkBeneath } from "../../ffi/beneath.ts";

let dir = "";
let top = -1;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-beneath-"));
  const root = join(dir, "root");
  mkdirSync(join(root, "a/b"), { recursive: true });
  writeFileSync(join(root, "a/file"), "x");
  writeFileSync(join(dir, "outside"), "x");
  const links = {
    "to-a": "a",
    "a/up": "../a/file",
    "a/b/far": "../../../outside",
    out: "../outside",
    absolute: join(root, "a/file"),
    // It would be there, if it began here.
    "from-top": "/a/file",
    "with-slash": "a/",
    loop: "loop",
    twice: "to-a/b/../up",
    dangling: "none",
    magic: "/proc/self/root",
  };
  for (const [name, text] of Object.entries(links)) symlinkSync(text, join(root, name));
  top = openDirectory(root);
});
afterAll(() => {
  closeSync(top);
  rmSync(dir, { recursive: true });
});

const inode = (open: (directory: number, path: string) => number | undefined, path: string) => {
  const handle = open(top, path);
  if (handle === undefined) return undefined;
  const { ino } = fstatSync(handle);
  closeSync(handle);
  return ino;
};

/** What this process has open of it; others of its descriptors come and go. */
const held = (): string[] => descriptorsOf("self").filter((path) => path.startsWith(dir));

describe("the same", () => {
  test.each([
    ...[
      ".",
      "a",
      "a/",
      "a/b",
      "a/file",
      "a/file/..",
      "a/file/x",
      "a//b",
      "./a/./b",
      "a/..",
      "a/../a",
    ],
    ...[
      "..",
      "a/../..",
      "a/b/../../..",
      "/",
      "/etc/passwd",
      "to-a",
      "to-a/file",
      "to-a/..",
      "a/up",
    ],
    ...[
      "a/b/far",
      "out",
      "absolute",
      "from-top",
      "with-slash",
      "loop",
      "twice",
      "dangling",
      "magic",
      "magic/etc",
      "none",
    ],
    "x".repeat(300),
  ])("%s", (path) => {
    const before = held();
    expect(inode(walkBeneath, path)).toBe(inode(openBeneath, path) as number);
    expect(held()).toEqual(before);
  });
  test("some is there", () =>
    expect(inode(walkBeneath, "twice")).toBe(inode(openBeneath, "a/file") as number));
});

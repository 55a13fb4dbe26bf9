/** Where the modules of a plugin are looked for, and in which order. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findModule } from "../../src/plugins/find.ts";

let dir = "";
let config = "";
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-find-"));
  config = join(dir, "config.json");
  for (const name of ["one", "two"]) mkdirSync(join(dir, name));
  const files = [
    "a.ts",
    "one/b.js",
    "one/b.mts",
    "two/b.ts",
    "two/c.mjs",
    "one/d.json",
    "two/e.cts",
  ];
  for (const name of files) writeFileSync(join(dir, name), "");
});
afterAll(() => rmSync(dir, { recursive: true }));

const found = (lib: string, spath?: string) => findModule(lib, spath, config).slice(dir.length + 1);

test("beside the config, or in the directories that are named, the first of them first", () => {
  expect(found("a")).toBe("a.ts");
  expect(found("a.ts", "")).toBe("a.ts");
  expect(found("b", "one:two")).toBe("one/b.js");
  expect(found("b", "two:one")).toBe("two/b.ts");
  expect(found("b.mts", "two::one:")).toBe("one/b.mts");
  expect(found("c", "one:two")).toBe("two/c.mjs");
  expect(found("c", join(dir, "two"))).toBe("two/c.mjs");
  expect(found("e.cts", "two")).toBe("two/e.cts");
  expect(found(join(dir, "one/b"), "two")).toBe("one/b.js");
  // Where the ending is left out, one after the other.
  for (const ending of [".mjs", ".mts", ".js", ".ts"]) {
    writeFileSync(join(dir, `one/f${ending}`), "");
    expect(found("f", "one")).toBe(`one/f${ending}`);
  }
});

test("what is not there is told with where it was looked for", () => {
  expect(() => found("a", "one:two")).toThrow(
    `no module \`a\` in ${join(dir, "one")}, ${join(dir, "two")}`,
  );
  expect(() => found("none")).toThrow(`no module \`none\` in ${dir}`);
  expect(() => found("/nowhere/x")).toThrow(/^no module `\/nowhere\/x`$/);
  // Nothing between two colons is no directory.
  for (const spath of ["one::two", ":one", "one:"])
    expect(() => found("a", spath)).toThrow("no module");
  // A file that is no module is none, nor is an ending of another kind added to one.
  for (const lib of ["d", "d.json", "e", "b.ts", "b.js.ts"])
    expect(() => found(lib, "one")).toThrow("no module");
});

test("a native plugin is not looked for: what to do is told", () => {
  for (const lib of ["x.so", "x.SO", "libx.so.1", "libx.so.1.2.3", "x.ctlso", join(dir, "x.so")])
    expect(() => found(lib)).toThrow(`\`${lib}\` is a native plugin, and those are not loaded`);
  for (const lib of ["so", "x.so.js", "xso"]) expect(() => found(lib)).toThrow("no module");
});

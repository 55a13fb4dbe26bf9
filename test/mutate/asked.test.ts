/** Who is asked about a mistake, and that each folder of the code has a room whose suites there are. */
import { describe, expect, test } from "bun:test";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { asked } from "./asked.ts";
import { isElsewhere, isOutside, runs } from "./known.ts";
import { linesOf, type Suite } from "./lines.ts";
import type { Mistake } from "./mistake.ts";
import { rooms } from "./rooms.ts";
import { suitesOf } from "./suites.ts";

const root = join(import.meta.dir, "../..");

const at = (line: number, lastLine = line, file = "src/a.ts"): Mistake => ({
  ...{ file, line, lastLine },
  ...{ start: 0, end: 0, replacement: "", rule: "" },
});
const REPORT = "TN:\nSF:src/a.ts\nFNF:1\nDA:2,1\nDA:3,0\nDA:5,7\nend_of_record\nSF:src/b.ts\n";
const suite = (file: string, seconds: number, report = REPORT, outside = false): Suite => ({
  ...{ file, seconds, longest: 0, isOutside: outside, isElsewhere: false },
  lines: linesOf(report),
});

test("lines of a report that ran, and that did not", () => {
  expect(linesOf(REPORT)).toEqual(
    new Map([
      [
        "src/a.ts",
        new Map([
          [2, true],
          [3, false],
          [5, true],
        ]),
      ],
      ["src/b.ts", new Map()],
    ]),
  );
});

test.each([
  ["its line ran", at(2), true],
  ["its line did not", at(3), false],
  ["a part of what did not", at(4), false],
  ["a part of what ran", at(6), true],
  ["one of its lines ran", at(3, 5), true],
  ["before all that is counted", at(1), true],
  ["of a file without counts", at(1, 1, "src/b.ts"), true],
  ["of a file that was not loaded", at(2, 2, "src/c.ts"), false],
])("a mistake can be noticed: %s", (_, mistake, expected) => {
  expect(runs(suite("test/a.test.ts", 1), mistake)).toBe(expected);
});

describe("those are asked", () => {
  const suites = [
    suite("test/slow.test.ts", 3),
    suite("test/quick.test.ts", 1),
    suite("test/x/a.test.ts", 9),
    suite("test/idle.test.ts", 1, "SF:src/c.ts\nDA:1,1\n"),
    suite("test/served.test.ts", 2, "", true),
  ];
  const names = (list: readonly Suite[]) => list.map(({ file }) => file);

  test("in which it runs, first the one of its name, then the quickest; apart those of the executable", () => {
    const { inside, outside } = asked(suites, { code: [], suites: [] }, at(2));
    expect(names(inside)).toEqual(["test/x/a.test.ts", "test/quick.test.ts", "test/slow.test.ts"]);
    expect(names(outside)).toEqual(["test/served.test.ts"]);
  });

  test.each([
    ["C", { code: [], suites: [] }, at(2, 2, "ffi/launcher/b.c")],
    ["threads", { code: [], suites: [], isElsewhere: true as const }, at(3)],
  ])("all of them about %s, of which there are no counts", (_, room, mistake) => {
    expect(asked(suites, room, mistake).inside).toHaveLength(4);
  });

  test("of those that start others with the code in them all", () => {
    const other = { ...suite("test/other.test.ts", 1, ""), isElsewhere: true };
    const { inside } = asked([other, ...suites], { code: [], suites: [] }, at(3));
    expect(names(inside)).toEqual(["test/other.test.ts"]);
  });

  test("first those that the room says know its file best", () => {
    const best = { "a.ts": ["test/slow.test.ts"] };
    const { inside } = asked(suites.slice(0, 2), { code: [], suites: [], best }, at(2));
    expect(names(inside)).toEqual(["test/slow.test.ts", "test/quick.test.ts"]);
  });
});

test.each([
  ["test/rpc/served.test.ts", true],
  // By one word of a file that has others, too.
  ["test/launch/secrets.test.ts", true],
  ["test/rpc/dialler.test.ts", false],
  ["test/rpc/packets.test.ts", false],
  ["test/plan/caps.test.ts", false],
])("%s runs the executable: %p", (file, expected) => {
  expect(isOutside(root, file)).toBe(expected);
});

test("who starts others with the code in them is known", () => {
  expect(isElsewhere(root, "test/encoders/log.test.ts")).toBe(true);
  expect(isElsewhere(root, "test/encoders/utf8.test.ts")).toBe(false);
});

test("each folder of the code has a room, but for what builds it", () => {
  const code = Object.values(rooms).flatMap((room) => room.code);
  const folders = readdirSync(join(root, "src"), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== "make")
    .map((entry) => `src/${entry.name}/`);
  expect(folders.filter((folder) => !code.some((one) => one.startsWith(folder)))).toEqual([]);
});

test.each(Object.entries(rooms))("%s: there is what it names", (_, { code, suites, best = {} }) => {
  const empty = (pattern: string) =>
    [...new Bun.Glob(pattern).scanSync({ cwd: root })].length === 0;
  expect(code.filter(empty)).toEqual([]);
  expect(suites.filter((pattern) => suitesOf(root, [pattern]).length === 0)).toEqual([]);
  for (const [file, names] of Object.entries(best)) {
    const named = code.flatMap((one) => [...new Bun.Glob(one).scanSync({ cwd: root })]);
    expect(named.some((one) => one.endsWith(`/${file}`))).toBe(true);
    expect(names.filter((name) => !existsSync(join(root, name)))).toEqual([]);
  }
});

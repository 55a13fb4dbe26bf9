/** Rules make what they say, and nothing else; each mistake that is listed as none is one that a rule makes. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { mistakesInC } from "./c.ts";
import { mistakesOf } from "./catalogue.ts";
import { equivalents } from "./equivalent.ts";
import { change, type Mistake, shuffled } from "./mistake.ts";
import { rooms } from "./rooms.ts";
import { mistakesInTypeScript } from "./typescript.ts";

const root = join(import.meta.dir, "../..");
const changes = (text: string, mistakes: readonly Mistake[]) =>
  mistakes.map((one) => `${one.rule}: ${change(text, one)}`);

test.each([
  ["if (a < 1) return;", "operator: if (a < 1) return; → if (a <= 1) return;"],
  ["if (a < 1) return;", "condition turned: if (a < 1) return; → if (!(a < 1)) return;"],
  ["if (a < 1) return;", "guard dropped: if (a < 1) return; → (nothing)"],
  ["if (a < 1) return;", "constant shifted: if (a < 1) return; → if (a < (1 + 1)) return;"],
  ["f(!a && b);", "condition turned: f(!a && b); → f(a && b);"],
  ["f(!a && b);", "statement dropped: f(!a && b); → (nothing)"],
  ["x = a ?? b;", "default dropped: x = a ?? b; → x = a;"],
  [
    "report.problem(p, `no ${x}`);",
    'text emptied: report.problem(p, `no ${x}`); → report.problem(p, "");',
  ],
  ["report.problem(p, m);", "call exchanged: report.problem(p, m); → report.notice(p, m);"],
  ["x = [a, b];", "element dropped: x = [a, b]; → x = [b];"],
  ["x = [a, b];", "element dropped: x = [a, b]; → x = [a];"],
  ["x = { ...a };", "property dropped: x = { ...a }; → x = { };"],
  [
    "try { f(); } catch (e) { throw e; }",
    "error ignored: try { f(); } catch (e) { throw e; } → try { f(); } catch (e) {}",
  ],
  ["x = a.filter(f).map(g);", "call left out: x = a.filter(f).map(g); → x = a.map(g);"],
])("TypeScript %s: %s", (text, expected) => {
  expect(changes(text, mistakesInTypeScript("a.ts", text))).toContain(expected);
});

test.each([
  ["\tif (r < 0)\n\t\treturn r;\n", "guard dropped: if (r < 0) return r; → ;"],
  ["\tif (r < 0)\n\t\treturn r;\n", "condition turned: if (r < 0) → if (!(r < 0))"],
  ["\tclose_fd(fd);\n", "statement dropped: close_fd(fd); → ;"],
  ["\tx = A | B;\n", "flag dropped: x = A | B; → x = A;"],
  ["\tx = A | B;\n", "flag dropped: x = A | B; → x = B;"],
])("C %j: %s", (text, expected) => {
  expect(changes(text, mistakesInC("a.c", text))).toContain(expected);
});

test("what is a comment, a text or a line of the preprocessor stays as it is", () => {
  expect(
    mistakesInC("a.c", '#define A (1 == 2)\n/* a == 1 */\nstatic char *x = "a == 1";\n'),
  ).toEqual([]);
  expect(mistakesInTypeScript("a.ts", 'import a from "a"; // 1 < 2\ntype B = 1 | 2;')).toEqual([]);
});

test("in C, sizes of arrays and the mode of what is only opened stay as they are", () => {
  const rules = (text: string) =>
    mistakesInC("a.c", text)
      .map(({ rule }) => rule)
      .filter((rule) => rule === "constant shifted");
  expect(rules("\tchar a[4];\n")).toEqual([]);
  expect(rules("\tlong fd = SYS4(__NR_openat, AT_FDCWD, path, O_RDONLY, 0);\n")).toEqual([]);
  expect(rules("\tlong fd = SYS4(__NR_openat, AT_FDCWD, path, O_CREAT, 0);\n")).toHaveLength(1);
  expect(rules("\tf(g(__NR_openat, a, 0), 0);\n")).toHaveLength(1);
});

test("in C, a number that the kernel does not look at stays as it is", () => {
  const shifted = (text: string) =>
    mistakesInC("a.c", text)
      .filter(({ rule }) => rule === "constant shifted")
      .map((one) => change(text, one).replace(/.* → /, ""));
  expect(shifted("\tSYS5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);\n")).toEqual([
    "SYS5(__NR_prctl, PR_SET_DUMPABLE, (0 + 1), 0, 0, 0);",
  ]);
  expect(shifted("\tSYS5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);\n")).toHaveLength(4);
  expect(shifted("\tSYS5(__NR_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);\n")).toEqual([]);
  expect(shifted("\tSYS5(__NR_clone, 17, 0, 0, 0, 0);\n")).toHaveLength(2);
  expect(shifted("\tif (r > -4096)\n")).toEqual([]);
});

test("in C, what says that something is so says it by any number but 0", () => {
  const shifted = (text: string) =>
    mistakesInC("a.c", text).filter(({ rule }) => rule === "constant shifted");
  expect(shifted("static int f(long a)\n{\n\treturn 1;\n}\n")).toEqual([]);
  expect(shifted("static int f(long a)\n{\n\treturn 0;\n}\n")).toHaveLength(1);
  expect(shifted("long f(long a)\n{\n\treturn 1;\n}\n")).toHaveLength(1);
  expect(shifted("\tleave(125);\n")).toEqual([]);
  expect(shifted("\tint is_dir = 1;\n")).toEqual([]);
  expect(shifted("\tleave(0);\n")).toHaveLength(1);
});

test("in C, what is opened where 0 is taken is not 0", () => {
  const rules = (file: string, text: string) => mistakesInC(file, text).map(({ rule }) => rule);
  const kept = ["condition turned", "guard dropped"];
  const check = "\tif (fd < 0)\n\t\treturn fd;\n";
  expect(rules("ffi/launcher/mounts.c", check)).toEqual(kept);
  expect(rules("ffi/launcher/supervisor.c", check)).toEqual([
    "operator",
    ...kept,
    "constant shifted",
  ]);
  expect(rules("ffi/launcher/mounts.c", "\tif (r < 0)\n\t\treturn r;\n")).toContain("operator");
});

test("of a long line that is told which differs", () => {
  const text = `\tf(${"a, ".repeat(40)}0, 0);\n`;
  const [first, second] = changes(text, mistakesInC("a.c", text)).filter((one) =>
    one.startsWith("constant"),
  );
  expect(first).toEndWith(" a, 0, 0); → …a, a, a, a, a, a, a, a, a, a, (0 + 1), 0);");
  expect(second).toEndWith(" 0, (0 + 1));");
});

test("in C, a flag that is 0 is not dropped", () => {
  const dropped = (text: string) =>
    mistakesInC("a.c", text).filter(({ rule }) => rule === "flag dropped");
  expect(
    dropped("\tx = O_RDONLY | O_CLOEXEC;\n").map(({ replacement, start, end }) => [
      ...[replacement, start, end],
    ]),
  ).toEqual([["", 13, 25]]);
  expect(dropped("\tcase BPF_LD | BPF_W | BPF_LEN:\n")).toHaveLength(1);
});

test("a seed repeats the order", () => {
  const items = Array.from({ length: 50 }, (_, i) => i);
  expect(shuffled(items, 7)).toEqual(shuffled(items, 7));
  expect(shuffled(items, 7)).not.toEqual(shuffled(items, 8));
  expect(shuffled(items, 7).toSorted((a, b) => a - b)).toEqual(items);
});

test("a duration is not a millisecond longer, and of what a comparison answers the sign stays", () => {
  const shifted = (text: string) =>
    mistakesInTypeScript("a.ts", text)
      .filter(({ rule }) => rule === "constant shifted")
      .map(({ replacement }) => replacement);
  expect(shifted("/** Milliseconds until then. */\nconst A = 10;\nconst B = 20;")).toEqual([]);
  expect(shifted("/** How long, ms, it takes. */\nconst A = 10;")).toEqual([]);
  expect(shifted("/** How many. */\nconst A = 10;\n")).toEqual(["(10 + 1)"]);
  expect(shifted("/** ms */\nconst A = 10;\n\nconst B = 20;")).toEqual(["(20 + 1)"]);
  expect(shifted("/** ms */\nconst A = 10;\n/** How many. */\nconst B = 20;")).toHaveLength(1);
  expect(shifted("/** ms */\nconst A = 10 * b;\nf(20);")).toHaveLength(2);
  expect(shifted("all.sort((a, b) => (a < b ? -1 : 1));")).toEqual([]);
  expect(shifted("x = a < b ? 2 : 1;")).toHaveLength(2);
});

test("what is listed as no mistake is one that a rule makes in today's code", () => {
  const files = [...new Set(equivalents.map(({ file }) => file))];
  const known = new Set(
    files.flatMap((file) => {
      const text = readFileSync(join(root, file), "utf8");
      const all = Object.values(rooms).flatMap((room) => mistakesOf(room, root, file));
      return all.map((one) => `${one.file}: ${change(text, one)}`);
    }),
  );
  expect(
    equivalents.map(({ file, change }) => `${file}: ${change}`).filter((one) => !known.has(one)),
  ).toEqual([]);
  for (const { reason } of equivalents) expect(reason).not.toBe("");
});

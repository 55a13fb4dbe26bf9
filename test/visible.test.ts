import { describe, expect, test } from "bun:test";
import { problemLine } from "../src/config/problem.ts";
import { Log } from "../src/log.ts";
import { indented, visible, visibleLines } from "../src/visible.ts";

describe("nothing is left that is obeyed instead of shown", () => {
  test("control characters, separators, directions, what takes no room", () => {
    const codes = [
      ...Array.from({ length: 32 }, (_, i) => i),
      ...Array.from({ length: 33 }, (_, i) => 0x7f + i),
      ...[0x61c, 0x200b, 0x200e, 0x200f, 0x2028, 0x2029, 0x202a, 0x202e, 0x2066, 0x2069, 0xfeff],
    ];
    for (const code of codes) {
      const shown = visible(`a${String.fromCharCode(code)}b`);
      expect(shown).toBe(`a\\u${code.toString(16).padStart(4, "0")}b`);
    }
    expect(visible("\ud800x\udc00")).toBe("\\ud800x\\udc00");
    expect(visible("\u{e0041}")).toBe("\\udb40\\udc41");
  });

  test("letters stay, of all scripts", () => {
    const text = "aä€😀👩‍👧 می‌خواهم <0> \\";
    expect(visible(text)).toBe(text);
  });

  test("JSON means the same", () => {
    const value = { a: "\x7f\x9b\u202e\u{e0041}\ud800" };
    expect(JSON.parse(visibleLines(JSON.stringify(value, null, 2)))).toEqual(value);
  });

  test("lines stay lines, and none begins with a priority", () => {
    expect(visibleLines("a\n<0>b\r\n <1>c\n<b>")).toBe("a\n\\u003c0>b\\u000d\n <1>c\n<b>");
    expect(visibleLines("<3>")).toBe("\\u003c3>");
  });
});

test("a problem that has lines begins only one where lines of the server begin", () => {
  expect(indented("a\nb\n  c")).toBe("a\n  b\n  c");
  const problem = { file: "f", path: "a.b\nreloaded", message: "found x\nnotice: all is well" };
  expect(problemLine(problem)).toBe("f: a.b\n  reloaded: found x\n  notice: all is well");
});

test("a line of the log is one line, API and all", () => {
  const lines: string[] = [];
  const log = new Log((line) => lines.push(line));
  log.for("a\nb")("error", "c\n<0>d\x1b[2J");
  expect(lines).toEqual(["error: a\\u000ab: c\\u000a<0>d\\u001b[2J"]);
});

test("the console: texts, and what is none", () => {
  const script = `
    import { keepConsole } from ${JSON.stringify(new URL("../src/printed.ts", import.meta.url).pathname)};
    keepConsole();
    console.log("a\\n<0>b\\x1b[2J", "%s", 7);
    console.error("failed:", new Error("x\\n<0>y\\x9b"));
    console.warn("\\u202e");
    keepConsole((text) => process.stdout.write("[" + text + "]\\n"));
    console.log("by another\\x9b");
    console.error("not what is wrong");
  `;
  const { stdout, stderr } = Bun.spawnSync([process.execPath, "-e", script]);
  expect(stdout.toString()).toBe("a\n\\u003c0>b\\u001b[2J %s 7\n[by another\\u009b]\n");
  const [first = "", ...others] = stderr.toString().trimEnd().split("\n");
  expect(first).toStartWith("failed:");
  expect(others.splice(-2)).toEqual(["\\u202e", "not what is wrong"]);
  expect(others.join()).toContain("<0>y\\u009b");
  for (const line of others) expect(line).toMatch(/^(\s|$)/);
});

test("no line of the log is so long that a journal cuts it, wherever a caller wants that", () => {
  const lines: string[] = [];
  const log = new Log((line) => lines.push(line)).for("a");
  log("error", `${"\x07".repeat(100_000)}<0>the server says`);
  log("error", "short");
  expect(lines[1]).toBe("error: a: short");
  // LineMax= of journald.
  expect(Buffer.byteLength(lines[0] ?? "")).toBeLessThan(48 << 10);
  expect(lines[0]).toEndWith("… (95922 characters more)");
});

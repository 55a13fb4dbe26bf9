import { describe, expect, test } from "bun:test";
import { helpOf } from "../../src/manual/manual.ts";
import { optionLines, readOptions, readWithOperands } from "../../src/manual/options.ts";
import { commandsOf } from "../../src/manual/program.ts";
import { SUBCOMMANDS } from "../../src/subcommands.ts";

const TABLE = {
  file: { argument: "FILE", short: "f", text: "a file" },
  host: { argument: "ADDRESS", repeatable: true, text: "addresses" },
  "no-try": { text: "a switch" },
} as const;

describe("a table of options", () => {
  test("reads a command line", () => {
    expect(readOptions(TABLE, [])).toEqual({ file: undefined, host: [], "no-try": false });
    expect(readOptions(TABLE, ["-f", "a", "--host=b", "--host", "c", "--no-try"])).toEqual({
      file: "a",
      host: ["b", "c"],
      "no-try": true,
    });
    expect(readOptions(TABLE, ["--no-try", "-h"])).toBeUndefined();
    for (const wrong of [["--try"], ["--file"], ["--no-try=x"], ["operand"]])
      expect(() => readOptions(TABLE, wrong)).toThrow(TypeError);
    expect(readWithOperands(TABLE, ["a", "--", "--try"])?.positionals).toEqual(["a", "--try"]);
  });

  test("has options whose argument may be left out", () => {
    const table = { ...TABLE, ask: { argument: "WHERE", omissible: /^unix:/, text: "x" } } as const;
    const read = (...args: string[]) => {
      const { values, positionals } = readWithOperands(table, args) ?? {};
      return [values?.ask, values?.["no-try"], ...(positionals ?? [])];
    };
    expect(read("a")).toEqual([undefined, false, "a"]);
    expect(read("--ask")).toEqual(["", false]);
    expect(read("--ask", "--no-try")).toEqual(["", true]);
    expect(read("--ask", "a")).toEqual(["", false, "a"]);
    expect(read("--ask", "unix:a", "b")).toEqual(["unix:a", false, "b"]);
    expect(read("--ask=a", "b")).toEqual(["a", false, "b"]);
    expect(read("--", "--ask")).toEqual([undefined, false, "--ask"]);
    expect(optionLines(table)).toContain("  --ask [WHERE]    x\n");
  });

  test("is told in lines that a terminal takes", () => {
    const lines = optionLines({ ...TABLE, long: { text: "word ".repeat(60).trim() } }).split("\n");
    expect(lines.slice(0, 3)).toEqual([
      "  -f, --file FILE  a file",
      "  --host ADDRESS   addresses",
      "  --no-try         a switch",
    ]);
    expect(lines.at(-1)).toBe("  -h, --help       this text");
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(120);
    expect(lines.join(" ").match(/word/g)).toHaveLength(60);
  });
});

test("the help of no subcommand has a line that is too long", async () => {
  const commands = await commandsOf(SUBCOMMANDS);
  expect(commands.length).toBeGreaterThan(10);
  const long = commands.flatMap(({ manual }) =>
    helpOf(manual)
      .split("\n")
      .filter((line) => line.length > 124),
  );
  expect(long).toEqual([]);
});

import { describe, expect, test } from "bun:test";
import { parseArgs } from "node:util";
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

  test("is read as the library does, whatever stands in a line", () => {
    const words = [
      ...[
        "--file",
        "--file=",
        "--file=a=b",
        "-f",
        "-fx",
        "-f=x",
        "--host",
        "--host=b",
        "--host=-b",
      ],
      ...["--no-try", "--no-try=", "-n", "-nf", "-nfx", "-nn", "-nx", "-fn", "--", "-", "a", ""],
      ...["--fil", "-x", "-1", "---", "--=", "--=a", "--constructor", "--__proto__", "-", "-é"],
    ];
    const table = { ...TABLE, "no-try": { short: "n", text: "a switch" } } as const;
    const options = {
      file: { type: "string", short: "f" },
      host: { type: "string", multiple: true },
      "no-try": { type: "boolean", short: "n" },
    } as const;
    const tried = (read: () => unknown) => {
      try {
        return read();
      } catch (error) {
        expect(error).toBeInstanceOf(TypeError);
        return "wrong";
      }
    };
    let right = 0;
    const compare = (args: string[]) => {
      for (const allowPositionals of [true, false]) {
        const theirs = tried(() => {
          const { values, positionals } = parseArgs({ args, options, allowPositionals });
          return { values: { file: undefined, host: [], "no-try": false, ...values }, positionals };
        });
        if (theirs !== "wrong") right++;
        const ours = tried(() => readWithOperands(table, args, allowPositionals));
        expect([args, allowPositionals, ours]).toEqual([args, allowPositionals, theirs]);
      }
    };
    compare([]);
    for (const a of words) {
      compare([a]);
      for (const b of words) {
        compare([a, b]);
        for (const c of ["--file", "-nf", "--", "a"]) compare([a, b, c]);
      }
    }
    expect(right).toBeGreaterThan(1000);
  });

  test.each<[string[], string]>([
    [["--fiel", "a"], "unknown option --fiel; did you mean `--file`?"],
    [["-host"], "unknown option -o"],
    [["-hist"], "unknown option -i"],
    [["-xhost"], "unknown option -xhost; did you mean `--host`?"],
    [["-1.5"], "unknown option -1.5; as an argument, it stands after --"],
    [["-.5"], "unknown option -.5; as an argument, it stands after --"],
    [["--zzzzzz=1"], "unknown option --zzzzzz"],
    [["--no-try=yes"], "option --no-try takes no argument"],
    [["--host"], "option --host: ADDRESS is missing"],
    [["-f", "--host"], "option -f: FILE is missing; if it is --host, say -f--host"],
    [["--host", "-1"], "option --host: ADDRESS is missing; if it is -1, say --host=-1"],
    [["a\nb"], "unexpected argument a\nb"],
  ])("is told what is wrong: %j", (args, why) => {
    expect(() => readOptions(TABLE, args)).toThrow(new TypeError(why));
  });

  test("has options that are one text when they are given several times, and others, of which the last counts", () => {
    const table = {
      ...TABLE,
      config: { argument: "PATH", joined: ":", text: "where" },
      plan: { argument: "FILE", once: true, text: "what" },
    } as const;
    const read = (...args: string[]) => readOptions(table, args);
    expect(read()?.config).toBeUndefined();
    expect(read("--config", "a")?.config).toBe("a");
    expect(read("--config", "a:b", "--config=c", "--config", "d")?.config).toBe("a:b:c:d");
    expect(read("--config=")?.config).toBe("");
    for (const [one = "", other = ""] of [
      ["", "a"],
      ["a", ""],
    ])
      expect(() => read("--config", one, "--config", other)).toThrow(
        new TypeError("option --config is given twice, once with nothing: PATH is empty"),
      );
    expect(read("-f", "a", "--file", "b")?.file).toBe("b");
    expect(read("--plan", "a")?.plan).toBe("a");
    expect(() => read("--plan", "a", "--plan=b")).toThrow(
      new TypeError("option --plan is given twice"),
    );
  });

  test("is told that a file is probably a config, where there is one to be named", () => {
    const table = { ...TABLE, config: { argument: "PATH", text: "where" } } as const;
    expect(() => readOptions(table, ["a.json"])).toThrow(
      new TypeError("unexpected argument a.json; did you mean `--config a.json`?"),
    );
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

import { describe, expect, test } from "bun:test";
import { AfbError } from "../../src/errors.ts";
import { type ArgvTemplate, fill, parseTemplate, TemplateError } from "../../src/plan/argv.ts";
import { pick, seeded } from "../config/random.ts";

const literal = (text: string) => text;
const template = (...args: string[]): ArgvTemplate => parseTemplate("/bin/x", args, literal);
const run = (arg: string, args?: unknown, allowDash?: ReadonlySet<string>) =>
  fill(template(arg), args, allowDash)[1];

function refusal(attempt: () => unknown): string {
  try {
    attempt();
  } catch (error) {
    if (error instanceof AfbError && error.status === "invalid-request") return error.message;
    throw error;
  }
  throw new Error("it was accepted");
}

test("what could not be parsed to its end does not change what comes after it", () => {
  const unknown = () => {
    throw new Error("unknown");
  };
  expect(() => parseTemplate("/bin/x", ["long-$A-%a%"], unknown)).toThrow("args[0]: unknown");
  expect(() => parseTemplate("/%b%/", [], literal)).toThrow("must not choose the program");
});

describe("what a placeholder is", () => {
  test.each([
    ["%a%", { a: "v" }, "v"],
    ["--x=%a%.txt", { a: "v" }, "--x=v.txt"],
    ["?d?%f%", { d: "/etc/", f: "passwd" }, "/etc/passwd"],
    ["?d?%f%", { f: "/etc/passwd" }, "/etc/passwd"],
    ["?d?", {}, ""],
    ["%a%%b%", { a: "1", b: "2" }, "12"],
    ["%a%-%a%", { a: "1" }, "1-1"],
    ["%a.b-c_1%", { "a.b-c_1": "v" }, "v"],
    ["%%a%%", undefined, "%a%"],
    ["%%%a%", { a: "v" }, "%v"],
    ["+%%H%%M", undefined, "+%H%M"],
    ["why??", undefined, "why?"],
    ["50%", undefined, "50%"],
    ["a%20b%20c", undefined, "a%20b%20c"],
    ["http://h/a?b=c", undefined, "http://h/a?b=c"],
    ["http://h/?q=%q%&r=1", { q: "x y" }, "http://h/?q=x y&r=1"],
    ["*?.txt", undefined, "*?.txt"],
    ["", undefined, ""],
    ["+%Y-%m-%d", undefined, "+%Y-%m-%d"],
    ["%s-%s", undefined, "%s-%s"],
    ["%_x%", undefined, "%_x%"],
    ["%a-%b%", { b: "v" }, "%a-v"],
  ])("%s with %j", (arg, args, result) => {
    expect(run(arg, args)).toBe(result);
  });

  test("what is declared is a name, whatever it ends with", () => {
    const own = parseTemplate("/bin/x", ["%Y-%m-%d", "%_x%"], literal, new Set(["Y-", "_x"]));
    expect([...own.names]).toEqual(["Y-", "_x"]);
  });

  test("an element with omit is there only when its optional values are", () => {
    const arg = { arg: "-l=?l?%m%", omit: true };
    const own = parseTemplate("/bin/x", ["a", arg, { arg: "?l?" }], literal);
    expect(fill(own, { m: "1" })).toEqual(["/bin/x", "a", ""]);
    expect(fill(own, { l: "", m: "1" })).toEqual(["/bin/x", "a", "-l=1", ""]);
    expect(refusal(() => fill(own, { l: "1" }))).toContain("argument `m` is missing");
    const never = () => parseTemplate("/bin/x", [{ arg: "%m%", omit: true }], literal);
    expect(never).toThrow("args[0].omit: it has no ?name?");
  });

  test("names are collected", () => {
    expect([...template("%a%", "x", "?b?%a%").names]).toEqual(["a", "b"]);
  });
});

describe("boot", () => {
  test("variables are expanded in literal text only, and bring in no placeholder", () => {
    const seen: string[] = [];
    const expand = (text: string) => {
      seen.push(text);
      return text.replace("$V", "%a%?b?%%");
    };
    const parsed = parseTemplate("/bin/x", ["$V", "$V%c%"], expand);
    expect([...parsed.names]).toEqual(["c"]);
    expect(fill(parsed, { c: "$V" })).toEqual(["/bin/x", "%a%?b?%%", "%a%?b?%%$V"]);
    expect(seen).not.toContain("%c%");
  });

  test("all faults are told with their place", () => {
    const attempt = () =>
      parseTemplate("bin/x", ["ok", "a\0", "$V"], (text) => {
        if (text.includes("$V")) throw new Error("$V is not set");
        return text;
      });
    expect(attempt).toThrow(TemplateError);
    expect(attempt).toThrow("cmdpath: expected an absolute path, found `bin/x`");
    expect(attempt).toThrow("args[1]: contains a NUL character; args[2]: $V is not set");
  });

  test.each(["%p%", "/bin/%p%", "", "x"])("the path %s is refused", (path) => {
    expect(() => parseTemplate(path, [], literal)).toThrow(TemplateError);
  });

  test("the path is expanded", () => {
    const parsed = parseTemplate("$S/x", [], (text) => text.replace("$S", "/sbin"));
    expect(fill(parsed, null)).toEqual(["/sbin/x"]);
  });
});

describe("values", () => {
  test.each([
    [80, "80"],
    [1e21, "1e+21"],
    [0.5, "0.5"],
    [true, "true"],
    [{ a: [1, "x"] }, '{"a":[1,"x"]}'],
    [["a b"], '["a b"]'],
    ["", ""],
    ["%a% $HOME `id` ?b? é😀\n", "%a% $HOME `id` ?b? é😀\n"],
  ])("%j", (value, text) => {
    expect(run("%a%", { a: value })).toBe(text);
  });

  test("null is not given", () => {
    expect(run("x?a?", { a: null })).toBe("x");
    expect(refusal(() => run("%a%", { a: null }))).toBe("argument `a` is missing");
  });

  test.each([
    [{}, "argument `a` is missing"],
    [{ a: "x\0y" }, "argument `a` contains a NUL"],
    [{ a: "\ud83d" }, "argument `a` contains half of a surrogate pair"],
    [{ a: Infinity }, "argument `a` is not a finite number"],
    [{ a: () => 1 }, "argument `a` is a function"],
    [{ a: 1, bb: 2 }, "unknown argument `bb`; known arguments: a"],
    [{ abc: 1, ["x".repeat(41)]: 2 }, `\`abc\`; unknown argument \`${"x".repeat(40)}…\``],
    [{ [`y${"x".repeat(39)}`]: 2 }, `unknown argument \`y${"x".repeat(39)}\``],
    [{ [`y${"x".repeat(40)}`]: 2 }, `unknown argument \`y${"x".repeat(39)}…\``],
    [{ A: 1 }, "unknown argument `A`; did you mean `a`?; known arguments: a"],
    ["text", "expects an object with the keys a"],
    [[1], "expects an object with the keys a"],
    [5, "expects an object with the keys a"],
  ])("%j is refused", (args, message) => {
    expect(refusal(() => run("%a%", args))).toContain(message);
  });

  test("what every object inherits is not given, and may be a name", () => {
    expect(refusal(() => run("%constructor%", {}))).toContain("argument `constructor` is missing");
    expect(run("?constructor?", {})).toBe("");
    const declared = new Set(["__proto__"]);
    const own = parseTemplate("/bin/x", ["%__proto__%"], literal, declared);
    expect(fill(own, JSON.parse('{"__proto__": "v"}'))[1]).toBe("v");
    expect(refusal(() => run("x", JSON.parse('{"__proto__": 1}')))).toContain("takes no arguments");
  });

  test("nothing mandatory: nothing need be given", () => {
    for (const args of [undefined, null, {}]) expect(run("?a?", args)).toBe("");
    expect(refusal(() => run("x", "y"))).toContain("takes no arguments");
  });
});

describe("options are not smuggled in", () => {
  test.each([
    ["%a%", { a: "-rf" }],
    ["%a%x", { a: "-" }],
    ["?b?%a%", { a: "-rf" }],
    ["?b?%a%", { b: "", a: "--x" }],
    ["%a%", { a: -5 }],
  ])("%s with %j is refused", (arg, args) => {
    const message = refusal(() => run(arg, args));
    expect(message).toContain("argument `a` would begin with `-`");
    expect(message).toContain('"params": {"a": {"allowDash": true}}');
  });

  test("the template's own dash, a dash inside, and an allowed one pass", () => {
    expect(run("-%a%", { a: "-x" })).toBe("--x");
    expect(run("?a?-x")).toBe("-x");
    expect(run("n=%a%", { a: "-x" })).toBe("n=-x");
    expect(run("%a%", { a: "-x" }, new Set(["a"]))).toBe("-x");
  });
});

describe("sizes", () => {
  const limit = 128 * 1024 - 1;
  test("one element holds what the kernel takes, in bytes", () => {
    expect(run("%a%", { a: "x".repeat(limit) })).toHaveLength(limit);
    expect(refusal(() => run("%a%", { a: "x".repeat(limit + 1) }))).toContain(
      "argument `a` is too long: 131072 bytes, at most 131071 can be passed",
    );
    expect(refusal(() => run("%a%", { a: "é".repeat(limit / 2 + 1) }))).toContain("is too long");
  });

  test("the kernel agrees on the largest element", () => {
    const argv = fill(parseTemplate("/bin/true", ["%a%"], literal), { a: "x".repeat(limit) });
    expect(Bun.spawnSync(argv).exitCode).toBe(0);
  });

  test("so does the total", () => {
    const many = parseTemplate(
      "/bin/true",
      Array.from({ length: 16 }, () => "%a%"),
      literal,
    );
    expect(refusal(() => fill(many, { a: "x".repeat(limit) }))).toContain("bytes together");
    expect(fill(many, { a: "x".repeat(100_000) })).toHaveLength(17);
  });
});

test("fuzz: as many elements as the template has, values byte for byte", () => {
  const random = seeded(11);
  const texts = ["", "a", "%%", "??", "=", "é", "% ", "?"] as const;
  const values = [
    "",
    "v",
    "%a%",
    "?b?",
    "$HOME",
    "a b",
    "'\"`;|&",
    "\n",
    "😀",
    "%%",
    "\u0001",
  ] as const;
  const end = performance.now() + 1500;
  for (let i = 0; i < 20_000 && performance.now() < end; i++) {
    const given: Record<string, string> = {};
    const expected: string[] = ["/bin/x"];
    const args = Array.from({ length: Math.floor(random() * 4) }, (_, n) => {
      const name = `n${n}`;
      const mark = pick(random, ["%", "?"]);
      // A slash on both sides: neighbouring marks would form other placeholders.
      const [before, after] = [`${pick(random, texts)}/`, `/${pick(random, texts)}`];
      const value = pick(random, values);
      if (mark === "%" || random() < 0.5) given[name] = value;
      const plain = (text: string) => text.replace("%%", "%").replace("??", "?");
      expected.push(plain(before) + (given[name] ?? "") + plain(after));
      return `${before}${mark}${name}${mark}${after}`;
    });
    expect(fill(template(...args), given)).toEqual(expected);
  }
});

test("all together: as many bytes as fit, with a pointer and a NUL for each", () => {
  const MOST = 2 * 1024 * 1024 - 128 * 1024;
  // argv[0] is "/bin/x": 7 bytes and 8 for its pointer; 14 as long as one may be.
  const long = "x".repeat(128 * 1024 - 1);
  const rest = MOST - 15 - 14 * (128 * 1024 + 8) - 8;
  const many = parseTemplate("/bin/x", [...Array.from({ length: 14 }, () => long), "%a%"], literal);
  expect(fill(many, { a: "y".repeat(rest - 1) })).toHaveLength(16);
  expect(refusal(() => fill(many, { a: "y".repeat(rest) }))).toBe(
    `the arguments take ${MOST + 1} bytes together; at most ${MOST} can be passed`,
  );
});

test("of arguments that nobody knows five are told", () => {
  const args = Object.fromEntries("abcdefgh".split("").map((name) => [`n${name}`, 1]));
  const told = refusal(() => run("%a%", { a: "1", ...args }));
  expect(told.match(/`n\w`/g)).toHaveLength(5);
});

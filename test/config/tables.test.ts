/** What stands in tables, by what else says it; and of words for people the bounds. */
import { describe, expect, test } from "bun:test";
import { existsSync, readFileSync } from "node:fs";
import { CAPABILITIES } from "../../src/config/capabilities.ts";
import { ENCODER_OPTIONS, isLike, optionSchema } from "../../src/config/encoder-options.ts";
import { toJsonSchema } from "../../src/config/jsonschema.ts";
import { nearest } from "../../src/config/nearest.ts";
import { element, excerpt, member, quoted } from "../../src/config/place.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { Config } from "../../src/config/schema.ts";
import { signalNumber } from "../../src/config/signals.ts";
import { parseJson } from "../../src/config/syntax.ts";

/** linux/capability.h, by number. */
const NAMES =
  "chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore";

test("capabilities are those of the kernel, each with what it lets one do", () => {
  expect(CAPABILITIES.map(([name]) => name.toLowerCase())).toEqual(NAMES.split(" "));
  expect(new Set(CAPABILITIES.map(([, words]) => words)).size).toBe(41);
  const last = "/proc/sys/kernel/cap_last_cap";
  if (existsSync(last)) expect(Number(readFileSync(last, "utf8"))).toBeLessThanOrEqual(40);
});

test("other names of signals", () => {
  expect(["IOT", "SIGCLD", "poll", "UNUSED"].map(signalNumber)).toEqual([6, 17, 29, 31]);
});

describe("what is shown of a culprit", () => {
  test.each<[unknown, string]>([
    [[], "a list of 0"],
    [[1, 2], "a list of 2"],
    [{}, "an object {}"],
    [{ a: 1, b: 2, c: 3 }, "an object {a, b, c}"],
    [{ a: 1, b: 2, c: 3, d: 4 }, "an object {a, b, c, …}"],
    [{ ["k".repeat(20)]: 1 }, `an object {${"k".repeat(20)}}`],
    [{ ["k".repeat(21)]: 1 }, `an object {${"k".repeat(20)}…}`],
    ["x".repeat(40), `"${"x".repeat(40)}"`],
    ["x".repeat(41), `"${"x".repeat(40)}…"`],
    ['a"\n', '"a\\"\\n"'],
    [null, "null"],
    [true, "true"],
    [1.5, "1.5"],
  ])("%j", (value, shown) => {
    expect(excerpt(value)).toBe(shown);
  });
  test("and where it stands", () => {
    expect(member("", "a")).toBe("a");
    expect(member("a", "b-c$1")).toBe("a.b-c$1");
    expect(member("a", "b c")).toBe('a["b c"]');
    expect(member("", "1")).toBe('["1"]');
    expect(member("a", "")).toBe('a[""]');
    expect(element("a", 5)).toBe("a[5]");
    expect(quoted("x".repeat(41))).toBe(`"${"x".repeat(40)}…"`);
  });
});

test("of a long line what stands around the fault", () => {
  const told = (text: string): string => {
    const all: string[] = [];
    parseJson(text, (path, message) => void all.push(path + message));
    return all.join("|");
  };
  const long = (before: number, after: number) => `[${"1".repeat(before - 1)}x${"2".repeat(after)}`;
  const fault = 'expected `,` or `]`, found "x"\nline 1, column';
  expect(told(`[${" ".repeat(69)}x${"2".repeat(50)}\n]`)).toBe(
    `expected a value, found "x${"2".repeat(39)}…"; a text stands in double quotes\nline 1, column 71:\n  ${" ".repeat(60)}x${"2".repeat(39)}\n  ${" ".repeat(60)}^`,
  );
  expect(told("[1x]")).toContain("line 1, column 2");
  expect(told(`["${"a".repeat(58)}"x${"2".repeat(50)}`)).toBe(
    `${fault} 62:\n  "${"a".repeat(58)}"x${"2".repeat(39)}\n  ${" ".repeat(60)}^`,
  );
  expect(told(`\n\n["a" x\n]`)).toBe(`${fault.replace("line 1", "line 3")} 6:\n  ["a" x\n       ^`);
  expect(told(long(2, 0))).toContain("expected a value");
  const deep = (depth: number) => "[".repeat(depth) + "]".repeat(depth);
  expect([told(deep(200)), told(deep(201))]).toEqual(["", ""]);
  expect(told(deep(202))).toContain("nested more than 200 deep");
  expect(told('{"a":1,\n"b":2,\n"a":3,\n\n"a":4}')).toBe(
    "akey `a` is given twice, at lines 1 and 3|akey `a` is given twice, at lines 3 and 5",
  );
  expect(told('"\\u12"')).toStartWith("\\u in a string needs four hexadecimal digits behind it");
  expect(told('["\\\\\\q"]')).toContain("line 1, column 5:");
  expect(told('{"a":1}]')).toBe(
    'expected the end of the file, found "]"\nline 1, column 8:\n  {"a":1}]\n         ^',
  );
  expect(told('{"a"')).toStartWith("expected `:`, found the end of the file");
  expect(told("{1}")).toStartWith('expected a key in double quotes, or `}`, found "1"');
  expect(told('{"a":1 "b"}')).toStartWith("expected `,` or `}`");
  expect(told('"a')).toStartWith("the string that begins here has no end: a double quote");
});

test("the nearest word: neighbours that are swapped at the beginning, in the middle, at the end", () => {
  const cases: [string, string, string | undefined][] = [
    ["ba", "ab", "ab"],
    ["x", "_", undefined],
    ["x", "X", "X"],
    ["xba", "xab", "xab"],
    ["bax", "abx", "abx"],
    ["cba", "abc", undefined],
    ["abcdef", "abdcfe", "abdcfe"],
    ["abcdef", "badcef", "badcef"],
    ["abcdef", "badcfe", undefined],
    ["abcdefghi", "badcfeghi", "badcfeghi"],
  ];
  for (const [word, candidate, found] of cases)
    expect([word, nearest(word, [candidate])]).toEqual([word, found]);
});

test("options of encoders", () => {
  const most = 1 << 28;
  const described = { description: expect.stringMatching(/\S/) };
  const number = (minimum: number, maximum: number) => ({
    ...{ ...described, type: "integer", minimum, maximum },
  });
  const length = number(3, 1 << 20);
  const flag = { ...described, type: "boolean" };
  const path = { ...described, type: "string", minLength: 1 };
  const text = {
    ...described,
    type: "string",
    maxLength: 255,
    pattern: expect.stringMatching(/^\^/),
  };
  const collected = { maxlen: length, maxline: number(1, 1 << 20) };
  const schemas = Object.fromEntries(
    Object.entries(ENCODER_OPTIONS).map(([name, options]) => [
      name,
      Object.fromEntries(Object.entries(options).map(([key, one]) => [key, optionSchema(one)])),
    ]),
  );
  expect(schemas).toEqual({
    ...{ text: collected, sync: collected },
    line: { maxlen: length, maxline: described, cr: flag, partial: flag },
    raw: {
      ...{ maxlen: number(1, most), maxline: described },
      encoding: { ...described, enum: ["auto", "utf8", "base64"] },
    },
    json: { maxlen: number(1, most), maxdepth: number(1, 4096), strict: flag, maxline: described },
    file: { type: text, name: text, maxlen: described, maxline: described },
    log: { stdout: path, stderr: path, maxlen: described, maxline: described },
  });
  const { name, type } = ENCODER_OPTIONS.file;
  expect([isLike("a".repeat(255), name), isLike("a".repeat(256), name)]).toEqual([true, false]);
  expect([isLike(5, name), isLike("", name), isLike("a/b", name)]).toEqual([false, false, false]);
  expect([isLike("image/jpeg; q=1", type), isLike("image", type)]).toEqual([true, false]);
});

test("the schema is for editors what it is here: the same keys and alternatives", () => {
  const words = JSON.stringify(toJsonSchema(Config));
  const actions = words.match(/SCMP_ACT_[A-Z_]+/g) ?? [];
  expect([...new Set(actions)].toSorted()).toEqual(
    ["ALLOW", "ERRNO", "KILL", "KILL_PROCESS", "KILL_THREAD", "LOG", "NOTIFY", "TRAP"]
      .map((one) => `SCMP_ACT_${one}`)
      .toSorted(),
  );
});

test("a text that must not be empty may be one character", () => {
  const least = (node: unknown): number[] =>
    typeof node !== "object" || node === null
      ? []
      : Object.entries(node).flatMap(([key, value]) =>
          key === "minLength" && typeof value === "number" ? [value] : least(value),
        );
  const all = least(toJsonSchema(Config));
  expect(all.length).toBeGreaterThan(20);
  expect(new Set(all)).toEqual(new Set([1]));
});

test("the error of a config says what it is", () => {
  const error = new ConfigError([{ file: "f", path: "p", message: "m" }]);
  expect([error.name, error.message, error.problems]).toEqual([
    ...(["ConfigError", "f: p: m", [{ file: "f", path: "p", message: "m" }]] as const),
  ]);
});

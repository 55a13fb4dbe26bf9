/** What each number, and each text that is meant to be one, may be: the least and the most, and what is just beyond. */
import { describe, expect, test } from "bun:test";
import { normalize } from "../../src/config/normalize.ts";
import { idOf, isId, LARGEST_ID, milliseconds } from "../../src/config/ranges.ts";

/** An object with one value at the end of keys. */
const at = (keys: string, value: unknown): object => {
  const [first = "", ...rest] = keys.split(".");
  return { [first]: rest.length > 0 ? at(rest.join("."), value) : value };
};
const command = { uid: "c", exec: { cmdpath: "/bin/true" } };
const ofSandbox = (keys: string, value: unknown) => ({
  uid: "s",
  commands: command,
  ...at(keys, value),
});
const ofCommand = (keys: string, value: unknown) => ({
  uid: "s",
  commands: { ...command, ...at(keys, value) },
});
const problems = (sandbox: object) =>
  normalize({ metadata: { uid: "t", api: "t" }, sandboxes: sandbox }, "f.json").problems;

const SECONDS = { fine: [0, 0.001, 2_147_483], wrong: [-0.001, 2_147_483.5, 2_147_484, "1"] };
const AMOUNT = {
  fine: [0, "0", "max", Number.MAX_SAFE_INTEGER],
  wrong: [-1, 0.5, Number.MAX_SAFE_INTEGER + 1, true],
};
const ID = { fine: [0, 1, "daemon", 4_294_967_294], wrong: [-1, 4_294_967_295, 1.5, null] };
const OPERAND = {
  fine: [0, Number.MAX_SAFE_INTEGER, "0", "18446744073709551615", "0xffffffffffffffff", "0X1aF"],
  wrong: [-1, 1.5, "", "00", "0x", "0x12345678901234567", "123456789012345678901", "-1", " 1"],
};

const table: readonly [
  keys: string,
  { readonly fine: readonly unknown[]; readonly wrong: readonly unknown[] },
][] = [
  ["acls.timeout", SECONDS],
  ["stop.grace", SECONDS],
  ["acls.user", ID],
  ["acls.group", ID],
  ["acls.groups", ID],
  ["acls.nice", { fine: [-20, 0, 19], wrong: [-21, 20, 0.5, "1"] }],
  [
    "acls.umask",
    {
      fine: ["0", "77", "022", "0777", 22],
      wrong: ["8", "1000", "01000", "00777", "", "-1", "0o22"],
    },
  ],
  ["cgroups.mem.max", AMOUNT],
  ["cgroups.task.mem.max", AMOUNT],
  ["cgroups.cpu.weight", { fine: [1, "1", 10_000], wrong: [0, 10_001, 1.5] }],
  ["cgroups.pids", { fine: [1, 4_194_304], wrong: [0, 4_194_305, -1] }],
  ["limits.nofile", AMOUNT],
  ["concurrency", { fine: [1, 1000], wrong: [0, -1, 1.5, "1"] }],
  ["pool", { fine: [0, 64], wrong: [-1, 65, 0.5] }],
  ["buffer", { fine: [1024, 1 << 28], wrong: [1023, (1 << 28) + 1] }],
  ["verbose", { fine: [0, 9], wrong: [-1, 10] }],
  [
    "history.ring",
    { fine: ["0", 65536, "64M", "1k", "999999999"], wrong: ["", "1G", "-1", "1 K", "1234567890"] },
  ],
  ["landlock.connectTcp", { fine: [0, 65_535], wrong: [-1, 65_536, "80"] }],
];
const commands: typeof table = [
  ["timeout", SECONDS],
  ["stop.grace", SECONDS],
  ["limits.cpu", AMOUNT],
  ["pty.cols", { fine: [1, 65_535], wrong: [0, 65_536, 1.5] }],
  ["pty.rows", { fine: [1, 65_535], wrong: [0, 65_536] }],
  ["pool", { fine: [0, 64], wrong: [-1, 65] }],
  ["buffer", { fine: [1024, 1 << 28], wrong: [1023, (1 << 28) + 1] }],
  ["concurrency", { fine: [1], wrong: [0] }],
  ["verbose", { fine: [0, 9], wrong: [-1, 10] }],
  ["maxinput", { fine: ["0", "1G", "16M", 5], wrong: ["", "1T", "-1", "12345678901"] }],
];

describe.each([
  ["a sandbox", ofSandbox, table],
  ["a command", ofCommand, commands],
] as const)("of %s", (_, of, rows) => {
  test.each(rows)("%s", (keys, { fine, wrong }) => {
    for (const value of fine) expect([value, problems(of(keys, value))]).toEqual([value, []]);
    for (const value of wrong) {
      const found = problems(of(keys, value)).map(({ path }) => path);
      // It is told where it is, and once.
      expect([value, found.length]).toEqual([value, 1]);
      expect(found[0]).toContain(keys.split(".").at(-1) ?? "");
    }
  });
});

test("so many seconds that a signature may be late", () => {
  const of = (tolerance: unknown) =>
    problems(ofCommand("webhook", { file: "/f", header: "x-h", timestamp: "x-t", tolerance }));
  for (const value of [1, 86_400]) expect([value, of(value)]).toEqual([value, []]);
  for (const value of [0, 86_401, 1.5]) expect([value, of(value).length]).toEqual([value, 1]);
});

test.each(["value", "mask"])("an operand of a filter: %s", (key) => {
  const of = (value: unknown) => {
    const arg = { index: 0, op: "masked_eq", value: 1, mask: 1, [key]: value };
    const rule = { syscall: "ioctl", action: "SCMP_ACT_ALLOW", args: [arg] };
    return problems(ofSandbox("seccomp", { default: "SCMP_ACT_ERRNO", rules: [rule] }));
  };
  for (const value of OPERAND.fine) expect([value, of(value)]).toEqual([value, []]);
  for (const value of OPERAND.wrong) expect([value, of(value).length]).toEqual([value, 1]);
});

test("an id as a text: in digits, and what only looks like one is no name", () => {
  expect(LARGEST_ID).toBe(2 ** 32 - 2);
  for (const text of ["0", "7", "4294967294"]) expect(idOf(text)).toBe(Number(text));
  for (const text of ["root", "_x", "a1", "1a", "0xg"]) expect(idOf(text)).toBeUndefined();
  const numbers = ["-1", "+1", "01", "00", " 1", "1 ", "1.5", "1.", "1e3", "0x10", "0x"];
  for (const text of [...numbers, "4294967295", "99999999999999999999"])
    expect(() => idOf(text)).toThrow(
      `${JSON.stringify(text)} is not an id: from 0 to 4294967294, in digits without a leading 0`,
    );
  for (const id of [0, 1, 2 ** 32 - 2]) expect(isId(id)).toBe(true);
  for (const id of [-1, 0.5, 2 ** 32 - 1, NaN, Infinity]) expect(isId(id)).toBe(false);
});

test("milliseconds are rounded, and a time that is given does not become none", () => {
  expect([0, 0.0001, 0.0014, 0.0016, 1, 2_147_483].map(milliseconds)).toEqual([
    ...[0, 1, 1, 2, 1000, 2_147_483_000],
  ]);
});

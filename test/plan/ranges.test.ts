/** Every number of a config that reaches the kernel: the last that is good, and the first that is not. */
import { describe, expect, test } from "bun:test";
import { uint32, uint64, pidOf, int32 } from "../../ffi/integer.ts";
import { userById } from "../../ffi/users.ts";
import { thisSystem } from "../../src/access/accounts.ts";
import { configJsonSchema } from "../../src/config/jsonschema.ts";
import { milliseconds } from "../../src/config/ranges.ts";
import { encodePolicy } from "../../src/plan/encode.ts";
import { asRoot, asUser, compiled, planOf, refused } from "./compiling.ts";

const acls = { user: "daemon" };
const MAX_UINT64 = "18446744073709551615";
/** What is no id in any spelling, and no name that is looked up either. */
const NO_IDS = [
  ...[4294967295, 4294967296, 8589934592, -1, 0.5, 1e300, true, "4294967295", "4294967296"],
  ...[
    "18446744073709551616",
    "-1",
    "-0",
    "+0",
    "00",
    "0000",
    "01",
    " 0",
    "0 ",
    "0x0",
    "0x",
    "0X3E8",
  ],
  ...["1e3", "0e0", "1.", "0.0", "1.5", "\t0\n", "-4294967296"],
];
const IDS = [0, 1, 65534, 4294967294, "0", "1", "4294967294"];
const NO_SIZES = [-1, 1.5, 2 ** 53, true, "-1", "1.5", "0x10", "1e3", "", "5Q"];

const mount = (more: object) => ({
  acls,
  namespace: {
    mounts: [
      { target: "/usr", mode: "ro" },
      { target: "/bin", source: "/usr/bin", mode: "ro" },
      { target: "/lib", source: "/usr/lib", mode: "ro" },
      { target: "/lib64", source: "/usr/lib64", mode: "ro" },
      { target: "/t", mode: "tmpfs", ...more },
    ],
  },
});
const cgroups = (limits: object) => ({ acls, cgroups: limits });
const seccomp = (arg: object, syscall = "mmap") => ({
  acls,
  seccomp: {
    default: "SCMP_ACT_ALLOW",
    rules: { syscall, action: "SCMP_ACT_ERRNO(1)", args: { index: 0, op: "eq", ...arg } },
  },
});
const command = (more: object) => ({ uid: "c", exec: { cmdpath: "/bin/sh" }, ...more });

type Row = [key: string, make: (value: unknown) => object, good: unknown[], bad: unknown[]];
const rows: Row[] = [
  ["acls.user", (user) => ({ acls: { user, group: 1 } }), IDS, NO_IDS],
  ["acls.group", (group) => ({ acls: { ...acls, group } }), IDS, NO_IDS],
  ["acls.groups", (groups) => ({ acls: { ...acls, groups } }), IDS, NO_IDS],
  [
    "acls.umask",
    (umask) => ({ acls: { ...acls, umask } }),
    ["0", "777", "0777", "022", 22],
    ["1000", "7777", "01777", "-1", "8", "", "0o22", -1, 1.5, 778],
  ],
  ["acls.nice", (nice) => ({ acls: { ...acls, nice } }), [-20, 0, 19], [-21, 20, 1.5, "5"]],
  [
    "acls.timeout",
    (timeout) => ({ acls: { ...acls, timeout } }),
    [0, 0.0001, 1.5, 2147483],
    [-1, -0.001, 2147484, 2147483.5, 1e300, "5", null],
  ],
  [
    "commands[0].timeout",
    (timeout) => ({ acls, commands: command({ timeout }) }),
    [0, 2147483],
    [-1, 2147484, "1"],
  ],
  ["pool", (pool) => ({ acls, pool }), [0, 64], [-1, 65, 1.5, "1"]],
  [
    "commands[0].concurrency",
    (concurrency) => ({ acls, commands: command({ concurrency }) }),
    [1, Number.MAX_SAFE_INTEGER],
    [0, -1, 1.5, 2 ** 53],
  ],
  ["verbose", (verbose) => ({ acls, verbose }), [0, 9], [-1, 10, 1.5]],
  [
    "limits",
    (cpu) => ({ acls, limits: { cpu } }),
    [0, "18446744073", "17G", "unlimited"],
    [...NO_SIZES, "18446744074", "18G", MAX_UINT64],
  ],
  ...["nofile", "nproc", "as", "core", "fsize", "memlock", "rtprio"].map((name): Row => [
    "limits",
    (value) => ({ acls, limits: { [name]: value } }),
    [0, 2 ** 53 - 1, "1K", "unlimited", "18446744073709551614"],
    [...NO_SIZES, MAX_UINT64, "18446744073709551616", "17179869184G", "36893488147419103232"],
  ]),
  ...["max", "high", "min", "swap"].map((name): Row => [
    `cgroups.mem.${name}`,
    (value) => cgroups({ mem: { [name]: value } }),
    [4096, "4K", "9223372036854775807", "max", "8388607T"],
    [...NO_SIZES, "9223372036854775808", MAX_UINT64, "8388608T", "8589934592G"],
  ]),
  [
    "cgroups.cpu.weight",
    (weight) => cgroups({ cpu: { weight } }),
    [1, 10000, "1", "10000"],
    [0, 10001, -1, 1.5, "0", "10001", "1e3", "0x10", ""],
  ],
  [
    "cgroups.cpu.max",
    (max) => cgroups({ cpu: { max } }),
    [1000, "1000", "max 1000", "1000 1000000", "17592186044415", "max"],
    [999, "999", "17592186044416", "1000 999", "1000 1000001", "1e6", "-1", MAX_UINT64, "max max"],
  ],
  [
    "cgroups.pids",
    (pids) => cgroups({ pids }),
    [1, 4194304, "1", "4194304", "max"],
    [0, 4194305, -1, 1.5, "0", "4194305", "4294967297", "1e3"],
  ],
  [
    "cgroups.io",
    (io) => cgroups({ io }),
    [
      "0:0 rbps=1",
      "4095:1048575 wbps=9223372036854775807",
      "8:0 riops=4294967294",
      "8:0 wiops=max",
    ],
    [
      ...["4096:0 rbps=1", "0:1048576 rbps=1", "4294967304:0 rbps=1", "8:4294967296 rbps=1"],
      ...["8:0 rbps=0", "8:0 rbps=9223372036854775808", "8:0 riops=4294967295", "8:0 wiops=4G"],
      ...["-1:0 rbps=1", "0x8:0 rbps=1", "8:0 rbps=-1", "8:0 rbps=1e3"],
    ],
  ],
  [
    "cgroups.cset",
    (cset) => cgroups({ cset }),
    ["0", "0-9999"],
    ["0-99999999", "-1", "0-", "4294967296", "1e1", "0x1"],
  ],
  [
    "namespace.mounts[4]",
    (size) => mount({ size }),
    [1, "1", "64m", "4611686018427387904"],
    [...NO_SIZES, 0, "0", "4611686018427387905", MAX_UINT64, "17179869184G", "max"],
  ],
  [
    "namespace.mounts[4]",
    (perm) => mount({ perm }),
    ["0", "7777", "0755", 755],
    ["10000", "17777", "8", "-1", -1, 1.5, "0o755"],
  ],
  [
    "namespace.mounts[4]",
    (perm) => mount({ target: "/usr/bin", mode: "dir", perm }),
    ["1777", "755"],
    ["2755", "4755", "7777"],
  ],
  [
    "seccomp.rules",
    (value) => seccomp({ value }),
    [0, 2 ** 53 - 1, "0", "9007199254740993", MAX_UINT64, "0xffffffffffffffff", "0XfF"],
    [
      ...[-1, 1.5, 2 ** 53, "18446744073709551616", "0x10000000000000000", "-1", "", " 1", "1e3"],
      ...["010", "0b1", "0o7", "1n", "0x", true],
    ],
  ],
  [
    "seccomp.rules",
    (value) => seccomp({ value }, "socket"),
    [4294967295, "0xffffffff"],
    [4294967296, "0x100000000"],
  ],
  [
    "seccomp.rules",
    (mask) => seccomp({ op: "masked_eq", value: 0, mask }),
    [1, "0xffffffffffffffff"],
    [0, "0", -1, "18446744073709551616", 2 ** 53],
  ],
  [
    "seccomp.rules",
    (mask) => seccomp({ op: "masked_eq", value: 1, mask }, "socket"),
    [1, 3, 4294967295, "0xffffffffffffffff"],
    [2, "0x100000000", "0x100000001"],
  ],
  [
    "seccomp.default",
    (errno) => ({
      acls,
      seccomp: {
        default: `SCMP_ACT_ERRNO(${String(errno)})`,
        rules: [{ syscall: "execve", action: "SCMP_ACT_ALLOW" }],
      },
    }),
    [1, 4094, "EPERM"],
    [0, 4095, 65536, 65537, -1, "01", "0x1", 1.5, "4294967297"],
  ],
];

describe("each is refused beyond the kernel's range, with its place, and never cut", () => {
  test.each(rows)("%s", (key, make, good, bad) => {
    for (const value of good) {
      // The value would not be told by a mere error.
      const found = (() => {
        try {
          return compiled(make(value), asRoot) && "accepted";
        } catch (error) {
          return String(error);
        }
      })();
      expect([value, found]).toEqual([value, "accepted"]);
    }
    for (const value of bad) {
      const found = (() => {
        try {
          return refused(make(value), asRoot).join("\n");
        } catch {
          return "accepted";
        }
      })();
      expect([value, found.includes(key) ? key : found]).toEqual([value, key]);
    }
  });
});

test("what is good arrives as it was written", () => {
  const { policy } = planOf(
    compiled({ acls: { user: 4294967294, group: 4294967293, groups: [7] } }),
  );
  expect(policy.identity).toMatchObject({ uid: 4294967294, gid: 4294967293, groups: [7] });
  const [steps] = [planOf(compiled(mount({ size: "010k" }))).policy.mounts];
  // The kernel would read 010 as 8.
  expect(steps?.at(-1)).toMatchObject({ kind: "tmpfs", size: "10240" });
  const { shared } = planOf(compiled(cgroups({ io: "08:016 rbps=1K" }))).policy.cgroup ?? {};
  expect(shared?.map(({ value }) => value)).toEqual(["8:16 rbps=1024"]);
  expect(refused(cgroups({ io: ["8:0 rbps=1", "08:0 rbps=2"] }))[0]).toContain(
    "has a line already",
  );
});

test("a number that JSON does not hold is refused, not rounded", () => {
  const args = (value: number) => ({
    acls,
    commands: command({ exec: { cmdpath: "/bin/sh", args: [value] } }),
  });
  expect(refused(args(JSON.parse("9007199254740993")))[0]).toContain("not exact");
  expect(planOf(compiled(args(9007199254740991))).argv.elements[1]).toEqual([
    { kind: "text", text: "9007199254740991" },
  ]);
});

test("a time that is short does not become none", () => {
  expect([0, 0.0001, 0.0014, 1, 2147483].map(milliseconds)).toEqual([0, 1, 1, 1000, 2147483000]);
  expect(planOf(compiled({ acls: { ...acls, timeout: 0.0001 } })).timeout).toBe(1);
});

test("users that a source of names invents are none", () => {
  const user =
    (uid: number, gid = 1) =>
    () => ({ name: "x", uid, gid, home: "/", shell: "/" });
  expect(refused({ acls: { user: "x" } }, { ...asRoot, user: user(0xffffffff) })[0]).toContain(
    "user",
  );
  expect(refused({ acls: { user: "x" } }, { ...asRoot, user: user(7, 0xffffffff) })[0]).toContain(
    "group",
  );
  const named = { ...asRoot, group: () => 0xffffffff };
  expect(refused({ acls: { user: "daemon", group: "x" } }, named)[0]).toContain("unknown group");
});

test("an ordinary user's check refuses the same ids, though it could apply none", () => {
  const given = { user: "4294967296", group: "00", groups: ["daemon", "-1"] };
  expect(refused({ acls: given }, asUser).map((line) => line.split(":")[0])).toEqual([
    "sandboxes[0].acls.user",
    "sandboxes[0].acls.group",
    "sandboxes[0].acls.groups[1]",
  ]);
});

test("an access file knows the same ids", () => {
  const accounts = thisSystem();
  for (const text of NO_IDS.filter((id) => typeof id === "string")) {
    expect(() => accounts.user(text)).toThrow("is not an id");
    expect(() => accounts.group(text)).toThrow("is not an id");
  }
  expect([accounts.user("4294967294"), accounts.group("0")]).toEqual([4294967294, 0]);
  expect(accounts.user("nobody-of-this-name")).toBeUndefined();
});

test("a plan with other numbers, as a file may have, is not encoded", () => {
  const { policy } = planOf(compiled({ acls: { user: 5, group: 5 } }));
  const { policy: mapped } = planOf(
    compiled({ namespace: { shares: { users: "disable" } } }, asUser),
  );
  for (const wrong of [-1, 1.5, 0xffffffff, 2 ** 32, Number.NaN]) {
    const identity = { uid: 5, gid: 5, groups: [] };
    for (const part of [{ uid: wrong }, { gid: wrong }, { groups: [wrong] }])
      expect(() => encodePolicy({ ...policy, identity: { ...identity, ...part } })).toThrow(
        RangeError,
      );
    expect(() => encodePolicy({ ...mapped, server: { uid: wrong, gid: 1, groups: [] } })).toThrow(
      RangeError,
    );
  }
  expect(() => encodePolicy({ ...policy, nice: -21 })).toThrow(RangeError);
  expect(() => encodePolicy({ ...policy, umask: -1 })).toThrow(RangeError);
});

test("nothing is cut on its way to C", () => {
  for (const wrong of [-1, 2 ** 32, 1.5, Number.NaN, Infinity]) {
    expect(() => uint32(wrong, "x")).toThrow(RangeError);
    expect(() => userById(wrong)).toThrow(RangeError);
  }
  for (const wrong of [0, -1, 2 ** 31, 2 ** 32 + 1]) expect(() => pidOf(wrong)).toThrow(RangeError);
  for (const wrong of [2 ** 31, -(2 ** 31) - 1])
    expect(() => int32(wrong, "x")).toThrow(RangeError);
  for (const wrong of [-1n, 1n << 64n]) expect(() => uint64(wrong)).toThrow(RangeError);
  expect([uint32(0xffffffff, "x"), int32(-(2 ** 31), "x")]).toEqual([0xffffffff, -(2 ** 31)]);
});

test("the JSON Schema has the ranges too", () => {
  const at = (...path: string[]): unknown =>
    path.reduce<unknown>(
      (schema, key) => (schema as Record<string, unknown> | undefined)?.[key],
      configJsonSchema(),
    );
  const sandbox = ["properties", "sandboxes", "else", "properties"];
  const id = { type: ["string", "integer"], minimum: 0, maximum: 4294967294 };
  expect(at(...sandbox, "acls", "properties", "user")).toMatchObject(id);
  expect(at(...sandbox, "acls", "properties", "timeout")).toMatchObject({ maximum: 2147483 });
  expect(at(...sandbox, "cgroups", "properties", "cpu", "properties", "weight")).toMatchObject({
    minimum: 1,
    maximum: 10000,
  });
});

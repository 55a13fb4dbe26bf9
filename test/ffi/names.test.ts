/** Names of users, groups, capabilities and errors, and the C structures that they are read from. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { errnoName } from "../../ffi/errno.ts";
import { landlockAbi } from "../../ffi/landlock.ts";
import { capFromName } from "../../ffi/libcap.ts";
import { groupById, groupByName, userById, userByName } from "../../ffi/users.ts";

const rows = (file: string) =>
  readFileSync(file, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split(":"));

describe("of accounts", () => {
  test("each user is the one of its line", () => {
    for (const [name = "", , uid, gid, , home = "", shell = ""] of rows("/etc/passwd")) {
      const user = { name, uid: Number(uid), gid: Number(gid), home, shell };
      expect(userByName(name)).toEqual(user);
      expect(userById(user.uid)?.uid).toBe(user.uid);
    }
    expect(userByName("nobody-has-this-name")).toBeUndefined();
    expect(userById(3_999_999_999)).toBeUndefined();
    // -1 would be somebody to C.
    for (const uid of [-1, 2 ** 32, 0.5]) expect(() => userById(uid)).toThrow("uid");
  });

  test("each group is the one of its line", () => {
    for (const [name = "", , gid] of rows("/etc/group")) {
      expect(groupByName(name)).toBe(Number(gid));
      const found = groupById(Number(gid)) ?? "";
      expect(rows("/etc/group").some(([other, , id]) => other === found && id === gid)).toBe(true);
    }
    expect(groupByName("nobody-has-this-name")).toBeUndefined();
    expect(groupById(3_999_999_999)).toBeUndefined();
    for (const gid of [-1, 2 ** 32, 0.5]) expect(() => groupById(gid)).toThrow("gid");
  });
});

test("capabilities have the numbers of linux/capability.h, with or without CAP_, in any case", () => {
  const numbers = { CHOWN: 0, KILL: 5, SETPCAP: 8, SYS_ADMIN: 21, CHECKPOINT_RESTORE: 40 };
  for (const [name, number] of Object.entries(numbers))
    for (const text of [name, `CAP_${name}`, name.toLowerCase(), `cap_${name}`])
      expect(capFromName(text)).toBe(number);
  for (const text of ["", "CAP_", "KILLS", "CAP_CAP_KILL", "KIL"])
    expect(capFromName(text)).toBeUndefined();
});

test("errors have their usual name, and a number where they have none", () => {
  expect([1, 2, 11, 95, 4095].map(errnoName)).toEqual([
    ...["EPERM", "ENOENT", "EAGAIN", "EOPNOTSUPP", "errno 4095"],
  ]);
  const script =
    "import errno; print(*(f'{k} {v}' for k, v in errno.errorcode.items()), sep='\\n')";
  const { stdout } = Bun.spawnSync(["/usr/bin/python3", "-ISc", script]);
  const theirs = new Map(
    `${stdout}`
      .trim()
      .split("\n")
      .map((line) => {
        const [number, name = ""] = line.split(" ");
        return [Number(number), name];
      }),
  );
  const named = [...theirs].filter(([number]) => !errnoName(number).startsWith("errno "));
  const aliases = ["EOPNOTSUPP", "ENOTSUP", "EDEADLOCK", "EDEADLK"];
  expect(
    named.filter(([number, name]) => errnoName(number) !== name && !aliases.includes(name)),
  ).toEqual([]);
  // Those that others are told of by name, too.
  for (const name of ["EUSERS", "ETOOMANYREFS", "ENOKEY", "EUCLEAN"])
    expect(named.map(([, one]) => one)).toContain(name);
  expect(named.length).toBeGreaterThan(90);
});

test("the version of Landlock is that which the kernel has switched on", () => {
  const lsm = (() => {
    try {
      return readFileSync("/sys/kernel/security/lsm", "utf8").split(",");
    } catch {
      return undefined;
    }
  })();
  expect(Number.isInteger(landlockAbi())).toBe(true);
  expect(landlockAbi()).toBeGreaterThanOrEqual(lsm?.includes("landlock") ? 1 : 0);
});

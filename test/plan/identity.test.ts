/** Who commands run as: every way to say it, and every way that is refused. */
import { describe, expect, test } from "bun:test";
import { board, ordinary } from "./board.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const identityOf = (acls: object) => planOf(compiled({ acls }, board)).policy.identity;
const at = (key: string) => `sandboxes[0].acls.${key}`;
const NO_ID = (text: string) =>
  `${JSON.stringify(text)} is not an id: from 0 to 4294967294, in digits without a leading 0`;

test.each([
  [
    "by name, with its own group",
    { user: "pilot" },
    {
      uid: 1001,
      gid: 2001,
      groups: [],
      name: "pilot",
      home: "/home/pilot",
      named: [{ kind: "user", name: "pilot", ids: [1001, 2001] }],
    },
  ],
  [
    "by number, with its own group",
    { user: "1001" },
    { uid: 1001, gid: 2001, groups: [], name: "pilot", home: "/home/pilot" },
  ],
  [
    "with another group",
    { user: "pilot", group: "crew" },
    {
      uid: 1001,
      gid: 3001,
      groups: [],
      name: "pilot",
      home: "/home/pilot",
      named: [
        { kind: "user", name: "pilot", ids: [1001] },
        { kind: "group", name: "crew", ids: [3001] },
      ],
    },
  ],
  [
    "with another group by number",
    { user: "pilot", group: "3007" },
    {
      uid: 1001,
      gid: 3007,
      groups: [],
      name: "pilot",
      home: "/home/pilot",
      named: [{ kind: "user", name: "pilot", ids: [1001] }],
    },
  ],
  [
    "a number that nobody has, with a group",
    { user: "4711", group: "crew" },
    { uid: 4711, gid: 3001, groups: [], named: [{ kind: "group", name: "crew", ids: [3001] }] },
  ],
  [
    "whose own group is none, with another",
    { user: "stray", group: "crew" },
    {
      uid: 1003,
      gid: 3001,
      groups: [],
      name: "stray",
      home: "/home/stray",
      named: [
        { kind: "user", name: "stray", ids: [1003] },
        { kind: "group", name: "crew", ids: [3001] },
      ],
    },
  ],
  [
    "with supplementary groups",
    { user: "1001", groups: ["dialout", 3009, "crew"] },
    {
      uid: 1001,
      gid: 2001,
      groups: [3002, 3009, 3001],
      name: "pilot",
      home: "/home/pilot",
      named: [
        { kind: "group", name: "dialout", ids: [3002] },
        { kind: "group", name: "crew", ids: [3001] },
      ],
    },
  ],
  [
    "root, said out loud",
    { user: "root" },
    {
      uid: 0,
      gid: 0,
      groups: [],
      name: "root",
      home: "/root",
      named: [{ kind: "user", name: "root", ids: [0, 0] }],
    },
  ],
  [
    "the largest ids",
    { user: "4294967294", group: "4294967294" },
    { uid: 4294967294, gid: 4294967294, groups: [] },
  ],
])("a user %s", (_, acls, expected) => {
  expect(identityOf(acls)).toEqual(expected as never);
});

describe("the server of root refuses", () => {
  test.each([
    [
      {},
      [
        `${at("user")}: missing: the server runs as root, so say which user the commands run as, such as "nobody" ("root" must be said out loud)`,
      ],
    ],
    [{ user: "ghost" }, [`${at("user")}: unknown user "ghost": name one of /etc/passwd, or a uid`]],
    [
      { user: "ghost", group: "crew" },
      [`${at("user")}: unknown user "ghost": name one of /etc/passwd, or a uid`],
    ],
    [
      { user: "4711" },
      [
        `${at("group")}: missing: uid 4711 has no entry in /etc/passwd with a group, so its group must be given`,
      ],
    ],
    [
      { user: "stray" },
      [
        `${at("group")}: missing: uid 1003 has no entry in /etc/passwd with a group, so its group must be given`,
      ],
    ],
    [
      { user: "pilot", group: "ghosts" },
      [`${at("group")}: unknown group "ghosts": name one of /etc/group, or a gid`],
    ],
    [
      { user: "pilot", group: "broken" },
      [`${at("group")}: unknown group "broken": name one of /etc/group, or a gid`],
    ],
    [
      { user: "pilot", groups: ["crew", "ghosts"] },
      [`${at("groups[1]")}: unknown group "ghosts": name one of /etc/group, or a gid`],
    ],
    [{ user: "4294967295" }, [`${at("user")}: ${NO_ID("4294967295")}`]],
    [{ user: "01001" }, [`${at("user")}: ${NO_ID("01001")}`]],
    [{ user: "-1" }, [`${at("user")}: ${NO_ID("-1")}`]],
    [{ user: "0x3e9" }, [`${at("user")}: ${NO_ID("0x3e9")}`]],
    [{ user: "pilot", group: "1e3" }, [`${at("group")}: ${NO_ID("1e3")}`]],
    [{ user: "pilot", groups: ["-0"] }, [`${at("groups[0]")}: ${NO_ID("-0")}`]],
    [
      { user: "pilot", groups: Array.from({ length: 65 }, (_, i) => `${5000 + i}`) },
      [`${at("groups")}: 65 groups; at most 64`],
    ],
    [
      { user: "pilot", runmod: "user" },
      [`${at("runmod")}: "user": this config must not be served by root`],
    ],
  ])("%j", (acls, problems) => {
    expect(refused({ acls }, board)).toEqual(problems);
  });

  test("but not as many groups as there is room for", () => {
    const groups = Array.from({ length: 64 }, (_, i) => 5000 + i);
    expect(
      identityOf({ user: "pilot", groups: groups.map(String), runmod: "admin" })?.groups,
    ).toEqual(groups);
  });

  test("a look-up that gives the user (uid_t)-1", () => {
    const user = () => ({ name: "odd", uid: 2 ** 32 - 1, gid: 1, home: "/", shell: "" });
    expect(refused({ acls: { user: "odd" } }, { ...board, user })).toEqual([
      `${at("user")}: unknown user "odd": name one of /etc/passwd, or a uid`,
    ]);
  });
});

describe("the server of an ordinary user", () => {
  const told = (acls: object) =>
    compiled({ acls, namespace: { shares: { pid: "disable" } } }, ordinary).notices.map(
      ({ path, message }) => `${path}: ${message}`,
    );
  const NOT = (key: string) =>
    `${at(key)}: not applied: the server runs unprivileged, as uid 1001, gid 2001; commands run as that`;

  test("switches to nobody, and tells what it passes over", () => {
    const { policy } = planOf(compiled({ acls: { user: "nobody", group: "crew" } }, ordinary));
    expect(policy).toMatchObject({ privileged: false, server: { uid: 1001, gid: 2001 } });
    expect(policy.identity).toBeUndefined();
    expect(told({ user: "nobody" })).toEqual([NOT("user")]);
    expect(told({ group: "crew" })).toEqual([NOT("group")]);
    expect(told({ user: "nobody", group: "crew" })).toEqual([NOT("user"), NOT("group")]);
    expect(told({})).toEqual([]);
  });

  test.each([
    [{ user: "0777" }, [`${at("user")}: ${NO_ID("0777")}`]],
    [{ group: "0777" }, [`${at("group")}: ${NO_ID("0777")}`]],
    [{ groups: ["2001", "0777"] }, [`${at("groups[1]")}: ${NO_ID("0777")}`]],
    [{ runmod: "admin" }, [`${at("runmod")}: "admin": this config must be served by root`]],
  ])("refuses what no server could apply: %j", (acls, problems) => {
    expect(refused({ acls }, ordinary)).toEqual(problems);
  });

  test("serves what is for it", () => {
    expect(told({ runmod: "user" })).toEqual([]);
  });
});

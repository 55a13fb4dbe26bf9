/** Groups, capabilities and no_new_privs that commands of an ordinary user's server have from it. */
import { describe, expect, test } from "bun:test";
import { exposure } from "../../src/plan/exposure.ts";
import { explainPolicy } from "../../src/plan/explain.ts";
import type { Machine } from "../../src/plan/machine.ts";
import { asRoot, asUser, compiled, planOf, refused } from "./compiling.ts";

const names: Record<string, number> = { adm: 4, sudo: 27, games: 60 };
const member = (...groups: number[]): Partial<Machine> => ({
  ...asUser,
  groups,
  group: (name) => names[name],
  groupName: (gid) => Object.keys(names).find((name) => names[name] === gid),
});
const SETGID = 6;
const NET_ADMIN = 12;
const isolated = { namespace: { shares: { pid: "disable" } } };
const told = (sandbox: object, machine: Partial<Machine>) =>
  compiled({ ...isolated, ...sandbox }, machine).notices.map(
    ({ path, message }) => `${path}: ${message.split(": ")[0]}`,
  );
const GROUPS = "sandboxes[0].acls.groups";
const kept = (groups: string) =>
  `${GROUPS}: commands keep the server's supplementary groups ${groups}, and reach what these may`;

describe("supplementary groups", () => {
  test("that nobody asked for are told by name and number, with every profile and none", () => {
    for (const sandbox of [{}, { profile: "minimal" }, { profile: "admin", ...isolated }]) {
      expect(told(sandbox, member(4, 27, 5000))).toEqual([kept("adm (4), sudo (27), 5000")]);
    }
    expect(told({}, member(65534, 65534))).toEqual([]);
    expect(told({}, member())).toEqual([]);
  });
  test("that the config names are given already, and those that cannot be are told", () => {
    expect(told({ acls: { groups: ["adm", "27"] } }, member(4, 27))).toEqual([]);
    expect(told({ acls: { groups: "adm" } }, member(4, 27))).toEqual([kept("sudo (27)")]);
    expect(told({ acls: { groups: ["games", "nosuch"] } }, member(4))).toEqual([
      `${GROUPS}: not applied`,
      kept("adm (4)"),
    ]);
    expect(told({ acls: { groups: "65534" } }, member())).toEqual([]);
  });
  test("are in explain and the exposure", () => {
    const { policy, timeout } = planOf(compiled(isolated, member(4, 5000)));
    expect(explainPolicy(policy)).toContain(
      "run as the server's own user, uid 65534, gid 65534, the server's own supplementary groups adm (4), 5000",
    );
    expect(exposure({ policy, timeout }).findings.map(({ what }) => what)).toContain(
      "has 2 supplementary groups",
    );
  });
  test("are exactly those of the config where the server may set them", () => {
    const machine = { ...member(4, 27), ambient: new Set([SETGID]) };
    expect(told({ acls: { groups: "games" } }, machine)).toEqual([]);
    const groups = (sandbox: object) => planOf(compiled(sandbox, machine)).policy.groups;
    expect(groups({ acls: { groups: "games" } })).toEqual([60]);
    expect(groups({ profile: "minimal" })).toEqual([]);
    expect(refused({ acls: { groups: "nosuch" } }, machine)[0]).toContain("nosuch");
    const many = Array.from({ length: 65 }, (_, i) => `${100 + i}`);
    expect(refused({ acls: { groups: many } }, machine)[0]).toContain("at most 64");
  });
  test("of root's server are none of its commands'", () => {
    const api = compiled({ profile: "minimal" }, { ...member(0, 4), ...asRoot, groups: [0, 4] });
    expect(api.notices).toEqual([]);
    expect(planOf(api).policy).toMatchObject({ identity: { groups: [] }, server: { groups: [] } });
  });
});

test("ambient capabilities of the server are no command's that did not ask for them", () => {
  const machine = { ...member(), ambient: new Set([NET_ADMIN]) };
  const caps = (sandbox: object) => planOf(compiled(sandbox, machine)).policy.caps;
  expect(caps({})).toEqual([]);
  expect(caps({ caps: ["NET_ADMIN", "KILL"] })).toEqual([NET_ADMIN]);
  const { notices } = compiled({ caps: ["NET_ADMIN", "KILL"] }, machine);
  const [notice] = notices.filter(({ path }) => path.endsWith(".caps"));
  expect(notice?.message).toStartWith("not granted: KILL (signal any process): ");
});

test("newPrivs under a server that is itself under no_new_privs is told", () => {
  const { policy } = planOf(
    compiled({ acls: { newPrivs: true } }, { ...asUser, noNewPrivs: true }),
  );
  expect(policy.noNewPrivs).toBe(true);
  const sandbox = { ...isolated, acls: { newPrivs: true } };
  expect(told(sandbox, { ...asUser, noNewPrivs: true })).toEqual([
    "sandboxes[0].acls.newPrivs: not applied",
  ]);
});

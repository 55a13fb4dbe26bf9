/** What is looked at once for several sandboxes, and what is not, as it would be another answer. */
import { describe, expect, test } from "bun:test";
import { hostFiles, thisMachine } from "../../src/plan/machine.ts";
import type { MountStep, Policy } from "../../src/plan/policy.ts";
import { Programs } from "../../src/plan/programs.ts";
import { asRoot, compiled } from "./compiling.ts";
import { plain } from "./plain-policy.ts";

const flags = { readonly: true, nosuid: false, nodev: false, noexec: false };
const bind = (target: string): MountStep => ({ kind: "bind", source: target, target, flags });
const file = (content: string): MountStep => ({
  ...{ kind: "file", target: "/etc/hosts", mode: 0o644 },
  content: new TextEncoder().encode(content),
});
const whole = ["/usr", "/bin", "/lib", "/lib64"].map(bind);

/** Programs of a machine on which something else may be at a path, and how often that is asked. */
function watched() {
  const seen = { looks: 0, asked: 0, gone: false };
  const machine = {
    ...{ ...thisMachine(), ...asRoot },
    files: {
      ...hostFiles,
      lookup: (path: string) => {
        seen.looks++;
        return seen.gone ? undefined : hostFiles.lookup(path);
      },
    },
    changeable: () => {
      seen.asked++;
      return "anybody";
    },
  };
  return { programs: new Programs(machine), seen };
}

/** How many files are looked at for a program by the second of two sandboxes. */
function looksOfSecond(first: Partial<Policy>, second: Partial<Policy>): number {
  const { programs, seen } = watched();
  programs.inside({ ...plain, mounts: whole, ...first }, {}).check("/usr/bin/env");
  expect(seen.looks).toBeGreaterThan(0);
  seen.looks = 0;
  programs.inside({ ...plain, mounts: whole, ...second }, {}).check("/usr/bin/env");
  return seen.looks;
}

describe("a program", () => {
  test("is looked at once where the same files are shown to the same user", () => {
    expect(looksOfSecond({}, {})).toBe(0);
    expect(looksOfSecond({ hostname: "a" }, { hostname: "b" })).toBe(0);
    // What the config has in a file is no program of this machine.
    const mounts = (content: string) => ({ mounts: [...whole, file(content)] });
    expect(looksOfSecond(mounts("a"), mounts("b"))).toBe(0);
  });

  const other = { uid: 1002, gid: 2001, groups: [] };
  const landlock = (path: string) => ({
    landlock: { paths: [[path, 0xffffn]], ports: [] } as unknown as Policy["landlock"],
  });
  const KILL = { code: 6, k: 0x80000000 };
  test.each<[string, Partial<Policy>, Partial<Policy>]>([
    ["other mounts", {}, { mounts: [...whole, bind("/opt")] }],
    ["no mounts", {}, { mounts: undefined }],
    ["another user", {}, { identity: other }],
    ["nobody to become", {}, { identity: undefined }],
    ["capabilities", {}, { caps: [1] }],
    ["none of them, said", {}, { caps: [] }],
    ["another Landlock", landlock("/"), landlock("/usr")],
    ["Landlock", {}, landlock("/")],
    [
      "a filter that kills what is foreign",
      {},
      { seccomp: new Uint8Array([KILL.code, 0, 0, 0, 0, 0, 0, KILL.k >>> 24]) },
    ],
  ])("is looked at again with %s", (_, first, second) => {
    expect(looksOfSecond(first, second)).toBeGreaterThan(0);
  });

  test("is looked at again where another PATH says what env(1) finds", () => {
    const { programs, seen } = watched();
    for (const PATH of ["/usr/bin", "/bin"]) {
      seen.looks = 0;
      programs.inside({ ...plain, mounts: whole }, { PATH }).check("/usr/bin/env");
      expect(seen.looks).toBeGreaterThan(0);
    }
  });

  test("that cannot be executed is so each time, until it can", () => {
    const { programs, seen } = watched();
    const inside = programs.inside({ ...plain, mounts: whole }, {});
    seen.gone = true;
    for (let i = 0; i < 2; i++)
      expect(() => inside.check("/usr/bin/env")).toThrow("does not exist on this machine");
    seen.gone = false;
    inside.check("/usr/bin/env");
    seen.gone = true;
    inside.check("/usr/bin/env");
  });

  test("is asked for once who else can change it, also where that is nobody", () => {
    const { programs, seen } = watched();
    const asRunner = { ...plain, mounts: whole, identity: undefined };
    for (const policy of [asRunner, { ...asRunner, hostname: "b" }, asRunner])
      expect(programs.inside(policy, {}).changeable("/usr/bin/env")).toContain("anybody");
    expect(seen.asked).toBe(1);
    const inside = programs.inside({ ...plain, mounts: whole }, {});
    expect([inside.changeable("/bin/sh"), inside.changeable("/bin/sh")]).toEqual([
      undefined,
      undefined,
    ]);
    expect(seen.asked).toBe(1);
  });
});

describe("a filter", () => {
  const rules = [{ syscall: "mount", action: "SCMP_ACT_ERRNO(EPERM)" }];
  const seccomp = { default: "SCMP_ACT_ALLOW", rules };
  const api = (...more: object[]) =>
    compiled({}, asRoot, {
      sandboxes: more.map((one, i) => ({
        ...{ uid: `s${i}`, prefix: `p${i}`, acls: { user: "nobody" }, seccomp },
        ...{ commands: { uid: "c", exec: { cmdpath: "/bin/sh" } }, ...one },
      })),
    });
  const filters = (...more: object[]) =>
    api(...more).sandboxes.map(({ plans }) => plans[0]?.policy.seccomp);

  test("is one for all that ask for the same", () => {
    const [a, b] = filters({}, {});
    expect([a !== undefined, a === b]).toEqual([true, true]);
  });

  test.each([
    ["rules", { seccomp: { ...seccomp, rules: [] } }],
    ["a default", { seccomp: { ...seccomp, default: "SCMP_ACT_LOG" } }],
    ["families of sockets", { network: { families: ["unix"] } }],
    ["protocols of netlink", { network: { families: ["netlink"] } }],
    ["what is told", { seccomp: { ...seccomp, report: true } }],
  ])("is another with other %s", (_, more) => {
    const [a, b] = filters({}, more);
    expect([a, b]).not.toContain(undefined);
    expect(b).not.toEqual(a);
  });

  test("of which something is to be told is made for each, so that each is told of", () => {
    const told = { seccomp: { ...seccomp, rules: [...rules, { ...rules[0], action: "ALLOW" }] } };
    const paths = api(told, told).notices.map(({ path }) => path);
    expect(paths).toEqual(["sandboxes[0].seccomp.rules[1]", "sandboxes[1].seccomp.rules[1]"]);
  });
});

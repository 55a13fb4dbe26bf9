/** How a config's own keys refine its profile. */
import { describe, expect, test } from "bun:test";
import { mergedReport, mergeSandbox, type ProfileBase } from "../../src/plan/profile-merge.ts";
import { Report } from "../../src/plan/report.ts";
import type { Sandbox } from "../../src/config/schema.ts";

const own = (more: object): Sandbox => ({ uid: "s", commands: [], ...more }) as Sandbox;
const merged = (base: object, more: object) => mergeSandbox(base as ProfileBase, own(more));

test.each<[string, object, object, object]>([
  [
    "lists are appended",
    { envs: [{ name: "A" }], caps: [{ cap: "X" }] },
    { envs: [{ name: "B" }], caps: [{ cap: "Y" }] },
    { envs: [{ name: "A" }, { name: "B" }], caps: [{ cap: "X" }, { cap: "Y" }] },
  ],
  [
    "the profile's stay",
    { envs: [{ name: "A" }], caps: [], acls: { umask: "077" }, limits: { core: "0" } },
    {},
    { envs: [{ name: "A" }], caps: [], acls: { umask: "077" }, limits: { core: "0" } },
  ],
  [
    "single values override",
    { acls: { umask: "077", user: "a" }, limits: { core: "0" } },
    { acls: { user: "b" }, limits: { core: "1", as: "2" } },
    { acls: { umask: "077", user: "b" }, limits: { core: "1", as: "2" } },
  ],
  [
    "a namespace of the profile, and one of its own, where the other has none",
    { namespace: { shares: { all: "disable" } } },
    {},
    { namespace: { shares: { all: "disable" } } },
  ],
  [
    "a namespace of its own alone",
    {},
    { namespace: { shares: { net: "disable" } } },
    { namespace: { shares: { net: "disable" } } },
  ],
  [
    "families are replaced",
    { network: { families: ["A"] } },
    { network: { families: ["B"] } },
    { network: { families: ["B"] } },
  ],
  [
    "families of the profile",
    { network: { families: ["A"] } },
    { network: {} },
    { network: { families: ["A"] } },
  ],
  ["families of its own", {}, { network: { families: ["B"] } }, { network: { families: ["B"] } }],
  [
    "rules come after",
    { seccomp: { default: "D", rules: [1] } },
    { seccomp: { rules: [2], report: true } },
    { seccomp: { default: "D", report: true, rules: [1, 2] } },
  ],
  [
    "another default",
    { seccomp: { default: "D", rules: [1] } },
    { seccomp: { default: "E" } },
    { seccomp: { default: "E", rules: [1] } },
  ],
  [
    "a compiled filter is whole",
    { seccomp: { default: "D", rules: [1] } },
    { seccomp: { rulespath: "/f" } },
    { seccomp: { rulespath: "/f" } },
  ],
  ["without one in the profile", {}, { seccomp: { rules: [2] } }, { seccomp: { rules: [2] } }],
  [
    "shares and opts",
    { namespace: { shares: { all: "disable", net: "enable" } } },
    { namespace: { shares: { net: "disable" }, opts: { hostname: "h" } } },
    {
      namespace: {
        shares: { all: "disable", net: "disable" },
        opts: { hostname: "h" },
        mounts: [],
      },
    },
  ],
])("%s", (_, base, more, expected) => {
  expect(merged(base, more)).toMatchObject(expected);
});

test("what neither has is not there", () => {
  for (const key of ["network", "seccomp", "namespace"])
    expect(merged({}, {})).not.toHaveProperty(key);
});

describe("mounts", () => {
  const SYSTEM = [
    { target: "/usr" },
    { target: "/lib", source: "usr/lib", mode: "symlink" },
    { target: "/lib64", source: "usr/lib64", mode: "symlink" },
    { target: "/etc/passwd", mode: "ro" },
    { target: "/etc/hosts", mode: "hosts" },
    { target: "/dev", source: "/x/dev", mode: "ro" },
    { target: "/tmp", mode: "tmpfs" },
    { target: "/proc", mode: "proc" },
  ];
  const targets = (...mounts: object[]) =>
    merged({ namespace: { mounts: SYSTEM } }, { namespace: { mounts } }).namespace?.mounts?.map(
      ({ target }) => target,
    );
  const ALL = SYSTEM.map(({ target }) => target);
  test.each([
    ["", ALL],
    ["/lib", [...ALL.filter((path) => path !== "/lib"), "/lib"]],
    ["/lib/", [...ALL.filter((path) => path !== "/lib"), "/lib/"]],
    ["/lib/./modules", [...ALL, "/lib/./modules"]],
    ["/etc", [...ALL.filter((path) => !path.startsWith("/etc/")), "/etc"]],
    ["/et", [...ALL, "/et"]],
    ["/", ["/", "/dev", "/tmp", "/proc"]],
  ])("with an own one at %j", (target, expected) => {
    expect(targets(...(target ? [{ target }] : []))).toEqual(expected);
  });
  test("a root of its own comes first, wherever it stands", () => {
    expect(targets({ target: "/a" }, { target: "//" })).toEqual([
      "//",
      "/dev",
      "/tmp",
      "/proc",
      "/a",
    ]);
  });
});

test.each<[list: string, make: (names: readonly string[]) => object]>([
  ["envs", (names) => ({ envs: names.map((name) => ({ name })) })],
  ["caps", (names) => ({ caps: names.map((cap) => ({ cap })) })],
  ["seccomp.rules", (names) => ({ seccomp: { rules: names.map((syscall) => ({ syscall })) } })],
  ["namespace.mounts", (names) => ({ namespace: { mounts: names.map((target) => ({ target })) } })],
])("of %s, what is wrong is told where the config has it, or at its profile", (list, make) => {
  const mine = own(make(["c", "d"]));
  const both = mergeSandbox(make(["a", "b"]) as ProfileBase, mine);
  const report = new Report("f");
  const view = mergedReport(report, "sandboxes[0]", mine, both);
  for (const i of [1, 3]) view.problem(`sandboxes[0].${list}[${i}].x`, "m");
  view.problem("sandboxes[0].acls", "m");
  view.problem(`sandboxes[1].${list}[1].x`, "m");
  expect(report.problems.map(({ path }) => path)).toEqual([
    "sandboxes[0].profile",
    `sandboxes[0].${list}[1].x`,
    "sandboxes[0].acls",
    `sandboxes[1].${list}[1].x`,
  ]);
});

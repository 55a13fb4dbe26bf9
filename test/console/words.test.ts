/** What the server says of sandboxes and exercises, in the languages of the page. */
import { expect, test } from "bun:test";
import { join } from "node:path";
import { EXPLAINED } from "../../src/console/explained-words.ts";
import { LESSONS } from "../../src/console/lessons.ts";
import { patternOf } from "../../src/console/pattern.ts";
import { explain } from "../../src/plan/explain.ts";
import { exposure } from "../../src/plan/exposure.ts";
import type { Machine } from "../../src/plan/machine.ts";
import { launchable, type Plan } from "../../src/plan/plan.ts";
import type { MountFlags, Policy } from "../../src/plan/policy.ts";
import { asRoot, asUser, compiled, planOf } from "../plan/compiling.ts";

const config = (await Bun.file(join(import.meta.dir, "../../config/learn.json")).json()) as object;

test("what it says is there in German and French", () => {
  const said = [...JSON.stringify(config).matchAll(/"info":("[^"]*")/g)].map(
    ([, text = ""]) => JSON.parse(text) as string,
  );
  expect(said.length).toBeGreaterThan(15);
  expect(Object.keys(LESSONS).toSorted()).toEqual([...new Set(said)].toSorted());
  for (const [english, others] of Object.entries(LESSONS)) {
    expect([english, others.includes(english)]).toEqual([english, false]);
    // The page tells the question from the answer.
    if (english.includes("? "))
      for (const text of others) expect(text).toMatch(/^.{3,59}\? [^?]{40,}\.$/);
  }
});

test("what is explained has as many places for names in each language", () => {
  const places = (text: string): number => text.split("{}").length;
  for (const [english, ...others] of EXPLAINED)
    expect([english, ...others.map(places)]).toEqual([
      english,
      ...others.map(() => places(english)),
    ]);
});

/** As `monitor/explain` has it: without the command, which is nobody's words. */
const told = (plan: Plan): string[] => [
  ...explain(plan).slice(0, -1),
  ...exposure(plan).findings.map(({ what }) => what),
];
/** As npm starts a server. */
const env = { PATH: "/usr/bin:/bin", npm_command: "start" };
const exercises = (machine: Partial<Machine>): string[] =>
  compiled({}, { ...machine, env }, config).sandboxes.flatMap((sandbox) =>
    launchable(sandbox).slice(0, 1).flatMap(told),
  );
/** The one that is taken. */
const entryOf = (text: string): string | undefined =>
  EXPLAINED.find(([english]) => patternOf(english).test(text))?.[0];

test("what is explained of the exercises is there in German and French", () => {
  const said = [...exercises(asRoot), ...exercises(asUser)];
  expect(said.length).toBeGreaterThan(100);
  expect(said.filter((text) => entryOf(text) === undefined)).toEqual([]);
});

test("each that is there is said of some sandbox", () => {
  const plan = planOf(compiled({ acls: { user: "root" } }));
  const flags: MountFlags = { readonly: true, nosuid: false, nodev: false, noexec: false };
  const others: [Partial<Policy>, Partial<Plan>?][] = [
    [{ joinNet: "/run/netns/a", caps: undefined }, { timeout: 0 }],
    [{ cgroup: { path: "p", mount: undefined, optional: false, shared: [], task: [] } }],
    [{ caps: [0], families: { names: [], protocols: [] } as unknown as Policy["families"] }],
    [
      { identity: { uid: 5, gid: 6, name: "x", groups: [7] } },
      { timeout: 1500, stop: { signal: 15, grace: 250 } },
    ],
    [
      {
        mounts: [
          { kind: "dir", target: "/d", mode: 0 },
          { kind: "lock", target: "/l" },
          { kind: "bind", source: "/s", target: "/t", optional: true, flags },
        ],
      },
    ],
  ];
  const said = [
    ...[...exercises(asRoot), ...exercises(asUser)],
    ...others.flatMap(([policy, more]) =>
      told({ ...plan, policy: { ...plan.policy, ...policy }, ...more }),
    ),
  ];
  const found = new Set(said.map(entryOf));
  expect(EXPLAINED.map(([english]) => english).filter((one) => !found.has(one))).toEqual([]);
  const more = [
    ...["join the network /run/netns/a", "every capability of root", "no time limit"],
    ...[
      "start in a control group of its own",
      "capabilities CHOWN (give files to others), no others",
    ],
    "no sockets: they fail with EAFNOSUPPORT; no io_uring, which evades that",
    ...["run as uid 5 (x), gid 6, groups 7", "told to end after 1.5 s"],
    ...["make the directory /d", "hold a lock on /l"],
  ];
  expect(more.filter((text) => !said.includes(text) || entryOf(text) === undefined)).toEqual([]);
  // Not one that fits too, and leaves a part of it as it is.
  expect(entryOf("mount /t from /s, if it is there, (read-only)")).toBe(
    "mount {} from {}, if it is there, ({})",
  );
});

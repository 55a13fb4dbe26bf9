/** Sandboxes are tried before they are served: what this machine refuses is a problem, or a notice where it may be missing. */
import { afterAll, describe, expect, jest, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../../src/config/problem.ts";
import { agentPid } from "../../src/launch/agent.ts";
import { Launching, withNotices } from "../../src/launch/launching.ts";
import { localMounts, refusedProgram } from "../../src/launch/refused-program.ts";
import { tryApis } from "../../src/launch/trial.ts";
import { element } from "../../src/config/place.ts";
import type { ApiPlan, Plan } from "../../src/plan/plan.ts";
import { newPipes, ownDescriptors } from "../descriptors.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, system } from "../served.ts";
import { stopped } from "./processes.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-trial-"));
afterAll(() => rmSync(dir, { recursive: true }));

let made = 0;
/** A sandbox that mounts a directory which goes away once it is compiled, unless it stays. */
function api(more: object = {}, stays = false): ApiPlan {
  const source = join(dir, `source-${++made}`);
  mkdirSync(source);
  const sandbox = {
    acls: { user: isRoot ? "nobody" : undefined },
    namespace: {
      shares: { all: "disable" },
      mounts: [...system, { target: "/data", source, mode: "ro" }],
    },
    ...more,
  };
  const found = compiled(JSON.parse(JSON.stringify(sandbox)) as object, isRoot ? undefined : {});
  if (!stays) rmSync(source, { recursive: true });
  return { ...found, file: `${made}.json` };
}
const commands = (...more: object[]) => ({
  commands: more.map((one, i) => ({ uid: `c${i}`, exec: { cmdpath: "/bin/true" }, ...one })),
});
const NONE = () => undefined;
const LINE = /bind .*source-\d+: ENOENT: .*source-\d+ is not there any more/;

describe.if(isRoot)("a trial", () => {
  test("finds nothing where all can be had: the plans are the same", async () => {
    const fine = api({}, true);
    const { apis, problems, notices } = await tryApis([fine], NONE);
    expect([problems, notices, apis[0] === fine]).toEqual([[], [], true]);
  });

  test("tells what must be there, of whole sandboxes and by their places", async () => {
    const [fine, broken] = [api({}, true), api(commands({}, {}))];
    const two = { ...broken, sandboxes: [...fine.sandboxes, ...broken.sandboxes] };
    const { apis, problems, notices } = await tryApis([fine, two], NONE);
    expect(problems).toEqual([
      { file: broken.file, path: element("sandboxes", 1), message: expect.stringMatching(LINE) },
    ]);
    expect(problems[0]?.message).toStartWith("bind");
    expect([notices, apis[0] === fine, apis[1] === two]).toEqual([[], true, true]);
  });

  test("takes out what may be missing, with the reason", async () => {
    const lax = api({ optional: true, ...commands({ info: "i" }, { privilege: "p" }) });
    const { apis, problems, notices } = await tryApis([lax], NONE);
    const path = element("sandboxes", 0);
    expect([problems, notices]).toEqual([
      [],
      [{ file: lax.file, path, message: expect.stringMatching(/^not available: bind /) }],
    ]);
    const reason = expect.stringMatching(LINE) as string;
    expect(apis[0]?.sandboxes[0]).toMatchObject({
      plans: [],
      unavailable: [
        { verb: "c0", command: "c0", privileges: [], info: "i", reason },
        { verb: "c1", command: "c1", privileges: ["p"], reason },
      ],
    });
    expect(apis[0]?.sandboxes[0]?.unavailable?.[1]).not.toHaveProperty("info");
  });

  test("leaves all else of a config as it is", async () => {
    const [fine, lax] = [api({}, true), api({ optional: true })];
    const [[sandbox], [broken]] = [fine.sandboxes, lax.sandboxes];
    if (!sandbox || !broken) throw new Error("none");
    const exec = broken.plans[0] as Plan;
    const all = [sandbox, { ...broken, exec }, { ...sandbox, exec: planOf(fine) }];
    const { apis } = await tryApis([{ ...fine, sandboxes: all }], NONE);
    const [first, second, third] = apis[0]?.sandboxes ?? [];
    expect([first === all[0], second?.plans, third === all[2]]).toEqual([true, [], true]);
    expect(second).not.toHaveProperty("exec");
    // Of one of which only a command is missing.
    const part = { ...broken, plans: [...broken.plans, planOf(fine)] };
    const left = (await tryApis([{ ...fine, sandboxes: [part] }], NONE)).apis[0]?.sandboxes[0];
    expect(left?.plans).toEqual([planOf(fine)]);
    expect(left).not.toHaveProperty("exec");
    const kept = { ...part, exec: planOf(fine) };
    const with_ = (await tryApis([{ ...fine, sandboxes: [kept] }], NONE)).apis[0]?.sandboxes[0];
    expect(with_?.exec).toBe(planOf(fine));
  });

  test("tries one of each sandbox before others of it, each in the end", async () => {
    const [one, other, two] = [api(), api(), api()];
    const [sandbox] = one.sandboxes;
    const both = { ...sandbox, plans: [planOf(one), planOf(other)] };
    const all = { ...one, sandboxes: [both, ...two.sandboxes] } as ApiPlan;
    const of = async (most?: number) => {
      const before = ownDescriptors();
      const { problems } = await tryApis([all], NONE, most === undefined ? {} : { most });
      // What has failed has ended by then.
      expect(newPipes(before)).toEqual([]);
      return problems.map(({ path }) => path);
    };
    expect(await of(2)).toEqual([0, 1].map((i) => element("sandboxes", i)));
    expect(await of()).toEqual([0, 0, 1].map((i) => element("sandboxes", i)));
  });

  test("of what is used up now is a notice, of what is turned off a problem", () => {
    const here = JSON.stringify(join(import.meta.dir, "trial-refused.ts"));
    const told = (first: readonly string[], what: string) => {
      const run = Bun.spawnSync([...first, process.execPath, JSON.parse(here) as string, what]);
      return run.stdout.toString() || run.stderr.toString();
    };
    expect(told(["prlimit", "--nofile=100:100"], "full")).toMatch(
      /^0 problems; spawn .*: EMFILE: /,
    );
    const off = 'echo 0 > /proc/sys/user/max_uts_namespaces && exec "$@"';
    const inside = ["unshare", "--user", "--map-root-user", "sh", "-c", off, "sh"];
    expect(told(inside, "off")).toMatch(
      /^1 problems: clone: ENOSPC: user\.max_uts_namespaces is 0, .*; \n$/,
    );
  });

  test("is a problem of those that must be there, also where others need not", async () => {
    const mixed = api(commands({ optional: true }, {}));
    const { apis, problems, notices } = await tryApis([mixed], NONE);
    expect([problems.length, notices]).toEqual([1, []]);
    expect(apis[0]?.sandboxes[0]?.plans.map(({ command }) => command)).toEqual(["c1"]);
  });

  test("names the commands where it is not all of them", async () => {
    const [fine, broken] = [api({}, true), api(commands({}, {}))];
    const [sandbox] = broken.sandboxes;
    const plans = [planOf(fine), ...(sandbox?.plans ?? [])] as Plan[];
    const two = { ...broken, sandboxes: [{ ...sandbox, plans }] } as ApiPlan;
    const { problems } = await tryApis([two], NONE);
    expect(problems.map(({ message }) => message.slice(0, 13))).toEqual(["c0, c1: bind "]);
  });

  test("of a sandbox with capabilities that none had before finds what it finds at the start", async () => {
    // With those of the host; of a user namespace's none is the host's.
    const having = (...caps: string[]) =>
      api({ namespace: { shares: { all: "disable", users: "enable" } }, caps }, true);
    expect(await tryApis([having()], NONE)).toMatchObject({ problems: [], notices: [] });
    const before = agentPid();
    const all = [having("SYS_PACCT"), having("MKNOD"), having(), api()];
    const { problems, notices } = await tryApis(all, NONE);
    expect([problems.map(({ message }) => message), notices]).toEqual([
      ...[[expect.stringMatching(LINE)], []],
    ]);
    expect(agentPid()).not.toBe(before);
  });

  test("of what others make later is a notice: a namespace of the network", async () => {
    const net = api({ namespace: { shares: { all: "disable", net: "name:none-there" } } });
    const { problems, notices, apis } = await tryApis([net], NONE);
    expect([problems, notices.map(({ message }) => message)]).toEqual([
      [],
      [expect.stringMatching(/^join net .*: ENOENT: there is no such network namespace/)],
    ]);
    expect(apis[0]).toBe(net);
  });

  test("that does not come to its end is given up, and a notice: it may be otherwise later", async () => {
    const fine = api({}, true);
    await tryApis([fine], NONE);
    stopped(agentPid() ?? 0);
    jest.useFakeTimers();
    try {
      const trying = tryApis([fine], NONE);
      jest.advanceTimersByTime(5000);
      jest.useRealTimers();
      expect(await trying).toEqual({
        ...{ apis: [fine], problems: [] },
        notices: [
          {
            ...{ file: fine.file, path: element("sandboxes", 0) },
            message:
              "a trial of it has not come to its end within 5 s: a file system does not answer, or the machine is overloaded",
          },
        ],
      });
    } finally {
      jest.useRealTimers();
    }
  });

  test("is of so many at most, and of those that are ready", async () => {
    const all = [api(), api(), api()];
    const few = await tryApis(all, NONE, { most: 2 });
    expect(few.problems.map(({ file }) => file)).toEqual(all.slice(0, 2).map(({ file }) => file));
    expect(few.notices).toEqual([
      {
        ...{ file: "", path: "" },
        message: "only 2 of 3 different sandboxes were tried at the start: check tries all",
      },
    ]);
    expect((await tryApis(all, NONE, { most: 3 })).notices).toEqual([]);
    const [first, , last] = all.map(planOf);
    const isReady = (plan: Plan) => plan === first || plan === last;
    const some = await tryApis(all, NONE, { isReady });
    expect(some.problems.map(({ file }) => file)).toEqual([all[0]?.file, all[2]?.file] as string[]);
  });

  test("says which limits of profiles are undercut, each once", async () => {
    const limited = api(commands({}, {}), true);
    const nice = 14;
    const [sandbox] = limited.sandboxes;
    const plans = (sandbox?.plans ?? []).map((plan) => ({
      ...plan,
      // Of the other the config itself says it.
      policy: {
        ...plan.policy,
        rlimits: [
          [nice, 98n],
          [7, 1n << 40n],
        ],
        profileLimits: [nice],
      },
    }));
    const here = { ...limited, sandboxes: [{ ...sandbox, plans }] } as never;
    const { notices } = await tryApis([here], NONE);
    const none = await tryApis([limited], NONE);
    // As an ordinary machine has it: no real-time priority for anybody.
    const own = /^Max realtime priority +\S+ +(\S+)/m.exec(
      await Bun.file("/proc/self/limits").text(),
    )?.[1];
    if (own !== "unlimited" && Number(own) < 98)
      expect(notices).toEqual([
        {
          ...{ file: limited.file, path: element("sandboxes", 0) },
          message: expect.stringMatching(
            new RegExp(
              `^the lower limit holds: limits\\.rtprio is 98, and the server's own hard limit is ${own}: `,
            ),
          ) as string,
        },
      ]);
    expect(none.notices).toEqual([]);
  });
});

describe.if(isRoot)("before they are served", () => {
  test("all that stands against it is told, and nothing has changed", async () => {
    const launching = new Launching();
    const lax = api({ optional: true });
    try {
      const failing = launching.prepare([api(), lax], { trial: true });
      const error = await failing.then(
        () => undefined,
        (reason: unknown) => reason,
      );
      expect(error).toBeInstanceOf(ConfigError);
      const { problems, notices } = error as ConfigError;
      expect([problems.length, notices.map(({ file }) => file)]).toEqual([1, [lax.file]]);
      const prepared = await launching.prepare([lax], { trial: true });
      expect(prepared.notices.map(({ file }) => file)).toEqual([lax.file]);
      expect(prepared.apis[0]?.sandboxes[0]?.plans).toEqual([]);
      prepared.drop();
      // Who only looks does not try what a start would have to make.
      const looked = await launching.prepare([api()], { trial: true, lookOnly: true });
      expect(looked.notices).toEqual([]);
      looked.drop();
      // All else is tried, whatever may be missing.
      const source = join(dir, "never-there");
      const mounts = [
        ...system,
        { target: "/scratch", mode: "tmpfs" },
        { target: "/may-be", source, mode: "ro", optional: true },
      ];
      const shares = { all: "disable", net: "name:none-there" };
      const net = api({ namespace: { shares, mounts } });
      const tried = await launching.prepare([net], { trial: true, lookOnly: true });
      expect(tried.notices.map(({ message }) => message.slice(0, 8))).toEqual(["join net"]);
      tried.drop();
      const untried = await launching.prepare([lax]);
      expect([untried.notices, untried.apis]).toEqual([[], [lax]]);
      untried.drop();
    } finally {
      await launching.close();
    }
  });
});

test("notices found later are added to those of the configs that they are about, or to all", () => {
  const of = (file: string) =>
    ({ file, notices: [{ path: "a", message: "before" }] }) as unknown as ApiPlan;
  const found = [
    { file: "1", path: "x", message: "one" },
    { file: "", path: "", message: "all" },
    { file: "3", path: "y", message: "nobody" },
  ];
  expect(withNotices([of("1"), of("2")], found).map(({ notices }) => notices)).toEqual([
    [
      { path: "a", message: "before" },
      { path: "x", message: "one" },
      { path: "", message: "all" },
    ],
    [
      { path: "a", message: "before" },
      { path: "", message: "all" },
    ],
  ]);
});

test("a program that is not fit any more is told as check does, where that can be looked at", () => {
  const plan = planOf(compiled({ acls: { user: "nobody" } }));
  const text = join(dir, "text");
  writeFileSync(text, "no program\n", { mode: 0o755 });
  expect(refusedProgram(plan, "/bin/true")).toBeUndefined();
  expect(refusedProgram(plan, join(dir, "none"))).toContain("does not exist");
  expect(refusedProgram(plan, text)).toBeString();
  // Of a file system that may not answer nothing is said.
  expect(refusedProgram(plan, "/proc/self/none")).toBeUndefined();
});

test.each(
  [
    "ext2 ext3 ext4 btrfs xfs f2fs zfs bcachefs ubifs jffs2 squashfs erofs iso9660 vfat exfat ntfs3",
    "overlay tmpfs ramfs rootfs devtmpfs",
  ]
    .join(" ")
    .split(" "),
)("of %s it can be looked at", (type) => {
  expect(localMounts(`1 0 8:1 / / rw - ${type} x rw\n`)("/x")).toBe(true);
});

/** What is found out by trying, on this machine: what every one of them must have, and what becomes of what fails. */
import { describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cgroupFeature } from "../../src/doctor/cgroups.ts";
import { features } from "../../src/doctor/features.ts";
import { PROBES, probeFeatures, remedyOf, tried } from "../../src/doctor/probes.ts";
import { doctorVerb } from "../../src/doctor/verb.ts";
import { type Machine, thisMachine } from "../../src/plan/machine.ts";
import { isRoot } from "../accounts.ts";

const machine = thisMachine();
const like = (more: Partial<Machine>): Machine => Object.assign(Object.create(machine), more);
const host = join(import.meta.dir, "../../src/doctor/host.ts");
const names = PROBES.map(([name]) => name);

test("each probe in its order, then labels and users, as this machine has them", async () => {
  const all = await probeFeatures(machine);
  expect(all.map(({ name }) => name)).toEqual([...names, "label", "user-switch"]);
  // Without it no suite could launch anything.
  expect(all[0]).toEqual({ name: "launch", ok: true, found: "works" });
  for (const { name, ok, found, remedy } of all)
    if (name !== "label" && name !== "user-switch")
      expect({ name, isWorking: found === "works", isRemedied: remedy !== undefined }).toEqual({
        ...{ name, isWorking: ok, isRemedied: !ok },
      });
  const module = machine.labelModule();
  expect(all.at(-2)).toEqual(
    module === undefined
      ? {
          ...{ name: "label", ok: false, found: "no active security module has labels" },
          remedy: remedyOf("label", machine),
        }
      : { name: "label", ok: true, found: module },
  );
  if (isRoot) expect(all.at(-1)).toMatchObject({ name: "user-switch" });
});

test("of a machine with labels their module, and of an ordinary user that it cannot be another", async () => {
  const all = await probeFeatures(
    like({ labelModule: () => "apparmor", privileged: false, uid: 1001 }),
  );
  // It says no user.
  expect(all[0]).toEqual({ name: "launch", ok: true, found: "works" });
  expect(all.slice(-2)).toEqual([
    { name: "label", ok: true, found: "apparmor" },
    {
      ...{ name: "user-switch", ok: false, found: "the server runs as uid 1001" },
      remedy: remedyOf("user-switch", machine),
    },
  ]);
});

test.skipIf(!isRoot)("root's command is another user's where it is asked for", async () => {
  const nobody = { acls: { user: "65534", group: "65534" } };
  expect((await tried("user-switch", nobody, machine)).ok).toBe(true);
});

describe("what cannot be tried is missing", () => {
  const remedy = remedyOf("mounts", machine);
  const found = (what: RegExp) => ({
    ...{ name: "mounts", ok: false, remedy, found: expect.stringMatching(what) as string },
  });
  test("where its launch fails, with the step and the errno", async () => {
    // Of a module that no machine has besides another.
    const module = machine.labelModule() === "smack" ? "apparmor" : "smack";
    const other = like({ labelModule: () => module });
    const probe = { acls: { label: "none", ...(machine.privileged && { user: "root" }) } };
    expect(await tried("mounts", probe, other)).toEqual(found(/^label .*E[A-Z]+: /));
  });
  test("where its config is refused", async () => {
    const probe = { namespace: { mounts: [{ target: "/x", source: "/none-such" }] } };
    expect(await tried("mounts", probe, machine)).toEqual(found(/none-such does not exist/));
  });
  test("but a bug is told as one", async () => {
    const broken = like({
      realpath: () => {
        throw new TypeError("a bug");
      },
      user: () => {
        throw new TypeError("a bug");
      },
    });
    const probe = { acls: { user: "nobody" } };
    let said: unknown;
    await tried("launch", probe, broken).catch((error: unknown) => (said = error));
    expect(said).toEqual(new TypeError("a bug"));
  });
});

test("whether this process may write to a control group is asked of the system", () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-group-"));
  const of = (place: string) =>
    cgroupFeature((path) =>
      path === "/proc/self/mountinfo" ? `31 1 0:6 / ${place} rw - cgroup2 cgroup2 rw` : "",
    ).found;
  try {
    chmodSync(dir, 0o700);
    expect(of(dir)).toBe(`${dir}: no controllers`);
    expect(of(`${dir}/none`)).toBe(`${dir}/none: no controllers; not writable`);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

const NOEXEC = "/proc/sys/vm/memfd_noexec";
test.skipIf(!isRoot || !existsSync(NOEXEC))(
  "where memory may not be executed, that is told",
  () => {
    const code = `import { hostFeatures } from ${JSON.stringify(host)};
    console.log(JSON.stringify(hostFeatures().find(({ name }) => name === "memfd")));`;
    // It counts in a pid namespace, and ends with it.
    const { stdout } = Bun.spawnSync([
      ...["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"],
      ...["sh", "-c", `echo 2 >${NOEXEC}; exec "$@"`, "sh", process.execPath, "-e", code],
    ]);
    expect(JSON.parse(stdout.toString())).toMatchObject({ ok: false });
    expect(stdout.toString()).toContain("EACCES");
  },
);

test("all that is looked at: what the kernel says, its groups, and what was tried", async () => {
  const all = (await features()).map(({ name }) => name);
  expect([all[0], all.at(-1)]).toEqual(["kernel", "user-switch"]);
  expect(all.indexOf("cgroup-v2")).toBe(all.indexOf("launch") - 1);
  expect(new Set(all).size).toBe(all.length);
});

test("who asks while it is looked gets the same, who asks later what is then", async () => {
  const verb = doctorVerb();
  const ask = async () => {
    const answer = (await verb.call({ args: null } as never)) as { features: unknown };
    return answer.features;
  };
  const [first, second] = await Promise.all([ask(), ask()]);
  expect(first).toBeArray();
  expect(second === first).toBe(true);
  const later = await ask();
  expect(later).toBeArray();
  expect(later === first).toBe(false);
});

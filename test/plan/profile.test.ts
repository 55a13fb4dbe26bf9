import { describe, expect, test } from "bun:test";
import { type Machine, thisMachine } from "../../src/plan/machine.ts";
import { profile } from "../../src/plan/profile.ts";
import { parseAction } from "../../src/plan/seccomp-action.ts";
import { answer } from "./answer.ts";
import { asRoot, asUser, compiled, planOf, refused } from "./compiling.ts";

/** A machine whose file system is only this: link or directory by path, and where it leads. */
const machineOf = (files: Record<string, string>, more: Partial<Machine> = asRoot): Machine => ({
  ...thisMachine(),
  ...more,
  exists: (path) => path in files,
  realpath: (path) => {
    const real = files[path];
    if (real === undefined) throw new Error("ENOENT");
    return real;
  },
});
const targets = (machine: Machine) =>
  Object.fromEntries(
    (profile("minimal", machine).namespace?.mounts ?? []).map(({ target, source, mode }) => [
      target,
      `${mode} ${source ?? ""}`.trim(),
    ]),
  );

describe("minimal", () => {
  test("on a merged system has links, on another the directories; what is missing may come later", () => {
    const merged = targets(
      machineOf({ "/bin": "/usr/bin", "/lib64": "/usr/lib", "/etc/passwd": "/etc/passwd" }),
    );
    expect(merged).toMatchObject({
      "/bin": "symlink usr/bin",
      "/lib64": "symlink usr/lib",
      "/etc/passwd": "ro",
    });
    const { mounts } = profile("minimal", machineOf({})).namespace ?? {};
    for (const target of ["/sbin", "/etc/group", "/etc/localtime"])
      expect(mounts).toContainEqual({ target, mode: "ro", optional: true });
    expect(targets(machineOf({ "/bin": "/bin", "/lib": "/lib" }))).toMatchObject({
      "/bin": "ro",
      "/lib": "ro",
    });
  });
  test("names a user where the server is root, and only there", () => {
    expect(planOf(compiled({ profile: "minimal" })).policy.identity?.name).toBe("nobody");
    const api = compiled({ profile: "minimal" }, asUser);
    expect(planOf(api).policy.identity).toBeUndefined();
    expect(api.notices).toEqual([]);
  });
});

test("device shows no door to the machine's vsock ports, unless the config mounts it", () => {
  const machine = machineOf({ "/dev/vhost-vsock": "/dev/vhost-vsock" });
  const found = (files: Machine) =>
    (profile("device", files).namespace?.mounts ?? []).find(
      ({ target }) => target === "/dev/vhost-vsock",
    );
  expect(found(machine)?.source).toBe("/dev/null");
  expect(found(machineOf({}))).toBeUndefined();
});

test("admin names no user: root must be said out loud", () => {
  expect(refused({ profile: "admin" })[0]).toStartWith("sandboxes[0].acls.user: missing");
  const { policy } = planOf(compiled({ profile: "admin", acls: { user: "root" } }));
  expect(policy).toMatchObject({ caps: [], identity: { uid: 0 } });
  expect(policy.mounts).toBeUndefined();
});

describe("the config's keys", () => {
  const targetsOf = (mounts: object[]) =>
    planOf(compiled({ profile: "minimal", namespace: { mounts } })).policy.mounts?.map(
      ({ target }) => target,
    ) ?? [];
  test("an own mount replaces the profile's at and below its target", () => {
    expect(targetsOf([])).toContain("/etc/passwd");
    const found = targetsOf([{ target: "/etc/", source: "/usr/share", mode: "ro" }]);
    expect(found.filter((target) => target.startsWith("/etc"))).toEqual(["/etc"]);
    // After all of the profile but the sealing of what is filled by then.
    expect(found.indexOf("/etc")).toBeGreaterThan(found.indexOf("/tmp"));
  });
  test("single values override, lists are appended, limits of a command come first", () => {
    const sandbox = {
      profile: "minimal",
      acls: { umask: "000" },
      caps: { cap: "KILL" },
      limits: { nofile: 5 },
      namespace: { shares: { net: "enable" } },
      commands: [{ uid: "c", limits: { nofile: 7 }, exec: { cmdpath: "/bin/sh" } }],
    };
    const { policy } = planOf(compiled(sandbox));
    expect(policy).toMatchObject({ umask: 0, caps: [5], chdir: "/tmp" });
    expect(policy.namespaces.has("net")).toBe(false);
    expect(policy.namespaces.has("pid")).toBe(true);
    expect(Object.fromEntries(policy.rlimits)).toMatchObject({ 7: 7n, 6: 512n, 4: 0n });
  });
  test("a compiled filter takes the place of the profile's rules", () => {
    const program = Uint8Array.from([6, 0, 0, 0, 0, 0, 0xff, 0x7f]);
    const machine = { ...asRoot, readFile: () => program };
    const sandbox = { profile: "minimal", seccomp: { rulespath: "/x" } };
    const every = planOf(compiled({ ...sandbox, network: { families: "all" } }, machine));
    expect(every.policy.seccomp).toEqual(program);
    // What it lets through is asked by the families of the profile.
    const { policy } = planOf(compiled(sandbox, { ...machine, arch: "x64" }));
    const SOCKET = 41;
    const answers = [1n, 40n].map((family) => answer(policy.seccomp ?? program, SOCKET, [family]));
    expect(answers).toEqual([parseAction("ALLOW"), parseAction("ERRNO(EAFNOSUPPORT)")]);
  });
  test("problems stand where the config has them", () => {
    const wrong = {
      profile: "minimal",
      caps: [{ cap: "KILL" }, { cap: "NOPE" }],
      namespace: { mounts: [{ target: "/tmp", mode: "tmpfs" }, { target: "/no/such/place" }] },
      seccomp: { rules: [{ syscall: "nope", action: "KILL" }] },
    };
    expect(
      refused(wrong)
        .map((line) => line.split(":")[0])
        .sort(),
    ).toEqual([
      "sandboxes[0].caps[1].cap",
      "sandboxes[0].namespace.mounts[1]",
      "sandboxes[0].seccomp.rules[0]",
    ]);
  });
  test("a problem of the profile itself stands at the profile", () => {
    const { files } = thisMachine();
    const lookup = (path: string) => (path === "/usr" ? undefined : files.lookup(path));
    const machine = { ...machineOf({ "/bin": "/usr/bin" }), files: { ...files, lookup } };
    expect(refused({ profile: "minimal" }, machine)[0]).toStartWith(
      "sandboxes[0].profile: source /usr",
    );
  });
  test("the server's environment is handed on only without a profile", () => {
    const machine = { ...asRoot, env: { PATH: "/x", SECRET: "s", HANDED: "h" } };
    expect(planOf(compiled({ acls: { user: "nobody" } }, machine)).env).toMatchObject({
      SECRET: "s",
      PATH: "/x",
    });
    const { env } = planOf(compiled({ profile: "minimal", envs: { name: "HANDED" } }, machine));
    expect(env).not.toHaveProperty("SECRET");
    expect(env).toMatchObject({ HANDED: "h", LANG: "C.UTF-8", USER: "nobody" });
    expect(refused({ acls: { user: "nobody" }, envs: { name: "*", value: "x" } })[0]).toContain(
      '"*" can only be unset',
    );
  });
});

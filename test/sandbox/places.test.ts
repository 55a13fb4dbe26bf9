/** Servers where the kernel's calls are filtered, its settings read-only, limits low: what is not needed stops nobody, what is lost is told beforehand. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { resolveSyscall } from "../../ffi/libseccomp.ts";
import { drop } from "../places/place.ts";
import { Room } from "../places/room.ts";
import { ENOSYS, EPERM } from "../places/rules.ts";
import { ORDINARY } from "../accounts.ts";
import { isRoot, serve, users } from "../served.ts";
import { isTried } from "../thinned.ts";

let room: Room;
beforeAll(() => {
  room = new Room("places");
});
afterAll(() => room[Symbol.dispose]());
const without = (errno: number, ...calls: string[]): string[] => room.without(errno, ...calls);

/** CAP_SYS_RESOURCE, which containers take from root. */
const canRaise =
  (BigInt(`0x${/^CapEff:\s*(\w+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1]}`) >> 24n) %
    2n ===
  1n;

const PROGRAM = ["/bin/sh", "-c", "echo ok"];
const config = (sandbox: object, [cmdpath = "", ...args]: readonly string[] = PROGRAM) => ({
  metadata: { uid: "c", api: "c" },
  sandboxes: {
    uid: "s",
    acls: { user: "nobody" },
    ...sandbox,
    commands: [{ uid: "x", encoder: "sync", exec: { cmdpath, args } }],
  },
});

/** What a subcommand says of a config, through other programs. */
const spawnbox = (through: readonly string[], subcommand: "check" | "run", content: object) =>
  subcommand === "check"
    ? room.spawnbox(through, content, "check", (file) => ["--json", file])
    : room.spawnbox(through, content, "run", (file) => ["c/x", "--config", file, "--raw"]);
interface Checked {
  problems: { path: string; message: string }[];
  notices: { path: string; message: string }[];
}
const checked = (through: readonly string[], content: object): Checked =>
  JSON.parse(spawnbox(through, "check", content).out) as Checked;
/** The words of a launch that was refused. */
function refusal(through: readonly string[], content: object): string {
  const { out } = spawnbox(through, "run", content);
  const [, said = ""] = /x not started: ([^"]*(?:\\"[^"]*)*)"/.exec(out) ?? [];
  return JSON.parse(`"${said}"`) as string;
}

const mounts = ["/usr", "/bin", "/lib", "/lib64"]
  .filter((path) => existsSync(path))
  .map((target) => ({ target }));
const boxed = { namespace: { shares: { all: "disable" }, mounts } };
const NO_NESTING = [
  {
    syscall: "clone",
    action: "SCMP_ACT_ERRNO(EPERM)",
    args: [{ index: 0, op: "masked_eq", value: 0x10000000, mask: 0x10000000 }],
  },
  { syscall: "clone3", action: "SCMP_ACT_ERRNO(ENOSYS)" },
  { syscall: "unshare", action: "SCMP_ACT_ERRNO(EPERM)" },
];

/** What a filter answers to calls without which a launch gets by. */
const answers: readonly [errno: number, calls: string[]][] = [
  [ENOSYS, ["clone3"]],
  [EPERM, ["keyctl", "add_key", "request_key"]],
  [EPERM, ["keyctl"]],
  [ENOSYS, ["keyctl"]],
  [ENOSYS, ["openat2"]],
  [EPERM, ["openat2"]],
  [ENOSYS, ["close_range"]],
  [EPERM, ["close_range"]],
  [ENOSYS, ["pidfd_open"]],
  [EPERM, ["mount_setattr"]],
  [EPERM, ["personality"]],
  [ENOSYS, ["clone3", "openat2", "close_range", "pidfd_open", "mount_setattr", "keyctl"]],
];

describe.each(users)("as %s", (user) => {
  test.each(answers.filter((_, row) => isTried(row, user, users)))(
    "the command runs where %d is the answer to %s",
    (errno, calls) => {
      const through = [...without(errno, ...calls), ...drop(user)];
      const all = [{ profile: "minimal" }, {}, boxed].map((sandbox) => config(sandbox));
      const sandboxes = all.map(({ sandboxes: one }, i) => ({
        ...one,
        uid: `s${i}`,
        prefix: `s${i}`,
      }));
      expect(checked(through, { ...config({}), sandboxes }).problems).toEqual([]);
      for (const one of all) expect(spawnbox(through, "run", one).out).toContain('"stdout":["ok"]');
    },
  );

  test.each([
    [["sethostname"], { namespace: { shares: { uts: "disable" }, opts: { hostname: "box" } } }],
    [["fsopen"], boxed],
  ] as [string[], object][])(
    "what is lost without %s is told by check, start and launch alike",
    async (calls, sandbox) => {
      const through = [...without(EPERM, ...calls), ...drop(user)];
      const words = refusal(through, config(sandbox));
      expect(words).toContain("EPERM: ");
      const { problems } = checked(through, config(sandbox));
      expect(problems).toMatchObject([{ path: "sandboxes[0]", message: words }]);
      const first = without(EPERM, ...calls);
      await expect(serve(config(sandbox), { user, first })).rejects.toThrow(words);

      const optional = config({ ...sandbox, optional: true });
      const found = checked(through, optional);
      expect(found.problems).toEqual([]);
      expect(found.notices).toContainEqual(
        expect.objectContaining({ message: `not available: ${words}` }),
      );
      await using served = await serve(optional, { user, first });
      expect((await served.call("c/x")).request).toMatchObject({
        status: "not-available",
        info: words,
      });
      expect((await served.call("c/ping")).request.status).toBe("success");
    },
  );

  test("beside a problem check tells what else will be otherwise", () => {
    const through = [...without(EPERM, "fsopen"), "prlimit", "--nofile=512:512", ...drop(user)];
    const { problems, notices } = checked(through, config({ profile: "minimal" }));
    expect(problems).toHaveLength(1);
    expect(notices).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/lower limit holds/) }),
    );
  });

  test("a lower hard limit than the profile's holds, and is a notice; one of the config's own is refused in the words of check", () => {
    const through = ["prlimit", "--nofile=512:512", ...drop(user)];
    const limits = ["/bin/sh", "-c", "ulimit -Hn; ulimit -Sn"];
    const minimal = config({ profile: "minimal" }, limits);
    expect(spawnbox(through, "run", minimal).out).toContain('"stdout":["512","512"]');
    expect(checked(through, minimal)).toMatchObject({
      problems: [],
      notices: expect.arrayContaining([
        expect.objectContaining({
          message: expect.stringMatching(/lower limit holds.*nofile is 1024.* limit is 512/),
        }),
      ]),
    });
    const own = config({ limits: { nofile: "4096" } }, limits);
    if (user === "root" && canRaise) {
      expect(spawnbox(through, "run", own).out).toContain('"stdout":["4096","4096"]');
      through.push("setpriv", "--bounding-set=-sys_resource", "--inh-caps=-sys_resource");
    }
    const words = refusal(through, own);
    expect(words).toMatch(/limits\.nofile is 4096.* limit is 512/);
    expect(checked(through, own).problems).toMatchObject([{ message: words }]);
  });

  test("of the processes of its user a server keeps some: a limit that reaches into these becomes the lower one, and is a notice", () => {
    const through = ["prlimit", "--nproc=4000:4000", ...drop(user)];
    const limits = ["/bin/sh", "-c", "grep processes /proc/self/limits"];
    const given = (nproc: string | undefined) =>
      /processes +(\d+) +(\d+)/.exec(
        spawnbox(through, "run", config(nproc === undefined ? {} : { limits: { nproc } }, limits))
          .out,
      );
    if (user === "root") {
      expect(given(undefined)).toMatchObject({ 1: "4000", 2: "4000" });
      expect(given("4000")).toMatchObject({ 1: "4000", 2: "4000" });
      return;
    }
    expect(given(undefined)).toMatchObject({ 1: "3968", 2: "3968" });
    expect(given("3968")).toMatchObject({ 1: "3968", 2: "3968" });
    const notices = (nproc: string) =>
      checked(through, config({ limits: { nproc } }, limits))
        .notices.map(({ message }) => message)
        .filter((message) => message.includes("nproc"));
    expect(notices("3968")).toEqual([]);
    for (const nproc of ["3969", "4000"]) {
      expect(given(nproc)).toMatchObject({ 1: "3968", 2: "3968" });
      expect(notices(nproc)).toEqual([
        expect.stringMatching(
          new RegExp(`lower limit holds: limits.nproc is ${nproc}, .* 32: .*=${+nproc + 32}[ ,]`),
        ),
      ]);
    }
    const more = config({ limits: { nproc: "4001" } }, limits);
    const words = refusal(through, more);
    expect(words).toMatch(
      /limits\.nproc is 4001.* limit is 4000, of which it keeps 32: .*=4033[ ,]/,
    );
    expect(checked(through, more).problems).toMatchObject([{ message: words }]);
    // As for any other limit, that of a profile becomes the lower one.
    const few = ["prlimit", "--nproc=500:500", ...drop(user)];
    const profile = config({ profile: "minimal" }, limits);
    expect(checked(few, profile).notices).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/of which it keeps 32/) }),
    );
    expect(spawnbox(few, "run", profile).out).toMatch(/processes +468 +468/);
  });

  test("signals reach the command without pidfds", async () => {
    const program = ["/bin/sh", "-c", "trap 'exit 7' USR1; echo up; while :; do sleep 0.05; done"];
    for (const sandbox of [{}, boxed]) {
      await using served = await serve(config(sandbox, program), {
        user,
        first: without(ENOSYS, "pidfd_open"),
      });
      const ended = served.run("c/x").finally(() => (done = true));
      let done = false;
      while (!done) {
        await served.call("c/x", { action: "stop", args: { signal: "USR1" } });
        await Bun.sleep(20);
      }
      // It may come before the trap.
      const { exit, signal } = (await ended).status;
      expect(exit === 7 || signal === "User defined signal 1").toBe(true);
    }
  });

  test("a command whose program is missing may be optional", async () => {
    const missing = { uid: "y", optional: true, exec: { cmdpath: "/no/such/program" } };
    const both = config({});
    const content = {
      ...both,
      sandboxes: { ...both.sandboxes, commands: [...both.sandboxes.commands, missing] },
    };
    const { problems, notices } = checked(drop(user), content);
    expect(problems).toEqual([]);
    expect(notices).toContainEqual(
      expect.objectContaining({ message: expect.stringMatching(/^not available: .*no\/such/) }),
    );
    await using served = await serve(content, { user });
    expect((await served.run("c/x")).stdout).toEqual(["ok"]);
    expect((await served.call("c/y")).request.status).toBe("not-available");
    const info = JSON.stringify((await served.call("c/info")).response);
    expect(info).toContain('"unavailable":"');
  });
});

const ROOT = describe.if(isRoot);
const readOnly = [
  ...["unshare", "--mount", "sh", "-c"],
  'mount --bind /proc/sys /proc/sys && mount -o remount,ro,bind /proc/sys && exec "$0" "$@"',
];

ROOT("what only root can arrange", () => {
  describe.each(users)("for a server of %s", (user) => {
    test("a read-only sysctl is left to a filter that denies the same; without one it is refused", () => {
      const namespace = { shares: { users: "disable" } };
      const nest = ["/bin/sh", "-c", "unshare --user true && echo nested || echo denied"];
      const filtered = config(
        { namespace, seccomp: { default: "SCMP_ACT_ALLOW", rules: NO_NESTING } },
        nest,
      );
      const through = [...readOnly, ...drop(user)];
      expect(spawnbox(through, "run", filtered).out).toContain('"stdout":["denied"]');
      expect(checked(through, filtered).problems).toEqual([]);
      const words = refusal(through, config({ namespace }, nest));
      expect(words).toContain("ProtectKernelTunables=no");
      expect(checked(through, config({ namespace }, nest)).problems).toMatchObject([
        { message: words },
      ]);
      // Where it can be written, that is what denies it.
      expect(spawnbox(drop(user), "run", config({ namespace }, nest)).out).toContain('"denied"');
    });
  });

  test("where only keyctl is denied, the other calls of keyrings are denied to the command as well", () => {
    const add = `import ctypes
ctypes.CDLL(None, use_errno=True).syscall(${resolveSyscall("add_key", process.arch === "arm64" ? "arm64" : "x64")}, b"user", b"x", b"y", 1, -2)
print(ctypes.get_errno())`;
    const program = ["/usr/bin/python3", "-c", add];
    const keys = (through: readonly string[]) =>
      /"stdout":\["(\d+)"\]/.exec(spawnbox(through, "run", config({}, program)).out)?.[1];
    expect(keys([])).not.toBe(`${EPERM}`);
    expect(keys(without(EPERM, "keyctl"))).toBe(`${EPERM}`);
  });

  const group = "/sys/fs/cgroup/unified";
  const hierarchy = existsSync(join(group, "cgroup.procs")) ? group : "/sys/fs/cgroup";
  test.if(existsSync(join(hierarchy, "cgroup.procs")))(
    "without clone3, all that the command starts is in its group; check leaves no group",
    () => {
      const cat = ["/bin/sh", "-c", "cat /proc/self/cgroup; (cat /proc/self/cgroup)"];
      for (const sandbox of [{}, { namespace: { shares: { users: "disable" } } }]) {
        const { out } = spawnbox(without(ENOSYS, "clone3"), "run", config(sandbox, cat));
        expect(out.match(/0::[^"]*spawnbox\/\d+-[0-9a-f]+\/0-c-s\/\d+"/g)).toHaveLength(2);
      }
      const { pid, out } = spawnbox([], "check", config({}, cat));
      expect((JSON.parse(out) as Checked).problems).toEqual([]);
      // Groups of other servers come and go.
      const left = Bun.spawnSync(["find", hierarchy, "-type", "d", "-name", `${pid}-*`]);
      expect(left.stdout.toString()).toBe("");
    },
  );

  test("a controller that is not there is a problem for check too, and with optional a notice of run", () => {
    const limited = (optional: boolean) =>
      config({ profile: "minimal", cgroups: { mem: { max: "64M" }, optional } });
    const { problems } = checked([], limited(false));
    const { err, out } = spawnbox([], "run", limited(false));
    if (problems.length === 0) expect(out).toContain('"ok"');
    else expect(err).toContain(problems[0]?.message ?? "");
    const { notices } = checked([], limited(true));
    const ran = spawnbox([], "run", limited(true));
    expect(ran.out).toContain('"ok"');
    for (const { message } of notices.filter(({ message: one }) => one.startsWith("not limited")))
      expect(ran.err).toContain(message);
  });

  test("walked step by step, a link of somebody else is not followed either", async () => {
    const place = join(room.path, "theirs");
    mkdirSync(join(place, "data"), { recursive: true });
    Bun.spawnSync(["chown", "-R", `${ORDINARY}:${ORDINARY}`, place]);
    const source = join(place, "data");
    const sandbox = {
      namespace: { shares: { pid: "disable" }, mounts: [...mounts, { target: "/data", source }] },
    };
    await using served = await serve(config(sandbox), { first: without(ENOSYS, "openat2") });
    expect((await served.run("c/x")).stdout).toEqual(["ok"]);
    renameSync(source, join(place, "old"));
    symlinkSync("/root", source);
    Bun.spawnSync(["chown", "-h", `${ORDINARY}:${ORDINARY}`, source]);
    const { request } = await served.call("c/x");
    expect(request.status).not.toBe("success");
    expect(request.info).toContain("ELOOP");
  });
});

/** What is told of a launch that a place does not allow: the cause here, the option or setting, and never code or a stack. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { CgroupUnavailable, findPlace } from "../../src/launch/cgroup/place.ts";
import { asOrdinary, ORDINARY } from "../accounts.ts";
import { Room } from "../places/room.ts";
import { EAFNOSUPPORT, ENOSYS, EPERM } from "../places/rules.ts";
import { isRoot, serve, until } from "../served.ts";

let room: Room;
beforeAll(() => {
  room = new Room("refusals");
});
afterAll(() => room[Symbol.dispose]());

const mounts = ["/usr", "/bin", "/lib", "/lib64"]
  .filter((path) => existsSync(path))
  .map((target) => ({ target }));
const boxed = {
  namespace: {
    shares: { all: "disable" },
    opts: { hostname: "box" },
    mounts,
  },
};

/** What `run` prints for a verb of a sandbox, through another program. */
function run(sandbox: object, ...through: string[]): string {
  const commands = [{ uid: "x", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["ok"] } }];
  const config = {
    metadata: { uid: "c", api: "c" },
    sandboxes: { uid: "s", acls: { user: "nobody" }, ...sandbox, commands },
  };
  const words = (file: string) => ["c/x", "--config", file, "--raw"];
  const { out, err } = room.spawnbox(through, config, "run", words);
  const said = `${out}${err}`.trim();
  // No code of ours, no stack, one line.
  expect(said.split("\n").length).toBeLessThan(4);
  expect(said).not.toMatch(/\$bunfs|^\s+at |see execve/m);
  return said;
}

describe.if(isRoot)("told in the terms of who runs the server", () => {
  test.each([
    ["memfd_create", EPERM, {}, /memfd_create.*seccomp filter.*SystemCallFilter=memfd_create/],
    ["memfd_create", ENOSYS, {}, /memfd_create.*seccomp filter/],
    ["sethostname", EPERM, boxed, /ProtectHostname=no/],
    ["socket", EAFNOSUPPORT, boxed, /RestrictAddressFamilies=AF_INET/],
    // Who cannot reap its children would wait for the end of its tree for ever.
    ["wait4", ENOSYS, {}, /clone wait4: ENOSYS: a seccomp filter/],
    ["wait4", EPERM, {}, /clone wait4: EPERM: a seccomp filter/],
  ] as [string, number, object, RegExp][])("%s answers %d", (call, errno, sandbox, words) => {
    const said = run(sandbox, ...room.without(errno, call));
    if (!said.includes('"ok"')) expect(said).toMatch(words);
  });

  test("no code may be made at run time", () => {
    // PR_SET_MDWE, since Linux 6.3: MemoryDenyWriteExecute= of a unit.
    const mdwe =
      "import ctypes,os,sys;z=ctypes.c_ulong(0);" +
      "ctypes.CDLL(None).prctl(65,ctypes.c_ulong(1),z,z,z)==0 or os._exit(9);os.execvp(sys.argv[1],sys.argv[1:])";
    const said = run({}, "python3", "-c", mdwe);
    if (said !== "") expect(said).toMatch(/^spawnbox run: .*MemoryDenyWriteExecute=no in the unit/);
  });

  const sysctl = "/proc/sys/vm/memfd_noexec";
  test.if(existsSync(sysctl))("vm.memfd_noexec is 2, in a pid namespace of its own", () => {
    const before = readFileSync(sysctl, "utf8");
    const said = run(
      {},
      ...["unshare", "--pid", "--fork", "--mount-proc", "sh", "-c"],
      ...[`echo 2 >${sysctl} && "$@"`, "sh"],
    );
    expect(said).toMatch(
      /^spawnbox run: .*vm\.memfd_noexec=2 forbids .*: sysctl vm\.memfd_noexec=1/,
    );
    expect(readFileSync(sysctl, "utf8")).toBe(before);
  });

  test("a limit above the server's own is told with both values", () => {
    const command = ["prlimit", "--nofile=512:512"];
    const said = run(
      { limits: { nofile: "4096" } },
      "setpriv",
      "--bounding-set=-sys_resource",
      "--inh-caps=-sys_resource",
      ...command,
    );
    if (!said.includes('"ok"'))
      expect(said).toMatch(
        /limits\.nofile is 4096.* hard limit is 512: .*nofile=4096|LimitNOFILE=4096/,
      );
  });
});

test.if(isRoot)(
  "what the server's user may not look at is told as that, whatever it is for",
  () => {
    const closed = join(room.path, "closed");
    mkdirSync(closed, { mode: 0o700 });
    const path = join(closed, "x");
    const commands = [{ uid: "x", exec: { cmdpath: "/bin/true" } }];
    for (const sandbox of [
      { commands: [{ uid: "x", exec: { cmdpath: path } }] },
      { commands, profile: "minimal", namespace: { mounts: { target: "/x", source: path } } },
      { commands, landlock: { exec: "/", ro: path } },
    ]) {
      const config = { metadata: { uid: "c", api: "c" }, sandboxes: { uid: "s", ...sandbox } };
      const { out, err } = room.spawnbox(asOrdinary, config, "check", (file) => [file]);
      expect(`${out}${err}`).toContain(
        `: ${path} lies where the server's user (uid ${ORDINARY}) may not look: put it elsewhere, or chmod o+x what is above it`,
      );
    }
  },
);

test.if(isRoot)("without the null device nothing is launched, and no file takes its place", () => {
  const dev = 'mount -t tmpfs none /dev && "$@"; ls -A /dev >&2';
  const config = {
    metadata: { uid: "c", api: "c" },
    sandboxes: {
      ...{ uid: "s", acls: { user: "daemon" } },
      commands: [{ uid: "x", exec: { cmdpath: "/bin/true" } }],
    },
  };
  const through = ["unshare", "--mount", "sh", "-c", dev, "sh"];
  const { out, err } = room.spawnbox(through, config, "check", (file) => [file]);
  const said = `${out}${err}`;
  expect(said).toContain("spawn /dev/null: ENOENT: that has to be the null device, for everybody");
  expect(said.trim().split("\n")).toHaveLength(1);
});

test.if(isRoot)("a null device that may not be opened is told as that", () => {
  const dev =
    'mount -t tmpfs -o nodev none "$0" && cp -a /dev/null /dev/urandom "$0" && mount --move "$0" /dev && exec "$@"';
  const path = join(room.path, "nodev");
  mkdirSync(path);
  const config = {
    metadata: { uid: "c", api: "c" },
    sandboxes: {
      ...{ uid: "s", acls: { user: "daemon" } },
      commands: [{ uid: "x", exec: { cmdpath: "/bin/true" } }],
    },
  };
  const through = ["unshare", "--mount", "sh", "-c", dev, path];
  const { out, err } = room.spawnbox(through, config, "check", (file) => [file]);
  expect(`${out}${err}`).toContain("spawn /dev/null: EACCES: that has to be the null device");
});

test.if(isRoot)("a file in the place of a device is shown to no sandbox", () => {
  const dev =
    'mount -t tmpfs none "$0" && cp -a /dev/null /dev/zero /dev/full /dev/random /dev/urandom "$0" && : >"$0/tty" && mount --move "$0" /dev && exec "$@"';
  const path = join(room.path, "dev");
  mkdirSync(path);
  const config = {
    metadata: { uid: "c", api: "c" },
    sandboxes: {
      ...{ uid: "s", profile: "minimal", acls: { user: "daemon" } },
      commands: [{ uid: "x", exec: { cmdpath: "/bin/true" } }],
    },
  };
  const through = ["unshare", "--mount", "sh", "-c", dev, path];
  const { out, err } = room.spawnbox(through, config, "run", (file) => [
    ...["c/x", "--config", file],
  ]);
  expect(`${out}${err}`).toContain(
    "/dev/tty: ENODEV: /dev/tty has to be a device, and is none: rm",
  );
});

test.if(isRoot)("what a mount of this machine lets nobody do is told of who asks for it", () => {
  const path = join(room.path, "medium");
  mkdirSync(path);
  const mounting = 'mount -t tmpfs -o ro,nodev none "$0" && exec "$@"';
  const config = {
    metadata: { uid: "c", api: "c" },
    sandboxes: {
      ...{ uid: "s", profile: "minimal", acls: { user: "daemon" } },
      namespace: { mounts: { target: "/x", source: path, mode: "rw", dev: true } },
      commands: [{ uid: "x", exec: { cmdpath: "/bin/true" } }],
    },
  };
  const through = ["unshare", "--mount", "sh", "-c", mounting, path];
  const { out, err } = room.spawnbox(through, config, "check", (file) => [file]);
  for (const so of ["read-only mount of this machine: nothing", "nodev mount of this machine: no"])
    expect(`${out}${err}`).toContain(`source ${path} lies on a ${so}`);
});

describe.if(isRoot)("where the server's user namespace does not map root", () => {
  const unknown = "whom the server's user namespace does not map (shown as uid 65534)";
  const checked = (sandbox: object, ...through: string[]) => {
    const commands = [{ uid: "x", exec: { cmdpath: "/bin/true" } }];
    const config = {
      metadata: { uid: "c", api: "c" },
      sandboxes: { uid: "s", commands, ...sandbox },
    };
    const { out, err } = room.spawnbox([...asOrdinary, ...through], config, "check", (file) => [
      file,
    ]);
    return `${out}${err}`;
  };

  test("nothing of it is obeyed by who is root there, and why is told", () => {
    const said = checked({ acls: { user: "root" } }, "unshare", "--map-root-user");
    expect(said).toContain("belongs to uid 65534");
    expect(said).toContain(
      `who could change what this server does: that is one ${unknown}: have root mapped`,
    );
  });

  // Without a map its own user has the number that all others have.
  test.each([["--map-current-user"], []])(
    "its links are not followed, and why is told: %p",
    (...map) => {
      const link = join(room.path, `link${map.length}`);
      symlinkSync("/usr", link);
      const mounts = [{ target: "/x", source: link }];
      const said = checked(
        { profile: "minimal", namespace: { mounts } },
        "unshare",
        "--user",
        ...map,
      );
      expect(said).toContain(
        `source ${link} goes through the link ${link} of one ${unknown}, who could thereby show any path of the host: have root mapped`,
      );
    },
  );
});

const hierarchy = (() => {
  try {
    return isRoot ? findPlace(undefined) : undefined;
  } catch (error) {
    if (error instanceof CgroupUnavailable) return undefined;
    throw error;
  }
})();

test("a sandbox that may be missing does not run without the limits that cannot be had", () => {
  const said = run({ optional: true, cgroups: { mount: "/none", pids: 9 } });
  // An ordinary user's server limits where it can.
  if (!isRoot) return;
  expect(said).toContain('"status":"not-available"');
  expect(said).toContain("/none is not a mounted cgroup v2 hierarchy");
  expect(said).not.toContain('"ok"');
});

describe.if(hierarchy !== undefined)("where the server's control group is a threaded one", () => {
  const above = join(hierarchy?.base ?? "", `threads-${process.pid}`);
  const below = join(above, "threads");
  beforeAll(() => {
    mkdirSync(below, { recursive: true });
    writeFileSync(join(below, "cgroup.type"), "threaded");
  });
  afterAll(async () => {
    // The kernel takes the last of the dead out of it a moment after who waits for them.
    const isRemoved = (group: string): boolean => {
      try {
        rmdirSync(group);
        return true;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EBUSY") throw error;
        return false;
      }
    };
    for (const group of [below, above]) await until("it is empty", () => isRemoved(group));
  });
  // Into the second only from the first.
  const enter = `for group in ${above} ${below}; do echo 0 >$group/cgroup.procs || exit 9; done; exec "$@"`;
  const through = ["sh", "-c", enter, "sh"];

  test("tasks run without groups, and limits that may be missing are a notice", () => {
    for (const sandbox of [{}, { cgroups: { optional: true, pids: 9 } }, { profile: "minimal" }])
      expect(run(sandbox, ...through)).toContain('"stdout":["ok"]');
  });

  test("other limits are a problem, and doctor tells it", () => {
    const group = `${below.slice(below.lastIndexOf("/threads-"))} is a threaded group, and those below`;
    expect(run({ cgroups: { pids: 9 } }, ...through)).toContain(group);
    const { out } = room.spawnbox(through, {}, "doctor", () => []);
    expect(out).toMatch(/^missing +cgroup-v2 +\S+\/threads-\d+\/threads: a threaded group$/m);
  });
});

describe.if(isRoot)("a program that its user may not execute is refused by check, too", () => {
  test.each([
    ["root's server", [], { user: "nobody" }, undefined, 0o750],
    ["an ordinary user's server", asOrdinary, {}, undefined, 0o700],
    ["a command of root without capabilities", [], { user: "root" }, ["KILL"], 0o700],
  ] as const)("%s", (_, through, acls, caps, mode) => {
    const program = join(room.path, "guarded");
    copyFileSync("/bin/true", program);
    chownSync(program, caps ? ORDINARY : 0, caps ? ORDINARY : 0);
    chmodSync(program, mode);
    const commands = [{ uid: "x", exec: { cmdpath: program } }];
    const config = {
      metadata: { uid: "c", api: "c" },
      sandboxes: { uid: "s", acls, caps, commands },
    };
    const { out, err } = room.spawnbox(through, config, "check", (file) => [file]);
    const uid = caps ? 0 : ORDINARY;
    expect(`${out}${err}`).toContain(
      `${program} may not be executed by the user of the sandbox (uid ${uid}): chmod o+x ${program}`,
    );
    chmodSync(program, 0o755);
    const after = room.spawnbox(through, config, "run", (file) => ["c/x", "--config", file]);
    expect(`${after.out}${after.err}`).toContain('"exit":0');
  });
});

test("a program that has become something else since the start is told in the words of check", async () => {
  const script = join(room.path, "script");
  writeFileSync(script, "#!/bin/sh\necho fine\n", { mode: 0o755 });
  await using served = await serve({
    metadata: { uid: "c", api: "c" },
    sandboxes: {
      uid: "s",
      acls: { user: "nobody" },
      commands: [{ uid: "x", encoder: "sync", exec: { cmdpath: script } }],
    },
  });
  expect((await served.run("c/x")).stdout).toEqual(["fine"]);
  for (const [content, words] of [
    ["echo no line\n", "is a script without a #! line"],
    ["\ufeff#!/bin/sh\n", "byte order mark"],
    ["#!/opt/none\n", "/opt/none does not exist on this machine, which"],
    ["#!/bin/sh\r\n", "(CR LF)"],
    ["", "is empty"],
  ] as const) {
    writeFileSync(script, content);
    const { request } = await served.call("c/x");
    expect(request.info).toContain(words);
  }
  rmSync(script);
  expect((await served.call("c/x")).request.info).toContain("does not exist on this machine");
});

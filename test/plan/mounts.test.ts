/** namespace.mounts: the steps that each mode becomes, and everything that is refused. */
import { describe, expect, test } from "bun:test";
import type { Machine } from "../../src/plan/machine.ts";
import { board, dir, file, FILES, filesOf, FREE, link, ordinary } from "./board.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const acls = { user: "pilot" };
const sh = { target: "/bin/sh" };
const stepsOf = (
  mounts: object,
  {
    machine = board,
    ...namespace
  }: { machine?: Partial<Machine>; shares?: object; opts?: object } = {},
) =>
  planOf(
    compiled({ acls, namespace: { ...namespace, mounts: [sh, mounts].flat() } }, machine),
  ).policy.mounts?.slice(1);
const refusals = (
  mount: object,
  { machine = board, ...namespace }: { machine?: Partial<Machine>; shares?: object } = {},
) => refused({ acls, namespace: { ...namespace, mounts: [sh, mount].flat() } }, machine);
const at = "sandboxes[0].namespace.mounts[1]";
const flags = (...set: string[]) =>
  Object.fromEntries(
    ["readonly", "nosuid", "nodev", "noexec"].map((flag) => [flag, set.includes(flag)]),
  );
const bind = (path: string, ...set: string[]) => ({
  ...{ kind: "bind", source: path, asked: path, links: [], target: path },
  flags: flags(...set),
});

test("what the mount of the host lets nobody do is told of who asks for it", () => {
  const told = (mount: object, ...host: string[]) => {
    const mountFlags = (path: string) => ({ ...FREE, ...(path !== "/bin/sh" && flags(...host)) });
    const files = { ...filesOf(FILES), mountFlags };
    const mounts = [sh, { target: "/srv/data", ...mount }];
    const root = { acls: { user: "root" }, namespace: { mounts } };
    return compiled(root, { ...board, files }).notices;
  };
  const message = (what: string, so: string) => [
    { path: at, message: `source /srv/data lies on a ${what} mount of this machine: ${so}` },
  ];
  const all = ["readonly", "nosuid", "nodev", "noexec"];
  expect(told({ mode: "rw" }, "readonly")).toEqual(
    message("read-only", "nothing can be written there"),
  );
  expect(told({ dev: true }, "nodev")).toEqual(message("nodev", "no device can be opened there"));
  expect(told({ suid: true }, "nosuid")).toEqual(message("nosuid", '"suid" has no effect'));
  expect(told({ exec: true }, "noexec")).toEqual(
    message("noexec", "nothing can be executed there"),
  );
  expect(told({ mode: "rw", dev: true, suid: true, exec: true }, ...all)).toHaveLength(4);
  expect(told({ mode: "rw", dev: true, suid: true, exec: true })).toEqual([]);
  expect(told({ mode: "rw" }, "nosuid", "nodev", "noexec")).toEqual([]);
  expect(told({}, ...all)).toEqual([]);
  expect(told({ mode: "rw", optional: true, source: "/not/there" }, ...all)).toEqual([]);
});

describe("each mode", () => {
  test.each([
    ["ro by default", { target: "/srv/data" }, bind("/srv/data", "readonly", "nosuid", "nodev")],
    ["ro", { target: "/srv/data", mode: "ro" }, bind("/srv/data", "readonly", "nosuid", "nodev")],
    ["rw", { target: "/srv/data", mode: "rw" }, bind("/srv/data", "nosuid", "nodev")],
    ["suid", { target: "/srv/data", suid: true }, bind("/srv/data", "readonly", "nodev")],
    ["dev", { target: "/srv/data", dev: true }, bind("/srv/data", "readonly", "nosuid")],
    [
      "no exec",
      { target: "/srv/data", exec: false },
      bind("/srv/data", "readonly", "nosuid", "nodev", "noexec"),
    ],
    [
      "exec",
      { target: "/srv/data", exec: true, suid: false },
      bind("/srv/data", "readonly", "nosuid", "nodev"),
    ],
    [
      "from elsewhere",
      { target: "/x//y/./", source: "/srv/data" },
      { ...bind("/srv/data", "readonly", "nosuid", "nodev"), target: "/x/y" },
    ],
    [
      "devices as devices",
      { target: "/x", source: "/dev" },
      { ...bind("/dev", "readonly", "nosuid"), target: "/x" },
    ],
    [
      "and one of them",
      { target: "/x", source: "/dev/fuse", optional: true },
      { ...bind("/dev/fuse", "readonly", "nosuid"), target: "/x", optional: true },
    ],
    [
      "but for who says so",
      { target: "/x", source: "/dev", dev: false },
      { ...bind("/dev", "readonly", "nosuid", "nodev"), target: "/x" },
    ],
    [
      "optional",
      { target: "/srv/none", optional: true },
      { ...bind("/srv/none", "readonly", "nosuid", "nodev"), optional: true },
    ],
    [
      "not optional",
      { target: "/srv/data", optional: false },
      bind("/srv/data", "readonly", "nosuid", "nodev"),
    ],
    [
      "symlink",
      { target: "/l", source: "../$LANG", mode: "symlink" },
      { kind: "symlink", target: "/l", text: "../C" },
    ],
    [
      "tmpfs",
      { target: "/t", mode: "tmpfs" },
      { kind: "tmpfs", target: "/t", mode: 0o1777, flags: flags("nosuid", "nodev") },
    ],
    [
      "tmpfs with size and perm",
      {
        target: "/t",
        mode: "tmpfs",
        size: "64K",
        perm: "2750",
        exec: false,
        dev: true,
        suid: true,
      },
      { kind: "tmpfs", target: "/t", size: "65536", mode: 0o2750, flags: flags("noexec") },
    ],
    [
      "tmpfs of a size that is no octal",
      { target: "/t", mode: "tmpfs", size: "0010" },
      { kind: "tmpfs", target: "/t", size: "10", mode: 0o1777, flags: flags("nosuid", "nodev") },
    ],
    [
      "the largest tmpfs",
      { target: "/t", mode: "tmpfs", size: `${2n ** 62n}` },
      {
        kind: "tmpfs",
        target: "/t",
        size: "4611686018427387904",
        mode: 0o1777,
        flags: flags("nosuid", "nodev"),
      },
    ],
    [
      "dir, which is the command's",
      { target: "/d", mode: "dir" },
      {
        kind: "tmpfs",
        target: "/d",
        mode: 0o755,
        owner: { uid: 1001, gid: 2001 },
        flags: flags("nosuid", "nodev"),
      },
    ],
    [
      "dir with perm",
      { target: "/d", mode: "dir", perm: "1700" },
      {
        kind: "tmpfs",
        target: "/d",
        mode: 0o1700,
        owner: { uid: 1001, gid: 2001 },
        flags: flags("nosuid", "nodev"),
      },
    ],
    [
      "dir with size",
      { target: "/d", mode: "dir", size: "1M" },
      {
        kind: "tmpfs",
        target: "/d",
        size: "1048576",
        mode: 0o755,
        owner: { uid: 1001, gid: 2001 },
        flags: flags("nosuid", "nodev"),
      },
    ],
    [
      "mqueue",
      { target: "/dev/mqueue", mode: "mqueue" },
      { kind: "mqueue", target: "/dev/mqueue" },
    ],
    [
      "sys of the host's network",
      { target: "/sys", mode: "sys" },
      {
        kind: "bind",
        source: "/sys",
        target: "/sys",
        flags: flags("readonly", "nosuid", "nodev", "noexec"),
      },
    ],
    [
      "hosts, with the host's name",
      { target: "/etc/hosts", mode: "hosts" },
      { kind: "file", target: "/etc/hosts", mode: 0o444, named: true, content: expect.anything() },
    ],
    [
      "hosts with perm",
      { target: "/etc/hosts", mode: "hosts", perm: "640" },
      { kind: "file", target: "/etc/hosts", mode: 0o640, named: true, content: expect.anything() },
    ],
  ])("%s", (_, mount, step) => {
    expect(stepsOf(mount)).toEqual([step] as never);
  });

  test("a directory below something of the host is made there", () => {
    const below = (mount: object) => stepsOf([{ target: "/srv/data", mode: "rw" }, mount])?.[1];
    expect(below({ target: "/srv/data/d", mode: "dir" })).toEqual({
      kind: "dir",
      target: "/srv/data/d",
      mode: 0o755,
    });
    expect(below({ target: "/srv/data/d", mode: "dir", perm: "1777" })).toMatchObject({
      mode: 0o1777,
    });
    expect(below({ target: "/srv/database", mode: "dir" })).toMatchObject({ kind: "tmpfs" });
    // A link or a tmpfs is none of the host.
    expect(
      stepsOf([
        { target: "/t", mode: "tmpfs" },
        { target: "/t/d", mode: "dir" },
      ])?.[1],
    ).toMatchObject({ kind: "tmpfs" });
    for (const perm of ["4755", "2755"])
      expect(
        refusals([
          { target: "/srv/data", mode: "rw" },
          { target: "/srv/data/d", mode: "dir", perm },
        ]),
      ).toEqual([
        `sandboxes[0].namespace.mounts[2]: perm ${perm}: a directory that is made below a mount of the host gets no set-user-id or set-group-id bit`,
      ]);
  });

  test("a directory of an ordinary server's command needs no owner", () => {
    const [step] = stepsOf({ target: "/d", mode: "dir" }, { machine: ordinary }) ?? [];
    expect(step).toEqual({
      kind: "tmpfs",
      target: "/d",
      mode: 0o755,
      flags: flags("nosuid", "nodev"),
    } as never);
  });

  test("sys of a network of its own", () => {
    expect(stepsOf({ target: "/sys", mode: "sys" }, { shares: { net: "disable" } })).toEqual([
      { kind: "sys", target: "/sys" },
    ]);
  });

  test("hosts has the names of the machine, and that which the config gives", () => {
    const HOSTS = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n127.0.1.1\t";
    const content = (namespace: object) => {
      const [step] = stepsOf({ target: "/etc/hosts", mode: "hosts" }, namespace) ?? [];
      return step?.kind === "file" ? [Buffer.from(step.content).toString(), step.named] : [];
    };
    expect(content({})).toEqual([HOSTS, true]);
    expect(content({ shares: { uts: "disable" } })).toEqual([HOSTS, true]);
    expect(content({ opts: { hostname: "box" }, shares: { uts: "disable" } })).toEqual([
      `${HOSTS}box\n`,
      undefined,
    ]);
    // The name of the config is not set there.
    expect(content({ opts: { hostname: "box" } })).toEqual([HOSTS, true]);
  });

  test("dev is six devices, links, terminals and shared memory of its own, and read-only at the end", () => {
    const device = (name: string) => ({
      kind: "bind",
      source: `/dev/${name}`,
      target: `/x/dev/${name}`,
      device: true,
      flags: flags("nosuid", "noexec"),
    });
    const to = (name: string, text: string) => ({
      kind: "symlink",
      target: `/x/dev/${name}`,
      text,
    });
    expect(stepsOf({ target: "/x/dev", mode: "dev" })).toEqual([
      {
        kind: "tmpfs",
        target: "/x/dev",
        size: "64k",
        mode: 0o755,
        flags: flags("nosuid", "noexec"),
      },
      ...["null", "zero", "full", "random", "urandom", "tty"].map(device),
      to("fd", "/proc/self/fd"),
      to("stdin", "/proc/self/fd/0"),
      to("stdout", "/proc/self/fd/1"),
      to("stderr", "/proc/self/fd/2"),
      { kind: "devpts", target: "/x/dev/pts" },
      to("ptmx", "pts/ptmx"),
      {
        kind: "tmpfs",
        target: "/x/dev/shm",
        size: "64m",
        mode: 0o1777,
        flags: flags("nosuid", "nodev", "noexec"),
      },
      { kind: "seal", target: "/x/dev" },
    ] as never);
  });

  test("what lies in a dev of its own is there before that is made read-only, and it is not, where something else hides it", () => {
    const dev = { target: "/dev", mode: "dev" };
    const kinds = (...mounts: object[]) =>
      stepsOf([dev, ...mounts])?.map(({ kind, target }) => `${kind} ${target}`) ?? [];
    expect(kinds({ target: "/dev/mqueue", mode: "mqueue" }).slice(-2)).toEqual([
      "mqueue /dev/mqueue",
      "seal /dev",
    ]);
    expect(kinds({ target: "/dev", mode: "rw" })).not.toContain("seal /dev");
    expect(kinds({ target: "/device", mode: "dir" }).at(-1)).toBe("seal /dev");
    // The first of two is hidden by the second.
    expect(kinds(dev).filter((one) => one === "seal /dev")).toHaveLength(1);
  });

  test.each([
    [{ mode: "tmpfs", source: "/srv" }, 'source has no effect with the mode "tmpfs"'],
    [{ mode: "lock", source: "/srv" }, 'source has no effect with the mode "lock"'],
    [{ source: "/srv", size: "1M" }, 'size has no effect with the mode "ro"'],
    [{ source: "/srv", size: "0" }, 'size has no effect with the mode "ro"'],
    [{ mode: "rw", source: "/srv", perm: "700" }, 'perm has no effect with the mode "rw"'],
    [{ mode: "execfd", source: "echo", size: "1M" }, 'size has no effect with the mode "execfd"'],
    [
      { target: "/srv/own", mode: "dir", size: "large" },
      "size has no effect: it is a directory of what is mounted above it",
    ],
    [{ mode: "dir", size: "1M", perm: "700" }, undefined],
    [{ mode: "hosts", perm: "400" }, undefined],
  ])("what does nothing is told: %j", (mount, message) => {
    const mounts = [sh, { target: "/srv" }, { target: "/t", ...mount }];
    const machine = { ...board, output: () => new Uint8Array() };
    const { notices } = compiled(
      { acls: { user: "root" }, namespace: { shares: { pid: "disable" }, mounts } },
      machine,
    );
    expect(notices).toMatchObject(
      message === undefined ? [] : [{ path: "sandboxes[0].namespace.mounts[2]", message }],
    );
  });

  test("queues of the host are mounted by root of the machine only", () => {
    const mount = { target: "/q", mode: "mqueue" };
    const why = `the message queues of the host cannot be mounted from a user namespace: set shares.ipc to "disable" for its own, or mount /q from the host's, with "source": "/dev/mqueue"`;
    const of = (shares: object, machine: Partial<Machine>) => () =>
      compiled({ acls, namespace: { shares, mounts: [sh, mount] } }, machine);
    for (const [shares, machine] of [
      [{ users: "disable" }, board],
      [{}, ordinary],
    ] as const) {
      expect(refused({ acls, namespace: { shares, mounts: [sh, mount] } }, machine)).toEqual([
        `sandboxes[0].namespace.mounts[1]: ${why}`,
      ]);
      expect(of({ ...shares, ipc: "disable" }, machine)).not.toThrow();
    }
    expect(of({}, board)).not.toThrow();
  });

  test("proc masks what tells, and makes read-only what changes the kernel, of what this kernel has", () => {
    const has = (...names: string[]) => ({
      ...board,
      exists: (path: string) => names.some((name) => path === `/proc/${name}`),
    });
    const everything = [
      "kcore",
      "kallsyms",
      "keys",
      "latency_stats",
      "timer_list",
      "sched_debug",
      "sysrq-trigger",
    ];
    const changing = ["bus", "fs", "irq", "sys", "acpi", "scsi", "asound"];
    const masked = (name: string) => ({
      kind: "bind",
      source: "/dev/null",
      target: `/p/${name}`,
      flags: flags("readonly", "nosuid", "noexec"),
    });
    const kept = (name: string) => ({
      kind: "rebind",
      target: `/p/${name}`,
      flags: flags("readonly", "nosuid", "nodev", "noexec"),
    });
    const proc = { target: "/p", mode: "proc" };
    const pid = { shares: { pid: "disable" } };
    expect(stepsOf(proc, { ...pid, machine: has(...everything, ...changing) })).toEqual([
      { kind: "proc", target: "/p" },
      ...everything.map(masked),
      ...changing.map(kept),
    ] as never);
    expect(stepsOf(proc, { ...pid, machine: has("keys", "sys") })).toEqual([
      { kind: "proc", target: "/p" },
      masked("keys"),
      kept("sys"),
    ] as never);
    expect(stepsOf(proc, { machine: has("keys") })).toEqual([
      { kind: "bind", source: "/proc", target: "/p", flags: flags("nosuid", "nodev", "noexec") },
      masked("keys"),
    ] as never);
  });

  test("lock is for a pid namespace", () => {
    const lock = [
      { target: "/srv/data", mode: "rw" },
      { target: "/srv/data/l", mode: "lock" },
    ];
    expect(stepsOf(lock, { shares: { pid: "disable" } })?.[1]).toEqual({
      kind: "lock",
      target: "/srv/data/l",
    });
    expect(refusals({ target: "/l", mode: "lock" })).toEqual([
      `${at}: a lock is held by the init of a pid namespace: set shares.pid to "disable"`,
    ]);
  });

  test("execfd is what a command prints at boot, and no more than 16M", () => {
    const asked: string[] = [];
    const says = (bytes: number) => ({
      ...board,
      output: (command: string) => (asked.push(command), new Uint8Array(bytes).fill(65)),
    });
    const mount = { target: "/f", source: "echo $LANG", mode: "execfd" };
    expect(stepsOf(mount, { machine: says(3) })).toEqual([
      { kind: "file", target: "/f", content: new Uint8Array([65, 65, 65]), mode: 0o444 },
    ]);
    expect(asked).toEqual(["echo C"]);
    expect(stepsOf({ ...mount, perm: "4555" }, { machine: says(0) })?.[0]).toMatchObject({
      mode: 0o4555,
    });
    expect(stepsOf(mount, { machine: says(16 * 1024 * 1024) })).toHaveLength(1);
    const [problem] = refusals(mount, { machine: says(16 * 1024 * 1024 + 1) });
    expect(problem).toStartWith(
      `${at}: the output has 16777217 bytes; each launch copies it, so at most 16777216 (16M)`,
    );
  });
});

describe("refused", () => {
  test.each([
    [{ target: "srv" }, `target "srv" must be an absolute path`],
    [{ target: "$LANG/x" }, `target "C/x" must be an absolute path`],
    [{ target: "/srv/../etc" }, `target "/srv/../etc" must not contain ".."`],
    [{ target: "/.." }, `target "/.." must not contain ".."`],
    [{ target: "/srv/.." }, `target "/srv/.." must not contain ".."`],
    [
      { target: "/", mode: "rw" },
      `target "/" can only be "ro": mount what is to be writable below it`,
    ],
    [
      { target: "/./", mode: "tmpfs" },
      `target "/" can only be "ro": mount what is to be writable below it`,
    ],
    [{ target: "/" }, `target "/" must be the first mount, since it would hide those before it`],
    [{ target: "/x", source: "srv" }, `source "srv" must be an absolute path`],
    [
      { target: "/srv/none" },
      "source /srv/none does not exist on this machine: create it, correct it, or set opts.autocreate",
    ],
    [{ target: "/x", mode: "symlink" }, "a symlink needs a source: the text of the link"],
    [
      { target: "/x", mode: "execfd" },
      "execfd needs a source: a shell command whose output is the file",
    ],
    [
      { target: "/x", mode: "tmpfs", size: "max" },
      `size "max": a number with K, M or G, such as 64M`,
    ],
    [{ target: "/x", mode: "tmpfs", size: "0" }, `size "0": a number with K, M or G, such as 64M`],
    [
      { target: "/x", mode: "tmpfs", size: `${2n ** 62n + 1n}` },
      `size "4611686018427387905": at most 4611686018427387904 bytes`,
    ],
    [
      { target: "/x", mode: "tmpfs", optional: true },
      `optional is for what the host may not have, and "tmpfs" needs nothing of it`,
    ],
    [
      { target: "/x", mode: "proc", optional: true },
      `optional is for what the host may not have, and "proc" needs nothing of it`,
    ],
    [
      { target: "/x", source: "y", mode: "symlink", optional: true },
      `optional is for what the host may not have, and "symlink" needs nothing of it`,
    ],
  ])("%j", (mount, message) => {
    expect(refusals(mount)).toEqual([`${at}: ${message}`]);
  });

  test("names that only look like a parent are names", () => {
    expect(stepsOf({ target: "/..x/y..", source: "/srv/data" })?.[0]).toMatchObject({
      target: "/..x/y..",
    });
  });
});

describe("a source through links", () => {
  const files = (owner: number, open = false) =>
    filesOf(
      { ...FILES, "/srv": { ...dir, open, rootsOnly: !open }, "/srv/l": { ...link, owner } },
      { "/srv/l": "data" },
    );
  const of = (owner: number, open?: boolean) => ({ ...board, files: files(owner, open) });
  const mount = { target: "/x", source: "/srv/l" };

  test("of root is followed at each launch", () => {
    expect(stepsOf(mount, { machine: of(0) })?.[0]).toMatchObject({
      source: "/srv/data",
      asked: "/srv/l",
      links: ["/srv/l"],
    });
  });
  test("that others can change is followed at the start only, and told", () => {
    const [step] = stepsOf(mount, { machine: of(0, true) }) ?? [];
    expect(step).toEqual({
      kind: "bind",
      source: "/srv/data",
      target: "/x",
      flags: flags("readonly", "nosuid", "nodev"),
    } as never);
    const api = compiled({ acls, namespace: { mounts: [sh, mount] } }, of(0, true));
    expect(api.notices).toContainEqual({
      path: at,
      message:
        "source /srv/l goes through the link /srv/l, which others than root can change: it is followed at the start only; a reload takes where it leads then",
    });
  });
  test("of a foreign user is refused", () => {
    expect(refusals(mount, { machine: of(7) })[0]).toStartWith(
      `${at}: source /srv/l goes through the link /srv/l of uid 7, who could thereby show any path`,
    );
  });
});

test("a NUL byte that a variable brings is refused", () => {
  const machine = { ...board, env: { A: "x\0y" } };
  expect(refusals({ target: "/$A", source: "/srv/data" }, { machine })).toEqual([
    `${at}: target contains a NUL byte`,
  ]);
});

test("what is missing is made, where the config says so, for the user of the commands", () => {
  const made: unknown[] = [];
  const machine = { ...board, mkdir: (...what: unknown[]) => void made.push(what) };
  const mounts = [
    { target: "/srv/new/deep" },
    { target: "/srv/later", optional: true },
    { target: "/srv/data" },
  ];
  stepsOf(mounts, { machine, opts: { autocreate: true } });
  expect(made).toEqual([["/srv/new/deep", expect.objectContaining({ uid: 1001, gid: 2001 })]]);
});

describe("below what is read-only", () => {
  const machine = {
    ...board,
    files: filesOf(
      {
        ...{ ...FILES, "/img": dir, "/img/a": dir, "/img/l": link },
        ...{ "/img/bin": dir, "/img/bin/sh": file },
      },
      { "/img/l": "a" },
    ),
  };
  const on = (mode: string, ...mounts: object[]) => ({
    acls,
    namespace: {
      mounts: [
        { target: "/data", source: "/img", mode },
        ...mounts,
        { target: "/bin", source: "/img/bin" },
      ],
    },
  });
  const tmpfs = (target: string) => ({ target, mode: "tmpfs" });
  const missing = "does not exist below /img, which is read-only at /data";
  test("nothing can be made, and that is told", () => {
    for (const [target, part] of [
      ["/data/none", "/data/none"],
      ["/data/none/x", "/data/none"],
      ["/data/a/x", "/data/a/x"],
    ] as const)
      expect(refused(on("ro", tmpfs(target)), machine)).toEqual([
        `${at}.target: ${target}: ${part} ${missing}: make it there, or mount a tmpfs above it first`,
      ]);
  });
  test("links of the sandbox itself are not followed", () => {
    const linked = { target: "/bin2", source: "data", mode: "symlink" };
    const { namespace } = on("rw", tmpfs("/bin2/x"));
    const [data = {}, ...others] = namespace.mounts;
    expect(refused({ acls, namespace: { mounts: [data, linked, ...others] } }, machine)).toEqual([
      "sandboxes[0].namespace.mounts[2].target: /bin2/x: /bin2 is a link here: name what it leads to",
    ]);
  });
  test("what is there, lies below a link or a tmpfs, or can be made is none of it", () => {
    compiled(on("ro", tmpfs("/data/a"), tmpfs("/data/a/x/y"), tmpfs("/data/l/x")), machine);
    compiled(on("ro", tmpfs("/data")), machine);
    compiled(on("rw", tmpfs("/data/none")), machine);
    compiled(on("ro", tmpfs("/database")), machine);
  });
  test("what may come before the launch, or may not be looked at, is for the launch to tell", () => {
    // Without its source there is no mount, and so nothing that is read-only.
    const none = { target: "/data/a", source: "/none", mode: "ro", optional: true };
    compiled(on("ro", none, tmpfs("/data/a/x")), machine);
    // Nor needs it a place.
    compiled(on("ro", { ...none, target: "/data/none" }), machine);
    expect(refused(on("ro", { ...none, target: "/data/none", source: "/img" }), machine)).toEqual([
      expect.stringContaining(`/data/none ${missing}`),
    ]);
    const made = { ...none, optional: false };
    const later = { ...machine, mkdir: () => {} };
    const { acls: who, namespace } = on("ro", made, tmpfs("/data/a/x"));
    compiled({ acls: who, namespace: { ...namespace, opts: { autocreate: true } } }, later);
    const failing = (code: string) => {
      const lookup = (path: string) => {
        if (path === "/img/a/x") throw Object.assign(new Error(path), { code });
        return machine.files.lookup(path);
      };
      return { ...machine, files: { ...machine.files, lookup } };
    };
    for (const code of ["EACCES", "ETIMEDOUT", "ENOTCONN"]) {
      compiled(on("ro", tmpfs("/data/a/x")), failing(code));
      compiled(
        { acls, namespace: { mounts: [{ target: "/", source: "/img" }, tmpfs("/a/x")] } },
        failing(code),
      );
    }
    expect(() => compiled(on("ro", tmpfs("/data/a/x")), failing("EIO"))).toThrow("/img/a/x");
  });
});

describe("on a root of the host", () => {
  const root = {
    "/img": dir,
    "/img/srv": dir,
    "/img/bin": dir,
    "/img/bin/sh": file,
    "/img/l": link,
  };
  const machine = { ...board, files: filesOf({ ...FILES, ...root }, { "/img/l": "srv" }) };
  const on = (...mounts: object[]) => ({
    acls,
    namespace: { mounts: [{ target: "/", source: "/img" }, ...mounts] },
  });
  const told = (...mounts: object[]) =>
    compiled(on(...mounts), machine).notices.map(({ path, message }) => `${path}: ${message}`);
  const tmpfs = (target: string) => ({ target, mode: "tmpfs" });

  test.each([
    [
      [tmpfs("/none")],
      "/none: /none does not exist below /img, which is the read-only root: make it there, or mount a tmpfs above it first",
    ],
    [
      [tmpfs("/srv/none/x")],
      "/srv/none/x: /srv/none does not exist below /img, which is the read-only root: make it there, or mount a tmpfs above it first",
    ],
    [[tmpfs("/l")], "/l: /l is a link in /img: name what it leads to"],
    [
      [{ target: "/srv/s", source: "x", mode: "symlink" }],
      "no link can be made at /srv/s: the root is read-only; mount a tmpfs above it first",
    ],
  ])("%j is refused", (mounts, message) => {
    expect(refused(on(...mounts), machine)).toEqual([`${at}.target: ${message}`]);
  });

  test("all can lie below a tmpfs, and on what is there", () => {
    compiled(
      on(tmpfs("/srv"), tmpfs("/srv/none/x"), { target: "/srv/s", source: "x", mode: "symlink" }),
      machine,
    );
    compiled(on(tmpfs("/srv"), { target: "/srv", source: "/srv/data" }), machine);
  });

  test("that no device works there is told", () => {
    const none = `sandboxes[0].namespace.mounts[0]: no device works there, not even /dev/null: add {"target": "/dev", "mode": "dev"}`;
    expect(told()).toEqual([none]);
    expect(refused(on({ target: "/dev", mode: "dev" }), machine)[0]).toContain(
      "/dev does not exist below /img",
    );
    const open = { acls, namespace: { mounts: [{ target: "/", source: "/img", dev: true }] } };
    expect(compiled(open, machine).notices).toEqual([]);
  });
});

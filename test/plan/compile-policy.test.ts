/** What a sandbox as a whole becomes: defaults, and what its keys refuse or tell together. */
import { describe, expect, test } from "bun:test";
import type { Machine } from "../../src/plan/machine.ts";
import { board, dir, FILES, filesOf, link, ordinary } from "./board.ts";
import { asUser, compiled, planOf, refused } from "./compiling.ts";

const acls = { user: "pilot" };
const policyOf = (sandbox: object, machine: Partial<Machine> = board) =>
  planOf(compiled({ acls, ...sandbox }, machine)).policy;
const told = (sandbox: object, machine: Partial<Machine> = board) =>
  compiled({ acls, ...sandbox }, machine).notices.map(({ path, message }) => `${path}: ${message}`);
const isolated = { namespace: { shares: { pid: "disable" } } };
const at = "sandboxes[0]";
const deny = { default: "ALLOW", rules: { syscall: "reboot", action: "ERRNO(EPERM)" } };

test("without a word, a command of root's server is confined to its user", () => {
  const { seccomp, told, families, ...policy } = policyOf({});
  expect(policy).toEqual({
    privileged: true,
    server: { uid: 0, gid: 0, groups: [] },
    groups: undefined,
    identity: expect.objectContaining({ uid: 1001, gid: 2001 }),
    umask: 0o022,
    chdir: "/",
    namespaces: new Set(),
    joinNet: undefined,
    hostname: undefined,
    mounts: undefined,
    caps: [],
    noNewPrivs: true,
    cgroup: undefined,
    landlock: undefined,
    label: undefined,
    nice: undefined,
    rlimits: [],
    profileLimits: [],
  });
  expect([seccomp, told]).toEqual([undefined, undefined]);
});

test.each([
  ["022", 0o022],
  ["0", 0],
  ["77", 0o77],
  ["0777", 0o777],
])("umask %j", (umask, mask) => {
  expect(policyOf({ acls: { ...acls, umask } }).umask).toBe(mask);
});

test.each([-20, 0, 19])("nice %j", (nice) => {
  expect(policyOf({ acls: { ...acls, nice } }).nice).toBe(nice);
});

describe("chdir", () => {
  const chdir = (path: string, sandbox: object = {}) => ({
    ...sandbox,
    acls: { ...acls, chdir: path },
  });
  const mounts = (...more: object[]) => ({
    namespace: { mounts: [{ target: "/bin/sh" }, ...more] },
  });
  test("is a path of the machine, there or not, with variables", () => {
    expect(policyOf(chdir("/srv/none")).chdir).toBe("/srv/none");
    expect(policyOf(chdir("/$SANDBOX_UID")).chdir).toBe("/s");
    expect(policyOf({ acls: { chdir: "/$SBOXUSER" } }, { ...board, ...asUser }).chdir).toBe(
      "/65534",
    );
    expect(told(chdir("/srv/none"))).toEqual([]);
  });
  test("must be absolute", () => {
    expect(refused(chdir("srv"), board)).toEqual([
      `${at}.acls.chdir: "srv" must be an absolute path`,
    ]);
    expect(refused(chdir("$A"), { ...board, env: { A: "/x\0" } })).toEqual([
      `${at}.acls.chdir: contains a NUL byte`,
    ]);
  });
  test("with mounts is one that they show, else / and that is told", () => {
    const own = mounts({ target: "/t/x", mode: "tmpfs" }, { target: "/srv/data" });
    for (const path of ["/", "/t", "/t/x", "/srv/data", "/bin"])
      expect([path, policyOf(chdir(path, own)).chdir]).toEqual([path, path]);
    expect(policyOf(chdir("/srv/own", own)).chdir).toBe("/");
    expect(policyOf(chdir("/bin/sh", own)).chdir).toBe("/");
    expect(told(chdir("/srv/own", own))).toEqual([
      `${at}.acls.chdir: there is no directory /srv/own inside the mounts: the commands start in /`,
    ]);
  });
});

describe("capabilities", () => {
  test.each([
    ["none by default", {}, []],
    [
      "sorted, with or without CAP_",
      { caps: ["CAP_NET_RAW", "chown", { cap: "KILL" }] },
      [0, 5, 13],
    ],
    ["less what is unset", { caps: ["CHOWN", "KILL", { cap: "CHOWN", mode: "unset" }] }, [5]],
    ["and what is set again", { caps: [{ cap: "CHOWN", mode: "unset" }, "CHOWN"] }, [0]],
  ])("are %s", (_, sandbox, caps) => {
    expect(policyOf(sandbox).caps).toEqual(caps);
  });
  test("are left alone for root that was said out loud, and then only", () => {
    const root = { acls: { user: "root" } };
    expect(policyOf(root).caps).toBeUndefined();
    expect(policyOf({ ...root, caps: [] }).caps).toEqual([]);
    expect(policyOf({ ...root, namespace: { shares: { users: "disable" } } }).caps).toEqual([]);
    expect(policyOf({ acls: { user: "nobody" } }).caps).toEqual([]);
  });
  test("of a server that has no user to give them", () => {
    expect(
      policyOf({ acls: {}, caps: ["CHOWN"] }, { ...ordinary, ambient: new Set([0, 1]) }).caps,
    ).toEqual([0]);
    expect(policyOf({ acls: {} }, ordinary).caps).toEqual([]);
    expect(policyOf({ acls: {}, caps: ["CHOWN"], ...isolated }, ordinary).caps).toEqual([0]);
  });
  test("that are none are refused", () => {
    const knows = { ...board, cap: (name: string) => (name === "CHOWN" ? 0 : undefined) };
    expect(refused({ acls, caps: ["CHOWN", "KILL"] }, knows)).toEqual([
      `${at}.caps[1].cap: unknown capability "KILL", see capabilities(7)`,
    ]);
  });
  test("that undo the sandbox are told", () => {
    const caps = ["SYS_ADMIN"];
    expect(told({ caps })).toEqual([
      `${at}.caps: SYS_ADMIN lets the commands change the mounts of their sandbox, read-only ones too`,
    ]);
    expect(told({ caps: ["CHOWN"] })).toEqual([]);
  });
  test("that an unprivileged server has not are told", () => {
    expect(
      told({ acls: {}, caps: ["KILL", "CHOWN"] }, { ...ordinary, ambient: new Set([5]) }),
    ).toContain(
      `${at}.caps: not granted: CHOWN (give files to others): the server runs unprivileged, without these as ambient capabilities, and the sandbox has no user namespace`,
    );
  });
});

describe("newPrivs", () => {
  const raising = { acls: { ...acls, newPrivs: true } };
  const ALL = `${at}.acls.newPrivs: commands of this sandbox can gain every capability of root, over the host too, through set-user-id programs and file capabilities`;
  const CAN = `${ALL}: name caps, such as [], to bound them`;
  const NONE = `${at}.acls.newPrivs: commands of this sandbox can become other users through set-user-id programs, and gain no capabilities by files`;
  test("takes no_new_privs away, and that is told", () => {
    expect(policyOf(raising).noNewPrivs).toBe(false);
    expect(told(raising)).toEqual([CAN]);
    expect(policyOf({ acls: { ...acls, newPrivs: false } }).noNewPrivs).toBe(true);
  });
  test("on mounts that are not for that it gives nothing, and that is told", () => {
    const on = (mount: object) => ({
      ...raising,
      namespace: { mounts: { target: "/bin", ...mount } },
    });
    const NOTHING = `${at}.acls.newPrivs: gives nothing: no mount of this sandbox has "suid": true, without which what is on it gives no privileges`;
    expect(told(on({}))).toEqual([NOTHING]);
    expect(told(on({ suid: true }))).toEqual([CAN]);
  });
  test("caps bounds what is gained, and so does a user namespace", () => {
    expect(policyOf(raising).gains).toBe(true);
    expect(policyOf({ ...raising, caps: [] }).gains).toBeUndefined();
    const own = { namespace: { shares: { users: "disable" } } };
    expect(policyOf({ ...raising, ...own }).gains).toBeUndefined();
    expect(policyOf({ acls }).gains).toBeUndefined();
    expect(told({ ...raising, caps: [] })).toEqual([NONE]);
    expect(told({ ...raising, ...own })).toEqual([NONE]);
    expect(told({ ...raising, caps: ["NET_RAW"] })).toContain(`${NONE} but NET_RAW`);
  });
  test("an ordinary user's server cannot bound it without a user namespace, whatever caps says", () => {
    const ordinarily = { acls: { newPrivs: true }, caps: [] };
    expect(told(ordinarily, ordinary)).toContain(
      `${ALL}: caps does not bound them where the server is an ordinary user's, unless namespace.shares.users is "disable"`,
    );
    const own = { namespace: { shares: { users: "disable" } } };
    expect(told({ ...ordinarily, ...own }, ordinary)).toContain(NONE);
  });
  test("goes with nothing that needs no_new_privs", () => {
    const NOT = `${at}.acls.newPrivs: cannot be combined with seccomp or landlock: both need no_new_privs once privileges are dropped`;
    expect(refused({ ...raising, seccomp: deny }, board)).toEqual([NOT]);
    expect(refused({ ...raising, landlock: { exec: ["/bin"] } }, board)).toEqual([NOT]);
    expect(
      refused({ acls: { newPrivs: true }, network: { families: ["AF_UNIX"] } }, ordinary),
    ).toEqual([
      `${at}.network.families: cannot be combined with newPrivs here: an ordinary user's filter needs no_new_privs, or a user namespace`,
    ]);
    expect(policyOf({ ...raising, network: { families: ["AF_UNIX"] } }).noNewPrivs).toBe(false);
    expect(
      policyOf(
        { acls: { newPrivs: true }, network: { families: ["AF_UNIX"] }, ...isolated },
        ordinary,
      ).noNewPrivs,
    ).toBe(false);
  });
  test("is not applied under a server that has it itself, but in plans for another", () => {
    const under = { ...board, noNewPrivs: true };
    expect(policyOf(raising, under).noNewPrivs).toBe(true);
    expect(told(raising, under)).toEqual([
      `${at}.acls.newPrivs: not applied: the server itself runs under no_new_privs, which nothing takes back (NoNewPrivileges= of systemd, and what implies it)`,
    ]);
    expect(policyOf(raising, { ...under, inherits: false }).noNewPrivs).toBe(false);
  });
});

describe("Landlock", () => {
  const bit = (...numbers: number[]) => numbers.reduce((mask, n) => mask | (1n << BigInt(n)), 0n);
  const OLD = bit(...Array.from({ length: 13 }, (_, i) => i));
  const on = (abi: number) => ({ ...board, landlockAbi: () => abi });
  const lock = { landlock: { exec: ["/bin"], ro: ["/usr"], rw: ["/srv/data"] } };

  test.each([
    [1, OLD, 0n],
    [2, OLD | bit(13), 0n],
    [3, OLD | bit(13, 14), 0n],
    [4, OLD | bit(13, 14), 0n],
    [5, OLD | bit(13, 14, 15), 0n],
    [6, OLD | bit(13, 14, 15), 3n],
    [7, OLD | bit(13, 14, 15), 3n],
  ])("of version %d handles all that it knows", (abi, files, scopes) => {
    const { landlock } = policyOf(lock, on(abi));
    expect(landlock).toMatchObject({ files, scopes, net: 0n, ports: [] });
    expect(landlock?.paths).toEqual([
      ["/usr", bit(2, 3), "/usr"],
      ["/bin", bit(0, 2, 3), "/bin"],
      ["/srv/data", files & ~1n, "/srv/data"],
    ] as never);
  });
  test("that the kernel has not is refused: nothing would hold", () => {
    const NONE =
      "this kernel has no Landlock: it needs 5.13 with CONFIG_SECURITY_LANDLOCK, and landlock in the list of lsm=";
    expect(refused({ acls, ...lock }, on(0))).toEqual([`${at}.landlock: ${NONE}`]);
    for (const key of ["connectTcp", "bindTcp"]) {
      expect(refused({ acls, landlock: { exec: ["/bin"], [key]: [80] } }, on(3))).toEqual([
        `${at}.landlock: connectTcp and bindTcp need version 4 of Landlock (Linux 6.7), this kernel has 3`,
      ]);
    }
  });

  test("opens ports, each with what it is listed for", () => {
    const net = (keys: object) => {
      const { net, ports } =
        policyOf({ landlock: { exec: ["/bin"], ...keys } }, on(4)).landlock ?? {};
      return [net, ports];
    };
    expect(net({ bindTcp: [80, 81] })).toEqual([
      1n,
      [
        [80, 1n],
        [81, 1n],
      ],
    ]);
    expect(net({ connectTcp: [0, 65535] })).toEqual([
      2n,
      [
        [0, 2n],
        [65535, 2n],
      ],
    ]);
    expect(net({ bindTcp: [80], connectTcp: [80, 443] })).toEqual([
      3n,
      [
        [80, 3n],
        [443, 2n],
      ],
    ]);
    expect(net({ bindTcp: [], connectTcp: [1] })).toEqual([3n, [[1, 2n]]]);
  });

  test("adds the rights of a path that is listed twice", () => {
    const { landlock } = policyOf(
      { landlock: { exec: ["/bin"], ro: ["/srv/data"], rw: ["/srv/data"] } },
      on(1),
    );
    expect(landlock?.paths).toContainEqual(["/srv/data", OLD & ~1n, "/srv/data"]);
  });

  test("takes absolute paths", () => {
    expect(refused({ acls, landlock: { exec: ["/bin"], rw: ["srv"] } }, board)).toEqual([
      `${at}.landlock.rw[0]: "srv" must be an absolute path`,
    ]);
  });

  describe("through a link", () => {
    const linked = (owner: number, open = false) => ({
      ...board,
      files: filesOf(
        { ...FILES, "/srv": { ...dir, open, rootsOnly: !open }, "/srv/l": { ...link, owner } },
        { "/srv/l": "/srv/data" },
      ),
      exists: (path: string) => Object.hasOwn(FILES, path),
    });
    const through = { landlock: { exec: ["/bin"], rw: ["/srv/l/x"] } };
    test("of anybody else is refused: that user could open any path", () => {
      expect(refused({ acls, ...through }, linked(7))).toEqual([
        `${at}.landlock.rw[0]: /srv/l/x goes through the link /srv/l of uid 7, who could thereby open any path: name what it leads to`,
      ]);
    });
    test("of root is followed at each launch", () => {
      const { landlock } = policyOf(through, linked(0));
      expect(landlock?.paths.at(-1)).toEqual([
        "/srv/data/x",
        expect.anything(),
        "/srv/l/x",
      ] as never);
      expect(landlock?.links).toEqual(["/srv/l"]);
      expect(landlock?.hosts).toEqual(["/bin", "/srv/data/x", "/srv/l/x"]);
    });
    test("that others can change, or whose owner cannot be seen, is followed at the start only", () => {
      expect(policyOf(through, linked(0, true)).landlock?.paths.at(-1)).toEqual([
        "/srv/data/x",
        expect.anything(),
      ] as never);
      expect(told(through, linked(0, true))).toContain(
        `${at}.landlock.rw[0]: /srv/l/x goes through the link /srv/l, which others than root can change: it is followed at the start only; a reload takes where it leads then`,
      );
      const user = {
        ...linked(0),
        ...{
          uid: 1001,
          gid: 2001,
          groups: [],
          privileged: false,
          ambient: new Set<number>(),
          noNewPrivs: false,
        },
      };
      expect(told({ acls: {}, ...through, ...isolated }, user)).toContain(
        `${at}.landlock.rw[0]: /srv/l/x goes through the link /srv/l, and in a user namespace of its own a command does not see whose that is: it is followed at the start only; a reload takes where it leads then`,
      );
      expect(policyOf({ acls: {}, ...through }, user).landlock?.paths.at(-1)).toHaveLength(3);
    });
  });

  test("leads where a link of the sandbox's own does, also for who does not see whose that is", () => {
    const mounts = [{ target: "/bin" }, { target: "/b", source: "bin", mode: "symlink" }];
    const sandbox = { namespace: { mounts }, landlock: { exec: ["/b"] } };
    const paths = (machine: Partial<Machine>, who: object) =>
      policyOf({ acls: who, ...sandbox }, machine).landlock?.paths;
    expect(paths(ordinary, {})).toEqual([["/bin", expect.anything()]] as never);
    expect(paths(board, acls)).toEqual([["/bin", expect.anything(), "/b"]] as never);
  });

  test("tells what is not there, and what a wider rule opens all the same", () => {
    expect(
      told({ landlock: { exec: ["/bin"], rw: ["/srv", "/dev"], ro: ["/srv/data", "/srvx"] } }),
    ).toEqual([
      `${at}.landlock.ro[1]: /srvx does not exist: no command starts until it does`,
      `${at}.landlock: /srv/data can be written all the same: /srv above it is rw`,
    ]);
  });
});

test("an ordinary server starts without a cgroup that it cannot have; root's does not", () => {
  const cgroups = { pids: 5 };
  expect(policyOf({ cgroups }).cgroup?.optional).toBe(false);
  expect(policyOf({ cgroups: { ...cgroups, optional: true } }).cgroup?.optional).toBe(true);
  expect(policyOf({ acls: {}, cgroups }, ordinary).cgroup?.optional).toBe(true);
});

/** One command of a config, and what exec starts: each key where it is said, and where its sandbox says it for all. */
import { describe, expect, test } from "bun:test";
import type { Machine } from "../../src/plan/machine.ts";
import { launchable, type Plan } from "../../src/plan/plan.ts";
import { board, FILES, filesOf, ordinary } from "./board.ts";
import { compiled, planOf, refused } from "./compiling.ts";
import { written } from "./ops.ts";

const acls = { user: "pilot" };
const withCommand = (command: object, sandbox: object = {}) => ({
  acls,
  ...sandbox,
  commands: { uid: "c", exec: { cmdpath: "/bin/sh" }, ...command },
});
const plan = (command: object, sandbox?: object, machine: Partial<Machine> = board) =>
  planOf(compiled(withCommand(command, sandbox), machine));
const execOf = (sandbox: object, machine: Partial<Machine> = board) => {
  const exec = compiled({ acls, exec: true, ...sandbox }, machine).sandboxes[0]?.exec;
  if (!exec) throw new Error("no exec");
  return exec;
};
const told = (sandbox: object, machine: Partial<Machine> = board) =>
  compiled({ acls, ...sandbox }, machine).notices.map(({ path, message }) => `${path}: ${message}`);
const at = "sandboxes[0].commands[0]";

test("a command without a word", () => {
  const { policy, ops, env, argv, ...rest } = plan({});
  expect(rest).toEqual({
    api: "t",
    verb: "c",
    command: "c",
    sandbox: "s",
    privileges: [],
    timeout: 0,
    concurrency: 0,
    sandboxConcurrency: 0,
    verbose: 0,
    encoder: { name: "text", opts: {} },
  });
  expect(argv.elements).toHaveLength(1);
  expect(policy.pty).toBeUndefined();
  expect([ops.length > 0, env["USER"]]).toEqual([true, "pilot"]);
});

test.each<[string, object, object, object]>([
  [
    "timeout of the command, in ms",
    { timeout: 0.3 },
    { acls: { ...acls, timeout: 7 } },
    { timeout: 300 },
  ],
  ["timeout of the sandbox", {}, { acls: { ...acls, timeout: 7 } }, { timeout: 7000 }],
  [
    "no timeout, in spite of the sandbox's",
    { timeout: 0 },
    { acls: { ...acls, timeout: 7 } },
    { timeout: 0 },
  ],
  ["a timeout that is not none", { timeout: 0.0001 }, {}, { timeout: 1 }],
  ["stop, as usual where only said", { stop: {} }, {}, { stop: { signal: 2, grace: 5000 } }],
  [
    "stop, each key before the sandbox's",
    { stop: { grace: 0.25 } },
    { stop: { signal: "term", grace: 9 } },
    { stop: { signal: 15, grace: 250 } },
  ],
  ["stop of the sandbox", {}, { stop: { signal: 35 } }, { stop: { signal: 35, grace: 5000 } }],
  ["stop at once", { stop: { grace: 0 } }, {}, { stop: { signal: 2, grace: 0 } }],
  ["stdin, of as much as is usual", { stdin: "body" }, {}, { input: 16 << 20 }],
  ["stdin of so much", { stdin: "BODY", maxinput: "1g" }, {}, { input: 2 ** 30 }],
  ["stdin of so many bytes", { stdin: "body", maxinput: 1 }, {}, { input: 1 }],
  ["single", { single: true }, {}, { concurrency: 1 }],
  ["single rather than more", { single: true, concurrency: 5 }, {}, { concurrency: 1 }],
  ["concurrency", { single: false, concurrency: 5 }, {}, { concurrency: 5, sandboxConcurrency: 0 }],
  ["concurrency of the sandbox", {}, { concurrency: 6 }, { concurrency: 0, sandboxConcurrency: 6 }],
  ["verbose", { verbose: 3 }, { verbose: 4 }, { verbose: 3 }],
  ["verbose of the sandbox", {}, { verbose: 4 }, { verbose: 4 }],
  ["not verbose, in spite of the sandbox", { verbose: 0 }, { verbose: 4 }, { verbose: 0 }],
  ["buffer", { buffer: 2048 }, { buffer: 4096 }, { buffer: 2048 }],
  ["buffer of the sandbox", {}, { buffer: 4096 }, { buffer: 4096 }],
  ["confirm", { confirm: true }, {}, { confirm: true }],
  ["detach", { detach: false }, { detach: true }, { detach: false }],
  ["detach of the sandbox", {}, { detach: false }, { detach: false }],
  [
    "privileges of both, sandbox first",
    { privilege: "b" },
    { privilege: "a" },
    { privileges: ["a", "b"] },
  ],
  ["the same privilege once", { privilege: "a" }, { privilege: "a" }, { privileges: ["a"] }],
  ["an empty privilege is none", { privilege: "" }, { privilege: "" }, { privileges: [] }],
  [
    "words for people",
    { info: "i", label: "l", usage: { u: 1 }, sample: [{ a: 1 }] },
    {},
    { info: "i", label: "l", usage: { u: 1 }, sample: [{ a: 1 }] },
  ],
  [
    "encoder with options, texts expanded",
    { encoder: { output: "line", opts: { a: "$COMMAND_UID", b: 3 } } },
    {},
    { encoder: { name: "line", opts: { a: "c", b: 3 } } },
  ],
  [
    "encoder of a plugin",
    { encoder: { output: "x", plugin: "p" } },
    {},
    { encoder: { name: "x", plugin: "p", opts: {} } },
  ],
  ["optional", { optional: true }, {}, { optional: true }],
  ["optional of the sandbox", {}, { optional: true }, { optional: true }],
  ["prefix", {}, { prefix: "box" }, { verb: "box/c", sandbox: "s" }],
])("has %s", (_, command, sandbox, expected) => {
  expect(plan(command, sandbox)).toMatchObject(expected);
});

test("what is not said is not there", () => {
  for (const key of [
    "optional",
    "stop",
    "input",
    "detach",
    "buffer",
    "info",
    "label",
    "usage",
    "sample",
    "params",
    "pool",
    "keptBack",
  ])
    expect(plan({})).not.toHaveProperty(key);
  expect(plan({ detach: true }, { detach: false })).not.toHaveProperty("detach");
  expect(plan({ optional: false }, { optional: true })).not.toHaveProperty("optional");
  expect(plan({}, {}, { ...board, env: { LD_PRELOAD: "x" } }).keptBack).toEqual(["LD_PRELOAD"]);
});

test.each([
  ["params", { params: { _x: { type: "string" } } }],
  ["a sample", { sample: [{ _x: 1 }] }],
  ["a sample as a query", { sample: [{ args: { _x: 1 } }] }],
])("what %s names is an argument, whatever it is called", (_, command) => {
  const exec = { cmdpath: "/bin/sh", args: ["%_x%"] };
  expect([...plan({ ...command, exec }).argv.names]).toEqual(["_x"]);
  expect([...plan({ exec }).argv.names]).toEqual([]);
});

test("an unknown signal is a problem where it stands, once", () => {
  const unknown = (signal: string) =>
    `unknown signal ${signal} (a name such as SIGTERM, or 1 to 64)`;
  const commands = ["a", "b"].map((uid) => ({ uid, exec: { cmdpath: "/bin/sh" } }));
  expect(refused({ acls, stop: { signal: "SIGTREM" }, commands }, board)).toEqual([
    `sandboxes[0].stop.signal: ${unknown('"SIGTREM"; did you mean `SIGTERM`?')}`,
  ]);
  for (const signal of ["0", "65", "-9", "", "KILL 9"])
    expect(refused(withCommand({ stop: { signal } }), board)).toEqual([
      expect.stringContaining(`${at}.stop.signal: unknown signal ${JSON.stringify(signal)}`),
    ]);
});

test("input that cannot be is a problem", () => {
  const webhook = "/etc/hook";
  for (const [command, problem] of [
    [
      { maxinput: "1M" },
      'maxinput: is for a command with "stdin": "body"; add that, or take it away',
    ],
    [{ stdin: "none", maxinput: "1M" }, 'maxinput: is for a command with "stdin": "body"'],
    [{ stdin: "body", maxinput: "0" }, "maxinput: found 0: from 1 byte to 1G"],
    [{ stdin: "body", maxinput: "1025M" }, "maxinput: found 1025M: from 1 byte to 1G"],
    [{ stdin: "body", pty: true }, "stdin: a command with a pty has nothing to read"],
    [{ stdin: "body", webhook }, "stdin: the body that a webhook signs has the arguments"],
  ] as const)
    expect(refused(withCommand(command), board)).toEqual([
      expect.stringContaining(`${at}.${problem}`),
    ]);
  expect(plan({ stdin: "none" })).not.toHaveProperty("input");
});

describe("pool", () => {
  test.each([
    [{ pool: 3 }, {}, 3],
    [{}, { pool: 2 }, 2],
    [{ pool: 0 }, { pool: 2 }, undefined],
    [{ pool: 1 }, { pool: 2 }, 1],
  ])("%j in a sandbox with %j", (command, sandbox, size) => {
    expect(plan(command, sandbox).pool?.size).toBe(size as number);
  });

  test("a warm sandbox does what a cold one does, and waits", () => {
    const sandbox = {
      caps: ["KILL"],
      namespace: {
        shares: { all: "disable" },
        opts: { hostname: "h" },
        mounts: [{ target: "/bin/sh" }],
      },
      landlock: { exec: ["/bin"] },
      seccomp: {
        default: "ALLOW",
        report: true,
        rules: { syscall: "reboot", action: "ERRNO(EPERM)" },
      },
      acls: { ...acls, nice: 3, umask: "027" },
      limits: { nofile: 9 },
    };
    const { pool, ops } = plan({ pool: 1, pty: true }, sandbox);
    const warm = written(pool?.ops ?? new Uint8Array());
    for (const step of ["LANDLOCK_APPLY", "SECUREBITS 203", "NO_NEW_PRIVS", "CAPS 32", "FORK"])
      expect(warm).toContain(step);
    expect(warm.filter((op) => op !== "WAIT")).toEqual(written(ops));
    expect(warm.at(-2)).toBe("WAIT");
    expect(warm.at(-1)).toStartWith("SECCOMP_LISTENER");
  });
});

describe("limits", () => {
  const limitsOf = (command: object, sandbox: object) => {
    const { policy } = plan(command, sandbox);
    return [Object.fromEntries(policy.rlimits), policy.profileLimits];
  };
  test("each by its number", () => {
    const limits = { cpu: 1, fsize: 2, core: 3, nproc: 4, nofile: 5, memlock: 6, as: 7, rtprio: 8 };
    expect(limitsOf({ limits }, {})).toEqual([
      { 0: 1n, 1: 2n, 4: 3n, 6: 4n, 7: 5n, 8: 6n, 9: 7n, 14: 8n },
      [],
    ]);
  });
  test.each([
    ["unlimited", -1n],
    ["Unlimited", -1n],
    ["3k", 3072n],
    ["3K", 3072n],
    ["2M", 2097152n],
    ["1G", 1073741824n],
    ["0", 0n],
    [`${2n ** 64n - 2n}`, 2n ** 64n - 2n],
  ])("%s", (fsize, value) => {
    expect(limitsOf({ limits: { fsize } }, {})[0]).toEqual({ 1: value });
  });
  test("of the command before those of the sandbox, and those of a profile are marked", () => {
    expect(limitsOf({ limits: { nofile: 5 } }, { limits: { nofile: 6, nproc: 7 } })).toEqual([
      { 7: 5n, 6: 7n },
      [],
    ]);
    const [, marked] = limitsOf(
      { limits: { nofile: 5 } },
      { profile: "admin", limits: { nproc: 7 } },
    );
    expect(marked).toEqual([4]);
    expect(limitsOf({ limits: { core: 5 } }, { profile: "admin" })[1]).toEqual([]);
  });
  test.each([
    [{ nofile: "many" }, 'nofile: "many" is not a number (K, M, G allowed) or "unlimited"'],
    [{ nofile: "1T" }, 'nofile: "1T" is not a number (K, M, G allowed) or "unlimited"'],
    [
      { as: "18446744073709551615" },
      'as: "18446744073709551615" is more than the kernel counts with 64 bits: at most 18446744073709551614',
    ],
    [{ cpu: "18446744074" }, 'cpu: "18446744074" is more than 18446744073 seconds'],
  ])("%j are refused", (limits, message) => {
    expect(refused(withCommand({ limits }), board)).toEqual([`${at}.limits: ${message}`]);
    // Those of the sandbox where they stand, and once.
    const command = { uid: "c", exec: { cmdpath: "/bin/sh" } };
    for (const commands of [[], [command, { ...command, uid: "d" }]])
      expect(refused({ acls, exec: true, commands, limits }, board)).toEqual([
        `sandboxes[0].limits: ${message}`,
      ]);
  });
  test("as many seconds as the kernel can count", () => {
    expect(limitsOf({ limits: { cpu: "18446744073" } }, {})[0]).toEqual({ 0: 18446744073n });
  });
});

describe("a terminal", () => {
  test("of the size that is said, and TERM for nobody knows what", () => {
    expect(plan({ pty: true }).policy.pty).toMatchObject({
      columns: 80,
      rows: 24,
      origin: { kind: "machine", path: "/dev/ptmx" },
    });
    expect(plan({ pty: { cols: 100 } }).policy.pty).toMatchObject({ columns: 100, rows: 24 });
    expect(plan({ pty: { rows: 5 } }).policy.pty).toMatchObject({ columns: 80, rows: 5 });
    expect(plan({ pty: false }).policy.pty).toBeUndefined();
    expect(plan({ pty: true }).env["TERM"]).toBe("dumb");
    expect(plan({}).env).not.toHaveProperty("TERM");
    expect(plan({ pty: true }, { envs: { name: "TERM", value: "vt100" } }).env["TERM"]).toBe(
      "vt100",
    );
    expect(plan({ pty: true }, {}, { ...board, env: { TERM: "xterm" } }).env["TERM"]).toBe("dumb");
  });
  test("of its own with mounts, or that which they show", () => {
    const mounts = (...more: object[]) => ({
      namespace: { mounts: [{ target: "/bin/sh" }, ...more] },
    });
    const dev = { target: "/dev", mode: "dev" };
    expect(plan({ pty: true }, mounts()).policy.pty?.origin).toEqual({ kind: "own" });
    expect(plan({ pty: true }, mounts(dev)).policy.pty?.origin).toEqual({
      kind: "mounted",
      path: "/dev/pts",
    });
    const hidden = mounts(dev, { target: "/dev", mode: "tmpfs" });
    expect(plan({ pty: true }, hidden).policy.pty?.origin).toEqual({ kind: "own" });
  });
  test("goes with a filter, which an ordinary user needs no_new_privs for", () => {
    const raising = { acls: { newPrivs: true } };
    expect(refused(withCommand({ pty: true }, raising), ordinary)).toEqual([
      `${at}.pty: cannot be combined with newPrivs here: an ordinary user's filter needs no_new_privs, or a user namespace`,
    ]);
    plan({ pty: false }, raising, ordinary);
    plan({ pty: true }, { ...raising, namespace: { shares: { pid: "disable" } } }, ordinary);
    plan({ pty: true }, { acls: { ...acls, newPrivs: true } });
  });
  test("brings stderr among JSON, which is told", () => {
    expect(told(withCommand({ pty: true, encoder: "json" }))).toEqual([
      `${at}.pty: a terminal has one stream: what the command prints to stderr comes among its JSON, as json-error where it is none`,
    ]);
    expect(told(withCommand({ pty: true, encoder: "line" }))).toEqual([]);
    expect(told(withCommand({ encoder: "json" }))).toEqual([]);
  });
});

describe("a program that is not there", () => {
  const missing = { exec: { cmdpath: "/srv/none" } };
  const WHY = "/srv/none does not exist on this machine";
  test("is refused", () => {
    expect(refused(withCommand(missing), board)).toEqual([`${at}.exec.cmdpath: ${WHY}`]);
  });
  test("but where it may be missing, its verb tells why", () => {
    const api = compiled(
      withCommand({ ...missing, optional: true, info: "i", privilege: "p" }),
      board,
    );
    expect(api.sandboxes[0]).toMatchObject({
      plans: [],
      unavailable: [{ verb: "c", command: "c", info: "i", privileges: ["p"], reason: WHY }],
    });
    expect(api.notices).toContainEqual({ path: at, message: `not available: ${WHY}` });
  });
  test("nor is anything where the whole sandbox cannot be had and may be missing", () => {
    const impossible = { optional: true, namespace: { mounts: [{ target: "/srv/none" }] } };
    const api = compiled(withCommand({}, { ...impossible, exec: true }), board);
    const [sandbox] = api.sandboxes;
    expect(sandbox).toMatchObject({ plans: [], unavailable: [{ verb: "c" }] });
    expect(sandbox?.unavailable?.[0]?.reason).toStartWith(
      "source /srv/none does not exist on this machine",
    );
    expect(sandbox).not.toHaveProperty("exec");
    expect(refused(withCommand({}, { ...impossible, optional: false }), board)).not.toEqual([]);
  });
});

describe("exec", () => {
  test("has all of its sandbox: time-out, privileges, limits, room and what is told of it", () => {
    const { policy, ops, env, ...rest } = execOf({
      privilege: "p",
      concurrency: 4,
      verbose: 2,
      buffer: 2048,
      detach: false,
      optional: true,
      acls: { ...acls, timeout: 7, nice: 3 },
      limits: { nofile: 9 },
      caps: ["KILL"],
    });
    expect(rest).toEqual({
      api: "t",
      verb: "exec",
      command: "exec",
      sandbox: "s",
      privileges: ["p"],
      timeout: 7000,
      concurrency: 0,
      sandboxConcurrency: 4,
      optional: true,
      detach: false,
      verbose: 2,
      buffer: 2048,
      encoder: { name: "text", opts: {} },
      argv: { elements: [], names: new Set() },
    });
    expect(policy).toMatchObject({
      identity: { uid: 1001, gid: 2001 },
      caps: [5],
      nice: 3,
      rlimits: [[7, 9n]],
    });
    expect(env["USER"]).toBe("pilot");
    for (const op of [
      "SETUID 1001",
      "SETGID 2001",
      "CAPS 32",
      "NO_NEW_PRIVS",
      "RLIMIT 7 9 0",
      "NICE 23",
    ])
      expect(written(ops)).toContain(op);
  });
  test("without a word", () => {
    const exec = execOf({});
    expect(exec).toMatchObject({ privileges: [], timeout: 0, sandboxConcurrency: 0, verbose: 0 });
    for (const key of ["optional", "detach", "buffer", "pool"])
      expect(exec).not.toHaveProperty(key);
    expect(execOf({ detach: true })).not.toHaveProperty("detach");
    expect(execOf({}, { ...board, env: { LD_PRELOAD: "x" } }).keptBack).toEqual(["LD_PRELOAD"]);
  });
  test("limits of its profile give way to lower ones of the server", () => {
    expect(execOf({ profile: "admin", limits: { nofile: 9 } }).policy.profileLimits).toEqual([4]);
  });
  test("is only where it is allowed, and that is told", () => {
    expect(compiled({ acls }, board).sandboxes[0]).not.toHaveProperty("exec");
    const message = "sandboxes[0].exec: whoever may call exec can run any program in this sandbox";
    expect(told({ exec: true })).toEqual([message]);
    expect(told({ exec: true, privilege: "p" })).toEqual([`${message}, with the privilege p`]);
  });
});

test("commands of a sandbox share their ops, and those of others do not", () => {
  const commands = [1, 2].map((i) => ({ uid: `c${i}`, exec: { cmdpath: "/bin/sh" } }));
  const [one, two] = compiled({ acls, commands }, board).sandboxes[0]?.plans ?? [];
  expect(one?.ops).toBe(two?.ops as Uint8Array);
  const limited = [commands[0], { ...commands[1], limits: { nofile: 3 } }];
  const [three, four] = compiled({ acls, commands: limited }, board).sandboxes[0]?.plans ?? [];
  expect(three?.ops).not.toEqual(four?.ops as Uint8Array);
});

test("a program that a mount hides is found before its launch", () => {
  const files = filesOf({ ...FILES, "/img": FILES["/srv"] ?? {} } as never);
  const sandbox = { namespace: { mounts: [{ target: "/bin", mode: "tmpfs" }] } };
  const [problem] = refused(withCommand({}, sandbox), { ...board, files });
  expect(problem).toBe(
    `${at}.exec.cmdpath: /bin/sh is not visible inside the sandbox, as no mount shows it: add one that does, such as {"target": "/bin"}`,
  );
});

test("what is kept of output: as the sandbox has it, unless nobody is to see what the command gets", () => {
  const history = { output: true, ring: "64K" };
  const secret = {
    params: { pin: { type: "string", writeOnly: true } },
    exec: { cmdpath: "/bin/sh", args: ["%pin%"] },
  };
  expect(plan({}, { history })).toMatchObject({ keepsOutput: true, ring: 65_536 });
  const ofAll = (sandbox: object) =>
    planOf(compiled(withCommand({}, sandbox), board, { history: { ...history, ring: "1K" } }));
  expect(ofAll({})).toMatchObject({ keepsOutput: true, ring: 1024 });
  expect(ofAll({ history: { ring: "2K" } })).toMatchObject({ keepsOutput: true, ring: 2048 });
  for (const discreet of [secret, { audit: { args: false } }]) {
    expect(plan(discreet, { history })).not.toHaveProperty("keepsOutput");
    expect(plan({ ...discreet, history }, {})).toMatchObject({ keepsOutput: true });
  }
});

test("what a sandbox may launch: its commands, and what exec starts", () => {
  const both = compiled({ ...withCommand({}), exec: true }, board).sandboxes[0];
  if (!both) throw new Error("no sandbox");
  expect(launchable(both)).toEqual([...both.plans, both.exec as Plan]);
  expect(both.plans).toHaveLength(1);
});

test("what is told of calls: whoever asks for more is obeyed, the config, the sandbox or the command", () => {
  const said = { audit: { required: true, args: false } };
  for (const each of [plan(said), plan({}, said), plan(said, { audit: { required: false } })])
    expect(each).toMatchObject({ audited: true, discreet: true });
  // An inner place cannot take it back.
  const less = { audit: { required: false, args: true } };
  expect(plan(less, said)).toMatchObject({ audited: true, discreet: true });
  expect(execOf(said)).toMatchObject({ audited: true, discreet: true });
  for (const none of [plan(less), plan({ audit: {} })]) {
    expect(none).not.toHaveProperty("audited");
    expect(none).not.toHaveProperty("discreet");
  }
  expect(refused(withCommand({ audit: { require: true } }))[0]).toContain("required");
});

import { expect, test } from "bun:test";
import { join } from "node:path";
import { normalize } from "../../src/config/normalize.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { compile } from "../../src/plan/compile.ts";
import { decodePlans, encodePlans } from "../../src/plan/file.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import type { ApiPlan } from "../../src/plan/plan.ts";
import { checkEncoder, extend } from "../../src/plugins/extend.ts";
import { MONITOR_VERBS } from "../../src/plugins/names.ts";
import { registryOf } from "../api/harness.ts";
import { GOOD, Modules } from "./modules.ts";

const command = (uid: string, more: object = {}) => ({
  uid,
  exec: { cmdpath: "/bin/echo" },
  ...more,
});

/** Compiles configs; each is given what it does not say. */
function compiled(dir: string, ...configs: { api?: string; [key: string]: unknown }[]): ApiPlan[] {
  const loaded = configs.map(({ api = "t", sandboxes = {}, ...rest }) => {
    const sandbox = { uid: "s", acls: { user: `${process.geteuid?.()}` }, commands: command("c") };
    const raw = {
      metadata: { uid: api, api },
      sandboxes: { ...sandbox, ...(sandboxes as object) },
    };
    const file = join(dir, `${api}.json`);
    const { config, problems } = normalize({ ...raw, ...rest }, file);
    if (!config) throw new ConfigError(problems);
    return { file, config };
  });
  return compile(loaded, { machine: thisMachine(), checkEncoder, extend });
}

function problems(dir: string, ...configs: Parameters<typeof compiled>[1][]): string[] {
  try {
    compiled(dir, ...configs);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
  throw new Error("it was accepted");
}

test("plugins, their encoders and actions; a plan file keeps them", () => {
  using modules = new Modules();
  const file = modules.write("a.ts", GOOD);
  const [api] = compiled(modules.dir, {
    plugins: { uid: "plug", libs: "a" },
    sandboxes: { commands: command("c", { encoder: { plugin: "plug", output: "none" } }) },
    onload: { uid: "o", action: "plugin://plug#twice", args: 1, required: true },
    events: { uid: "c", action: "api://MONITOR#session" },
    extra: { uid: "x", action: "api://t#C" },
  });
  expect(api?.plugins).toEqual([{ uid: "plug", files: [file] }]);
  expect(api?.actions).toEqual({
    onload: [
      {
        uid: "o",
        action: "plugin://plug#twice",
        target: { kind: "plugin", plugin: "plug", name: "twice" },
        args: 1,
        required: true,
      },
    ],
    onstart: [],
    events: [
      {
        uid: "c",
        action: "api://MONITOR#session",
        target: { kind: "api", api: "MONITOR", verb: "session" },
        required: false,
      },
    ],
    extra: [
      {
        uid: "x",
        action: "api://t#C",
        target: { kind: "api", api: "t", verb: "C" },
        required: false,
      },
    ],
  });
  expect(api?.sandboxes[0]?.plans[0]?.encoder).toEqual({ name: "none", plugin: "plug", opts: {} });
  const [again] = decodePlans(encodePlans([api as ApiPlan], thisMachine()), thisMachine());
  expect(again?.plugins).toEqual(api?.plugins);
  expect(again?.actions).toEqual(api?.actions);
});

test("what is wrong with plugins, all of it", () => {
  using modules = new Modules();
  modules.write("a.ts", GOOD);
  modules.write("bad.ts", "throw new Error('at load')");
  expect(
    problems(modules.dir, {
      plugins: [
        { uid: "plug", libs: "a.ts" },
        { uid: "plug", libs: "a.ts" },
        { uid: "old", spath: "lib", libs: ["x.ctlso", "nowhere.ts"] },
        { uid: "bad", libs: "bad.ts" },
      ],
      sandboxes: {
        commands: [
          command("c1", { encoder: { plugin: "plgu", output: "none" } }),
          command("c2", { encoder: { plugin: "plug", output: "nnoe" } }),
          command("c3", { encoder: { plugin: "plug", output: "none", opts: { a: 1 } } }),
          command("c4", { encoder: "none" }),
          command("c5", { encoder: { plugin: "bad", output: "anything" } }),
        ],
      },
    }),
  ).toEqual([
    "plugins[1].uid: duplicate plugin uid `plug`",
    "plugins[2].libs[0]: `x.ctlso` is a native plugin, and those are not loaded: write what it does as a TypeScript or JavaScript module, which is loaded from disk (config/plugins has one to begin with), and name it here or after it",
    `plugins[2].libs[1]: no module \`nowhere.ts\` in ${modules.dir}/lib`,
    `plugins[3].libs: ${modules.dir}/bad.ts: at load`,
    "sandboxes[0].commands[0].encoder: unknown plugin `plgu`; did you mean `plug`? (there is plug, old, bad)",
    "sandboxes[0].commands[1].encoder: the plugin plug has no encoder `nnoe`; did you mean `none`? (it has none)",
    "sandboxes[0].commands[2].encoder: a: the encoder plug/none takes no options",
    'sandboxes[0].commands[3].encoder: the encoder `none` is one of the plugin plug: add "plugin": "plug"',
  ]);
});

test("of encoders and modules: what there is instead", () => {
  using modules = new Modules();
  modules.write("a.ts", GOOD);
  const plugins = { uid: "plug", libs: "a" };
  const told = (encoder: unknown, more: object = { plugins }) =>
    problems(modules.dir, { ...more, sandboxes: { commands: command("c", { encoder }) } });
  const at = "sandboxes[0].commands[0].encoder";
  expect(told("none")).toEqual([
    expect.stringMatching(/: the encoder `none` is one of the plugin plug: add "plugin": "plug"$/),
  ]);
  const all = "one of text, sync, line, raw, json, file, log";
  expect(told("lin", {})).toEqual([expect.stringContaining(`did you mean \`line\`?`)]);
  expect(told({ plugin: "plug", output: "nona" })).toEqual([
    `${at}: the plugin plug has no encoder \`nona\`; did you mean \`none\`? (it has none)`,
  ]);
  expect(told({ plugin: "plug", output: "zzzz" })).toEqual([
    `${at}: the plugin plug has no encoder \`zzzz\` (it has none)`,
  ]);
  expect(told({ plugin: "plugs", output: "none" })).toEqual([
    `${at}: unknown plugin \`plugs\`; did you mean \`plug\`? (there is plug)`,
  ]);
  expect(told({ plugin: "plug", output: "none" }, {})).toEqual([
    `${at}: unknown plugin \`plug\` (there is none)`,
  ]);
  const begin = "{ begin: () => ({ stdout() {}, stderr() {}, end: () => ({}) }) }";
  modules.write("two.ts", `export const encoders = { first: ${begin}, second: ${begin} };`);
  modules.write("no.ts", "export const functions = { f: () => 1 };");
  const others = ["two", "no"].map((name) => ({ uid: name, libs: name }));
  const other = (plugin: string, output: string) =>
    told({ plugin, output }, { plugins: others })[0];
  expect([other("two", "third"), other("no", "x"), other("x", "y")]).toEqual([
    `${at}: the plugin two has no encoder \`third\` (it has first, second)`,
    `${at}: the plugin no has no encoder \`x\` (it has none)`,
    `${at}: unknown plugin \`x\` (there is two, no)`,
  ]);
  const check = (name: string, plugin?: string) =>
    checkEncoder(name, plugin, {}, modules.dir).problems;
  expect(check("zzzz")).toEqual([`unknown encoder \`zzzz\`; ${all}`]);
  expect(check("jsom")).toEqual([`unknown encoder \`jsom\`; did you mean \`json\`? ${all}`]);
  expect([check("text"), check("x", "p")]).toEqual([
    ...[[], ["unknown plugin `p` (there is none)"]],
  ]);
  expect(problems(modules.dir, { plugins: { uid: "p", libs: [] } })).toEqual([
    "plugins[0].libs: names no module",
  ]);
  expect(problems(modules.dir, { plugins: [plugins, { uid: "plug", libs: "a" }] })).toEqual([
    "plugins[1].uid: duplicate plugin uid `plug`",
  ]);
  // One that is there after others is loaded, and that is told of these.
  const [api] = compiled(modules.dir, { plugins: { uid: "p", libs: ["gone", "a"] } });
  expect(api?.notices).toContainEqual({
    path: "plugins[0].libs[0]",
    message: `no module \`gone\` in ${modules.dir}; loaded is ${join(modules.dir, "a.ts")}`,
  });
});

test("what is wrong with actions", () => {
  using modules = new Modules();
  modules.write("a.ts", GOOD);
  const [one, two] = [
    {
      plugins: { uid: "plug", libs: "a" },
      onload: [
        { uid: "1", action: "lua://x#y" },
        { uid: "2", action: "api://tt#c" },
        { uid: "3", action: "api://t#cc" },
        { uid: "4", action: "plugin://plgu#twice" },
        { uid: "5", action: "plugin://plug#twise" },
        { uid: "6", action: "api://u#d" },
        { uid: "7", action: "api://t#exec" },
      ],
      events: [
        { uid: "cc", action: "api://t#ping" },
        { uid: "u/d", action: "api://t#ping", required: true },
      ],
      extra: [
        { uid: "x", action: "api://t#ping" },
        { uid: "y", action: "api://T#X" },
      ],
    },
    { api: "u", sandboxes: { commands: command("d") } },
  ] as const;
  expect(problems(modules.dir, one, two)).toEqual([
    "onload[0].action: `lua://x#y`: expected api://NAME#VERB or plugin://UID#FUNCTION",
    "onload[1].action: no API `tt`; did you mean `t`? (there is t, u, monitor)",
    "onload[2].action: no verb of the API t `cc`; did you mean `c`? (there is ping, info, c, x, y)",
    "onload[3].action: no plugin `plgu`; did you mean `plug`? (there is plug)",
    "onload[4].action: no function of the plugin plug `twise`; did you mean `twice`? (there is twice)",
    "onload[6].action: no verb of the API t `exec` (there is ping, info, c, x, y)",
    "events[0].uid: no event `t/cc`; did you mean `t/c`? (there is t/c, u/d, monitor/disconnected)",
    "events[1].required: is for onload and onstart only: remove it",
    "extra[1].action: `t/X` is itself an extra verb: name what that one stands for",
  ]);
});

test("an action may be for any verb of the server itself, and for no other", () => {
  const onload = [...MONITOR_VERBS, "ping"].map((uid) => ({ uid, action: `api://Monitor#${uid}` }));
  expect(problems("/", { onload })).toEqual([
    `onload[${MONITOR_VERBS.length}].action: no verb of the API monitor \`ping\` (there is ${MONITOR_VERBS.join(", ")})`,
  ]);
});

test("the verbs of the server itself are those that every server has, and those of its options", async () => {
  const registry = registryOf([]);
  try {
    const own = registry.describe().find(({ api }) => api === "monitor")?.verbs ?? [];
    expect([...own.map(({ name }) => name), "reload", "doctor", "metrics"].toSorted()).toEqual(
      MONITOR_VERBS.toSorted(),
    );
  } finally {
    await registry.close();
  }
});

test("of many names that there are, the first are told, and how many more", () => {
  const names = Array.from({ length: 23 }, (_, i) => `c${i}`);
  const onload = { uid: "1", action: "api://t#zzz" };
  const there = (most: number) => `(there is ping, info, ${names.slice(0, most - 2).join(", ")}`;
  const of = (count: number) =>
    problems("/", {
      sandboxes: { commands: names.slice(0, count).map((name) => command(name)) },
      onload,
    });
  const what = "onload[0].action: no verb of the API t `zzz`";
  expect(of(18)).toEqual([`${what} ${there(20)})`]);
  expect(of(19)).toEqual([`${what} ${there(20)}, and 1 more)`]);
  expect(of(23)).toEqual([`${what} ${there(20)}, and 5 more)`]);
});

test("$NAME in the arguments of actions, however deep; %data% stays", () => {
  const args = {
    user: "$LOGNAME of $API_NAME",
    list: ["${API_NAME}", 1, null, { deep: "$$HOME" }],
    $API_NAME: "%data% 5$ $(x)",
  };
  const [api] = compiled("/", {
    onload: { uid: "1", action: "api://t#c", args: "$API_NAME" },
    events: { uid: "c", action: "api://t#ping", args },
    extra: { uid: "x", action: "api://t#c", args: { n: 1 }, privilege: "urn:x" },
  });
  const user = api?.actions?.events[0]?.args as { user: string };
  expect(user.user).toMatch(/^[^$]+ of t$/);
  expect(api?.actions?.events[0]?.args).toEqual({
    ...user,
    list: ["t", 1, null, { deep: "$HOME" }],
    $API_NAME: "%data% 5$ $(x)",
  });
  expect(api?.actions?.onload[0]?.args).toBe("t");
  expect(api?.actions?.extra[0]).toMatchObject({ args: { n: 1 }, privileges: ["urn:x"] });
  expect(
    problems("/", {
      onstart: {
        uid: "1",
        action: "api://t#c",
        args: { a: ["$API_NAM", "${", { "b c": "$NOPE" }] },
      },
      onload: { uid: "2", action: "api://t#c", privilege: "urn:x" },
    }),
  ).toEqual([
    "onload[0].privilege: is for extra verbs only: this is called by the server itself; remove it",
    "onstart[0].args.a[0]: the variable `$API_NAM` is not set; did you mean `$API_NAME`, or write $$ for a literal $",
    expect.stringContaining("onstart[0].args.a[1]: `${` is not a variable"),
    expect.stringContaining('onstart[0].args.a[2]["b c"]: the variable `$NOPE` is not set'),
  ]);
});

test("event actions that would set themselves off", () => {
  using modules = new Modules();
  const commands = [command("a"), command("b"), command("c")];
  const loop = (events: object[], extra: object[] = []) =>
    problems(modules.dir, { sandboxes: { commands }, events, extra });
  expect(loop([{ uid: "a", action: "api://t#A" }])).toEqual([
    "events[0].action: would set itself off for ever: t/a → t/A",
  ]);
  expect(
    loop(
      [
        { uid: "a", action: "api://t#x" },
        { uid: "T/B", action: "api://t#a", args: { action: "START" } },
      ],
      [{ uid: "x", action: "api://t#b" }],
    ),
  ).toEqual([
    "events[0].action: would set itself off for ever: t/a → t/b → t/a",
    "events[1].action: would set itself off for ever: T/B → t/a → t/b",
  ]);
  // What leads into a circle is none of it, and the search ends.
  expect(
    loop([
      { uid: "c", action: "api://t#a" },
      { uid: "a", action: "api://t#b" },
      { uid: "b", action: "api://t#a" },
    ]),
  ).toEqual([
    "events[1].action: would set itself off for ever: t/a → t/b → t/a",
    "events[2].action: would set itself off for ever: t/b → t/a → t/b",
  ]);
  const stop = { uid: "a", action: "api://t#a", args: { action: "stop" } };
  expect(compiled(modules.dir, { sandboxes: { commands }, events: stop })).toHaveLength(1);
});

test("exec: a notice, and the privilege, limits and detach of the sandbox", () => {
  const sandboxes = { exec: true, privilege: "urn:x", detach: false, limits: { nofile: "7" } };
  const [api] = compiled("/", { sandboxes });
  expect(api?.notices.map(({ path, message }) => `${path}: ${message}`)).toContain(
    "sandboxes[0].exec: whoever may call exec can run any program in this sandbox, with the privilege urn:x",
  );
  const [sandbox] = api?.sandboxes ?? [];
  expect(sandbox?.exec).toMatchObject({ verb: "exec", privileges: ["urn:x"], detach: false });
  expect(sandbox?.exec?.policy).toEqual(sandbox?.plans[0]?.policy as never);
  expect(sandbox?.exec?.ops).toBe(sandbox?.plans[0]?.ops as never);
});

test("without somebody to compile them plugins and actions are refused", () => {
  const { config } = normalize(
    {
      metadata: { uid: "t", api: "t" },
      sandboxes: { uid: "s", acls: { user: "root" }, commands: command("c") },
      extra: { uid: "x", action: "api://t#c" },
    },
    "t.json",
  );
  if (!config) throw new Error("no config");
  const machine = thisMachine();
  expect(() => compile([{ file: "t.json", config }], { machine, checkEncoder })).toThrow(
    "extra: cannot be compiled here",
  );
});

test("a sandbox with `exec` has its event, beside those of commands", () => {
  using modules = new Modules();
  const events = ["c", "exec"].map((uid) => ({ uid, action: "api://monitor#session" }));
  expect(compiled(modules.dir, { sandboxes: { exec: true }, events })).toHaveLength(1);
  expect(problems(modules.dir, { events })).toEqual([
    expect.stringContaining("events[1].uid: no event `t/exec`"),
  ]);
});

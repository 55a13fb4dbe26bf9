import { describe, expect, test } from "bun:test";
import { normalize } from "../../src/config/normalize.ts";
import { pick, seeded } from "./random.ts";

const command = (uid: string, more: object = {}) => ({
  uid,
  exec: { cmdpath: "/bin/true" },
  ...more,
});
const withSandboxes = (sandboxes: unknown, more: object = {}) => ({
  metadata: { uid: "t", api: "t" },
  sandboxes,
  ...more,
});
const withCommand = (more: object) => withSandboxes({ uid: "s", commands: command("c", more) });
const problems = (raw: unknown) =>
  normalize(raw, "f.json").problems.map((p) => `${p.path}: ${p.message}`);

function firstCommand(raw: unknown) {
  const { config, problems: found } = normalize(raw, "f.json");
  expect(found).toEqual([]);
  return config?.sandboxes[0]?.commands[0];
}

describe("normal form", () => {
  test("single values become lists and numbers become text", () => {
    const found = firstCommand(
      withCommand({ exec: { cmdpath: "/bin/sleep", args: 80 }, sample: { a: 1 } }),
    );
    expect(found).toEqual({
      uid: "c",
      exec: { cmdpath: "/bin/sleep", args: ["80"] },
      sample: [{ a: 1 }],
    });
  });

  test("an encoder's name stands for the object", () => {
    expect(firstCommand(withCommand({ encoder: "line" }))?.encoder).toEqual({ output: "line" });
  });

  test("numbers stay as they are written where they are told to others, and are doubles where they are reckoned with", () => {
    const written = JSON.rawJSON("1.50");
    const found = firstCommand(
      withCommand({
        encoder: { output: "line", opts: { maxlen: written } },
        params: { a: { type: "number", default: written } },
      }),
    );
    expect(found?.encoder?.opts).toEqual({ maxlen: 1.5 });
    expect(JSON.stringify(found?.params)).toBe('{"a":{"type":"number","default":1.50}}');
  });

  test("a capability's name too", () => {
    const { config } = normalize(withSandboxes({ uid: "s", caps: ["KILL"], commands: [] }), "f");
    expect(config?.sandboxes[0]?.caps).toEqual([{ cap: "KILL" }]);
  });

  test("absent stays absent: no default is injected", () => {
    const { config } = normalize(
      withSandboxes({ uid: "s", caps: { cap: "KILL" }, commands: [] }),
      "f",
    );
    expect(config?.sandboxes).toEqual([{ uid: "s", caps: [{ cap: "KILL" }], commands: [] }]);
  });

  test("words match in any case and aliases become the canonical word", () => {
    const mounts = [
      { target: "/a", mode: "READ" },
      { target: "/b", mode: "DevFS" },
      { target: "/c", mode: "Tmpfs" },
    ];
    const { config } = normalize(
      withSandboxes({ uid: "s", namespace: { mounts }, commands: [] }),
      "f",
    );
    const modes = config?.sandboxes[0]?.namespace?.mounts?.map((mount) => mount.mode);
    expect(modes).toEqual(["ro", "dev", "tmpfs"]);
  });

  test("aliases of keys are folded, equal duplicates included", () => {
    const raw = withSandboxes({
      uid: "s",
      cgroups: { mem: { hight: "1M" }, task: { mem: { hight: 5, high: "5" } } },
      namespace: { shares: { user: "enable", cgroups: "disable" } },
      commands: command("c", { samples: [1], once: true }),
    });
    const { config, problems: found } = normalize(raw, "f");
    expect(found).toEqual([]);
    expect(config?.sandboxes[0]).toEqual({
      uid: "s",
      cgroups: { mem: { high: "1M" }, task: { mem: { high: "5" } } },
      namespace: { shares: { users: "enable", cgroup: "disable" } },
      commands: [command("c", { sample: [1], single: true })],
    });
  });

  test("both spellings with different values are a problem", () => {
    const found = problems(withCommand({ once: true, single: false }));
    expect(found).toEqual([
      "sandboxes[0].commands[0].once: `once` means `single`, and both are given: true and false",
    ]);
  });

  test("the input is left alone", () => {
    const raw = withCommand({ once: true, encoder: "text" });
    const before = structuredClone(raw);
    normalize(raw, "f");
    expect(raw).toEqual(before);
  });
});

describe("problems", () => {
  test("all of them at once, each with its path", () => {
    const raw = withSandboxes([
      {
        uid: "a",
        verbos: 2,
        acls: { umask: "9", runmod: "admn" },
        commands: [command("x"), { uid: "y", exec: { cmdpth: "/bin/y" }, timeout: -1 }, 7],
      },
    ]);
    const found = problems(raw).join("\n");
    expect(found).toContain(
      "sandboxes[0].verbos: unknown key `verbos`; did you mean `verbose`? valid keys: uid,",
    );
    expect(found).toContain(
      'sandboxes[0].acls.umask: found "9", expected a string like /^0?[0-7]{1,3}$/ (octal',
    );
    expect(found).toContain('acls.runmod: found "admn", expected one of default, user, admin');
    expect(found).toContain("; did you mean `admin`?");
    expect(found).toContain(
      "sandboxes[0].commands[1].exec.cmdpth: unknown key `cmdpth`; did you mean `cmdpath`?",
    );
    expect(found).toContain(
      "sandboxes[0].commands[1].exec.cmdpath: missing key `cmdpath`: expected a string",
    );
    expect(found).toContain("sandboxes[0].commands[1].timeout: found -1, expected a number from 0");
    expect(found).toContain("sandboxes[0].commands[2]: found 7, expected an object (one command");
    expect(problems(raw)).toHaveLength(7);
  });

  test("a broken part does not hide duplicates elsewhere", () => {
    const found = problems(
      withSandboxes({ uid: "s", verbose: "x", commands: [command("c"), command("c")] }),
    );
    expect(found).toHaveLength(2);
    expect(found[1]).toContain(
      "duplicate command uid of this sandbox `c`: already at sandboxes[0].commands[0].uid",
    );
  });

  test.each([
    [null, ": found null, expected an object"],
    [[], ": found a list of 0, expected an object"],
    [{}, "metadata: missing key `metadata`"],
    [withSandboxes("x"), 'sandboxes[0]: found "x", expected an object'],
    [withCommand({ single: "yes" }), 'commands[0].single: found "yes", expected true or false'],
    [
      withCommand({ verbose: 1.5 }),
      "verbose: found 1.5, expected an integer from 0 to 9 (verbosity)",
    ],
    [withCommand({ exec: { cmdpath: "/a\0b" } }), "contains a NUL character"],
    [withCommand({ exec: { cmdpath: "/a", args: ["\ud800"] } }), "args[0]: found "],
    [
      withCommand({ exec: { cmdpath: "/a", args: [["b"]] } }),
      "args[0]: found a list of 1, expected a string",
    ],
    [withCommand({ encoder: 5 }), "encoder: found 5, expected a string or an object"],
  ])("%j", (raw, message) => {
    expect(problems(raw)[0]).toContain(message);
  });

  test("seccomp takes rules or a file of rules", () => {
    const seccomp = { rules: [], rulespath: "/r" };
    expect(problems(withSandboxes({ uid: "s", seccomp, commands: [] }))[0]).toContain(
      "exclude each other",
    );
  });

  test.each([
    [
      '{"metadata": {"uid":"t","api":"t"}, "sandboxes": [], "__proto__": {"x": 1}}',
      "__proto__: unknown key",
    ],
    [
      '{"metadata": {"uid":"t","api":"t"}, "sandboxes": [], "onload": {"uid":"a","action":"b","args":[{"__proto__":1}]}}',
      "onload[0].args[0].__proto__: unknown key",
    ],
  ])("__proto__ is a key like any other: %s", (text, message) => {
    expect(problems(JSON.parse(text))[0]).toContain(message);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });
});

describe("names", () => {
  test("sandbox uids are unique", () => {
    const sandbox = { uid: "s", prefix: "a", commands: [] };
    expect(problems(withSandboxes([sandbox, sandbox]))).toEqual([
      "sandboxes[1].uid: duplicate sandbox uid `s`: already at sandboxes[0].uid",
    ]);
  });

  test("verbs are unique, whatever makes them; case makes them others", () => {
    const raw = withSandboxes([
      { uid: "a", prefix: "x", commands: [command("y"), command("Y")] },
      { uid: "b", prefix: "", commands: command("x/y") },
    ]);
    expect(problems(raw)).toEqual([
      "sandboxes[1].commands[0].uid: duplicate verb `x/y`: already at sandboxes[0].commands[0].uid",
    ]);
    const extra = withSandboxes(
      { uid: "a", commands: command("go") },
      {
        extra: [
          { uid: "GO", action: "api://a#b" },
          { uid: "go", action: "api://a#b" },
        ],
      },
    );
    expect(problems(extra)[0]).toContain("extra[1].uid: duplicate verb `go`");
  });

  test("the same uid in two sandboxes is fine: their uids are the prefixes", () => {
    const raw = withSandboxes([
      { uid: "a", commands: command("x") },
      { uid: "b", commands: command("x") },
    ]);
    expect(problems(raw)).toEqual([]);
  });

  test("built-in verbs and the built-in API are taken", () => {
    const one = (uid: string, more: object = {}) =>
      withSandboxes({ uid: "s", commands: command(uid), ...more });
    expect(problems(one("ping"))[0]).toContain("the verb `ping` is built in");
    expect(problems(one("Ping"))).toEqual([]);
    expect(problems(one("info"))[0]).toContain("the verb `info` is built in");
    expect(problems(one("exec"))).toEqual([]);
    expect(problems(one("exec", { exec: true }))[0]).toContain("the verb `exec` is built in");
    expect(problems(one("ping", { prefix: "net" }))).toEqual([]);
    const monitor = { metadata: { uid: "m", api: "monitor" }, sandboxes: [] };
    expect(problems(monitor)[0]).toContain("metadata.api: the API `monitor` is built in");
  });

  test("names that no URL can carry are refused, of verbs and APIs", () => {
    const verb = (uid: string) => problems(withSandboxes({ uid: "s", commands: command(uid) }))[0];
    const api = (name: string) => problems({ metadata: { uid: "m", api: name }, sandboxes: [] })[0];
    expect(verb("a b")).toContain("contains a blank");
    for (const name of [verb, api]) {
      expect(name("x\ud800")).toContain("contains half of a surrogate pair");
      expect(name("..")).toContain('has a part "." or ".."');
      expect(name("\u0007")).toContain("a control character");
      expect(name("{ü}#?%&")).toBeUndefined();
    }
  });
});

test("fuzz: whatever the JSON, the answer is a config or problems", () => {
  const random = seeded(20240501);
  const words = [
    "uid",
    "sandboxes",
    "commands",
    "exec",
    "cmdpath",
    "args",
    "caps",
    "mode",
    "mem",
    "encoder",
  ] as const;
  const keys = [
    ...words,
    "__proto__",
    "constructor",
    "",
    "a b",
    "metadata",
    "params",
    "seccomp",
  ] as const;
  const value = (depth: number): unknown => {
    const kind = Math.floor(random() * (depth > 0 ? 8 : 5));
    if (kind === 0) return null;
    if (kind === 1) return random() < 0.5;
    if (kind === 2) return (random() - 0.5) * 1e6;
    if (kind <= 4) return pick(random, ["set", "RO", "\ud800", "\0", "$X", "%y%", "/bin/true", ""]);
    if (kind === 5) return Array.from({ length: Math.floor(random() * 4) }, () => value(depth - 1));
    const object: Record<string, unknown> = {};
    for (let i = 0; i < random() * 5; i++) {
      const inner = {
        value: value(depth - 1),
        enumerable: true,
        configurable: true,
        writable: true,
      };
      Object.defineProperty(object, pick(random, ["uid", ...keys]), inner);
    }
    return object;
  };
  const valid = withSandboxes([{ uid: "s", commands: [command("c", { params: {} })] }]);
  // A valid config with one value replaced reaches further than noise.
  const mutate = (node: unknown): unknown => {
    if (random() < 0.15 || typeof node !== "object" || node === null) return value(3);
    const entries = Object.entries(node);
    const at = Math.floor(random() * entries.length);
    if (Array.isArray(node)) return node.map((item, i) => (i === at ? mutate(item) : item));
    return Object.fromEntries(entries.map(([k, v], i) => [k, i === at ? mutate(v) : v]));
  };
  const end = performance.now() + 1500;
  for (let i = 0; i < 10_000 && performance.now() < end; i++) {
    const raw = i % 2 === 0 ? value(6) : mutate(valid);
    const { config, problems: found } = normalize(raw, "f");
    expect(config === undefined).toBe(found.length > 0);
  }
});

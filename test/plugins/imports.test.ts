/** `imports` of configs: what they mean, what is refused, and the actions that name them. */
import { expect, test } from "bun:test";
import { normalize } from "../../src/config/normalize.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { compile } from "../../src/plan/compile.ts";
import { importWords } from "../../src/plan/explain.ts";
import { decodePlans, encodePlans } from "../../src/plan/file.ts";
import { thisMachine } from "../../src/plan/machine.ts";
import { checkEncoder, extend } from "../../src/plugins/extend.ts";

type Part = { api?: string; [key: string]: unknown };

function compiled(...configs: readonly Part[]) {
  const loaded = configs.map(({ api = "t", require = [], ...rest }) => {
    const commands = { uid: "c", exec: { cmdpath: "/bin/echo" } };
    const sandboxes = { uid: "s", acls: { user: `${process.geteuid?.()}` }, commands };
    const raw = { metadata: { uid: api, api, require }, sandboxes, ...rest };
    const file = `${api}.json`;
    const { config, problems } = normalize(raw, file);
    if (!config) throw new ConfigError(problems);
    return { file, config };
  });
  return compile(loaded, { machine: thisMachine(), checkEncoder, extend });
}

const imported = (...imports: readonly object[]) => compiled({ imports })[0]?.imports;

function problems(...configs: readonly Part[]): string {
  try {
    compiled(...configs);
  } catch (error) {
    if (error instanceof ConfigError)
      return error.problems.map(({ path, message }) => `${path}: ${message}`).join("\n");
    throw error;
  }
  return "";
}

test.each([
  [{ uri: "unix:/run/y", as: "sensors" }, "sensors", "sensors"],
  [{ uri: "unix:/run/y", as: "sensors", api: "far" }, "sensors", "far"],
  [{ uri: "unix:/run/y", api: "far" }, "far", "far"],
  [{ uri: "unix:/run/y/far" }, "far", "far"],
  [{ uri: "unix:@far" }, "far", "far"],
  [{ uri: "unix:/run/y?import=here@there" }, "here", "there"],
  [{ uri: "unix:/run/y?import=here@" }, "here", undefined],
  [{ uri: "unix:/run/y?import=here@there", as: "mine" }, "mine", "there"],
  [{ uri: "tcp:10.0.0.2:5000/far" }, "far", "far"],
  [{ uri: "tcp:10.0.0.2:5000/far", as: "mine" }, "mine", "far"],
  [{ uri: "tcp:10.0.0.2:5000", as: "mine" }, "mine", "mine"],
  [{ uri: "mtls+tcp:h:5000/far?trust=/a&cert=/b&key=/c" }, "far", "far"],
  [{ uri: "unix:/run/y/far", protocol: "WS" }, "far", "far"],
])("%j is called %s here, and %s there", (source, name, remote) => {
  const [plan] = imported(source) ?? [];
  expect([plan?.name, plan?.remote]).toEqual([name, remote]);
});

test.each([
  [{ uri: "/run/y", as: "a" }, "imports[0].uri: "],
  [{ uri: "sd:y", as: "a" }, "expected unix:PATH"],
  [{ uri: "unix:/run/y?export=a", as: "a" }, "export= is for --rpc-client"],
  [{ uri: "unix:/run/y?import=a,b" }, "one API each"],
  [{ uri: "unix:/run/y?import=a,b", as: "c" }, "one API each"],
  [{ uri: "unix:/run/y?import=*" }, "has a name"],
  [{ uri: "unix:$NOT_SET/y", as: "a" }, "NOT_SET"],
  [{ uri: "unix:/run/$UID" }, "give `as`"],
  [{ uri: "tls+tcp:h:1/a" }, "trust="],
  [{ uri: "tls+tcp:h:1/a?trust=/x", protocol: "ws" }, "no TLS"],
  [{ uri: `unix:/${"x".repeat(120)}`, as: "a" }, "107 bytes"],
  [{ uri: "unix:/run/y", as: "a/b" }, "imports[0].as"],
  [{ uri: "unix:/run/y", as: ".." }, 'has a part "." or ".."'],
  [{ uri: "unix:/run/.." }, 'has a part "." or ".."'],
  [{ uri: "unix:/run/y", as: "a", secret: 1 }, "secret"],
  [{ uri: "unix:/run/y", as: "t" }, "is here already"],
  [{ uri: "unix:/run/y", as: "Monitor" }, "is here already"],
  [{ uri: "unix:/run/y", as: "a", private: true, privilege: "p" }, "remove one of both"],
])("%j is refused: %s", (source, said) => {
  expect(problems({ imports: source })).toContain(said);
});

test("two configs import the same, or it is named otherwise", () => {
  const one = { uri: "unix:/run/y", as: "far" };
  expect(problems({ imports: one }, { api: "u", imports: one })).toBe("");
  expect(problems({ imports: one }, { api: "u", imports: { ...one, optional: true } })).toContain(
    "imported otherwise at t.json",
  );
  expect(problems({ imports: [one, { ...one, as: "FAR" }] })).toContain("imported otherwise");
});

test("actions, extra verbs and `require` name what is imported; verbs as far as they are known", () => {
  const imports = [
    { uri: "unix:/run/y", as: "far", verbs: ["read"] },
    { uri: "unix:/run/z", as: "open" },
  ];
  const action = (target: string) => ({ uid: "o", action: `api://${target}` });
  expect(
    problems({
      imports,
      require: ["far"],
      onload: action("FAR#read"),
      extra: action("open#whatever"),
    }),
  ).toBe("");
  expect(problems({ imports, onload: action("far#raed") })).toContain(
    "no verb of the API far `raed`",
  );
  expect(problems({ imports, onload: action("fra#read") })).toContain("no API `fra`");
  expect(problems({ imports, require: ["fra"] })).toContain("did you mean");
  // Another config of the same server may use it.
  expect(problems({ imports }, { api: "u", extra: action("far#read") })).toBe("");
  expect(problems({ imports, events: { uid: "far/tick", action: "api://t#c" } })).toBe("");
  expect(problems({ imports, events: { uid: "fra/tick", action: "api://t#c" } })).toContain(
    "no event",
  );
});

test("what anybody may call in the server's name is told, and a plan file keeps it all", () => {
  const [api] = compiled({
    imports: [
      { uri: "unix:/run/y", as: "far", api: "there" },
      { uri: "unix:/run/z", as: "own", private: true },
    ],
  });
  if (!api) throw new Error("nothing compiled");
  expect(api.notices.map(({ path }) => path)).toEqual(["imports[0]"]);
  expect(api.imports?.map(importWords)).toEqual([
    "far/*: of another binder, at unix:/run/y as there, by RPC v3; the start waits for it; whoever may call here may call it",
    "own/*: of another binder, at unix:/run/z, by RPC v3; the start waits for it; only actions and extra verbs call it",
  ]);
  const machine = thisMachine();
  expect(decodePlans(encodePlans([api], machine), machine)[0]?.imports).toEqual(api.imports ?? []);
});

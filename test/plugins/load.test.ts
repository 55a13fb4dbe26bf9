import { expect, spyOn, test } from "bun:test";
import { chmodSync, chownSync, existsSync, mkdirSync, symlinkSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { findModule } from "../../src/plugins/find.ts";
import { loadPlugin } from "../../src/plugins/load.ts";
import type { FunctionContext } from "../../src/plugins/plugin.ts";
import { trusted } from "../../src/config/trust.ts";
import { GOOD, Modules } from "./modules.ts";

const load = (...files: string[]) => loadPlugin({ uid: "u", files });
const context: FunctionContext = { api: "p", call: () => Promise.resolve(), log: () => {} };

test("a TypeScript module, without anything of the project", async () => {
  using modules = new Modules();
  const { encoders, functions } = load(modules.write("a.ts", GOOD));
  expect([...encoders.keys()]).toEqual(["none"]);
  expect(await functions.get("twice")?.(21, context)).toBe(42);
});

test("a default export, and several modules in one plugin", () => {
  using modules = new Modules();
  const a = modules.write("a.ts", GOOD);
  const b = modules.write("b.js", "export default { functions: { b: () => 1 } };");
  expect([...load(a, b).functions.keys()]).toEqual(["twice", "b"]);
  expect(() => load(a, modules.write("c.ts", GOOD))).toThrow(
    "the encoder `none` is in another module of this plugin too",
  );
});

test("once for all, and anew when it has changed, also after it was wrong", async () => {
  using modules = new Modules();
  const file = modules.write("a.js", "export const functions = { id: () => 'old' };");
  const first = load(file);
  expect(load(file)).toBe(first);
  modules.write("a.js", "export const = 1");
  expect(() => load(file)).toThrow(file);
  modules.write("a.js", "await 1; export const functions = { id: () => 'new' };");
  utimesSync(file, 1, 1);
  expect(await load(file).functions.get("id")?.(0, context)).toBe("new");
  first.close();
});

test("what it imports belongs to it: a package, and a file that changes", async () => {
  using modules = new Modules();
  mkdirSync(join(modules.dir, "node_modules/dep/lib"), { recursive: true });
  modules.write("node_modules/dep/package.json", '{"name": "dep", "main": "lib/main.js"}');
  modules.write("node_modules/dep/lib/main.js", "module.exports = 'dep';");
  const beside = modules.write("beside.ts", "export const beside = 'old';");
  const file = modules.write(
    "a.ts",
    "import dep from 'dep'; import { beside } from './beside.ts'; export const functions = { both: () => dep + beside };",
  );
  const first = load(file);
  expect(await first.functions.get("both")?.(0, context)).toBe("depold");
  expect(load(file)).toBe(first);
  modules.write("beside.ts", "export const beside = 'new';");
  utimesSync(beside, 1, 1);
  expect(await load(file).functions.get("both")?.(0, context)).toBe("depnew");
  chmodSync(beside, 0o666);
  if (process.geteuid?.() === 0) chownSync(beside, 0, 0);
  expect(() => load(file)).toThrow(`${beside} can be written by others than its owner`);
});

test("modules may import each other, and themselves", async () => {
  using modules = new Modules();
  modules.write("b.ts", "import { a } from './a.ts'; import './b.ts'; export const b = () => a();");
  const file = modules.write(
    "a.ts",
    "import { b } from './b.ts'; export const a = () => 'both'; export const functions = { b: () => b() };",
  );
  expect(await load(file).functions.get("b")?.(0, context)).toBe("both");
});

test("what is of the runtime is imported by its names, also by what is imported", async () => {
  using modules = new Modules();
  modules.write(
    "beside.ts",
    "import { join } from 'node:path'; import { sep } from 'path'; import { JSCallback } from 'bun:ffi'; export const words = [join('a', 'b'), sep, typeof JSCallback];",
  );
  const file = modules.write(
    "a.ts",
    "import { basename } from 'node:path'; import { words } from './beside.ts'; import { which } from 'bun'; export const functions = { all: () => [basename('/x/y'), typeof which, ...words].join(' ') };",
  );
  expect(await load(file).functions.get("all")?.(0, context)).toBe("y function a/b / function");
});

test("what it can do without may be no program", async () => {
  using modules = new Modules();
  modules.write("broken.js", "export const = 1");
  const file = modules.write(
    "a.ts",
    "let said = 'none'; try { require('./broken.js') } catch (error) { said = 'caught' } export const functions = { said: () => said };",
  );
  expect(await load(file).functions.get("said")?.(0, context)).toBe("caught");
});

test("one that never ends is given up", () => {
  using modules = new Modules();
  const files = [modules.write("a.ts", "for (;;);")];
  expect(() => loadPlugin({ uid: "u", files }, 300)).toThrow("a.ts took more than 0.3 s");
});

test("a clock that is set while it is waited for does not make it late", async () => {
  using modules = new Modules();
  const files = [modules.write("a.ts", "export const functions = { id: (x) => x }")];
  // The runtime waits until a time of day: where the network sets a clock that began in 1970, that is over at once.
  const wait = spyOn(Atomics, "wait").mockImplementationOnce(() => "timed-out");
  try {
    const plugin = loadPlugin({ uid: "u", files });
    expect(wait).toHaveBeenCalled();
    expect(await plugin.functions.get("id")?.(5, context)).toBe(5);
    plugin.end();
  } finally {
    wait.mockRestore();
  }
});

test("is waited for once, whoever else names it or asks", () => {
  using modules = new Modules();
  const files = [modules.write("a.ts", "for (;;) Bun.sleepSync(10);")];
  const checks = "x: { check() { for (;;) Bun.sleepSync(10); }, begin() {} }";
  const b = modules.write("b.ts", `export const encoders = { ${checks} };`);
  const start = performance.now();
  for (let i = 0; i < 5; i++) expect(() => loadPlugin({ uid: "u", files }, 1000)).toThrow("1 s");
  const plugin = loadPlugin({ uid: "v", files: [b] }, 1000);
  for (let i = 0; i < 5; i++) {
    expect(plugin.encoders.get("x")?.checkNow({ i })).toEqual([`v/x: ${b} took more than 1 s`]);
  }
  // Ten times one second, if each were waited for.
  expect(performance.now() - start).toBeLessThan(9000);
  plugin.close();
});

test.each([
  ["syntax", "export const = 1", "a.ts:1:14"],
  ["ends its thread", "process.exit(0)", "a.ts has ended its own thread"],
  ["throws", "throw new Error('at load')", "at load"],
  ["an import", "import x from 'no-such-package'; x();", "no-such-package"],
  ["nothing", "export const other = 1;", "exports neither `encoders` nor `functions`"],
  ["no begin", "export const encoders = { a: {} };", "encoders.a has no function `begin`"],
  ["no function", "export const functions = { a: 1 };", "functions.a is not a function"],
  ["a list", "export const encoders = [];", "`encoders` must be an object"],
])("what is wrong is told with the file: %s", (_name, text, message) => {
  using modules = new Modules();
  const file = modules.write("a.ts", text);
  expect(() => load(file)).toThrow(message);
  expect(() => load(file)).toThrow(file);
});

test("is looked for in the directories of spath, relative to the config file", () => {
  using modules = new Modules();
  const file = modules.write("a.ts", GOOD);
  const config = join(modules.dir, "spawn-x.json");
  expect(findModule("a.ts", undefined, config)).toBe(file);
  expect(findModule("a", ".", config)).toBe(file);
  expect(findModule("a", `nowhere:${modules.dir}`, "/etc/x.json")).toBe(file);
  expect(findModule(file, "nowhere", config)).toBe(file);
  expect(() => findModule("b.ts", "x:/y", config)).toThrow(
    `no module \`b.ts\` in ${modules.dir}/x, /y`,
  );
  expect(() => findModule("old.ctlso", undefined, config)).toThrow(
    "`old.ctlso` is a native plugin, and those are not loaded: write what it does as a TypeScript or JavaScript module",
  );
  expect(() => findModule("libold.so.1", undefined, config)).toThrow("is a native plugin");
});

test("nobody else may be able to change it", () => {
  using modules = new Modules();
  const uid = process.geteuid?.() ?? 0;
  const file = modules.write("a.ts", GOOD);
  expect(trusted(file, uid)).toBe(file);

  chmodSync(file, 0o664);
  expect(() => trusted(file, uid)).toThrow(
    `${file} can be written by others than its owner: chmod go-w ${file}`,
  );
  chmodSync(file, 0o644);
  chmodSync(modules.dir, 0o1777);
  // It is meant to be so, as /tmp is.
  const shared = `others can put files into ${modules.dir}: use a directory of your own`;
  expect(() => trusted(file, uid)).toThrow(shared);
  chmodSync(modules.dir, 0o700);

  const below = join(modules.dir, "shared/own");
  mkdirSync(below, { recursive: true });
  const deep = modules.write("shared/own/b.ts", GOOD);
  chmodSync(join(modules.dir, "shared"), 0o777);
  expect(() => trusted(deep, uid)).toThrow(`chmod go-w ${modules.dir}/shared`);

  // A link is what it leads to.
  const link = join(modules.dir, "link.ts");
  symlinkSync(deep, link);
  expect(() => trusted(link, uid)).toThrow(`chmod go-w ${modules.dir}/shared`);
  expect(() => trusted(modules.dir, uid)).toThrow("is not a regular file");
});

test.skipIf(process.geteuid?.() !== 0)("nor belong to somebody else", () => {
  using modules = new Modules();
  const file = modules.write("a.ts", GOOD);
  chownSync(file, 1234, 0);
  expect(() => trusted(file, 0)).toThrow(
    `${file} belongs to uid 1234, who could change what this server does: chown it to root`,
  );
  chownSync(modules.dir, 1234, 0);
  expect(trusted(file, 1234)).toBe(file);
});

test.skipIf(process.geteuid?.() !== 0)("what it imports is refused before it has run", () => {
  using modules = new Modules();
  const ran = join(modules.dir, "ran");
  const code = `require("node:fs").writeFileSync(${JSON.stringify(ran)}, "");`;
  mkdirSync(join(modules.dir, "node_modules/dep"), { recursive: true });
  for (const name of ["own", "node_modules/out", "node_modules/about", "node_modules/@s/about"])
    mkdirSync(join(modules.dir, name), { recursive: true });
  for (const name of ["about", "@s/about"]) modules.write(`node_modules/${name}/index.js`, code);
  modules.write("node_modules/dep/index.js", code);
  modules.write("node_modules/dep/package.json", '{"main": "index.js"}');
  modules.write("beside.js", code);
  const functions = "export const functions = { f: () => 1 };";
  const imports = {
    package: `import "dep"; ${functions}`,
    required: `require("dep"); ${functions}`,
    later: `await import(["../beside", "js"].join(".")); ${functions}`,
    file: `import "../beside.js"; ${functions}`,
    inner: `import "./through.js"; ${functions}`,
    out: `import "out"; ${functions}`,
    about: `import "about"; ${functions}`,
    part: `import "about/index.js"; ${functions}`,
    scoped: `import "@s/about"; ${functions}`,
    optional: `try { require("other") } catch {} ${functions}`,
  };
  modules.write("own/through.js", 'import "../beside.js";');
  const refused = (name: keyof typeof imports, why: string) => {
    const file = modules.write(`own/${name}.ts`, imports[name]);
    expect(() => load(file)).toThrow(why);
    expect(existsSync(ran)).toBe(false);
  };

  chownSync(join(modules.dir, "node_modules/dep/index.js"), 1234, 0);
  chownSync(join(modules.dir, "beside.js"), 1234, 0);
  for (const name of ["package", "required", "later", "file", "inner"] as const)
    refused(name, "belongs to uid 1234");

  // Who can put a package there chooses, whatever it is now.
  chownSync(join(modules.dir, "node_modules/dep/index.js"), 0, 0);
  chownSync(join(modules.dir, "beside.js"), 0, 0);
  chmodSync(modules.dir, 0o1777);
  for (const name of ["package", "optional"] as const)
    refused(name, `others can put files into ${modules.dir}: `);
  chmodSync(modules.dir, 0o755);

  // And who writes its package.json.
  modules.write("node_modules/out/package.json", '{"main": "../../beside.js"}');
  refused("out", "leads out of");
  for (const [name, place] of [
    ["about", "about"],
    ["part", "about"],
    ["scoped", "@s/about"],
  ] as const) {
    const about = modules.write(`node_modules/${place}/package.json`, '{"main": "index.js"}');
    chownSync(about, 1234, 0);
    refused(name, `${about} belongs to uid 1234`);
  }
});

test.skipIf(process.geteuid?.() !== 0)(
  "a package that is nowhere can be done without where nobody else could put it",
  () => {
    const text = `let said = "there"; try { require("no-such-package"); } catch { said = "without"; }
      export const functions = { said: () => said };`;
    const script = `
      require("node:fs").writeFileSync("/run/a.ts", ${JSON.stringify(text)});
      const { loadPlugin } = await import(${JSON.stringify(join(import.meta.dir, "../../src/plugins/load.ts"))});
      const plugin = loadPlugin({ uid: "u", files: ["/run/a.ts"] });
      console.log(await plugin.functions.get("said")(0, {}));
      plugin.end();`;
    // Up to the root, no directory is anybody else's.
    const { stdout, stderr } = Bun.spawnSync([
      ...["unshare", "--mount", "sh", "-c"],
      ...['mount -t tmpfs -o mode=755 tmpfs /run && exec "$@"', "sh"],
      ...[process.execPath, "-e", script],
    ]);
    expect([`${stdout}`, `${stderr}`]).toEqual(["without\n", ""]);
  },
);

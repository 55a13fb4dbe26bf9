/** The threads of a plugin: how many there are and when, told by what its modules write as they are loaded. */
import { afterEach, describe, expect, jest, spyOn, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { serverLog } from "../../src/log.ts";
import { type LoadedPlugin, loadPlugin } from "../../src/plugins/load.ts";
import type { FunctionContext } from "../../src/plugins/plugin.ts";
import { Modules } from "./modules.ts";

const context: FunctionContext = { api: "p", call: () => Promise.resolve(), log: () => {} };
const open: LoadedPlugin[] = [];
afterEach(() => {
  for (const plugin of open.splice(0)) plugin.end();
});
const load = (file: string, uid = "u") => {
  const plugin = loadPlugin({ uid, files: [file] });
  if (!open.includes(plugin)) open.push(plugin);
  return plugin;
};
const emit = () => Promise.resolve();
const ENCODER = "none: { begin: () => ({ stdout() {}, stderr() {}, end: () => ({}) }) }";

/** A plugin that notes each thread that has loaded it. */
function counting(modules: Modules, encoders = ENCODER, rest = "") {
  const log = join(modules.dir, "log");
  const file = modules.write(
    "a.ts",
    `import { appendFileSync } from "node:fs";
     appendFileSync(${JSON.stringify(log)}, "x");
     ${rest}
     export const functions = { id: (x) => x, never: () => new Promise(() => {}) };
     export const encoders = { ${encoders} };`,
  );
  const loads = () => (existsSync(log) ? readFileSync(log, "utf8").length : 0);
  const until = async (count: number) => {
    while (loads() < count) await sleep(5);
  };
  return { file, loads, until };
}

test("one for what belongs to no task; a spare one where there are encoders, not functions alone, and somebody serves it", async () => {
  using modules = new Modules();
  using others = new Modules();
  const { file, loads, until } = counting(modules);
  const alone = counting(others, "");
  const plugin = load(file);
  expect(loads()).toBe(1);
  expect(await plugin.functions.get("id")?.(5, context)).toBe(5);
  // Nobody serves it: a task has a thread made for it, and nothing is made for the next.
  const first = await plugin.encoders.get("none")?.begin({}, emit);
  expect(loads()).toBe(2);
  await first?.end();
  await sleep(150);
  expect(loads()).toBe(2);
  load(alone.file).open();
  plugin.open();
  await until(3);
  // There is one already.
  plugin.open();
  // The task takes that, and another one is made a moment later.
  const second = await plugin.encoders.get("none")?.begin({}, emit);
  expect(loads()).toBe(3);
  await until(4);
  const third = await plugin.encoders.get("none")?.begin({}, emit);
  expect(loads()).toBe(4);
  await until(5);
  await Promise.all([second?.end(), third?.end()]);
  // It would have been there long before those.
  expect(alone.loads()).toBe(1);
  plugin.close();
  await expect(plugin.functions.get("id")?.(5, context)).rejects.toThrow(
    "the plugin u was taken away",
  );
});

test("one that nobody has any more is not given to the next", async () => {
  using modules = new Modules();
  const { file } = counting(modules);
  const plugin = load(file);
  plugin.close();
  const next = load(file);
  expect(next).not.toBe(plugin);
  expect(await next.functions.get("id")?.(5, context)).toBe(5);
});

test("none of one that nobody has any more goes on, nor the spare one", async () => {
  using modules = new Modules();
  const beats = join(modules.dir, "beats");
  const rest = `setInterval(() => appendFileSync(${JSON.stringify(beats)}, "."), 5);`;
  const { file, until } = counting(modules, ENCODER, rest);
  const plugin = load(file);
  plugin.open();
  await until(2);
  plugin.close();
  for (let before = -1; ;) {
    await sleep(100);
    const now = existsSync(beats) ? readFileSync(beats).length : 0;
    if (now === before) break;
    before = now;
  }
});

test("another plugin of the same files is another one", () => {
  using modules = new Modules();
  const { file, loads } = counting(modules);
  const plugin = load(file);
  expect(load(file)).toBe(plugin);
  expect(load(file, "v")).not.toBe(plugin);
  expect(loads()).toBe(2);
});

test("what fails is tried once for all who ask in a turn, and again later", async () => {
  using modules = new Modules();
  const { file, loads } = counting(modules, ENCODER, "throw new Error('at load');");
  for (let n = 0; n < 3; n++) expect(() => load(file)).toThrow("at load");
  expect(loads()).toBe(1);
  await sleep(5);
  expect(() => load(file)).toThrow("at load");
  expect(loads()).toBe(2);
});

test("a spare one that cannot be loaded is told of to the task that takes it, and to nobody else", async () => {
  using modules = new Modules();
  const log = JSON.stringify(join(modules.dir, "log"));
  const rest = `import { readFileSync } from "node:fs";
    if (readFileSync(${log}, "utf8").length > 1) {
      setTimeout(() => appendFileSync(${log}, "behind it"));
      throw new Error("once more");
    }`;
  const { file, until } = counting(modules, ENCODER, rest);
  const plugin = load(file);
  const said = spyOn(serverLog, "write").mockReturnValue();
  try {
    plugin.open();
    await until(3);
    await expect(plugin.encoders.get("none")?.begin({}, emit)).rejects.toThrow("once more");
    expect(said.mock.calls).toEqual([]);
  } finally {
    said.mockRestore();
  }
});

describe("when its files have changed", () => {
  const changed = (modules: Modules) =>
    void modules.write("a.ts", "export const functions = { id: () => 'new' };");
  test("a task is told to wait for a reload", async () => {
    using modules = new Modules();
    const { file } = counting(modules);
    const plugin = load(file);
    changed(modules);
    const begun = plugin.encoders.get("none")?.begin({}, emit);
    await expect(begun).rejects.toThrow(
      `encoder u/none: ${file} changed since it was loaded, or what it imports; a reload takes it anew`,
    );
  });
  test("so it is where one was ready", async () => {
    using modules = new Modules();
    const { file, until } = counting(modules);
    const plugin = load(file);
    plugin.open();
    await until(2);
    changed(modules);
    const begun = plugin.encoders.get("none")?.begin({}, emit);
    await expect(begun).rejects.toThrow("changed since it was loaded");
  });
  test("one that nobody serves goes, and one that is served goes on", async () => {
    using modules = new Modules();
    const { file } = counting(modules);
    for (const isServed of [false, true]) {
      counting(modules);
      const plugin = load(file);
      if (isServed) plugin.open();
      changed(modules);
      expect(await load(file).functions.get("id")?.(5, context)).toBe("new");
      const old = plugin.functions.get("id")?.(5, context);
      if (isServed) expect(await old).toBe(5);
      else await expect(old).rejects.toThrow("was taken away");
    }
  });
});

test("nothing of what was answered is kept", async () => {
  using modules = new Modules();
  const plugin = load(counting(modules).file);
  const answers: WeakRef<object>[] = [];
  for (let i = 0; i < 200; i++)
    answers.push(new WeakRef((await plugin.functions.get("id")?.({ i }, context)) as object));
  await sleep(1);
  Bun.gc(true);
  // What the collector takes for a reference may be none.
  expect(answers.filter((one) => one.deref() !== undefined).length).toBeLessThan(100);
});

test("at the end what is under way ends, with an error", async () => {
  using modules = new Modules();
  const { file } = counting(modules);
  const plugin = load(file);
  plugin.open();
  const task = await plugin.encoders.get("none")?.begin({}, emit);
  const call = plugin.functions.get("never")?.(0, context);
  const ended = Promise.resolve(call).catch((error: unknown) => error);
  await sleep(20);
  plugin.end();
  expect(await ended).toMatchObject({ message: "the server ends" });
  const over = Promise.resolve(task?.end()).catch((error: unknown) => error);
  expect(await over).toMatchObject({ message: expect.stringContaining("the server ends") });
});

test("a call that never ends has half a minute once nobody has its plugin, as long as anybody waits for it", async () => {
  using modules = new Modules();
  const { file } = counting(modules);
  const plugin = load(file);
  let isOver = false;
  const call = Promise.resolve(plugin.functions.get("never")?.(0, context)).catch(() => {
    isOver = true;
  });
  jest.useFakeTimers();
  try {
    plugin.close();
    jest.advanceTimersByTime(29_999);
    await Promise.resolve();
    expect(isOver).toBe(false);
    jest.advanceTimersByTime(1);
    await call;
    expect(isOver).toBe(true);
  } finally {
    jest.useRealTimers();
  }
});

test("what a check of options says, whatever it gives", async () => {
  using modules = new Modules();
  const begin = "begin: () => ({ stdout() {}, stderr() {}, end: () => ({}) })";
  const checks = {
    ...{ throws: "() => { throw new Error('bad') }", five: "() => 5", nothing: "() => {}" },
    ...{ list: "() => ['x', 1]", fine: "() => []", told: "(opts) => Object.keys(opts)" },
  };
  const all = Object.entries(checks).map(
    ([name, check]) => `${name}: { ${begin}, check: ${check} }`,
  );
  const plugin = load(counting(modules, [...all, `none: { ${begin} }`].join(", ")).file);
  const expected: Record<string, string[]> = {
    throws: ["u/throws: check() failed: bad"],
    five: ["u/five: check() must return a list"],
    nothing: ["u/nothing: check() must return a list"],
    ...{ list: ["x", "1"], fine: [], told: ["a", "b"] },
    none: ["a: the encoder u/none takes no options", "b: the encoder u/none takes no options"],
  };
  for (const [name, problems] of Object.entries(expected)) {
    const encoder = plugin.encoders.get(name);
    expect([name, encoder?.checkNow({ a: 1, b: 2 })]).toEqual([name, problems]);
    expect([name, await encoder?.check({ a: 1, b: 2 })]).toEqual([name, problems]);
  }
  expect(plugin.encoders.get("none")?.checkNow({})).toEqual([]);
});

describe("packages that a module imports", () => {
  const make = (modules: Modules, name: string, about: object, files: Record<string, string>) => {
    const place = join("node_modules", name);
    mkdirSync(join(modules.dir, place), { recursive: true });
    modules.write(join(place, "package.json"), JSON.stringify(about));
    for (const [file, text] of Object.entries(files)) modules.write(join(place, file), text);
    return join(modules.dir, place);
  };
  const using1 = async (modules: Modules, imports: string, about?: object) => {
    if (about) modules.write("package.json", JSON.stringify(about));
    const text = `${imports}; export const functions = { one: () => one };`;
    return load(modules.write("a.ts", text)).functions.get("one")?.(0, context);
  };
  test("of a scope, of a part, by its own name, and of its own", async () => {
    const files = { "index.js": "module.exports = 'dep';", "part.js": "module.exports = 'part';" };
    {
      using modules = new Modules();
      make(modules, "@s/dep", { name: "@s/dep" }, files);
      expect(await using1(modules, "import one from '@s/dep'")).toBe("dep");
      expect(await using1(modules, "import one from '@s/dep/part.js'")).toBe("part");
    }
    {
      using modules = new Modules();
      modules.write("inner.js", "module.exports = 'inner';");
      const about = {
        name: "own",
        exports: { ".": "./inner.js" },
        imports: { "#i": "./inner.js" },
      };
      expect(await using1(modules, "import one from '#i'", about)).toBe("inner");
      expect(await using1(modules, "import one from 'own'", about)).toBe("inner");
    }
  });
  test("by a name of the importer's own, which leads to one beside it", async () => {
    using modules = new Modules();
    make(modules, "dep", { name: "dep" }, { "index.js": "module.exports = 'above';" });
    mkdirSync(join(modules.dir, "below"));
    modules.write("below/package.json", JSON.stringify({ imports: { "#d": "dep" } }));
    const text = "import one from '#d'; export const functions = { one: () => one };";
    const plugin = load(modules.write("below/a.ts", text));
    expect(await plugin.functions.get("one")?.(0, context)).toBe("above");
  });
  test("[protection] none that is not there, where others could put it", async () => {
    using modules = new Modules();
    const text = "let one; try { one = require('no-such-package'); } catch { one = 'without'; }";
    const file = modules.write("a.ts", `${text} export const functions = { one: () => one };`);
    expect(() => load(file)).toThrow(
      `${file}: the package no-such-package would be looked for in ${tmpdir()}: `,
    );
  });
  test("[protection] none that leads out of its place", async () => {
    using modules = new Modules();
    modules.write("outside.js", "module.exports = 1;");
    const place = make(modules, "dep", { name: "dep", main: "../../outside.js" }, {});
    const why = using1(modules, "import one from 'dep'").catch((error: unknown) => error);
    expect(await why).toMatchObject({
      message: expect.stringContaining(
        `the package dep leads out of ${place}, to ${join(modules.dir, "outside.js")}`,
      ),
    });
  });
  test("one that is a link is where that leads", async () => {
    using modules = new Modules();
    using other = new Modules();
    other.write("package.json", '{"name": "dep"}');
    other.write("index.js", "module.exports = 'linked';");
    mkdirSync(join(modules.dir, "node_modules"));
    symlinkSync(other.dir, join(modules.dir, "node_modules/dep"));
    expect(await using1(modules, "import one from 'dep'")).toBe("linked");
  });
});

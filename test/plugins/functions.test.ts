/** Functions of a plugin: one thread for all, which keeps what they remember, and can be ended. */
import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { type LoadedPlugin, loadPlugin } from "../../src/plugins/load.ts";
import type { FunctionContext } from "../../src/plugins/plugin.ts";
import { parseExact } from "../../src/numbers.ts";
import { Modules, shortLimit } from "./modules.ts";

const LIMIT = shortLimit();
const open: { plugin: LoadedPlugin; modules: Modules }[] = [];
afterEach(() => {
  for (const { plugin, modules } of open.splice(0)) {
    plugin.close();
    modules[Symbol.dispose]();
  }
});

const said: unknown[] = [];
const context: FunctionContext = {
  api: "p",
  call: async (...called) => {
    said.push(called);
    if (called[1] === "fail")
      throw Object.assign(new Error("no"), { code: -1234, status: "tired" });
    return { called };
  },
  log: (...logged) => void said.push(logged),
};

function load(functions: string, limit = LIMIT) {
  said.length = 0;
  const modules = new Modules();
  const files = [modules.write("plug.ts", `export const functions = { ${functions} };`)];
  const plugin = loadPlugin({ uid: "plug", files }, limit);
  open.push({ plugin, modules });
  return {
    plugin,
    call: async (name: string, args?: unknown) => plugin.functions.get(name)?.(args, context),
  };
}

/** Not `expect(…).rejects`, which does not turn the event loop as threads need it. */
const failure = (work: Promise<unknown>): Promise<unknown> =>
  work.then(
    () => undefined,
    (error: unknown) => error,
  );

test("what they are given and give", async () => {
  const { call } = load(`
    same: (args) => args,
    later: async (args, { api }) => ({ api, args }),
    date: () => new Date(0),
    nothing() {},
  `);
  expect(await call("same", { a: [1, null, "x"] })).toEqual({ a: [1, null, "x"] });
  // Threads cannot be sent numbers as they are written: code has doubles.
  const exact = parseExact('{"a":[1.50,9007199254740993],"b":{"c":1e21}}');
  expect(await call("same", exact)).toEqual({ a: [1.5, 2 ** 53], b: { c: 1e21 } });
  expect(await call("later", 7)).toEqual({ api: "p", args: 7 });
  expect(await call("date")).toBe("1970-01-01T00:00:00.000Z");
  expect(await call("nothing")).toBeUndefined();
});

test("what they call and log, also after they have returned", async () => {
  const { call } = load(`
    now: async (args, { call, log }) => {
      log("notice", "called");
      return call("api", "verb", args);
    },
    fails: (_args, context) => context.call("api", "fail"),
    caught: (_args, context) => context.call("api", "fail").catch(({ message, code, status }) => ({ message, code, status })),
    late: (_args, { call }) => void setTimeout(() => call("api", "late", 1), 20),
  `);
  expect(await call("now", { n: 1 })).toEqual({ called: ["api", "verb", { n: 1 }] });
  expect(said).toEqual([
    ["notice", "called"],
    ["api", "verb", { n: 1 }],
  ]);
  expect(await failure(call("fails"))).toMatchObject({
    message: "no",
    code: -1234,
    status: "tired",
  });
  expect(await call("caught")).toEqual({ message: "no", code: -1234, status: "tired" });
  await call("late");
  for (let i = 0; i < 200 && said.length < 5; i++) await Bun.sleep(10);
  expect(said.at(-1)).toEqual(["api", "late", 1]);
});

test("calls that nobody waits for are bounded", async () => {
  const flood = `flood(_args, { call }) { for (;;) void call("api", "verb"); }`;
  const { call } = load(flood, 10_000);
  expect(await failure(call("flood"))).toMatchObject({ message: "more than 16384 calls at once" });
});

test("they remember, until their thread has to be ended", async () => {
  const { call } = load(`
    count: () => globalThis.count = (globalThis.count ?? 0) + 1,
    async loop() { await null; for (;;); },
    never: () => new Promise(() => {}),
  `);
  expect([await call("count"), await call("count")]).toEqual([1, 2]);
  const why = `the plugin plug took more than ${LIMIT / 2000} s without a pause`;
  // Not for a promise that is late: the thread turns.
  const waits = call("never");
  await Bun.sleep(LIMIT * 2);
  expect(await call("count")).toBe(3);
  const [loop, waited] = await Promise.allSettled([call("loop"), waits]);
  expect(loop).toMatchObject({ status: "rejected", reason: { message: why } });
  expect(waited).toMatchObject({ status: "rejected", reason: { message: why } });
  expect(await call("count")).toBe(1);
});

test("what strays from them is told, and ends nothing", async () => {
  using modules = new Modules();
  const file = modules.write(
    "plug.ts",
    `let count = 0;
     export const functions = {
       count: () => ++count,
       throws: () => void setTimeout(() => { throw new Error("late"); }),
       rejects: () => void Promise.reject(new Error("handed over")),
     };`,
  );
  // In a process of its own: the runner of tests takes what is not caught, in threads too.
  const source = (name: string) => JSON.stringify(join(import.meta.dir, "../../src", name));
  const script = `
    import { serverLog } from ${source("log.ts")};
    import { loadPlugin } from ${source("plugins/load.ts")};
    const said = [];
    Object.assign(serverLog, { write: (line) => said.push(line) });
    const { functions, close } = loadPlugin({ uid: "plug", files: [${JSON.stringify(file)}] });
    const call = (name) => functions.get(name)(0, { api: "p" });
    said.push(await call("count"));
    for (const name of ["throws", "rejects"]) {
      const before = said.length;
      await call(name);
      while (said.length === before) await Bun.sleep(1);
    }
    said.push(await call("count"));
    console.log(JSON.stringify(said));
    process.exit();`;
  const child = Bun.spawn([process.execPath, "-e", script], {
    ...{ stdio: ["ignore", "pipe", "pipe"], timeout: 30_000 },
  });
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  const strays = ["late", "handed over"].map(
    (why) => `error: plugin plug: an error that it did not catch: Error: ${why}`,
  );
  expect([error, out]).toEqual(["", `${JSON.stringify([1, ...strays, 2])}\n`]);
});

test("a plugin that is closed ends when its calls have", async () => {
  const { call, plugin } = load(`
    slow: () => new Promise((resolve) => setTimeout(() => resolve("done"), 100)),
  `);
  const slow = call("slow");
  plugin.close();
  expect(await slow).toBe("done");
  expect(await failure(call("slow"))).toMatchObject({ message: "the plugin plug was taken away" });
});

test("nor does one that never settles keep it", async () => {
  const { call, plugin } = load("never: () => new Promise(() => {})");
  const never = call("never");
  plugin.close();
  expect(await failure(never)).toMatchObject({ message: "it has ended" });
});

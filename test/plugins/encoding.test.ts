/** Encoders of plugins in threads of their own: whatever they do hurts only their own task. */
import { afterEach, describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import type { Registry } from "../../src/api/registry.ts";
import { findEncoder } from "../../src/encoders/catalogue.ts";
import { type LoadedPlugin, loadPlugin } from "../../src/plugins/load.ts";
import { pidOf, registryOf, settled, shell, TestClient } from "../api/harness.ts";
import { Modules, shortLimit } from "./modules.ts";

const open: { registry: Registry; plugin: LoadedPlugin; modules: Modules }[] = [];
afterEach(async () => {
  for (const { registry, plugin, modules } of open.splice(0)) {
    await registry.close();
    plugin.close();
    modules[Symbol.dispose]();
  }
});

/** A plugin whose encoder `x` has these members; `quiet` is an encoding that does nothing. */
const source = (members: string) => `
const quiet = { stdout() {}, stderr() {}, end: () => ({}) };
const never = () => new Promise(() => {});
export const encoders = { x: { ${members} } };
`;

const SHORT = shortLimit();

/** A registry with the encoder of a plugin as `x`, and a command that prints two lines. */
function connect(
  members: string,
  { limit, script = "echo 1; echo 2; exit 3" }: { limit?: number; script?: string } = {},
) {
  const modules = new Modules();
  const file = modules.write("plug.ts", source(members));
  const plugin = loadPlugin({ uid: "plug", files: [file] }, limit);
  const registry = registryOf(
    [
      shell("a", script, { encoder: { name: "x", opts: {} } }),
      shell("b", "echo fine", { encoder: { name: "sync", opts: {} } }),
    ],
    { encoders: (name) => (name === "x" ? plugin.encoders.get("x") : findEncoder(name)) },
  );
  open.push({ registry, plugin, modules });
  return { client: new TestClient(registry), plugin, file };
}

/** What the final event of the first task tells. */
function statusOf(client: TestClient): object {
  const final = client.frames
    .map((frame) => JSON.stringify(frame))
    .find((text) => text.includes("final-event"));
  const { usage: _, ...status } = JSON.parse(final ?? "")[2].data.status;
  return status;
}

/** It never returns, as `for (;;);` does not, and leaves the processor to others. */
const loop = "for (;;) { try { for (;;) Bun.sleepSync(1); } catch {} }";

describe("hurts only its own task", () => {
  test.each<[name: string, members: string, why: string | RegExp]>([
    ["stdout throws", "begin: () => ({ ...quiet, stdout() { throw new Error('oops'); } })", "oops"],
    [
      "stdout rejects",
      "begin: () => ({ ...quiet, stdout: () => Promise.reject(new Error('oops')) })",
      "oops",
    ],
    [
      "stdout tells another end",
      "begin: (_, emit) => ({ ...quiet, stdout: () => emit({ type: 'final-event', status: { exit: 0 } }) })",
      "the field type is the server's to tell",
    ],
    [
      "end tells another status",
      "begin: () => ({ ...quiet, end: () => ({ status: { exit: 0 } }) })",
      "the field status is the server's to tell",
    ],
    [
      "end gives no object",
      "begin: () => ({ ...quiet, end: () => [1] })",
      "end() must return an object of fields",
    ],
    [
      "what is emitted is no object",
      "begin: (_, emit) => ({ ...quiet, stdout: () => emit(1) })",
      "emit() takes an object of fields",
    ],
    [
      "what is emitted cannot be told",
      "begin: (_, emit) => ({ ...quiet, stdout: () => emit({ n: 1n }) })",
      "JSON.stringify cannot serialize BigInt.",
    ],
    [
      "what is emitted makes nothing of itself",
      "begin: (_, emit) => ({ ...quiet, stdout: () => emit({ toJSON() {} }) })",
      "emit() takes an object of fields",
    ],
    [
      "what is thrown cannot be told",
      "begin: () => ({ ...quiet, stdout() { throw Object.create(null); } })",
      "it has thrown something that cannot be told",
    ],
    [
      "the message is none",
      "begin: () => ({ ...quiet, stdout() { throw Object.assign(new Error(), { message: () => 1 }); } })",
      "() => 1",
    ],
    [
      "its thread is ended",
      "begin: () => ({ ...quiet, stdout: () => process.exit(7) })",
      /plug.ts has ended its own thread/,
    ],
    [
      "its thread is ended without a word",
      `begin: () => ({ ...quiet, stdout() { process.removeAllListeners("exit"); process.exit(7); } })`,
      /plug.ts has ended its own thread/,
    ],
  ])("%s", async (_name, members, why) => {
    const { client } = connect(members);
    await client.call("a");
    expect(settled(await client.call("b"))).toContain('"stdout":["fine"]');
    await client.until('"final-event"');
    expect(statusOf(client)).toEqual({
      exit: 3,
      encoder: why instanceof RegExp ? expect.stringMatching(why) : why,
    });
  });

  test.each<[name: string, members: string, hook?: string]>([
    ["stdout never settles", "begin: () => ({ ...quiet, stdout: never })"],
    [
      "stdout never returns",
      "begin: () => ({ ...quiet, stdout() { for (;;) { try { for (;;); } catch {} } } })",
    ],
    ["behind an await", `begin: () => ({ ...quiet, async stdout() { await null; ${loop} } })`],
    [
      "awaits for ever",
      "begin: () => ({ ...quiet, async stdout() { for (;; await null) Bun.sleepSync(1); } })",
    ],
    [
      "in a timer",
      `begin: () => ({ ...quiet, async stdout() { setTimeout(() => { ${loop} }); await never(); } })`,
    ],
    [
      "in what the hook gives",
      `begin: () => ({ ...quiet, stdout: () => ({ get then() { ${loop} } }) })`,
    ],
    [
      "in what is emitted",
      `begin: (_, emit) => ({ ...quiet, stdout: () => emit({ a: { toJSON() { ${loop} } } }) })`,
    ],
    [
      "emits without end",
      "begin: (_, emit) => ({ ...quiet, stdout() { for (;;) { try { emit({ i: 1 }); } catch {} } } })",
    ],
    [
      "emits without end, in turns",
      "begin: (_, emit) => ({ ...quiet, async stdout() { for (;;) { try { emit({ i: 1 }); } catch {} await null; } } })",
    ],
    ["end never settles", "begin: () => ({ ...quiet, end: never })", "end"],
    ["end never returns", `begin: () => ({ ...quiet, end() { ${loop} } })`, "end"],
  ])("takes too long: %s", async (_name, members, hook = "stdout") => {
    const { client } = connect(members, { limit: SHORT });
    await client.call("a");
    expect(settled(await client.call("b"))).toContain('"stdout":["fine"]');
    await client.until('"final-event"');
    const why = `${hook}() took more than ${SHORT / 1000} s`;
    expect(statusOf(client)).toEqual({ exit: 3, encoder: why });
  });

  test.each([
    ["throws", "begin() { throw new Error('oops'); }", "begin() failed: oops"],
    [
      "gives something else",
      "begin: () => ({ stdout() {} })",
      "what begin() returns has no stderr()",
    ],
    ["gives nothing", "begin() {}", "what begin() returns has no stdout()"],
    ["never returns", `begin() { ${loop} }`, `begin() took more than ${SHORT / 1000} s`],
  ])("begin %s: nothing is started", async (_name, members, why) => {
    const { client } = connect(members, { limit: SHORT });
    expect((await client.call("a")).request).toEqual({
      status: "internal-error",
      info: `encoder plug/x: ${why}`,
      code: -1,
    });
  });
});

test("each task has the modules for itself", async () => {
  const { client } = connect(
    "tasks: 0, begin(_, emit) { const task = ++this.tasks; return { ...quiet, end() { emit({ task }); return {}; } }; }",
  );
  for (const frame of [1, 2, 3]) {
    await client.call("a");
    await client.until(`"pid":${pidOf(client.frames.at(-1))},"status"`);
    expect(client.wire.filter((line) => line.includes('"task":1}'))).toHaveLength(frame);
  }
  expect(client.wire.join()).not.toContain('"task":2');
});

test("waiting for a slow client is no fault, also of one that does not wait", async () => {
  for (const hook of [
    "async stdout() { await emit({ stdout: 1 }); }",
    "stdout() { emit({ stdout: 1 }); }",
  ]) {
    const { client } = connect(`begin: (_opts, emit) => ({ ...quiet, ${hook} })`, { limit: SHORT });
    const gate = Promise.withResolvers<void>();
    client.pause = () => gate.promise;
    await client.call("a");
    await client.until('"stdout":1');
    await Bun.sleep(SHORT * 3);
    expect(client.wire.filter((line) => line.includes('"stdout":1'))).toHaveLength(1);
    gate.resolve();
    client.pause = undefined;
    await client.until("final-event");
    expect(client.wire.at(-1)).toContain('"status":{"exit":3}');
  }
});

test("a server that stands still is no fault of it", async () => {
  const limit = 2000;
  const late = `await emit({ stdout: 1 }); await new Promise((done) => setTimeout(done, ${limit * 1.2}));`;
  for (;;) {
    const begin = performance.now();
    const { client } = connect(`begin: (_, emit) => ({ ...quiet, async stdout() { ${late} } })`, {
      limit,
    });
    await client.call("a");
    await client.until('"stdout":1');
    const before = performance.now() - begin;
    // As in a reload with another plugin that never ends.
    Bun.sleepSync(limit * 1.1);
    const woken = performance.now();
    await client.until("final-event");
    // On a busy machine it has been late by itself, perhaps.
    if (Math.max(before, performance.now() - woken) > limit / 2) continue;
    expect(statusOf(client)).toEqual({ exit: 3 });
    break;
  }
});

test("what it emits is taken as it is, and nothing after the end", async () => {
  const { client } = connect(`begin(_opts, emit) {
    const list = ["a"];
    const fields = { n: 1, list };
    return {
      ...quiet,
      end() {
        void emit(fields);
        fields.n = 2;
        list.length = 0;
        setTimeout(() => emit({ late: true }), 1);
        return {};
      },
    };
  }`);
  await client.call("a");
  await client.until("final-event");
  await Bun.sleep(50);
  expect(client.wire.slice(1)).toEqual([
    '[5,"p/a",{"jtype":"afb-event","event":"p/a","data":{"type":"data","pid":PID,"n":1,"list":["a"]}}]',
    '[5,"p/a",{"jtype":"afb-event","event":"p/a","data":{"type":"final-event","pid":PID,"status":{"exit":3}}}]',
  ]);
});

test("nothing is lost, in order", async () => {
  const count = 50_000;
  const { client } = connect(
    `begin(_opts, emit) {
      const decoder = new TextDecoder();
      let rest = "";
      return {
        ...quiet,
        stdout(chunk) {
          const lines = (rest + decoder.decode(chunk, { stream: true })).split("\\n");
          rest = lines.pop();
          for (const line of lines) emit({ line });
        },
      };
    }`,
    { script: `seq ${count}` },
  );
  await client.call("a");
  await client.until("final-event");
  const lines = client.wire.flatMap((frame) => /"line":"(\d+)"/.exec(frame)?.[1] ?? []);
  expect(lines).toEqual(Array.from({ length: count }, (_, i) => `${i + 1}`));
});

describe("options", () => {
  test.each([
    ["begin: () => quiet", ["a: the encoder plug/x takes no options"]],
    ["begin: () => quiet, check: () => ['a: no']", ["a: no"]],
    ["begin: () => quiet, check: () => 'no'", ["plug/x: check() must return a list"]],
    ["begin: () => quiet, check() { throw new Error('oops'); }", ["plug/x: check() failed: oops"]],
    [
      `begin: () => quiet, check() { ${loop} }`,
      [expect.stringMatching(/^plug\/x: .*plug.* took more than [\d.]+ s( without a pause)?$/)],
    ],
  ])("%s", async (members, problems) => {
    const encoder = connect(members, { limit: SHORT }).plugin.encoders.get("x");
    expect(encoder?.checkNow({ a: 1 })).toEqual(problems);
    // Asked anew, also where the thread had to be ended: who calls `exec` waits without the server.
    expect(await encoder?.check({ a: 1 })).toEqual(problems);
  });
});

test("a file that has changed is not run before a reload", async () => {
  const { client, file, plugin } = connect("begin: () => quiet");
  expect((await client.call("a")).request.status).toBe("success");
  await client.until("final-event");
  writeFileSync(file, source("begin() { throw new Error('new'); }"));
  expect((await client.call("a")).request.info).toBe(
    `encoder plug/x: ${file} changed since it was loaded, or what it imports; a reload takes it anew`,
  );
  const anew = loadPlugin({ uid: "plug", files: [file] });
  expect(anew).not.toBe(plugin);
  expect(() => anew.encoders.get("x")?.begin({}, () => {})).toThrow("new");
  anew.close();
});

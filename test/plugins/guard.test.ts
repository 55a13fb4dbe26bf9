import { afterEach, describe, expect, test } from "bun:test";
import type { Registry } from "../../src/api/registry.ts";
import { guarded } from "../../src/plugins/guard.ts";
import type { PluginEncoder } from "../../src/plugins/plugin.ts";
import { registryOf, settled, shell, TestClient } from "../api/harness.ts";
import { findEncoder } from "../../src/encoders/catalogue.ts";

const registries: Registry[] = [];
afterEach(async () => {
  await Promise.all(registries.splice(0).map((registry) => registry.close()));
});

const quiet = { stdout() {}, stderr() {}, end: () => ({}) };
const LIMIT = 50;

/** A registry with the plugin's encoder as `x`, and a command that prints two lines. */
function connect(plugin: PluginEncoder) {
  const encoder = guarded("plug/x", plugin, LIMIT);
  const registry = registryOf(
    [
      shell("a", "echo 1; echo 2; exit 3", { encoder: { name: "x", opts: {} } }),
      shell("b", "echo fine", { encoder: { name: "sync", opts: {} } }),
    ],
    { encoders: (name) => (name === "x" ? encoder : findEncoder(name)) },
  );
  registries.push(registry);
  return { registry, client: new TestClient(registry) };
}

const never = () => new Promise<never>(() => {});

describe("hurts only its own task", () => {
  test.each<[string, PluginEncoder, string]>([
    [
      "stdout throws",
      {
        begin: () => ({
          ...quiet,
          stdout: () => {
            throw new Error("oops");
          },
        }),
      },
      '"status":{"exit":3,"encoder":"oops"}',
    ],
    [
      "stdout rejects",
      { begin: () => ({ ...quiet, stdout: () => Promise.reject(new Error("oops")) }) },
      '"status":{"exit":3,"encoder":"oops"}',
    ],
    [
      "stdout never settles",
      { begin: () => ({ ...quiet, stdout: never }) },
      '"status":{"exit":3,"encoder":"plug/x: stdout() took more than 0.05 s"}',
    ],
    [
      "stdout never returns",
      {
        begin: () => ({
          ...quiet,
          stdout() {
            for (;;) {
              try {
                for (;;);
              } catch {}
            }
          },
        }),
      },
      '"status":{"exit":3,"encoder":"plug/x: stdout() took more than 0.05 s without a pause"}',
    ],
    [
      "stdout emits without end",
      {
        begin: (_, emit) => ({
          ...quiet,
          stdout() {
            for (let i = 0; ; i++) {
              try {
                void emit({ i: i % 7 });
              } catch {}
            }
          },
        }),
      },
      '"status":{"exit":3,"encoder":"plug/x: stdout() took more than 0.05 s without a pause"}',
    ],
    [
      "end never returns",
      {
        begin: () => ({
          ...quiet,
          end() {
            for (;;);
          },
        }),
      },
      '"status":{"exit":3,"encoder":"plug/x: end() took more than 0.05 s without a pause"}',
    ],
    [
      "stdout tells another end",
      {
        begin: (_, emit) => ({
          ...quiet,
          stdout: () => emit({ type: "final-event", pid: 1, status: { exit: 0 } }),
        }),
      },
      '"status":{"exit":3,"encoder":"the field type is the server\'s to tell"}',
    ],
    [
      "end tells another status",
      { begin: () => ({ ...quiet, end: () => ({ status: { exit: 0 } }) }) },
      '"status":{"exit":3,"encoder":"the field status is the server\'s to tell"}',
    ],
    [
      "end never settles",
      { begin: () => ({ ...quiet, end: never }) },
      '"status":{"exit":3,"encoder":"plug/x: end() took more than 0.05 s"}',
    ],
    [
      "end gives no object",
      { begin: () => ({ ...quiet, end: () => [1] as never }) },
      '"status":{"exit":3,"encoder":"end() must return an object of fields"}',
    ],
  ])("%s", async (_name, plugin, status) => {
    const { client } = connect(plugin);
    await client.call("a");
    expect(settled(await client.call("b"))).toContain('"stdout":["fine"]');
    await client.until('"final-event"');
    const final = client.frames
      .map((frame) => JSON.stringify(frame))
      .find((frame) => frame.includes("final-event"));
    expect(final?.replace(/"usage":\{[^}]*\},/, "")).toContain(status);
  });

  test("begin throws, or gives something else: nothing is started", async () => {
    const throwing: PluginEncoder = {
      begin() {
        throw new Error("oops");
      },
    };
    const info = async (plugin: PluginEncoder) => (await connect(plugin).client.call("a")).request;
    expect(await info(throwing)).toEqual({
      status: "internal-error",
      info: "encoder plug/x: begin() failed: oops",
      code: -1,
    });
    expect((await info({ begin: () => ({ stdout() {} }) as never })).info).toBe(
      "encoder plug/x: what begin() returns has no stderr()",
    );
  });
});

test("waiting for a slow client is no fault", async () => {
  const { client } = connect({
    begin: (_opts, emit) => ({ ...quiet, stdout: async () => void (await emit({ stdout: 1 })) }),
  });
  const gate = Promise.withResolvers<void>();
  client.pause = () => gate.promise;
  await client.call("a");
  await client.until('"stdout":1');
  await Bun.sleep(LIMIT * 3);
  gate.resolve();
  client.pause = undefined;
  await client.until("final-event");
  expect(client.wire.at(-1)).toContain('"status":{"exit":3}');
});

test("what it emits is taken as it is, and nothing after the end", async () => {
  let late = () => {};
  const { client } = connect({
    begin(_opts, emit) {
      const list = ["a"];
      const fields: Record<string, unknown> = { n: 1, list };
      late = () => void emit({ late: true });
      return {
        ...quiet,
        end() {
          void emit(fields);
          fields["n"] = 2;
          list.length = 0;
          return {};
        },
      };
    },
  });
  await client.call("a");
  await client.until("final-event");
  late();
  expect(client.wire.slice(1)).toEqual([
    '[5,"p/a",{"jtype":"afb-event","event":"p/a","data":{"type":"data","pid":PID,"n":1,"list":["a"]}}]',
    '[5,"p/a",{"jtype":"afb-event","event":"p/a","data":{"type":"final-event","pid":PID,"status":{"exit":3}}}]',
  ]);
});

test("options", () => {
  const check = (plugin: PluginEncoder) => guarded("plug/x", plugin).check({ a: 1 });
  expect(check({ begin: () => quiet })).toEqual(["a: the encoder plug/x takes no options"]);
  expect(check({ begin: () => quiet, check: () => ["a: no"] })).toEqual(["a: no"]);
  expect(
    check({
      begin: () => quiet,
      check() {
        throw new Error("oops");
      },
    }),
  ).toEqual(["plug/x: check() failed: oops"]);
});

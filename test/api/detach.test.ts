import { afterEach, expect, test } from "bun:test";
import type { Registry } from "../../src/api/registry.ts";
import { apiOf, pidOf, registryOf, shell, sleeper, TestClient } from "./harness.ts";

const registries: Registry[] = [];
afterEach(async () => {
  await Promise.all(registries.splice(0).map((registry) => registry.close()));
});

function connect(overrides: { detach?: boolean }) {
  const registry = registryOf([sleeper("s", overrides)]);
  registries.push(registry);
  return { registry, client: new TestClient(registry), other: new TestClient(registry) };
}

test("detach false: the task ends with the client that started it, and not with another", async () => {
  const { client, other } = connect({ detach: false });
  const pid = pidOf(await client.call("s"));
  await other.call("s", { action: "subscribe" });
  const leaving = new TestClient(registries[0] as Registry);
  await leaving.call("s", { action: "subscribe" });
  leaving.disconnect();
  process.kill(pid, 0);
  client.disconnect();
  await other.until("final-event");
  expect(other.wire.at(-1)).toContain('"status":{"signal":"Interrupt","cause":"stopped"}');
});

test("so it does with who may still follow it after a reload, by whatever it asked with last", async () => {
  const plan = sleeper("s", { detach: false, privileges: ["urn:x"] });
  let good = ["old", "new"];
  const registry = registryOf([plan], {
    granted: ({ token = "" }) => ({ privileges: new Set(good.includes(token) ? ["urn:x"] : []) }),
  });
  registries.push(registry);
  const [stays, loses, other] = [1, 2, 3].map(() => new TestClient(registry)) as [
    TestClient,
    TestClient,
    TestClient,
  ];
  const by = (token: string) => ({ caller: { token } });
  const pid = pidOf(await stays.call("s", {}, by("old")));
  const lost = pidOf(await loses.call("s", {}, by("old")));
  await stays.call("s", { action: "subscribe", args: { pid } }, by("new"));
  await other.call("s", { action: "subscribe" }, by("new"));
  good = ["new"];
  registry.replace([apiOf([plan])]);
  loses.disconnect();
  stays.disconnect();
  await other.until(`"final-event","pid":${pid}`);
  process.kill(lost, 0);
});

test("by default it goes on", async () => {
  const { client, other } = connect({});
  const pid = pidOf(await client.call("s"));
  client.disconnect();
  await other.call("ping");
  process.kill(pid, 0);
});

test("a client that went while its task was being started", async () => {
  const { client, other } = connect({ detach: false });
  const starting = client.call("s");
  client.disconnect();
  await starting;
  // Nobody hears of its end; its place is free when it is over.
  for (let left: unknown = [1]; Array.isArray(left) && left.length > 0;) {
    left = (await other.call("s", { action: "subscribe" })).response;
    if (Array.isArray(left) && left.length > 0) await other.until("final-event");
  }
});

test("no handler is left when the task has ended", async () => {
  const registry = registryOf([shell("t", "true", { detach: false })]);
  registries.push(registry);
  const client = new TestClient(registry);
  await client.call("t");
  await client.until("final-event");
  await new Promise((resolve) => setImmediate(resolve));
  expect(client.handlers).toBe(0);
});

test("late subscribers get the rest, each once", async () => {
  const registry = registryOf([
    shell("seq", "echo 1; read x < %fifo%; echo 2; echo 3", {
      encoder: { name: "line", opts: {} },
    }),
  ]);
  registries.push(registry);
  const fifo = `/tmp/spawnbox-late-${process.pid}`;
  Bun.spawnSync(["mkfifo", fifo]);
  try {
    const [client, late] = [new TestClient(registry), new TestClient(registry)];
    await client.call("seq", { fifo });
    await client.until('"stdout":"1"');
    await late.call("seq", { action: "subscribe" });
    // Opening it waits for the reader, so not in this process.
    await Bun.spawn(["/bin/sh", "-c", `echo go > ${fifo}`]).exited;
    await Promise.all([client.until("final-event"), late.until("final-event")]);
    const data = (of: TestClient) =>
      of.wire.flatMap((frame) => /"stdout":"(\d)"/.exec(frame)?.[1] ?? []);
    expect([data(client), data(late)]).toEqual([
      ["1", "2", "3"],
      ["2", "3"],
    ]);
  } finally {
    Bun.spawnSync(["rm", fifo]);
  }
});

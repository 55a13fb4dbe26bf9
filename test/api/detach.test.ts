import { expect, test } from "bun:test";
import { apiOf, connecting, pidOf, shell, sleeper, TestClient } from "./harness.ts";

const make = connecting();
const connect = (overrides: { detach?: boolean }) => {
  const { registry, client } = make([sleeper("s", overrides)]);
  return { registry, client, other: new TestClient(registry) };
};

test("detach false: the task ends with the client that started it, and not with another", async () => {
  const { registry, client, other } = connect({ detach: false });
  const pid = pidOf(await client.call("s"));
  await other.call("s", { action: "subscribe" });
  const leaving = new TestClient(registry);
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
  const { registry, client: stays } = make([plan], {
    granted: ({ token = "" }) => ({ privileges: new Set(good.includes(token) ? ["urn:x"] : []) }),
  });
  const [loses, other] = [new TestClient(registry), new TestClient(registry)];
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
  const { client } = make([shell("t", "true", { detach: false })]);
  await client.call("t");
  await client.until("final-event");
  await new Promise((resolve) => setImmediate(resolve));
  expect(client.handlers).toBe(0);
});

test("late subscribers get the rest, each once", async () => {
  const { registry, client } = make([
    shell("seq", "echo 1; read x < %fifo%; echo 2; echo 3", {
      encoder: { name: "line", opts: {} },
    }),
  ]);
  const late = new TestClient(registry);
  const fifo = `/tmp/spawnbox-late-${process.pid}`;
  Bun.spawnSync(["mkfifo", fifo]);
  try {
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

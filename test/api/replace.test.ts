import { expect, test } from "bun:test";
import { apiOf, connecting, pidOf, shell, sleeper, TestClient } from "./harness.ts";

const connect = connecting();

const sync = { encoder: { name: "sync", opts: {} } };

test("new starts have the new plan, running tasks the old one", async () => {
  const { client, registry } = connect([shell("a", "echo old; exec sleep 60", { ...lines() })]);
  const old = pidOf(await client.call("a"));
  await client.until('"stdout":"old"');
  registry.replace([apiOf([shell("a", "echo new", sync), shell("b", "echo b", sync)])]);
  expect(JSON.stringify(await client.call("a"))).toContain('"stdout":["new"]');
  expect(JSON.stringify(await client.call("b"))).toContain('"stdout":["b"]');
  const reply = await client.call("a", { action: "stop", args: { pid: old } });
  expect(reply.response).toBe(`sb/a@${old}`);
  await client.until(`"final-event","pid":${old}`);
});

test("a verb that is gone starts nothing, and its tasks can be reached until they end", async () => {
  const { client, registry } = connect([sleeper("gone")]);
  const second = new TestClient(registry);
  const pid = pidOf(await client.call("gone"));
  registry.replace([apiOf([shell("other", "true")])]);
  expect((await client.call("gone")).request).toEqual({
    status: "unknown-verb",
    info: "no verb `gone` (there is ping, info, other)",
    code: -4,
  });
  expect(registry.list()[0]?.verbs).toEqual(["ping", "info", "other"]);
  expect((await second.call("gone", { action: "subscribe" })).response).toEqual([`sb/gone@${pid}`]);
  expect((await client.call("gone", { action: "stop" })).response).toEqual([`sb/gone@${pid}`]);
  await Promise.all([client.until("final-event"), second.until("final-event")]);
  expect((await client.call("gone", { action: "stop" })).request.status).toBe("unknown-verb");
});

test("so too when the API is gone, and when it comes back", async () => {
  const { client, registry } = connect([sleeper("s", { concurrency: 1 })]);
  const pid = pidOf(await client.call("s"));
  registry.replace([]);
  expect((await client.call("s")).request.status).toBe("unknown-api");
  registry.replace([apiOf([sleeper("s", { concurrency: 1 })])]);
  // It is the same verb: what runs counts.
  expect((await client.call("s")).request.info).toContain(`p/s is running: pid ${pid};`);
  await client.call("s", { action: "stop" });
  await client.until("final-event");
});

test("what cannot be served changes nothing", async () => {
  const { client, registry } = connect([shell("a", "echo old", sync)]);
  const wrong = [
    apiOf([shell("a", "echo new", sync), shell("b", "", { encoder: { name: "nix", opts: {} } })]),
  ];
  expect(() => registry.replace(wrong)).toThrow("p/b: no encoder nix");
  expect(() => registry.replace([apiOf([]), apiOf([])])).toThrow("two APIs are named p");
  expect(JSON.stringify(await client.call("a"))).toContain('"stdout":["old"]');
});

test("close reaches the tasks of verbs that are gone", async () => {
  const { client, registry } = connect([sleeper("gone")]);
  const pid = pidOf(await client.call("gone"));
  registry.replace([]);
  await registry.close();
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

test("of what is gone, the tasks of chosen APIs are ended, also of verbs with a prefix", async () => {
  const { client, registry } = connect([sleeper("box/gone")]);
  const pid = pidOf(await client.call("box/gone"));
  registry.replace([]);
  await registry.endGone((api) => api !== "p");
  expect(process.kill(pid, 0)).toBe(true);
  await registry.endGone((api) => api === "p");
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

function lines() {
  return { encoder: { name: "line", opts: {} } };
}

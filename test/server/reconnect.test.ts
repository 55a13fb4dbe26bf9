import { describe, expect, test } from "bun:test";
import type { Client, Request } from "../../src/api/client.ts";
import { failure, type Reply, success } from "../../src/api/reply.ts";
import { backoff } from "../../src/client/backoff.ts";
import {
  type AfbClient,
  CallError,
  connect,
  ConnectionError,
  type TaskData,
} from "../../src/client.ts";
import { AfbError } from "../../src/errors.ts";
import { LOCAL, serve, TestRegistry } from "./harness.ts";
import { scratch } from "./transport.ts";

const socketUrl = (url: string): string => `${url.replace("http", "ws")}/api`;
const caught = (promise: Promise<unknown>): Promise<unknown> =>
  promise.catch((error: unknown) => error);

describe("reconnect", () => {
  test("a lost call is rejected, not repeated; the next ones go through, with the token", async () => {
    const first = await serve();
    const client = await connect(socketUrl(first.url), {
      token: "T",
      reconnect: { first: 1, most: 20 },
    });
    const told: string[] = [];
    client.on("lost", () => told.push("lost"));
    client.on("close", () => told.push("close"));
    const restored = new Promise<void>((resolve) => client.on("restored", resolve));
    const lost = caught(client.call("t/slow"));
    while (first.registry.slow === 0) await Bun.sleep(1);
    await first.close();
    expect(await lost).toBeInstanceOf(ConnectionError);
    expect(client.connected).toBe(false);
    expect(await caught(client.call("t/ping"))).toBeInstanceOf(ConnectionError);

    await using second = await serve({ endpoints: [{ ...LOCAL, port: first.port }] });
    await restored;
    expect(await client.call("t/who")).toMatchObject({ response: { caller: { token: "T" } } });
    expect(second.registry.slow).toBe(0);
    await client.close();
    expect(told).toEqual(["lost", "close"]);
  }, 60_000);

  test("close ends the attempts; so does their number", async () => {
    for (const attempts of [2, Infinity]) {
      const server = await serve();
      const client = await connect(socketUrl(server.url), {
        reconnect: { first: 1, most: 5, attempts },
      });
      const closed = new Promise((resolve) => client.on("close", resolve));
      const lost = new Promise((resolve) => client.on("lost", resolve));
      await server.close();
      await lost;
      if (attempts === Infinity) await client.close();
      await closed;
      await client.close();
    }
  }, 60_000);

  test("waits longer each time, up to a limit, and never the same", () => {
    const delays = [...backoff({ first: 100, most: 1000, attempts: 6 }, () => 0)];
    expect(delays).toEqual([100, 200, 400, 800, 1000, 1000]);
    expect([...backoff({ first: 100, attempts: 1 }, () => 1)]).toEqual([50]);
  });
});

test("over a unix socket", async () => {
  const { path, remove } = scratch();
  {
    await using _ = await serve({ endpoints: [{ kind: "unix", path }] });
    const client = await connect(`ws+unix://${path}:/api`, { token: "T" });
    expect(await client.call("t/who")).toMatchObject({
      response: { caller: { token: "T", user: {} } },
    });
    await client.close();
  }
  remove();
});

/** `t/task` starts 7 and has events of 7 and 8; `t/sync` has ended with its reply; `t/forever` goes on. */
class Tasks extends TestRegistry {
  readonly actions: unknown[] = [];
  client: Client | undefined;

  override async call(request: Request): Promise<Reply> {
    const { verb, client, args } = request;
    this.actions.push(args);
    const task = { api: "t", sandbox: "s", command: verb, pid: 7 };
    this.client = client;
    const send = (data: object): void => void client?.send(`t/${verb}`, data);
    if (typeof args === "object" && args !== null && "action" in args) {
      if (args.action === "subscribe") {
        setImmediate(() => {
          send({ type: "data", pid: 7, stdout: "a" });
          send({ type: "overflow", pid: 8, events: 1, bytes: 1 });
          send({ type: "overflow", pid: 7, events: 2, bytes: 90 });
          send({ type: "final-event", pid: 7, status: { exit: 0 } });
        });
      }
      return success("s/x@7");
    }
    switch (verb) {
      case "task":
        setImmediate(() => {
          send({ type: "data", pid: 8, stdout: "not ours" });
          for (const line of ["a", "b"]) send({ type: "data", pid: 7, stdout: line });
          send({ type: "final-event", pid: 7, status: { exit: 3 } });
        });
        return success(task);
      case "sync":
        return success({ ...task, status: { exit: 0 }, stdout: ["out"] });
      case "forever":
        setImmediate(() => send({ type: "data", pid: 7, stdout: "a" }));
        return success(task);
      case "bad":
        return failure(new AfbError("bad-state", "running"));
      default:
        return success("pong");
    }
  }
}

test("a task of another, and what is missing of it", async () => {
  const registry = new Tasks();
  await using server = await serve({ registry });
  const client = await connect(socketUrl(server.url));
  const seen: unknown[] = [];
  const missed = (gap: unknown): void => void seen.push(gap);
  for await (const data of client.follow("t/x", 7, { lossless: false, missed })) seen.push(data);
  expect(seen).toEqual([
    { pid: 7, stdout: "a" },
    { events: 2, bytes: 90 },
  ]);
  expect(registry.actions).toEqual([{ action: "subscribe", args: { pid: 7, lossless: false } }]);
  await client.close();
});

describe("events of a task as a loop", () => {
  const open = async () => {
    const registry = new Tasks();
    const server = await serve({ registry });
    return { registry, server, client: await connect(socketUrl(server.url)) };
  };
  const drain = async (client: AfbClient, verb: string) => {
    const seen: TaskData[] = [];
    const events = client.start(`t/${verb}`);
    for (;;) {
      const { done, value } = await events.next();
      if (done) return { seen, status: value };
      seen.push(value);
    }
  };

  test("yields data, returns the status", async () => {
    const { server, client, registry } = await open();
    await using _ = server;
    expect(await drain(client, "task")).toEqual({
      seen: [
        { pid: 7, stdout: "a" },
        { pid: 7, stdout: "b" },
      ],
      status: { exit: 3 },
    });
    expect(await drain(client, "sync")).toEqual({
      seen: [{ pid: 7, stdout: ["out"] }],
      status: { exit: 0 },
    });
    // Nothing was unsubscribed that had ended.
    expect(registry.actions).toEqual([null, null]);
    await client.close();
  });

  test("leaving it unsubscribes", async () => {
    const { server, client, registry } = await open();
    await using _ = server;
    for await (const event of client.start("t/forever", { a: 1 })) {
      expect(event).toEqual({ pid: 7, stdout: "a" });
      break;
    }
    expect(registry.actions).toEqual([{ a: 1 }, { action: "unsubscribe", args: { pid: 7 } }]);
    await client.close();
  });

  test("an error, no task, a lost connection: thrown", async () => {
    const { server, client } = await open();
    const bad = await caught(drain(client, "bad"));
    expect(bad).toBeInstanceOf(CallError);
    expect(String(bad)).toContain("t/bad: bad-state: running");
    expect(String(await caught(drain(client, "pong")))).toContain("started no task");
    const lost = caught(drain(client, "forever"));
    await client.call("t/ping");
    await server.close();
    expect(await lost).toBeInstanceOf(ConnectionError);
  });
});

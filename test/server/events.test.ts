import { describe, expect, jest, test } from "bun:test";
import type { Client, Request } from "../../src/api/client.ts";
import { failure, type Reply, success } from "../../src/api/reply.ts";
import { AfbError } from "../../src/errors.ts";
import { fetched } from "../../src/server/http/answer.ts";
import { streamEvents } from "../../src/server/events.ts";
import { RawClient, TestRegistry } from "./harness.ts";
import { serveOn, TRANSPORTS } from "./transport.ts";

/** `t/task` starts task 7, `t/sync` one of a synchronous encoder, `t/late` fails after an event; `t/real/events` is a verb. */
class Tasks extends TestRegistry {
  client: Client | undefined;
  args: unknown;
  starts = 0;
  readonly started = Promise.withResolvers<Client>();

  override async call(request: Request): Promise<Reply> {
    const { client, verb } = request;
    this.args = request.args;
    const task = { api: "t", sandbox: "s", command: verb, pid: 7 };
    if (verb === "real/events") return success(client !== undefined);
    if (!client || !["task", "sync", "late"].includes(verb)) return super.call(request);
    this.starts++;
    this.client = client;
    if (verb === "task") {
      setImmediate(() => this.started.resolve(client));
      return success(task);
    }
    void client.send(`t/${verb}`, { type: "initial-event", ...task });
    if (verb === "late") return failure(new AfbError("timeout", "too late"));
    return success({ ...task, status: { exit: 0 }, stdout: ["out"] });
  }

  override list() {
    return [{ api: "t", verbs: ["ping", "echo", "task", "real/events"] }];
  }
}

interface SseEvent {
  event: string;
  data: unknown;
}

/** What an EventSource would make of it. */
function parse(text: string): SseEvent[] {
  return text.split("\n\n").flatMap((block) => {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
    const data = field("data");
    return data === undefined
      ? []
      : [{ event: field("event") ?? "message", data: JSON.parse(data) as unknown }];
  });
}

const request = (target: string, headers = ""): string =>
  `GET ${target} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`;

for (const transport of TRANSPORTS) {
  describe(transport, () => {
    const open = async () => {
      const tasks = new Tasks();
      const server = await serveOn(transport, { registry: tasks });
      const client = await RawClient.open(server.to);
      const close = async () => {
        // Otherwise the server waits for it to hang up.
        client.socket.destroy();
        await server[Symbol.asyncDispose]();
      };
      return { tasks, server: { [Symbol.asyncDispose]: close }, client };
    };

    test("reply, data, final-event, end", async () => {
      const { tasks, server, client } = await open();
      await using _ = server;
      client.write(request("/api/t/task/events?name=x", "Connection: close\r\n"));
      const caller = await tasks.started.promise;
      expect(tasks.args).toEqual({ name: "x" });
      void caller.send("t/task", { type: "data", pid: 7, stdout: ["a\nb"] });
      void caller.send("t/task", { type: "final-event", pid: 8, status: { exit: 0 } });
      void caller.send("t/task", { type: "final-event", pid: 7, status: { exit: 0 } });
      const head = await client.head();
      expect(head).toContain("content-type: text/event-stream\r\n");
      const text = await client.rest();
      expect(text).toMatch(/\bid: /);
      const events = parse(text);
      expect(events.map(({ event }) => event)).toEqual([
        "reply",
        "data",
        "final-event",
        "final-event",
      ]);
      expect(events[0]?.data).toMatchObject({ jtype: "afb-reply", response: { pid: 7 } });
      expect(events[1]?.data).toEqual({
        ...{ jtype: "afb-event", event: "t/task" },
        data: { type: "data", pid: 7, stdout: ["a\nb"] },
      });
      expect(caller.connected).toBe(false);
    });

    test("a synchronous encoder; a failure behind an event; no task at all", async () => {
      for (const [target, expected] of [
        ["/api/t/sync/events", ["initial-event", "reply"]],
        ["/api/t/late/events", ["initial-event", "reply"]],
        ["/api/t/ping/events", ["reply"]],
      ] as const) {
        const { server, client } = await open();
        await using _ = server;
        client.write(request(target, "Connection: close\r\n"));
        expect(await client.head()).toStartWith("HTTP/1.1 200 ");
        expect(parse(await client.rest()).map(({ event }) => event)).toEqual([...expected]);
      }
    });

    test("a failure is an HTTP status; the connection goes on", async () => {
      const { server, client } = await open();
      await using _ = server;
      client.write(
        request("/api/t/fail/events") + request("/api/t/nope/events", "Connection: close\r\n"),
      );
      expect(await client.head()).toStartWith("HTTP/1.1 400 ");
      expect(await client.head()).toContain("HTTP/1.1 404 ");
    });

    test("a client that goes is a client that is gone; the task is not touched", async () => {
      const { tasks, server, client } = await open();
      await using _ = server;
      client.write(request("/api/t/task/events"));
      const caller = await tasks.started.promise;
      const gone = new Promise<void>((resolve) => caller.onClose(resolve));
      await client.head();
      client.socket.destroy();
      await gone;
      expect(caller.connected).toBe(false);
      expect(caller.send("t/task", { type: "data", pid: 7 })).toBeUndefined();
    });

    test("a client that does not read holds the sender back", async () => {
      const { tasks, server, client } = await open();
      await using _ = server;
      client.write(request("/api/t/task/events"));
      const caller = await tasks.started.promise;
      await client.head();
      client.socket.pause();
      let sent = 0;
      const flood = (async () => {
        for (; caller.connected && sent < 2000; sent++) {
          await caller.send("t/task", { type: "data", pid: 7, stdout: "x".repeat(65_536) });
        }
      })();
      for (let last = -1; last !== sent;) {
        last = sent;
        await Bun.sleep(150);
      }
      expect(sent).toBeLessThan(1000);
      client.socket.destroy();
      await flood;
    }, 30_000);
  });
}

test("a reconnecting EventSource is told to stop, and runs nothing", async () => {
  await using server = await serveOn("tcp", { registry: new Tasks() });
  const response = await fetch(`${server.url}/api/t/task/events`, {
    headers: { "last-event-id": "x" },
  });
  expect(response.status).toBe(204);
});

test("a verb named …/events wins; HEAD is no way to stream", async () => {
  await using server = await serveOn("tcp", { registry: new Tasks() });
  expect(await (await fetch(`${server.url}/api/t/real/events`)).json()).toMatchObject({
    response: false,
  });
  const response = await fetch(`${server.url}/api/t/task/events`, { method: "HEAD" });
  expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, POST, OPTIONS"]);
});

test("a quiet stream has comments", async () => {
  const tasks = new Tasks();
  const call = { api: "t", verb: "task", args: undefined, session: { uuid: "u" } };
  const response = fetched(
    await streamEvents(new Request("http://localhost/"), {
      registry: tasks,
      call,
      heartbeat: 5,
    }),
  );
  const reader = response.body?.getReader();
  let text = "";
  while (!text.includes("\n\n:\n\n:\n\n")) {
    text += new TextDecoder().decode((await reader?.read())?.value);
  }
  await reader?.cancel();
  expect(tasks.client?.connected).toBe(false);
});

test("none comes before it is known whether there is a stream, nor to who does not read", async () => {
  const gate = Promise.withResolvers<void>();
  class Late extends Tasks {
    override async call(request: Request): Promise<Reply> {
      await gate.promise;
      return super.call(request);
    }
  }
  const tasks = new Late();
  const call = { api: "t", verb: "task", args: undefined, session: { uuid: "u" } };
  jest.useFakeTimers();
  try {
    const answered = streamEvents(new globalThis.Request("http://localhost/"), {
      ...{ registry: tasks, call, heartbeat: 5 },
    });
    jest.advanceTimersByTime(50);
    gate.resolve();
    const response = fetched(await answered);
    const reader = response.body?.getReader();
    const first = new TextDecoder().decode((await reader?.read())?.value);
    expect(first).toContain("event: reply");
    expect(first).not.toContain(":\n\n");
    await reader?.cancel();
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});

test("events of one turn leave together, and what is not read of them counts", async () => {
  const tasks = new Tasks();
  const call = { api: "t", verb: "task", args: undefined, session: { uuid: "u" } };
  const response = fetched(
    await streamEvents(new Request("http://localhost/"), { registry: tasks, call }),
  );
  const caller = await tasks.started.promise;
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  const read = async (): Promise<string> => decoder.decode((await reader?.read())?.value);
  await read();
  for (let i = 0; i < 100; i++)
    void caller.send("t/task", { type: "data", pid: 7, stdout: [`${i}`] });
  expect(parse(await read()).length).toBe(100);
  // Before any of it has left.
  const held = caller.send("t/task", { type: "data", pid: 7, stdout: ["x".repeat(100_000)] });
  expect(held).toBeInstanceOf(Promise);
  expect(caller.backlog).toBeGreaterThan(100_000);
  for (const data of [7, null, "text"]) void caller.send("t/task", data);
  void caller.send("t/task", { type: "final-event", pid: 7, status: { exit: 0 } });
  let last = "";
  for (let piece = await read(); piece !== ""; piece = await read()) last += piece;
  expect(parse(last).map(({ event }) => event)).toEqual([
    ...["data", "data", "data", "data", "final-event"],
  ]);
});

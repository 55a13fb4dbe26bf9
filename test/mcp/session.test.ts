/** What a client is told of a session, and what becomes of its calls: each that is handed on, each that is refused, each end. */
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js";
import { afterEach, describe, expect, jest, spyOn, test } from "bun:test";
import type { Client, Request } from "../../src/api/client.ts";
import { AfbError } from "../../src/errors.ts";
import { Session } from "../../src/mcp/session.ts";
import { granting, sleeper } from "../api/harness.ts";
import { called, linking, verb } from "./linked.ts";

const link = linking();
afterEach(() => void jest.useRealTimers());
const never = () => new Promise<never>(() => {});
const USAGE = { wall: 1, user: 0, system: 0, maxrss: 0 };
const TASK = { api: "p", sandbox: "sb", command: "c", pid: 7 };
/** A verb that launches, as far as a caller can tell: it says where its events stand, and sends them. */
const task = (
  name: string,
  run: (client: Client, request: Request) => unknown,
  more: object = {},
) =>
  verb(
    name,
    (request) => {
      const { client } = request;
      if (!client) throw new Error("nobody hears of it");
      return run(client, request);
    },
    { task: true, ...more },
  );
const ID = "0123456789abcde";
const ends = (client: Client, status: object = { exit: 0 }) =>
  client.send("e", { type: "final-event", status: { ...status, usage: USAGE } });

test("who it is, and what it can", async () => {
  const { client } = await link();
  expect(client.getServerVersion()).toEqual({
    ...{ name: "spawnbox", title: "Commands of this machine", version: "1.2.3" },
  });
  expect(client.getServerCapabilities()).toEqual({
    tools: { listChanged: true },
    resources: { listChanged: true },
  });
  expect(client.getInstructions()).toStartWith("Each tool is one command of this machine");
  expect(client.getInstructions()).toEndWith("before somebody has said yes.");
  expect(await client.listResourceTemplates()).toEqual({ resourceTemplates: [] });
});

test.each([
  ["tools/list", {}],
  ["tools/call", { name: "p_a" }],
  ["resources/list", {}],
  ["resources/read", { uri: "spawnbox://tasks" }],
])("%s before the beginning is refused, and nothing starts", async (method, params) => {
  const begun: Request[] = [];
  const { host, who, own } = await link({ verbs: [verb("a", (request) => begun.push(request))] });
  const session = new Session(host, () => who, own);
  const [here, there] = InMemoryTransport.createLinkedPair();
  const answer = Promise.withResolvers<unknown>();
  here.onmessage = answer.resolve;
  await session.connect(there);
  await here.send({ jsonrpc: "2.0", id: 1, method, params });
  expect(await answer.promise).toEqual({
    ...{ jsonrpc: "2.0", id: 1 },
    error: { code: -32600, message: expect.stringContaining("begin with initialize") },
  });
  expect(begun).toEqual([]);
  await session.close();
});

test("[protection] tools of which the caller has all privileges, and no others", async () => {
  const verbs = [
    verb("a", () => {}),
    verb("b", () => {}, { privileges: ["x"] }),
    verb("c", () => {}, { privileges: ["x", "y"] }),
  ];
  const names = async (...privileges: string[]) => {
    const registry = { granted: granting(...privileges) };
    const { client } = await link({ verbs, registry });
    return (await client.listTools()).tools.map(({ name }) => name);
  };
  expect(await names()).toEqual(["p_a"]);
  expect(await names("x")).toEqual(["p_a", "p_b"]);
  expect(await names("x", "y")).toEqual(["p_a", "p_b", "p_c"]);
});

test("[protection] of a server that knows no privileges, those that need none", async () => {
  const verbs = [verb("a", () => {}), verb("b", () => {}, { privileges: ["x"] })];
  const { registry } = await link({ verbs });
  const host = { registry: { ...registry, describe: () => registry.describe(), may: undefined } };
  const { client } = await link({ host: host as never });
  expect((await client.listTools()).tools.map(({ name }) => name)).toEqual(["p_a"]);
});

test("one that is none is named, as far as somebody reads it", async () => {
  const { client } = await link();
  for (const [name, shown] of [
    ["p_x\u001b", "p_x\\u001b"],
    ["n".repeat(80), "n".repeat(80)],
    ["n".repeat(81), "n".repeat(80)],
  ] as const)
    await expect(client.callTool({ name })).rejects.toThrow(
      `MCP error -32602: MCP error -32602: there is no tool ${shown} here`,
    );
});

test("as many calls at a time as a client may have, and then no more", async () => {
  const all: (() => void)[] = [];
  const held = verb("held", () => new Promise<void>((resolve) => all.push(resolve)));
  const { client, session } = await link({ verbs: [held] });
  expect(session.busy).toBe(false);
  const pending = Array.from({ length: 64 }, () => called(client, "p_held"));
  const busy = await called(client, "p_held");
  expect(busy).toMatchObject({
    content: [{ text: "busy: 64 calls of this client are not over yet" }],
    ...{ isError: true, _meta: { "spawnbox/status": "busy" } },
  });
  expect([all.length, session.busy]).toEqual([64, true]);
  for (const end of all) end();
  for (const one of await Promise.all(pending)) expect(one.isError).toBeUndefined();
  expect(session.busy).toBe(false);
});

test("a call is handed on as it came, with what the client says of itself", async () => {
  const seen: Request[] = [];
  const keep = (request: Request) => {
    seen.push(request);
  };
  const verbs = [verb("plain", keep), verb("starts", keep, { task: true })];
  const { client, who } = await link({
    ...{ verbs, caller: { token: "t" }, name: `${"n".repeat(81)}` },
  });
  for (const name of ["p_plain", "p_starts"])
    for (const args of [undefined, {}, { a: 1, stdin: "s" }]) await called(client, name, args);
  expect(seen.map(({ args }) => args)).toEqual([
    ...[undefined, undefined, { a: 1, stdin: "s" }],
    ...[{ action: "start" }, { action: "start" }],
    { action: "start", args: { a: 1, stdin: "s" } },
  ]);
  for (const one of seen) {
    expect(one).toMatchObject({
      ...{ api: "p", session: who.session, from: who.from, live: true },
      caller: { token: "t", program: `${"n".repeat(80)} 1` },
    });
    expect([one.input, one.gone?.aborted, one.cancel?.aborted]).toEqual([undefined, false, false]);
  }
});

describe("what a command reads", () => {
  const fed = (limit: number, seen: unknown[]) =>
    verb(
      "fed",
      async ({ input, args }) => {
        input?.limit(limit, "maxinput");
        seen.push(args);
        for (let n = 0; n < 2; n++) seen.push(String(await input?.next()));
      },
      { fed: true, task: true, parameters: [{ name: "a", required: false }] },
    );
  test.each<[string, Record<string, unknown> | undefined, unknown[]]>([
    ["all of it, once", { stdin: "abcde" }, [{ action: "start" }, "abcde", "undefined"]],
    ["one byte", { stdin: "x" }, [{ action: "start" }, "x", "undefined"]],
    [
      "with arguments",
      { stdin: "é", a: "b" },
      [{ action: "start", args: { a: "b" } }, "é", "undefined"],
    ],
    ["nothing", { stdin: "" }, [{ action: "start" }, "undefined", "undefined"]],
    ["nothing at all", undefined, [{ action: "start" }, "undefined", "undefined"]],
    [
      "what is no text is an argument, that it does not have",
      { stdin: 5 },
      [{ action: "start", args: { stdin: 5 } }, "undefined", "undefined"],
    ],
  ])("%s", async (_what, args, expected) => {
    const seen: unknown[] = [];
    const { client } = await link({ verbs: [fed(5, seen)] });
    expect((await called(client, "p_fed", args)).isError).toBeUndefined();
    expect(seen.map((one) => (one instanceof Uint8Array ? String(one) : one))).toEqual(
      expected.map((one) =>
        typeof one === "string" && ["abcde", "é", "x"].includes(one)
          ? String(Buffer.from(one))
          : one,
      ),
    );
  });
  test("more than it takes, and what is dropped", async () => {
    const seen: unknown[] = [];
    const { client } = await link({
      verbs: [
        fed(4, seen),
        verb(
          "drops",
          async ({ input }) => {
            input?.drop();
            seen.push(await input?.next());
            input?.limit(0);
          },
          { fed: true },
        ),
      ],
    });
    expect((await called(client, "p_fed", { stdin: "abcde" })).content[0]?.text).toBe(
      "invalid-request: the body has 5 bytes, and at most 4 are read here (maxinput)",
    );
    expect((await called(client, "p_drops", { stdin: "abcde" })).isError).toBeUndefined();
    expect(seen).toEqual([undefined]);
  });
});

describe("a task", () => {
  const lines = (found: Awaited<ReturnType<typeof called>>) =>
    found.content.map(({ text }) => text);

  test("is followed until its end, and told by its id", async () => {
    const one = task("one", (client) => {
      client.stands?.(`no place`);
      client.stands?.(`${ID}:0`);
      client.stands?.(`${ID.replace("0", "9")}:0`);
      queueMicrotask(() => {
        client.send("e", { type: "data", pid: 7, stdout: "a" });
        client.send("e", { type: "other", stdout: "no" });
        client.send("e", "no");
        client.send("e", { type: "final-event", status: "none" });
        client.send("e", { type: "data", pid: 7, stdout: "b" });
        ends(client, { exit: 3 });
        ends(client);
      });
      return { ...TASK, notices: ["mind", 5] };
    });
    const { client, own } = await link({ verbs: [one] });
    const found = await called(client, "p_one");
    expect(lines(found)).toEqual(["a\nb", "mind\nit ended with exit code 3"]);
    expect([...own.ids]).toEqual([ID]);
    expect(found._meta).toMatchObject({ "spawnbox/task": ID });
  });

  test("that has ended when it is told", async () => {
    const one = task("one", (client) => {
      client.stands?.(`${ID}:0`);
      return { ...TASK, status: { exit: 0, usage: USAGE }, stdout: "all", stderr: "", notices: 5 };
    });
    const { client } = await link({ verbs: [one] });
    expect(lines(await called(client, "p_one"))).toEqual(["all"]);
  });

  test("that is not followed any more may still run", async () => {
    const one = task("one", (client) => {
      client.stands?.(`${ID}:0`);
      queueMicrotask(() => void client.send("e", { type: "unsubscribed", info: "why" }));
      return TASK;
    });
    const { client } = await link({ verbs: [one] });
    expect(await called(client, "p_one")).toMatchObject({
      content: [{ text: "why: it may still run" }],
      ...{ isError: true, _meta: { "spawnbox/status": "disconnected" } },
    });
  });

  test.each<[string, object]>([
    ["its process", { pid: "7" }],
    ["its API", { api: 1 }],
    ["its sandbox", { sandbox: 1 }],
    ["its command", { command: undefined }],
  ])("is none that does not tell %s: that is an answer", async (_what, fields) => {
    const one = task("one", (client) => {
      client.stands?.(`${ID}:0`);
      return { ...TASK, ...fields };
    });
    const { client } = await link({ verbs: [one] });
    const { structuredContent } = await called(client, "p_one");
    expect(structuredContent).toEqual(JSON.parse(JSON.stringify({ ...TASK, ...fields })));
  });

  test("that never stood anywhere was another's", async () => {
    const { client } = await link({ verbs: [task("one", () => TASK)] });
    expect((await called(client, "p_one")).structuredContent).toEqual(TASK);
  });

  test("values, where its output is", async () => {
    const one = task(
      "one",
      (client) => {
        client.stands?.(`${ID}:0`);
        queueMicrotask(() => {
          client.send("e", { type: "data", pid: 7, stdout: { a: 1 } });
          ends(client);
        });
        return TASK;
      },
      { values: true },
    );
    const { client } = await link({ verbs: [one] });
    expect((await called(client, "p_one")).structuredContent).toEqual({ a: 1 });
  });

  test("what hears of it has room, is there until the end, and says that it goes", async () => {
    const told: unknown[] = [];
    let ear: Client | undefined;
    const one = task("one", (client) => {
      ear = client;
      client.stands?.(`${ID}:0`);
      client.onClose(() => void told.push("gone"));
      const back = client.onClose(() => void told.push("taken back"));
      back();
      told.push(client.connected, client.backlog);
      queueMicrotask(() => ends(client));
      return TASK;
    });
    const { client, who } = await link({ verbs: [one] });
    await called(client, "p_one");
    expect(told).toEqual([true, 0, "gone"]);
    expect([ear?.connected, ear?.session]).toEqual([false, who.session]);
    // Nothing is kept of what comes later, and who asks then to be told is told.
    ear?.send("e", { type: "data", stdout: "late" });
    ear?.onClose(() => void told.push("late"));
    await Bun.sleep(0);
    expect(told.at(-1)).toBe("late");
  });

  test("cancelled: the verb is told, and the call is over", async () => {
    const cancelled = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    const one = task("one", (client, { cancel }) => {
      client.stands?.(`${ID}:0`);
      cancel?.addEventListener("abort", () => cancelled.resolve());
      started.resolve();
      return TASK;
    });
    const { client, session } = await link({ verbs: [one] });
    const abort = new AbortController();
    const call = client.callTool({ name: "p_one" }, undefined, { signal: abort.signal });
    call.catch(() => {});
    await started.promise;
    abort.abort("enough");
    await expect(call).rejects.toThrow("enough");
    await cancelled.promise;
    while (session.busy) await Bun.sleep(0);
  });

  test("that the client does not come back to is told so, and goes on", async () => {
    const gone = Promise.withResolvers<void>();
    const started = Promise.withResolvers<void>();
    let isOver = () => {};
    const one = task("one", (client, { gone: signal, cancel }) => {
      client.stands?.(`${ID}:0`);
      isOver = () => void ends(client);
      signal?.addEventListener("abort", () => cancel?.aborted === false && gone.resolve());
      started.resolve();
      return TASK;
    });
    const { client, session } = await link({ verbs: [one] });
    const call = called(client, "p_one");
    await started.promise;
    session.away();
    await gone.promise;
    isOver();
    expect((await call).isError).toBeUndefined();
  });
});

test("a call that fails says why", async () => {
  const fails = verb("fails", () => {
    throw new AfbError("bad-state", "not now");
  });
  const { client } = await link({ verbs: [fails] });
  expect(await called(client, "p_fails")).toMatchObject({
    content: [{ text: "bad-state: not now" }],
    ...{ isError: true, _meta: { "spawnbox/status": "bad-state" } },
  });
});

describe("progress", () => {
  const steps = (isSlow: () => boolean) => {
    const one = task("one", (client, { cancel }) => {
      client.stands?.(`${ID}:0`);
      queueMicrotask(() => {
        client.send("e", { type: "data", stdout: "a" });
        if (!cancel?.aborted) ends(client);
      });
      return TASK;
    });
    return link({ verbs: [one], isSlow });
  };
  test.each([
    [false, ["a"]],
    [true, []],
  ])("to a client that is slow: %p", async (isSlow, expected) => {
    const { client } = await steps(() => isSlow);
    const told: unknown[] = [];
    const onprogress = ({ message }: { message?: string | undefined }) => void told.push(message);
    await client.callTool({ name: "p_one" }, undefined, { onprogress });
    expect(told).toEqual(expected);
  });

  test("that cannot be told is told the operator once, and not of a session that is closed", async () => {
    using said = spyOn(console, "error").mockImplementation(() => {});
    const one = task("one", (client) => {
      client.stands?.(`${ID}:0`);
      queueMicrotask(() => {
        for (const stdout of ["a", "b"]) client.send("e", { type: "data", stdout });
        setImmediate(() => ends(client));
      });
      return TASK;
    });
    const { client, session, there } = await link({ verbs: [one] });
    const send = there.send;
    there.send = (message, options) =>
      "method" in message && message.method === "notifications/progress"
        ? Promise.reject(new Error("broken"))
        : send(message, options);
    const run = () => client.callTool({ name: "p_one" }, undefined, { onprogress: () => {} });
    await run();
    await run();
    expect(said.mock.calls).toEqual([
      [expect.stringMatching(/^a client of tools could not be told: .*broken/)],
    ]);
    await session.close();
  });
});

describe("other verbs", () => {
  test("are told once for all that changes within a moment, and are there at once", async () => {
    const { client, registry, sent, session } = await link({ plans: [sleeper("s")] });
    const told = Promise.withResolvers<void>();
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => told.resolve());
    for (let n = 0; n < 3; n++) registry.recheck();
    await told.promise;
    await client.ping();
    const changes = () =>
      sent.flatMap((one) =>
        "method" in one && /list_changed/.test(one.method) ? [one.method] : [],
      );
    const once = ["notifications/tools/list_changed", "notifications/resources/list_changed"];
    expect(changes()).toEqual(once);
    // And again for what changes later.
    const again = Promise.withResolvers<void>();
    client.setNotificationHandler(ToolListChangedNotificationSchema, () => again.resolve());
    registry.recheck();
    await again.promise;
    await client.ping();
    expect(changes()).toEqual([...once, ...once]);
    jest.useFakeTimers();
    registry.recheck();
    expect(jest.getTimerCount()).toBe(1);
    jest.advanceTimersByTime(99);
    expect(changes()).toEqual([...once, ...once]);
    jest.advanceTimersByTime(1);
    expect(changes()).toEqual([...once, ...once, ...once]);
    registry.recheck();
    await session.close();
    expect(jest.getTimerCount()).toBe(0);
    registry.recheck();
    expect(jest.getTimerCount()).toBe(0);
  });
});

test.each<[string, (client: Awaited<ReturnType<typeof link>>["client"]) => Promise<unknown>]>([
  ["tools", (client) => client.listTools()],
  ["resources", (client) => client.listResources()],
  ["what is in one", (client) => client.readResource({ uri: "spawnbox://tasks" })],
])(
  "[protection] lists of %s, which may be long, are made one in a turn of the event loop",
  async (_what, ask) => {
    const linked = await Promise.all([link(), link(), link()]);
    let turn = 0;
    let isOver = false;
    const count = (): void => {
      turn++;
      if (!isOver) setImmediate(count);
    };
    const begun: number[] = [];
    for (const { registry } of linked) {
      const [describe, call] = [registry.describe.bind(registry), registry.call.bind(registry)];
      registry.describe = () => {
        begun.push(turn);
        return describe();
      };
      registry.call = (request) => {
        begun.push(turn);
        return call(request);
      };
    }
    count();
    await Promise.all(linked.map(({ client }) => ask(client)));
    isOver = true;
    expect(new Set(begun).size).toBe(3);
  },
);

test("an end ends its calls", async () => {
  const cancelled = Promise.withResolvers<void>();
  const started = Promise.withResolvers<void>();
  const one = verb("one", ({ cancel }) => {
    cancel?.addEventListener("abort", () => cancelled.resolve());
    started.resolve();
    return never();
  });
  const { client, session } = await link({ verbs: [one] });
  const call = called(client, "p_one");
  call.catch(() => {});
  await started.promise;
  expect(session.busy).toBe(true);
  await session.close();
  await session.close();
  await cancelled.promise;
  await expect(call).rejects.toThrow("closed");
});

import { describe, expect, test } from "bun:test";
import { AFB } from "@redpesk/afb-ws";
import { Window } from "happy-dom";
import { jsonErrorAt } from "../../src/command-line/json-error.ts";
import { connect, ConnectionError } from "../../src/client.ts";
import type { Client, Request } from "../../src/api/client.ts";
import { success, type Reply } from "../../src/api/reply.ts";
import { RawClient, serve, TestRegistry } from "./harness.ts";
import { scratch } from "./transport.ts";

test("Bun's WebSocket", async () => {
  await using server = await serve();
  const socket = new WebSocket(`${server.url.replace("http", "ws")}/api`, ["x-afb-ws-json1"]);
  await new Promise((resolve) => (socket.onopen = resolve));
  expect(socket.protocol).toBe("x-afb-ws-json1");
  const answer = new Promise<unknown>(
    (resolve) => (socket.onmessage = ({ data }) => resolve(data)),
  );
  socket.send('[2,"1","t/echo",{"ü":1}]');
  expect(await answer).toContain('"response":{"ü":1}');
  const closed = new Promise<CloseEvent>((resolve) => (socket.onclose = resolve));
  socket.close(4001, "bye");
  expect(await closed).toMatchObject({ code: 4001 });
});

/** What the package's types leave out. */
interface AfbWs {
  call(method: string, args: unknown): Promise<Reply>;
  onevent(name: string, handler: (event: unknown) => void): void;
  close(): void;
}

test("the JavaScript client of AFB, as in a page", async () => {
  await using server = await serve();
  const window = new Window({ url: `${server.url}/devtools/` });
  Object.assign(globalThis, { window });
  try {
    const afb = new AFB("api", "TOKEN");
    const Ws = afb.ws as unknown as new (open: (ws: AfbWs) => void, abort: () => void) => AfbWs;
    const ws = await new Promise<AfbWs>(
      (resolve, reject) => new Ws(resolve, () => reject(new Error("aborted"))),
    );
    expect(await ws.call("t/who", {})).toMatchObject({ response: { caller: { token: "TOKEN" } } });
    expect(await ws.call("t/fail", {}).catch((reply: unknown) => reply)).toMatchObject({
      request: { status: "invalid-request" },
    });
    const event = new Promise((resolve) => ws.onevent("*", resolve));
    server.registry.onEvents = (client) => void client.send("t/events", [1]);
    await ws.call("t/events", {});
    expect(await event).toEqual({ jtype: "afb-event", event: "t/events", data: [1] });
    ws.close();
  } finally {
    Reflect.deleteProperty(globalThis, "window");
    await window.happyDOM.close();
  }
});

test("our client", async () => {
  await using server = await serve();
  const url = `${server.url.replace("http", "ws")}/api`;
  const client = await connect(url, { token: "T" });
  expect(await client.call("t/who")).toMatchObject({ response: { caller: { token: "T" } } });
  const event = new Promise((resolve) => client.on("event", (name, data) => resolve([name, data])));
  server.registry.onEvents = (caller) => void caller.send("t/events", 1);
  await client.call("t/events");
  expect(await event).toEqual(["t/events", 1]);
  const lost = client.call("t/slow").catch((error: unknown) => error);
  await client.close();
  expect(await lost).toBeInstanceOf(ConnectionError);
  expect(await client.call("t/ping").catch((error: unknown) => error)).toBeInstanceOf(
    ConnectionError,
  );
  expect(await connect(`${url}x`).catch((error: unknown) => error)).toBeInstanceOf(ConnectionError);
});

test("our client is fit for browsers: nothing of Bun or Node.js is imported", async () => {
  const entry = new URL("../../src/client.ts", import.meta.url).pathname;
  const built = await Bun.build({ entrypoints: [entry], target: "browser", minify: false });
  const code = (await built.outputs[0]?.text()) ?? "";
  expect(code).toContain("class AfbClient");
  expect(code).not.toMatch(/\bfrom\s*"|\brequire\(|\bBun\.|\bprocess\b/);
});

/** Tasks as the API room makes them: `t/async`, `t/failing`, `t/sync`, `t/forever`; `t/followed` runs already. */
class TaskRegistry extends TestRegistry {
  stopped: unknown;

  override async call(request: Request): Promise<Reply> {
    const { verb, client, args } = request;
    if (!client || !["async", "failing", "sync", "forever", "followed"].includes(verb))
      return super.call(request);
    const task = { api: "t", sandbox: "s", command: verb, pid: 7 };
    const send = (data: object, to: Client = client): void => void to.send(`t/${verb}`, data);
    if (verb === "sync") {
      send({ type: "initial-event", ...task });
      return success({ ...task, status: { exit: 0 }, stdout: ["out"] });
    }
    if (verb === "followed") {
      this.stopped = args;
      send({ type: "overflow", pid: 7, events: 12, bytes: 345 });
      send({ type: "data", pid: 7, stdout: ["b"] });
      send({ type: "final-event", pid: 7, status: { exit: 3 } });
      return success("s/followed@7");
    }
    if (verb === "forever") {
      const stop =
        typeof args === "object" && args !== null && "action" in args && args.action === "stop";
      if (stop) this.stopped = args;
      const other = typeof args === "object" && args !== null && "action" in args;
      return success(other ? "s/forever@7" : task);
    }
    // Before the reply is out: the client must keep them.
    send({ type: "data", pid: 7, stdout: ["a"] });
    send({ type: "data", pid: 8, stdout: ["not ours"] });
    send({ type: "final-event", pid: 7, status: { exit: verb === "async" ? 0 : 3 } });
    return success(task);
  }
}

describe("spawnbox call", () => {
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  /** In a process of its own, as it is called. @param interrupt Ctrl-C, once it has printed something */
  const invoke = async (argv: readonly string[], interrupt = false) => {
    const registry = new TaskRegistry();
    await using server = await serve({ registry });
    const called = Bun.spawn(
      [process.execPath, main, "call", "--raw", "--url", server.url, ...argv],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    const err = called.stderr.text();
    let out = "";
    const decoder = new TextDecoder();
    for await (const chunk of called.stdout) {
      out += decoder.decode(chunk, { stream: true });
      if (interrupt) called.kill("SIGINT");
    }
    const code = await called.exited;
    return { code, out, err: await err, lines: out.trim().split("\n"), registry };
  };

  test("no task", async () => {
    const { code, out } = await invoke(["t/ping"]);
    expect(out).toBe(
      '{"jtype":"afb-reply","request":{"status":"success","code":0},"response":"pong=1"}\n',
    );
    expect(code).toBe(0);
    expect((await invoke(["t/fail"])).code).toBe(1);
  });

  test("what a terminal would obey is escaped, and means the same to who reads JSON; numbers stay as they are written", async () => {
    const text = "\x1b[2J\x9b2J\x7f\u202e\u2028\n";
    const number = "12345678901234567890.50";
    const { out } = await invoke(["t/echo", `[${JSON.stringify(text)},${number}]`]);
    expect(out).toContain(`"\\u001b[2J\\u009b2J\\u007f\\u202e\\u2028\\n",${number}]`);
    expect(JSON.parse(out)).toMatchObject({ response: [text, Number(number)] });
  });

  test("a task: its events, and its status", async () => {
    const { code, lines } = await invoke(["t/async", '{"a":1}']);
    expect(lines.slice(1)).toEqual([
      '{"type":"data","pid":7,"stdout":["a"]}',
      '{"type":"final-event","pid":7,"status":{"exit":0}}',
    ]);
    expect(code).toBe(0);
    expect((await invoke(["t/failing"])).code).toBe(1);
    const sync = await invoke(["t/sync"]);
    expect([sync.code, sync.lines.length]).toEqual([0, 2]);
  });

  test("a task of another: its events, and how many are missing", async () => {
    const args = { action: "subscribe", args: { pid: 7, lossless: true } };
    const { code, lines, err, registry } = await invoke(["t/followed", JSON.stringify(args)]);
    expect(registry.stopped).toEqual(args);
    expect(lines.slice(1)).toEqual([
      '{"type":"overflow","pid":7,"events":12,"bytes":345}',
      '{"type":"data","pid":7,"stdout":["b"]}',
      '{"type":"final-event","pid":7,"status":{"exit":3}}',
    ]);
    expect(err).toStartWith("12 events (345 bytes) are missing here: ");
    expect(code).toBe(1);
  });

  test("Ctrl-C leaves the task of another alone", async () => {
    const { code, registry } = await invoke(
      ["t/forever", '{"action":"subscribe","args":{"pid":7}}'],
      true,
    );
    expect([code, registry.stopped]).toEqual([130, undefined]);
  });

  test("Ctrl-C stops the task", async () => {
    const { code, registry } = await invoke(["t/forever"], true);
    expect(code).toBe(130);
    expect(registry.stopped).toEqual({ action: "stop", args: { pid: 7 } });
  });

  test("wrong usage, no connection", async () => {
    for (const argv of [
      [],
      ["ping"],
      ["t/ping", "{", "x"],
      ["t/ping", "--nope"],
      ["t/ping", "--url=x:"],
    ]) {
      const { code, err } = await invoke(argv);
      expect(err).toStartWith("spawnbox call: ");
      expect(code).toBe(2);
    }
    const { err } = await invoke(["t/ping", '{"a":1,}']);
    expect(err).toContain("at character 8: unexpected }");
    const none = await invoke(["t/ping", "--url=ws://127.0.0.1:1/api"]);
    expect([none.code, none.err]).toEqual([
      3,
      expect.stringContaining("cannot connect to ws://127.0.0.1:1/api"),
    ]);
    expect((await invoke(["--help"])).out).toContain("usage: spawnbox call");
  });

  test("over a unix socket", async () => {
    const { path, remove } = scratch();
    {
      await using _ = await serve({ endpoints: [{ kind: "unix", path }] });
      for (const url of [`unix:${path}`, `ws+unix:${path}`, `ws+unix://${path}:/api`]) {
        expect(await invoke(["t/ping", `--url=${url}`])).toMatchObject({ code: 0, err: "" });
      }
    }
    expect((await invoke(["t/ping", `--url=unix:${path}`])).code).toBe(3);
    expect((await invoke(["t/ping", "--url=unix:/a:/b:/c"])).code).toBe(2);
    remove();
  });

  test("where JSON is wrong", () => {
    for (const good of [
      "1",
      ' {"a":[1,{},[],"\\u00e9\\n"],"b":{"c":null}} ',
      "-0.5e+3",
      '""',
      "[[]]",
    ]) {
      expect(jsonErrorAt(good)).toBeUndefined();
    }
    const bad: [string, number][] = [
      ["", 0],
      ["{", 1],
      ["[1,]", 3],
      ["{a:1}", 1],
      ["1 2", 2],
      ["[1}", 2],
      ["01", 1],
    ];
    for (const [text, offset] of bad) expect(jsonErrorAt(text)).toBe(offset);
  });
});

test("what a call costs", async () => {
  await using server = await serve();
  const measure = async (name: string, call: () => Promise<unknown>) => {
    const times: number[] = [];
    for (let i = 0; i < 2000; i++) {
      const start = performance.now();
      await call();
      times.push((performance.now() - start) * 1000);
    }
    times.sort((a, b) => a - b);
    console.log(`${name}: p50 ${times[1000]?.toFixed(0)} µs, p99 ${times[1980]?.toFixed(0)} µs`);
  };
  using client = await RawClient.webSocket(server.port);
  const ping = (mask: boolean) => async () => {
    client.call("1", "t/ping", null, mask);
    await client.frame();
  };
  await measure("unmasked", ping(false));
  await measure("masked", ping(true));
  await measure("REST", async () => (await fetch(`${server.url}/api/t/ping`)).text());
  expect(server.registry.pings).toBe(6000);
}, 30_000);

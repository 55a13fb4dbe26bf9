/** Tools over HTTP, by the SDK's own client: what is listed, what comes of a call, and who may do what. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { Client } from "@modelcontextprotocol/sdk/client/index.js";
import {
  type ElicitResult,
  ResourceListChangedNotificationSchema,
  ToolListChangedNotificationSchema,
} from "@modelcontextprotocol/sdk/types.js";
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
  chmodSync,
} from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { serve, type Served } from "../served.ts";
import { access, call, config, connect, textOf, TOKENS } from "./serving.ts";

const PLUGIN = `export const functions = {
  both: async (_args, { call }) => ({ pid: 1, inner: (await call("t", "sync")).stdout, n: 2 }),
  asks: async (_args, { call }) => call("t", "ask", { what: "by a plugin" }),
};`;
const withPlugin = () => {
  const made = config();
  const functions = ["both", "asks"].map((uid) => ({ uid, action: `plugin://plug#${uid}` }));
  const plugins = { uid: "plug", spath: dir, libs: "plug.ts" };
  return { ...made, plugins, extra: [...made.extra, ...functions] };
};

let dir: string;
let served: Served;
let client: Client;
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-mcp-"));
  chmodSync(dir, 0o700);
  writeFileSync(join(dir, "access.json"), JSON.stringify(access), { mode: 0o600 });
  const argv = ["--mcp", "--access", join(dir, "access.json"), "--audit", join(dir, "audit")];
  writeFileSync(join(dir, "plug.ts"), PLUGIN);
  served = await serve(withPlugin(), { argv });
  ({ client } = await connect(served.url));
});
afterAll(async () => {
  await client.close();
  await served[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

test("is there with a slash behind it, too, as clients may have it from elsewhere", async () => {
  const statuses = ["/mcp", "/mcp/", "/mcp/x"].map(async (path) => {
    const { status, headers } = await fetch(`${served.url}${path}`, { method: "OPTIONS" });
    return [status, headers.get("allow")];
  });
  const there = [204, "GET, POST, DELETE, OPTIONS"];
  expect((await Promise.all(statuses)).slice(0, 2)).toEqual([there, there]);
  expect((await fetch(`${served.url}/mcp/x`)).status).toBe(404);
});

const namesOf = async (one: Client) => (await one.listTools()).tools.map(({ name }) => name);
const yes: ElicitResult = { action: "accept", content: { confirm: true } };
/** Whether a process with this command line is there. */
const runs = (line: string): boolean =>
  readdirSync("/proc").some((pid) => {
    if (!/^\d+$/.test(pid) || !existsSync(`/proc/${pid}/cmdline`)) return false;
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").trim() === line;
    } catch (error) {
      if (error instanceof Error && "code" in error) return false;
      throw error;
    }
  });
async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("it did not come");
    await Bun.sleep(20);
  }
}
const post = (body: string, headers: Record<string, string> = {}) =>
  fetch(`${served.url}/mcp`, {
    method: "POST",
    headers: {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      ...headers,
    },
    body,
  });
const rpc = (method: string, params: object = {}, id: unknown = 1) =>
  JSON.stringify({ jsonrpc: "2.0", id, method, params });
const initialize = rpc("initialize", {
  protocolVersion: "2025-11-25",
  capabilities: {},
  clientInfo: { name: "raw", version: "1" },
});
async function begun(headers: Record<string, string> = {}): Promise<string> {
  const response = await post(initialize, headers);
  await response.text();
  return response.headers.get("mcp-session-id") ?? "";
}

describe("what is listed", () => {
  test("[protection] tools that the caller may call, and nothing of the server itself", async () => {
    const names = await namesOf(client);
    expect(names).toContain("t_say");
    expect(names).toContain("t_via");
    for (const name of ["t_ping", "t_info", "t_exec", "monitor_reload", "t_read", "t_own"])
      expect(names).not.toContain(name);
    const { client: reader } = await connect(served.url, { token: TOKENS.reader });
    const { client: owner } = await connect(served.url, { token: TOKENS.owner });
    expect(await namesOf(reader)).toContain("t_read");
    expect(await namesOf(reader)).not.toContain("t_own");
    expect(await namesOf(owner)).toContain("t_own");
    const refused = await call(reader, "t_own");
    expect(refused.isError).toBe(true);
    expect(textOf(refused)).toContain("urn:t:own");
    expect(textOf(await call(owner, "t_own"))).toBe("own");
    await Promise.all([reader.close(), owner.close()]);
  });

  test("as the config describes them, with what the sandbox proves", async () => {
    const { tools } = await client.listTools();
    const of = (name: string) => tools.find((one) => one.name === name);
    expect(of("t_say")).toMatchObject({
      title: "Say it",
      description: "says what it is given",
      inputSchema: {
        properties: { text: { type: "string" }, n: { type: "integer" } },
        required: ["text"],
        additionalProperties: false,
      },
      annotations: { title: "Say it", readOnlyHint: true, openWorldHint: false },
    });
    expect(of("t_object")).toMatchObject({
      inputSchema: { properties: { value: { type: "string" } } },
      outputSchema: { properties: { n: { type: "integer" } } },
      annotations: {
        ...{ readOnlyHint: false, destructiveHint: true },
        ...{ idempotentHint: true, openWorldHint: true },
      },
    });
    expect(of("t_ask")?.description).toContain("A person is asked");
    expect(of("t_via")?.description).toContain("A person is asked");
    expect(of("t_cat")?.inputSchema.properties).toHaveProperty("stdin");
  });

  test("resources: sandboxes, doctor, and the tasks of this caller alone", async () => {
    const { client: owner } = await connect(served.url, { token: TOKENS.owner });
    await call(owner, "t_say", { text: "mine" });
    const { resources } = await owner.listResources();
    expect(resources.map(({ uri }) => uri)).toEqual([
      "spawnbox://sandbox/t/box",
      "spawnbox://tasks",
      "spawnbox://doctor",
    ]);
    const read = async (uri: string, by = owner) => {
      const [found] = (await by.readResource({ uri })).contents;
      return found && "text" in found ? found.text : "";
    };
    expect(JSON.parse(await read("spawnbox://sandbox/t/box"))).toHaveProperty("exposure");
    expect(JSON.parse(await read("spawnbox://doctor"))).toHaveProperty("features");
    expect(await read("spawnbox://tasks")).toContain('"mine"');
    expect(await read("spawnbox://tasks", client)).not.toContain('"mine"');
    await expect(owner.readResource({ uri: "spawnbox://sandbox/t/../../etc" })).rejects.toThrow(
      "no such",
    );
    await owner.close();
  });
});

describe("what comes of a call", () => {
  test.each<[string, Record<string, unknown>, object]>([
    ["t_say", { text: "hi", n: 3 }, { content: [{ type: "text", text: "hi 3" }] }],
    [
      "t_object",
      { value: '{"n":7}' },
      { structuredContent: { n: 7 }, content: [{ type: "text", text: '{"n":7}' }] },
    ],
    ["t_values", {}, { structuredContent: { values: [[1], "x", { a: 1 }] } }],
    ["t_picture", {}, { content: [{ type: "image", data: "iVBORw==", mimeType: "image/png" }] }],
    ["t_sound", {}, { content: [{ type: "audio", data: "UklGRg==", mimeType: "audio/wav" }] }],
    ["t_page", {}, { content: [{ type: "resource", resource: { text: "<b>\n" } }] }],
    ["t_blob", {}, { content: [{ type: "resource", resource: { blob: "UEv/" } }] }],
    ["t_rawbytes", {}, { content: [{ type: "resource", resource: { blob: "//4=" } }] }],
    ["t_sync", {}, { content: [{ text: "out" }, { text: "stderr:\nerr" }] }],
    ["t_cat", { stdin: "given" }, { content: [{ text: "given" }] }],
    ["t_cat", {}, { content: [] }],
  ])("%s", async (name, args, expected) => {
    const result = await call(client, name, args);
    expect(result.isError).toBeUndefined();
    expect(result).toMatchObject(expected);
    for (const one of result.content)
      if (one.type !== "resource_link") expect(one._meta).toEqual({ "spawnbox/untrusted": true });
  });

  test("more input than the command takes is refused", async () => {
    const refused = await call(client, "t_cat", { stdin: "given!" });
    expect([refused.isError, textOf(refused)]).toEqual([
      true,
      expect.stringContaining("at most 5"),
    ]);
  });

  test("a function of a plugin answers for itself, whatever it starts", async () => {
    expect((await call(client, "t_both")).structuredContent).toEqual({
      ...{ pid: 1, inner: ["out"], n: 2 },
    });
    const refused = await call(client, "t_asks");
    expect([refused.isError, textOf(refused)]).toEqual([
      true,
      expect.stringContaining("cannot ask"),
    ]);
  });

  test("errors tell the exit, the signal, the cause", async () => {
    const failed = await call(client, "t_fail");
    expect(failed.isError).toBe(true);
    expect(textOf(failed)).toBe("before\nstderr:\nwhy\nit ended with exit code 7");
    expect(failed._meta?.["spawnbox/status"]).toMatchObject({ exit: 7 });
    expect(textOf(await call(client, "t_die"))).toContain("signal: Killed");
    expect(textOf(await call(client, "t_late"))).toContain("cause: timeout");
    const bad = await call(client, "t_say", { text: "x", n: "three" });
    expect([bad.isError, textOf(bad)]).toEqual([true, expect.stringContaining("argument `n`")]);
    expect(textOf(await call(client, "t_say", {}))).toContain("text");
    await expect(call(client, "t_ping")).rejects.toThrow("no tool");
  });

  test("what it prints is not what its config says", async () => {
    // Straight, since the client would look itself.
    const misfit = await client.request(
      { method: "tools/call", params: { name: "t_object", arguments: { value: '{"n":"x"}' } } },
      (await import("@modelcontextprotocol/sdk/types.js")).CallToolResultSchema,
    );
    expect([misfit.isError, textOf(misfit)]).toEqual([
      true,
      expect.stringContaining("not what its config says"),
    ]);
    expect(misfit.structuredContent).toBeUndefined();
  });

  test("much of it: the beginning and the end, and what is gone is told", async () => {
    const text = textOf(await call(client, "t_much"));
    expect(text.length).toBeLessThan(200_000);
    expect(text).toStartWith("line 0\nline 1\n");
    expect(text).toContain("\nline 39999\n");
    expect(text).toMatch(/\[\d+ lines, \d+ characters, are left out here\]/);
    expect(text).toMatch(/\n\d+ characters of its output are left out$/);
    // As the config bounds it.
    expect(textOf(await call(client, "t_few"))).toStartWith(
      "1\n2\n...\n4 bytes of its output are lost",
    );
    // Half of a picture is none.
    const huge = await call(client, "t_huge");
    expect(huge.content[0]?.type).toBe("resource");
    expect(textOf(huge)).toContain("the last 2902848 bytes of its output are left out");
  });

  test("[protection] nothing in its output is obeyed by what shows it", async () => {
    expect(textOf(await call(client, "t_escape"))).toBe("\\u001b[31mred\\u001b[0m \\u202e <1>x");
  });

  test("progress, from what says so and from lines", async () => {
    const told = async (name: string) => {
      const steps: unknown[] = [];
      const result = await call(client, name, {}, { onprogress: (step) => void steps.push(step) });
      return { steps, result };
    };
    const { steps, result } = await told("t_steps");
    expect(steps).toEqual([1, 5, 10].map((n) => ({ progress: n, total: 10, message: `at ${n}` })));
    expect(result.structuredContent).toEqual({ done: true });
    const lines = await told("t_lines");
    expect(lines.steps).toEqual([
      ...["a", "b", "c"].map((message, i) => ({ progress: i + 1, message })),
      { progress: 50 },
    ]);
    expect(textOf(lines.result)).toBe("a\nb\nc\nd");
  });

  test("[protection] cancelled, its whole tree ends", async () => {
    const abort = new AbortController();
    const started = Promise.withResolvers<void>();
    const cancelled = call(
      client,
      "t_tree",
      {},
      {
        signal: abort.signal,
        onprogress: () => started.resolve(),
      },
    );
    await started.promise;
    await until(() => runs("sleep 61") && runs("sleep 62"));
    abort.abort("enough");
    await expect(cancelled).rejects.toThrow("enough");
    await until(() => !runs("sleep 61") && !runs("sleep 62"));
    await until(() =>
      /"event":"stop".*"verb":"tree"/.test(readFileSync(join(dir, "audit"), "utf8")),
    );
  });

  test("cancelled, the stream of its answer ends, and who comes back to it is told that there is none", async () => {
    const headers = { "mcp-session-id": await begun(), "mcp-protocol-version": "2025-11-25" };
    const params = { name: "t_tree", arguments: {}, _meta: { progressToken: "p" } };
    const response = await post(rpc("tools/call", params, "c"), headers);
    // No proxy is to collect it.
    expect(response.headers.get("cache-control")).toBe("no-store, no-transform");
    expect(response.headers.get("x-accel-buffering")).toBe("no");
    let text = "";
    for await (const chunk of response.body ?? []) {
      const told = text.includes("started");
      text += new TextDecoder().decode(chunk);
      if (told || !text.includes("started")) continue;
      const cancel = {
        jsonrpc: "2.0",
        method: "notifications/cancelled",
        params: { requestId: "c" },
      };
      expect((await post(JSON.stringify(cancel), headers)).status).toBe(202);
    }
    expect(text).not.toContain('"id":"c"');
    const [, last = ""] = /^id: (\S+)/m.exec(text) ?? [];
    const again = await fetch(`${served.url}/mcp`, {
      headers: { ...headers, accept: "text/event-stream", "last-event-id": last },
    });
    expect([again.status, await again.text()]).toEqual([405, expect.stringContaining("cancelled")]);
    // Others go on.
    const others = await post(rpc("tools/call", { name: "t_lines", arguments: {} }), headers);
    expect(await others.text()).toContain('"a\\nb\\nc\\nd"');
  });

  test("cancelled, what was called in the same message is answered all the same", async () => {
    const headers = { "mcp-session-id": await begun(), "mcp-protocol-version": "2025-03-26" };
    const calls = ["t_tree", "t_lines"].map((name) =>
      rpc("tools/call", { name, arguments: {}, _meta: { progressToken: name } }, name),
    );
    const abort = new AbortController();
    const response = await fetch(`${served.url}/mcp`, {
      method: "POST",
      headers: {
        ...{ ...headers, "content-type": "application/json" },
        accept: "application/json, text/event-stream",
      },
      body: `[${calls.join()}]`,
      signal: abort.signal,
    });
    let text = "";
    let isCancelled = false;
    for await (const chunk of response.body ?? []) {
      text += new TextDecoder().decode(chunk);
      if (text.includes('"id":"t_lines"')) break;
      if (isCancelled || !text.includes("started")) continue;
      isCancelled = true;
      const params = { requestId: "t_tree" };
      const cancel = { jsonrpc: "2.0", method: "notifications/cancelled", params };
      await post(JSON.stringify(cancel), headers);
    }
    expect(text).toContain('"a\\nb\\nc\\nd"');
    abort.abort();
  });

  test("a client that comes back to a call that is answered gets what it has missed, and no stream stays open", async () => {
    const asked: string[] = [];
    const { client: own } = await connect(served.url, {
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        const headers = new Headers(init?.headers);
        if (headers.has("last-event-id")) asked.push(`${init?.method} ${response.status}`);
        return response;
      },
    });
    // Whoever is told so comes back for the answer.
    await expect(call(own, "t_none")).rejects.toThrow("no tool");
    await until(() => asked.length > 0);
    expect(asked).toEqual(["GET 405"]);

    const headers = { "mcp-session-id": await begun(), "mcp-protocol-version": "2025-11-25" };
    const text = await (
      await post(rpc("tools/call", { name: "t_lines", arguments: {} }, "l"), headers)
    ).text();
    const [, first = ""] = /^id: (\S+)/m.exec(text) ?? [];
    const again = await fetch(`${served.url}/mcp`, {
      headers: { ...headers, accept: "text/event-stream", "last-event-id": first },
    });
    expect([again.status, await again.text()]).toEqual([
      200,
      expect.stringContaining('"a\\nb\\nc\\nd"'),
    ]);
  });

  test("a client that cancels hears of no error, and asks for nothing again", async () => {
    const asked: string[] = [];
    const { client: own, transport } = await connect(served.url, {
      fetch: async (url, init) => {
        const response = await fetch(url, init);
        const headers = new Headers(init?.headers);
        if (headers.has("last-event-id")) asked.push(`${init?.method} ${response.status}`);
        return response;
      },
    });
    const failed: string[] = [];
    own.onerror = ({ message }) => void failed.push(message);
    const abort = new AbortController();
    const onprogress = (): void => abort.abort("enough");
    const cancelled = call(own, "t_tree", {}, { signal: abort.signal, onprogress });
    await expect(cancelled).rejects.toThrow("enough");
    await until(() => asked.length > 0);
    expect(textOf(await call(own, "t_lines"))).toBe("a\nb\nc\nd");
    expect([asked, failed]).toEqual([["GET 405"], []]);
    await transport.terminateSession();
    await own.close();
  });

  test("the audit has each call, with the client's name", async () => {
    await call(client, "t_say", { text: "to be told" });
    const line = () =>
      readFileSync(join(dir, "audit"), "utf8")
        .split("\n")
        .find((one) => one.includes("to be told"));
    await until(() => line() !== undefined);
    expect(line()).toContain('"program":"a client 1\\\\u001b[0m","via":"mcp"');
  });
});

describe("a person is asked", () => {
  const asking = async (answer?: ElicitResult) => {
    const questions: string[] = [];
    const { client: one } = await connect(served.url, {
      ...(answer && { answer }),
      asked: (message) => void questions.push(message),
    });
    return { one, questions };
  };

  test("yes: it runs, and the question shows what; an extra verb asks too", async () => {
    const { one, questions } = await asking(yes);
    expect(textOf(await call(one, "t_ask", { what: "this\u202e" }))).toContain("this");
    expect(questions[0]).toContain('["/bin/echo","this\\u202e"]');
    expect(textOf(await call(one, "t_via"))).toBe("by the extra verb");
    expect(questions[1]).toContain("by the extra verb");
    expect(textOf(await call(one, "t_secret", { key: "hunter2" }))).toContain("done");
    expect(questions[2]).not.toContain("hunter2");
    // What nobody reads is not asked about, nor what cannot be started.
    expect(textOf(await call(one, "t_ask", { what: "x".repeat(5000) }))).toContain("nobody reads");
    expect(textOf(await call(one, "t_ask", { what: 5 }))).toContain("argument");
    expect(questions).toHaveLength(3);
    await one.close();
  });

  test.each<[string, ElicitResult | undefined, string]>([
    ["no", { action: "decline" }, "declined"],
    ["nothing", { action: "cancel" }, "without an answer"],
    ["a yes that is none", { action: "accept", content: { confirm: false } }, "not confirmed"],
    ["a text", { action: "accept", content: { confirm: "true" } }, "not confirmed"],
    ["an empty yes", { action: "accept", content: {} }, "not confirmed"],
    ["nobody is there", undefined, "this client cannot ask one"],
  ])(
    "[protection] %s: nothing is started, and that is in the audit",
    async (_what, answer, why) => {
      const { one } = await asking(answer);
      for (const [name, args] of [
        ["t_ask", { what: "never" }],
        ["t_via", {}],
      ] as const) {
        const result = await call(one, name, args);
        expect([result.isError, textOf(result)]).toEqual([true, expect.stringContaining(why)]);
      }
      await one.close();
      const audit = () => readFileSync(join(dir, "audit"), "utf8");
      await until(() => audit().includes(why));
      expect(audit()).not.toMatch(/"event":"start".*never/);
    },
  );

  test("cancelled while somebody thinks", async () => {
    const asked = Promise.withResolvers<void>();
    const { client: one } = await connect(served.url, {
      answer: () => new Promise<ElicitResult>(() => {}),
      asked: () => asked.resolve(),
    });
    const abort = new AbortController();
    const pending = call(one, "t_ask", { what: "unasked" }, { signal: abort.signal });
    await asked.promise;
    abort.abort("no more");
    await expect(pending).rejects.toThrow("no more");
    await until(() =>
      readFileSync(join(dir, "audit"), "utf8").includes("cancelled before it began"),
    );
    await one.close();
  });
});

describe("sessions", () => {
  test("[protection] that of somebody else is not there", async () => {
    const own = await begun({ authorization: `Bearer ${TOKENS.owner}` });
    const as = (token?: string) =>
      post(rpc("tools/list"), {
        "mcp-session-id": own,
        ...(token && { authorization: `Bearer ${token}` }),
      });
    const bodyOf = async (response: Response) => [response.status, await response.text()];
    const unknown = await post(rpc("tools/list"), { "mcp-session-id": crypto.randomUUID() });
    const nobody = await bodyOf(unknown);
    expect(nobody[0]).toBe(404);
    expect(await bodyOf(await as())).toEqual(nobody);
    expect(await bodyOf(await as(TOKENS.reader))).toEqual(nobody);
    for (const method of ["GET", "DELETE"]) {
      const headers = { "mcp-session-id": own, accept: "text/event-stream" };
      expect((await fetch(`${served.url}/mcp`, { method, headers })).status).toBe(404);
    }
    expect((await as(TOKENS.owner)).status).toBe(200);
  });

  test("one that is ended ends its calls", async () => {
    const { client: one, transport } = await connect(served.url);
    const started = Promise.withResolvers<void>();
    const pending = call(one, "t_tree", {}, { onprogress: () => started.resolve() });
    pending.catch(() => {});
    await started.promise;
    await until(() => runs("sleep 61"));
    await transport.terminateSession();
    await until(() => !runs("sleep 61") && !runs("sleep 62"));
    await one.close();
  });

  test("a stream that broke is taken up where it was", async () => {
    const id = await begun();
    const headers = { "mcp-session-id": id, "mcp-protocol-version": "2025-11-25" };
    const abort = new AbortController();
    const params = { name: "t_lines", arguments: {}, _meta: { progressToken: "p" } };
    const response = await fetch(`${served.url}/mcp`, {
      method: "POST",
      headers: {
        ...headers,
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
      },
      body: rpc("tools/call", params),
      signal: abort.signal,
    });
    const reader = response.body?.getReader();
    const first = new TextDecoder().decode((await reader?.read())?.value);
    const [, last = ""] = /^id: (\S+)/m.exec(first) ?? [];
    expect(last).not.toBe("");
    abort.abort();
    await reader?.cancel().catch(() => {});
    const resumed = async (): Promise<string> => {
      const again = await fetch(`${served.url}/mcp`, {
        headers: { ...headers, accept: "text/event-stream", "last-event-id": last },
      });
      // It may still be on its way out.
      if (again.status === 409) return Bun.sleep(50).then(resumed);
      let text = "";
      for await (const chunk of again.body ?? []) {
        text += new TextDecoder().decode(chunk);
        if (text.includes('"id":1')) break;
      }
      return text;
    };
    const text = await resumed();
    expect(text).toContain('"a\\nb\\nc\\nd"');
    const foreign = await fetch(`${served.url}/mcp`, {
      headers: {
        ...{ "mcp-session-id": await begun(), accept: "text/event-stream" },
        "last-event-id": last,
      },
    });
    expect(foreign.status).toBe(400);
  });

  test("a reload is told, and other tools are there; calls go on", async () => {
    const { client: one } = await connect(served.url);
    const tools = Promise.withResolvers<void>();
    const resources = Promise.withResolvers<void>();
    one.setNotificationHandler(ToolListChangedNotificationSchema, () => tools.resolve());
    one.setNotificationHandler(ResourceListChangedNotificationSchema, () => resources.resolve());
    const started = Promise.withResolvers<void>();
    const abort = new AbortController();
    const running = call(
      one,
      "t_tied",
      {},
      { onprogress: () => started.resolve(), signal: abort.signal },
    );
    running.catch(() => {});
    await started.promise;
    const file = join(dirname(served.program), "config.json");
    writeFileSync(
      file,
      JSON.stringify(config([{ uid: "new", exec: { cmdpath: "/bin/echo", args: "new" } }])),
    );
    process.kill(served.pid, "SIGHUP");
    await Promise.all([tools.promise, resources.promise]);
    expect(await namesOf(one)).toContain("t_new");
    expect(textOf(await call(one, "t_new"))).toBe("new");
    expect(runs("sleep 63")).toBe(true);
    abort.abort();
    await until(() => !runs("sleep 63"));
    writeFileSync(file, JSON.stringify({ ...config(), mcp: ["say", "pic*"] }));
    process.kill(served.pid, "SIGHUP");
    const few = async (): Promise<string[]> => {
      const names = await namesOf(one);
      return names.length > 2 ? Bun.sleep(50).then(few) : names;
    };
    expect(await few()).toEqual(["t_say", "t_picture"]);
    await expect(call(one, "t_sync")).rejects.toThrow("no tool");
    writeFileSync(file, JSON.stringify(config()));
    process.kill(served.pid, "SIGHUP");
    const all = async (): Promise<number> => {
      const { length } = await namesOf(one);
      return length === 2 ? Bun.sleep(50).then(all) : length;
    };
    expect(await all()).toBeGreaterThan(20);
    await one.close();
  });

  test("fifty clients at once", async () => {
    const done = await Promise.all(
      Array.from({ length: 50 }, async (_one, n) => {
        const { client: one, transport } = await connect(served.url);
        const text = textOf(await call(one, "t_say", { text: `client ${n}` }));
        await transport.terminateSession();
        await one.close();
        return text === `client ${n}`;
      }),
    );
    expect(done).toEqual(done.map(() => true));
  });
});

describe("hostile", () => {
  test.each<[string, string, Record<string, string>, number]>([
    ["no JSON", "{", {}, 400],
    ["no text", "\ud800", {}, 400],
    ["no message", "5", {}, 400],
    ["no beginning", rpc("tools/list"), {}, 400],
    ["nested without end", "[".repeat(100_000), {}, 400],
    ["a million values", `[${"0,".repeat(400_000)}0]`, {}, 400],
    ["a form", "a=b", { "content-type": "application/x-www-form-urlencoded" }, 400],
    ["a page of another site", initialize, { origin: "http://evil.example" }, 403],
    ["another name of this machine", initialize, { host: "evil.example" }, 403],
    ["a browser that says nothing", initialize, { "user-agent": "Mozilla/5.0" }, 403],
    ["from elsewhere, by a proxy", initialize, { "x-forwarded-for": "203.0.113.7" }, 401],
    [
      "the same with a token that nobody has handed out",
      initialize,
      { "x-forwarded-for": "203.0.113.7", authorization: "Bearer wrong" },
      401,
    ],
    [
      "the same with one that somebody has",
      initialize,
      { "x-forwarded-for": "203.0.113.7", authorization: `Bearer ${TOKENS.reader}` },
      200,
    ],
    ["a beginning without end", initialize.replace("raw", "r".repeat(70_000)), {}, 413],
    ["a compressed body", initialize, { "content-encoding": "gzip" }, 415],
    [
      "a body without a coding, and any answer",
      initialize,
      { "content-encoding": "identity", accept: "*/*" },
      200,
    ],
    ["answers by ranges", initialize, { accept: "Application/*;q=0.5, text/*" }, 200],
    ["an answer that is no stream", initialize, { accept: "application/*" }, 406],
  ])("[protection] %s", async (_what, body, headers, status) => {
    const response = await post(body, headers);
    await response.text();
    expect(response.status).toBe(status);
  });

  test("a token in the address counts for nothing", async () => {
    const response = await fetch(`${served.url}/mcp?access_token=${TOKENS.owner}`, {
      method: "POST",
      headers: {
        "x-forwarded-for": "203.0.113.7",
        "content-type": "application/json",
        accept: "application/json, text/event-stream",
      },
      body: initialize,
    });
    expect(response.status).toBe(401);
  });

  test("names that are no tool, arguments of any kind, and what looks like another action", async () => {
    for (const name of [
      "",
      "t_say\0",
      "t_say\n",
      "../say",
      "T_SAY",
      "__proto__",
      "x".repeat(100_000),
    ])
      await expect(call(client, name)).rejects.toThrow("no tool");
    const refused = async (args: Record<string, unknown>) =>
      (await call(client, "t_say", args)).isError;
    expect(await refused({ text: "x".repeat(900_000) })).toBe(true);
    await expect(refused({ text: "x".repeat(3_000_000) })).rejects.toThrow("the body is over");
    expect(await refused({ text: { a: 1 } })).toBe(true);
    expect(await refused({ text: "x", unknown: 1 })).toBe(true);
    expect(await refused({ action: "stop" })).toBe(true);
    expect(await refused({ action: "subscribe", args: {} })).toBe(true);
    expect(await refused({ text: "a\0b" })).toBe(true);
    expect(textOf(await call(client, "t_say", { text: "--help", n: 1 }))).toContain("allowDash");
    expect(textOf(await call(client, "t_say", { text: "still here" }))).toBe("still here");
  });

  test("numbers of arguments are what was written", async () => {
    const id = await begun();
    const body = rpc("tools/call", { name: "t_say", arguments: { text: "n", n: 0 } });
    const response = await post(body.replace('"n":0', '"n":9007199254740993'), {
      "mcp-session-id": id,
    });
    expect(await response.text()).toContain("n 9007199254740993");
  });

  test("a client that has many calls is told so, and others go on", async () => {
    const { client: greedy, transport } = await connect(served.url, {
      answer: () => new Promise<ElicitResult>(() => {}),
    });
    const pending = Array.from({ length: 70 }, () => call(greedy, "t_ask", { what: "x" }));
    const first = await Promise.race(pending);
    expect(textOf(first)).toContain("busy");
    expect(textOf(await call(client, "t_say", { text: "others" }))).toBe("others");
    for (const one of pending) one.catch(() => {});
    await transport.terminateSession();
    await greedy.close();
  });

  test("[protection] who listens to other machines serves nobody without a token", async () => {
    const argv = ["--mcp", "--access", join(dir, "access.json"), "--host", "0.0.0.0", "--insecure"];
    await using other = await serve(config(), { argv });
    const { url } = other;
    await expect(connect(url)).rejects.toThrow("who has a token");
    await expect(connect(url, { token: "wrong" })).rejects.toThrow("not known");
    const { client: reader } = await connect(url, { token: TOKENS.reader });
    expect(textOf(await call(reader, "t_read"))).toBe("read");
    await reader.close();
  });

  test("[protection] who does not read gets no memory for it", async () => {
    const stuck = await Promise.all(
      Array.from({ length: 24 }, async (_one, n) => {
        const id = await begun();
        const body = rpc("tools/call", { name: n % 2 ? "t_huge" : "t_much", arguments: {} });
        const [, host = "", port = ""] = /^http:..([^:]+):(\d+)/.exec(served.url) ?? [];
        const socket = createConnection(Number(port), host);
        socket.pause();
        socket.on("error", () => {});
        socket.write(
          `POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n` +
            `Accept: application/json, text/event-stream\r\nMcp-Session-Id: ${id}\r\n` +
            `Content-Length: ${body.length}\r\n\r\n${body}`,
        );
        return { socket, id };
      }),
    );
    const rss = () =>
      Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${served.pid}/status`, "latin1"))?.[1]) >>
      10;
    await until(() => !runs("head -c 5000000 /dev/zero"));
    expect(textOf(await call(client, "t_say", { text: "others" }))).toBe("others");
    expect(rss()).toBeLessThan(600);
    for (const { socket } of stuck) socket.destroy();
    for (const { id } of stuck)
      await fetch(`${served.url}/mcp`, { method: "DELETE", headers: { "mcp-session-id": id } });
  });

  test("without --mcp there is nothing there", async () => {
    await using other = await serve(config());
    const response = await fetch(`${other.url}/mcp`, { method: "POST", body: initialize });
    expect(response.status).toBe(404);
  });
});

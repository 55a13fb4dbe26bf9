/** `spawnbox mcp`: the same tools over standard input and output, on a config alone and in front of a server. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { chmodSync, closeSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isWritable, pipe } from "../../ffi/libc.ts";
import { programIn, serve, type Served, until } from "../served.ts";
import {
  access,
  call,
  type ClientOptions,
  clientOf,
  config,
  sh,
  textOf,
  TOKENS,
} from "./serving.ts";

let dir: string;
let program: string;
let served: Served;
const at = (name: string) => join(dir, name);
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-mcp-stdio-"));
  chmodSync(dir, 0o700);
  program = programIn(dir);
  writeFileSync(at("config.json"), JSON.stringify(config()));
  writeFileSync(at("access.json"), JSON.stringify(access), { mode: 0o600 });
  writeFileSync(at("token"), `${TOKENS.owner}\n`, { mode: 0o600 });
  const argv = ["--mcp", "--access", at("access.json"), "--unix", at("socket")];
  served = await serve(config(), { argv });
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

async function started(args: readonly string[], options: ClientOptions = {}) {
  const client = clientOf(options);
  const transport = new StdioClientTransport({ command: program, args: ["mcp", ...args] });
  await client.connect(transport);
  return client;
}

const yes = { action: "accept", content: { confirm: true } } as const;

describe.each<[string, () => string[]]>([
  ["on a config alone", () => ["--config", at("config.json")]],
  ["in front of a server", () => ["--url", served.url, "--token-file", at("token")]],
  ["in front of a server on a unix socket", () => ["--url", `unix:${at("socket")}`]],
])("%s", (_what, args) => {
  test("lists, calls, progress, a question, resources, cancellation", async () => {
    const client = await started(args(), { answer: yes });
    const names = (await client.listTools()).tools.map(({ name }) => name);
    expect(names).toContain("t_own");
    const steps: number[] = [];
    const onprogress = ({ progress }: { progress: number }) => void steps.push(progress);
    const done = await call(client, "t_steps", {}, { onprogress });
    expect([steps, done.structuredContent]).toEqual([[1, 5, 10], { done: true }]);
    expect(textOf(await call(client, "t_ask", { what: "asked" }))).toBe("asked");
    expect((await call(client, "t_picture")).content[0]?.type).toBe("image");
    const { resources } = await client.listResources();
    expect(resources.map(({ uri }) => uri)).toContain("spawnbox://sandbox/t/box");
    const abort = new AbortController();
    const begun = Promise.withResolvers<void>();
    const running = call(
      client,
      "t_tree",
      {},
      {
        signal: abort.signal,
        onprogress: () => begun.resolve(),
      },
    );
    await begun.promise;
    abort.abort("enough");
    await expect(running).rejects.toThrow("enough");
    await client.close();
  });
});

/** What comes of messages whose end is that of the input, by id. */
async function piped(args: readonly string[], calls: readonly object[]) {
  const params = {
    ...{ protocolVersion: "2025-06-18", capabilities: {} },
    clientInfo: { name: "x", version: "1" },
  };
  const messages = [
    { id: 0, method: "initialize", params },
    { method: "notifications/initialized" },
    ...calls.map((call, at) => ({ id: at + 1, method: "tools/call", params: call })),
  ];
  const text = messages.map((one) => `${JSON.stringify({ jsonrpc: "2.0", ...one })}\n`).join("");
  const child = Bun.spawn([program, "mcp", ...args], {
    stdio: [Buffer.from(text), "pipe", "pipe"],
  });
  const lines = (await child.stdout.text()).trim().split("\n");
  expect(await child.exited).toBe(0);
  return new Map(
    lines.map((line) => {
      const { id, ...answer } = JSON.parse(line) as { id: number };
      return [id, JSON.stringify(answer)];
    }),
  );
}

test.each<[string, () => string[]]>([
  ["on a config alone", () => ["--config", at("config.json")]],
  ["in front of a server", () => ["--url", served.url]],
])("%s: all that was asked before the end of the input is answered", async (_what, args) => {
  const answers = await piped(args(), [
    { name: "t_steps" },
    { name: "t_much" },
    { name: "t_say", arguments: { text: "said" } },
    // Some clients write none so.
    { name: "t_sync", arguments: null },
  ]);
  expect([...answers.keys()].toSorted()).toEqual([0, 1, 2, 3, 4]);
  expect(answers.get(1)).toContain('{"done":true}');
  expect(answers.get(2)).toContain("line 39999");
  expect(answers.get(3)).toContain("said");
  expect(answers.get(4)).toContain('"text":"out"');
});

test("a client that does not read any more is not waited for", async () => {
  const answered =
    'printf "%s\\n" "$1" | "$0" mcp --config "$2" | head -1; echo "${PIPESTATUS[1]}"';
  const call = (id: number, method: string, params: object) =>
    JSON.stringify({ jsonrpc: "2.0", id, method, params });
  const params = {
    protocolVersion: "2025-06-18",
    capabilities: {},
    clientInfo: { name: "x", version: "1" },
  };
  const text = `${call(0, "initialize", params)}\n${call(1, "tools/call", { name: "t_tied" })}`;
  const child = Bun.spawn(["bash", "-c", answered, program, text, at("config.json")], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  expect(await child.stdout.text()).toEndWith("}\n0\n");
});

test("told to end, it has its client read what was answered, and waits for none that does not", async () => {
  const call = (id: number, method: string, params: object) =>
    `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;
  const client = {
    ...{ protocolVersion: "2025-06-18", capabilities: {} },
    clientInfo: { name: "x", version: "1" },
  };
  for (const reads of [true, false]) {
    const [read, write] = pipe();
    const child = Bun.spawn([program, "mcp", "--config", at("config.json")], {
      stdio: ["pipe", write, "pipe"],
    });
    child.stdin.write(call(0, "initialize", client) + call(1, "tools/call", { name: "t_much" }));
    await child.stdin.flush();
    // More than the pipe has room for.
    await until("it is answered", () => !isWritable(write));
    const ids = Array.from({ length: 30 }, (_, i) => i + 2);
    child.stdin.write(ids.map((id) => call(id, "ping", {})).join(""));
    await child.stdin.flush();
    closeSync(write);
    // As a rule they wait for room by then, and it has been told to end before anything is read.
    await Bun.sleep(200);
    child.kill("SIGTERM");
    await Bun.sleep(200);
    if (reads) {
      const lines = (await Bun.file(read).text()).trimEnd().split("\n");
      const answered = lines.map((line) => (JSON.parse(line) as { id?: number }).id);
      const [first, much, ...others] = answered.filter((id) => id !== undefined);
      expect([first, much, others]).toEqual([0, 1, ids.slice(0, others.length)]);
      expect(lines.find((line) => line.includes("line 39999"))).toBeString();
    }
    expect([await child.exited, await child.stderr.text()]).toEqual([0, ""]);
    closeSync(read);
  }
});

test("nobody is there to be asked", async () => {
  const client = await started(["--config", at("config.json")]);
  expect(textOf(await call(client, "t_ask", { what: "x" }))).toContain("cannot ask");
  await client.close();
});

test("an audit of its own; tasks end with it", async () => {
  const args = ["--config", at("config.json"), "--audit", at("audit")];
  const client = await started(args);
  const begun = Promise.withResolvers<void>();
  call(client, "t_tree", {}, { onprogress: () => begun.resolve() }).catch(() => {});
  await begun.promise;
  await client.close();
  const lines = readFileSync(at("audit"), "utf8").trim().split("\n");
  expect(lines.map((line) => JSON.parse(line).event)).toEqual(["start", "stop", "end"]);
});

test("tasks that do not listen end with it, and that is audited", async () => {
  const script = "trap '' INT TERM; echo begun; while :; do sleep 0.01; done";
  const stubborn = { uid: "stubborn", encoder: "line", exec: sh(script) };
  writeFileSync(at("stubborn.json"), JSON.stringify(config([stubborn])));
  const args = ["--config", at("stubborn.json"), "--audit", at("left")];
  const child = Bun.spawn([program, "mcp", ...args], { stdio: ["pipe", "pipe", "ignore"] });
  const params = {
    ...{ protocolVersion: "2025-06-18", capabilities: {} },
    clientInfo: { name: "x", version: "1" },
  };
  const call = { name: "t_stubborn", _meta: { progressToken: 1 } };
  for (const one of [
    { id: 0, method: "initialize", params },
    { method: "notifications/initialized" },
    { id: 1, method: "tools/call", params: call },
  ])
    child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...one })}\n`);
  await child.stdin.flush();
  const events = () =>
    readFileSync(at("left"), "utf8")
      .split("\n")
      .flatMap((line) => (line === "" ? [] : [(JSON.parse(line) as { event: string }).event]));
  const reader = child.stdout.getReader();
  for (let heard = ""; !heard.includes("begun");) {
    const { value, done } = await reader.read();
    if (done) throw new Error(heard);
    heard += Buffer.from(value).toString();
  }
  await child.stdin.end();
  await reader.cancel();
  expect(await child.exited).toBe(0);
  expect(events()).toEqual(["start", "stop", "end"]);
});

test("[protection] without its token a caller has what anybody has", async () => {
  const client = await started(["--url", served.url]);
  expect((await client.listTools()).tools.map(({ name }) => name)).not.toContain("t_own");
  await client.close();
});

test("[protection] a proxy of the environment is told nothing", async () => {
  const told: string[] = [];
  using proxy = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: { data: (_, bytes) => void told.push(bytes.toString()) },
  });
  const away = `http://127.0.0.1:${proxy.port}`;
  const command = { command: program, args: ["mcp", "--url", served.url] };
  const env = { http_proxy: away, HTTP_PROXY: away, no_proxy: "elsewhere.example" };
  const client = clientOf();
  await client.connect(new StdioClientTransport({ ...command, env }));
  expect((await client.listTools()).tools).not.toEqual([]);
  await client.close();
  expect(told).toEqual([]);
});

test("is told that a server which ends the connection may speak TLS", async () => {
  using other = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: { data: (socket) => void socket.end() },
  });
  const url = `http://127.0.0.1:${other.port}`;
  const child = Bun.spawn([program, "mcp", "--url", url], { stdio: ["pipe", "pipe", "pipe"] });
  const params = {
    ...{ protocolVersion: "2025-11-25", capabilities: {} },
    clientInfo: { name: "x", version: "1" },
  };
  child.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params })}\n`);
  child.stdin.flush();
  expect([await child.exited, await child.stderr.text()]).toEqual([
    3,
    `spawnbox mcp: ${url}/mcp: ECONNRESET: The socket connection was closed unexpectedly; is it a server of this kind, and does it speak TLS there (https:)?\n`,
  ]);
});

const NOT_THERE =
  "spawnbox mcp: http://127.0.0.1:1/mcp: ECONNREFUSED; is the server running there, with --mcp?\n";

test.each<[string, string[], number, string]>([
  ["a server that is not there", ["--url", "http://127.0.0.1:1"], 3, NOT_THERE],
  ["a config that is none", ["--config", "/dev/null"], 1, "/dev/null"],
  ["both", ["--config", "x", "--url", "http://localhost"], 2, "not both"],
  ["an audit of a server", ["--audit", "stderr"], 2, "--audit is for --config"],
])("%s", async (_what, args, code, why) => {
  const child = Bun.spawn([program, "mcp", ...args], { stdio: ["pipe", "pipe", "pipe"] });
  const params = {
    protocolVersion: "2025-11-25",
    capabilities: {},
    clientInfo: { name: "x", version: "1" },
  };
  child.stdin.write(
    `not JSON\n${JSON.stringify({ jsonrpc: "2.0", id: 1, method: "initialize", params })}\n`,
  );
  child.stdin.flush();
  expect([await child.exited, await child.stderr.text()]).toEqual([
    code,
    expect.stringContaining(why),
  ]);
});

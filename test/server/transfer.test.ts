/** Output as it is, from outside: with curl, a raw socket, a WebSocket. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Reply } from "../../src/api/reply.ts";
import { isRoot, serve, type Served, until, users } from "../served.ts";

/** More than anything on the way holds. */
const MEGABYTES = process.env["CI"] === undefined ? 20 : 50;

let dir: string;
let served: Served;
let big: Buffer;
/** Without what a config may not say: control characters, separators. */
const NAME = `a "q'; 100% é\u{1f600}*.jpg`;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-file-"));
  chmodSync(dir, 0o755);
  big = randomBytes(MEGABYTES << 20);
  writeFileSync(join(dir, "big"), big, { mode: 0o644 });
  const one = (uid: string, script: string, more: object = {}, opts: object = {}) => ({
    ...{ uid, encoder: { output: "file", opts }, ...more },
    exec: { cmdpath: "/bin/sh", args: ["-c", script.replaceAll("$", "$$$$")] },
  });
  served = await serve({
    metadata: { uid: "f", version: "1", api: "f" },
    sandboxes: {
      uid: "box",
      prefix: "",
      ...(isRoot && { acls: { user: "daemon" } }),
      commands: [
        one("big", `exec cat ${join(dir, "big")}`),
        one("picture", "printf '\\377\\330\\000'", {}, { type: "image/jpeg", name: NAME }),
        one("page", "echo '<script>'", {}, { type: "text/html", name: "index.html" }),
        one("vector", "echo '<svg>'", {}, { type: "image/svg+xml" }),
        one("words", "echo ja", {}, { type: "text/plain; charset=utf-8" }),
        one("none", "exit 0", { http: { "0": 201 } }),
        one("bad", "echo why >&2; exit 3", { http: { "3": 404 } }),
        one("worse", "exit 4"),
        one("late", "printf abc; exit 3", { http: { "3": 404 } }),
        one("killed", "printf abc; kill -9 $$"),
        one("stuck", "sleep 30", { timeout: 0.2 }),
        one("endless", "while :; do printf x; sleep .02; done", { detach: false, single: true }),
        one("kept", "while :; do printf x; sleep .02; done", { timeout: 20, single: true }),
        one("yes", "exec yes", { detach: false }),
      ],
    },
  });
});
afterAll(async () => {
  await served[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

const curl = (...args: string[]) => {
  const { stdout, exitCode } = Bun.spawnSync(["curl", "-s", ...args], { maxBuffer: 1 << 28 });
  return { stdout, exitCode };
};
const urlOf = (verb: string) => `${served.url}/api/f/${verb}`;

/** Sends a request as it is; what comes, as latin1. */
function raw(verb: string, version = "1.1", more = "", method = "GET"): Socket {
  const { hostname, port } = new URL(served.url);
  const socket = connect(Number(port), hostname);
  socket.write(
    `${method} /api/f/${verb} HTTP/${version}\r\nHost: localhost:${port}\r\n${more}Connection: close\r\n\r\n`,
  );
  return socket;
}
async function answerTo(...args: Parameters<typeof raw>): Promise<string> {
  const pieces: Buffer[] = [];
  for await (const piece of raw(...args)) pieces.push(piece as Buffer);
  return Buffer.concat(pieces).toString("latin1");
}
/** Whether one of the verb, which is `single`, runs. */
async function runs(verb: string): Promise<boolean> {
  const { stdout } = Bun.spawnSync([served.program, "ps", "--url", served.url, "--json"]);
  return stdout.toString().includes(`"verb":"${verb}"`);
}

/** Waits until what runs of the verb does not print any more. */
async function isHeld(verb: string, { call }: Served): Promise<void> {
  let before = "";
  await until("it is held", async () => {
    await Bun.sleep(300);
    const { response } = await call("monitor/tasks", { verb });
    const printed =
      JSON.stringify(response)
        .match(/"bytes":\d+/g)
        ?.join() ?? "";
    const isHeld = printed === before && printed !== "";
    before = printed;
    return isHeld;
  });
}

describe("the bytes themselves", () => {
  test(`${MEGABYTES} MB at random, exactly, by curl and by HTTP/1.0`, () => {
    for (const more of [[], ["--http1.0"], ["-X", "POST"], ["-G", "-d", "wait=true"]]) {
      const { stdout, exitCode } = curl(...more, urlOf("big"));
      expect(exitCode).toBe(0);
      expect(Buffer.compare(stdout, big)).toBe(0);
    }
  });

  test("whole chunks, then the exit; nothing behind them", async () => {
    const text = await answerTo("late");
    expect(text).toStartWith("HTTP/1.1 200 OK\r\n");
    expect(text).toContain("\r\ntransfer-encoding: chunked\r\ntrailer: spawnbox-exit\r\n");
    expect(text).toEndWith("\r\n\r\n3\r\nabc\r\n0\r\nspawnbox-exit: 3\r\n\r\n");
    expect(await answerTo("killed")).toEndWith("\r\n0\r\nspawnbox-exit: Killed\r\n\r\n");
  });

  test("HTTP/1.0 has neither chunks nor trailers", async () => {
    const text = await answerTo("late", "1.0");
    expect(text.toLowerCase()).not.toContain("trailer");
    expect(text).toEndWith("\r\n\r\nabc");
  });

  test("a connection goes on behind it", () => {
    const { stdout } = curl("-w", "%{num_connects}", urlOf("late"), urlOf("late"));
    expect(stdout.toString()).toBe("abc1abc0");
  });
});

describe("what it says it is", () => {
  test.each([
    ["picture", "image/jpeg", /^inline; filename=/],
    ["page", "text/html", /^attachment; filename="index.html"$/],
    ["vector", "image/svg+xml", /^attachment$/],
    ["words", "text/plain; charset=utf-8", /^inline$/],
    ["late", "application/octet-stream", /^attachment$/],
  ])("%s", async (verb, type, how) => {
    const { headers } = await fetch(urlOf(verb));
    expect(headers.get("content-type")).toBe(type);
    expect(headers.get("content-disposition")).toMatch(how);
    expect(headers.get("content-security-policy")).toContain("sandbox");
    expect(headers.get("x-content-type-options")).toBe("nosniff");
  });

  test("a name of any kind stays a name", async () => {
    const { headers } = await fetch(urlOf("picture"));
    const value = headers.get("content-disposition") ?? "";
    const extended = /filename\*=UTF-8''([\w%.!#$&+^`|~-]+)$/.exec(value)?.[1] ?? "";
    expect(decodeURIComponent(extended)).toBe(NAME);
    expect(value).toMatch(/^inline; filename="[^"\\%]*"; filename\*=/);
  });
});

describe("where nothing is printed", () => {
  const reply = async (verb: string) => {
    const response = await fetch(urlOf(verb));
    return { http: response.status, json: (await response.json()) as Reply };
  };
  test("a failure is an error, with what stderr says", async () => {
    expect(await reply("bad")).toMatchObject({
      http: 404,
      json: {
        request: { status: "internal-error", info: expect.stringContaining("ended with 3") },
        response: { status: { exit: 3 }, stderr: ["why"] },
      },
    });
    expect((await reply("worse")).http).toBe(500);
    expect(await reply("stuck")).toMatchObject({ http: 504, json: { request: { code: -16 } } });
    expect((await reply("worse?x-afb-http=afb")).http).toBe(200);
  });
  test("success is an empty answer", async () => {
    const text = await answerTo("none");
    expect(text).toStartWith("HTTP/1.1 201 Created\r\n");
    expect(text).toContain("\r\nspawnbox-exit: 0\r\n");
    expect(text).toContain("\r\ncontent-length: 0\r\n");
    expect(text).toEndWith("\r\n\r\n");
  });
});

describe("nothing is started", () => {
  test("by HEAD", async () => {
    expect(await answerTo("endless", "1.1", "", "HEAD")).toStartWith("HTTP/1.1 405 ");
  });
  test.each([
    "If-None-Match: *",
    'If-Match: "x"',
    "If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT",
  ])("with %s", async (condition) => {
    const text = await answerTo("endless", "1.1", `${condition}\r\n`);
    expect(text).toStartWith("HTTP/1.1 412 ");
    expect(text).toContain('"status":"invalid-request"');
    expect(await runs("endless")).toBeFalse();
  });
});

describe("a client that", () => {
  test("leaves ends the task, where detach says so", async () => {
    const socket = raw("endless");
    await new Promise((resolve) => socket.once("data", resolve));
    expect(await runs("endless")).toBeTrue();
    socket.destroy();
    await until("it ends", async () => !(await runs("endless")));
  });

  test("leaves does not end it otherwise, nor stop its output", async () => {
    const socket = raw("kept");
    await new Promise((resolve) => socket.once("data", resolve));
    socket.destroy();
    await Bun.sleep(300);
    expect(await runs("kept")).toBeTrue();
    await served.call("f/kept", { action: "stop" });
    await until("it ends", async () => !(await runs("kept")));
  });

  test("does not read holds the command, and costs next to nothing", async () => {
    const rss = () =>
      Number(/VmRSS:\s*(\d+)/.exec(readFileSync(`/proc/${served.pid}/status`, "utf8"))?.[1]);
    await fetch(urlOf("late"));
    const before = rss();
    const sockets = Array.from({ length: 8 }, () => raw("yes"));
    for (const socket of sockets) {
      await new Promise((resolve) => socket.once("readable", resolve));
    }
    await isHeld("yes", served);
    expect(rss() - before).toBeLessThan(64 << 10);
    for (const socket of sockets) socket.destroy();
    await until("it ends", async () => !(await runs("yes")));
  });
});

test("to a WebSocket and over Server-Sent Events it comes in pieces of base64", async () => {
  const events = await (await fetch(urlOf("picture/events"))).text();
  expect(events).toContain('"stdout":"/9gA","encoding":"base64"');
  expect(events).toContain("event: final-event");
  const reply = await served.call("f/late", { action: "start", wait: true });
  expect(reply.response).toMatchObject({ stdout: "YWJj", encoding: "base64", status: { exit: 3 } });
});

test("the end of the server does not wait for who does not read, who sees that it is not all", async () => {
  const other = await serve({
    metadata: { uid: "f", version: "1", api: "f" },
    sandboxes: {
      ...{ uid: "box", prefix: "" },
      ...(isRoot && { acls: { user: "daemon" } }),
      commands: { uid: "yes", encoder: "file", exec: { cmdpath: "/usr/bin/yes" } },
    },
  });
  const file = join(dir, "yes");
  const slow = Bun.spawn(["curl", "-sN", "-o", file, `${other.url}/api/f/yes`]);
  await until("it has begun", () => existsSync(file) && statSync(file).size > 0);
  slow.kill("SIGSTOP");
  await isHeld("yes", other);
  await other[Symbol.asyncDispose]();
  slow.kill("SIGCONT");
  // A partial file, or a connection that was reset.
  expect([18, 56]).toContain(await slow.exited);
});

test.each(users)("served by %s, of a sandbox that was ready", async (user) => {
  const file = join(dir, "big");
  await using other = await serve(
    {
      metadata: { uid: "f", version: "1", api: "f" },
      sandboxes: {
        ...{ uid: "box", prefix: "" },
        ...(isRoot && user === "root" && { acls: { user: "daemon" } }),
        commands: [
          { uid: "cat", pool: 2, encoder: "file", exec: { cmdpath: "/bin/cat", args: file } },
        ],
      },
    },
    { user },
  );
  const { stdout, exitCode } = curl(`${other.url}/api/f/cat`);
  expect(exitCode).toBe(0);
  expect(Buffer.compare(stdout, big)).toBe(0);
});

test("OpenAPI names the type", async () => {
  const document = (await (await fetch(`${served.url}/openapi.json`)).json()) as {
    paths: Record<string, { get: { responses: Record<string, { content: object }> } }>;
  };
  const of = (verb: string) => document.paths[`/api/f/${verb}`]?.get.responses["200"]?.content;
  expect(of("picture")).toEqual({ "image/jpeg": {} });
});

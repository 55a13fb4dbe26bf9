/** HTTP statuses by exit code, from outside. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHmac } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Reply } from "../../src/api/reply.ts";
import { isRoot, serve, type Served } from "../served.ts";

let dir: string;
let served: Served;
let afb: Served;

const HTTP = { "0": 201, "1": 422, "2": 404, "3": 404, "4": 503, "5": 200, "6": 400, "7": 599 };
const configOf = (api: string, metadata: object, hook: string) => {
  const exits = (uid: string, more: object) => ({
    ...{ uid, exec: { cmdpath: "/bin/sh", args: ["-c", "echo out; exit $$0", "%code%"] } },
    ...more,
  });
  return {
    metadata: { uid: api, version: "1", api, ...metadata },
    sandboxes: {
      uid: "box",
      prefix: "",
      ...(isRoot && { acls: { user: "daemon" } }),
      commands: [
        exits("sync", { encoder: "sync", http: HTTP }),
        exits("text", { http: HTTP }),
        exits("plain", { encoder: "sync" }),
        {
          ...{ uid: "slow", encoder: "sync", http: { "1": 422, "0": 404 }, timeout: 0.2 },
          exec: { cmdpath: "/bin/sleep", args: 30 },
        },
        {
          ...{ uid: "hook", encoder: "sync", http: { "1": 422 }, webhook: hook, privilege: "p" },
          exec: { cmdpath: "/bin/false" },
        },
      ],
    },
    extra: [{ uid: "two", action: `api://${api}#sync`, args: { code: 2 } }],
  };
};

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-http-"));
  chmodSync(dir, 0o755);
  const hook = join(dir, "hook");
  writeFileSync(hook, "a secret\n", { mode: 0o600 });
  [served, afb] = await Promise.all([
    serve(configOf("x", {}, hook)),
    serve(configOf("y", { http: "afb" }, hook)),
  ]);
});
afterAll(async () => {
  await Promise.all([served, afb].map((one) => one[Symbol.asyncDispose]()));
  rmSync(dir, { recursive: true });
});

async function get(verb: string, headers: Record<string, string> = {}, from = served) {
  const response = await fetch(`${from.url}/api/${from === served ? "x" : "y"}/${verb}`, {
    headers,
  });
  const reply = (await response.json()) as Reply;
  return { http: response.status, reply };
}

describe("the exit code makes the HTTP status", () => {
  test.each([...Object.entries(HTTP), ["8", 200], ["255", 200]] as const)(
    "%s: %d, of a synchronous encoder and with wait=true",
    async (code, http) => {
      const replies = [`sync?code=${code}`, `text?code=${code}&wait=true`].map((verb) => get(verb));
      for (const one of await Promise.all(replies)) {
        expect(one.http).toBe(http);
        // The reply stays what it is.
        expect(one.reply).toMatchObject({
          jtype: "afb-reply",
          request: { status: "success", code: 0 },
          response: { status: { exit: Number(code) }, stdout: ["out"] },
        });
      }
    },
  );

  test("of a POST, of an extra verb, of one that ends within Prefer: wait", async () => {
    const response = await fetch(`${served.url}/api/x/sync`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ code: 1 }),
    });
    expect(response.status).toBe(422);
    expect((await get("two")).http).toBe(404);
    expect((await get("text?code=1", { prefer: "wait=20" })).http).toBe(422);
    expect((await fetch(`${served.url}/api/X/SYNC?code=1`)).status).toBe(422);
  });

  test("of a webhook", async () => {
    const body = "{}";
    const key = `sha256=${createHmac("sha256", "a secret").update(body).digest("hex")}`;
    const headers = { "content-type": "application/json", "x-hub-signature-256": key };
    for (const [one, api, http] of [
      [served, "x", 422],
      [afb, "y", 200],
    ] as const) {
      const response = await fetch(`${one.url}/api/${api}/hook`, { method: "POST", headers, body });
      expect(response.status).toBe(http);
      expect(await response.json()).toMatchObject({ response: { status: { exit: 1 } } });
    }
  });
});

describe("and nothing else does", () => {
  test("a reply that does not tell the end, a command without the key, one that was killed", async () => {
    expect((await get("text?code=1")).http).toBe(200);
    expect((await get("plain?code=1")).http).toBe(200);
    const killed = await get("slow");
    expect(killed).toMatchObject({
      http: 200,
      reply: { response: { status: { cause: "timeout" } } },
    });
    expect((await get("slow", { prefer: "wait=0" })).http).toBe(202);
  });

  test("errors keep their own", async () => {
    expect((await get("sync")).http).toBe(400);
    expect((await get("hook")).http).toBe(403);
  });

  test("where errors are told with 200 this is too; a request may ask for either", async () => {
    expect((await get("sync?code=1", {}, afb)).http).toBe(200);
    expect((await get("sync?code=1&x-afb-http=rest", {}, afb)).http).toBe(422);
    expect((await get("sync?code=1", { "x-afb-http": "afb" })).http).toBe(200);
    expect((await get("sync?code=1&x-afb-http=afb")).http).toBe(200);
    expect((await get("sync?code=0&x-afb-http=afb")).http).toBe(200);
  });
});

test("the status line has a reason", async () => {
  const { stdout } = Bun.spawnSync(["curl", "-s", "-i", `${served.url}/api/x/sync?code=1`]);
  expect(stdout.toString()).toStartWith("HTTP/1.1 422 Unprocessable Content\r\n");
});

test("OpenAPI shows the statuses of the calls, not of their events", async () => {
  const document = (await (await fetch(`${served.url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { responses: Record<string, { description: string }> }>>;
  };
  const { paths } = document;
  const of = (path: string, method = "get") => paths[path]?.[method]?.responses ?? {};
  const description = "the command has ended with exit code";
  for (const method of ["get", "post"]) {
    expect(of("/api/x/sync", method)).toMatchObject({
      "200": { description: `the reply, success; or ${description} 5` },
      "201": { description: `${description} 0` },
      "400": { description: expect.stringContaining(`or ${description} 6`) },
      "404": { description: `${description} 2, 3` },
      "422": { description: `${description} 1`, content: { "application/json": {} } },
      "599": { description: `${description} 7` },
    });
  }
  expect(of("/api/x/sync/events")).not.toHaveProperty("422");
  expect(of("/api/x/plain")).not.toHaveProperty("422");
  expect(of("/api/x/two")).toHaveProperty("404");
});

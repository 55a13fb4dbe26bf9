/** Where the console is, and for whom; what it asks for that other clients may ask, too. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Served, serve, users } from "../served.ts";

const config = {
  metadata: { uid: "c", api: "c" },
  sandboxes: [
    {
      uid: "open",
      prefix: "",
      acls: { user: "nobody" },
      commands: [
        { uid: "count", encoder: "line", exec: { cmdpath: "/usr/bin/seq", args: ["%to%"] } },
        { uid: "fed", encoder: "line", stdin: "body", exec: { cmdpath: "/bin/cat" } },
        { uid: "once", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["one"] } },
      ],
    },
    {
      uid: "shut",
      privilege: "urn:example:shut",
      acls: { user: "nobody" },
      commands: { uid: "echo", encoder: "sync", exec: { cmdpath: "/bin/echo" } },
    },
  ],
};
const BROWSER = { accept: "text/html,application/xhtml+xml,*/*;q=0.8" };

for (const user of users)
  describe(`as ${user}`, () => {
    let served: Served;
    beforeAll(async () => {
      // Without a file nobody has what takes a privilege.
      served = await serve(config, { user, argv: ["--access", "none"] });
    });
    afterAll(() => served[Symbol.asyncDispose]());

    const get = (path: string, headers: Record<string, string> = BROWSER, method = "GET") =>
      fetch(served.url + path, { headers, method, redirect: "manual" });

    test("browsers get a page at /, programs JSON", async () => {
      const page = await get("/");
      expect(page.headers.get("content-type")).toBe("text/html; charset=utf-8");
      expect(page.headers.get("vary")).toContain("accept");
      const text = await page.text();
      expect(text).toStartWith("<!doctype html>");
      for (const accept of ["application/json", "*/*", "application/json, text/plain, */*"]) {
        const index = await get("/", { accept });
        expect(await index.json()).toMatchObject({ name: "spawnbox" });
      }
      expect((await get("/console")).headers.get("location")).toBe("/console/");
      expect(await (await get("/console/", { accept: "*/*" })).text()).toBe(text);
      expect((await get("/console/other.js")).status).toBe(404);
      expect((await get("/console/__proto__")).status).toBe(404);
    });

    test("it comes compressed to who takes that, and not again to who has it", async () => {
      const raw = await fetch(served.url, {
        headers: { ...BROWSER, "accept-encoding": "gzip" },
        decompress: false,
      });
      expect(raw.headers.get("content-encoding")).toBe("gzip");
      const bytes = new Uint8Array(await raw.arrayBuffer());
      expect(bytes.length).toBe(Number(raw.headers.get("content-length")));
      expect(bytes.length).toBeLessThanOrEqual(24_000);
      for (const encoding of ["*", "br, x-gzip;q=0.5"]) {
        const headers = { ...BROWSER, "accept-encoding": encoding };
        const other = await fetch(served.url, { headers, decompress: false });
        expect(new Uint8Array(await other.arrayBuffer())).toEqual(bytes);
      }
      for (const encoding of ["identity", "gzip;q=0, br", "*; q=0.0"]) {
        const plain = await get("/", { ...BROWSER, "accept-encoding": encoding });
        expect(plain.headers.get("content-encoding")).toBeNull();
        expect(await plain.text()).toBe(Buffer.from(Bun.gunzipSync(bytes)).toString());
      }
      const etag = raw.headers.get("etag") ?? "";
      expect((await get("/", { ...BROWSER, "if-none-match": etag })).status).toBe(304);
      const head = await get("/", BROWSER, "HEAD");
      expect([head.status, await head.text()]).toEqual([200, ""]);
      expect((await get("/", BROWSER, "POST")).status).toBe(405);
    });

    test("its policy lets run what is in it, and nothing else", async () => {
      const page = await get("/");
      const policy = page.headers.get("content-security-policy") ?? "";
      expect(policy).toContain("default-src 'none'");
      expect(policy).not.toMatch(/unsafe|\*|https?:/);
      const hash = (text: string) =>
        `'sha256-${new Bun.CryptoHasher("sha256").update(text).digest("base64")}'`;
      const within = [...(await page.text()).matchAll(/<script[^>]*>(.*?)<\/script>/gs)];
      expect(within.length).toBe(2);
      const more = await (await get("/console/more.js")).text();
      const scripts = [...within.map(([, script = ""]) => script), more];
      expect(policy).toContain(`script-src ${scripts.map(hash).join(" ")};`);
      expect(policy).toContain("frame-ancestors 'self'");
      const others = policy.split("; ").filter((one) => !/^(script|style)-src /.test(one));
      expect(others.toSorted()).toEqual([
        ...["base-uri 'none'", "connect-src 'self'", "default-src 'none'", "form-action 'none'"],
        ...["frame-ancestors 'self'", "img-src data:"],
      ]);
    });

    test("a page of another origin does not get it", async () => {
      const foreign = { ...BROWSER, origin: "https://evil.example" };
      expect((await get("/", foreign)).status).toBe(403);
      expect((await get("/", { ...BROWSER, host: "evil.example" })).status).toBe(403);
    });

    test("monitor/explain tells of what the caller may call, and of nothing else", async () => {
      const all = await served.call("monitor/explain");
      expect(all.response).toMatchObject([
        {
          api: "c",
          sandbox: "open",
          verbs: ["count", "fed", "once"],
          exposure: { score: expect.any(Number) },
        },
      ]);
      const steps = (all.response as { steps: string[] }[])[0]?.steps;
      expect(steps).toContain("see the whole file system of the host");
      expect(JSON.stringify(steps)).not.toContain("execute");
      const shut = await served.call("monitor/explain", { api: "c", sandbox: "shut" });
      expect(shut.response).toEqual([]);
      const wrong = await served.call("monitor/explain", { sandbx: "open" });
      expect(wrong.request.status).toBe("invalid-request");
      expect((await served.call("monitor/explain", { api: 1 })).request.status).toBe(
        "invalid-request",
      );
    });

    test("a POST starts and is followed, with the numbers of its events", async () => {
      const response = await fetch(`${served.url}/api/c/count/events`, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ action: "start", args: { to: 3 } }),
      });
      expect(response.headers.get("content-type")).toBe("text/event-stream");
      const events = await response.text();
      expect(events).toContain('"stdout":"3"');
      expect([...events.matchAll(/^id: \w+:(\d+)$/gm)].map(([, n]) => Number(n))).toEqual([
        0, 1, 2, 3, 4,
      ]);
      const once = await fetch(`${served.url}/api/c/once/events`, { method: "POST" });
      expect(await once.text()).toMatch(/^id: \w+:\d+\nevent: initial-event\n/);
      // What the command reads is the body, then.
      const fed = await fetch(`${served.url}/api/c/fed/events`, {
        ...{ method: "POST", body: "what it reads\nin two lines" },
      });
      expect(await fed.text()).toMatch(/"stdout":"what it reads".*"stdout":"in two lines"/s);
      const wrong = await fetch(`${served.url}/api/c/count/events`, { method: "POST" });
      expect(wrong.status).toBe(400);
    });
  });

test("--no-console turns it off; --roothttp takes its place, and it is at /console/ then; --base is before it", async () => {
  const page = async (url: string) => (await fetch(url, { headers: BROWSER })).text();
  {
    await using none = await serve(config, { argv: ["--no-console"] });
    expect(JSON.parse(await page(none.url))).toMatchObject({ name: "spawnbox" });
    expect((await fetch(`${none.url}/console/`, { headers: BROWSER })).status).toBe(404);
  }
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-console-"));
  try {
    writeFileSync(join(dir, "index.html"), "my own");
    await using own = await serve(config, {
      argv: ["--roothttp", dir],
      ...(users.length > 1 && { user: "root" as const }),
    });
    expect(await page(own.url)).toBe("my own");
    expect(await page(`${own.url}/console/`)).toContain('<div id="app">');
  } finally {
    rmSync(dir, { recursive: true });
  }
  await using below = await serve(config, { argv: ["--base", "/box"] });
  expect(await page(`${below.url}/`)).toContain('<div id="app">');
  const moved = await fetch(`${below.url}/console`, { redirect: "manual" });
  expect(moved.headers.get("location")).toBe("/box/console/");
}, 60_000);

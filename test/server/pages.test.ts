import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  lchownSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { descriptorsOf } from "../descriptors.ts";
import { parseServe } from "../../src/serve/options.ts";
import { namesOf } from "../../src/server/path.ts";
import { isRoot, ORDINARY } from "../accounts.ts";
import { until } from "../served.ts";
import { RawClient, serve, type TestServer } from "./harness.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-pages-"));
const root = join(dir, "root");
const SECRET = "what lies outside";
const big = Buffer.alloc(64 << 20, "0123456789abcdef\n");
let server: TestServer;

beforeAll(async () => {
  for (const path of ["root/sub/deep", "root/empty", "root/.git", "root/api/t", "tool/icons"]) {
    mkdirSync(join(dir, path), { recursive: true });
  }
  const files: Record<string, string | Buffer> = {
    "secret.txt": SECRET,
    "root/index.html": "<h1>root</h1>",
    "root/a b%é.txt": "odd name",
    "root/%2e%2e": "a name that looks encoded",
    "root/none": "no extension",
    "root/empty.js": "",
    "root/big.bin": big,
    "root/sub/index.html": "<h1>sub</h1>",
    "root/sub/deep/data.json": "{}",
    "root/.hidden": SECRET,
    "root/.git/config": SECRET,
    "root/api/t/ping": SECRET,
    "root/api/page.html": SECRET,
    "tool/index.html": "<h1>tool</h1>",
    "tool/icons/a.svg": "<svg/>",
  };
  for (const [path, content] of Object.entries(files)) writeFileSync(join(dir, path), content);
  symlinkSync("../secret.txt", join(root, "out"));
  symlinkSync("/etc/passwd", join(root, "absolute"));
  symlinkSync("..", join(root, "parent"));
  symlinkSync("loop", join(root, "loop"));
  symlinkSync("../none", join(root, "sub/inside"));
  Bun.spawnSync(["mkfifo", join(root, "fifo"), join(root, "empty/index.html")]);
  symlinkSync("/dev/zero", join(root, "zero"));
  server = await serve({
    pages: [
      { prefix: "/", path: root },
      { prefix: "/tool", path: join(dir, "tool") },
    ],
  });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

/** Sends the request target as it is: fetch() would tidy it. */
async function raw(target: string, method = "GET", headers = ""): Promise<string> {
  using client = await RawClient.open(server.port);
  client.write(
    `${method} ${target} HTTP/1.1\r\nHost: localhost\r\n${headers}Connection: close\r\n\r\n`,
  );
  return await client.rest();
}

describe("what is there", () => {
  const cases: [string, string, string][] = [
    ["/", "text/html;charset=utf-8", "<h1>root</h1>"],
    ["/index.html", "text/html;charset=utf-8", "<h1>root</h1>"],
    ["/sub/", "text/html;charset=utf-8", "<h1>sub</h1>"],
    ["/sub/?query=1", "text/html;charset=utf-8", "<h1>sub</h1>"],
    ["/sub/deep/data.json", "application/json;charset=utf-8", "{}"],
    ["/sub/inside", "application/octet-stream", "no extension"],
    ["/a%20b%25%C3%A9.txt", "text/plain;charset=utf-8", "odd name"],
    ["/%252e%252e", "application/octet-stream", "a name that looks encoded"],
    ["/none", "application/octet-stream", "no extension"],
    ["/empty.js", "text/javascript;charset=utf-8", ""],
    ["/tool/", "text/html;charset=utf-8", "<h1>tool</h1>"],
    ["/tool/icons/a.svg", "image/svg+xml", "<svg/>"],
  ];
  for (const [target, type, content] of cases) {
    test(target, async () => {
      const response = await fetch(server.url + target);
      expect(response.status).toBe(200);
      expect(response.headers.get("content-type")).toBe(type);
      expect(await response.text()).toBe(content);
      expect(response.headers.get("x-content-type-options")).toBe("nosniff");
      expect(response.headers.get("content-security-policy")).toBe("frame-ancestors 'self'");
      const head = await fetch(server.url + target, { method: "HEAD" });
      expect(await head.text()).toBe("");
      for (const name of ["content-length", "content-type", "etag", "last-modified"]) {
        expect([name, head.headers.get(name)]).toEqual([name, response.headers.get(name)]);
      }
      expect(head.headers.get("content-length")).toBe(String(Buffer.byteLength(content)));
    });
  }

  test("a directory without its slash leads to it, on this server", async () => {
    for (const [target, location] of [
      ["/sub", "/sub/"],
      ["/tool?a=b", "/tool/?a=b"],
    ] as const) {
      const response = await fetch(server.url + target, { redirect: "manual" });
      expect([response.status, response.headers.get("location")]).toEqual([302, location]);
    }
    for (const target of ["//evil.example/sub", "//sub", "/sub//"]) {
      expect(await raw(target)).toStartWith("HTTP/1.1 404 ");
    }
    expect(await raw("/\\evil.example/sub")).toStartWith("HTTP/1.1 400 ");
  });

  test("other methods", async () => {
    for (const method of ["POST", "PUT", "DELETE"]) {
      const response = await fetch(`${server.url}/none`, { method });
      expect([response.status, response.headers.get("allow")]).toEqual([405, "GET, HEAD, OPTIONS"]);
    }
    expect((await fetch(`${server.url}/none`, { method: "OPTIONS" })).status).toBe(204);
    expect((await fetch(`${server.url}/nothing`, { method: "POST" })).status).toBe(404);
  });
});

describe("what is not", () => {
  const targets = [
    ...["/nothing", "/none/", "/none/x", "/index.html/", "/sub/deep", "/sub/deep/", "/empty/"],
    ...["/.hidden", "/.git/config", "/%2ehidden", "/sub/../.hidden", "/sub/.", "/tool/.."],
    ...["/out", "/absolute", "/parent", "/parent/secret.txt", "/parent/root/none", "/loop"],
    ...["/fifo", "/empty/index.html", "/zero"],
    ...["/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt"],
    ...[
      "/..%5csecret.txt",
      "/..\\secret.txt",
      "/sub/..%2f..%2fsecret.txt",
      "/%252e%252e%252fsecret.txt",
    ],
    ...["/none%00", "/none%00.html", "/%00", "/none%2f", "/%ff", "/%", "/%c0%ae%c0%ae/secret.txt"],
    ...["/tool/../secret.txt", "/tool/%2e%2e/root/none", "/tool%2findex.html", "/tool/none"],
    ...[`/${"x".repeat(300)}`, `/${"x/".repeat(4000)}`],
  ];
  for (const target of targets) {
    test(target.slice(0, 60), async () => {
      const response = await raw(target);
      // "/sub/." and "/tool/.." are tidied by the URL, as every client does.
      if (["/sub/.", "/tool/.."].includes(target)) expect(response).toContain("<h1>");
      else expect(response).toMatch(/^HTTP\/1.1 40[04] /);
      expect(response).not.toContain(SECRET);
      expect(response).not.toContain("root:");
    });
  }

  test("anything below /api: verbs win", async () => {
    expect(await (await fetch(`${server.url}/api/t/echo?a=1`)).json()).toMatchObject({
      response: { a: "1" },
    });
    for (const target of ["/api", "/api/", "/api/page.html", "/%61pi/page.html", "/%61pi/t/ping"]) {
      const response = await raw(target);
      expect(response).toStartWith("HTTP/1.1 404 ");
      expect(response).not.toContain(SECRET);
    }
    const openapi: unknown = await (await fetch(`${server.url}/openapi.json`)).json();
    expect(openapi).toMatchObject({ openapi: "3.1.0" });
  });

  test("for a foreign page, or under a name that is not ours", async () => {
    for (const headers of [
      { origin: "http://evil.example" },
      { "sec-fetch-site": "cross-site" },
      { host: "evil.example" },
    ] as Record<string, string>[]) {
      expect((await fetch(`${server.url}/none`, { headers })).status).toBe(403);
    }
  });

  test("without the option: what to do", async () => {
    await using plain = await serve();
    const response = await fetch(`${plain.url}/page.html`);
    expect([response.status, await response.text()]).toEqual([
      404,
      expect.stringContaining("--roothttp DIR"),
    ]);
  });
});

test("a big file: all of it, no more memory than the socket holds, and nothing left open", async () => {
  const sha = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");
  const opened = openFiles();
  using stalled = await RawClient.open(server.port);
  stalled.socket.pause();
  stalled.write("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
  // 8 times 64 MiB ask to be sent at once, and nobody reads.
  const more = await Promise.all(Array.from({ length: 8 }, () => RawClient.open(server.port)));
  const before = process.memoryUsage.rss();
  for (const client of more) {
    client.socket.pause();
    client.write("GET /big.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
  }
  const response = await fetch(`${server.url}/big.bin`);
  let length = 0;
  const hash = createHash("sha256");
  for await (const chunk of response.body ?? []) {
    hash.update(chunk);
    length += chunk.length;
  }
  expect([length, hash.digest("hex")]).toEqual([big.length, sha(big)]);
  const growth = () => (process.memoryUsage.rss() - before) / 2 ** 20;
  console.log(
    `8 clients that do not read 64 MiB each, one that does: RSS +${growth().toFixed(0)} MiB`,
  );
  // What the one that reads has made is garbage, and given back sooner or later; what is held for the others would stay.
  await until("no more is held than sockets hold", () => {
    Bun.gc(true);
    return growth() < 150;
  });
  expect(openFiles()).toBeGreaterThan(opened);
  for (const client of [stalled, ...more]) client.socket.destroy();
  while (openFiles() > opened) await Bun.sleep(5);
  // HEAD, 304 and refusals open nothing at all.
  await fetch(`${server.url}/big.bin`, { method: "HEAD" });
  await fetch(`${server.url}/big.bin`, { method: "POST" });
  expect(openFiles()).toBe(opened);
});

/** Descriptors of this process on files of the test. */
const openFiles = (): number =>
  descriptorsOf("self").filter((link) => link === join(root, "big.bin")).length;

test("a file that becomes shorter while it is sent breaks the response off", async () => {
  const file = join(root, "shrinking.bin");
  writeFileSync(file, big);
  using client = await RawClient.open(server.port);
  client.socket.pause();
  client.write("GET /shrinking.bin HTTP/1.1\r\nHost: localhost\r\n\r\n");
  // The response has begun when the socket is readable.
  await fetch(`${server.url}/none`);
  truncateSync(file, 1024);
  client.socket.resume();
  const text = await client.rest();
  expect(text).toStartWith("HTTP/1.1 200 ");
  expect(text.length).toBeLessThan(big.length);
  rmSync(file);
});

test("a link that is exchanged for another all the time never leads outside", async () => {
  const links = { inside: join(root, "race-in"), outside: join(root, "race-out") };
  const race = join(root, "race");
  let going = true;
  const swap = (async () => {
    while (going) {
      for (const [link, target] of [
        [links.inside, "none"],
        [links.outside, "../secret.txt"],
      ] as const) {
        symlinkSync(target, link);
        renameSync(link, race);
        await new Promise(setImmediate);
      }
    }
  })();
  const seen = new Set<string>();
  for (let i = 0; i < 400; i++) {
    const response = await fetch(`${server.url}/race`);
    seen.add(response.status === 200 ? await response.text() : String(response.status));
  }
  going = false;
  await swap;
  expect([...seen].sort()).toEqual(["404", "no extension"]);
});

test("a socket, and a file that the server may not read", async () => {
  const listening = createServer().listen(join(root, "socket"));
  try {
    expect(await raw("/socket")).toStartWith("HTTP/1.1 404 ");
  } finally {
    listening.close();
  }
  const file = join(root, "unreadable");
  writeFileSync(file, SECRET);
  chmodSync(file, 0);
  const response = await raw("/unreadable");
  // Root reads it all the same.
  if (process.geteuid?.() === 0) expect(response).toContain(SECRET);
  else expect(response).toStartWith("HTTP/1.1 403 ");
});

test("a directory that does not exist: what is wrong", async () => {
  for (const path of [join(dir, "nothing"), join(root, "none")]) {
    await expect(serve({ pages: [{ prefix: "/", path }] })).rejects.toThrow(
      `cannot serve pages of ${path}`,
    );
  }
});

test.if(isRoot)("[protection] root publishes nothing that others choose by a link", async () => {
  const theirs = join(dir, "theirs");
  mkdirSync(join(theirs, "pages"), { recursive: true });
  writeFileSync(join(theirs, "pages/index.html"), "theirs");
  for (const link of ["link", "mine"]) symlinkSync(root, join(theirs, link));
  symlinkSync(root, join(dir, "own"));
  chownSync(theirs, ORDINARY, ORDINARY);
  lchownSync(join(theirs, "link"), ORDINARY, ORDINARY);
  // What they could do is to put another in its place.
  for (const path of ["link", "link/sub", "mine"].map((name) => join(theirs, name)))
    await expect(serve({ pages: [{ prefix: "/", path }] })).rejects.toThrow(
      `${theirs} belongs to uid ${ORDINARY}, who could change what this server does`,
    );
  // A directory of theirs has what is in it, and a link of root's leads where root says.
  for (const [path, text] of [
    [join(theirs, "pages"), "theirs"],
    [join(dir, "own/sub"), "<h1>sub</h1>"],
  ] as const) {
    await using own = await serve({ pages: [{ prefix: "/", path }] });
    expect(await (await fetch(own.url)).text()).toBe(text);
  }
});

test("paths as names", () => {
  expect(namesOf("/a/b%20c/")).toEqual(["a", "b c"]);
  expect(namesOf("/")).toEqual([]);
  for (const path of ["//", "/a//b", "/.", "/a/..", "/%2e", "/a%2fb", "/a%5cb", "/a%00", "/%f"]) {
    expect([path, namesOf(path)]).toEqual([path, undefined]);
  }
});

test("the command line", () => {
  const parse = (...argv: string[]) => parseServe(["--config", "x", ...argv])?.pages;
  expect(parse()).toEqual([]);
  expect(parse("--roothttp", "www", "--alias", "/a/b/:/x:y", "--alias=/c:.")).toEqual([
    { prefix: "/a/b", path: "/x:y" },
    { prefix: "/c", path: "." },
    { prefix: "/", path: "www" },
  ]);
  for (const alias of ["", "/a", "a:b", "/:b", "/a:", "/api:b", "/api/x:b", "/.a:b", "/a/../b:c"]) {
    expect(() => parse("--alias", alias)).toThrow(TypeError);
  }
});

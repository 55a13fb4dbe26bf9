/** Validators and ranges of pages: what a browser keeps, seeks in, and goes on downloading. */
import { afterAll, beforeAll, describe, expect, setSystemTime, test } from "bun:test";
import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { contentRange, rangeOf } from "../../src/server/range.ts";
import { until } from "../served.ts";
import { RawClient, serve, type TestServer } from "./harness.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-parts-"));
const BIG = Buffer.from(Array.from({ length: 1 << 20 }, (_, i) => (i * 31) & 255));
let server: TestServer;
/** Of `ten`, once it has not changed for a while. */
let strong: string;

const ask = (path: string, headers: Record<string, string> = {}, method = "GET") =>
  fetch(`${server.url}/${path}`, { headers, method });
const etagOf = async (path: string) => (await ask(path)).headers.get("etag") ?? "";

beforeAll(async () => {
  const files = { ten: "0123456789", empty: "", big: BIG };
  for (const [name, content] of Object.entries(files)) writeFileSync(join(dir, name), content);
  server = await serve({ pages: [{ prefix: "/", path: dir }] });
  await until("files that nobody changes have strong tags", async () => {
    strong = await etagOf("big");
    return !strong.startsWith("W/");
  });
  strong = await etagOf("ten");
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(dir, { recursive: true });
});

test("files of no byte, and of one, come as they are", async () => {
  writeFileSync(join(dir, "one"), "1");
  for (const [name, content] of [
    ["empty", ""],
    ["one", "1"],
  ] as const) {
    const answer = await ask(name);
    expect([answer.headers.get("content-length"), await answer.text()]).toEqual([
      `${content.length}`,
      content,
    ]);
  }
});

test("a strong tag is another once the content is, though size, inode and time of the content are the same", async () => {
  const file = join(dir, "same");
  const write = (content: string) => {
    writeFileSync(file, content);
    utimesSync(file, 1_700_000_000, 1_700_000_000);
  };
  const later = (seconds: number) => setSystemTime(Date.now() + seconds * 1000);
  try {
    write("one");
    later(10);
    const first = await etagOf("same");
    setSystemTime();
    await Bun.sleep(20);
    write("two");
    expect(await etagOf("same")).toStartWith("W/");
    later(10);
    const second = await etagOf("same");
    expect([first, second].map((tag) => tag.startsWith('"'))).toEqual([true, true]);
    expect(second).not.toBe(first);
    // A part of the old file is not put together with one of the new.
    const whole = await ask("same", { range: "bytes=1-", "if-range": first });
    expect([whole.status, await whole.text()]).toEqual([200, "two"]);
    const part = await ask("same", { range: "bytes=1-", "if-range": second });
    expect([part.status, await part.text()]).toEqual([206, "wo"]);
  } finally {
    setSystemTime();
  }
});

test("validators: 304 until the file changes", async () => {
  const file = join(dir, "changing.html");
  writeFileSync(file, "one");
  utimesSync(file, 1_750_000_000, 1_750_000_000);
  const ask = (headers: Record<string, string>) =>
    fetch(`${server.url}/changing.html`, { headers });
  const first = await ask({});
  const etag = first.headers.get("etag") ?? "";
  expect(first.headers.get("last-modified")).toBe("Sun, 15 Jun 2025 15:06:40 GMT");
  expect(first.headers.get("cache-control")).toBe("no-cache");
  const unchanged: Record<string, string>[] = [
    { "if-none-match": etag },
    { "if-none-match": `"x", ${etag}` },
    { "if-none-match": etag.replace(/^W\//, "") },
    { "if-none-match": "*" },
    { "if-modified-since": "Sun, 15 Jun 2025 15:06:40 GMT" },
  ];
  for (const headers of unchanged) {
    const response = await ask(headers);
    expect([response.status, await response.text()]).toEqual([304, ""]);
    expect(response.headers.get("etag")).toBe(etag);
    expect(response.headers.get("content-length")).toBeNull();
  }
  const changed: Record<string, string>[] = [
    { "if-none-match": '"x"' },
    { "if-none-match": '"x"', "if-modified-since": "Sun, 15 Jun 2025 15:06:40 GMT" },
    { "if-modified-since": "Sun, 15 Jun 2025 15:06:39 GMT" },
    { "if-modified-since": "nonsense" },
  ];
  for (const headers of changed) expect((await ask(headers)).status).toBe(200);
  writeFileSync(file, "two");
  expect(await (await ask({ "if-none-match": etag })).text()).toBe("two");
});

test("of an image whose files all have one time, a page of the image before is none of now", async () => {
  const file = join(dir, "built-alike");
  writeFileSync(file, "one");
  // As bitbake, nix and container builders leave them.
  for (const time of [1, 315_532_801, 1_520_598_896]) {
    utimesSync(file, time, time);
    const since = new Date(time * 1000).toUTCString();
    const answer = await ask("built-alike", { "if-modified-since": since });
    expect([answer.status, answer.headers.get("last-modified")]).toEqual([200, null]);
  }
  // Nothing of the file is another then: the server was started anew.
  const tagOf = () => {
    const script = `
      import { handleAt } from ${JSON.stringify(join(import.meta.dir, "../../ffi/at.ts"))};
      import { openDirectory } from ${JSON.stringify(join(import.meta.dir, "../../ffi/beneath.ts"))};
      import { respondFile } from ${JSON.stringify(join(import.meta.dir, "../../src/server/page-file.ts"))};
      import { fstatSync } from "node:fs";
      const handle = handleAt(openDirectory(${JSON.stringify(dir)}), "built-alike");
      const stat = fstatSync(handle, { bigint: true });
      const page = { handle, stat, name: "built-alike" };
      const request = new Request("http://localhost/", { method: "HEAD" });
      console.log((await respondFile(request, page, "'self'")).headers.get("etag"));`;
    return Bun.spawnSync([process.execPath, "-e", script]).stdout.toString().trim();
  };
  const [one, other] = [tagOf(), tagOf()];
  expect([one, other].every((tag) => /^(W\/)?"[\w-]+"$/.test(tag))).toBe(true);
  expect(other).not.toBe(one);
});

test("a tag is strong once a change must make another, and tells a change that keeps size and time", async () => {
  const file = join(dir, "fresh");
  const time = 1_600_000_000;
  const write = (text: string): void => {
    writeFileSync(file, text);
    utimesSync(file, time, time);
  };
  write("one");
  const weak = await etagOf("fresh");
  expect(weak).toMatch(/^W\/"/);
  const part = { range: "bytes=0-0", "if-range": weak };
  expect((await ask("fresh", part)).status).toBe(200);
  await until("it is strong", async () => !(await etagOf("fresh")).startsWith("W/"));
  const tag = await etagOf("fresh");
  expect((await ask("fresh", { "if-none-match": weak })).status).toBe(200);
  expect((await ask("fresh", { "if-none-match": `W/${tag}` })).status).toBe(304);
  expect((await ask("fresh", { ...part, "if-range": tag })).status).toBe(206);
  write("two");
  expect(await (await ask("fresh", { "if-none-match": tag })).text()).toBe("two");
  expect(await (await ask("fresh", { ...part, "if-range": tag })).text()).toBe("two");
});

describe("ranges", () => {
  test.each<[string, string, number, string | null, string]>([
    ["ten", "bytes=0-3", 206, "bytes 0-3/10", "0123"],
    ["ten", "bytes=4-", 206, "bytes 4-9/10", "456789"],
    ["ten", "bytes=-2", 206, "bytes 8-9/10", "89"],
    ["ten", "bytes=9-9", 206, "bytes 9-9/10", "9"],
    ["ten", "bytes=0-", 206, "bytes 0-9/10", "0123456789"],
    ["ten", "Bytes=8-99999999999999999999", 206, "bytes 8-9/10", "89"],
    ["ten", "bytes=-99", 206, "bytes 0-9/10", "0123456789"],
    ["ten", "bytes=10-", 416, "bytes */10", ""],
    ["ten", "bytes=99999999999999999999-", 416, "bytes */10", ""],
    ["ten", "bytes=-0", 416, "bytes */10", ""],
    ["empty", "bytes=0-", 416, "bytes */0", ""],
    ["empty", "bytes=-5", 200, null, ""],
    ["ten", "bytes=0-1,4-5", 200, null, "0123456789"],
    ["ten", "bytes=5-4", 200, null, "0123456789"],
    ["ten", "bytes=-", 200, null, "0123456789"],
    ["ten", "bytes=a-b", 200, null, "0123456789"],
    ["ten", "bytes=1-2x", 200, null, "0123456789"],
    ["ten", "bytes=--1", 200, null, "0123456789"],
    ["ten", "lines=0-1", 200, null, "0123456789"],
  ])("%s %s", async (path, range, status, told, content) => {
    using client = await RawClient.open(server.port);
    client.write(
      `GET /${path} HTTP/1.1\r\nHost: localhost\r\nRange: ${range}\r\nConnection: close\r\n\r\n`,
    );
    const head = await client.head();
    const header = (name: string) => new RegExp(`^${name}: (.*)\r$`, "im").exec(head)?.[1] ?? null;
    expect([head.slice(9, 12), header("content-range")]).toEqual([String(status), told]);
    expect(header("content-length")).toBe(String(content.length));
    expect(header("accept-ranges")).toBe("bytes");
    expect(header("etag")).not.toBeNull();
    expect(header("content-type")).toBe(status === 416 ? null : "application/octet-stream");
    expect(await client.rest()).toBe(content);
  });

  test("under a condition: the strong tag of now, no other and no date", async () => {
    const { headers } = await ask("ten");
    const date = headers.get("last-modified") ?? "";
    const status = async (more: Record<string, string>) =>
      (await ask("ten", { range: "bytes=0-1", ...more })).status;
    expect(await status({ "if-range": strong })).toBe(206);
    for (const other of ['"x"', `W/${strong}`, date, ""]) {
      expect([other, await status({ "if-range": other })]).toEqual([other, 200]);
    }
    // Nothing is asked for that the caller has.
    expect(await status({ "if-none-match": strong })).toBe(304);
    expect(await status({ "if-none-match": '"x"' })).toBe(206);
    // 416 only where a range would be the answer.
    expect(await status({ range: "bytes=99-", "if-range": '"x"' })).toBe(200);
  });

  test("are for GET alone", async () => {
    const response = await ask("ten", { range: "bytes=0-1" }, "HEAD");
    expect([response.status, response.headers.get("content-length")]).toEqual([200, "10"]);
    expect(response.headers.get("content-range")).toBeNull();
    expect(response.headers.get("accept-ranges")).toBe("bytes");
  });

  test("a download that broke off goes on", async () => {
    using broken = await RawClient.open(server.port);
    broken.write("GET /big HTTP/1.1\r\nHost: localhost\r\n\r\n");
    const etag = /^etag: (.*)\r$/im.exec(await broken.head())?.[1] ?? "";
    const have = 300_001;
    await broken.take(have);
    broken.socket.destroy();
    const rest = await ask("big", { range: `bytes=${have}-`, "if-range": etag });
    expect([rest.status, rest.headers.get("content-range")]).toEqual([
      206,
      `bytes ${have}-${BIG.length - 1}/${BIG.length}`,
    ]);
    const bytes = Buffer.from(await rest.arrayBuffer());
    expect(bytes.equals(BIG.subarray(have))).toBe(true);
  });

  test("every range is within the file, and what is said of it fits", () => {
    const numbers = ["", "0", "1", "4", "5", "6", "99"];
    for (const size of [0, 1, 5]) {
      for (const first of numbers) {
        for (const last of numbers) {
          const range = rangeOf(`bytes=${first}-${last}`, size);
          if (range === undefined || range === "none") continue;
          expect(range.from >= 0 && range.from < range.to && range.to <= size).toBe(true);
          expect(contentRange(range, size)).toBe(`bytes ${range.from}-${range.to - 1}/${size}`);
        }
      }
    }
  });
});

/** The bytes of a page: read when somebody wants them, no sooner, and what is open for them closed however that ends. */
import { afterAll, beforeEach, expect, test } from "bun:test";
import {
  closeSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { respondFile } from "../../src/server/page-file.ts";
import { descriptorsOf } from "../descriptors.ts";
import { turns } from "../launch/turns.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-page-file-"));
afterAll(() => rmSync(dir, { recursive: true }));
const file = join(dir, "page.txt");
const CHUNK = 64 * 1024;

/** How often it is open here. */
const opened = (): number => descriptorsOf("self").filter((path) => path === file).length;

async function page(headers: Record<string, string> = {}, method = "GET"): Promise<Response> {
  const handle = openSync(file, "r");
  try {
    const request = new Request("http://localhost/page.txt", { method, headers });
    const stat = statSync(file, { bigint: true });
    return await respondFile(request, { handle, stat, name: file }, "'self'");
  } finally {
    closeSync(handle);
  }
}

beforeEach(() => writeFileSync(file, "a".repeat(2 * CHUNK)));

test("nothing is read before somebody wants it", async () => {
  const response = await page();
  await turns(50);
  writeFileSync(file, "b".repeat(2 * CHUNK));
  expect(await response.text()).toBe("b".repeat(2 * CHUNK));
  expect(opened()).toBe(0);
});

test("a chunk is read at a time, and what is left of it is closed with the stream", async () => {
  const reader = (await page()).body?.getReader();
  expect((await reader?.read())?.value).toHaveLength(CHUNK);
  expect(opened()).toBe(1);
  await reader?.cancel();
  expect(opened()).toBe(0);
  await (await page()).body?.cancel();
  expect(opened()).toBe(0);
});

test("one that became shorter breaks off", async () => {
  const reader = (await page()).body?.getReader();
  await reader?.read();
  truncateSync(file, CHUNK);
  expect(reader?.read()).rejects.toThrow(`the file became shorter than ${2 * CHUNK} bytes`);
  await turns(5);
  expect(opened()).toBe(0);
});

test("of a head, and of what is known already, nothing is opened", async () => {
  const head = await page({}, "HEAD");
  const etag = head.headers.get("etag") ?? "";
  expect([head.body, head.headers.get("content-length"), opened()]).toEqual([
    ...[null, `${2 * CHUNK}`, 0],
  ] as never);
  const known = await page({ "if-none-match": etag });
  expect([known.status, known.body, opened()]).toEqual([304, null, 0]);
});

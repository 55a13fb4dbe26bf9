/** Where the console is, and where it is not meant. */
import { expect, test } from "bun:test";
import { consoleAt } from "../../src/server/console.ts";

const ask = (path: string, headers: Record<string, string> = {}) =>
  consoleAt(new Request(`http://localhost${path}`, { headers }), "'none'", "/box");

test("without the slash of its place it leads there, with what was asked", async () => {
  for (const [path, location] of [
    ["/console", "/box/console/"],
    ["/console?a=1", "/box/console/?a=1"],
  ] as const) {
    const response = await ask(path);
    expect([response?.status, response?.headers.get("location")]).toEqual([302, location]);
  }
});

test("is not meant by other paths, nor at the root by who reads anything", async () => {
  const others = ["/consoles", "/console/a/b.js", "/console/none", "/api/console", "/"];
  for (const path of others) expect([path, await ask(path)]).toEqual([path, undefined]);
  for (const accept of ["*/*", "application/json", "text/html+x", "x/text/html"])
    expect([accept, await ask("/", { accept })]).toEqual([accept, undefined]);
});

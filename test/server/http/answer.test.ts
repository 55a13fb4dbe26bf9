/** Answers that are texts: what is sent of them, to whom. */
import { expect, test } from "bun:test";
import { Answer, fetched } from "../../../src/server/http/answer.ts";
import { sendResponse } from "../../../src/server/http/fetch.ts";
import type { Output } from "../../../src/server/http/output.ts";

const answer = () => new Answer(404, '"é"', { "content-type": "application/json" });

async function sent(method: string, keepAlive: boolean) {
  const whole: [string, string | undefined][] = [];
  const output = {
    whole: async (head: string, body: Uint8Array | undefined) =>
      void whole.push([head, body && Buffer.from(body).toString()]),
  };
  const more = await sendResponse(
    answer(),
    { method, version: "1.1", keepAlive },
    output as unknown as Output,
  );
  return { whole, more };
}

test("are sent with their length in bytes, to a HEAD without what it is of", async () => {
  for (const method of ["GET", "HEAD"]) {
    const { whole, more } = await sent(method, true);
    expect(whole).toEqual([
      [
        expect.stringMatching(
          /^HTTP\/1\.1 404 Not Found\r\ncontent-type: application\/json\r\ncontent-length: 4\r\ndate: .*\r\nconnection: keep-alive\r\n\r\n$/,
        ),
        method === "HEAD" ? undefined : '"é"',
      ],
    ]);
    expect(more).toBe(true);
  }
  const { whole, more } = await sent("GET", false);
  expect([whole[0]?.[0].includes("connection: close"), more]).toEqual([true, false]);
});

test("are the same for who knows only what the Fetch API has", async () => {
  const one = answer();
  one.headers.append("vary", "Origin");
  one.headers.append("vary", "Accept");
  const response = fetched(one);
  expect([response.status, await response.text()]).toEqual([404, '"é"']);
  expect([...response.headers]).toEqual([
    ["content-type", "application/json"],
    ["vary", "Origin, Accept"],
  ]);
  const own = new Response("x");
  expect(fetched(own)).toBe(own);
});

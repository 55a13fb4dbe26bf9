/** How long a connection waits for its client, to the millisecond: by a clock that stands still until it is set on. */
import { afterEach, beforeEach, expect, jest, test } from "bun:test";
import { turns, turnsUntil } from "../../launch/turns.ts";
import { RawClient } from "../harness.ts";
import { lines, site } from "./site.ts";

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

/** Opens one, sends that, and is answered so often. */
async function opened(sent: string, answers = 0) {
  const here = await site((_, body) => new Response(body));
  const client = await RawClient.open(here.port);
  await turnsUntil("it is there", () => here.connections.length === 1);
  if (sent !== "") client.write(sent);
  for (let i = 0; i < answers; i++) expect(await client.head()).toStartWith("HTTP/1.1 200 ");
  // What was sent is read.
  await turns(20);
  return { here, client, isOpen: () => here.sockets.size > 0 };
}

const CUT_OFF = /^HTTP\/1\.1 408 /;

test.each([
  ["for its first request", "", 0, 10_000, undefined],
  ["for the rest of a head", "GET / HT", 0, 10_000, CUT_OFF],
  ["for a body", lines("POST", "/", "Content-Length: 5") + "x", 0, 30_000, CUT_OFF],
  ["for the next request", lines("GET", "/"), 1, 90_000, undefined],
  ["for the rest of the next head", `${lines("GET", "/")}GET /`, 1, 10_000, CUT_OFF],
] as const)("%s", async (_, sent, answers, ms, said) => {
  const { here, client, isOpen } = await opened(sent, answers);
  jest.advanceTimersByTime(ms - 1);
  await turns(20);
  expect([client.ended, isOpen()]).toEqual([false, true]);
  jest.advanceTimersByTime(1);
  if (said) expect(await client.head()).toMatch(said);
  await turnsUntil("it has ended", () => client.ended);
  client.socket.destroy();
  await turnsUntil("it is closed", () => !isOpen());
  here.stop();
});

test("for the other side to end, behind the last answer", async () => {
  const { here, client, isOpen } = await opened(lines("GET", "/", "Connection: close"), 1);
  await turnsUntil("it has ended", () => client.ended);
  // It goes on, and does not end itself.
  client.write("x");
  await turns(20);
  jest.advanceTimersByTime(4_999);
  await turns(20);
  expect(isOpen()).toBe(true);
  jest.advanceTimersByTime(1);
  await turnsUntil("it is closed", () => !isOpen());
  client.socket.destroy();
  here.stop();
});

test("a head that begins late has all its time, and a next request too", async () => {
  const { here, client, isOpen } = await opened("");
  jest.advanceTimersByTime(9_999);
  client.write("GET / HT");
  await turns(20);
  jest.advanceTimersByTime(9_999);
  await turns(20);
  client.write("TP/1.1\r\nHost: x\r\n\r\n");
  expect(await client.head()).toStartWith("HTTP/1.1 200 ");
  await turns(20);
  jest.advanceTimersByTime(89_999);
  client.write("GET / HT");
  await turns(20);
  jest.advanceTimersByTime(9_999);
  await turns(20);
  expect([client.ended, isOpen()]).toEqual([false, true]);
  jest.advanceTimersByTime(1);
  expect(await client.head()).toMatch(CUT_OFF);
  client.socket.destroy();
  await turnsUntil("it is closed", () => !isOpen());
  here.stop();
});

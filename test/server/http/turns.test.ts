/** A connection whose requests wait for those of others: it is not idle meanwhile, and what has come too late is not answered. */
import { afterEach, expect, test } from "bun:test";
import { once } from "node:events";
import { HttpConnection, LIMITS } from "../../../src/server/http/connection.ts";
import { rounds } from "../../../src/server/rounds.ts";
import { Share } from "../../../src/share.ts";
import { until } from "../../served.ts";
import { pair } from "../raw-pair.ts";

const own = { peer: "p", connection: {} };
let blocks = false;
afterEach(() => void (blocks = false));
/** Others ask without end. */
function block(): void {
  blocks = true;
  const other = { peer: "o", connection: {} };
  const again = (): void => {
    if (blocks) rounds.enter(other, again);
  };
  again();
}

async function connected(limits = LIMITS) {
  const { raw, client } = await pair();
  const said: string[] = [];
  const state = () => (connection.idleSince === undefined ? "busy" : "idle");
  const respond = () => {
    said.push(`answered, ${state()}`);
    return new Response("done");
  };
  const asker = () => {
    queueMicrotask(() => said.push(`waits, ${state()}`));
    return own;
  };
  const streams = (target: string) => target === "/stream";
  const handlers = { respond, asker, streams, upgrade: () => {} };
  const connection = new HttpConnection(raw, new Share(1 << 20).part(), handlers, limits);
  let heard = "";
  client.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  return { client, said, state, heard: () => heard };
}
const lines = (method: string, target: string) =>
  `${method} ${target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n`;

test.each([
  ["GET", "/"],
  ["POST", "/stream"],
])("a request waits where others do, and only there: %s %s", async (method, target) => {
  const { client, said, state, heard } = await connected();
  client.write(lines(method, target));
  await until("it is answered", () => heard().endsWith("done"));
  expect(said.splice(0)).toEqual(["answered, busy"]);
  await until("that is over", () => state() === "idle");
  block();
  client.write(lines(method, target));
  await until("it is answered", () => heard().split("done").length === 3);
  expect(said).toEqual(["waits, busy", "answered, busy"]);
  await until("that is over", () => state() === "idle");
});

test.each([
  ["GET", "/"],
  ["POST", "/stream"],
])("one that is refused while it waits is not answered besides: %s %s", async (method, target) => {
  const { client, said, heard } = await connected({ ...LIMITS, body: 1 });
  // A round each, of the same client.
  const busy = (): void => {
    for (const end = performance.now() + 10; performance.now() < end;);
  };
  for (let i = 0; i < 20; i++) rounds.enter(own, busy);
  let isNext = false;
  const ended = once(client, "end");
  client.write(lines(method, target));
  await until("it waits", () => said.length > 0);
  rounds.enter(own, () => (isNext = true));
  await ended;
  await until("it would have been answered", () => isNext);
  expect(heard()).toStartWith("HTTP/1.1 408 ");
  expect([heard().split("HTTP/1.1").length, said]).toEqual([2, ["waits, busy"]]);
});

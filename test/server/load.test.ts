/** Many clients, and nonsense: nothing is lost, nothing breaks. */
import { expect, test } from "bun:test";
import { success } from "../../src/api/reply.ts";
import { connect } from "../../src/client.ts";
import { frame, RawClient, serve, upgradeText } from "./harness.ts";
import { serveOn, TRANSPORTS } from "./transport.ts";

const CLIENTS = 200;
const CALLS = 50;

test(`${CLIENTS} clients, ${CALLS} calls each: every one gets its own replies`, async () => {
  await using server = await serve();
  const begin = performance.now();
  const url = `${server.url.replace("http", "ws")}/api`;
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(url)));
  const replies = await Promise.all(
    clients.map((client, c) =>
      Promise.all(
        Array.from({ length: CALLS }, (_, i) =>
          client.call("t/echo", { c, i, pad: "x".repeat(i * 40) }),
        ),
      ),
    ),
  );
  const seconds = (performance.now() - begin) / 1000;
  replies.forEach((mine, c) =>
    mine.forEach((reply, i) => expect(reply).toEqual(success({ c, i, pad: "x".repeat(i * 40) }))),
  );
  console.log(`${CLIENTS * CALLS} calls in ${seconds.toFixed(2)} s`);
  await Promise.all(clients.map((client) => client.close()));
}, 60_000);

/** Numbers below `below`, the same for the same seed. */
function seeded(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** ms of nonsense, some hundred connections. */
const LONG = process.env["CI"] === undefined ? 1_000 : 3_000;

/** SPAWNBOX_SEED=N repeats a run. */
const seed = Number(process.env["SPAWNBOX_SEED"] ?? Date.now() % 2 ** 32);

const PIECES = [
  ...[
    "GET ",
    "POST ",
    "/api/t/ping",
    "/api/t/echo?a=%zz",
    " HTTP/1.1\r\n",
    "Host: localhost\r\n",
    "\r\n",
    "\r\n\r\n",
  ],
  ...[
    "Content-Length: 3\r\n",
    "Content-Length: -1\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
  ],
  ...[
    "Content-Type: application/json\r\n",
    "{}",
    "0\r\n\r\n",
    "ffffffffff\r\n",
    "Upgrade: websocket\r\n",
    "\0",
    "é",
  ],
  ...[
    upgradeText(),
    upgradeText({ "Sec-WebSocket-Version": "x" }),
    String(frame('[2,"1","t/ping",null]')),
  ],
];

for (const transport of TRANSPORTS) {
  test(`random bytes to the port, ${transport}: the server goes on`, async () => {
    console.log(`port: SPAWNBOX_SEED=${seed}`);
    const random = seeded(seed);
    await using server = await serveOn(transport);
    const end = performance.now() + LONG;
    let rounds = 0;
    for (; performance.now() < end; rounds++) {
      const batch = Array.from({ length: 8 }, async () => {
        const client = await RawClient.open(server.to);
        for (let i = random(10); i >= 0; i--) {
          const piece = PIECES[random(PIECES.length)] ?? "";
          client.write(
            random(4) ? piece : Uint8Array.from({ length: random(200) }, () => random(256)),
          );
        }
        // Answered or not, the server lets go when the client does.
        if (random(2)) client.socket.end();
        else await new Promise((resolve) => setTimeout(resolve, random(4)));
        client.socket.destroy();
      });
      await Promise.all(batch);
    }
    using client = await RawClient.webSocket(server.to);
    client.call("1", "t/nope", null);
    expect(await client.json()).toMatchObject([4, "1", { request: { code: -4 } }]);
    expect(rounds).toBeGreaterThan(5);
  }, 60_000);
}

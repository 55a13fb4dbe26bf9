/** A broker that sends anything, to a server of root: nothing of it may end the process, whose end any error is that nobody catches. */
import { describe, expect, test } from "bun:test";
import { type Packet, generate } from "mqtt-packet";
import { AfbError } from "../../src/errors.ts";
import { Inflow } from "../../src/fleet/inflow.ts";
import { Link, type Message } from "../../src/fleet/link.ts";
import { Presence } from "../../src/fleet/presence.ts";
import { askedOf, Ignored, placeOf } from "../../src/fleet/request.ts";
import { Topics } from "../../src/fleet/topics.ts";

const ROUNDS = 200;
/** Of a linear congruential generator: the same each time. */
let state = 7;
const random = (most: number): number => {
  state = (state * 1103515245 + 12345) & 0x7fffffff;
  return state % most;
};
const one = <T>(list: readonly T[]): T => list[random(list.length)] as T;

const bytesOf = (packet: Packet): Buffer => generate(packet, { protocolVersion: 5 });
const packets: readonly Buffer[] = [
  bytesOf({
    ...{ cmd: "publish", topic: "sb/v1/b/call/op/x/y", payload: "{}", qos: 1, messageId: 5 },
    ...{ retain: false, dup: true },
    properties: { responseTopic: "a", messageExpiryInterval: 5, userProperties: { a: "b" } },
  }),
  bytesOf({
    ...{ cmd: "publish", topic: "a", payload: "{}", qos: 2, messageId: 6, retain: false },
    dup: false,
  }),
  bytesOf({ cmd: "puback", messageId: 1, reasonCode: 0 }),
  bytesOf({ cmd: "pubrec", messageId: 1 }),
  bytesOf({ cmd: "pubrel", messageId: 1 }),
  bytesOf({ cmd: "suback", messageId: 1, granted: [1] }),
  bytesOf({ cmd: "unsuback", messageId: 1, granted: [0] }),
  bytesOf({ cmd: "pingresp" }),
  bytesOf({ cmd: "disconnect", reasonCode: 0x8e }),
  bytesOf({ cmd: "auth", reasonCode: 0 }),
];

function answer(): Buffer {
  const parts: Buffer[] = [];
  const properties = one([undefined, { receiveMaximum: 1, topicAliasMaximum: 5 }]);
  if (random(5) > 0)
    parts.push(
      bytesOf({
        ...{ cmd: "connack", sessionPresent: random(2) === 0, reasonCode: one([0, 0, 0, 0x87]) },
        ...(properties && { properties }),
      }),
    );
  for (let i = random(6); i > 0; i--) {
    const bytes = Buffer.from(one(packets));
    for (let k = random(4); k > 0; k--) bytes[random(bytes.length)] = random(256);
    parts.push(random(10) === 0 ? bytes.subarray(0, random(bytes.length)) : bytes);
  }
  return Buffer.concat(parts);
}

test("[protection] whatever a broker sends, a board goes on", async () => {
  let connections = 0;
  const server = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: {
      data(socket) {
        connections++;
        socket.write(answer());
        if (random(3) === 0) socket.end();
      },
      error() {},
    },
  });
  for (let round = 0; round < ROUNDS; round++) {
    const link: Link = new Link({
      ...{ broker: { host: "127.0.0.1", port: server.port, tls: false }, secrets: {} },
      ...{ name: "b", clientId: "b", session: 60, keepalive: 30, largest: 1 << 18 },
      will: { topic: "t", payload: "x" },
      tell: () => {},
      message: () => {},
      connected: () => {
        link.subscribe(["a/#"]).catch(() => {});
        link.publish("x", "y", { retain: true }).catch(() => {});
      },
    });
    link.start();
    await Bun.sleep(5);
    void link.close();
  }
  expect(connections).toBeGreaterThan(ROUNDS / 2);
  server.stop(true);
}, 60_000);

test("one that closes without a word, as Mosquitto 2.0 where another has the name, is told of each time", async () => {
  const accepted = bytesOf({ cmd: "connack", sessionPresent: false, reasonCode: 0 });
  const server = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: { data: (socket) => void socket.end(accepted), error() {} },
  });
  const told: string[] = [];
  const twice = Promise.withResolvers<void>();
  const link = new Link({
    ...{ broker: { host: "127.0.0.1", port: server.port, tls: false }, secrets: {} },
    ...{ name: "b", clientId: "b", session: 60, keepalive: 30, largest: 1 << 18 },
    tell: (text) => told.push(text) === 4 && twice.resolve(),
    message: () => {},
    connected: () => {},
  });
  link.start();
  await twice.promise;
  await link.close();
  server.stop(true);
  const [connected, closed] = ["connected to the broker", expect.stringContaining("the same name")];
  expect(told).toEqual([connected, closed, connected, closed]);
}, 30_000);

describe("[protection] whatever a message says", () => {
  const topics = new Topics("sb/v1");
  const who = { board: "b1", groups: ["g"], homeassistant: { operator: "ha", prefix: "h" } };
  const limits = { expiry: 60, largest: 1024, window: 64 };
  const texts = [
    ...["", "{}", "[", "null", "1e999", '{"seq":-1}', "\0", "é", "x".repeat(2000)],
    ...['{"__proto__":1}', "[".repeat(600), `[${"0,".repeat(70_000)}0]`, "+", "#", "a/b", "*"],
  ];
  const levels = ["sb", "v1", "b1", "_group", "g", "call", "out", "flow", "op1", "ha", "x", ""];

  test("it is a call, ignored or refused", () => {
    const found = { calls: 0, refused: 0, ignored: 0 };
    for (let i = 0; i < 20_000; i++) {
      const topic =
        random(3) > 0
          ? one(["sb/v1/b1/call/op1/a/b", "sb/v1/_group/g/call/op1/a/b", "sb/v1/b1/call/ha/a/b"])
          : Array.from({ length: random(9) }, () => one([...levels, ...texts])).join("/");
      const message: Message = {
        ...{ topic, payload: Buffer.from(one(texts)), qos: one([0, 1]), dup: random(2) === 0 },
        retain: random(9) === 0,
        properties: {
          ...(random(3) > 0 && { responseTopic: one([`sb/v1/b1/out/op1/${one(levels)}`, topic]) }),
          ...(random(2) > 0 && { correlationData: Buffer.from(one([...levels, ...texts])) }),
          ...(random(9) > 0 && { messageExpiryInterval: one([0, 1, 60, 61, 0xffff_ffff]) }),
          ...(random(9) === 0 && { contentType: one(texts) }),
          ...(random(4) === 0 && {
            userProperties: {
              [one(["timeout", "window", "detach", "token", "__proto__"])]: one([
                ...texts,
                ["1", "2"],
                "1",
              ]),
            },
          }),
        },
      };
      try {
        const place = placeOf(message, topics, who);
        expect(place.id).toMatch(/^[\w-]{1,64}$/);
        expect(askedOf(message, place, limits).expiry).toBeLessThanOrEqual(60);
        found.calls++;
      } catch (error) {
        if (error instanceof Ignored) found.ignored++;
        else if (error instanceof AfbError) found.refused++;
        else throw error;
      }
      topics.readFlow(topic, "b1");
      const board = topics.readBoard(topic);
      if (board) new Presence().note(board.board, board.kind, board.rest, Buffer.from(one(texts)));
    }
    for (const count of Object.values(found)) expect(count).toBeGreaterThan(100);
  });

  test("an operator takes no more of a board than it has room for", async () => {
    const said: object[] = [];
    const flow = new Inflow({ window: 64, take: () => {}, say: (one) => said.push(one) });
    const piece = Buffer.alloc(1 << 20);
    // All of them too early but the last, which is taken however many there are.
    for (let seq = 1; seq < 2000; seq++) flow.message(seq, "event", piece);
    flow.message(0, "event", piece);
    await new Promise((resolve) => setImmediate(resolve));
    expect(said.at(-1)).toEqual({ seq: 9 });
  });
});

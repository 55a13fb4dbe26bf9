/** Our end as an importer of WSAPI, byte for byte, against an exporter that cuts what it sends anywhere. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Request, SERVER_SESSION } from "../../src/api/client.ts";
import { AfbError } from "../../src/errors.ts";
import { Dialler } from "../../src/rpc/dialler.ts";
import { encodeMessage, type Message, parseMessage } from "../../src/rpc/wsapi.ts";
import { seeded } from "../config/random.ts";
import { frame } from "../server/harness.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-ws-importer-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;

type Call = Extract<Message, { type: "call" }>;
const reply = (
  { callid }: Call,
  json: string | null,
  error: string | null = null,
  info: string | null = null,
): Message => ({
  ...{ type: "reply", callid, error, info, json },
});

async function against(answer: (call: Call) => readonly Message[], seed = 1) {
  const path = join(dir, `${++sockets}`);
  const random = seeded(seed);
  const got: Buffer[] = [];
  const calls: Call[] = [];
  const serve = (socket: Socket): void => {
    let buffer = Buffer.alloc(0);
    let sending = Promise.resolve();
    const send = (...messages: readonly Message[]): void => {
      const bytes = Buffer.concat(
        messages.map((one) => frame(encodeMessage(one), { opcode: 2, mask: random() < 0.5 })),
      );
      sending = sending.then(async () => {
        for (let at = 0; at < bytes.length;) {
          const size = Math.max(1, Math.ceil(random() * (bytes.length - at)));
          socket.write(bytes.subarray(at, at + size));
          at += size;
          await new Promise((resolve) => setImmediate(resolve));
        }
      });
    };
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
      // Unmasked, in one frame each.
      for (;;) {
        if (buffer.length < 2 || buffer[0] !== 0x82) return;
        const short = buffer[1] ?? 0;
        const head = short === 127 ? 10 : short === 126 ? 4 : 2;
        if (buffer.length < head) return;
        const length =
          short === 127
            ? Number(buffer.readBigUInt64BE(2))
            : short === 126
              ? buffer.readUInt16BE(2)
              : short;
        if (buffer.length < head + length) return;
        got.push(buffer.subarray(0, head + length));
        const message = parseMessage(buffer.subarray(head, head + length));
        buffer = buffer.subarray(head + length);
        if (message.type === "offer") send({ type: "set", version: 1 });
        if (message.type === "call") {
          calls.push(message);
          send(...answer(message));
        }
      }
    });
  };
  const server = createServer(serve);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const dialler = new Dialler({
    speech: "ws",
    uri: `unix:${path}`,
    address: { kind: "unix", path },
  });
  return {
    got,
    calls,
    call: (verb: string, args: unknown = null, more: Partial<Request> = {}) =>
      dialler.call(undefined, { api: "near", verb, args, session: { uuid: "SESS1" }, ...more }),
    [Symbol.dispose]() {
      dialler.close();
      server.close();
    },
  };
}

test("an offer, a session, a token and a call are the bytes that binders send", async () => {
  using far = await against((call) => [reply(call, '"pong 1"')]);
  const session = { uuid: "SESS1" };
  expect(await far.call("ping", { a: 1 }, { session, caller: { token: "TOK1" } })).toBe("pong 1");
  const hex = far.got.map((one) => one.toString("hex"));
  expect(hex[0]).toBe("82075609144c170101");
  expect(hex[1]).toBe(`820d53010006000000${Buffer.from("SESS1\0").toString("hex")}`);
  expect(hex[2]).toBe(`820c54010005000000${Buffer.from("TOK1\0").toString("hex")}`);
  expect(far.calls[0]).toEqual({
    ...{ type: "call", callid: 1, verb: "ping", session: 1, token: 1, json: '{"a":1}' },
    creds: "63:63:0-NoLabel",
  });
});

test("on whose behalf: a user, whoever is confined or unknown as nobody, the server as itself", async () => {
  using far = await against((call) => [reply(call, "null")]);
  const user = { uid: 1000, gids: [100, 27], confined: false };
  await far.call("a", null, { caller: { user } });
  await far.call("b", null, { caller: { user: { ...user, uid: 0, confined: true } } });
  await far.call("c", null, { caller: {} });
  await far.call("d", null, { session: SERVER_SESSION });
  expect(far.calls.map(({ creds }) => creds)).toEqual([
    "3e8:64:0-NoLabel",
    "63:63:0-NoLabel",
    "63:63:0-NoLabel",
    null,
  ]);
});

test("replies, errors by name and of one's own, and 1 MB, however they are cut", async () => {
  const long = JSON.stringify("x".repeat(1_000_000));
  for (let seed = 1; seed <= 10; seed++) {
    using far = await against((call) => {
      if (call.verb === "long") return [reply(call, long)];
      if (call.verb === "none") return [reply(call, "null", "unknown-verb", "no such verb")];
      if (call.verb === "own") return [reply(call, '{"why":1}', "my-error")];
      if (call.verb === "odd") return [reply(call, null, "not a word", "but text")];
      return [reply(call, call.json)];
    }, seed);
    expect(await far.call("echo", [1, "é", null])).toEqual([1, "é", null]);
    expect(await far.call("long")).toHaveLength(1_000_000);
    const errors = await Promise.all(
      ["none", "own", "odd"].map((verb) => far.call(verb).catch((error: unknown) => error)),
    );
    expect(errors[0]).toBeInstanceOf(AfbError);
    expect(errors).toMatchObject([
      { status: "unknown-verb", message: "no such verb" },
      { status: "my-error", code: -1000, message: '{"why":1}' },
      { status: "error", code: -1000, message: "not a word: but text" },
    ]);
    const wide = await far.call("echo", "x".repeat(1_100_000)).catch((error: unknown) => error);
    expect(wide).toMatchObject({ status: "invalid-request" });
  }
});

test("an exporter that answers before its version, or by another, is hung up on", async () => {
  for (const messages of [
    [{ type: "reply", callid: 1, error: null, info: null, json: "1" }],
    [{ type: "set", version: 3 }],
    [
      { type: "set", version: 1 },
      { type: "set", version: 1 },
    ],
    [
      { type: "set", version: 1 },
      { type: "call", callid: 1, verb: "x", session: 0, token: 0, json: null, creds: null },
    ],
  ] as const satisfies readonly (readonly Message[])[]) {
    const path = join(dir, `${++sockets}`);
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () =>
        socket.write(
          Buffer.concat(messages.map((one) => frame(encodeMessage(one), { opcode: 2 }))),
        ),
      );
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const dialler = new Dialler({
      speech: "ws",
      uri: `unix:${path}`,
      address: { kind: "unix", path },
    });
    const asked = { api: "near", verb: "ping", args: null, session: { uuid: "s" } };
    const error = await dialler.call(undefined, asked).catch((one: unknown) => one);
    expect(["not-available", "disconnected"]).toContain((error as AfbError).status);
    dialler.close();
    server.close();
  }
});

/** Both our ends against each other, over every kind of socket: one spawnbox calls the verbs of another as if they were its own. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AfbError } from "../../src/errors.ts";
import { parseClient } from "../../src/rpc/address.ts";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import { importApis } from "../../src/rpc/importer.ts";
import type { Packet } from "../../src/rpc/packet.ts";
import { parsePacket } from "../../src/rpc/parse-packet.ts";
import { jsonValue } from "../../src/rpc/value.ts";
import { encodeSet } from "../../src/rpc/wire.ts";
import { isRoot, serve, until } from "../served.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-import-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;

const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const config = (api: string) => ({
  metadata: { uid: api, api, version: "1.0" },
  sandboxes: [
    {
      uid: "s",
      acls: { user: isRoot ? "nobody" : process.geteuid?.() },
      commands: [
        { uid: "hi", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["hi", "%name%"] } },
        { uid: "count", encoder: "line", exec: script("for i in 1 2 3; do echo $$i; done") },
        { uid: "stay", encoder: "sync", exec: script("sleep 1000") },
      ],
    },
  ],
});

interface Ran {
  stdout?: string[];
}

test.each([
  ["a path", () => `unix:${join(dir, `${++sockets}`)}`],
  ["an abstract name", () => `unix:@spawnbox-import-${process.pid}`],
  ["TCP", () => `tcp:127.0.0.1:${21_000 + (process.pid % 9_000)}`],
])("over %s: calls, errors, events, and the end", async (_, place) => {
  const uri = place();
  const exporter = await serve(config("far"), { argv: ["--rpc-server", `${uri}?export=far`] });
  await using importer = await serve(config("near"), {
    argv: ["--rpc-client", `public:${uri}?import=other@far`],
  });
  const hi = await importer.call("other/hi", { name: "é" });
  expect(hi.request.status).toBe("success");
  expect((hi.response as Ran).stdout).toEqual(["hi é"]);
  expect((await importer.call("other/none")).request.status).toBe("unknown-verb");
  const seen: unknown[] = [];
  importer.client.on("event", (name, data) => void (name === "far/count" && seen.push(data)));
  await importer.call("other/count");
  await until("the last event", () =>
    seen.some((one) => (one as { type: string }).type === "final-event"),
  );
  const lines = seen.map((one) => (one as { stdout?: string }).stdout).filter(Boolean);
  expect(lines).toEqual(["1", "2", "3"]);
  const many = Array.from({ length: 200 }, (_, i) => importer.call("other/ping", { i }));
  const answers = await Promise.all(many);
  expect(answers.filter(({ request }) => request.status === "success")).toHaveLength(200);
  const long = importer.call("other/stay");
  await until("it runs", async () => {
    const { response } = await exporter.call("far/stay", { action: "subscribe" });
    return Array.isArray(response) && response.length === 1;
  });
  await exporter.crash();
  expect((await long).request.status).toBe("disconnected");
  expect((await importer.call("other/ping")).request.status).toBe("not-available");
  await exporter[Symbol.asyncDispose]();
  await using _again = await serve(config("far"), { argv: ["--rpc-server", `${uri}?export=far`] });
  expect((await importer.call("other/ping")).request.status).toBe("success");
});

describe("an exporter that is none", () => {
  const asked = { api: "far", verb: "ping", args: null, session: { uuid: "s" } };

  async function against(answer: string): Promise<unknown> {
    const path = join(dir, `${++sockets}`);
    const server = createServer((socket) => {
      socket.on("error", () => undefined);
      socket.once("data", () => socket.write(Buffer.from(answer, "hex")));
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    const { apis, close } = importApis([parseClient(`public:unix:${path}?import=far`)]);
    try {
      return await apis[0]?.call(asked).catch((error: unknown) => error);
    } finally {
      close();
      server.close();
    }
  }

  test("is not available, or disconnected, and no call waits for it", async () => {
    for (const [answer, status] of [
      ["7600", "not-available"],
      ["7601", "not-available"],
      ["485454502f312e31", "not-available"],
      ["76030400f0ff010008000000", "disconnected"],
      ["76030400fcff01000c0000000100020000000000", "disconnected"],
    ] as const) {
      const error = await against(answer);
      expect(error).toBeInstanceOf(AfbError);
      expect((error as AfbError).status).toBe(status);
    }
  });
});

test("an event comes as long as it is subscribed to, to whom that is, under the name it was made with", async () => {
  const event = 2;
  const push = (text: string): Packet => ({
    type: "push",
    event,
    values: [jsonValue(JSON.stringify(text))],
  });
  const end = (callid: number): Packet => ({ type: "reply", callid, status: 0, values: [] });
  /** What the exporter says to each call, by its verb. */
  const said: Record<string, (callid: number) => Packet[]> = {
    begin: (callid) => [
      { type: "create", kind: "event", id: event, name: "far/e" },
      { type: "subscribe", callid, event },
      push("one"),
      end(callid),
    ],
    leave: (callid) => [
      push("two"),
      { type: "unsubscribe", callid, event },
      push("three"),
      end(callid),
    ],
    again: (callid) => [
      push("four"),
      { type: "subscribe", callid, event },
      push("five"),
      end(callid),
    ],
    drop: (callid) => [{ type: "destroy", kind: "event", id: event }, push("six"), end(callid)],
  };
  const path = join(dir, `${++sockets}`);
  const server = createServer((socket) => {
    let rest = Buffer.alloc(0);
    let greeted = false;
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      if (!greeted) {
        greeted = true;
        return void socket.write(encodeSet(3));
      }
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 8 && rest.length >= rest.readUInt32LE(4)) {
        const length = rest.readUInt32LE(4);
        const packet = parsePacket(Buffer.from(rest.subarray(0, length)));
        rest = rest.subarray(Math.ceil(length / 8) * 8);
        if (packet.type !== "call") continue;
        const answer = said[packet.verb]?.(packet.callid) ?? [];
        socket.write(Buffer.concat(answer.map((one) => encodePacket(one, 1))));
      }
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const { apis, close } = importApis([parseClient(`public:unix:${path}?import=far`)]);
  const heard: [string, string, unknown][] = [];
  const clientOf = (name: string) => ({
    ...{ session: { uuid: name }, connected: true, backlog: 0, onClose: () => () => {} },
    send: (of: string, data: unknown) => void heard.push([name, of, data]),
  });
  const [mine, other] = [clientOf("mine"), clientOf("other")];
  const call = (verb: string, client = mine) =>
    apis[0]?.call({ api: "far", verb, args: null, session: client.session, client });
  try {
    await call("begin");
    expect(heard.splice(0)).toEqual([["mine", "far/e", "one"]]);
    await call("leave");
    expect(heard.splice(0)).toEqual([["mine", "far/e", "two"]]);
    await call("again", other);
    expect(heard.splice(0)).toEqual([["other", "far/e", "five"]]);
    await call("drop");
    expect(heard.splice(0)).toEqual([]);
  } finally {
    close();
    server.close();
  }
});

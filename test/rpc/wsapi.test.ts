/** Our end as an exporter of WSAPI: messages of version 1 in frames, without HTTP before them. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Granted } from "../../src/api/privileges.ts";
import { parseServer } from "../../src/config/binder-uri.ts";
import { startRpc } from "../../src/rpc/server.ts";
import { encodeMessage, type Message } from "../../src/rpc/wsapi.ts";
import { frame, RawClient, TestRegistry } from "../server/harness.ts";
import { Importer } from "./ws-importer.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-wsapi-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;

class Registry extends TestRegistry {
  override async call(request: Parameters<TestRegistry["call"]>[0]) {
    if (request.verb !== "follow") return super.call(request);
    request.follows?.("t/follow");
    setTimeout(() => void request.client?.send("t/follow", { n: 1 }), 1);
    return super.call({ ...request, verb: "echo" });
  }
}

async function exporting(granted: Granted = () => ({ privileges: "all" })) {
  const path = join(dir, `${++sockets}`);
  const registry = new Registry();
  const options = { registry, granted, connections: 16, mode: 0o600, inherited: () => -1 };
  const rpc = await startRpc([parseServer(`unix:${path}?as-api=t`, "ws")], options);
  return { path, registry, [Symbol.asyncDispose]: () => rpc.close() };
}

const reply = { type: "reply", callid: 1, error: null, info: null } as const;

test("calls and replies, with the scalars that importers make texts of", async () => {
  await using server = await exporting();
  const importer = await Importer.dial(server.path);
  expect(await importer.call("ping", '"null"')).toEqual({ ...reply, json: '"pong=1"' });
  expect(await importer.call("echo", '"null"')).toEqual({ ...reply, json: "null" });
  expect(await importer.call("echo", '"70000"')).toEqual({ ...reply, json: "70000" });
  expect(await importer.call("echo", '"007"')).toEqual({ ...reply, json: '"007"' });
  expect(await importer.call("echo", '{"a":"null"}')).toEqual({ ...reply, json: '{"a":"null"}' });
  expect(await importer.call("events", null)).toEqual({ ...reply, json: "null" });
  expect(await importer.call("fail", null)).toEqual({
    ...reply,
    ...{ error: "invalid-request", info: "invalid pid", json: "null" },
  });
  expect(await importer.call("echo", "{")).toMatchObject({ error: "invalid-request" });
  importer.send({ type: "describe", id: 7 });
  expect(await importer.next()).toEqual({ type: "description", id: 7, json: "null" });
  importer.close();
});

test.each([
  ["null", null],
  ["true", true],
  ["false", false],
  ["-5", -5],
  ["1.5", 1.5],
  ["123456789012345", 123456789012345],
  ["1234567890123456", "1234567890123456"],
  ["1e5", "1e5"],
  [" 1", " 1"],
  ["1.", "1."],
  ["-", "-"],
  ["nulls", "nulls"],
  ["untrue", "untrue"],
  ["-007", "-007"],
])("a text %j is %j", async (text, value) => {
  await using server = await exporting();
  const importer = await Importer.dial(server.path);
  expect(await importer.call("echo", JSON.stringify(text))).toEqual({
    ...{ ...reply, json: JSON.stringify(value) },
  });
  importer.close();
});

test("sessions and tokens are told and taken back; what is told of events is for nobody", async () => {
  await using server = await exporting();
  const importer = await Importer.dial(server.path);
  for (const kind of ["session", "token"] as const)
    importer.send({ type: "create", kind, id: 1, name: "SAME" });
  // An exporter makes these.
  importer.send({ type: "create", kind: "event", id: 2, name: "t/e" });
  importer.send({ type: "destroy", kind: "event", id: 1 });
  const who = async () => {
    const message = { type: "call", callid: 1, verb: "who", session: 1, token: 1, json: null };
    importer.send({ ...message, type: "call", creds: null });
    const answer = await importer.next();
    return answer?.type === "reply" && [answer.error, JSON.parse(answer.json ?? "null") as unknown];
  };
  expect(await who()).toMatchObject([
    null,
    { session: { uuid: "SAME" }, caller: { token: "SAME" } },
  ]);
  importer.send({ type: "destroy", kind: "token", id: 1 });
  expect(await who()).toEqual(["invalid-token", null]);
  importer.send({ type: "create", kind: "token", id: 1, name: "OTHER" });
  expect(await who()).toMatchObject([null, { caller: { token: "OTHER" } }]);
  importer.send({ type: "destroy", kind: "session", id: 1 });
  expect(await who()).toEqual(["invalid-request", null]);
  importer.close();
});

const offer = { type: "offer", versions: [1] } as const;

test.each<[string, readonly Message[]]>([
  ["it does not begin with the versions that it speaks", [{ type: "unexpected", event: 1 }]],
  ["there is no version in common", [{ type: "offer", versions: [2, 3] }]],
  ["who calls does not answer", [offer, { ...reply, json: null }]],
  ["who calls does not answer", [offer, offer]],
])("it is told why it is hung up on: %s", async (why, messages) => {
  await using server = await exporting();
  using raw = await RawClient.open(server.path);
  for (const message of messages) raw.write(frame(encodeMessage(message), { opcode: 2 }));
  let last = await raw.frame();
  while (last && last.opcode !== 8) last = await raw.frame();
  expect(last).toMatchObject({ code: 1002, text: why });
});

test("events are created and subscribed before the reply", async () => {
  await using server = await exporting();
  const importer = await Importer.dial(server.path);
  importer.send({ type: "create", kind: "session", id: 3, name: "SESS1" });
  expect(await importer.call("follow", "1")).toEqual({
    ...{ type: "create", kind: "event", id: 1, name: "t/follow" },
  });
  expect(await importer.next()).toEqual({ type: "subscribe", callid: 1, event: 1 });
  expect(await importer.next()).toEqual({ ...reply, json: "1" });
  expect(await importer.next()).toEqual({ type: "push", event: 1, json: '{"n":1}' });
  importer.send({ type: "unexpected", event: 1 });
  expect(await importer.next()).toEqual({ type: "destroy", kind: "event", id: 1 });
  importer.close();
});

test("who is named as the caller counts, from peers that may name one", async () => {
  await using server = await exporting();
  const importer = await Importer.dial(server.path);
  importer.send({ type: "create", kind: "token", id: 1, name: "TOK1" });
  const who = async (creds: string | null, token = 0) => {
    const answer = await importer.call("who", null, creds, token);
    if (answer?.type !== "reply" || answer.json === null) throw new Error("no reply");
    return { ...answer, value: JSON.parse(answer.json) as { caller: unknown } | null };
  };
  expect((await who("63:64:0-NoLabel", 1)).value?.caller).toEqual({
    via: "binder",
    user: { uid: 0x63, gids: [0x64], confined: true },
    token: "TOK1",
  });
  expect((await who("3e8:64:0-App Label\\")).value?.caller).toEqual({
    via: "binder",
    user: { uid: 1000, gids: [0x64], confined: true, label: "App Label\\" },
  });
  expect((await who("none")).error).toBe("internal-error");
  expect((await who(null, 2)).error).toBe("invalid-token");
  expect((await who(null)).value?.caller).toMatchObject({ user: { uid: process.getuid?.() } });
  importer.close();
  await using strict = await exporting(() => ({ privileges: new Set(["other"]) }));
  const refused = await Importer.dial(strict.path);
  expect(await refused.call("ping", null, "63:63:0-NoLabel")).toMatchObject({
    error: "insufficient-scope",
  });
  expect(await refused.call("ping", null)).toMatchObject({ error: null });
  refused.close();
});

test("what is no offer of version 1 is hung up on, and so is HTTP", async () => {
  await using server = await exporting();
  for (const bytes of [
    frame(encodeMessage({ type: "offer", versions: [3] }), { opcode: 2 }),
    frame(encodeMessage({ type: "unexpected", event: 1 }), { opcode: 2 }),
    frame("{}"),
    Buffer.from("GET /api HTTP/1.1\r\n\r\n"),
  ]) {
    const raw = await RawClient.open(server.path);
    raw.write(bytes);
    raw.socket.on("end", () => raw.socket.end());
    await new Promise((resolve) => raw.socket.once("close", resolve));
  }
});

test("a reply beyond a frame that binders take is an error", async () => {
  await using server = await exporting();
  const importer = await Importer.dial(server.path);
  const fits = JSON.stringify("x".repeat(900_000));
  expect(await importer.call("echo", fits)).toEqual({ ...reply, json: fits });
  const long = JSON.stringify("x".repeat(1_045_000));
  expect(await importer.call("echo", long)).toMatchObject({ error: "not-available" });
  importer.close();
});

/** Calls over a connection: how many are read without a reply, what it holds, and since when nothing was asked for. */
import { expect, test } from "bun:test";
import type { Request } from "../../src/api/client.ts";
import type { Registry } from "../../src/api/registry.ts";
import { AfbConnection } from "../../src/server/afb.ts";
import { VALUES } from "../../src/json.ts";
import type { ServerSession } from "../../src/server/session.ts";
import type { WebSocketConnection } from "../../src/server/websocket.ts";

/** Calls are answered when they are told to; of the WebSocket it is recorded what is asked. */
function connected() {
  const asked: { request: Request; answer: (status?: string, response?: unknown) => void }[] = [];
  const session = { connections: 0 } as ServerSession;
  const registry = {
    call: (request: Request) =>
      new Promise((resolve) => {
        const answer = (status = "success", response?: unknown) =>
          resolve({ jtype: "afb-reply", request: { status }, response });
        asked.push({ request, answer });
      }),
  } as unknown as Registry;
  const afb = new AfbConnection(registry, session, { token: "first" });
  const done: unknown[][] = [];
  const socket = { open: true, empty: true, heard: 5, backlog: 7 };
  const record =
    (name: string) =>
    (...args: unknown[]) =>
      void done.push([name, ...args]);
  const calls = ["send", "close", "hold", "charge"].map((name) => [name, record(name)] as const);
  const attach = () =>
    afb.attach(Object.assign(socket, Object.fromEntries(calls)) as unknown as WebSocketConnection);
  const of = (name: string) => done.filter(([first]) => first === name).map(([, ...rest]) => rest);
  return { afb, session, socket, asked, done, attach, of };
}
const turn = () => new Promise((resolve) => setImmediate(resolve));
const call = (id: number, more = "") => `[2,"${id}","a/v",null${more}]`;

test("it is idle since it was heard, unless something is done for it", async () => {
  const { afb, session, socket, asked, attach } = connected();
  expect([afb.idleSince, afb.connected, afb.backlog, session.connections]).toEqual([
    undefined,
    false,
    0,
    1,
  ] as never);
  attach();
  expect([afb.idleSince, afb.connected, afb.backlog]).toEqual([5, true, 7]);
  socket.empty = false;
  expect(afb.idleSince).toBeUndefined();
  socket.empty = true;
  afb.text(call(1));
  expect(afb.idleSince).toBeUndefined();
  asked[0]?.answer();
  await turn();
  expect(afb.idleSince).toBe(5);
  // Who follows something keeps it; who only wants to know of its end does not.
  const told: string[] = [];
  const follows = afb.onClose(() => told.push("follows"));
  afb.onClose(() => told.push("knows"), false);
  const waits = afb.onClose(() => told.push("waits"), false);
  expect(afb.idleSince).toBeUndefined();
  follows();
  follows();
  waits();
  expect(afb.idleSince).toBe(5);
  afb.onClose(() => told.push("last"));
  expect(afb.idleSince).toBeUndefined();
  afb.gone();
  expect([told, session.connections]).toEqual([["knows", "last"], 0]);
});

test("it is held from 1024 calls without a reply, down to 512, and charged for each", async () => {
  const { afb, asked, of, attach } = connected();
  attach();
  for (let i = 0; i < 1023; i++) afb.text(call(1000 + i));
  expect(of("hold")).toEqual([]);
  afb.text(call(2023));
  expect(of("hold")).toEqual([[true]]);
  const answer = async (from: number, to: number) => {
    for (const one of asked.slice(from, to)) one.answer();
    await turn();
  };
  await answer(0, 511);
  expect([of("hold"), of("send").length]).toEqual([[[true]], 511]);
  await answer(511, 512);
  expect(of("hold")).toEqual([[true], [false]]);
  const { length } = call(1000);
  const charged = of("charge").map(([bytes]) => bytes);
  expect(charged).toEqual([
    ...Array.from({ length: 1024 }, () => length),
    ...Array.from({ length: 512 }, () => -length),
  ]);
});

test("a token is that of all calls from then on", () => {
  const { afb, asked, attach } = connected();
  attach();
  for (const more of ["", ',"second"', "", ",null"]) afb.text(call(1, more));
  expect(asked.map(({ request }) => request.caller?.token)).toEqual([
    ...["first", "second", "second", "second"],
  ]);
});

test.each([
  ['[2,"1","a/v"]', ["close", 1008, "invalid-frame"]],
  ['[2,"1","a/v",null,null,null]', ["close", 1008, "invalid-frame"]],
  ['[3,"1","a/v",null]', ["close", 1008, "invalid-frame"]],
  ['[2,"1","/v",null]', ["close", 1008, "invalid-frame"]],
  ['[2,"1","a/v",null,7]', ["close", 1008, "invalid-frame"]],
  ['[2,null,"a/v",null]', ["close", 1008, "invalid-frame"]],
])("no call: %s", (text, answer) => {
  const { afb, asked, done, attach } = connected();
  attach();
  afb.text(text);
  expect([done, asked]).toEqual([[answer], []]);
});

test.each([
  ['[2,"x",', '"x"'],
  ["[2, 'y' ,{", '"y"'],
  ["[2,z-1.5,{", '"z-1.5"'],
  ["{", '""'],
])("what cannot be read is answered to who has asked: %s", (text, id) => {
  const { afb, of, attach } = connected();
  attach();
  afb.text(text);
  expect(of("send").map(String)).toEqual([
    expect.stringMatching(new RegExp(`^\\[4,${id},.*the frame is not JSON`)) as never,
  ]);
});

test("a call has its API and verb, and its reply says how it went", async () => {
  const { afb, asked, of, attach } = connected();
  attach();
  for (const text of ['[2,"x","ab/c/d",{"e":1}]', "[2,7,'a/',null]", "[2,'y','a/v',[]]"])
    afb.text(text);
  expect(asked.map(({ request: { api, verb, args } }) => [api, verb, args])).toEqual([
    ["ab", "c/d", { e: 1 }],
    ["a", "", null],
    ["a", "v", []],
  ] as never);
  asked[0]?.answer();
  asked[1]?.answer("failed");
  asked[2]?.answer("success", 1n);
  await turn();
  const [first, second, third] = of("send").map(String);
  expect(first).toBe('[3,"x",{"jtype":"afb-reply","request":{"status":"success"}}]');
  expect(second).toBe('[4,"7",{"jtype":"afb-reply","request":{"status":"failed"}}]');
  expect(third).toStartWith('[4,"y",');
  expect(third).toContain("internal-error");
});

test("more values than are taken apart end it", () => {
  const { afb, asked, done, attach } = connected();
  attach();
  afb.text(`[2,"1","a/v",[${"1,".repeat(VALUES)}1]]`);
  expect([done.map(([name, code]) => [name, code]), asked]).toEqual([[["close", 1009]], []]);
  expect(() => afb.text("{}")).not.toThrow();
});

test("who wants to know of an end that has been is told soon", async () => {
  const { afb, attach } = connected();
  const told: string[] = [];
  afb.onClose(() => told.push("before"));
  expect(told).toEqual([]);
  await turn();
  attach();
  afb.onClose(() => told.push("amid"));
  await turn();
  expect(told).toEqual(["before"]);
});

test("events go to who is there", () => {
  const { afb, socket, of, attach } = connected();
  void afb.send("a/e", 1);
  attach();
  void afb.send("a/e", 2);
  socket.open = false;
  void afb.send("a/e", 3);
  expect(of("send").map(String)).toEqual([expect.stringContaining('"data":2') as never]);
});

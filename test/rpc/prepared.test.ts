/** What of other binders is wanted, before it is used: which of it is new, what is left, and what is told of each API. */
import { afterAll, expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseClient, parseServer } from "../../src/config/binder-uri.ts";
import type { ApiPlan, ImportPlan } from "../../src/plan/plan.ts";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import { Imports } from "../../src/rpc/imports.ts";
import { PacketReader } from "../../src/rpc/packets.ts";
import { encodeSet } from "../../src/rpc/wire.ts";
import { until } from "../served.ts";
import { reply } from "./strict-exporter.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-prepared-"));
const spies = [spyOn(console, "log"), spyOn(console, "error")].map((spy) =>
  spy.mockImplementation(() => {}),
);
afterAll(() => {
  spies.forEach((spy) => spy.mockRestore());
  rmSync(dir, { recursive: true });
});
let sockets = 0;

/** Another binder, which answers every call. */
async function binder() {
  const path = join(dir, `${++sockets}`);
  const connected = new Set<Socket>();
  const server = createServer((socket) => {
    connected.add(socket);
    const reader = new PacketReader("offer");
    socket.on("error", () => undefined);
    socket.on("close", () => connected.delete(socket));
    socket.on("data", (chunk: Buffer) => {
      reader.push(chunk);
      for (let next = reader.next(); next; next = reader.next())
        if (next.type === "offer") socket.write(encodeSet(3));
        else if (next.type === "call") socket.write(encodePacket(reply(next, next.api), 1));
    });
  });
  await new Promise<void>((resolve) => server.listen(path, resolve));
  return {
    path,
    connected,
    [Symbol.dispose]() {
      server.close();
      for (const socket of connected) socket.destroy();
    },
  };
}

const plan = (name: string, path: string, more: Partial<ImportPlan> = {}): ImportPlan => ({
  ...{ name, remote: "far", speech: "rpc", uri: `unix:${path}`, privileges: [] },
  ...{ address: { kind: "unix", path }, ...more },
});
const apis = (...imports: readonly ImportPlan[]) => [{ imports }] as unknown as ApiPlan[];
const nothing = { apis: [], clients: [], servers: [] };
const request = { api: "near", verb: "v", args: null, session: { uuid: "s" } };

test("each API is told by its name here, what it needs and where it is", async () => {
  using far = await binder();
  const imports = new Imports();
  const { foreign, use } = imports.prepare({
    apis: apis(
      plan("near", far.path, { privileges: ["urn:x"], private: true, verbs: ["v"] }),
      plan("other", far.path, { remote: undefined, info: "the engine" }),
    ),
    clients: [parseClient(`public:unix:${far.path}?import=mine`, "rpc")],
    servers: [],
  });
  const where = `of another binder, at unix:${far.path}`;
  expect(foreign.map(({ name, remote, info }) => [name, remote, info])).toEqual([
    ["near", "far", where],
    ["other", undefined, `the engine (${where})`],
    ["mine", "mine", where],
  ]);
  const [first, second] = foreign;
  expect([first?.privileges, first?.isPrivate, first?.verbs]).toEqual([["urn:x"], true, ["v"]]);
  expect([second?.isPrivate, second?.verbs, second?.state]).toEqual([
    ...[false, undefined, "not dialled yet"],
  ] as never);
  use();
  await until("it is connected", () => first?.state === "connected");
  // One connection for all that is at one place, but for what an option exports there.
  expect(far.connected.size).toBe(1);
  expect(await first?.call(request)).toBe("far");
  const asked: string[] = [];
  for (const one of foreign) one.recheck(({ api }) => asked.push(api) > 0);
  expect(asked).toEqual([]);
  imports.close();
  await until("it has gone", () => far.connected.size === 0);
});

test("what two configs import alike is one, and what they do not is refused", () => {
  const imports = new Imports();
  const one = plan("near", "/x", { verbs: ["v"] });
  const prepare = (other: ImportPlan) =>
    imports.prepare({ ...nothing, apis: [...apis(one), ...apis(other)] });
  expect(prepare({ ...one }).foreign).toHaveLength(1);
  expect(() => prepare({ ...one, verbs: ["w"] })).toThrow(
    "near is imported in two ways: name one with `as`, or make both alike",
  );
});

test("what is required is waited for, unless it is optional, or was there before", async () => {
  using far = await binder();
  const imports = new Imports();
  const required = plan("near", far.path);
  const first = imports.prepare({ ...nothing, apis: apis(required) });
  await first.reach();
  first.use();
  const away = plan("away", join(dir, "none"), { uri: "unix:none", optional: true });
  const second = imports.prepare({ ...nothing, apis: apis(required, away) });
  await second.reach();
  second.drop();
  // What is in use is not dropped with it.
  expect(await first.foreign[0]?.call(request)).toBe("far");
  expect(second.foreign[1]?.call(request)).rejects.toThrow("it is not imported any more");
  const gone = plan("gone", far.path, {
    address: {
      ...{ kind: "tcp", host: "127.0.0.1", port: 1 },
      tls: { mutual: false, trust: join(dir, "no.pem") },
    } as never,
    uri: "tls+tcp:x",
  });
  const third = imports.prepare({ ...nothing, apis: apis(required, gone) });
  expect(third.reach()).rejects.toThrow(
    /^the import gone is required, and not there: .*no\.pem.*; start the other binder first, or write "optional": true$/,
  );
  imports.close();
});

test("from now on it is that which is used: what is not in it any more ends, and the rest goes on", async () => {
  using one = await binder();
  using two = await binder();
  const imports = new Imports();
  const [a, b] = [plan("a", one.path), plan("b", two.path)];
  const first = imports.prepare({ ...nothing, apis: apis(a, b) });
  first.use();
  await until("both are", () => one.connected.size + two.connected.size === 2);
  const [socket] = one.connected;
  const second = imports.prepare({ ...nothing, apis: apis(a) });
  expect(two.connected.size).toBe(1);
  second.use();
  await until("one is not any more", () => two.connected.size === 0);
  expect(await second.foreign[0]?.call(request)).toBe("far");
  expect([...one.connected]).toEqual([socket as Socket]);
  imports.close();
});

test("there are places for who dials in where something is to come that way, and they stay", () => {
  const imports = new Imports();
  const [giving, plain] = [
    parseServer("unix:@spawnbox-prepared-a?import=demo", "rpc"),
    parseServer("unix:@spawnbox-prepared-b?as-api=t", "rpc"),
  ];
  const first = imports.prepare({ ...nothing, servers: [giving, plain] });
  expect(imports.slotOf(giving)).toBeUndefined();
  first.use();
  const slot = imports.slotOf(giving);
  expect([slot?.names, imports.slotOf(plain)]).toEqual([["demo"], undefined]);
  expect(first.foreign.map(({ name, state }) => [name, state])).toEqual([
    ["demo", "nobody has dialled in"],
  ]);
  imports.prepare({ ...nothing, servers: [giving] }).use();
  expect(imports.slotOf(giving)).toBe(slot as never);
  imports.prepare(nothing).use();
  expect(imports.slotOf(giving)).toBeUndefined();
});

/** What becomes of a connection that asks to be another one, over real sockets: refused, it is told so whole; gone, it is forgotten. */
import { expect, spyOn, test } from "bun:test";
import { once } from "node:events";
import { Sessions } from "../../src/server/session.ts";
import type { RequestHead } from "../../src/server/http/head.ts";
import { type Binders, type Open, upgrade } from "../../src/server/upgrade.ts";
import { Share } from "../../src/share.ts";
import { until } from "../served.ts";
import { TestRegistry, UPGRADE } from "./harness.ts";
import { pair } from "./raw-pair.ts";

/** A connection whose request was read, with the head of that. */
async function asking({
  target = "/api",
  binders,
  ...more
}: { target?: string; binders?: Binders; Upgrade?: string } = {}) {
  const { raw, client } = await pair();
  let heard = "";
  client.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  const headers = Object.entries({ ...UPGRADE, ...more });
  const head = {
    method: "GET",
    target,
    headers: new Map(headers.map(([name, value]) => [name.toLowerCase(), value])),
  } as unknown as RequestHead;
  const webSockets = new Set<Open>();
  const context = {
    ...{ registry: new TestRegistry(), sessions: new Sessions(), policy: { loopback: true } },
    ...({ port: 1, peer: undefined, base: "", webSockets, binders } as const),
    ...{ part: new Share(1 << 20).part(), from: { peer: "", connection: raw } },
    ...{ certificate: undefined, address: undefined },
  };
  const upgraded = () => upgrade(head, raw, new Uint8Array(), context);
  return { raw, client, webSockets, upgraded, heard: () => heard };
}

const PACKETS = { Upgrade: "x-afb-rpc" };

test.each<[what: string, status: number, how: Parameters<typeof asking>[0]]>([
  ["what cannot be read", 400, { target: "/api?a=%" }],
  ["what is nowhere", 404, { target: "/b" }],
  ["other binders, where none are served", 503, PACKETS],
  ["other binders, which cannot be loaded", 500, { ...PACKETS, binders: () => Promise.reject() }],
])("who asks for %s is told so, however much comes behind it", async (_what, status, how) => {
  const said = spyOn(console, "error").mockReturnValue();
  try {
    const { client, webSockets, upgraded, heard } = await asking(how);
    const failures: unknown[] = [];
    client.on("error", (error) => failures.push(error));
    // More than is read ahead, and than the kernel keeps.
    client.end(Buffer.alloc(16 << 20));
    const closed = once(client, "close");
    expect(await upgraded()).toBeUndefined();
    await closed;
    expect(failures).toEqual([]);
    expect(heard()).toStartWith(`HTTP/1.1 ${status} `);
    expect(heard()).toEndWith("}\n");
    expect(webSockets.size).toBe(0);
    expect(said).toHaveBeenCalledTimes(status === 500 ? 1 : 0);
  } finally {
    said.mockRestore();
  }
});

test("a WebSocket is one of those that are open, until it has gone", async () => {
  const { client, webSockets, upgraded } = await asking();
  expect(await upgraded()).toBeDefined();
  expect(webSockets.size).toBe(1);
  client.destroy();
  await until("it has gone", () => webSockets.size === 0);
});

test("so is another binder; who has gone while what speaks with it was loaded never is", async () => {
  const loaded = Promise.withResolvers<Awaited<ReturnType<Binders>>>();
  let gone = () => {};
  let reason = "";
  const there = await asking({ ...PACKETS, binders: () => loaded.promise });
  const left = await asking({ ...PACKETS, binders: () => loaded.promise });
  const [first, second] = [there.upgraded(), left.upgraded()];
  left.raw.destroy();
  loaded.resolve(({ gone: told }) => {
    gone = told;
    return { idleSince: 5, evict: () => {}, close: (code, why) => (reason = `${code} ${why}`) };
  });
  expect([(await first)?.idleSince, await second, left.webSockets.size]).toEqual([
    ...[5, undefined, 0],
  ] as never);
  const [one] = there.webSockets;
  one?.close(1001, "going");
  expect(reason).toBe("1001 going");
  gone();
  expect(there.webSockets.size).toBe(0);
});

/** Where importers come in: what is told of each place, what cannot be listened on, and how many there are. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyFd } from "../../ffi/libc.ts";
import { descriptorOf } from "../../ffi/sockets.ts";
import { parseServer } from "../../src/config/binder-uri.ts";
import { type RpcOptions, startRpc } from "../../src/rpc/server.ts";
import { until } from "../served.ts";
import { DatagramSocket } from "../server/datagrams.ts";
import { TestRegistry } from "../server/harness.ts";
import { StrictPeer } from "./peer.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-listening-"));
afterAll(() => rmSync(dir, { recursive: true }));
let n = 0;
const path = () => join(dir, `${n++}`);
const start = (uris: readonly string[], more: Partial<RpcOptions> = {}) =>
  startRpc(
    uris.map((uri) => parseServer(uri, "rpc")),
    {
      registry: new TestRegistry(),
      granted: () => ({ privileges: "all" }),
      ...{ connections: 16, mode: 0o640 },
      inherited: () => {
        throw new Error("no socket of this name");
      },
      ...more,
    },
  );
const refused = (uris: readonly string[], more?: Partial<RpcOptions>) =>
  start(uris, more).then(
    async (rpc) => {
      await rpc.close();
      return "it listens";
    },
    (error: unknown) => (error instanceof Error ? error.message : error),
  );

describe("what is told of a place", () => {
  test("of each where it is, and what it exports", async () => {
    const [one, two] = [path(), path()];
    const abstract = `@spawnbox-listening-${process.pid}`;
    const rpc = await start([
      `unix:${one}?as-api=t`,
      `unix:${two}?export=t@far,t@`,
      `unix:${abstract}?as-api=t`,
      "tcp:127.0.0.1:0/t",
    ]);
    expect(rpc.places.slice(0, 3)).toEqual([
      `unix:${one}: t`,
      `unix:${two}: t@far, t@`,
      `unix:${abstract}: t`,
    ]);
    expect(rpc.places[3]).toMatch(/^tcp:127\.0\.0\.1:[1-9]\d*: t$/);
    expect(statSync(one).mode & 0o777).toBe(0o640);
    const peer = await StrictPeer.dial({ path: abstract.replace("@", "\0") });
    expect(await peer.call("ping")).toEqual({ status: 0, value: "pong=1" });
    peer.close();
    await rpc.close();
  });

  test("that the service manager has made, of its file", async () => {
    const place = path();
    const listening = DatagramSocket.listenStream(place);
    const asked: string[] = [];
    const inherited = (name: string) => {
      asked.push(name);
      return listening.fd;
    };
    const rpc = await start(["sd:mesh?as-api=t"], { inherited });
    expect([asked, rpc.places]).toEqual([["mesh"], [`unix:${place}: t`]]);
    await rpc.close();
  });
});

describe("nothing listens where", () => {
  test("another program does, and what to do is told", async () => {
    const uri = `unix:@spawnbox-taken-${process.pid}?as-api=t`;
    const first = await start([uri]);
    const own = path();
    expect(await refused([`unix:${own}?as-api=t`, uri])).toBe(
      `cannot listen on ${uri}: another program listens there; stop it, or use another name`,
    );
    // Nor at what came before it.
    expect(() => statSync(own)).toThrow("ENOENT");
    await first.close();
  });

  test("there is no such API", async () => {
    expect(await refused([`unix:${path()}?as-api=tt`])).toContain('there is no API "tt" to export');
  });

  test("the service manager has none of that name", async () => {
    expect(await refused(["sd:mesh?as-api=t"])).toBe("no socket of this name");
  });

  test.each([
    ["0.0.0.0", false, "sd:mesh?as-api=t, at 0.0.0.0,"],
    ["::", false, "sd:mesh?as-api=t, at ::,"],
    ["127.0.0.1", false, "it listens"],
    ["0.0.0.0", true, "it listens"],
  ])(
    "[protection] other machines reach a socket that was handed over: %s, %p",
    async (host, insecure, what) => {
      const listening = createServer();
      await new Promise<void>((resolve) => listening.listen(0, host, resolve));
      const inherited = () => copyFd(descriptorOf(listening) ?? -1);
      expect(await refused(["sd:mesh?as-api=t"], { inherited, insecure })).toStartWith(what);
      listening.close();
    },
  );

  test("a file is in the way", async () => {
    const place = path();
    writeFileSync(place, "of somebody");
    expect(await refused([`unix:${place}?as-api=t`])).not.toBe("it listens");
    expect(statSync(place).size).toBe(11);
  });
});

test("of one peer as many are let in as there are places, and their places are free again", async () => {
  const place = path();
  const registry = new TestRegistry();
  const rpc = await start([`unix:${place}?as-api=t`], { connections: 4, registry });
  const peers: StrictPeer[] = [];
  for (;;) {
    try {
      peers.push(await StrictPeer.dial({ path: place }));
    } catch {
      break;
    }
    expect(peers.length).toBeLessThanOrEqual(4);
  }
  expect(peers.length).toBeGreaterThan(0);
  for (const peer of peers) {
    expect(await peer.call("ping")).toMatchObject({ status: 0 });
    // Whatever is still done for them: who is busy would give way to nobody.
    void peer.call("slow");
  }
  await until("all are busy", () => registry.slow === peers.length);
  for (const peer of peers) peer.close();
  const again = async (): Promise<StrictPeer> => {
    try {
      return await StrictPeer.dial({ path: place });
    } catch {
      await Bun.sleep(10);
      return again();
    }
  };
  (await again()).close();
  registry.release();
  await rpc.close();
  await new Promise<void>((resolve) => connect({ path: place }).on("error", () => resolve()));
});

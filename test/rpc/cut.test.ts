/** Both our ends against each other, through a relay that cuts the bytes of both ways anywhere, or puts them together. */
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Client } from "../../src/api/client.ts";
import { parseServer } from "../../src/config/binder-uri.ts";
import { Dialler } from "../../src/rpc/dialler.ts";
import { startRpc } from "../../src/rpc/server.ts";
import { seeded } from "../config/random.ts";
import { until } from "../served.ts";
import { TestRegistry } from "../server/harness.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-cut-"));
afterAll(() => rmSync(dir, { recursive: true }));
let sockets = 0;
const EVENTS = 50;

class Registry extends TestRegistry {
  override async call(request: Parameters<TestRegistry["call"]>[0]) {
    if (request.verb !== "follow") return super.call(request);
    const { client, args } = request;
    request.follows?.("t/follow");
    setTimeout(() => {
      for (let n = 0; n < EVENTS; n++) void client?.send("t/follow", { n, args });
    }, 1);
    return super.call({ ...request, verb: "echo" });
  }
}

function relay(path: string, to: string, random: () => number) {
  const pump = (from: Socket, into: Socket): void => {
    let waiting = Buffer.alloc(0);
    let isBusy = false;
    const work = async (): Promise<void> => {
      isBusy = true;
      while (waiting.length > 0) {
        const size = Math.max(
          1,
          Math.ceil(waiting.length * (random() < 0.3 ? random() * 0.1 : random())),
        );
        into.write(waiting.subarray(0, size));
        waiting = waiting.subarray(size);
        // Sometimes more comes together meanwhile.
        await (random() < 0.1 ? Bun.sleep(1) : new Promise((resolve) => setImmediate(resolve)));
      }
      isBusy = false;
    };
    from.on("data", (chunk: Buffer) => {
      waiting = Buffer.concat([waiting, chunk]);
      if (!isBusy) void work();
    });
    from.on("error", () => undefined);
    from.on("close", () => into.destroy());
  };
  const server = createServer({ noDelay: true }, (near) => {
    const far = connect({ path: to, noDelay: true });
    pump(near, far);
    pump(far, near);
  });
  return new Promise<typeof server>((resolve) => server.listen(path, () => resolve(server)));
}

test.each(["rpc", "ws"] as const)(
  "by %s: calls, long ones too, and events, in their order",
  async (speech) => {
    for (let seed = 1; seed <= 10; seed++) {
      const [there, between] = [join(dir, `${++sockets}`), join(dir, `${++sockets}`)];
      const registry = new Registry();
      const rpc = await startRpc([parseServer(`unix:${there}?as-api=t`, speech)], {
        registry,
        granted: () => ({ privileges: "all" }),
        ...{ connections: 16, mode: 0o600, inherited: () => -1 },
      });
      const server = await relay(between, there, seeded(seed));
      const dialler = new Dialler({
        speech,
        uri: `unix:${between}`,
        address: { kind: "unix", path: between },
      });
      const call = (verb: string, args: unknown, client?: Client) =>
        dialler.call("t", {
          api: "t",
          verb,
          args,
          session: client?.session ?? { uuid: "s" },
          ...(client && { client }),
        });
      const clients = Array.from({ length: 3 }, (_, c) => {
        const seen: unknown[] = [];
        const client: Client = {
          ...{ session: { uuid: `c${c}` }, connected: true, backlog: 0 },
          send: (_event, data) => void seen.push(data),
          onClose: () => () => undefined,
        };
        return { seen, client };
      });
      const args = Array.from({ length: 60 }, (_, i) => ({
        i,
        text: "é".repeat((i * i * 8) % 30_000),
      }));
      const followed = Promise.all(clients.map(({ client }, c) => call("follow", c, client)));
      expect(await Promise.all(args.map((one) => call("echo", one)))).toEqual(args);
      expect(await followed).toEqual([0, 1, 2]);
      await until("all events", () => clients.every(({ seen }) => seen.length === EVENTS));
      for (const [c, { seen }] of clients.entries())
        expect(seen).toEqual(Array.from({ length: EVENTS }, (_, n) => ({ n, args: c })));
      dialler.close();
      server.close();
      await rpc.close();
    }
  },
  60_000,
);

/** Connections to other machines over which this one calls: how long the kernel waits for those before they are over. */
import { dlopen } from "bun:ffi";
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseClient, parseServer } from "../../src/config/binder-uri.ts";
import { Imports } from "../../src/rpc/imports.ts";
import { startRpc } from "../../src/rpc/server.ts";
import { Slot } from "../../src/rpc/slot.ts";
import { until } from "../served.ts";
import { TestRegistry } from "../server/harness.ts";
import { certificatesIn } from "./certificates.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-unanswered-"));
afterAll(() => rmSync(dir, { recursive: true }));
const { trust, server, client } = certificatesIn(dir);
const { symbols: libc } = dlopen("libc.so.6", {
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
});
const [IPPROTO_TCP, TCP_USER_TIMEOUT] = [6, 18];

/** The limits of the sockets of this process that have one, ms. */
function limits(): number[] {
  return readdirSync("/proc/self/fd").flatMap((fd) => {
    const value = Int32Array.of(0);
    const size = Uint32Array.of(value.byteLength);
    const rc = libc.getsockopt(Number(fd), IPPROTO_TCP, TCP_USER_TIMEOUT, value, size);
    return rc === 0 && value[0] ? [value[0]] : [];
  });
}

const mutual = `trust=${trust}&cert=${server.cert}&key=${server.key}`;
const own = `trust=${trust}&cert=${client.cert}&key=${client.key}`;

test.each([
  // Of who dials, and of the hub.
  ["tcp", "", "", "as-api=t", "import=t", [60_000]],
  ["mtls+tcp", mutual, own, "as-api=t", "import=t", [60_000]],
  ["mtls+tcp", mutual, own, "import=t", "export=t", [60_000]],
  // Who is called may read slowly what it is called by, too.
  ["mtls+tcp", mutual, own, "import=t&export=t@u", "export=t&import=u", []],
] as const)("%s: %s %s", async (scheme, here, there, listens, dials, expected) => {
  const slot = new Slot("hub", ["t"]);
  const registry = new TestRegistry();
  const granted = () => ({ privileges: new Set<string>() });
  const rpc = await startRpc([parseServer(`${scheme}:127.0.0.1:0?${here}&${listens}`, "rpc")], {
    ...{ registry, granted, slotOf: () => slot },
    ...{ connections: 16, mode: 0o600, inherited: () => -1 },
  });
  const port = /:(\d+):/.exec(rpc.places[0] ?? "")?.[1];
  const to = parseClient(`public:${scheme}:127.0.0.1:${port}?${there}&${dials}`, "rpc");
  const imports = new Imports();
  imports.serve({ registry, granted });
  const prepared = imports.prepare({ apis: [], clients: [to], servers: [] });
  expect(limits()).toEqual([]);
  prepared.use();
  const states = () => [
    ...prepared.foreign.map(({ state }) => state),
    ...(listens.startsWith("import") ? [slot.state] : []),
  ];
  await until("it is there", () => states().every((state) => state === "connected"));
  expect(limits()).toEqual([...expected]);
  imports.close();
  await rpc.close();
});

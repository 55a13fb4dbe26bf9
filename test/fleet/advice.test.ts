/** What is told where no broker is reached: at brokers that are none, or want something else. */
import { afterAll, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { type AddressInfo, createServer, type Server } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer as createTlsServer } from "node:tls";
import { Link } from "../../src/fleet/link.ts";
import type { Secrets } from "../../src/fleet/load.ts";
import { certificatesIn } from "../rpc/certificates.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-advice-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const { trust, strange, server, client, sign } = certificatesIn(dir, "localhost");
const own = { cert: client.cert, key: client.key };
chmodSync(client.key, 0o600);
const other = sign("other", { extensions: "subjectAltName=DNS:other.example" });
const late = sign("late", { extensions: "subjectAltName=DNS:localhost", days: 0 });

const tls = ({ cert, key } = server): Server =>
  createTlsServer({
    ...{ cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(trust) },
    ...{ requestCert: true, rejectUnauthorized: true },
  });
/** Says this, and nothing else, once it was spoken to; undefined: it breaks off. */
const plain = (words?: string | Uint8Array): Server =>
  createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => {
      if (words === undefined) socket.resetAndDestroy();
      else socket.end(words);
    });
  });

async function toldAt(server: Server, secrets: Secrets | undefined) {
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const first = Promise.withResolvers<string>();
  const link = new Link({
    ...{ broker: { host: "localhost", port, tls: secrets !== undefined }, secrets: secrets ?? {} },
    ...{ name: "n", clientId: "c", session: 70, keepalive: 3000, largest: 1000 },
    ...{ tell: first.resolve, connected: () => {}, message: () => {} },
  });
  link.start();
  const told = await first.promise;
  await link.close();
  server.close();
  return told;
}

const ca = trust;
test.each<[string, () => Server, Secrets | undefined, RegExp]>([
  ["one without TLS", () => plain(), { ca, ...own }, /; is this its port .*TLS/],
  ["one with TLS", () => plain(), undefined, /ECONNRESET; is this its port .*TLS/],
  ["no certificate", tls, { ca }, /; it wants a certificate \(`cert`, `key`\)/],
  ["another authority", tls, { ca: strange, ...own }, /; nobody .*`ca` names/],
  ["another name", () => tls(other), { ca, ...own }, /; its certificate is for other names/],
  ["one that is over", () => tls(late), { ca, ...own }, /expired; by the clock here/],
  [
    ...(["one of MQTT 3", () => plain(Uint8Array.of(0x20, 2, 0, 1))] as const),
    ...([undefined, /; it must be one of MQTT 5$/] as const),
  ],
  [
    ...(["no broker", () => plain("HTTP/1.1 400 Bad Request\r\n\r\n")] as const),
    ...([undefined, /; is it a broker of MQTT 5/] as const),
  ],
])("where it is %s, the reason says what to look at", async (_what, make, secrets, words) => {
  expect(await toldAt(make(), secrets)).toMatch(words);
});

test("of what files have nothing is guessed: they say it themselves", async () => {
  const told = await toldAt(tls(), { ca: join(dir, "no-certificate.pem"), ...own });
  expect(told).toContain("no-certificate.pem");
  expect(told).not.toContain("nobody who is believed");
});

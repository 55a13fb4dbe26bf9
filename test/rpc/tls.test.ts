/** TLS between binders: who is let in, and who is believed to be who was dialled. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseClient, parseServer } from "../../src/config/binder-uri.ts";
import { Dialler } from "../../src/rpc/dialler.ts";
import { type RunningRpc, startRpc } from "../../src/rpc/server.ts";
import { TestRegistry } from "../server/harness.ts";
import { until } from "../served.ts";
import { certificatesIn } from "./certificates.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-tls-"));
afterAll(() => rmSync(dir, { recursive: true }));
const { trust, strange, server, client, stranger } = certificatesIn(dir);

let rpc: RunningRpc;
let oneSided: RunningRpc;
let places: number[];
beforeAll(async () => {
  const options = {
    registry: new TestRegistry(),
    granted: () => ({ privileges: new Set<string>() }),
    connections: 16,
    mode: 0o600,
    inherited: () => -1,
  };
  const own = `cert=${server.cert}&key=${server.key}`;
  rpc = await startRpc(
    [parseServer(`mtls+tcp:127.0.0.1:0/t?${own}&trust=${trust}&as-api=t`, "rpc")],
    options,
  );
  oneSided = await startRpc([parseServer(`tls+tcp:127.0.0.1:0/t?${own}&as-api=t`, "rpc")], options);
  places = [rpc, oneSided].map((one) => Number(/:(\d+):/.exec(one.places[0] ?? "")?.[1]));
});
afterAll(() => Promise.all([rpc.close(), oneSided.close()]));

async function ping(uri: string): Promise<unknown> {
  const dialler = new Dialler(parseClient(`public:${uri}`, "rpc"));
  try {
    return await dialler
      .call("t", { api: "t", verb: "ping", args: null, session: { uuid: "s" } })
      .catch((error: unknown) => (error as Error).message);
  } finally {
    dialler.close();
  }
}

const mutual = (query: string) => ping(`mtls+tcp:127.0.0.1:${places[0]}/t?${query}`);
const single = (query: string) => ping(`tls+tcp:127.0.0.1:${places[1]}/t?${query}`);
const mine = `cert=${client.cert}&key=${client.key}`;

describe("who is dialled", () => {
  test("[TLS] has a certificate of who is trusted, and of the name that was dialled", async () => {
    expect(await single(`trust=${trust}`)).toMatch(/^pong/);
    expect(await single(`trust=${trust}&host=board`)).toMatch(/^pong/);
    expect(await single(`trust=${strange}`)).toMatch(/certificate/);
    expect(await single(`trust=${trust}&host=elsewhere`)).toMatch(/altnames/);
    expect(await single(`trust=${trust}&host=192.0.2.1`)).toMatch(/altnames/);
    expect(await single(`trust=${trust}&host=`)).toMatch(/^pong/);
    expect(await single(`trust=${strange}&host=`)).toMatch(/certificate/);
    expect(await ping(`tcp:127.0.0.1:${places[1]}/t`)).toContain("the other binder");
  });
});

describe("who dials", () => {
  test("[TLS] shows a certificate of who is trusted where that is asked for", async () => {
    expect(await mutual(`trust=${trust}&${mine}`)).toMatch(/^pong/);
    expect(await mutual(`trust=${trust}&cert=${stranger.cert}&key=${stranger.key}`)).not.toMatch(
      /^pong/,
    );
    expect(await ping(`tls+tcp:127.0.0.1:${places[0]}/t?trust=${trust}`)).not.toMatch(/^pong/);
    expect(await ping(`tls+tcp:127.0.0.1:${places[0]}/t?trust=${trust}`)).toMatch(
      /CERTIFICATE_REQUIRED|closed/i,
    );
    // It was not the server that could no longer.
    expect(await mutual(`trust=${trust}&${mine}`)).toMatch(/^pong/);
  });

  test("has an answer while others begin and say no more", async () => {
    const silent = Array.from({ length: 40 }, () =>
      connect(places[0] ?? 0, "127.0.0.1").on("error", () => undefined),
    );
    await Bun.sleep(100);
    // Of one address none takes all places, and once it is late they are free again.
    expect(await single(`trust=${trust}`)).toMatch(/^pong/);
    for (const socket of silent) socket.destroy();
    await until("it is seen that they are gone", async () =>
      /^pong/.test(String(await mutual(`trust=${trust}&${mine}`))),
    );
  });
});

describe("what is asked for", () => {
  test.each([
    ["tls+tcp:a:1/t", "trust="],
    [`mtls+tcp:a:1/t?trust=/a`, "cert= and key="],
    [`tls+tcp:a:1/t?trust=a`, "absolute"],
    [`tls+tcp:a:1/t?trust=/a&ca=/b`, "the same"],
    [`tls+tcp:a:1/t?trust=/a&trust=/b`, "twice"],
    [`tls+tcp:a:1/t?trust=/a&cert=/b&key=/c`, "mtls+tcp:"],
    [`tcp:a:1/t?trust=/a`, "tls+tcp:"],
    [`tls+unix:/a?import=t&trust=/a`, "expected"],
    [`ws+tcp:a:1/t`, "no binder"],
  ])("of a client: %s", (uri, said) => {
    expect(() => parseClient(`public:${uri}`, "rpc")).toThrow(said);
  });

  test.each([
    ["tls+tcp:*:1/t", "cert= and key="],
    [`mtls+tcp:*:1/t?cert=/a&key=/b`, "trust="],
    [`tls+tcp:*:1/t?cert=/a&key=/b&trust=/c`, "mtls+tcp:"],
    [`tls+tcp:*:1/t?cert=/a&key=/b&host=x`, "who dials"],
  ])("of a server: %s", (uri, said) => {
    expect(() => parseServer(uri, "rpc")).toThrow(said);
    expect(() => parseServer(uri, "ws")).toThrow();
  });

  test("a file that is not there, is no certificate, or that others can change, is named", async () => {
    expect(await single("trust=/nowhere")).toContain("trust=/nowhere");
    const mixed = `mtls+tcp:127.0.0.1:${places[0]}/t?trust=${trust}&cert=${client.cert}&key=${server.key}`;
    expect(await ping(mixed)).not.toMatch(/^pong/);
    const dialler = new Dialler(parseClient(`public:${mixed}`, "rpc"));
    expect(dialler.reach(60_000)).rejects.toThrow("do not go together");
    dialler.close();
    const loose = join(dir, "loose.pem");
    writeFileSync(loose, "nothing");
    expect(await single(`trust=${loose}`)).not.toMatch(/^pong/);
    if (process.geteuid?.() !== 0) return;
    chmodSync(loose, 0o666);
    expect(await single(`trust=${loose}`)).toContain("can be written by others");
  });
});

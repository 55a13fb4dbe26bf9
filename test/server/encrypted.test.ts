/** A server with TLS, seen from outside: who is believed, who is let in, and what does not change by it. */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect as connectTcp, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { connect } from "../../src/client.ts";
import { startServer } from "../../src/server/server.ts";
import { Secure } from "../../src/server/secure.ts";
import { listenTls } from "../../src/server/tls-listener.ts";
import { Encryption } from "../../src/serve/encryption.ts";
import { loadTls } from "../../src/serve/tls.ts";
import { type Certificates, certificatesIn, type Signed } from "../rpc/certificates.ts";
import { serve, type Served, until } from "../served.ts";
import { LOCAL, TestRegistry } from "./harness.ts";

let dir: string;
let made: Certificates;
let ca: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-encrypted-"));
  chmodSync(dir, 0o755);
  made = certificatesIn(dir);
  ca = readFileSync(made.trust, "utf8");
});
afterAll(() => rmSync(dir, { recursive: true }));

const config = {
  metadata: { uid: "box", version: "1", api: "box" },
  sandboxes: {
    uid: "s",
    prefix: "",
    ...(process.geteuid?.() === 0 && { acls: { user: "daemon" } }),
    commands: [
      { uid: "hello", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["hello"] } },
      {
        uid: "guarded",
        privilege: "urn:guarded",
        encoder: "sync",
        exec: { cmdpath: "/bin/echo", args: ["in"] },
      },
      { uid: "count", encoder: "line", exec: { cmdpath: "/usr/bin/seq", args: ["%n%"] } },
      {
        // Two seconds and more.
        ...{ uid: "steadily", encoder: "line" },
        exec: {
          cmdpath: "/bin/sh",
          args: ["-c", "for i in $$(seq 40); do seq 500; sleep 0.05; done"],
        },
      },
    ],
  },
};

/** Of the user of the tests: another could not read its key. */
function started(more: readonly string[] = [], own: Signed = made.server, through: string[] = []) {
  chmodSync(own.key, 0o600);
  const argv = ["--tls-cert", own.cert, "--tls-key", own.key, ...more];
  return serve(config, { argv, tls: { ca }, through });
}

const portOf = ({ url }: Served): number => Number(new URL(url).port);
const text = (file: string): string => readFileSync(file, "utf8");
const shown = ({ cert, key }: Signed) => ({ cert: text(cert), key: text(key) });

const get = (
  served: Served,
  path: string,
  tls: object = {},
  headers: Record<string, string> = {},
) =>
  fetch(`https://127.0.0.1:${portOf(served)}${path}`, {
    headers,
    keepalive: false,
    tls: { ca, ...tls },
  } as RequestInit);

/** Which certificate new connections get: its serial number. */
function serialAt(served: Served): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: "127.0.0.1", port: portOf(served), ca }, () => {
      resolve(socket.getPeerCertificate().serialNumber);
      socket.destroy();
    });
    socket.on("error", reject);
  });
}

describe("[TLS] what is spoken", () => {
  test("is HTTP and WebSockets as without, in TLS 1.2 and later only", async () => {
    await using served = await started();
    expect(served.url).toStartWith("https://");
    const reply = (await (await get(served, "/api/box/hello")).json()) as object;
    expect(reply).toMatchObject({ response: { stdout: ["hello"] } });
    expect((await served.run("box/hello")).stdout).toEqual(["hello"]);
    const seen: unknown[] = [];
    for await (const { stdout } of served.client.start("box/count", { n: 2000 })) seen.push(stdout);
    expect(seen.length).toBe(2000);
    const events = await get(served, "/api/box/count/events?n=3");
    expect((await events.text()).match(/^event: \S+$/gm)).toEqual([
      "event: reply",
      ...Array<string>(3).fill("event: data"),
      "event: final-event",
    ]);
    const openssl = (...argv: string[]) =>
      Bun.spawnSync(["openssl", "s_client", "-connect", `127.0.0.1:${portOf(served)}`, ...argv], {
        stdin: Buffer.from(""),
      });
    for (const old of ["-tls1", "-tls1_1"])
      expect(openssl(old, "-cipher", "ALL:@SECLEVEL=0").stderr.toString()).toMatch(
        /protocol version/,
      );
    for (const now of ["-tls1_2", "-tls1_3"]) expect(openssl(now).exitCode).toBe(0);
    expect(fetch(`http://127.0.0.1:${portOf(served)}/`)).rejects.toThrow();
  });

  test("a page that came by http is none of its own, and its cookie goes by https only", async () => {
    await using served = await started();
    const own = `https://127.0.0.1:${portOf(served)}`;
    const by = (origin: string) => get(served, "/api/box/hello", {}, { origin });
    expect((await by(own)).status).toBe(200);
    expect((await by(own.replace("https", "http"))).status).toBe(403);
    expect((await by("https://127.0.0.1:1")).status).toBe(403);
    expect((await get(served, "/api/box/hello")).headers.get("set-cookie")).toMatch(/; Secure/);
    const open = (origin: string) =>
      new Promise<string>((resolve) => {
        const tls = { ca };
        const options = { headers: { origin }, tls } as unknown as string[];
        const socket = new WebSocket(`wss://127.0.0.1:${portOf(served)}/api`, options);
        socket.onopen = () => (socket.close(), resolve("open"));
        socket.onerror = () => resolve("refused");
      });
    expect(await open(own)).toBe("open");
    expect(await open(own.replace("https", "http"))).toBe("refused");
  });

  test("a client that is cheated, or has the wrong name, is told what is wrong", async () => {
    const expired = made.sign("expired", { days: -1 });
    const early = await started([], made.server);
    await using served = early;
    const url = `wss://127.0.0.1:${portOf(served)}/api`;
    const strange = text(made.strange);
    expect(connect(url, { tls: { ca: strange } })).rejects.toThrow(/signed its certificate/);
    expect(connect(url)).rejects.toThrow(/signed its certificate/);
    expect(connect(url.replace("127.0.0.1", "localhost"), { tls: { ca } })).rejects.toThrow(
      /for other names/,
    );
    expect(connect(url.replace("wss", "ws"))).rejects.toThrow(/does it speak TLS/);
    chmodSync(expired.key, 0o600);
    const old = serve(config, {
      argv: ["--tls-cert", expired.cert, "--tls-key", expired.key],
      tls: { ca },
    });
    expect(old).rejects.toThrow(/has expired/);
    await old.catch(() => undefined);
  });
});

test("[protection] whom a caller believes is not for the environment to say", async () => {
  await using served = await started();
  const call = (...trust: string[]) => {
    const url = `https://127.0.0.1:${portOf(served)}`;
    const env = { NODE_TLS_REJECT_UNAUTHORIZED: "0", https_proxy: "http://127.0.0.1:1" };
    const argv = [served.program, "call", "--url", url, "--token", "secret", ...trust];
    const { exitCode, stderr } = Bun.spawnSync([...argv, "box/hello"], { env });
    return [exitCode, stderr.toString()];
  };
  expect(call()).toEqual([3, expect.stringContaining("give the authority's")]);
  expect(call("--ca", made.strange)).toEqual([3, expect.stringContaining("give the authority's")]);
  expect(call("--ca", made.trust)).toEqual([0, ""]);
});

describe("[TLS] certificates of clients", () => {
  test("[protection] give what is granted to their names, and nothing else does", async () => {
    const access = join(dir, "access.json");
    const grants = [
      { certificate: "client", privileges: ["urn:guarded"] },
      { certificate: "URI:spiffe://boat/x", privileges: ["urn:guarded"] },
    ];
    writeFileSync(access, JSON.stringify({ grants }), { mode: 0o644 });
    await using served = await started(["--tls-client-ca", made.trust, "--access", access]);
    const status = async (tls: object) => (await get(served, "/api/box/guarded", tls)).status;
    expect(await status({})).toBe(403);
    expect(await status(shown(made.client))).toBe(200);
    const tasks = await get(served, "/api/monitor/tasks?state=all", shown(made.client));
    expect(JSON.stringify(await tasks.json())).toMatch(
      /"caller":\{[^}]*"address":"127.0.0.1","certificate":"(CN|DNS):client"/,
    );
    const spiffe = made.sign("spiffe", { extensions: "subjectAltName=URI:spiffe://boat/x" });
    expect(await status(shown(spiffe))).toBe(200);
    // Of the same authority, with the name where it does not count, or nearly.
    const others = {
      organisation: { subject: "/O=client" },
      cases: { subject: "/CN=Client" },
      blank: { subject: "/CN=client " },
      within: { subject: "/CN=x, CN=client" },
      twice: { subject: "/CN=x/CN=client" },
      uri: { subject: "/CN=x", extensions: "subjectAltName=URI:client,email:client" },
      spiffeName: { subject: "/CN=spiffe:\\/\\/boat\\/x", extensions: "keyUsage=digitalSignature" },
      nul: {
        subject: "/CN=x",
        extensions: "2.5.29.17=DER:30:0a:82:08:63:6c:69:65:6e:74:00:78",
      },
    };
    for (const [name, how] of Object.entries(others))
      expect({ name, status: await status(shown(made.sign(name, how))) }).toEqual({
        name,
        status: 403,
      });
    // What TLS does not look at: names that are cut short, or no names at all.
    for (const [name, value] of [
      ["cut", "30:82:ff:ff:82"],
      ["none", "05:00"],
      ["endless", "30:80:82:06:63:6c:69:65:6e:74:00:00"],
    ] as const) {
      const broken = made.sign(`broken-${name}`, { extensions: `2.5.29.17=DER:${value}` });
      const url = `https://127.0.0.1:${portOf(served)}/api/box/guarded`;
      const curl = ["curl", "-s", "-w", "%{http_code}", "-o", "/dev/null", "--cacert", made.trust];
      const shows = ["--cert", broken.cert, "--key", broken.key];
      // Some are none for TLS already.
      expect([name, Bun.spawnSync([...curl, ...shows, url]).stdout.toString()]).toEqual([
        name,
        expect.stringMatching(/^(?:403|000)$/),
      ]);
    }
    expect(await status({})).toBe(403);
    // Not verified: of others, of oneself, too late, or meant for servers.
    const wrong = {
      "no authority that is believed here has signed it": made.sign("s1", {
        ...{ subject: "/CN=client", by: "strange-ca" },
      }),
      "CERT_HAS_EXPIRED: is the clock here right?": made.sign("s2", {
        ...{ subject: "/CN=client", days: -1 },
      }),
      "it is not for clients: its extendedKeyUsage has no clientAuth": made.sign("s3", {
        ...{ subject: "/CN=client", extensions: "extendedKeyUsage=serverAuth" },
      }),
    };
    for (const [name, signed] of Object.entries(wrong)) {
      const answer = await get(served, "/api/box/hello", shown(signed));
      const reply = (await answer.json()) as { request: { info: string } };
      expect([name, answer.status]).toEqual([name, 403]);
      expect(reply.request.info).toContain("certificate is not accepted: ");
      expect(reply.request.info).toContain(name);
    }
    // Another has no part in who holds the connection beside it.
    const client = await connect(`wss://127.0.0.1:${portOf(served)}/api`, {
      tls: { ca, ...shown(made.client) },
    });
    expect((await client.call("box/guarded")).request.status).toBe("success");
    expect((await served.call("box/guarded")).request.status).toBe("insufficient-scope");
    // A reload takes the grant from who is connected.
    writeFileSync(access, JSON.stringify({ grants: [] }));
    process.kill(served.pid, "SIGHUP");
    await until("it is taken", async () => {
      return (await client.call("box/guarded")).request.status === "insufficient-scope";
    });
    await client.close();
  });
});

test("[protection] authorities are read anew, and a session that was begun before is worth nothing", async () => {
  const trusted = join(dir, "authorities.pem");
  writeFileSync(trusted, ca);
  const access = join(dir, "anew.json");
  const grants = [{ certificate: "CN:client", privileges: ["urn:guarded"] }];
  writeFileSync(access, JSON.stringify({ grants }), { mode: 0o644 });
  await using served = await started(["--tls-client-ca", trusted, "--access", access]);
  const status = async (one: Signed) => (await get(served, "/api/box/guarded", shown(one))).status;
  const other = made.sign("other", { subject: "/CN=client", by: "strange-ca" });
  expect([await status(made.client), await status(other)]).toEqual([200, 403]);
  const session = join(dir, "session");
  const resumed = (...argv: string[]) => {
    const request = "GET /api/box/guarded HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    const connection = ["-connect", `127.0.0.1:${portOf(served)}`, "-ign_eof", "-quiet"];
    return Bun.spawnSync(["openssl", "s_client", ...connection, ...argv], {
      stdin: Buffer.from(request),
      timeout: 5000,
    }).stdout.toString();
  };
  const { cert, key } = made.client;
  expect(resumed("-cert", cert, "-key", key, "-sess_out", session)).toContain("200 OK");
  expect(resumed("-sess_in", session)).toContain("200 OK");
  writeFileSync(trusted, text(made.strange));
  process.kill(served.pid, "SIGHUP");
  await until("others are believed", async () => (await status(other)) === 200);
  expect(await status(made.client)).toBe(403);
  expect(resumed("-sess_in", session)).not.toContain("200 OK");
});

describe("[TLS] a new certificate", () => {
  test("is shown to new connections, and those that are open go on; a broken one changes nothing", async () => {
    const own = { cert: join(dir, "own.pem"), key: join(dir, "own.key") };
    const use = (one: Signed) => {
      writeFileSync(own.key, text(one.key), { mode: 0o600 });
      writeFileSync(own.cert, text(one.cert));
    };
    use(made.server);
    await using served = await started([], own);
    const first = await serialAt(served);
    const counting = served.client.start("box/steadily");
    let seen = 0;
    const watch = (async () => {
      for await (const _ of counting) seen++;
    })();
    use(made.sign("next"));
    process.kill(served.pid, "SIGHUP");
    await until("the next is shown", async () => (await serialAt(served)) !== first);
    const next = await serialAt(served);
    // Cut short, another's, and none: what was read last goes on.
    for (const broken of ["", text(made.client.cert), text(own.cert).slice(0, 200)]) {
      writeFileSync(own.cert, broken);
      const { response, request } = await served.call("monitor/reload").catch(() => ({
        response: undefined,
        request: { status: "lost" },
      }));
      // Over TCP nobody may ask for it.
      expect([response, request.status]).toEqual([undefined, "insufficient-scope"]);
      process.kill(served.pid, "SIGHUP");
      await Bun.sleep(200);
      expect(await serialAt(served)).toBe(next);
    }
    await watch;
    expect(seen).toBe(20_000);
    expect((await served.run("box/hello")).stdout).toEqual(["hello"]);
    use(made.sign("third"));
    process.kill(served.pid, "SIGHUP");
    await until("the third is shown", async () => (await serialAt(served)) !== next);
  });
});

describe("[TLS] who does not go on", () => {
  /** The first bytes of a handshake, and no more. */
  const hello = Buffer.from("16030100c8010000c40303", "hex");
  const half = (port: number, bytes: Buffer): Promise<Socket> =>
    new Promise((resolve) => {
      const socket = connectTcp(port, "127.0.0.1", () =>
        socket.write(bytes, () => resolve(socket)),
      );
      socket.on("error", () => resolve(socket));
    });

  test("[protection] keeps nobody out: 200 half handshakes, and room for 40 connections", async () => {
    await using served = await started([], made.server, ["prlimit", "--nofile=200"]);
    const port = portOf(served);
    const open: Socket[] = [];
    for (let i = 0; i < 200; i++) open.push(await half(port, i % 2 ? hello : Buffer.alloc(0)));
    // One that says nothing is spared for half a second, with TLS or without.
    await Bun.sleep(700);
    for (let i = 0; i < 5; i++) expect((await get(served, "/api/box/hello")).status).toBe(200);
    for (const socket of open) socket.destroy();
  });

  test("[protection] who does not read holds back what is sent, and no memory", async () => {
    await using served = await started();
    const rss = () => Number(/VmRSS:\s+(\d+)/.exec(text(`/proc/${served.pid}/status`))?.[1]) / 1024;
    const before = rss();
    const sockets = await Promise.all(
      Array.from(
        { length: 4 },
        () =>
          new Promise<Socket>((resolve) => {
            const socket = connectTls({ host: "127.0.0.1", port: portOf(served), ca }, () => {
              socket.pause();
              const request =
                "GET /api/box/count/events?n=20000000 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
              socket.write(request, () => resolve(socket));
            });
          }),
      ),
    );
    await Bun.sleep(3000);
    expect(rss() - before).toBeLessThan(120);
    expect((await served.run("box/hello")).stdout).toEqual(["hello"]);
    for (const socket of sockets) socket.destroy();
  }, 60_000);
});

test.each([
  [
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "(it speaks HTTP without TLS: its URL has to begin with https:)",
  ],
  ["hello, who is there?\r\n", "(it does not speak TLS)"],
])("who dials with %j is in the log, with what to do", async (bytes, hint) => {
  const said = spyOn(console, "error").mockImplementation(() => {});
  const listener = listenTls(
    shown(made.server),
    () => ({}),
    () => {},
  );
  try {
    await new Promise<void>((resolve) => void listener.listen(0, "127.0.0.1", resolve));
    const address = listener.address();
    const port = typeof address === "object" && address ? address.port : 0;
    const socket = connectTcp(port, "127.0.0.1", () => socket.write(bytes));
    socket.on("error", () => {});
    await until("it is told", () => said.mock.calls.length > 0);
    expect(String(said.mock.calls[0]?.[0])).toStartWith("TLS with 127.0.0.1: ");
    expect(String(said.mock.calls[0]?.[0])).toEndWith(hint);
    socket.destroy();
  } finally {
    listener.close();
    said.mockRestore();
  }
});

describe("what is refused at the start", () => {
  const refused = async (...argv: string[]) => {
    const error = await serve(config, { argv }).catch((one: unknown) => one);
    return error instanceof Error ? error.message : "it started";
  };
  test("what other machines reach without TLS, and how to go on is told", async () => {
    const hosts = ["0.0.0.0", "::", "192.0.2.1", "board.local"];
    for (const said of await Promise.all(hosts.map((host) => refused("--host", host)))) {
      expect(said).toContain("--tls-cert");
      expect(said).toContain("--insecure");
    }
    expect(await refused("--rpc-server", "tcp:*:0/box?as-api=box")).toContain("--insecure");
    await using open = await serve(config, { argv: ["--host", "0.0.0.0", "--insecure"] });
    expect((await open.run("box/hello")).stdout).toEqual(["hello"]);
  });

  test("[protection] a key that others can read, and files that do not go together", async () => {
    const pair = (cert: string, key: string) => ["--tls-cert", cert, "--tls-key", key];
    const { server, client } = made;
    chmodSync(server.key, 0o644);
    expect(await refused(...pair(server.cert, server.key))).toContain("chmod o=");
    chmodSync(server.key, 0o600);
    chmodSync(client.key, 0o600);
    const all: [string, ...string[]][] = [
      ["do not go together", ...pair(server.cert, client.key)],
      ["nowhere", ...pair(server.cert, join(dir, "nowhere"))],
      ["server.key", ...pair(server.key, server.key)],
      ["go together", "--tls-cert", server.cert],
      ["--tls-cert", "--tls-client-ca", made.trust],
      [
        "there is no certificate (PEM) in it",
        ...[...pair(server.cert, server.key), "--tls-client-ca", server.key],
      ],
    ];
    for (const proxy of ["nobody", "10.0.0.0/33", "", "::/129", "10.0.0.1/"])
      all.push(["--trust-proxy", "--trust-proxy", proxy]);
    await Promise.all(
      all.map(async ([why, ...argv]) => expect(await refused(...argv)).toContain(why)),
    );
  });
});

test("a certificate whose change was taken back is not shown later", async () => {
  chmodSync(made.server.key, 0o600);
  const { cert, key } = made.server;
  const encryption = new Encryption();
  await encryption.show({ cert, key, clientCa: undefined });
  expect(encryption.use(encryption.load())).toBeDefined();
  await encryption.show(undefined);
  expect(encryption.use(encryption.load())).toBeUndefined();
});

test("[TLS] who finds no place is not told so: it would not understand", async () => {
  chmodSync(made.server.key, 0o600);
  const { cert, key } = made.server;
  const { options } = loadTls({ cert, key, clientCa: undefined });
  const server = await startServer({
    ...{ registry: new TestRegistry(), version: "0", endpoints: [LOCAL], connections: 0 },
    protection: { secure: new Secure(options) },
  });
  const closed = Promise.withResolvers<void>();
  let heard = "";
  const socket = connectTcp(server.port, "127.0.0.1");
  socket.on("error", () => {});
  socket.on("data", (chunk) => (heard += String(chunk)));
  socket.on("close", () => closed.resolve());
  await closed.promise;
  expect(heard).toBe("");
  await server.close();
});

test("a server that becomes a service speaks TLS where it was not yet, and says where it cannot", async () => {
  chmodSync(made.server.key, 0o600);
  const { cert, key } = made.server;
  const { options } = loadTls({ cert, key, clientCa: undefined });
  const protection = { secure: new Secure(options) };
  const server = await startServer({
    ...{ registry: new TestRegistry(), version: "0", endpoints: [LOCAL] },
  });
  const further = { kind: "tcp", host: "127.0.0.1", port: 0 } as const;
  await server.extend({ endpoints: [{ ...further, host: "localhost" }], protection, base: "/box" });
  const [, url = ""] = server.urls;
  expect(url).toMatch(/^https:.*\/box$/);
  const there = { tls: { ca, checkServerIdentity: () => undefined } } as RequestInit;
  expect(await (await fetch(`${url}/api/t/ping`, there)).json()).toMatchObject({
    request: { status: "success" },
  });
  // What it answers is what it is by now, not what it was as it began to listen.
  await server.extend({ endpoints: [], protection, base: "/other" });
  expect((await fetch(url.replace("/box", "/other/api/t/ping"), there)).status).toBe(200);
  expect(server.extend({ endpoints: [LOCAL], protection })).rejects.toThrow("without TLS");
  await server.close();
});

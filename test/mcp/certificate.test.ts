/** Tools for who shows a certificate, where other machines could call: over HTTP, and by `spawnbox mcp`. */
import { expect, test } from "bun:test";
import { StdioClientTransport } from "@modelcontextprotocol/sdk/client/stdio.js";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificatesIn } from "../rpc/certificates.ts";
import { serve } from "../served.ts";
import { call, clientOf, config, connect, textOf } from "./serving.ts";

const FIRST = {
  ...{ jsonrpc: "2.0", id: 1, method: "initialize" },
  params: {
    ...{ protocolVersion: "2025-11-25", capabilities: {} },
    clientInfo: { name: "x", version: "1" },
  },
};

test("[protection] a certificate that is believed is enough, and another or none is not", async () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-mcp-tls-"));
  try {
    chmodSync(dir, 0o700);
    const made = certificatesIn(dir, "localhost");
    chmodSync(made.server.key, 0o600);
    const grants = [{ certificate: "CN:client", privileges: ["urn:t:own"] }];
    writeFileSync(join(dir, "access.json"), JSON.stringify({ grants }), { mode: 0o600 });
    const ca = readFileSync(made.trust, "utf8");
    const argv = [
      ...["--mcp", "--host", "0.0.0.0", "--access", join(dir, "access.json")],
      ...["--tls-cert", made.server.cert, "--tls-key", made.server.key],
      ...["--tls-client-ca", made.trust],
    ];
    await using served = await serve(config(), { argv, tls: { ca } });
    const { url } = served;
    const through =
      (tls: object) =>
      (to: string | URL, init?: RequestInit): Promise<Response> =>
        fetch(to, { ...init, tls: { ca, ...tls } } as RequestInit);
    const shown = {
      cert: readFileSync(made.client.cert, "utf8"),
      key: readFileSync(made.client.key, "utf8"),
    };
    await expect(connect(url, { fetch: through({}) })).rejects.toThrow("who has a token");
    const { client } = await connect(url, { fetch: through(shown) });
    expect(textOf(await call(client, "t_own"))).toBe("own");
    await client.close();
    const other = clientOf();
    const args = ["mcp", "--url", url, "--ca", made.trust];
    const own = ["--cert", made.client.cert, "--key", made.client.key];
    await other.connect(
      new StdioClientTransport({ command: served.program, args: [...args, ...own] }),
    );
    expect(textOf(await call(other, "t_own"))).toBe("own");
    await other.close();
    // Nor does the environment say who is believed.
    const unbelieved = Bun.spawnSync([served.program, "mcp", "--url", url], {
      env: { ...process.env, NODE_TLS_REJECT_UNAUTHORIZED: "0" },
      stdin: Buffer.from(`${JSON.stringify(FIRST)}\n`),
    });
    expect([unbelieved.exitCode, unbelieved.stderr.toString()]).toEqual([
      3,
      expect.stringMatching(/^spawnbox mcp: https.*; nobody who is believed here has signed its/),
    ]);
    const misnamed = Bun.spawnSync(
      [served.program, "mcp", "--url", url.replace("localhost", "127.0.0.2"), "--ca", made.trust],
      { stdin: Buffer.from(`${JSON.stringify(FIRST)}\n`) },
    );
    expect(misnamed.stderr.toString()).toMatch(
      /^spawnbox mcp: https[^ ]+: \w+; its certificate is for other names: call it by one of them\n$/,
    );
  } finally {
    rmSync(dir, { recursive: true });
  }
});

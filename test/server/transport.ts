/** The places a server can listen on, for suites that must hold on each: TCP is accepted by node:http, the others by us. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { LOCAL, serve, type TestServer } from "./harness.ts";
import type { ServerOptions } from "../../src/server/server.ts";

export interface Reachable extends TestServer {
  /** For RawClient. */
  readonly to: number | string;
}

export const TRANSPORTS = ["tcp", "unix"] as const;

/** A directory of its own for a socket. Removed by `remove`. */
export function scratch(): { dir: string; path: string; remove(): void } {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-unix-"));
  return { dir, path: join(dir, "s"), remove: () => rmSync(dir, { recursive: true }) };
}

export async function serveOn(
  transport: (typeof TRANSPORTS)[number],
  options: Partial<ServerOptions> = {},
): Promise<Reachable> {
  if (transport === "tcp") {
    const server = await serve({ endpoints: [LOCAL], ...options });
    return { ...server, to: server.port };
  }
  const { path, remove } = scratch();
  const server = await serve({ endpoints: [{ kind: "unix", path }], ...options });
  return {
    ...server,
    to: path,
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      remove();
    },
  };
}

/** The protocol over standard input and output, for a client that has started this process: one session. */
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import type { Host, Who } from "./host.ts";
import { Own } from "./own.ts";
import { Session } from "./session.ts";

/** Until the client closes its end. */
export async function serveStdio(host: Host): Promise<void> {
  const connection = {};
  const who: Who = {
    session: { uuid: crypto.randomUUID() },
    caller: { via: "mcp" },
    from: { peer: "", connection },
  };
  const session = new Session(host, () => who, new Own());
  const { promise: ended, resolve } = Promise.withResolvers<void>();
  session.server.onclose = resolve;
  process.stdin.once("end", resolve);
  process.stdin.once("close", resolve);
  process.once("SIGTERM", () => resolve());
  process.once("SIGINT", () => resolve());
  await session.connect(new StdioServerTransport());
  await ended;
  await session.close();
}

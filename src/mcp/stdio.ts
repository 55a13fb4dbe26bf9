/** The protocol over standard input and output, for a client that has started this process: one session. */
import type { Host, Who } from "./host.ts";
import { Own } from "./own.ts";
import { Pipe } from "./pipe.ts";
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
  const pipe = new Pipe();
  const closed = Promise.withResolvers<void>();
  session.server.onclose = closed.resolve;
  await session.connect(pipe);
  await Promise.race([pipe.over, closed.promise]);
  await session.close();
}

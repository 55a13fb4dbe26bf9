/** Connections of a server on the runtime's own sockets, and their clients. */
import { afterEach } from "bun:test";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { RawServer } from "../../src/server/raw-server.ts";
import type { RawSocket } from "../../src/server/raw-socket.ts";

/** Closed after the test. */
export const open: { close(): unknown }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

/** Both ends of a connection; the client's sends and reads what it is told to. */
export async function pair(): Promise<{ server: RawServer; raw: RawSocket; client: Socket }> {
  const came = Promise.withResolvers<RawSocket>();
  const server = new RawServer(came.resolve);
  await new Promise<void>((resolve) => server.listen({ host: "127.0.0.1", port: 0 }, resolve));
  const client = connect({
    port: server.address()?.port ?? 0,
    host: "127.0.0.1",
    allowHalfOpen: true,
  });
  client.on("error", () => {});
  const [raw] = await Promise.all([came.promise, once(client, "connect")]);
  open.push({ close: () => (raw.destroy(), client.destroy(), server.close(() => {})) });
  return { server, raw, client };
}

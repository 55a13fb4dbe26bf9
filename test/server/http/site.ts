/** A server of connections of HTTP/1.1, with limits short enough to be met. */
import { createServer, type Socket } from "node:net";
import { HttpConnection, LIMITS, type Limits } from "../../../src/server/http/connection.ts";
import type { Asked } from "../../../src/server/http/asked.ts";
import { Incoming } from "../../../src/server/http/incoming.ts";
import { Share } from "../../../src/share.ts";

export interface Site {
  readonly port: number;
  readonly memory: Share;
  readonly connections: HttpConnection[];
  /** Requests whose handler was called. */
  asked: number;
  /** Of connections that are not closed. */
  readonly sockets: ReadonlySet<Socket>;
  stop(): void;
}

interface Options {
  readonly limits?: Limits;
  readonly memory?: Share;
  /** What becomes of a POST to /stream. */
  readonly take?: (body: Incoming, request: Request) => Promise<Response>;
  readonly route?: (target: string) => string;
}

export async function site(
  respond: (request: Request, body: string) => Response | Promise<Response>,
  { limits = LIMITS, memory = new Share(1 << 20), take, route }: Options = {},
): Promise<Site> {
  const sockets = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy());
    const part = memory.part();
    socket.on("close", () => {
      sockets.delete(socket);
      part.close();
    });
    const handle = (asked: Asked, body: Uint8Array | Incoming) => {
      found.asked++;
      // Only what is below /api/ is none.
      const request = asked as Request;
      if (body instanceof Incoming) return take?.(body, request) ?? new Response("nobody takes it");
      return respond(request, Buffer.from(body).toString());
    };
    const upgrade = () => socket.destroy();
    const streams = (target: string) => target.startsWith("/stream");
    found.connections.push(
      new HttpConnection(
        socket,
        part,
        { respond: handle, upgrade, streams, ...(route && { route }) },
        limits,
      ),
    );
  });
  await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const stop = (): void => {
    server.close();
    for (const socket of sockets) socket.destroy();
  };
  const found: Site = { port, memory, connections: [], asked: 0, sockets, stop };
  return found;
}

export const lines = (method: string, target: string, ...more: string[]): string =>
  [`${method} ${target} HTTP/1.1`, "Host: x", ...more, "", ""].join("\r\n");

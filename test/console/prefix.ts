/** A proxy that has the server below a path of its own, and tells the server nothing of that. */
import { createServer, request, type IncomingMessage } from "node:http";
import { connect, type Socket } from "node:net";

export interface Prefixed extends AsyncDisposable {
  /** With a slash behind it. */
  readonly url: string;
}

export async function prefixed(server: string, prefix: string): Promise<Prefixed> {
  const { hostname, port } = new URL(server);
  const open = new Set<Socket>();
  /** What is not below is nobody's. */
  const pathOf = ({ url = "" }: IncomingMessage): string | undefined =>
    url.startsWith(`${prefix}/`) ? url.slice(prefix.length) : undefined;
  const listener = createServer((asked, answer) => {
    const path = pathOf(asked);
    if (path === undefined) return void answer.writeHead(404).end();
    const { method, headers } = asked;
    const further = request({ hostname, port, path, method, headers, agent: false }, (got) => {
      answer.writeHead(got.statusCode ?? 502, got.headers);
      got.pipe(answer);
    });
    further.on("error", () => answer.destroy());
    answer.on("close", () => further.destroy());
    asked.pipe(further);
  });
  listener.on("connection", (socket) => {
    open.add(socket);
    socket.on("close", () => open.delete(socket));
  });
  listener.on("upgrade", (asked, here: Socket, head) => {
    const path = pathOf(asked);
    if (path === undefined) return void here.end("HTTP/1.1 404 Not Found\r\n\r\n");
    const there = connect(Number(port), hostname);
    for (const [one, other] of [
      [here, there],
      [there, here],
    ] as const) {
      one.on("error", () => undefined);
      one.on("close", () => other.destroy());
    }
    const lines: string[] = [];
    for (let i = 0; i < asked.rawHeaders.length; i += 2)
      lines.push(`${asked.rawHeaders[i]}: ${asked.rawHeaders[i + 1]}`);
    there.write([`GET ${path} HTTP/1.1`, ...lines, "\r\n"].join("\r\n"));
    there.write(head);
    here.pipe(there);
    there.pipe(here);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  return {
    url: `http://127.0.0.1:${address.port}${prefix}/`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const socket of open) socket.destroy();
      }),
  };
}

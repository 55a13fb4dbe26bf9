/** Between the browser and the server, where connections can be cut. */
import { connect, createServer, type Socket } from "node:net";

export interface Proxy extends AsyncDisposable {
  readonly url: string;
  /** Breaks every connection there is; new ones are made. */
  cut(): void;
}

export async function proxy(server: string): Promise<Proxy> {
  const { hostname, port } = new URL(server);
  const open = new Set<Socket>();
  const listener = createServer((here) => {
    const there = connect(Number(port), hostname);
    for (const socket of [here, there]) {
      open.add(socket);
      // One end takes the other along.
      socket.on("error", () => undefined);
      socket.on("close", () => {
        open.delete(socket);
        here.destroy();
        there.destroy();
      });
    }
    here.pipe(there);
    there.pipe(here);
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const address = listener.address();
  if (address === null || typeof address === "string") throw new Error("no address");
  const cut = (): void => open.forEach((socket) => socket.destroy());
  return {
    url: `http://127.0.0.1:${address.port}`,
    cut,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        cut();
      }),
  };
}

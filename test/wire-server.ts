/** A server that speaks AFB's protocol over WebSockets, and answers what the test says. */
import type { ServerWebSocket } from "bun";

export type WireSocket = ServerWebSocket<undefined>;

export interface Answer {
  readonly response?: unknown;
  /** By default a success. */
  readonly status?: string;
  readonly info?: string | undefined;
}

export interface Called {
  readonly socket: WireSocket;
  readonly verb: string;
  readonly args: unknown;
  answer(answer: Answer): void;
}

export const wireServer = (
  called: (call: Called) => void,
  opened: (socket: WireSocket) => void = () => {},
): Bun.Server<undefined> =>
  Bun.serve({
    port: 0,
    fetch: (request, own) =>
      own.upgrade(request, { headers: { "sec-websocket-protocol": "x-afb-ws-json1" } })
        ? undefined
        : new Response(),
    websocket: {
      open: opened,
      message(socket: WireSocket, text) {
        const [, id, verb, args] = JSON.parse(String(text)) as [number, string, string, unknown];
        const answer = ({ response, status = "success", info }: Answer) =>
          void socket.send(JSON.stringify([3, id, { request: { status, info }, response }]));
        called({ socket, verb, args, answer });
      },
    },
  });

export const sendEvent = (socket: WireSocket | undefined, name: string, data: unknown): void =>
  void socket?.send(JSON.stringify([5, name, { event: name, data }]));

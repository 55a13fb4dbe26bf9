/** Ways to call a verb of the API `bench`: in this process, over a WebSocket and over REST. Each rejects on a failure. */
import type { Registry } from "../../src/api/registry.ts";
import type { Reply } from "../../src/api/reply.ts";
import type { AfbClient } from "../../src/client.ts";

export type Call = (verb: string, args?: Record<string, unknown>) => Promise<unknown>;

function responseOf(verb: string, { request, response }: Reply): unknown {
  if (request.status === "success") return response;
  throw new Error(`bench/${verb}: ${request.status}: ${request.info ?? ""}`);
}

export const inProcess =
  (registry: Registry): Call =>
  async (verb, args) => {
    const session = { uuid: "bench" };
    return responseOf(verb, await registry.call({ api: "bench", verb, args, session }));
  };

export const overWebSocket =
  (client: AfbClient): Call =>
  async (verb, args) =>
    responseOf(verb, await client.call(`bench/${verb}`, args));

/**
 * Over one connection that is kept: what the server takes, and not the client. fetch of this runtime has a thread of its own for
 * HTTP, and takes several times as long as the reply.
 */
export function overRest(url: string): Call {
  const { hostname, port } = new URL(url);
  const connection = keptOpen(hostname, Number(port));
  return async (verb, args) => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(args ?? {})) query.set(name, String(value));
    const get = `GET /api/bench/${verb}?${query} HTTP/1.1`;
    const body = await connection(`${get}\r\nHost: ${hostname}\r\nx-afb-uuid: bench\r\n\r\n`);
    const reply: unknown = JSON.parse(body);
    if (!isReply(reply)) throw new Error(`bench/${verb}: no reply: ${body}`);
    return responseOf(verb, reply);
  };
}

/** Sends a request, and resolves with the body of its response: one of a known length. */
function keptOpen(hostname: string, port: number): (request: string) => Promise<string> {
  let heard = Buffer.alloc(0);
  let waiting: PromiseWithResolvers<string> | undefined;
  const hear = (bytes: Buffer): void => {
    heard = heard.length > 0 ? Buffer.concat([heard, bytes]) : Buffer.from(bytes);
    const end = heard.indexOf("\r\n\r\n");
    if (end < 0) return;
    const [, length] = /^content-length: (\d+)/im.exec(heard.toString("latin1", 0, end)) ?? [];
    const whole = end + 4 + Number(length);
    if (heard.length < whole) return;
    const body = heard.toString("utf8", end + 4, whole);
    heard = heard.subarray(whole);
    waiting?.resolve(body);
  };
  const over = (): void => waiting?.reject(new Error("the server has ended the connection"));
  const socket = Bun.connect({
    hostname,
    port,
    socket: { data: (_, bytes) => hear(bytes), close: over, end: over },
  });
  return async (request) => {
    const open = await socket;
    waiting = Promise.withResolvers<string>();
    open.write(request);
    return waiting.promise;
  };
}

function isReply(value: unknown): value is Reply {
  return typeof value === "object" && value !== null && "jtype" in value && "request" in value;
}

/** Field `stdout` of the response of a sync verb: its lines. */
export function linesOf(response: unknown): unknown {
  return typeof response === "object" && response !== null && "stdout" in response
    ? response.stdout
    : undefined;
}

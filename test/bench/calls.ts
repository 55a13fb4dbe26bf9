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

/** fetch keeps the connection alive. */
export const overRest =
  (url: string): Call =>
  async (verb, args) => {
    const query = new URLSearchParams();
    for (const [name, value] of Object.entries(args ?? {})) query.set(name, String(value));
    const response = await fetch(`${url}/api/bench/${verb}?${query}`, {
      headers: { "x-afb-uuid": "bench" },
    });
    const reply: unknown = await response.json();
    if (!isReply(reply)) throw new Error(`bench/${verb}: no reply: ${JSON.stringify(reply)}`);
    return responseOf(verb, reply);
  };

function isReply(value: unknown): value is Reply {
  return typeof value === "object" && value !== null && "jtype" in value && "request" in value;
}

/** Field `stdout` of the response of a sync verb: its lines. */
export function linesOf(response: unknown): unknown {
  return typeof response === "object" && response !== null && "stdout" in response
    ? response.stdout
    : undefined;
}

/**
 * What a monitor asks without knowing any verb: `/healthz`, whether this process answers; `/readyz`, whether it serves what it was
 * started for; `/metrics`, which is the verb `monitor/metrics` as text.
 */
import type { Request as Call } from "../api/client.ts";
import { MONITOR } from "../api/monitor.ts";
import type { Registry } from "../api/registry.ts";
import { formatFor, FORMATS } from "../metrics/family.ts";
import type { Answered } from "./http/answer.ts";
import { allow, preflight, respond } from "./respond.ts";

/** Why the server is not ready; undefined once it is. */
export type Unready = () => string | undefined;

const METHODS = "GET, HEAD, OPTIONS";

function text(status: number, type: string, body: string): Response {
  const headers = {
    "content-type": type,
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    // Elysia takes the body out of the response to a HEAD, but not its length.
    "content-length": String(Buffer.byteLength(body)),
  };
  return new Response(body, { status, headers });
}

const PLAIN = "text/plain; charset=utf-8";

function plain({ method }: Request, status: number, line: string): Response {
  allow(method, METHODS);
  return method === "OPTIONS" ? preflight(METHODS) : text(status, PLAIN, `${line}\n`);
}

export const healthz = (request: Request): Response => plain(request, 200, "ok");

export function readyz(request: Request, unready: Unready): Response {
  const why = unready();
  return plain(request, why === undefined ? 200 : 503, why ?? "ready");
}

/** @param caller who asks, as for any verb */
export async function metrics(
  request: Request,
  registry: Registry,
  caller: () => Omit<Call, "api" | "verb" | "args">,
): Promise<Answered> {
  allow(request.method, METHODS);
  if (request.method === "OPTIONS") return preflight(METHODS);
  const format = formatFor(request.headers.get("accept") ?? undefined);
  const reply = await registry.call({
    ...caller(),
    api: MONITOR,
    verb: "metrics",
    args: { format },
  });
  if (typeof reply.response !== "string") return respond(reply);
  const response = text(200, FORMATS[format], reply.response);
  response.headers.set("vary", "Accept");
  return response;
}

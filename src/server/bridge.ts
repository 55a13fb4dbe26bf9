/** Between node:http and the Fetch API: an incoming message becomes a Request, a Response what is sent back. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { AfbError } from "../errors.ts";
import { failure } from "../api/reply.ts";

/** Most bytes of a request body. */
export const BODY_LIMIT = 1 << 20;

export type Fetch = (request: Request) => Response | Promise<Response>;

/** Answers one request. Never rejects. */
export async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fetch: Fetch,
): Promise<void> {
  try {
    const body = incoming.method === "POST" ? await readBody(incoming) : undefined;
    if (body === "too long") {
      refuse(outgoing, 413, `the body is over ${BODY_LIMIT} bytes`);
      return;
    }
    const request = toRequest(incoming, body);
    if (request) await send(await fetch(request), outgoing);
    else refuse(outgoing, 400, "this request line is not understood");
  } catch (error) {
    // A client that hung up meanwhile needs no answer; anything else is a bug.
    if (incoming.destroyed && !incoming.complete) return;
    console.error("request failed:", error);
    if (outgoing.headersSent) outgoing.destroy();
    else refuse(outgoing, 500, "internal error");
  }
}

async function readBody(incoming: IncomingMessage): Promise<Buffer | "too long"> {
  if (Number(incoming.headers["content-length"]) > BODY_LIMIT) return "too long";
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > BODY_LIMIT) return "too long";
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** undefined for what the Fetch API has no words for, such as TRACE or a target without a path. */
function toRequest(incoming: IncomingMessage, body: Buffer | undefined): Request | undefined {
  const target = incoming.url ?? "";
  // The host is checked as a header; in the URL any will do.
  const url = target.startsWith("/") ? URL.parse(`http://localhost${target}`) : null;
  if (!url) return undefined;
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (typeof value === "string") headers.set(name, value);
  }
  const init: RequestInit = { method: incoming.method ?? "GET", headers };
  if (body && body.length > 0) init.body = new Uint8Array(body);
  try {
    return new Request(url.href, init);
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

async function send(response: Response, outgoing: ServerResponse): Promise<void> {
  const headers: Record<string, string | string[]> = {};
  response.headers.forEach((value, name) => {
    headers[name] = value;
  });
  const cookies = response.headers.getSetCookie();
  if (cookies.length > 0) headers["set-cookie"] = cookies;
  const body = Buffer.from(await response.arrayBuffer());
  if (response.status !== 204) headers["content-length"] = String(body.length);
  outgoing.writeHead(response.status, headers);
  outgoing.end(body);
}

/** Closes as well: what is left of the request is not read. */
function refuse(outgoing: ServerResponse, http: number, info: string): void {
  const error = new AfbError(http === 500 ? "internal-error" : "invalid-request", info);
  outgoing.writeHead(http, { "content-type": "application/json", connection: "close" });
  outgoing.end(JSON.stringify(failure(error)));
}

/** Between node:http and the Fetch API: an incoming message becomes a Request, a Response what is sent back. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { AfbError } from "../errors.ts";
import { failure } from "../api/reply.ts";

/** Most bytes of a request body. */
export const BODY_LIMIT = 1 << 20;

const TOO_LONG = `the body is over ${BODY_LIMIT} bytes`;

export type Fetch = (request: Request) => Response | Promise<Response>;

/**
 * Answers one request. Never rejects. The signal of the request tells that the client is gone.
 * @param invite The client waits to be asked for the body (`Expect: 100-continue`); not when it is too long.
 */
export async function answer(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  fetch: Fetch,
  invite = false,
): Promise<void> {
  try {
    if (incoming.httpVersion === "1.1" && incoming.headers.host === undefined) {
      refuse(outgoing, 400, "the request has no Host header");
      return;
    }
    if (Number(incoming.headers["content-length"]) > BODY_LIMIT) {
      incoming.resume();
      // Who waits to be asked sends no body now: the connection has no next request to find.
      refuse(outgoing, 413, TOO_LONG, invite);
      return;
    }
    if (invite) outgoing.writeContinue();
    const body = incoming.method === "POST" ? await readBody(incoming) : undefined;
    if (body === "too long") {
      refuse(outgoing, 413, TOO_LONG, false);
      return;
    }
    // A body that nobody wants is read all the same: what comes behind it is the next request.
    if (body === undefined) incoming.resume();
    const left = new AbortController();
    outgoing.once("close", () => left.abort());
    const request = toRequest(incoming, body, left.signal);
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

/**
 * Settles as soon as the body is too long, and goes on reading it into nothing: closing over unread data would reset the
 * connection, and the client might never see why. The time limit for requests ends that.
 */
function readBody(incoming: IncomingMessage): Promise<Buffer | "too long"> {
  return new Promise((resolve, reject) => {
    let chunks: Buffer[] = [];
    let length = 0;
    incoming.on("data", (chunk: Buffer) => {
      length += chunk.length;
      if (length <= BODY_LIMIT) {
        chunks.push(chunk);
        return;
      }
      chunks = [];
      resolve("too long");
    });
    incoming.on("end", () => resolve(Buffer.concat(chunks)));
    incoming.on("error", reject);
    incoming.on("close", () => reject(new Error("the client left before the end of its request")));
  });
}

/** undefined for what the Fetch API has no words for, such as TRACE or a target without a path. */
function toRequest(
  incoming: IncomingMessage,
  body: Buffer | undefined,
  signal: AbortSignal,
): Request | undefined {
  const target = incoming.url ?? "";
  // The host is checked as a header; in the URL any will do.
  const url = target.startsWith("/") ? URL.parse(`http://localhost${target}`) : null;
  if (!url) return undefined;
  const headers = new Headers();
  for (const [name, value] of Object.entries(incoming.headers)) {
    if (typeof value === "string") headers.set(name, value);
  }
  const init: RequestInit = { method: incoming.method ?? "GET", headers, signal };
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
  // Of what is made as it is read the length is known beforehand, or never.
  const streams =
    headers["content-length"] !== undefined || headers["content-type"] === "text/event-stream";
  if (response.body && streams) {
    outgoing.writeHead(response.status, headers);
    await pour(response.body, outgoing);
    return;
  }
  const body = Buffer.from(await response.arrayBuffer());
  // The response to a HEAD tells the length of what is not there.
  if (![204, 304].includes(response.status) && headers["content-length"] === undefined)
    headers["content-length"] = String(body.length);
  outgoing.writeHead(response.status, headers);
  outgoing.end(body);
}

/** Writes a stream as it comes, no faster than the client reads. */
async function pour(body: ReadableStream<Uint8Array>, outgoing: ServerResponse): Promise<void> {
  let wake = (): void => undefined;
  for (const event of ["drain", "close"]) outgoing.on(event, () => wake());
  const reader = body.getReader();
  try {
    while (!outgoing.destroyed) {
      const { done, value } = await reader.read();
      if (done) break;
      if (outgoing.write(value) || outgoing.destroyed) continue;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    outgoing.end();
  } finally {
    await reader.cancel();
  }
}

/** @param last Closes the connection as well. */
function refuse(outgoing: ServerResponse, http: number, info: string, last = true): void {
  const error = new AfbError(http === 500 ? "internal-error" : "invalid-request", info);
  const body = JSON.stringify(failure(error));
  outgoing.writeHead(http, {
    "content-type": "application/json",
    "content-length": String(Buffer.byteLength(body)),
    ...(last ? { connection: "close" } : {}),
  });
  outgoing.end(body);
}

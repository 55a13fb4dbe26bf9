/** Between the wire and who answers: a head becomes a request, of the Fetch API where it has to be, an answer what is sent back. */
import { Answer, type Answered } from "./answer.ts";
import { type Asked as AskedRequest, plainRequest } from "./asked.ts";
import type { RequestHead } from "./head.ts";
import { sharedBodyOf } from "./shared-body.ts";
import { trailersOf } from "./trailers.ts";
import { headText, type Output } from "./output.ts";

/** Without its body. undefined for what the Fetch API has no words for, such as TRACE or a target without a path. */
export function toRequest(head: RequestHead, signal: AbortSignal): AskedRequest | undefined {
  const plain = plainRequest(head, signal);
  if (plain) return plain;
  const { method, target, headers } = head;
  // The host is checked as a header; in the URL any will do.
  const url = target.startsWith("/") ? URL.parse(`http://localhost${target}`) : null;
  if (!url) return undefined;
  const init: RequestInit = { method, headers: new Headers([...headers]), signal };
  try {
    const request = new Request(url.href, init);
    // The Fetch API takes `post` for POST; to whoever else reads it, and where the body was read here, it is another method.
    return request.method === method ? request : undefined;
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

/** What the answer has to be like for who asked. */
export interface Asked extends Pick<RequestHead, "method" | "version"> {
  /** Another request may follow. */
  readonly keepAlive: boolean;
}

/**
 * Sends a response.
 * @returns whether another request may follow: not after a stream whose end only the end of the connection tells, or that broke off
 */
export async function sendResponse(
  response: Answered,
  { method, version, keepAlive }: Asked,
  output: Output,
): Promise<boolean> {
  if (response instanceof Answer) {
    const { status, body } = response;
    const bytes = Buffer.from(body);
    const headers = [...response.headers, ["content-length", String(bytes.length)] as const];
    await output.whole(
      headText({ status, headers }, !keepAlive),
      method === "HEAD" ? undefined : bytes,
    );
    return keepAlive;
  }
  const headers = headersOf(response);
  const head = (more: [string, string][], keep: boolean): string =>
    headText({ status: response.status, headers: [...headers, ...more] }, !keep);
  const known = response.headers.has("content-length");
  const shared = sharedBodyOf(response);
  if (shared) {
    await output.whole(head([], keepAlive), method === "HEAD" ? undefined : shared, false);
    return keepAlive;
  }
  const trailers = trailersOf(response);
  const streams = known || trailers || response.headers.get("content-type") === "text/event-stream";
  if (method === "HEAD" || !streams || !response.body) {
    const body = await bytesOf(response);
    const bodiless = response.status === 204 || response.status === 304;
    const length: [string, string][] =
      known || bodiless ? [] : [["content-length", String(body.length)]];
    const sent = method === "HEAD" || bodiless ? undefined : body;
    await output.whole(head(length, keepAlive), sent);
    return keepAlive;
  }
  if (known) {
    await output.whole(head([], keepAlive), undefined);
    return (await pour(response.body, output)) && keepAlive;
  }
  if (version === "1.0") {
    await output.whole(head([], false), undefined);
    await pour(response.body, output);
    return false;
  }
  const framing: [string, string][] = [["transfer-encoding", "chunked"]];
  if (trailers) framing.push(["trailer", trailers.names.join(", ")]);
  await output.whole(head(framing, keepAlive), undefined);
  const whole = await pour(response.body, output, chunk);
  const fields = whole && trailers ? trailers.fields() : [];
  const lines = fields.map(([name, value]) => `${name}: ${value}\r\n`);
  if (whole) await output.some(`0\r\n${lines.join("")}\r\n`);
  return whole && keepAlive;
}

const bytesOf = async (response: Response): Promise<Uint8Array> =>
  response.body ? new Uint8Array(await response.arrayBuffer()) : new Uint8Array();

function headersOf({ headers }: Response): [string, string][] {
  const found: [string, string][] = [];
  headers.forEach((value, name) => {
    if (name !== "set-cookie") found.push([name, value]);
  });
  for (const cookie of headers.getSetCookie()) found.push(["set-cookie", cookie]);
  return found;
}

/** RFC 9112, section 7.1. */
function chunk(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, CRLF]);
}
const CRLF = Buffer.from("\r\n");

/** Writes a stream as it comes, no faster than the client reads; whether it came to its end. */
async function pour(
  body: ReadableStream<Uint8Array>,
  output: Output,
  wrap: (bytes: Uint8Array) => Uint8Array = (bytes) => bytes,
): Promise<boolean> {
  const reader = body.getReader();
  try {
    while (!output.gone) {
      const { done, value } = await reader.read();
      if (done) return true;
      if (value.length > 0) await output.some(wrap(value));
    }
    return false;
  } finally {
    await reader.cancel();
  }
}

/** Whether a request may become an AFB WebSocket, and the response either way. Pure: no I/O. */
import { AfbError, STATUS } from "../errors.ts";
import { failure } from "../api/reply.ts";
import type { Base } from "./base.ts";
import { checkOrigin, type GetHeader, type OriginPolicy } from "./origin.ts";

export const PROTOCOL = "x-afb-ws-json1";
/** What other binders ask for: packets in frames, or on the bare connection. */
const FRAMED_PACKETS = "x-afb-ws-rpc";
export const PACKETS = "x-afb-rpc";

/** What is spoken behind the response. */
export type Spoken = "json" | "framed packets" | "packets";
const ACCEPT_SUFFIX = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

export interface UpgradeRequest {
  method?: string | undefined;
  /** Path and query. */
  url?: string | undefined;
  header: GetHeader;
}

export interface Handshake {
  accepted: boolean;
  /** Where it is accepted. */
  speaks?: Spoken;
  /** The whole response, to be written as is; the connection ends after a refusal. */
  response: string;
}

/** A refusal that AFB has no status for. */
class Refusal extends Error {
  constructor(
    readonly http: number,
    message: string,
    readonly headers: readonly string[] = [],
  ) {
    super(message);
  }
}

const REASONS: Record<number, string> = {
  400: "Bad Request",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  412: "Precondition Failed",
  426: "Upgrade Required",
  503: "Service Unavailable",
};

export function handshake(
  request: UpgradeRequest,
  policy: OriginPolicy,
  base: Base = "",
): Handshake {
  try {
    return { accepted: true, ...accept(request, policy, base) };
  } catch (error) {
    if (error instanceof Refusal) {
      return refuse(error.http, new AfbError("invalid-request", error.message), error.headers);
    }
    if (error instanceof AfbError) return refuse(STATUS[error.status].http, error);
    throw error;
  }
}

/** A response that ends the connection, with an afb-reply that says why. */
export function refuse(http: number, error: AfbError, headers: readonly string[] = []): Handshake {
  const body = `${JSON.stringify(failure(error))}\n`;
  const lines = [
    `HTTP/1.1 ${http} ${REASONS[http] ?? "Error"}`,
    "Connection: close",
    "Content-Type: application/json",
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...headers,
  ];
  return { accepted: false, response: `${lines.join("\r\n")}\r\n\r\n${body}` };
}

function accept(
  request: UpgradeRequest,
  policy: OriginPolicy,
  base: Base,
): { response: string; speaks: Spoken } {
  const { header } = request;
  checkOrigin(header, policy);
  if (request.method !== "GET") throw new Refusal(405, "open a WebSocket with GET", ["Allow: GET"]);
  const path = (request.url ?? "").split("?", 1)[0];
  if (path !== `${base}/api`) throw new Refusal(404, `no WebSocket at ${path}: use ${base}/api`);
  // No page of a browser can ask for that.
  if (header("upgrade")?.toLowerCase() === PACKETS) {
    const lines = [
      "HTTP/1.1 101 Switching Protocols",
      `Upgrade: ${PACKETS}`,
      "Connection: Upgrade",
    ];
    return { response: `${lines.join("\r\n")}\r\n\r\n`, speaks: "packets" };
  }
  if (header("sec-websocket-version") !== "13") {
    throw new Refusal(426, "use version 13 of the WebSocket protocol", [
      "Sec-WebSocket-Version: 13",
    ]);
  }
  const key = header("sec-websocket-key") ?? "";
  // 16 bytes in base64. The last letter is any: the C client draws its letters at random.
  if (!/^[A-Za-z0-9+/]{22}==$/.test(key)) {
    throw new Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64");
  }
  const offered = (header("sec-websocket-protocol") ?? "")
    .split(",")
    .map((name) => name.trim())
    .filter((name) => name !== "");
  const chosen = offered.find((name) => name === PROTOCOL || name === FRAMED_PACKETS);
  if (offered.length > 0 && chosen === undefined) {
    throw new Refusal(412, `the sub-protocols here are ${PROTOCOL} and ${FRAMED_PACKETS}`);
  }
  const digest = new Bun.CryptoHasher("sha1").update(key + ACCEPT_SUFFIX).digest("base64");
  const response = [
    "HTTP/1.1 101 Switching Protocols",
    "Upgrade: websocket",
    "Connection: Upgrade",
    `Sec-WebSocket-Accept: ${digest}`,
    // RFC 6455, section 4.2.2: who has asked for none, and is answered one, has to end the connection. We speak it all the same.
    ...(chosen === undefined ? [] : [`Sec-WebSocket-Protocol: ${chosen}`]),
    "\r\n",
  ].join("\r\n");
  return { response, speaks: chosen === FRAMED_PACKETS ? "framed packets" : "json" };
}

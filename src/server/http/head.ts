/**
 * The head of an HTTP/1.1 request (RFC 9112, sections 2 to 6). Strict: what two readers might take apart differently is refused,
 * since a proxy in front could be the other one.
 */
import { HttpFault } from "./fault.ts";

/** Most bytes of a head. */
export const HEAD_LIMIT = 16 * 1024;
/** Most header fields. */
const FIELDS = 128;

export interface RequestHead {
  readonly method: string;
  /** For most requests a path with its query, in ASCII. */
  readonly target: string;
  readonly version: "1.0" | "1.1";
  /** By name in lower case; of what may be sent more than once the values, joined as RFC 9110, section 5.3, has it. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: BodyFraming;
  /** Another request may follow on the connection. */
  readonly keepAlive: boolean;
}

/** How the end of the body is found: after so many bytes, or where the last chunk is. */
export type BodyFraming =
  { readonly kind: "length"; readonly length: number } | { readonly kind: "chunked" };

const TOKEN = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Visible characters, and bytes beyond ASCII: see {@link encoded}. */
const TARGET = /^[\x21-\x7e\x80-\xff]+$/;
const VALUE = /^[\t\x20-\x7e\x80-\xff]*$/;

/** Which may stand there once: two would mean one thing to us and another to who forwarded them. */
const SINGLE: ReadonlySet<string> = new Set([
  "host",
  "content-length",
  "transfer-encoding",
  "content-type",
  "authorization",
  "origin",
  "referer",
  "sec-fetch-site",
  "sec-websocket-key",
  "sec-websocket-version",
  "upgrade",
  "expect",
  "x-afb-uuid",
  "x-afb-token",
]);

/**
 * @param text the lines of the head without the empty one, as Latin-1
 * @throws HttpFault 400, 417, 501 or 505
 */
export function parseHead(text: string): RequestHead {
  const [first = "", ...lines] = text.split("\r\n");
  const { method, version, ...line } = requestLine(first);
  if (lines.length > FIELDS) throw new HttpFault(431, `there are more than ${FIELDS} headers`);
  const headers = new Map<string, string>();
  for (const line of lines) addField(headers, line);
  const host = headers.get("host");
  if (host === undefined && version === "1.1") {
    throw new HttpFault(400, "the request has no Host header");
  }
  const target = encoded(withoutHost(line.target, host));
  // RFC 9110, section 10.1.1: who speaks 1.0 knows of no interim response, and would take one for the answer.
  if (version === "1.0") headers.delete("expect");
  const expect = headers.get("expect");
  if (expect !== undefined && expect.toLowerCase() !== "100-continue") {
    throw new HttpFault(417, "of all expectations only 100-continue is met");
  }
  return {
    ...{ method, target, version, headers },
    body: framing(headers, version),
    keepAlive: keepsAlive(headers.get("connection"), version),
  };
}

function requestLine(line: string): Pick<RequestHead, "method" | "target" | "version"> {
  const [method = "", target = "", protocol = "", ...more] = line.split(" ");
  if (!TOKEN.test(method) || !TARGET.test(target) || more.length > 0) {
    throw new HttpFault(400, "the first line is not a request, such as GET /api/API/VERB HTTP/1.1");
  }
  // A URL parser takes one for a slash, and the other for an end; who forwards the request does not.
  if (target.includes("#") || target.split("?", 1)[0]?.includes("\\")) {
    throw new HttpFault(400, "the path has a \\ or a #: write %5C or %23");
  }
  if (protocol === "HTTP/1.1") return { method, target, version: "1.1" };
  if (protocol === "HTTP/1.0") return { method, target, version: "1.0" };
  if (/^HTTP\/\d\.\d$/.test(protocol)) throw new HttpFault(505, "speak HTTP/1.1 here");
  throw new HttpFault(400, "the first line does not end in HTTP/1.1");
}

/**
 * Of a whole URL, as clients send it that take this server for their proxy, what is behind the host (RFC 9112, section 3.2.2). Two
 * hosts that differ are one for us and another for who forwarded them.
 */
function withoutHost(target: string, host: string | undefined): string {
  const [whole, name = ""] = /^https?:\/\/([^/?]*)/i.exec(target) ?? [];
  if (whole === undefined) return target;
  if (host !== undefined && name.toLowerCase() !== host.toLowerCase())
    throw new HttpFault(400, "the URL and the Host header name different hosts");
  const rest = target.slice(whole.length);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

/** Clients such as curl send what was typed, in UTF-8 mostly: it means the same as if it were encoded, as browsers do. */
const encoded = (target: string): string =>
  target.replace(/[\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).toUpperCase()}`);

/** @throws HttpFault */
export function addField(headers: Map<string, string>, line: string): void {
  const colon = line.indexOf(":");
  const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
  // A folded line begins with a blank, and one before the colon is as ambiguous.
  if (!TOKEN.test(name)) throw new HttpFault(400, "there is a line that is no header");
  const value = line.slice(colon + 1);
  if (!VALUE.test(value)) throw new HttpFault(400, `the header ${name} has a control character`);
  const known = headers.get(name);
  if (known !== undefined && SINGLE.has(name)) {
    throw new HttpFault(400, `there is more than one header ${name}`);
  }
  const plain = trimmed(value);
  const between = name === "cookie" ? "; " : ", ";
  headers.set(name, known === undefined ? plain : `${known}${between}${plain}`);
}

/** Of the two blanks that RFC 9110, section 5.5, means. trim() takes U+00A0 for one more, which others do not. */
function trimmed(value: string): string {
  let from = 0;
  let to = value.length;
  const isBlank = (at: number): boolean => value[at] === " " || value[at] === "\t";
  while (from < to && isBlank(from)) from++;
  while (to > from && isBlank(to - 1)) to--;
  return value.slice(from, to);
}

/** RFC 9112, section 6.3. */
function framing(headers: ReadonlyMap<string, string>, version: string): BodyFraming {
  const length = headers.get("content-length");
  const coding = headers.get("transfer-encoding");
  if (coding !== undefined) {
    if (length !== undefined || version === "1.0") {
      throw new HttpFault(400, "Transfer-Encoding goes with HTTP/1.1 and without Content-Length");
    }
    if (coding.toLowerCase() !== "chunked") {
      throw new HttpFault(501, "the only Transfer-Encoding here is chunked");
    }
    return { kind: "chunked" };
  }
  if (length === undefined) return { kind: "length", length: 0 };
  if (!/^\d{1,15}$/.test(length)) throw new HttpFault(400, "Content-Length is not a number");
  return { kind: "length", length: Number(length) };
}

/** RFC 9112, section 9.3. */
function keepsAlive(connection: string | undefined, version: string): boolean {
  const options = (connection ?? "").toLowerCase().split(",");
  const has = (option: string): boolean => options.some((one) => trimmed(one) === option);
  return !has("close") && (version === "1.1" || has("keep-alive"));
}

/** Responses onto a socket, no faster than the other side reads. */
import type { Wire } from "../wire.ts";
import type { Debt } from "../../backlog.ts";
import type { Part } from "../../share.ts";

/** Bytes given to the socket at once: what a response costs there. */
const SLICE = 64 * 1024;
/** Milliseconds in which a client takes a slice of a response that is there as a whole, or the connection ends. */
const STALL = 30_000;

const REASONS: Readonly<Record<number, string>> = {
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  206: "Partial Content",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  402: "Payment Required",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  406: "Not Acceptable",
  407: "Proxy Authentication Required",
  408: "Request Timeout",
  409: "Conflict",
  410: "Gone",
  411: "Length Required",
  412: "Precondition Failed",
  413: "Content Too Large",
  414: "URI Too Long",
  415: "Unsupported Media Type",
  416: "Range Not Satisfiable",
  417: "Expectation Failed",
  421: "Misdirected Request",
  422: "Unprocessable Content",
  423: "Locked",
  424: "Failed Dependency",
  425: "Too Early",
  426: "Upgrade Required",
  428: "Precondition Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  451: "Unavailable For Legal Reasons",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  507: "Insufficient Storage",
};

export interface ResponseHead {
  readonly status: number;
  /** One line each, in order. */
  readonly headers: readonly (readonly [name: string, value: string])[];
}

/** @param close Whether this is the last response of the connection. */
export function headText({ status, headers }: ResponseHead, close: boolean): string {
  const lines = headers.map(([name, value]) => `${name}: ${value}`);
  const reason = REASONS[status] ?? "Unknown";
  const connection = close ? "close" : "keep-alive";
  return [
    `HTTP/1.1 ${status} ${reason}`,
    ...lines,
    `date: ${date()}`,
    `connection: ${connection}`,
    "\r\n",
  ].join("\r\n");
}

let dated = { at: 0, text: "" };

/** RFC 9110, section 6.6.1; of this second. */
function date(): string {
  const at = Math.floor(Date.now() / 1000);
  if (at !== dated.at) dated = { at, text: new Date(at * 1000).toUTCString() };
  return dated.text;
}

export class Output {
  readonly #socket: Wire;
  readonly #part: Part;
  readonly #debtOf: () => Debt | undefined;
  #wake: (() => void) | undefined;

  /**
   * @param part where what waits here is counted
   * @param debtOf the same, of long responses, for whom they are by then
   */
  constructor(socket: Wire, part: Part, debtOf: () => Debt | undefined) {
    this.#socket = socket;
    this.#part = part;
    this.#debtOf = debtOf;
    const wake = (): void => this.#wake?.();
    socket.on("drain", wake);
    socket.on("close", wake);
  }

  get gone(): boolean {
    return this.#socket.destroyed || !this.#socket.writable;
  }

  /**
   * A whole response. The connection ends when the client does not read it.
   * @param own the body is there for this response alone, and counts for who reads it
   */
  async whole(head: string, body: Uint8Array | undefined, own = true): Promise<void> {
    const first = Buffer.from(head, "latin1");
    if (!body || body.length <= SLICE) {
      await this.#slices(body ? Buffer.concat([first, body]) : first);
      return;
    }
    // A copy of all that only to have the head before it would be a lot.
    const begin = body.subarray(0, Math.max(0, SLICE - first.length));
    await this.#slices(Buffer.concat([first, begin]));
    const rest = body.subarray(begin.length);
    if (!own) return this.#slices(rest, false);
    const debt = this.#debtOf();
    try {
      await this.#slices(rest, true, debt);
    } finally {
      debt?.set(0);
    }
  }

  async #slices(bytes: Uint8Array, own = true, debt?: Debt): Promise<void> {
    let left = own ? bytes.length : 0;
    this.#part.add(left);
    try {
      for (let at = 0; at < bytes.length && !this.gone; at += SLICE) {
        debt?.set(left);
        const slice = bytes.subarray(at, at + SLICE);
        if (!this.#socket.write(slice)) await this.#drained(STALL);
        if (!own) continue;
        this.#part.add(-slice.length);
        left -= slice.length;
      }
    } finally {
      this.#part.add(-left);
    }
  }

  /** Some bytes of a stream; waits for as long as the client does not read. */
  async some(bytes: Uint8Array | string): Promise<void> {
    if (this.gone) return;
    const length = bytes.length;
    this.#part.add(length);
    try {
      const taken =
        typeof bytes === "string" ? this.#socket.write(bytes, "latin1") : this.#socket.write(bytes);
      if (!taken) await this.#drained();
    } finally {
      this.#part.add(-length);
    }
  }

  #drained(limit?: number): Promise<void> {
    return new Promise((resolve) => {
      const timer =
        limit === undefined ? undefined : setTimeout(() => this.#socket.destroy(), limit);
      this.#wake = () => {
        clearTimeout(timer);
        this.#wake = undefined;
        resolve();
      };
      if (this.gone) this.#wake();
    });
  }
}

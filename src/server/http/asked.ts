/**
 * A call as it came. A Request of the Fetch API, with the URL and the Headers that it takes, costs more than all else that is done
 * for a call before its launch, and says nothing more where the target means what it says.
 */
import type { RequestHead } from "./head.ts";

export type Asked = Request | PlainRequest;

/** As those of the Fetch API, by names in lower case. */
class PlainHeaders {
  #fields: ReadonlyMap<string, string>;

  constructor(fields: ReadonlyMap<string, string>) {
    this.#fields = fields;
  }

  get(name: string): string | null {
    return this.#fields.get(name) ?? null;
  }

  has(name: string): boolean {
    return this.#fields.has(name);
  }

  set(name: string, value: string): void {
    this.#fields = new Map(this.#fields).set(name, value);
  }
}

export class PlainRequest {
  readonly headers: PlainHeaders;

  constructor(
    readonly method: string,
    readonly pathname: string,
    /** Empty, or with the question mark. */
    readonly search: string,
    headers: ReadonlyMap<string, string>,
    readonly signal: AbortSignal,
  ) {
    this.headers = new PlainHeaders(headers);
  }
}

/** Of which a URL parser makes nothing else (WHATWG URL, "path state" and "query state"); segments of dots are looked for apart. */
const PLAIN = /^(\/api\/[\w\-.~!$&()*+,;=:@/%]*)(\?[\w\-.~!$&()*+,;=:@/%?]*)?$/;
const DOTS = /\/\.|\.\/|%2e/i;

/** undefined where more has to be said of it than this: see toRequest. */
export function plainRequest(
  { method, target, headers }: RequestHead,
  signal: AbortSignal,
): PlainRequest | undefined {
  if (method !== "GET" && method !== "POST") return undefined;
  const [, path, search = ""] = PLAIN.exec(target) ?? [];
  if (path === undefined || DOTS.test(path)) return undefined;
  // A lone question mark is no query.
  return new PlainRequest(method, path, search === "?" ? "" : search, headers, signal);
}

/** Path and query, as a URL has them. */
export const placeOf = (request: Asked): Pick<URL, "pathname" | "search"> =>
  request instanceof PlainRequest ? request : new URL(request.url);

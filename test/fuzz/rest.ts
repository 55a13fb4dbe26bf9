/** REST requests: an afb-reply with a status of the catalogue for any of them, and query strings as a browser reads them. */
import { AfbError } from "../../src/errors.ts";
import { fetched } from "../../src/server/http/answer.ts";
import { sharedBodyOf } from "../../src/server/http/shared-body.ts";
import { type Pairs, parseQuery } from "../../src/server/query.ts";
import { createRest } from "../../src/server/rest.ts";
import { Sessions } from "../../src/server/session.ts";
import { TestRegistry } from "../server/harness.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

interface Input {
  method: string;
  target: string;
  headers: Record<string, string>;
  body: string;
}

const rest = createRest({
  registry: new TestRegistry(),
  sessions: new Sessions(64),
  version: "0",
  policy: () => ({ loopback: true }),
  port: () => 1234,
});

const PIECES = [
  ...[
    "a",
    "=",
    "&",
    "+",
    "%20",
    "%",
    "%zz",
    "%00",
    "%C3%A9",
    "%C3",
    "%2f",
    "%252e",
    "é",
    "__proto__",
    "query",
    "wait",
  ],
  ...[
    "{",
    "}",
    "[1]",
    '"',
    ":",
    "null",
    "1e999",
    "uuid",
    "token",
    "x-afb-uuid",
    "/",
    "//",
    "..",
    ";",
    "#",
    "?",
    "\u{1f600}",
  ],
] as const;
const PATHS = [
  ...[
    "/api/t/echo",
    "/api/t/ping",
    "/api/t/who",
    "/api/T/ECHO",
    "/api/t/fail",
    "/api/t/deep/er",
    "/api/x/y",
    "/api",
  ],
  ...[
    "/api/",
    "/api//",
    "/api/t",
    "/",
    "/openapi.json",
    "/other",
    "/api/t/ping/events",
    "/%61pi/t/echo",
    "/api/t/cycle",
  ],
] as const;

const text = (random: Random, most: number): string =>
  random.list(most, () => random.pick([PIECES[0], ...PIECES])).join("");

function make(random: Random): Input {
  const headers: Record<string, string> = {};
  const set = (name: string, ...values: [string, ...string[]]): void => {
    if (random.once(3)) headers[name] = random.pick(values);
  };
  set(
    "content-type",
    "application/json",
    "application/x-www-form-urlencoded",
    "text/plain",
    "application/json; charset=x",
    "",
  );
  set("origin", "http://evil.example", "null", "http://localhost", "x");
  set("host", "localhost", "127.0.0.1:1234", "evil.example", "[::1]");
  set("sec-fetch-site", "same-origin", "cross-site", "none");
  set("user-agent", "Mozilla/5.0", "curl");
  set("referer", "http://localhost/", "x", "http://evil.example/");
  set("prefer", "wait=1", "respond-async", "wait");
  set("cookie", "x-afb-uuid-1234=a", "x-afb-uuid-1234", "=;=;", "x-afb-uuid-1234=%zz; b");
  set("x-afb-uuid", "u", "a b", "é");
  set("authorization", "Bearer x", "Bearer", "Basic x");
  return {
    method: random.pick(["GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "DELETE"]),
    target:
      random.pick(PATHS) +
      (random.once(5) ? text(random, 3) : "") +
      (random.once(2) ? `?${text(random, 12)}` : ""),
    headers,
    body: random.once(2) ? text(random, 12) : "",
  };
}

/** As the URL standard does, and of a repeated name a list; undefined where its parser replaces what it cannot decode. */
function reference(query: string): Pairs | undefined {
  const all = new URLSearchParams(query);
  if ([...all].flat().some((one) => one.includes("\ufffd"))) return undefined;
  const values = (name: string): string | string[] => {
    const list = all.getAll(name);
    return list.length === 1 ? String(list[0]) : list;
  };
  return new Map([...all.keys()].map((name) => [name, values(name)]));
}

function checkQuery(query: string): void {
  let pairs: Pairs;
  try {
    pairs = parseQuery(query, "query");
  } catch (error) {
    if (!(error instanceof AfbError) || error.status !== "invalid-request") throw error;
    return;
  }
  const expected = reference(query);
  demand(
    expected === undefined || Bun.deepEquals(pairs, expected),
    "parsed otherwise",
    expected,
    pairs,
  );
}

export const restRequests: Target = {
  name: "rest",
  make: (random) => ({ ...make(random) }),
  async check(input: Json) {
    const { method = "GET", target = "/", headers = {}, body = "" } = input as Partial<Input>;
    // URLSearchParams takes a leading question mark away.
    checkQuery(body.replace(/^\?+/, ""));
    const url = URL.parse(`http://localhost${target}`);
    if (!url || !target.startsWith("/")) return;
    let request: Request;
    try {
      const init: RequestInit = { method, headers };
      if (method === "POST" && body !== "") init.body = body;
      request = new Request(url.href, init);
    } catch (error) {
      // Not a request that could be sent.
      if (error instanceof TypeError) return;
      throw error;
    }
    const response = fetched(await rest(request));
    demand(
      [200, 204, 400, 403, 404, 405, 415, 500].includes(response.status),
      `status ${response.status}`,
    );
    const cycle = /\/api\/t\/cycle/i.test(url.pathname);
    demand(response.status !== 500 || cycle, "internal error", await response.clone().text());
    for (const [name, value] of response.headers) {
      demand(!/[\r\n\0]/.test(value), `header ${name} with a line end`, value);
    }
    const type = response.headers.get("content-type");
    if (type !== "application/json" || method === "HEAD") return;
    const bytes = sharedBodyOf(response) ?? (await response.bytes());
    const json: unknown = JSON.parse(Buffer.from(bytes).toString());
    demand(typeof json === "object" && json !== null, "no object", json);
  },
};

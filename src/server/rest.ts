/**
 * REST: `GET|POST /api/<api>/<verb>`, answered with the same `afb-reply` object as on the WebSocket, and an index at `/`.
 *
 * Arguments come from the URL or from the body (JSON or a form), not from both. Of a repeated parameter the last one
 * counts; `query=<JSON>` is the whole argument. `wait`, and the parameters about session and token, are no arguments.
 */
import { Elysia } from "elysia";
import { AfbError, STATUS } from "../errors.ts";
import type { Registry } from "../api/registry.ts";
import { failure, type Reply } from "../api/reply.ts";
import { encodeReply } from "./afb.ts";
import { checkOrigin, type GetHeader, type OriginPolicy } from "./origin.ts";
import { decode, parseJson, parseQuery, toArgs } from "./query.ts";
import { readCredentials, SESSION_PARAMETERS, sessionCookie, type Sessions } from "./session.ts";

export interface RestOptions {
  registry: Registry;
  sessions: Sessions;
  policy: OriginPolicy;
  version: string;
  /** The port listened on: it names the cookie. */
  port: () => number;
}

const ABOUT_THE_CALL: ReadonlySet<string> = new Set([...SESSION_PARAMETERS, "wait"]);
const METHODS = { index: "GET, HEAD, OPTIONS", verb: "GET, POST, OPTIONS" } as const;

/** An error with an HTTP status other than that of its AFB status. */
class HttpError extends AfbError {
  constructor(
    readonly http: number,
    message: string,
    readonly headers: Record<string, string> = {},
  ) {
    super("invalid-request", message);
  }
}

export function createRest(options: RestOptions) {
  const { registry } = options;
  const list = () => Object.fromEntries(registry.list().map(({ api, verbs }) => [api, verbs]));
  const nothing = (info: string, status: "unknown-api" | "unknown-verb"): Response =>
    respond({ ...failure(new AfbError(status, info)), response: { apis: list() } });

  const index = (request: Request): Response => {
    allow(request.method, METHODS.index);
    if (request.method === "OPTIONS") return preflight(METHODS.index);
    const body = { name: "spawnbox", version: options.version, websocket: "/api", apis: list() };
    return json(200, `${JSON.stringify(body, null, 2)}\n`);
  };

  const verb = async (request: Request): Promise<Response> => {
    const url = new URL(request.url);
    const path = url.pathname.slice("/api/".length);
    const slash = path.indexOf("/");
    if (slash < 0 || slash === path.length - 1) {
      const api = decode(slash < 0 ? path : path.slice(0, slash), "path");
      if (api === "") return nothing("say which: /api/API/VERB", "unknown-api");
      const known = registry.list().some((one) => one.api.toLowerCase() === api.toLowerCase());
      return known
        ? nothing(`say which verb: /api/${api}/VERB`, "unknown-verb")
        : nothing(`no API "${api}"`, "unknown-api");
    }
    // HEAD is not GET here: it would run the command.
    allow(request.method, METHODS.verb);
    if (request.method === "OPTIONS") return preflight(METHODS.verb);
    const parameters = parseQuery(url.search.slice(1), "query string");
    const header: GetHeader = (name) => request.headers.get(name) ?? undefined;
    const get = (name: string): string | undefined => parameters.get(name);
    const credentials = readCredentials(header, get, options.port());
    const session = options.sessions.open(credentials);
    const reply = await registry.call({
      api: decode(path.slice(0, slash), "path"),
      verb: decode(path.slice(slash + 1), "path"),
      args: await readArgs(request, parameters),
      session,
      wait: readWait(get("wait"), header("prefer")),
    });
    const response = respond(reply);
    if (!credentials.fromCookie) {
      response.headers.append("set-cookie", sessionCookie(options.port(), session.uuid));
    }
    return response;
  };

  /** Checks who is asking, and turns errors into replies. */
  const guarded =
    (handle: (request: Request) => Response | Promise<Response>) =>
    async ({ request }: { request: Request }): Promise<Response> => {
      const header: GetHeader = (name) => request.headers.get(name) ?? undefined;
      try {
        checkOrigin(header, options.policy);
        const response = await handle(request);
        shareWith(header("origin"), options.policy, response.headers);
        return response;
      } catch (error) {
        if (!(error instanceof AfbError)) console.error("request failed:", error);
        const response = respond(
          failure(error),
          error instanceof HttpError ? error.http : undefined,
        );
        if (error instanceof HttpError) {
          for (const [name, value] of Object.entries(error.headers))
            response.headers.set(name, value);
        }
        return response;
      }
    };

  // The body is read here, by type and with our own errors, so Elysia must not.
  const raw = { parse: "none" } as const;
  return new Elysia({ strictPath: true })
    .all("/", guarded(index), raw)
    .all(
      "/api",
      guarded(() => nothing("say which: /api/API/VERB", "unknown-api")),
      raw,
    )
    .all("/api/*", guarded(verb), raw)
    .all(
      "/*",
      guarded(() => nothing("nothing here: use /api/API/VERB", "unknown-api")),
      raw,
    );
}

async function readArgs(request: Request, parameters: Map<string, string>): Promise<unknown> {
  const inUrl = toArgs(parameters, ABOUT_THE_CALL);
  if (request.method !== "POST") return inUrl;
  const body = new Uint8Array(await request.arrayBuffer());
  if (body.length === 0) return inUrl;
  if (inUrl !== undefined) {
    throw new AfbError("invalid-request", "give the arguments in the URL or in the body, not both");
  }
  const type = (request.headers.get("content-type") ?? "").split(";", 1)[0]?.trim().toLowerCase();
  if (request.headers.has("content-encoding")) {
    throw new HttpError(415, "send the body without Content-Encoding");
  }
  switch (type) {
    case "application/json":
      return parseJson(utf8(body), "body");
    case "application/x-www-form-urlencoded":
      return toArgs(parseQuery(utf8(body), "body"), ABOUT_THE_CALL);
    default:
      throw new HttpError(
        415,
        "send a body of Content-Type application/json or application/x-www-form-urlencoded",
        { "accept-post": "application/json, application/x-www-form-urlencoded" },
      );
  }
}

function utf8(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new AfbError("invalid-request", "body is not UTF-8");
  }
}

/** `wait=true`, or `Prefer: wait=SECONDS` (RFC 7240). The seconds do not limit: the time-out of the command does. */
function readWait(parameter: string | undefined, prefer: string | undefined): boolean {
  if (parameter !== undefined) return !["false", "no", "0"].includes(parameter.toLowerCase());
  return /(^|[,;])\s*wait\s*=/i.test(prefer ?? "");
}

function allow(method: string, methods: string): void {
  if (!methods.split(", ").includes(method)) {
    throw new HttpError(405, `${method} is not possible here: use ${methods}`, { allow: methods });
  }
}

function preflight(methods: string): Response {
  const headers = {
    allow: methods,
    "access-control-allow-methods": methods,
    "access-control-allow-headers": "authorization, content-type, prefer, x-afb-uuid, x-afb-token",
  };
  return new Response(null, { status: 204, headers });
}

/** Lets a page of a configured origin read the response. No CORS headers for anyone else. */
function shareWith(origin: string | undefined, policy: OriginPolicy, headers: Headers): void {
  const origins = policy.origins ?? [];
  if (origin === undefined || !(origins.includes("*") || origins.includes(origin))) return;
  headers.set("access-control-allow-origin", origins.includes("*") ? "*" : origin);
  headers.append("vary", "Origin");
}

function respond(answer: Reply, http?: number): Response {
  const { reply, json: body } = encodeReply(answer);
  // Statuses of plugins are not in the catalogue.
  const known: { http: number } | undefined = STATUS[reply.request.status];
  return json(http ?? known?.http ?? 500, body);
}

function json(status: number, body: string): Response {
  const headers = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  };
  return new Response(body, { status, headers });
}

/** Replies as HTTP responses. */
import { AfbError, STATUS, type Status } from "../errors.ts";
import { failure, type Reply } from "../api/reply.ts";
import { errorLine } from "../unexpected.ts";
import { encodeReply } from "./afb.ts";
import { Answer } from "./http/answer.ts";
import type { GetHeader, OriginPolicy } from "./origin.ts";

/** An error with an HTTP status other than that of its AFB status. */
export class HttpError extends AfbError {
  constructor(
    readonly http: number,
    message: string,
    readonly headers: Record<string, string> = {},
  ) {
    super("invalid-request", message);
  }
}

const CHALLENGES: Partial<Record<Status, string>> = {
  unauthorized: "Bearer",
  "invalid-token": 'Bearer error="invalid_token"',
  "insufficient-scope": 'Bearer error="insufficient_scope"',
};

/** Seconds after which a server that is busy may have room again. */
const RETRY_AFTER = "1";

export function respond(answer: Reply, http?: number): Answer {
  const { reply, json: body } = encodeReply(answer);
  // Statuses of plugins are not in the catalogue.
  const known: { http: number } | undefined = STATUS[reply.request.status];
  const response = new Answer(http ?? known?.http ?? 500, body, JSON_HEADERS);
  // RFC 6750, section 3: how to do better. Browsers do not ask their user for a bearer token.
  const challenge = CHALLENGES[reply.request.status];
  if (challenge !== undefined && http !== 200) response.headers.set("www-authenticate", challenge);
  if (reply.request.status === "busy") response.headers.set("retry-after", RETRY_AFTER);
  return response;
}

export function respondError(error: unknown): Answer {
  if (!(error instanceof AfbError)) console.error(`request failed: ${errorLine(error)}`);
  const http = error instanceof HttpError ? error : undefined;
  const response = respond(failure(error), http?.http);
  for (const [name, value] of Object.entries(http?.headers ?? {}))
    response.headers.set(name, value);
  return response;
}

/** Cache-Control of what is to be there as it comes: a proxy that compresses would collect it until it has a block of it. */
export const LIVE = "no-store, no-transform";

const JSON_HEADERS = {
  "content-type": "application/json",
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
} as const;

/** 200. */
export const json = (body: string): Response => new Response(body, { headers: JSON_HEADERS });

/** Throws the 405 for a method that is not in the list `methods`. */
export function allow(method: string, methods: string): void {
  if (!methods.split(", ").includes(method)) {
    throw new HttpError(405, `${method} is not possible here: use ${methods}`, { allow: methods });
  }
}

export function preflight(methods: string): Response {
  const headers = {
    allow: methods,
    "access-control-allow-methods": methods,
    "access-control-allow-headers":
      "authorization, content-type, last-event-id, prefer, x-afb-uuid, x-afb-token, x-afb-http",
  };
  return new Response(null, { status: 204, headers });
}

/** Lets a page of a configured origin read the response. No CORS headers for anyone else. */
export function shareWith(
  header: GetHeader,
  policy: OriginPolicy,
  headers: Pick<Headers, "append"> & { set(name: string, value: string): unknown },
): void {
  const origin = header("origin");
  const origins = policy.origins ?? [];
  if (origin === undefined || !(origins.includes("*") || origins.includes(origin))) return;
  headers.set("access-control-allow-origin", origins.includes("*") ? "*" : origin);
  headers.append("vary", "Origin");
  // Where a task can be followed, when to come again, and what is missing: others a page may read anyway.
  headers.append("access-control-expose-headers", "location, retry-after, www-authenticate");
  // Asked by Chromium for pages of public addresses where ours is private (Private Network Access).
  if (header("access-control-request-private-network") === "true")
    headers.set("access-control-allow-private-network", "true");
}

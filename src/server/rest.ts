/**
 * REST: `GET|POST /api/<api>/<verb>`, answered with the same `afb-reply` object as on the WebSocket;
 * `GET /api/<api>/<verb>/events`, the same call with its events (see events.ts); an index at `/`, `/openapi.json`, and what
 * monitors ask (see health.ts). Pages of the user (see pages.ts) are what is left: never below `/api`, and at `/` instead of the
 * index.
 */
import { findCased } from "../cased.ts";
import { AfbError } from "../errors.ts";
import type { CertificateNames, Request as Call } from "../api/client.ts";
import type { Registry } from "../api/registry.ts";
import type { Asker } from "../api/turns.ts";
import { failure, type Reply } from "../api/reply.ts";
import { isObject } from "../object.ts";
import { HTTP_STYLE, readArguments, readWait } from "./arguments.ts";
import type { Base } from "./base.ts";
import { requirePlain } from "./coding.ts";
import { consoleAt } from "./console.ts";
import { type Answered, fetched } from "./http/answer.ts";
import { type Asked, placeOf, PlainRequest } from "./http/asked.ts";
import { withSharedBody } from "./http/shared-body.ts";
import { Incoming } from "./http/incoming.ts";
import { EVENTS, streamEvents } from "./events.ts";
import { healthz, metrics, readyz, type Unready } from "./health.ts";
import type { Entrance } from "./mcp.ts";
import { openApi } from "./openapi.ts";
import {
  checkCaller,
  checkOrigin,
  type GetHeader,
  type OriginPolicy,
  type Scheme,
} from "./origin.ts";
import type { Pages } from "./pages.ts";
import type { Peer } from "./peer.ts";
import { decode, once, parseQuery } from "./query.ts";
import { allow, json, preflight, respond, respondError, shareWith } from "./respond.ts";
import type { Transfer } from "./transfer.ts";
import type { Webhooks } from "./webhook.ts";
import { callerOf, readCredentials, sessionCookie, type Sessions } from "./session.ts";

export interface RestOptions {
  registry: Registry;
  sessions: Sessions;
  version: string;
  policy: () => OriginPolicy;
  /** The port listened on: it names the cookie. */
  port: () => number;
  /** As the pages, it changes when the server becomes a service. */
  base?: () => Base;
  /** They change when the server becomes a service. */
  pages?: () => Pages | undefined;
  /** Whether there is a page of our own; so too. By default not. */
  console?: () => boolean;
  /** Where tools are served; so too. By default not. */
  mcp?: () => Entrance | undefined;
  /** Always ready by default. */
  unready?: Unready;
}

const METHODS = {
  page: "GET, HEAD, OPTIONS",
  // HEAD is not GET here: it would run the command.
  verb: "GET, POST, OPTIONS",
  events: "GET, POST, OPTIONS",
  webhook: "POST",
} as const;

/** Who sent a request. */
export interface Sender {
  readonly from?: Asker;
  /** Over a unix socket. */
  readonly peer?: Peer | undefined;
  /** Where it comes from, over TCP. */
  readonly address?: string | undefined;
  /** Of a POST; see {@link Rest.streams}. */
  readonly body?: Uint8Array | Incoming;
  /** Verified by TLS. */
  readonly certificate?: CertificateNames | undefined;
  /** As a trusted proxy tells it. */
  readonly scheme?: Scheme | undefined;
}

export interface Rest {
  /** Answers one request. */
  (request: Asked, sender?: Sender): Answered | Promise<Answered>;
  /** Whether the body of a POST with this target is what a command reads: it comes as it is read, and has any length. */
  streams(target: string): boolean;
}

export function createRest(options: RestOptions): Rest {
  const { registry, base = () => "", unready = () => undefined } = options;
  const senders = new WeakMap<Asked, Sender>();
  const policyFor = (request: Asked): OriginPolicy => {
    const policy = options.policy();
    const scheme = senders.get(request)?.scheme ?? policy.scheme;
    return { ...policy, scheme };
  };
  const list = () => Object.fromEntries(registry.list().map(({ api, verbs }) => [api, verbs]));
  const nothing = (info: string, status: "unknown-api" | "unknown-verb"): Answered =>
    respond({ ...failure(new AfbError(status, info)), response: { apis: list() } });

  const page = (body: () => Uint8Array) => (request: Request) => {
    allow(request.method, METHODS.page);
    if (request.method === "OPTIONS") return preflight(METHODS.page);
    const bytes = body();
    // To a HEAD Elysia writes the length of what is in the response.
    if (request.method === "HEAD") return json(new TextDecoder().decode(bytes));
    const response = json("");
    response.headers.set("content-length", String(bytes.length));
    return withSharedBody(response, bytes);
  };
  const index = page(() => {
    const { version } = options;
    const [websocket, openapi] = [`${base()}/api`, `${base()}/openapi.json`];
    const about = { name: "spawnbox", version, websocket, openapi };
    return Buffer.from(`${JSON.stringify({ ...about, apis: list() }, null, 2)}\n`);
  });

  let document: { of: unknown; base: Base; bytes: Uint8Array } | undefined;
  /** Made anew only when the verbs are others: it may have a megabyte. */
  const openapi = () => {
    const apis = registry.describe();
    if (document?.of !== apis || document.base !== base()) {
      const made = openApi(apis, options.version, base());
      const bytes = Buffer.from(`${JSON.stringify(made, null, 2)}\n`);
      document = { of: apis, base: base(), bytes };
    }
    return document.bytes;
  };

  /** Whether a path asks for the events of a verb. */
  const isEvents = (api: string, named: string): boolean =>
    named.length > EVENTS.length && named.endsWith(EVENTS) && !hasVerb(api, named);
  const hasVerb = (api: string, verb: string): boolean => {
    const list = registry.list();
    const name = findCased(
      api,
      list.map((one) => one.api),
    );
    const verbs = list.find((one) => one.api === name)?.verbs ?? [];
    return findCased(verb, verbs) !== undefined;
  };

  let webhooks: Webhooks | undefined;

  /** What a start replies that did not end within the seconds that its caller waits: 202, and where to follow it. */
  const accepted = (reply: Reply, { api, verb }: Pick<Call, "api" | "verb">): Answered => {
    const { response } = reply;
    const pid = isObject(response) ? String(response["pid"]) : "";
    const names = [api, ...verb.split("/")].map(encodeURIComponent).join("/");
    const location = `${base()}/api/${names}${EVENTS}?action=subscribe&pid=${pid}`;
    const made = respond(reply, 202);
    made.headers.set("location", location);
    return made;
  };

  /**
   * @param style what the request asks for; else it is as the API's config says
   * @param ofExit what the config of the command says of the exit that the reply tells
   */
  const answer = (
    reply: Reply,
    made: Pick<Call, "api" | "verb" | "wait">,
    style?: string,
    ofExit?: number,
  ) => {
    const { response } = reply;
    const succeeded = reply.request.status === "success";
    if (succeeded && ofExit === undefined) {
      const runs = isObject(response) && "command" in response && !("status" in response);
      return typeof made.wait === "number" && runs ? accepted(reply, made) : respond(reply);
    }
    const apis = registry.describe();
    const name = findCased(
      made.api,
      apis.map((one) => one.api),
    );
    const afb = style?.toLowerCase() ?? apis.find((one) => one.api === name)?.http;
    return respond(reply, afb === "afb" ? 200 : ofExit);
  };

  const call = async (request: Asked): Promise<Answered> => {
    const { pathname, search } = placeOf(request);
    const path = pathname.slice("/api/".length);
    const slash = path.indexOf("/");
    if (slash < 0 || slash === path.length - 1) {
      const api = decode(slash < 0 ? path : path.slice(0, slash), "path");
      if (api === "") return nothing(`say which: ${base()}/api/API/VERB`, "unknown-api");
      const known = findCased(
        api,
        registry.list().map((one) => one.api),
      );
      return known !== undefined
        ? nothing(`say which verb: ${base()}/api/${api}/VERB`, "unknown-verb")
        : nothing(`no API "${api}"`, "unknown-api");
    }
    const api = decode(path.slice(0, slash), "path");
    const named = decode(path.slice(slash + 1), "path");
    const events = isEvents(api, named);
    const methods = events ? METHODS.events : METHODS.verb;
    allow(request.method, methods);
    if (request.method === "OPTIONS") return preflight(methods);
    const verb = events ? named.slice(0, -EVENTS.length) : named;

    const header: GetHeader = (name) => request.headers.get(name) ?? undefined;
    let ofExit: number | undefined;
    let transfer: Transfer | undefined;
    const ended: Call["ended"] = ({ http }, status) => {
      const { exit } = status;
      transfer?.ended(status);
      if (http && exit !== undefined) ofExit = http[exit];
    };
    const hooked = events ? undefined : registry.hooked?.({ api, verb });
    if (hooked && header(hooked.webhook.header) !== undefined) {
      allow(request.method, METHODS.webhook);
      const { from, body = new Uint8Array() } = senders.get(request) ?? {};
      if (body instanceof Incoming) throw changed();
      const delivery = { api, verb, header, from, search, body, gone: request.signal, ended };
      webhooks ??= new (await import("./webhook.ts")).Webhooks();
      const reply = await webhooks.call(hooked, delivery, registry);
      return ofExit === undefined ? respond(reply) : answer(reply, delivery, undefined, ofExit);
    }
    const parameters = parseQuery(search.slice(1), "query string");
    const policy = policyFor(request);
    checkCaller(header, policy);
    const { peer, address, from, body, certificate } = senders.get(request) ?? {};
    const isFed = request.method === "POST" && registry.isFed?.({ api, verb }) === true;
    const [input, given] = body instanceof Incoming ? [body, undefined] : [undefined, body];
    if (request.method === "POST" && isFed !== (input !== undefined)) throw changed();
    if (input) requirePlain(header);
    if (request.method === "GET" && hasBody(header))
      throw new AfbError("invalid-request", "a GET has its arguments in the URL: POST the body");
    const { args, texts, get } = readArguments(request, parameters, given);
    const credentials = readCredentials(header, get, options.port());
    const session = options.sessions.open(credentials, peer);
    const via = events ? "events" : "rest";
    const caller = callerOf(credentials, peer, { address, via, certificate });
    const wait = readWait(get("wait"), header("prefer"));
    const made = { api, verb, args, texts, session, caller, from, wait, ended, input };
    const style = get(HTTP_STYLE) ?? header(HTTP_STYLE);
    const refuse = (reply: Reply, http = input?.http) =>
      http === undefined ? answer(reply, made, style, ofExit) : respond(reply, http);
    const called = async (): Promise<Answered> => {
      const begun = Promise.withResolvers<undefined>();
      const bytes: Call["bytes"] = async (file) => {
        const { Transfer } = await import("./transfer.ts");
        transfer = new Transfer(request, file, () => begun.resolve(undefined));
        transfer.require();
        return transfer;
      };
      const replied = registry.call({ ...made, bytes, gone: request.signal });
      const reply = await Promise.race([replied, begun.promise]);
      // What is remembered of the call would keep the reply with it: a promise that is open knows what it was raced with.
      begun.resolve(undefined);
      if (reply) return transfer?.without(reply, refuse) ?? refuse(reply);
      return transfer?.begin(replied) ?? refuse(await replied);
    };
    const response = events
      ? await streamEvents(request, { registry, call: made, refuse })
      : await called();
    if (!credentials.fromCookie) {
      response.headers.append(
        "set-cookie",
        sessionCookie(options.port(), session.uuid, base(), policy.scheme),
      );
    }
    return response;
  };

  /** For who asks again and again, such as a monitor, no session is kept. */
  const asking = (request: Request) => {
    const parameters = parseQuery(new URL(request.url).search.slice(1), "query string");
    const header: GetHeader = (name) => request.headers.get(name) ?? undefined;
    const { peer, from } = senders.get(request) ?? {};
    const credentials = readCredentials(header, (name) => once(parameters, name), options.port());
    const { uuid = crypto.randomUUID() } = credentials;
    return { session: { uuid }, caller: callerOf(credentials, peer), from };
  };

  /** Checks who is asking, and turns errors into replies. */
  const guarded =
    <Kind extends Asked>(handle: (request: Kind) => Answered | Promise<Answered>) =>
    async (request: Kind): Promise<Answered> => {
      const header: GetHeader = (name) => request.headers.get(name) ?? undefined;
      const policy = policyFor(request);
      try {
        checkOrigin(header, policy);
      } catch (error) {
        return respondError(error);
      }
      let response: Answered;
      try {
        response = await handle(request);
      } catch (error) {
        response = respondError(error);
      }
      // A page that may call may read why it was refused, too.
      shareWith(header, policy, response.headers);
      return response;
    };

  // The body is read here, by type and with our own errors, so Elysia must not.
  const raw = { parse: "none" } as const;
  /** A page of the user where there is one. */
  const pageOr =
    (handle: (request: Request) => Answered) =>
    async (request: Request): Promise<Answered> => {
      const ancestors = ["'self'", ...(options.policy().origins ?? [])].join(" ");
      const own = await options.pages?.()?.respond(request, ancestors, base());
      const found =
        own ?? (options.console?.() ? await consoleAt(request, ancestors, base()) : undefined);
      if (!found) return handle(request);
      allow(request.method, METHODS.page);
      return request.method === "OPTIONS" ? preflight(METHODS.page) : found;
    };
  const elsewhere = () =>
    nothing(
      options.pages?.()
        ? `nothing here: no such page, and verbs are at ${base()}/api/API/VERB`
        : `nothing here: use ${base()}/api/API/VERB; to serve pages, start with --roothttp DIR`,
      "unknown-api",
    );
  // "/" has no route of its own: to a HEAD of such a route Elysia gives the length of the body, which is not there.
  const other = pageOr((request) =>
    new URL(request.url).pathname === "/" ? index(request) : elsewhere(),
  );
  const mcp = (request: Request): Answered | Promise<Answered> => {
    const entrance = options.mcp?.();
    if (!entrance) return other(request);
    const {
      peer,
      address,
      certificate,
      from,
      body = new Uint8Array(),
    } = senders.get(request) ?? {};
    if (body instanceof Incoming) throw changed();
    const sender = { peer, address, certificate, share: from?.peer ?? "" };
    return entrance.respond(request, body, sender, policyFor(request));
  };
  const routed = (handle: (request: Request) => Answered | Promise<Answered>) => {
    const answer = guarded(handle);
    return async ({ request }: { request: Request }) => fetched(await answer(request));
  };
  const route = async () => {
    const { Elysia } = await import("elysia");
    return (
      new Elysia({ strictPath: true })
        .all("/mcp", routed(mcp), raw)
        // Servers of other makers have it there, and so have settings that are copied.
        .all("/mcp/", routed(mcp), raw)
        .all("/openapi.json", routed(page(openapi)), raw)
        .all("/healthz", routed(healthz), raw)
        .all(
          "/readyz",
          routed((request) => readyz(request, unready)),
          raw,
        )
        .all(
          "/metrics",
          routed((request) => metrics(request, registry, () => asking(request))),
          raw,
        )
        .all(
          "/api",
          routed(() => nothing(`say which: ${base()}/api/API/VERB`, "unknown-api")),
          raw,
        )
        .all("/*", routed(other), raw)
    );
  };
  let router: ReturnType<typeof route> | undefined;
  const answerCall = guarded(call);
  const answering = async (request: Asked, sender?: Sender) => {
    if (sender) senders.set(request, sender);
    // What is asked for all the time needs no router, nor has to wait until there is one.
    if (request instanceof PlainRequest || isCall(request.url)) return answerCall(request);
    router ??= route();
    return (await router).fetch(request);
  };
  return Object.assign(answering, {
    streams: (target: string) => isFedBy(registry, target, isEvents),
  });
}

/** It is read, but to whom it is given depends on who reads it (RFC 9110, section 9.3.1): a command would run without it. */
const hasBody = (header: GetHeader): boolean =>
  header("transfer-encoding") !== undefined || Number(header("content-length") ?? 0) > 0;

/** Whether something below `/api/` is asked for. */
const isCall = (url: string): boolean =>
  url.startsWith("/api/", url.indexOf("/", "http://".length));

/** Taken apart as the call will be. */
function isFedBy(
  registry: Registry,
  target: string,
  isEvents: (api: string, named: string) => boolean,
): boolean {
  const path = URL.parse(`http://localhost${target}`)?.pathname ?? "";
  const [, api, verb] = /^\/api\/([^/]+)\/(.+)$/.exec(path) ?? [];
  if (api === undefined || verb === undefined) return false;
  try {
    const called = { api: decode(api, "path"), verb: decode(verb, "path") };
    if (isEvents(called.api, called.verb)) called.verb = called.verb.slice(0, -EVENTS.length);
    return registry.isFed?.(called) === true;
  } catch (error) {
    // The call will say what is wrong.
    if (error instanceof AfbError) return false;
    throw error;
  }
}

/** Between its head and its call. */
const changed = () =>
  new AfbError("bad-state", "the config has just changed what this verb takes: send it again");

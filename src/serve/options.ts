/** The command line of `spawnbox serve`. */
import { existsSync } from "node:fs";
import type { AuditOptions } from "../audit/open.ts";
import { earlyConfigs, EARLY_CONFIGS } from "../boot/places.ts";
import { type Client, parseClient, parseServer, type Server } from "../config/binder-uri.ts";
import { type Base, whyNoBase } from "../server/base.ts";
import type { Endpoint } from "../server/endpoint.ts";
import type { PageSource } from "../server/pages.ts";
import { namesOf } from "../server/path.ts";
import { DEFAULT_MODE } from "../server/unix.ts";
import { ACCESS, type AccessOptions, accessOptions } from "./access.ts";
import { AUDIT, auditOptions } from "./auditing.ts";
import { METRICS, metricsOptions } from "./metering.ts";
import { FLEET, fleetOptions } from "./fleet.ts";
import { HISTORY, type HistoryPlace, historyOptions } from "./keeping.ts";
import { parseHost, parseName, parseOrigin } from "./names.ts";
import { MOST_TASKS } from "./room.ts";
import { requireProtected, TLS, type TransportOptions, transportOptions } from "./transport.ts";
import { neededSource, SOURCE, type Source } from "../command-line/config-option.ts";
import type { Manual } from "../manual/manual.ts";
import { readOptions, type Values } from "../manual/options.ts";

export const SERVE = {
  ...SOURCE,
  early: {
    text:
      `serve ${EARLY_CONFIGS} too; where spawnbox early serves them since boot, ` +
      "that server becomes this service, without a gap",
  },
  port: { argument: "N", text: "TCP port (default 1234; 0 takes a free one)" },
  host: {
    argument: "ADDRESS",
    repeatable: true,
    text: "address to listen on (default 127.0.0.1: this machine only); repeatable",
  },
  unix: {
    argument: "PATH",
    repeatable: true,
    text: "listen on a unix socket; repeatable; TCP too only if --port or --host is given",
    path: "file",
  },
  "unix-mode": {
    argument: "MODE",
    text: `permissions of unix sockets, octal (default ${DEFAULT_MODE.toString(8).padStart(4, "0")})`,
  },
  "rpc-server": {
    argument: "URI",
    repeatable: true,
    text:
      "export APIs to other binders, besides the above: unix:PATH?as-api=NAME, unix:@NAME, tcp:HOST:PORT/API or " +
      "sd:NAME; ?export=LIST of NAME, LOCAL@REMOTE or *; ?import=LIST of who dials in; " +
      "tls+tcp: and mtls+tcp: with ?cert=FILE&key=FILE&trust=FILE; repeatable",
  },
  "ws-server": {
    argument: "URI",
    repeatable: true,
    text: "the same in the older protocol, WSAPI, of one API each; repeatable",
  },
  "rpc-client": {
    argument: "URI",
    repeatable: true,
    text:
      "import APIs of another binder, for whoever may call here: public:unix:PATH?import=NAME, " +
      "public:unix:@NAME or public:tcp:HOST:PORT/API; or export to it: unix:PATH?export=LIST; repeatable",
  },
  "ws-client": {
    argument: "URI",
    repeatable: true,
    text: "the same in the older protocol, WSAPI, of one API each: public:unix:PATH/API; repeatable",
  },
  concurrency: {
    argument: "N",
    text:
      "most tasks at a time; further starts wait a while, then are told busy " +
      `(default: what descriptors, processes and memory allow, at most ${MOST_TASKS})`,
  },
  ...HISTORY,
  ...ACCESS,
  // There is nothing else that it could be.
  cynagora: { ...ACCESS.cynagora, omissible: /^[^-]/ },
  ...FLEET,
  ...AUDIT,
  ...METRICS,
  origin: {
    argument: "URL",
    repeatable: true,
    text: "a web page's origin that may call, besides our own; repeatable",
  },
  roothttp: {
    argument: "DIR",
    text: "serve the files of a directory as pages, at /",
    path: "directory",
  },
  alias: {
    argument: "/P:DIR",
    repeatable: true,
    text: "serve those of another at /P; repeatable",
  },
  "no-console": {
    text: "no console: no page of its own at / for browsers, nor at /console/; programs get JSON at / anyway",
  },
  mcp: {
    text: "serve verbs as tools at /mcp, for programs that act for people (Model Context Protocol); from other machines only with a token or a client certificate",
  },
  ...TLS,
  base: {
    argument: "/PATH",
    text: "everything is below this path, for a proxy that hands it on as it is",
  },
  name: {
    argument: "HOST",
    repeatable: true,
    text: "a name this server is called by; repeatable; when given, others are refused",
  },
} as const;

export const manual: Manual = {
  name: "spawnbox serve",
  synopsis: ["--config PATH[:PATH...] [OPTIONS]"],
  about: `Compiles the configs and serves their commands as verbs, over REST and WebSocket.
A directory stands for every spawn-*.json in it. Without --config, AFB_SPAWN_CONFIG is used.`,
  options: SERVE,
  notes: `Sockets of a systemd .socket unit are used as with --unix; Type=notify-reload and WatchdogSec= are supported.
SIGHUP, and the verb monitor/reload, read configs, access and certificates anew: if there is any problem, it is told and
nothing changes.`,
  exit: "0 after SIGTERM or SIGINT, 1 when it cannot start, 2 wrong usage.",
};

export interface ServeOptions extends AccessOptions, TransportOptions {
  readonly sources: readonly Source[];
  /** A server of early boot is to become this one. */
  readonly early: boolean;
  /** Without those of a service manager. */
  readonly endpoints: readonly Endpoint[];
  /** Where to listen when nothing else is given. */
  readonly otherwise: Endpoint;
  /** Where other binders come in. */
  readonly exports: readonly Server[];
  /** Other binders that are dialled. */
  readonly imports: readonly Client[];
  /** Permissions of the files of unix sockets. */
  readonly mode: number;
  readonly origins: readonly string[];
  readonly hosts: readonly string[];
  readonly base: Base;
  readonly pages: readonly PageSource[];
  /** A page of its own for browsers. */
  readonly console: boolean;
  /** Verbs as tools at /mcp. */
  readonly mcp: boolean;
  /** Most tasks at a time; undefined: what there is room for. */
  readonly concurrency: number | undefined;
  readonly audit: AuditOptions | undefined;
  /** What GET /metrics takes; "": nothing; undefined: that depends on the access. */
  readonly metricsPrivilege: string | undefined;
  /** A file, or `none`; undefined: the default. */
  readonly fleet: string | undefined;
  /** Where tasks are kept; undefined: nowhere. */
  readonly history: HistoryPlace | undefined;
}

const DEFAULT_HOST = "127.0.0.1";
const DEFAULT_PORT = 1234;

const earlySources = (): Source[] => earlyConfigs().map((path) => ({ kind: "config", path }));

/** Each path by itself, so that what two lists have in common can be told. */
function each({ kind, path }: Source): Source[] {
  // One whose name has a colon is told what is wrong as a whole.
  if (kind === "plan" || existsSync(path)) return [{ kind, path }];
  return path.split(":").flatMap((one) => (one === "" ? [] : [{ kind, path: one }]));
}

/** undefined for --help. Throws TypeError, which is wrong usage. */
export function parseServe(
  argv: string[],
  env: Readonly<Record<string, string | undefined>> = process.env,
): ServeOptions | undefined {
  const values = readOptions(SERVE, argv);
  return values && optionsOf(values, env);
}

/** What the values mean. @throws TypeError, which is wrong usage */
export function optionsOf(
  values: Values<typeof SERVE>,
  env: Readonly<Record<string, string | undefined>> = process.env,
): ServeOptions {
  const source = neededSource(values.config, values.plan, env);
  const port = values.port === undefined ? DEFAULT_PORT : parsePort(values.port);
  const asked = values.port !== undefined || values.host.length > 0;
  const given = values.host.map(parseHost);
  const hosts = given.length > 0 ? given : [DEFAULT_HOST];
  const mode = values["unix-mode"] === undefined ? DEFAULT_MODE : parseMode(values["unix-mode"]);
  const endpoints: Endpoint[] = asked ? hosts.map((host) => ({ kind: "tcp", host, port })) : [];
  for (const path of values.unix) {
    if (path === "") throw new TypeError("--unix: expected a path");
    // As addresses are printed; the runtime would take a part of it for the path.
    if (path.startsWith("unix:"))
      throw new TypeError(`--unix ${path}: expected a path, without unix:`);
    // Elsewhere that is a name without a file, which anybody may connect to.
    if (path.startsWith("@"))
      throw new TypeError(
        `--unix ${path}: expected a path, whose mode says who may connect: ./${path} is a file of that name`,
      );
    endpoints.push({ kind: "unix", path, mode });
  }
  const exports = [
    ...values["rpc-server"].map((uri) => parseServer(uri, "rpc")),
    ...values["ws-server"].map((uri) => parseServer(uri, "ws")),
  ];
  const imports = [
    ...values["rpc-client"].map((uri) => parseClient(uri, "rpc")),
    ...values["ws-client"].map((uri) => parseClient(uri, "ws")),
  ];
  const otherwise: Endpoint = { kind: "tcp", host: DEFAULT_HOST, port };
  const { access, cynagora } = accessOptions(values, env);
  const transport = transportOptions(values);
  requireProtected(endpoints, exports, transport);
  const pages = values.alias.map(parseAlias);
  if (values.roothttp === "") throw new TypeError("--roothttp: expected a directory");
  if (values.roothttp !== undefined) pages.push({ prefix: "/", path: values.roothttp });
  const { early } = values;
  const sources = [...each(source), ...(early ? earlySources() : [])];
  const concurrency =
    values.concurrency === undefined ? undefined : parseConcurrency(values.concurrency);
  const base = values.base === undefined ? "" : parseBase(values.base);
  return {
    ...{
      sources,
      early,
      access,
      cynagora,
      endpoints,
      otherwise,
      origins: values.origin.map(parseOrigin),
      hosts: values.name.map(parseName),
      base,
      pages,
      console: !values["no-console"],
      mcp: values.mcp,
    },
    ...{ concurrency, exports, imports, mode },
    ...transport,
    ...{ concurrency, exports, imports, mode, history: historyOptions(values) },
    fleet: fleetOptions(values),
    audit: auditOptions(values),
    metricsPrivilege: metricsOptions(values),
  };
}

function parseBase(text: string): Base {
  const why = whyNoBase(text);
  if (why !== undefined) throw new TypeError(`--base ${text}: ${why}`);
  return text;
}

/** See server/health.ts. */
const MONITORED = ["healthz", "readyz", "metrics"];

function parseAlias(text: string): PageSource {
  const [, prefix, path] = /^(\/[^:]+?)\/?:(.+)$/.exec(text) ?? [];
  const names = namesOf(prefix ?? "/");
  if (prefix === undefined || path === undefined || !names?.length) {
    throw new TypeError(`--alias ${text}: expected /PREFIX:DIR`);
  }
  if (names[0] === "api") throw new TypeError(`--alias ${text}: /api is where the verbs are`);
  if (names.length === 1 && MONITORED.includes(names[0] ?? ""))
    throw new TypeError(`--alias ${text}: ${prefix} is what the server says of itself`);
  return { prefix, path };
}

function parsePort(text: string): number {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65535) return Number(text);
  throw new TypeError(`--port ${text}: expected a number from 0 to 65535`);
}

function parseConcurrency(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new TypeError(`--concurrency ${text}: expected a number of tasks, from 1 to 999999`);
}

function parseMode(text: string): number {
  if (/^0?[0-7]{3}$/.test(text)) return parseInt(text, 8);
  throw new TypeError(`--unix-mode ${text}: expected an octal mode such as 0660`);
}

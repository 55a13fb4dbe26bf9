/** Where other binders are met, as command lines and configs write it: `unix:/run/x?as-api=demo`, `tcp:HOST:PORT/API`, `sd:NAME`. */

export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number; readonly tls?: Tls }
  /** `@name` for an abstract one. */
  | { readonly kind: "unix"; readonly path: string }
  /** A socket of the service manager, by its name. */
  | { readonly kind: "sd"; readonly name: string };

/** Files of PEM, and whom they are about. */
export interface Tls {
  /** Both ends show a certificate, and look at the other's. */
  readonly mutual: boolean;
  readonly cert?: string;
  readonly key?: string;
  /** Those who may have signed the other's certificate. */
  readonly trust?: string;
  /** Of who is dialled: the name that its certificate has to have, by default that of the URI; "" for any. */
  readonly host?: string;
}

/** An API, here and as others call it. */
export interface Shown {
  /** `*`: whichever the other asks for, by its name. */
  readonly local: string;
  /** Undefined: where none is named. `*`: whichever is asked for. */
  readonly remote: string | undefined;
}

/** RPC v3, or version 1 in WebSocket frames. */
export type Speech = "rpc" | "ws";

/** Where other binders come in, or who is dialled. */
interface Met {
  readonly speech: Speech;
  /** As it was written. */
  readonly uri: string;
  readonly address: Address;
  readonly exported: readonly Shown[];
  /** None of them is `*`. Of these or of the exported there is at least one. */
  readonly imported: readonly Shown[];
}

export type Server = Met;

export interface Client extends Met {
  /** Whoever may call here may call what is imported. */
  readonly isPublic: boolean;
}

/** sun_path without its NUL, see unix(7). */
const PATH_BYTES = 107;
const NAME = /^[^\s/@,*?"'\0]{1,200}$/;
const TLS_KEYS = ["cert", "key", "trust", "ca", "host"] as const;
const WS_ONE = "WSAPI carries one API, and no name: give one, and another URI for another";

type Wrong = (why: string) => never;

/** Throws TypeError that says what is wrong. */
export function parseServer(uri: string, speech: Speech): Server {
  const wrong: Wrong = (why) => {
    throw new TypeError(`--${speech}-server ${uri}: ${why}`);
  };
  const { place, named, query, tls } = split(uri, ["as-api", "import", "export"], wrong);
  const address =
    addressOf(place, named, tls) ??
    wrong("expected unix:PATH, unix:@NAME, tcp:HOST:PORT, tls+tcp:HOST:PORT or sd:NAME");
  checkAddress(address, speech, wrong);
  if (address.kind === "tcp" && address.tls) {
    const { cert, key, trust, mutual, host } = address.tls;
    if (cert === undefined || key === undefined) wrong("a server with TLS needs cert= and key=");
    if (mutual && trust === undefined) wrong("mtls+ needs trust=: who signs the other's");
    if (!mutual && trust !== undefined)
      wrong("trust= looks at the other's certificate: write mtls+tcp:");
    if (host !== undefined) wrong("host= is for who dials");
  }
  const as = query.getAll("as-api");
  if (as.length > 1) wrong("as-api= is given twice");
  const exported = [
    ...as.map((one) => shownIn(one, wrong)),
    ...listed(query, "export", wrong),
    ...(named ? [] : [shownIn(lastOf(place), wrong)]),
  ];
  const imported = calledByName(listed(query, "import", wrong), wrong);
  if (speech === "ws") {
    if (imported.length > 0) wrong("WSAPI goes one way: import with --rpc-server or --ws-client");
    if (exported.length > 1 || exported[0]?.local === "*") wrong(WS_ONE);
  }
  onceEach(
    exported.map(({ remote }) => remote ?? ""),
    (name) => wrong(`two APIs are exported as ${JSON.stringify(name)}`),
  );
  return { speech, uri, address, exported, imported };
}

/** Of `--rpc-client public:URI`, or the URI alone where it only exports. Throws TypeError that says what is wrong. */
export function parseClient(text: string, speech: Speech): Client {
  const option = `--${speech}-client`;
  const wrong: Wrong = (why) => {
    throw new TypeError(`${option} ${text}: ${why}`);
  };
  const [, seen, uri = ""] = /^(public:|private:)?(.*)$/s.exec(text) ?? [];
  const met = parseMet(uri, speech, wrong);
  if (met.imported.length > 0 && seen !== "public:")
    wrong(
      "write it as public:URI: clients call what this option imports; what only actions may call is for `imports` of a config",
    );
  return { ...met, isPublic: true };
}

/**
 * Who is dialled, of `uri` in a config. Throws TypeError that says what is wrong.
 * @param named the API is named elsewhere, and is not in the URI
 */
export function parseImport(uri: string, speech: Speech, named: boolean): Met {
  const wrong: Wrong = (why) => {
    throw new TypeError(`${JSON.stringify(uri.slice(0, 200))}: ${why}`);
  };
  const met = parseMet(uri, speech, wrong, named);
  if (met.exported.length > 0) wrong("export= is for --rpc-client: here others are called");
  if (!named && met.imported.length !== 1) wrong("one API each: give another entry for another");
  return met;
}

function parseMet(uri: string, speech: Speech, wrong: Wrong, elsewhere = false): Met {
  const { place, named, query, tls } = split(uri, ["as-api", "import", "export"], wrong);
  const address = addressOf(place, named || elsewhere, tls);
  if (!address || address.kind === "sd")
    return wrong("expected unix:PATH, unix:@NAME, tcp:HOST:PORT/API or tls+tcp:HOST:PORT/API");
  checkAddress(address, speech, wrong);
  if (address.kind === "tcp" && address.port === 0) wrong("nobody is met at port 0");
  if (address.kind === "tcp" && address.tls) {
    const { cert, key, trust, mutual } = address.tls;
    if (trust === undefined)
      wrong("TLS needs trust=: a file with who signs the other's certificate");
    if (mutual && (cert === undefined || key === undefined)) wrong("mtls+ needs cert= and key=");
    if (!mutual && (cert ?? key) !== undefined) wrong("cert= and key= are shown with mtls+tcp:");
  }
  const exported = listed(query, "export", wrong);
  const lists = [...listed(query, "as-api", wrong), ...listed(query, "import", wrong)];
  // Of a path nobody knows whether its last name is an API too.
  const inPlace = address.kind === "tcp" ? /\/./.test(place) : !elsewhere;
  const imported = calledByName(named || !inPlace ? lists : [shownIn(lastOf(place), wrong)], wrong);
  if (speech === "ws") {
    if (exported.length > 0) wrong("WSAPI goes one way: export with --ws-server or --rpc-client");
    if (imported.length > 1) wrong(WS_ONE);
  }
  onceEach(
    imported.map(({ local }) => local.toLowerCase()),
    (name) => wrong(`two APIs are imported as ${JSON.stringify(name)}`),
  );
  return { speech, uri, address, exported, imported };
}

/** A URI, what its query says of TLS, and the rest of the query, which may have the keys that are known. */
function split(uri: string, known: readonly string[], wrong: Wrong) {
  const [whole = "", ...rest] = uri.split("?");
  const query = new URLSearchParams(rest.join("?"));
  const [, wrapping, place = ""] = /^(?:(m?tls|ws)\+)?(.*)$/s.exec(whole) ?? [];
  if (wrapping === "ws") wrong("no binder speaks ws+: use --ws-server and --ws-client");
  const keys = wrapping === undefined ? known : [...known, ...TLS_KEYS];
  for (const key of query.keys()) {
    if (!keys.includes(key)) {
      const isTls = (TLS_KEYS as readonly string[]).includes(key);
      wrong(
        isTls
          ? `${key}= is for tls+tcp: and mtls+tcp:`
          : `${key}= is not known here: there is ${keys.map((one) => `${one}=`).join(", ")}`,
      );
    }
    if (TLS_KEYS.some((one) => one === key) && query.getAll(key).length > 1)
      wrong(`${key}= is given twice`);
  }
  const file = (key: string) => {
    const path = query.get(key) ?? undefined;
    if (path !== undefined && !path.startsWith("/")) wrong(`${key}=: expected an absolute path`);
    return path;
  };
  if (query.has("trust") && query.has("ca")) wrong("trust= and ca= are the same: give one");
  const [cert, key, trust] = [file("cert"), file("key"), file("trust") ?? file("ca")];
  const host = query.get("host") ?? undefined;
  const tls: Tls | undefined =
    wrapping === undefined
      ? undefined
      : {
          mutual: wrapping === "mtls",
          ...(cert !== undefined && { cert }),
          ...(key !== undefined && { key }),
          ...(trust !== undefined && { trust }),
          ...(host !== undefined && { host }),
        };
  return { place, named: known.some((one) => query.has(one)), query, tls };
}

/** @param named the API is named elsewhere, and is no part of it */
function addressOf(place: string, named: boolean, tls: Tls | undefined): Address | undefined {
  if (place.startsWith("unix:")) {
    const path = place.slice("unix:".length);
    return tls || path.replace("@", "") === "" || path.includes("\0")
      ? undefined
      : { kind: "unix", path };
  }
  const [, name] = /^sd:([^/\s]+)(?:\/[^/]*)?$/.exec(place) ?? [];
  if (name !== undefined) return tls ? undefined : { kind: "sd", name };
  if (/^(?:char|sd):/.test(place)) return undefined;
  const [, bracketed, plain, port, api] =
    /^(?:tcp:)?(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:/\s]+)):(\d{1,5})(\/[^/]*)?$/.exec(place) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65535) return undefined;
  if (!named && api === undefined) return undefined;
  return {
    kind: "tcp",
    host: host === "*" ? "0.0.0.0" : host,
    port: Number(port),
    ...(tls && { tls }),
  };
}

function checkAddress(address: Address, speech: Speech, wrong: Wrong): void {
  if (address.kind === "unix" && Buffer.byteLength(address.path) > PATH_BYTES)
    wrong(`the path of a socket has at most ${PATH_BYTES} bytes`);
  if (speech === "ws" && address.kind === "tcp" && address.tls)
    wrong("WSAPI has no TLS: use the options of rpc");
}

function listed(query: URLSearchParams, key: string, wrong: Wrong): Shown[] {
  return query
    .getAll(key)
    .flatMap((list) => list.split(","))
    .map((entry) => shownIn(entry, wrong));
}

const shownIn = (entry: string, wrong: Wrong): Shown =>
  shownOf(entry) ??
  wrong(
    `no API is named by ${JSON.stringify(entry)}: use ?as-api=NAME, or a list of NAME, LOCAL@REMOTE or *`,
  );

/** Those of a list that are called by their name. */
function calledByName(list: readonly Shown[], wrong: Wrong): readonly Shown[] {
  for (const { local, remote } of list)
    if (local === "*" || remote === "*") wrong("what is imported has a name: NAME or LOCAL@REMOTE");
  return list;
}

function onceEach(names: readonly string[], twice: (name: string) => void): void {
  const found = names.find((name, at) => names.indexOf(name) !== at);
  if (found !== undefined) twice(found);
}

/** The API where the address names it: what is behind its last slash, or else colon. */
const lastOf = (place: string): string => /(?:\/|:@?)([^/:@]*)$/.exec(place)?.[1] ?? "";

function shownOf(entry: string): Shown | undefined {
  if (entry === "*") return { local: "*", remote: "*" };
  const [local = "", remote, ...more] = entry.split("@");
  if (!NAME.test(local) || more.length > 0) return undefined;
  if (remote === undefined) return { local, remote: local };
  if (remote === "") return { local, remote: undefined };
  return remote === "*" || NAME.test(remote) ? { local, remote } : undefined;
}

/** What dials or listens there, without what may be nobody else's business. */
export const placeOf = (uri: string): string => uri.split("?", 1)[0] ?? "";

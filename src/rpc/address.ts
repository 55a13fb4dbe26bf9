/** Where other binders are met, as their command lines write it: `unix:/run/x?as-api=demo`, `tcp:HOST:PORT/API`, `sd:NAME`. */

export type Address =
  | { readonly kind: "tcp"; readonly host: string; readonly port: number }
  /** `@name` for an abstract one. */
  | { readonly kind: "unix"; readonly path: string }
  /** A socket of the service manager, by its name. */
  | { readonly kind: "sd"; readonly name: string };

/** An API, here and as others call it. */
export interface Shown {
  /** `*`: whichever the other asks for, by its name. */
  readonly local: string;
  /** Undefined: where none is named. `*`: whichever is asked for. */
  readonly remote: string | undefined;
}

/** RPC v3, or version 1 in WebSocket frames. */
export type Speech = "rpc" | "ws";

export interface Server {
  readonly speech: Speech;
  /** As it was written. */
  readonly uri: string;
  readonly address: Address;
  /** At least one. */
  readonly exported: readonly Shown[];
}

/** Who is dialled. */
export interface Client {
  readonly uri: string;
  readonly address: Address;
  /** At least one; none of them is `*`. */
  readonly imported: readonly Shown[];
}

/** sun_path without its NUL, see unix(7). */
const PATH_BYTES = 107;
const NAME = /^[^\s/@,*?"'\0]{1,200}$/;

/** Throws TypeError that says what is wrong. */
export function parseServer(uri: string, speech: Speech): Server {
  const option = speech === "rpc" ? "--rpc-server" : "--ws-server";
  const wrong = (why: string): never => {
    throw new TypeError(`${option} ${uri}: ${why}`);
  };
  const [place = "", ...rest] = uri.split("?");
  const query = new URLSearchParams(rest.join("?"));
  for (const key of query.keys())
    if (key !== "as-api" && key !== "export")
      wrong(`${key}= is not known here: there are as-api=NAME and export=LIST`);
  const as = query.getAll("as-api");
  const lists = query.getAll("export");
  if (as.length > 1) wrong("as-api= is given twice");
  const named = as.length + lists.length > 0;
  if (/^(?:m?tls|ws)\+/.test(place))
    wrong(
      "TLS and other wrappings are not spoken here: use unix:, or a tunnel that ends on this machine",
    );
  const address =
    addressOf(place, named) ?? wrong("expected unix:PATH, unix:@NAME, tcp:HOST:PORT or sd:NAME");
  if (address.kind === "unix" && Buffer.byteLength(address.path) > PATH_BYTES)
    wrong(`the path of a socket has at most ${PATH_BYTES} bytes`);
  const entries = [...as, ...lists.flatMap((list) => list.split(","))];
  const exported = (named ? entries : [lastOf(place)]).map(
    (entry) =>
      shownOf(entry) ??
      wrong(
        `no API is named by ${JSON.stringify(entry)}: use ?as-api=NAME, or export=NAME, LOCAL@REMOTE or *`,
      ),
  );
  if (speech === "ws" && (exported.length > 1 || exported[0]?.local === "*"))
    wrong("WSAPI carries one API, and no name: give one, and another --ws-server for another");
  const names = exported.map(({ remote }) => remote ?? "");
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) wrong(`two APIs are exported as ${JSON.stringify(twice)}`);
  return { speech, uri, address, exported };
}

/** Of `--rpc-client public:URI`. Throws TypeError that says what is wrong. */
export function parseClient(text: string): Client {
  const wrong = (why: string): never => {
    throw new TypeError(`--rpc-client ${text}: ${why}`);
  };
  const [, seen, uri = ""] = /^(public:|private:)?(.*)$/s.exec(text) ?? [];
  if (seen !== "public:")
    wrong("write it as public:URI: clients call what is imported, actions of configs cannot yet");
  const [place = "", ...rest] = uri.split("?");
  const query = new URLSearchParams(rest.join("?"));
  for (const key of query.keys())
    if (key !== "as-api" && key !== "import")
      wrong(`${key}= is not known here: there are as-api=NAME and import=LIST`);
  const lists = [...query.getAll("as-api"), ...query.getAll("import")];
  const address = addressOf(place, lists.length > 0);
  if (!address || address.kind === "sd")
    return wrong("expected unix:PATH, unix:@NAME or tcp:HOST:PORT");
  const entries = lists.length > 0 ? lists.flatMap((list) => list.split(",")) : [lastOf(place)];
  const imported = entries.map((entry) => {
    const shown = shownOf(entry);
    if (shown && shown.local !== "*" && shown.remote !== "*") return shown;
    return wrong(`no API is named by ${JSON.stringify(entry)}: use ?import=NAME or LOCAL@REMOTE`);
  });
  return { uri, address, imported };
}

/** @param named the API is named elsewhere, and is no part of it */
function addressOf(place: string, named: boolean): Address | undefined {
  if (place.startsWith("unix:")) {
    const path = place.slice("unix:".length);
    return path.replace("@", "") === "" || path.includes("\0") ? undefined : { kind: "unix", path };
  }
  const [, name] = /^sd:([^/\s]+)(?:\/[^/]*)?$/.exec(place) ?? [];
  if (name !== undefined) return { kind: "sd", name };
  if (/^(?:char|sd):/.test(place)) return undefined;
  const [, bracketed, plain, port, api] =
    /^(?:tcp:)?(?:\[([0-9A-Fa-f:.%\w]+)\]|([^:/\s]+)):(\d{1,5})(\/[^/]*)?$/.exec(place) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65535) return undefined;
  if (!named && api === undefined) return undefined;
  return { kind: "tcp", host: host === "*" ? "0.0.0.0" : host, port: Number(port) };
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

/** The API that is meant; undefined where it is none of these. @param asked undefined where none is named, as older importers do */
export function localApi(
  exported: readonly Shown[],
  asked: string | undefined,
): string | undefined {
  const [first, second] = exported;
  if (asked === undefined || asked === "") {
    const unnamed = exported.find(({ remote }) => remote === undefined);
    const only = unnamed ?? (second ? undefined : first);
    return only?.local === "*" ? undefined : only?.local;
  }
  const key = asked.toLowerCase();
  const found =
    exported.find(({ remote }) => remote?.toLowerCase() === key) ??
    exported.find(({ remote }) => remote === "*");
  return found?.local === "*" ? asked : found?.local;
}

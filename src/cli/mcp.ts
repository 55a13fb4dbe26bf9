/** `spawnbox mcp`: verbs as tools over standard input and output, for a program that starts this one. */
import { createRegistry, type RunningRegistry } from "../api/registry.ts";
import { grantAll } from "../api/privileges.ts";
import type { AuditOptions } from "../audit/open.ts";
import { adviceFor } from "../client/socket.ts";
import { apisOf } from "../command-line/apis.ts";
import { SOURCE, type Source, sourceOf } from "../command-line/config-option.ts";
import { type Connection, CONNECTION, connectionOf } from "../command-line/connection.ts";
import { UsageError, withOptions } from "../command-line/usage.ts";
import { ConfigError, problemLine } from "../config/problem.ts";
import { Refused } from "../errors.ts";
import { Launching } from "../launch/launching.ts";
import type { Manual } from "../manual/manual.ts";
import { readOptions } from "../manual/options.ts";
import { explain } from "../plan/explain.ts";
import { AUDIT, Auditing, auditOptions } from "../serve/auditing.ts";
import { doctor } from "../serve/doctor.ts";
import { drained } from "../serve/ending.ts";
import { deniedAround } from "../unexpected.ts";
import { version } from "../version.ts";
import { indented } from "../visible.ts";

const OPTIONS = { ...SOURCE, ...CONNECTION, ...AUDIT } as const;

export const manual: Manual = {
  name: "spawnbox mcp",
  synopsis: ["[--url URL] [--token-file FILE]", "--config PATH[:PATH...] [--audit FILE]"],
  about: `Speaks the Model Context Protocol on standard input and output: verbs are tools of the program that starts it. In
front of a running server (spawnbox serve --mcp), with what its token, its user or its certificate may; or on configs
alone, without a server, as the user that it runs as.`,
  options: OPTIONS,
  exit: "0 once its input ends; 1 the config cannot be served; 2 wrong usage; 3 the server is not there.",
  examples: [
    "spawnbox mcp --url unix:/run/spawnbox.sock",
    "spawnbox mcp --url https://board.local:1234 --token-file ~/.config/board.token",
    "spawnbox mcp --config config/agent.json",
  ],
};

type Options =
  | { readonly connection: Connection }
  | { readonly source: Source; readonly audit: AuditOptions | undefined };

export const run = (argv: string[]): Promise<number> =>
  withOptions(manual, parse, argv, (options) =>
    "connection" in options ? front(options.connection) : alone(options.source, options.audit),
  );

function parse(argv: string[]): Options | undefined {
  const values = readOptions(OPTIONS, argv);
  if (!values) return undefined;
  // Only what is named: the environment is that of whoever has started it.
  const source = sourceOf(values.config, values.plan, {});
  if (!source) {
    if (values.audit !== undefined)
      throw new UsageError("--audit is for --config: the server has an audit of its own");
    return { connection: connectionOf(values) };
  }
  const { url, token, ca, cert } = values;
  if ([url, token, ca, cert, values["token-file"]].some((one) => one !== undefined))
    throw new UsageError("give either a server (--url) or configs (--config, --plan), not both");
  return { source, audit: auditOptions(values) };
}

async function front({ url, token, tls }: Connection): Promise<number> {
  const { relay } = await import("../mcp/relay.ts");
  const { place, unix } = placeOf(url);
  // As `call`: a proxy of the environment (http_proxy) would be told the token, and calls another machine localhost.
  for (const name of ["NO_PROXY", "no_proxy"]) process.env[name] = "*";
  const why = await relay({
    ...{ url: place, token },
    fetch: (to, init) =>
      fetch(to, {
        ...{ ...init, ...(unix !== undefined && { unix }) },
        tls: { ...tls, rejectUnauthorized: true },
      }).catch((error: unknown) => {
        if (!(error instanceof Error) || init?.signal?.aborted) throw error;
        throw new Error(unreached(error.message), { cause: error });
      }),
  });
  if (why === undefined) return 0;
  console.error(`spawnbox mcp: ${indented(why)}`);
  return 3;
}

/** @param said by the runtime, which has hints for who writes programs behind it */
function unreached(said: string): string {
  const reason = said.replace(
    /(?: fetching "|: Unable to connect\.|\. For more information,).*$/s,
    "",
  );
  return `${reason}; ${adviceFor(reason) ?? "is the server running there, with --mcp?"}`;
}

/** @param url of the WebSocket of the server: `/mcp` is beside it */
function placeOf(url: string): { place: URL; unix?: string } {
  const [, path, api] = /^ws\+unix:\/\/([^:]*):(.*)$/.exec(url) ?? [];
  const beside = (text: string): string => text.replace(/\/api$/, "/mcp");
  if (path !== undefined)
    return { place: new URL(`http://localhost${beside(api ?? "")}`), unix: path };
  const place = new URL(url.replace(/^ws/, "http"));
  place.pathname = beside(place.pathname);
  return { place };
}

async function alone(source: Source, audit: AuditOptions | undefined): Promise<number> {
  const launching = new Launching();
  const auditing = new Auditing();
  let registry: RunningRegistry;
  try {
    await auditing.use(audit);
    const wanted = apisOf(source);
    const prepared = await launching.prepare(wanted);
    const { apis } = prepared;
    prepared.use();
    for (const notice of prepared.notices) console.error(`notice: ${problemLine(notice)}`);
    // Without an audit too: what must be audited is refused then.
    const witnesses = [auditing];
    const { launch } = launching;
    registry = createRegistry({ apis, launch, explain, granted: grantAll, witnesses });
    await registry.start();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    console.error(error instanceof ConfigError ? error.message : `spawnbox mcp: ${whyNot(error)}`);
    await auditing.close();
    await launching.close();
    return 1;
  }
  try {
    const { serveStdio } = await import("../mcp/stdio.ts");
    await serveStdio({ registry, version, doctor });
    return 0;
  } finally {
    if (registry.grace > 0) await drained(registry, registry.grace);
    await registry.close();
    await launching.close();
    await auditing.close();
  }
}

/** What a launch says it is refused for, or a filter that hides in an error of the runtime. */
const whyNot = (error: Error): string =>
  (error instanceof Refused ? undefined : deniedAround(error)) ?? indented(error.message);

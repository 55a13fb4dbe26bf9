/** `spawnbox serve`: the service. */
import { parseArgs } from "node:util";
import { createRegistry, type Registry } from "../api/registry.ts";
import { ConfigError } from "../config/problem.ts";
import { launch } from "../launch/launch.ts";
import { explain } from "../plan/explain.ts";
import type { ApiPlan } from "../plan/plan.ts";
import { type RunningServer, startServer } from "../server/server.ts";
import { version } from "../version.ts";
import { apisOf } from "./compile.ts";
import { type Source, sourceOf } from "./config-option.ts";

export const help = `usage: spawnbox serve --config PATH[:PATH...] [OPTIONS]

Compiles the configs and serves their commands as verbs, over REST and WebSocket.
A directory stands for every spawn-*.json in it. Without --config, AFB_SPAWN_CONFIG is used.

  --config PATH   config files or directories, separated by colons
  --plan FILE     plans made by spawnbox compile, instead of configs
  --port N        TCP port (default 1234; 0 takes a free one)
  --host ADDRESS  address to listen on (default 127.0.0.1: this machine only)
  --origin URL    a web page's origin that may call, besides our own; repeatable
  --name HOST     a name this server is called by; repeatable; when given, others are refused
  -h, --help      this text

Exit code: 0 after SIGTERM or SIGINT, 1 when it cannot start, 2 wrong usage.`;

interface Options {
  source: Source;
  port: number;
  host: string;
  origins: string[];
  hosts: string[];
}

function parse(argv: string[]): Options | undefined {
  const { values } = parseArgs({
    args: argv,
    options: {
      config: { type: "string" },
      plan: { type: "string" },
      port: { type: "string", default: "1234" },
      host: { type: "string", default: "127.0.0.1" },
      origin: { type: "string", multiple: true, default: [] },
      name: { type: "string", multiple: true, default: [] },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) return undefined;
  const source = sourceOf(values.config, values.plan);
  if (!source) throw new TypeError("no config: give --config PATH, or set AFB_SPAWN_CONFIG");
  if (!/^\d{1,5}$/.test(values.port) || Number(values.port) > 65535) {
    throw new TypeError(`--port ${values.port}: expected a number from 0 to 65535`);
  }
  return {
    source,
    port: Number(values.port),
    host: values.host,
    origins: values.origin,
    hosts: values.name,
  };
}

export async function run(argv: string[]): Promise<number> {
  let options: Options | undefined;
  try {
    options = parse(argv);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`spawnbox serve: ${error.message}\n\n${help}`);
    return 2;
  }
  if (!options) {
    console.log(help);
    return 0;
  }
  let apis: ApiPlan[];
  try {
    apis = apisOf(options.source);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(
      `${error.message}\nspawnbox serve: not started: ${error.problems.length} problem(s) above`,
    );
    return 1;
  }
  const registry = createRegistry({ apis, launch, explain });
  let server: RunningServer;
  try {
    server = await startServer({ ...options, registry, version });
  } catch (error) {
    console.error(`spawnbox serve: ${error instanceof Error ? error.message : String(error)}`);
    return 1;
  }
  console.log(banner(server.url, apis, registry));
  await untilStopped();
  await Promise.all([server.close(), registry.close()]);
  return 0;
}

function banner(url: string, apis: readonly ApiPlan[], registry: Registry): string {
  const notices = apis.flatMap((api) =>
    api.notices.map(({ path, message }) => `notice: ${api.file}: ${path}: ${message}`),
  );
  const lines = registry.list().map(({ api, verbs }) => `  ${api}: ${verbs.join(", ")}`);
  const first = apis[0];
  return [
    ...notices,
    `spawnbox ${version} serves on ${url}`,
    ...lines,
    ...(first ? [`try: curl ${url}/api/${first.api}/${tryVerb(first)}`] : []),
  ].join("\n");
}

/** A verb that runs something without arguments and answers with its output; else ping. */
function tryVerb(api: ApiPlan): string {
  const plans = api.sandboxes
    .flatMap((sandbox) => sandbox.plans)
    .filter((plan) => plan.argv.names.size === 0);
  const plan = plans.find(({ encoder }) => encoder.name === "sync") ?? plans[0];
  return plan ? plan.verb + (plan.encoder.name === "sync" ? "" : "?wait=true") : "ping";
}

function untilStopped(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => resolve());
  });
}

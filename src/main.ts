/** Entry: picks a subcommand from argv. Each one is loaded only when it is asked for. */
import { suggestion } from "./config/nearest.ts";
import { keepConsole } from "./console.ts";
import { endOnUnexpected } from "./unexpected.ts";
import { version } from "./version.ts";

interface Subcommand {
  run(argv: string[]): Promise<number>;
}

const SUBCOMMANDS: Readonly<Record<string, { about: string; load: () => Promise<Subcommand> }>> = {
  serve: { about: "serve configs over REST and WebSocket", load: () => import("./cli/serve.ts") },
  early: {
    about: "serve before the real init, started by it",
    load: () => import("./cli/early.ts"),
  },
  check: { about: "tell every problem of a config", load: () => import("./cli/check.ts") },
  run: { about: "run one verb of a config, without a server", load: () => import("./cli/run.ts") },
  explain: {
    about: "tell in words what a sandbox does and leaves open",
    load: () => import("./cli/explain.ts"),
  },
  doctor: {
    about: "tell what this kernel and user can do, and what a config will not get",
    load: () => import("./cli/doctor.ts"),
  },
  compile: {
    about: "compile configs into a plan file, for this or the other architecture",
    load: () => import("./cli/compile-file.ts"),
  },
  call: { about: "call a verb of a running server", load: () => import("./cli/call.ts") },
  install: {
    about: "install this executable and its service on a board",
    load: () => import("./cli/install.ts"),
  },
  token: { about: "make a token for callers", load: () => import("./cli/token.ts") },
  schema: { about: "print the JSON Schema of configs", load: () => import("./cli/schema.ts") },
};

const help = `usage: spawnbox SUBCOMMAND [OPTIONS]

Exposes the commands of a config as REST and WebSocket verbs, and runs each in a sandbox.

${Object.entries(SUBCOMMANDS)
  .map(([name, { about }]) => `  ${name.padEnd(8)} ${about}`)
  .join("\n")}

  --help, --version
  spawnbox SUBCOMMAND --help tells its options.`;

async function main([name, ...rest]: string[]): Promise<number> {
  if (name === undefined) {
    console.error(help);
    return 2;
  }
  if (name === "--help" || name === "-h" || name === "help") {
    console.log(help);
    return 0;
  }
  if (name === "--version" || name === "-V" || name === "version") {
    console.log(`spawnbox ${version}`);
    return 0;
  }
  const subcommand = Object.hasOwn(SUBCOMMANDS, name) ? SUBCOMMANDS[name] : undefined;
  if (!subcommand) {
    const hint = suggestion(name, Object.keys(SUBCOMMANDS));
    console.error(`spawnbox: unknown subcommand ${JSON.stringify(name)}${hint}\n\n${help}`);
    return 2;
  }
  if (rest.includes("--version")) {
    console.log(`spawnbox ${version}`);
    return 0;
  }
  const { run } = await subcommand.load();
  return run(rest);
}

keepConsole();
const [, , subcommand = ""] = process.argv;
// An unknown name is the user's text, and told by main().
const end = endOnUnexpected(
  Object.hasOwn(SUBCOMMANDS, subcommand) ? `spawnbox ${subcommand}` : "spawnbox",
);
await main(process.argv.slice(2)).then((code) => process.exit(code), end);

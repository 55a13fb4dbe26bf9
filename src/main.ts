/** Entry: picks a subcommand from argv. */
import { suggestion } from "./config/nearest.ts";
import { printText } from "./command-line/print.ts";
import { compileReadily, forgetAdded } from "./jit.ts";
import { keepConsole } from "./printed.ts";
import { SUBCOMMANDS } from "./subcommands.ts";
import { endOnUnexpected } from "./unexpected.ts";
import { version } from "./version.ts";

/** ms; what a subcommand compiles that has ended by then costs more than it saves: a third of its processor time. */
const SHORT = 1000;

const help = `usage: spawnbox SUBCOMMAND [OPTIONS]

Exposes the commands of a config as REST and WebSocket verbs, and runs each in a sandbox.

${Object.entries(SUBCOMMANDS)
  .map(([name, { about }]) => `  ${name.padEnd(10)} ${about}`)
  .join("\n")}

  --help, --version
  spawnbox SUBCOMMAND --help tells its options, spawnbox help SUBJECT is a guide.`;

async function main([name, ...rest]: string[]): Promise<number> {
  if (name === undefined) {
    console.error(help);
    return 2;
  }
  if (name === "--help" || name === "-h") {
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
  // The servers say when they are.
  if (!SERVERS.includes(name)) setTimeout(compileReadily, SHORT).unref();
  return run(rest, SUBCOMMANDS);
}

const [, , subcommand = ""] = process.argv;
if (subcommand === "serve") forgetAdded();
/** What these print is told beside their work, which a full disk does not end. Of all others it is the result. */
const SERVERS: readonly string[] = ["serve", "early"];
let unwritten: unknown;
function print(text: string): void {
  try {
    printText(`${text}\n`);
  } catch (error) {
    // What is under way comes to its end.
    unwritten ??= error;
  }
}
keepConsole(SERVERS.includes(subcommand) ? undefined : print);
// An unknown name is the user's text, and told by main().
const end = endOnUnexpected(
  Object.hasOwn(SUBCOMMANDS, subcommand) ? `spawnbox ${subcommand}` : "spawnbox",
);
await main(process.argv.slice(2)).then(
  (code) => (unwritten === undefined ? process.exit(code) : end(unwritten)),
  end,
);

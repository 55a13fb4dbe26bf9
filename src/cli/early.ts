/** `spawnbox early`: the server that the init of early boot starts before the real one. See ffi/launcher/init.c. */
import { closeSync, mkdirSync, writeFileSync, writeSync } from "node:fs";
import { parseServe, type ServeOptions } from "./serve-options.ts";
import { serve } from "./serve.ts";

const CONFIG = "/etc/spawnbox/early.json";
/** Where the service that comes later finds this server. */
const ANNOUNCEMENT = "/run/spawnbox/early.json";

export const help = `usage: spawnbox early [--ready-fd N] [OPTIONS OF serve]

Serves ${CONFIG}, or what --config names, before the real init runs: its onload actions first, in order, then its
verbs. Started by /usr/lib/spawnbox/init; announces itself in ${ANNOUNCEMENT}.

  --ready-fd N  writes one byte there when the onload actions are done and calls are answered
  -h, --help    this text

All options of spawnbox serve are understood.`;

export async function run(argv: string[]): Promise<number> {
  let options: ServeOptions | undefined;
  let readyFd: number | undefined;
  try {
    const own = takeReadyFd(argv);
    readyFd = own.fd;
    const configured = own.rest.some((arg) => /^--(config|plan)(=|$)/.test(arg));
    options = parseServe(configured ? own.rest : [...own.rest, "--config", CONFIG]);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    console.error(`spawnbox early: ${error.message}\n\n${help}`);
    return 2;
  }
  if (!options) {
    console.log(help);
    return 0;
  }
  return serve(options, (urls) => {
    announce(urls);
    if (readyFd === undefined) return;
    writeSync(readyFd, "1");
    closeSync(readyFd);
  });
}

/** A read-only or missing /run is told, and no reason to stop. */
function announce(urls: readonly string[]): void {
  try {
    mkdirSync("/run/spawnbox", { recursive: true, mode: 0o755 });
    writeFileSync(ANNOUNCEMENT, JSON.stringify({ pid: process.pid, urls }), { mode: 0o644 });
  } catch (error) {
    console.error(
      `spawnbox early: ${ANNOUNCEMENT}: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

function takeReadyFd(argv: readonly string[]): { fd: number | undefined; rest: string[] } {
  const at = argv.indexOf("--ready-fd");
  if (at < 0) return { fd: undefined, rest: [...argv] };
  const text = argv[at + 1] ?? "";
  if (!/^\d{1,4}$/.test(text))
    throw new TypeError(`--ready-fd ${text}: expected the number of an open file descriptor`);
  return { fd: Number(text), rest: argv.toSpliced(at, 2) };
}

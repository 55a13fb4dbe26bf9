/** `spawnbox early`: the server that the init of early boot starts before the real one. See ffi/launcher/init.c. */
import { closeSync, fstatSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { Handover } from "../boot/handover.ts";
import { ANNOUNCEMENT, CONTROL, EARLY_CONFIGS, earlyConfigs } from "../boot/places.ts";
import type { Manual } from "../manual/manual.ts";
import { readOptions } from "../manual/options.ts";
import { optionsOf, SERVE, type ServeOptions } from "../serve/options.ts";
import { serve } from "./serve.ts";
import { withOptions } from "../command-line/usage.ts";

const OPTIONS = {
  "ready-fd": {
    argument: "N",
    text: "writes one byte there when the onload actions are done and calls are answered",
  },
} as const;

export const manual: Manual = {
  name: "spawnbox early",
  synopsis: ["[--ready-fd N] [OPTIONS OF serve]"],
  about: `Serves ${EARLY_CONFIGS}, or what --config names, before the real init
runs: the onload actions first, in order, then the verbs. Started by /usr/lib/spawnbox/init; announces itself in
${ANNOUNCEMENT}, and becomes the service that spawnbox serve --early is started as.`,
  options: OPTIONS,
  notes: "All options of spawnbox serve are understood.",
  exit: "that of spawnbox serve.",
};

function defaults(): string {
  const paths = earlyConfigs();
  if (paths.length === 0) throw new TypeError(`no config: there is none of ${EARLY_CONFIGS}`);
  return paths.join(":");
}

export function run(argv: string[]): Promise<number> {
  return withOptions(manual, parse, argv, serveEarly);
}

interface Options {
  readonly served: ServeOptions;
  readonly readyFd: number | undefined;
}

function parse(argv: string[]): Options | undefined {
  const values = readOptions({ ...OPTIONS, ...SERVE }, argv);
  if (!values) return undefined;
  const configured = values.config !== undefined || values.plan !== undefined;
  const served = optionsOf(configured ? values : { ...values, config: defaults() });
  return { served, readyFd: parseFd(values["ready-fd"]) };
}

async function serveEarly({ served, readyFd }: Options): Promise<number> {
  const handover = new Handover();
  // From now on, so that a service which is started meanwhile waits for the tasks instead of taking the port.
  const joinable = await attempt(CONTROL, () => handover.listen());
  const code = await serve(served, {
    handover,
    onReady: (urls) => {
      // Another early server that is there has announced itself.
      if (joinable) void attempt(ANNOUNCEMENT, () => announce(urls));
      if (readyFd !== undefined) tellReady(readyFd);
    },
  });
  if (joinable) rmSync(ANNOUNCEMENT, { force: true });
  return code;
}

/** Who waited may have gone on with the boot: after its deadline the early server serves all the same. */
function tellReady(fd: number): void {
  try {
    writeSync(fd, "1");
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPIPE")) throw error;
    console.error("spawnbox early: ready after the deadline");
  } finally {
    closeSync(fd);
  }
}

/** Whether that was possible. A read-only or missing /run is told, and no reason to stop. */
async function attempt(place: string, action: () => void | Promise<void>): Promise<boolean> {
  try {
    await action();
    return true;
  } catch (error) {
    console.error(
      `spawnbox early: ${place}: ${error instanceof Error ? error.message : String(error)}`,
    );
    return false;
  }
}

function announce(urls: readonly string[]): void {
  // Beside the control socket, so its directory is there.
  writeFileSync(ANNOUNCEMENT, JSON.stringify({ pid: process.pid, urls }), { mode: 0o644 });
}

function isOpen(fd: number): boolean {
  try {
    fstatSync(fd);
    return true;
  } catch {
    return false;
  }
}

function parseFd(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,4}$/.test(text) && isOpen(Number(text))) return Number(text);
  throw new TypeError(`--ready-fd ${text}: expected the number of an open file descriptor`);
}

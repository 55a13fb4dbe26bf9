/** `spawnbox serve` inside the machine, started by systemd or without it. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AfbClient, connect } from "../../../src/client.ts";
import { say } from "./check.ts";

export type Starter = "unit" | "root group";

/** Puts a process into the root of the hierarchy, as if there were no systemd. */
export const IN_ROOT_GROUP = [
  "/bin/sh",
  "-c",
  'echo 0 > /sys/fs/cgroup/cgroup.procs && exec "$@"',
  "sh",
];

let units = 0;

/** systemd-run that waits, with our own output. */
export function unit(...properties: string[]): string[] {
  return [
    ...["systemd-run", "--quiet", "--wait", "--pipe", "--collect", `--unit=try-${++units}`],
    ...properties.flatMap((property) => ["-p", property]),
  ];
}

export interface Server {
  readonly pid: number;
  call(verb: string, args?: unknown): ReturnType<AfbClient["call"]>;
  /** Runs a verb of a synchronous encoder to its end. */
  run(verb: string, args?: unknown): Promise<Ran>;
  crash(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Ran {
  pid: number;
  status: { exit?: number; signal?: string; cause?: string };
  stdout?: string[];
  stderr?: string[];
}

/** @param argv more of the command line */
export async function serve(
  config: unknown,
  starter: Starter,
  argv: readonly string[] = [],
): Promise<Server> {
  const dir = mkdtempSync("/run/try-");
  const file = join(dir, "config.json");
  writeFileSync(file, JSON.stringify(config));
  const how = starter === "unit" ? unit("Delegate=yes") : IN_ROOT_GROUP;
  const began = performance.now();
  const serving = ["serve", "--config", file, "--port", "0", ...argv];
  const command = [...how, "/usr/bin/spawnbox", ...serving];
  const child = Bun.spawn(command, { stdio: ["ignore", "pipe", "pipe"] });
  const errors = child.stderr.text();
  const url = await place(child.stdout);
  if (url === undefined)
    throw new Error(`spawnbox serve did not start: ${(await errors).slice(-600)}`);
  say({
    kind: "time",
    name: `spawnbox exec to serving (${starter})`,
    seconds: (performance.now() - began) / 1000,
  });
  const pid = pidOf(file);
  const client = await connect(`${url.replace("http", "ws")}/api`);
  const call = (verb: string, args: unknown = null) => client.call(verb, args);
  return {
    pid,
    call,
    async run(verb, args) {
      const reply = await call(verb, args);
      if (reply.request.status !== "success") throw new Error(JSON.stringify(reply.request));
      return reply.response as Ran;
    },
    async crash() {
      process.kill(pid, "SIGKILL");
      await child.exited;
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      if (child.exitCode === null && child.signalCode === null) process.kill(pid, "SIGTERM");
      await child.exited;
      rmSync(dir, { recursive: true });
    },
  };
}

/** Under systemd-run the server is no child of ours: it is the process with that config. */
function pidOf(file: string): number {
  const { stdout } = Bun.spawnSync(["pgrep", "-f", `^/usr/bin/spawnbox serve --config ${file}`]);
  return Number(stdout.toString().trim());
}

/** Where a server says that it serves; undefined when it ends. What it prints goes on being read. */
export async function place(output: ReadableStream<Uint8Array>): Promise<string | undefined> {
  const found = Promise.withResolvers<string | undefined>();
  void (async () => {
    let text = "";
    for await (const chunk of output) {
      text += new TextDecoder().decode(chunk);
      const url = /serves on (\S+)/.exec(text)?.[1];
      if (url !== undefined) found.resolve(url);
    }
    found.resolve(undefined);
  })();
  return found.promise;
}

/** The built executable, really serving a config on a port of its own, as root or as an ordinary user. */
import type { Subprocess } from "bun";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  linkSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createConnection } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Reply } from "../src/api/reply.ts";
import { type AfbClient, connect, type TlsOptions } from "../src/client.ts";
import { asOrdinary, isRoot } from "./accounts.ts";

export { isRoot };

/** Who the server runs as: both where the tests run as root, else the user they run as. */
export const users: readonly [User, ...User[]] = isRoot
  ? ["root", "ordinary user"]
  : ["ordinary user"];
export type User = "root" | "ordinary user";

export interface Served {
  readonly url: string;
  /** The executable, where any user may run it. */
  readonly program: string;
  readonly pid: number;
  readonly client: AfbClient;
  /** Calls a verb over the WebSocket. */
  call(method: string, args?: unknown): Promise<Reply>;
  /** Starts a verb of a synchronous encoder; the reply must be a success. */
  run(method: string, args?: unknown): Promise<Ran>;
  /** Kills the server with SIGKILL and waits for its end. */
  crash(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

export interface Ran {
  pid: number;
  status: { exit?: number; signal?: string; info?: string };
  stdout?: string[];
  stderr?: string[];
}

const executable = join(import.meta.dir, "../dist/spawnbox");

/**
 * Puts the built executable alone into a directory, as it is deployed, where any user may run it. It is large: by another name of
 * the same file where that is possible.
 */
export function programIn(dir: string): string {
  if (!existsSync(executable)) throw new Error("build first: npm run build");
  const built = realpathSync(executable);
  const program = join(dir, "spawnbox");
  if ((statSync(built).mode & 0o5) === 0o5 && isLinked(built, program)) return program;
  copyFileSync(built, program);
  chmodSync(program, 0o755);
  return program;
}

/** Not on another file system, nor where the file is somebody else's (fs.protected_hardlinks). */
function isLinked(file: string, name: string): boolean {
  try {
    linkSync(file, name);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EXDEV" || code === "EPERM") return false;
    throw error;
  }
}

export interface ServeOptions {
  /** The user of the tests by default. */
  readonly user?: User;
  /** A command that executes the server, such as `unshare --user`. */
  readonly through?: readonly string[];
  /** A command that executes all of that, before root becomes the user. */
  readonly first?: readonly string[];
  /** More of the command line. */
  readonly argv?: readonly string[];
  /** How the client connects to a server with TLS. */
  readonly tls?: TlsOptions;
}

/** Serves `config` (an object, written to a file that only exists meanwhile). */
export async function serve(
  config: unknown,
  { user = users[0], through = [], first = [], argv = [], tls }: ServeOptions = {},
): Promise<Served> {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-served-"));
  chmodSync(dir, 0o755);
  const file = join(dir, "config.json");
  writeFileSync(file, JSON.stringify(config));
  const program = programIn(dir);
  const drop = user === "ordinary user" ? asOrdinary : [];
  const server = Bun.spawn(
    [...first, ...drop, ...through, program, "serve", "--config", file, "--port", "0", ...argv],
    {
      cwd: dir,
      env: { PATH: process.env["PATH"] ?? "/usr/bin:/bin", HOME: dir, SECRET_OF_SERVER: "x" },
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  const url = await firstMatch(server.stdout, /serves on (\S+)/);
  if (url === undefined) {
    const said = await server.stderr.text();
    rmSync(dir, { recursive: true });
    throw new Error(`the server did not start: ${said}`);
  }
  void tellWhyItEnded(server);
  const client = await connect(`${url.replace("http", "ws")}/api`, { ...(tls && { tls }) }).catch(
    async (error: unknown) => {
      // Nobody else would end it.
      server.kill("SIGKILL");
      await server.exited;
      rmSync(dir, { recursive: true });
      throw error;
    },
  );
  const call = (method: string, args: unknown = null) => client.call(method, args);
  return {
    url,
    program,
    pid: server.pid,
    client,
    call,
    async run(method, args) {
      const reply = await call(method, args);
      if (reply.request.status !== "success") throw new Error(JSON.stringify(reply.request));
      return reply.response as Ran;
    },
    async crash() {
      server.kill("SIGKILL");
      await server.exited;
    },
    async [Symbol.asyncDispose]() {
      await client.close();
      server.kill("SIGTERM");
      await server.exited;
      rmSync(dir, { recursive: true });
    },
  };
}

/** Prints the last words of a server that nobody has told to end: else the tests only see that nobody answers. */
async function tellWhyItEnded(server: Subprocess<"ignore", "pipe", "pipe">): Promise<void> {
  const said = await server.stderr.text();
  await server.exited;
  if (server.signalCode === "SIGKILL" || server.exitCode === 0) return;
  console.error(
    `the server ended (${server.signalCode ?? server.exitCode}):\n${said.slice(-4000)}`,
  );
}

/** Reads until the pattern appears; undefined when the stream ends first. The stream goes on being read. */
async function firstMatch(
  stream: ReadableStream<Uint8Array>,
  pattern: RegExp,
): Promise<string | undefined> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return undefined;
    text += decoder.decode(value, { stream: true });
    const found = pattern.exec(text)?.[1];
    if (found === undefined) continue;
    void (async () => {
      while (!(await reader.read()).done);
    })();
    return found;
  }
}

/** Hang guards are longer by this factor in an emulated machine. */
export const PATIENCE = Number(process.env["SPAWNBOX_TEST_PATIENCE"] ?? 1);
/** ms of the hang guard. */
const LIMIT = 20_000 * PATIENCE;

/** Waits until `probe` is true; the limit is a hang guard, not an expectation. */
export async function until(
  what: string,
  probe: () => boolean | Promise<boolean>,
  limit = LIMIT,
): Promise<void> {
  const end = Date.now() + limit;
  while (!(await probe())) {
    if (Date.now() > end) throw new Error(`never: ${what}`);
    await Bun.sleep(10);
  }
}

/** Whether somebody listens on a unix socket, which is there a moment before. */
export function accepts(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ path }, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", () => resolve(false));
  });
}

/** Whether a process exists and is more than a zombie. */
export async function isAlive(pid: number): Promise<boolean> {
  const stat = Bun.file(`/proc/${pid}/stat`);
  const text = await stat.text().catch(() => "");
  return text !== "" && !/\) [ZX] /.test(text);
}

/** The mounts of a minimal system: /usr read-only and what belongs to it. */
export const system = [
  { target: "/usr", mode: "ro" },
  { target: "/bin", source: "usr/bin", mode: "symlink" },
  { target: "/lib", source: "usr/lib", mode: "symlink" },
  { target: "/lib64", source: "usr/lib64", mode: "symlink" },
  { target: "/proc", mode: "proc" },
  { target: "/dev", mode: "dev" },
  { target: "/tmp", mode: "tmpfs", size: "8M" },
] as const;

/** A command that runs a script handed in by the test. */
export const shell = {
  uid: "sh",
  encoder: "sync",
  exec: { cmdpath: "/bin/sh", args: ["-c", "%script%"] },
} as const;

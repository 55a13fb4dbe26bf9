/**
 * How the server of early boot becomes the service of the real init, without a gap: the process that the unit starts asks it,
 * over a unix socket of root's, to serve the unit's configs too and to move into the unit's group, output and sockets. The
 * process that asked then tells the service manager which process the service is, and ends.
 *
 * One line of JSON each way. The answer comes when the early tasks are done.
 */
import { mkdirSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import type { Problem } from "../config/problem.ts";
import { listenUnix } from "../server/unix.ts";
import { CONTROL } from "./places.ts";

/** What the unit's process asks. */
export interface Joining {
  readonly version: string;
  /** The process that asks: its group, output and sockets become the server's. */
  readonly pid: number;
  /** The command line of `serve`. */
  readonly argv: readonly string[];
  readonly cwd: string;
  /** The unit's environment, with the service manager's variables. */
  readonly env: Readonly<Record<string, string>>;
}

export type Joined =
  | { readonly pid: number; readonly status: string }
  /** It serves on as before. */
  | { readonly problems: readonly Problem[] }
  /** It cannot become this service at all, and is to be replaced. */
  | { readonly pid: number; readonly unfit: string };

/** Longest line, characters: most of it is the environment. */
const MOST = 1024 * 1024;
/** The early tasks have no limit but their own time-outs; a service manager usually waits 90 s. */
const PATIENCE = 80_000;

const problem = (message: string): Joined => ({ problems: [{ file: "", path: "", message }] });

/** The early server's side. Requests wait until `answer` is called for the first time. */
export class Handover {
  readonly #answer = Promise.withResolvers<(joining: Joining) => Promise<Joined>>();
  readonly #server: Server;
  /** One after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor() {
    this.#server = createServer((socket) => void this.#serve(socket));
  }

  async listen(path = CONTROL): Promise<void> {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    await listenUnix(this.#server, path, 0o600);
    // Not what a server lives for.
    this.#server.unref();
  }

  answer(how: (joining: Joining) => Promise<Joined>): void {
    this.#answer.resolve(how);
  }

  close(): void {
    this.#server.close();
  }

  async #serve(socket: Socket): Promise<void> {
    socket.on("error", () => socket.destroy());
    const line = await readLine(socket);
    if (line === undefined) {
      socket.destroy();
      return;
    }
    const turn = this.#last.then(async () => {
      const answer = await this.#answer.promise;
      // Who has stopped waiting meanwhile may have ended: nothing is taken from what has its pid now.
      if (socket.destroyed) return undefined;
      try {
        return await answer(JSON.parse(line) as Joining);
      } catch (error) {
        return problem(error instanceof Error ? error.message : String(error));
      }
    });
    this.#last = turn;
    const joined = await turn;
    if (joined) socket.end(`${JSON.stringify(joined)}\n`);
  }
}

/**
 * The unit's side. Undefined when no early server is there, or it ends before it answers.
 * @throws Error when it does not answer in time
 */
export async function join(joining: Joining, path = CONTROL): Promise<Joined | undefined> {
  const socket = connect({ path });
  socket.on("error", () => socket.destroy());
  socket.write(`${JSON.stringify(joining)}\n`);
  const timer = setTimeout(() => socket.destroy(), PATIENCE);
  const begin = performance.now();
  const line = await readLine(socket);
  clearTimeout(timer);
  socket.destroy();
  if (line !== undefined) return JSON.parse(line) as Joined;
  if (performance.now() - begin < PATIENCE) return undefined;
  throw new Error(
    `spawnbox early is there and does not answer: its onload actions take longer than ${PATIENCE / 1000} s`,
  );
}

/** Undefined when the other side closes before the end of a line, or it is too long. */
function readLine(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      text += String(chunk);
      const end = text.indexOf("\n");
      if (end >= 0) resolve(text.slice(0, end));
      else if (text.length > MOST) socket.destroy();
    });
    socket.on("close", () => resolve(undefined));
  });
}

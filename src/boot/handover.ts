/**
 * How the server of early boot becomes the service of the real init, without a gap: the process that the unit starts asks it,
 * over a unix socket of root's, to serve the unit's configs too and to move into the unit's group, output and sockets. The
 * process that asked then tells the service manager which process the service is, and ends.
 *
 * One line of JSON each way. The answer comes when the early tasks are done. Which process is at the other end is for the kernel
 * to say, not for the line.
 */
import { closeSync, mkdirSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { dirname } from "node:path";
import { type Static, type TSchema, Type } from "@sinclair/typebox";
import { Check } from "@sinclair/typebox/value";
import { hasEnded, type Process } from "../../ffi/processes.ts";
import { descriptorOf, openPeer } from "../../ffi/sockets.ts";
import { isOwnCommand } from "../server/peer.ts";
import { closeUnix, listenUnix } from "../server/unix.ts";
import { version } from "../version.ts";
import { CONTROL } from "./places.ts";

/** In the line of every version, as `unfit` is in the answer: who cannot read the rest is told so by it. */
const Versioned = Type.Object({ version: Type.String() });

/** What the unit's process asks. */
const Joining = Type.Object({
  /** The command line of `serve`. */
  argv: Type.Array(Type.String()),
  cwd: Type.String(),
  /** The unit's environment, with the service manager's variables. */
  env: Type.Record(Type.String(), Type.String()),
});
export type Joining = Static<typeof Joining>;

const Problems = Type.Array(
  Type.Object({ file: Type.String(), path: Type.String(), message: Type.String() }),
);
const Answer = Type.Union([
  /** It is the service now: one line for the service manager. */
  Type.Object({ status: Type.String() }),
  /** It serves on as before. */
  Type.Object({ problems: Problems }),
  /** It cannot become this service at all, and is to be replaced. */
  Type.Object({ unfit: Type.String() }),
]);
export type Answer = Static<typeof Answer>;

/** Longest line, characters: most of it is the environment. */
const MOST = 1024 * 1024;
/** How long it is waited, ms: the early tasks have no limit but their own time-outs; a service manager usually waits 90 s. */
const PATIENCE = 80_000;

const problem = (message: string): Answer => ({ problems: [{ file: "", path: "", message }] });

/** The group, output and sockets of the process that asks are to become the server's. Rejects with an Error that says what to do. */
export type Answerer = (joining: Joining, joiner: Process) => Promise<Answer>;

/** The early server's side. Requests wait until `answer` is called for the first time. */
export class Handover {
  readonly #answer = Promise.withResolvers<Answerer>();
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

  answer(how: Answerer): void {
    this.#answer.resolve(how);
  }

  close(): void {
    closeUnix(this.#server, () => this.#server.close());
  }

  async #serve(socket: Socket): Promise<void> {
    socket.on("error", () => socket.destroy());
    const joiner = peerOf(socket);
    if (!joiner) return void socket.destroy();
    // A command may be root as well, in a sandbox that takes most of root's power; this would give it all. Who has ended may have been one.
    if (isOwnCommand(joiner.pid) || hasEnded(joiner.pidfd)) socket.destroy();
    else await this.#reply(socket, joiner);
    closeSync(joiner.pidfd);
  }

  async #reply(socket: Socket, joiner: Process): Promise<void> {
    const line = await readLine(socket);
    // It is closed by then.
    if (line === undefined) return;
    const turn = this.#last.then(async () => {
      const answer = await this.#answer.promise;
      // Who has stopped waiting meanwhile is not joined.
      if (socket.destroyed) return undefined;
      try {
        const { version: theirs } = parse(Versioned, line);
        if (theirs !== version)
          return { unfit: `it is spawnbox ${version}, and this is ${theirs}` };
        return await answer(parse(Joining, line), joiner);
      } catch (error) {
        return problem(error instanceof Error ? error.message : String(error));
      }
    });
    this.#last = turn;
    const answer = await turn;
    // A server that is ending is no service: who asked serves by itself then.
    if (!this.#server.listening) socket.destroy();
    else if (answer) socket.end(`${JSON.stringify(answer)}\n`);
  }
}

export interface Joined {
  readonly answer: Answer;
  /** The early server. */
  readonly server: Process;
}

/**
 * The unit's side. Undefined when no early server is there, or it ends before it answers.
 * @throws Error when it does not answer in time, or what listens there answers something else
 */
export async function join(joining: Joining, path = CONTROL): Promise<Joined | undefined> {
  const socket = connect({ path });
  const server = await new Promise<Process | undefined>((resolve) => {
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve(undefined));
    socket.on("connect", () => resolve(peerOf(socket)));
  });
  if (!server) {
    socket.destroy();
    return undefined;
  }
  socket.write(`${JSON.stringify({ version, ...joining })}\n`);
  const timer = setTimeout(() => socket.destroy(), PATIENCE);
  const begin = performance.now();
  const line = await readLine(socket);
  clearTimeout(timer);
  socket.destroy();
  const who = `what listens on ${path}, process ${server.pid},`;
  if (line !== undefined) {
    try {
      return { answer: parse(Answer, line), server };
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      throw new Error(`${who} does not answer as spawnbox early does: ${why}`, { cause: error });
    }
  }
  if (performance.now() - begin < PATIENCE) return undefined;
  throw new Error(
    `${who} does not answer: the onload actions of spawnbox early take longer than ${PATIENCE / 1000} s`,
  );
}

function peerOf(socket: Socket): Process | undefined {
  const fd = descriptorOf(socket);
  return fd === undefined ? undefined : openPeer(fd);
}

function parse<T extends TSchema>(schema: T, line: string): Static<T> {
  const value: unknown = JSON.parse(line);
  if (Check(schema, value)) return value;
  throw new TypeError(`the line has another form: ${line.slice(0, 80)}`);
}

/** Undefined when the other side closes before the end of a line, or it is too long. */
function readLine(socket: Socket): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = "";
    socket.setEncoding("utf8");
    socket.on("data", (chunk) => {
      text += String(chunk);
      const end = text.indexOf("\n");
      if (end >= 0) {
        resolve(text.slice(0, end));
        text = text.slice(end + 1);
      } else if (text.length > MOST) socket.destroy();
    });
    socket.on("close", () => resolve(undefined));
  });
}

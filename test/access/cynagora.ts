/** A permission service as Cynagora is on its socket: a table, and all that such a service may do badly. */
import { createServer, type Server, type Socket } from "node:net";

export interface Asked {
  readonly id: string;
  readonly client: string;
  readonly session: string;
  readonly user: string;
  readonly permission: string;
}

/** Behind the id: `yes`, `no`, `yes 10s`; undefined: never. */
export type Decide = (asked: Asked) => string | undefined | Promise<string | undefined>;

const MOST = 2000;

/** By the description of the format, not by the code that is tried. */
function fieldsOf(line: string): string[] {
  const fields = [""];
  for (let at = 0; at < line.length; at++) {
    const [here, next = ""] = [line[at] ?? "", line[at + 1] ?? ""];
    if (here === " ") fields.push("");
    else if (here === "\\" && /[ \n\\]/.test(next)) fields[fields.length - 1] += line[++at] ?? "";
    else fields[fields.length - 1] += here;
  }
  return fields;
}

export class Cynagora {
  /** All that was asked, each as it came. */
  readonly lines: string[] = [];
  readonly asked: Asked[] = [];
  readonly sockets = new Set<Socket>();
  connections = 0;
  changes = 1;
  decide: Decide;
  /** What is said to a hello; undefined: nothing. */
  hello: string | undefined = "done 1 1\n";
  /** Puts what it says onto the socket. */
  put: (socket: Socket, text: string) => void = (socket, text) => void socket.write(text);
  #server: Server | undefined;

  constructor(decide: Decide = () => "no") {
    this.decide = decide;
  }

  /** @param where a path, `\0name`, or a port */
  async listen(where: string | number): Promise<this> {
    const server = createServer({ noDelay: true }, (socket) => this.#serve(socket));
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once("error", reject);
      if (typeof where === "number") server.listen(where, "127.0.0.1", resolve);
      else server.listen({ path: where }, resolve);
    });
    return this;
  }

  get port(): number {
    const address = this.#server?.address();
    if (typeof address !== "object" || address === null) throw new Error("it has no port");
    return address.port;
  }

  /** Rules have changed. */
  clear(): void {
    this.changes++;
    this.say(`clear ${this.changes}\n`);
  }

  say(text: string): void {
    for (const socket of this.sockets) this.put(socket, text);
  }

  hangUp(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.hangUp();
    const server = this.#server;
    this.#server = undefined;
    if (server) await new Promise((resolve) => server.close(resolve));
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #serve(socket: Socket): void {
    this.connections++;
    this.sockets.add(socket);
    socket.on("error", () => socket.destroy());
    socket.on("close", () => this.sockets.delete(socket));
    let text = "";
    let greeted = false;
    const invalid = () => socket.end("error invalid\n");
    socket.on("data", (chunk: Buffer) => {
      text += chunk.toString();
      for (;;) {
        const [, line] = /^((?:[^\\\n]|\\[\s\S])*)\n/.exec(text) ?? [];
        if (line === undefined) break;
        text = text.slice(line.length + 1);
        if (Buffer.byteLength(line) + 1 > MOST) return void socket.destroy();
        this.lines.push(line);
        const [word, id = "", client = "", session = "", user = "", ...more] = fieldsOf(line);
        if (word === "cynagora" && id === "1" && !greeted) {
          greeted = true;
          if (this.hello !== undefined) this.put(socket, this.hello);
        } else if (word === "check" && more.length === 1) {
          const asked = { id, client, session, user, permission: more[0] ?? "" };
          this.asked.push(asked);
          void this.#answer(socket, asked);
        } else return void invalid();
      }
    });
  }

  async #answer(socket: Socket, asked: Asked): Promise<void> {
    const decided = this.decide(asked);
    const answer = decided instanceof Promise ? await decided : decided;
    if (answer === undefined) return;
    const [word, ...expiry] = answer.split(" ");
    this.put(socket, `${[word, asked.id, ...expiry].join(" ")}\n`);
  }
}

/** A server with a small registry, and raw WebSocket clients to torment it with. */
import { connect, type Socket } from "node:net";
import type { Client, Request } from "../../src/api/client.ts";
import type { Registry } from "../../src/api/registry.ts";
import { failure, success, type Reply } from "../../src/api/reply.ts";
import type { ApiDescription } from "../../src/api/verb.ts";
import { AfbError } from "../../src/errors.ts";
import type { Endpoint } from "../../src/server/endpoint.ts";
import { startServer, type RunningServer, type ServerOptions } from "../../src/server/server.ts";

/** `t/echo` returns its args, `t/who` the request, `t/slow` waits for `release()`, `t/fail` fails, `t/task` has events. */
export class TestRegistry implements Registry {
  pings = 0;
  slow = 0;
  gone = 0;
  #waiting: (() => void)[] = [];
  /** Called by `t/events` with the client that called. */
  onEvents: (client: Client) => void = () => undefined;

  async call({ api, verb, args, client, session, caller, wait }: Request): Promise<Reply> {
    if (api.toLowerCase() !== "t") return failure(new AfbError("unknown-api", `no API "${api}"`));
    switch (verb.toLowerCase()) {
      case "ping":
        return success(`pong=${++this.pings}`);
      case "echo":
        return success(args);
      case "who":
        return success({ api, verb, session, caller, wait, client: client !== undefined });
      case "slow":
        this.slow++;
        client?.onClose(() => this.gone++);
        await new Promise<void>((resolve) => this.#waiting.push(resolve));
        return success("slow");
      case "fail":
        return failure(new AfbError("invalid-request", "invalid pid"));
      case "cycle": {
        const cycle: Record<string, unknown> = {};
        cycle.self = cycle;
        return success(cycle);
      }
      case "events":
        if (client) this.onEvents(client);
        return success();
      case "deep/er":
        return success(verb);
      default:
        return failure(new AfbError("unknown-verb", `no verb "${verb}"`));
    }
  }

  release(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  list() {
    return [{ api: "t", verbs: ["ping", "echo"] }];
  }

  describe(): ApiDescription[] {
    return this.list().map(({ api, verbs }) => ({
      api,
      verbs: verbs.map((name) => ({ name, parameters: [], privileges: [] })),
    }));
  }

  async start(): Promise<void> {}

  replace(): void {}

  recheck(): void {}

  async endGone(): Promise<void> {}

  async close(): Promise<void> {
    this.release();
  }
}

export interface TestServer extends RunningServer {
  registry: TestRegistry;
  [Symbol.asyncDispose](): Promise<void>;
}

/** A free port of this machine. */
export const LOCAL = { kind: "tcp", host: "127.0.0.1", port: 0 } as const satisfies Endpoint;

export async function serve(options: Partial<ServerOptions> = {}): Promise<TestServer> {
  const registry = new TestRegistry();
  const base = { registry, endpoints: [LOCAL], version: "0.0.0" };
  const server = await startServer({ ...base, ...options });
  return {
    ...server,
    registry,
    async [Symbol.asyncDispose]() {
      await registry.close();
      await server.close();
    },
  };
}

export const UPGRADE = {
  Host: "127.0.0.1",
  Upgrade: "websocket",
  Connection: "Upgrade",
  "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
  "Sec-WebSocket-Version": "13",
  "Sec-WebSocket-Protocol": "x-afb-ws-json1",
  "Content-Length": "0",
} as const;

/** The text of an upgrade request; a header set to undefined is left out. */
export function upgradeText(
  headers: Record<string, string | undefined> = {},
  target = "/api",
  method = "GET",
): string {
  const lines = Object.entries({ ...UPGRADE, ...headers }).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}: ${value}`],
  );
  return `${method} ${target} HTTP/1.1\r\n${lines.join("\r\n")}\r\n\r\n`;
}

/** A frame as a client sends it. */
export function frame(
  payload: string | Uint8Array,
  { opcode = 1, fin = true, mask = false, rsv = 0, length = -1 } = {},
): Buffer {
  const data = Buffer.from(payload);
  const size = length < 0 ? data.length : length;
  const first = (fin ? 0x80 : 0) | rsv | opcode;
  const bit = mask ? 0x80 : 0;
  let header: Buffer;
  if (size < 126) header = Buffer.from([first, bit | size]);
  else if (size < 65536) header = Buffer.from([first, bit | 126, size >> 8, size & 255]);
  else {
    header = Buffer.alloc(10);
    header.set([first, bit | 127]);
    header.writeBigUInt64BE(BigInt(size), 2);
  }
  if (!mask) return Buffer.concat([header, data]);
  const key = Buffer.from([0x12, 0x34, 0x56, 0x78]);
  return Buffer.concat([header, key, data.map((byte, i) => byte ^ (key[i & 3] ?? 0))]);
}

export interface Received {
  opcode: number;
  text: string;
  /** Of a close frame. */
  code: number | undefined;
}

/** A connection: reads bytes, lines of a response head, and frames. */
export class RawClient {
  #buffer = Buffer.alloc(0);
  #wake: () => void = () => undefined;
  ended = false;
  closed = false;

  private constructor(readonly socket: Socket) {
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#wake();
    });
    socket.on("end", () => {
      this.ended = true;
      this.#wake();
    });
    socket.on("close", () => {
      this.closed = true;
      this.#wake();
    });
    socket.on("error", () => undefined);
  }

  /** @param to A port of this machine, or the path of a unix socket. */
  static async open(to: number | string): Promise<RawClient> {
    const where = typeof to === "number" ? { port: to, host: "127.0.0.1" } : { path: to };
    const socket = connect({ ...where, allowHalfOpen: true });
    socket.setNoDelay(true);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    return new RawClient(socket);
  }

  /** Connected and upgraded. */
  static async webSocket(
    to: number | string,
    behind: string | Uint8Array = "",
  ): Promise<RawClient> {
    const client = await RawClient.open(to);
    client.write(Buffer.concat([Buffer.from(upgradeText()), Buffer.from(behind)]));
    const head = await client.head();
    if (!head.startsWith("HTTP/1.1 101 ")) throw new Error(`not upgraded: ${head}`);
    return client;
  }

  write(data: string | Uint8Array): void {
    this.socket.write(data);
  }

  /** Much, no faster than it is taken: what is left of a single write is moved again with each part that goes. */
  async send(data: Uint8Array): Promise<void> {
    const PIECE = 256 * 1024;
    for (let at = 0; at < data.length; at += PIECE) {
      if (this.socket.write(data.subarray(at, at + PIECE))) continue;
      await new Promise((resolve) => this.socket.once("drain", resolve));
    }
  }

  /** Sends a call in one unmasked frame, as the C client does. */
  call(id: string, method: string, args: unknown, mask = false): void {
    this.write(frame(JSON.stringify([2, id, method, args]), { mask }));
  }

  /** The head of a response. */
  async head(): Promise<string> {
    return String(
      await this.#until(() => {
        const end = this.#buffer.indexOf("\r\n\r\n");
        return end < 0 ? undefined : this.#take(end + 4);
      }),
    );
  }

  /** So many bytes, as text. */
  async take(length: number): Promise<string> {
    return String(
      await this.#until(() => (this.#buffer.length < length ? undefined : this.#take(length))),
    );
  }

  /** What has come, as soon as that is so many bytes; undefined at the end. */
  bytes(least: number): Promise<Buffer | undefined> {
    return this.#until(() =>
      this.#buffer.length < least ? undefined : this.#take(this.#buffer.length),
    );
  }

  /** The next frame; undefined at the end. */
  async frame(): Promise<Received | undefined> {
    const { opcode = 0, payload } = (await this.#frame()) ?? {};
    if (!payload) return undefined;
    if (opcode !== 8) return { opcode, text: payload.toString(), code: undefined };
    const code = payload.length >= 2 ? payload.readUInt16BE(0) : undefined;
    return { opcode, text: payload.subarray(2).toString(), code };
  }

  /** Of the next binary frame; undefined where there is none. */
  async payload(): Promise<Buffer | undefined> {
    const { opcode, payload } = (await this.#frame()) ?? {};
    return opcode === 2 ? payload : undefined;
  }

  #frame(): Promise<{ opcode: number; payload: Buffer } | undefined> {
    return this.#until(() => {
      if (this.#buffer.length < 2) return undefined;
      const length7 = (this.#buffer[1] ?? 0) & 0x7f;
      const header = length7 === 127 ? 10 : length7 === 126 ? 4 : 2;
      if (this.#buffer.length < header) return undefined;
      const length =
        length7 === 127
          ? Number(this.#buffer.readBigUInt64BE(2))
          : length7 === 126
            ? this.#buffer.readUInt16BE(2)
            : length7;
      if (this.#buffer.length < header + length) return undefined;
      const opcode = (this.#buffer[0] ?? 0) & 0x0f;
      const payload = this.#take(header + length).subarray(header);
      return { opcode, payload };
    });
  }

  /** The next text message, as JSON. */
  async json(): Promise<unknown> {
    const received = await this.frame();
    if (received?.opcode !== 1) throw new Error(`not a text: ${JSON.stringify(received)}`);
    return JSON.parse(received.text);
  }

  /** All bytes until the server ends. */
  async rest(): Promise<string> {
    await this.#until(() => (this.ended || this.closed ? true : undefined));
    return this.#take(this.#buffer.length).toString();
  }

  #take(length: number): Buffer {
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }

  async #until<Value>(ready: () => Value | undefined): Promise<Value | undefined> {
    for (;;) {
      const value = ready();
      if (value !== undefined || this.ended || this.closed) return value;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/**
 * A client that stops reading while a command prints a gigabyte: the command waits, other clients do not, the server keeps
 * its size; and when the client reads on, it gets every line, in order.
 *
 * 100 MB for each transport, since a gigabyte takes half a minute of two processors; SPAWNBOX_FLOOD_MB=1000 is the whole of it,
 * as `.ci/run` does.
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { type Served, serve, until } from "../served.ts";
import { frame, upgradeText } from "./harness.ts";

/** Bytes of a line, with its end. */
const LINE = 512;
const LINES = Math.ceil((Number(process.env["SPAWNBOX_FLOOD_MB"] ?? 100) * 1e6) / LINE);
/** The same that are read as they come. */
const FEW = 20_000;
/** What one client that does not read may cost the server, in MiB; stated in config/guide/calling.md. */
const BOUND = 64;
const PADDING = "x".repeat(500);
/** A dollar is written twice in a config. */
const PRINT = `for (1 .. %lines%) { printf "%%010d ${PADDING}\\n", $$_ }`;

let served: Served;
beforeAll(async () => {
  const config = {
    metadata: { uid: "flood", api: "flood" },
    sandboxes: {
      uid: "s",
      acls: { user: "nobody" },
      commands: [
        { uid: "lines", encoder: "line", exec: { cmdpath: "/usr/bin/perl", args: ["-e", PRINT] } },
        { uid: "hello", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["hello"] } },
      ],
    },
  };
  served = await serve(config);
  // What the runtime compiles the first time is no client's cost.
  const socket = connect(Number(new URL(served.url).port), "127.0.0.1");
  await new LineClient(socket, transports.WebSocket, FEW).done.promise;
  socket.destroy();
});
afterAll(() => served?.[Symbol.asyncDispose]());

/** MiB: what the server has now, and the most it ever had. */
function memory(): { now: number; most: number } {
  const status = readFileSync(`/proc/${served.pid}/status`, "latin1");
  const of = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(status)?.[1]) / 1024;
  return { now: of("VmRSS"), most: of("VmHWM") };
}

/** Bytes that pid has written, or that of its children. */
function written(pid: number): number {
  return Number(/^wchar: (\d+)/m.exec(readFileSync(`/proc/${pid}/io`, "latin1"))?.[1]);
}

const transports = {
  /** The payload of each frame. */
  WebSocket: {
    request: (lines: number) =>
      Buffer.concat([
        Buffer.from(upgradeText()),
        frame(`[2,"1","flood/lines",{"lines":${lines}}]`, { mask: true }),
      ]),
    *messages(data: Buffer): Generator<Buffer, number> {
      let at = 0;
      while (data.length - at >= 4) {
        const short = data.readUInt8(at + 1);
        const length = short === 126 ? data.readUInt16BE(at + 2) : short;
        const start = at + (short === 126 ? 4 : 2);
        if (data.length < start + length) break;
        yield data.subarray(start, start + length);
        at = start + length;
      }
      return at;
    },
    event: (json: string) => `[5,"flood/lines",${json}]`,
  },
  /** Each event without its id, in whose place nothing else may stand; HTTP/1.0, so that the body comes as it is. */
  "Server-Sent Events": {
    request: (lines: number) =>
      Buffer.from(`GET /api/flood/lines/events?lines=${lines} HTTP/1.0\r\nHost: localhost\r\n\r\n`),
    *messages(data: Buffer): Generator<Buffer, number> {
      let at = 0;
      for (let end; (end = data.indexOf("\n\n", at, "latin1")) >= 0; at = end + 2) {
        const id = data.subarray(at, at + 48).toString("latin1");
        const [line = ""] = /^id: \w{15}:\d+\n/.exec(id) ?? [];
        yield data.subarray(at + line.length, end);
      }
      return at;
    },
    event: (json: string) => `event: data\ndata: ${json}`,
  },
};

/** Reads the head of the response, then counts lines; every byte of every message must be as expected. */
class LineClient {
  lines = 0;
  bytes = 0;
  readonly done = Promise.withResolvers<void>();
  pid = 0;
  #rest = Buffer.alloc(0);
  #open = false;
  #before = Buffer.alloc(0);
  #after = Buffer.alloc(0);

  constructor(
    readonly socket: Socket,
    readonly transport: (typeof transports)[keyof typeof transports],
    lines = LINES,
  ) {
    socket.on("data", (chunk: Buffer) => this.#take(chunk));
    socket.on("error", (error) => this.done.reject(error));
    socket.on("close", () => this.done.reject(new Error("the server hung up")));
    socket.write(transport.request(lines));
  }

  #take(chunk: Buffer): void {
    this.bytes += chunk.length;
    let data = this.#rest.length > 0 ? Buffer.concat([this.#rest, chunk]) : chunk;
    if (!this.#open) {
      const end = data.indexOf("\r\n\r\n");
      this.#open = end >= 0;
      data = data.subarray(this.#open ? end + 4 : 0);
    }
    let used = 0;
    if (this.#open) {
      const messages = this.transport.messages(data);
      let next = messages.next();
      for (; next.done !== true; next = messages.next()) this.#message(next.value);
      used = next.value;
    }
    this.#rest = Buffer.from(data.subarray(used));
  }

  #message(message: Buffer): void {
    // A comment of a quiet event stream.
    if (message[0] === 0x3a) return;
    if (this.pid === 0) {
      const reply = message.toString();
      if (!reply.includes("afb-reply")) return;
      this.pid = Number(/"pid":(\d+)/.exec(reply)?.[1]);
      const data = `{"type":"data","pid":${this.pid},"stdout":"#"}`;
      const json = `{"jtype":"afb-event","event":"flood/lines","data":${data}}`;
      const [before = "", after = ""] = this.transport.event(json).split("#");
      this.#before = Buffer.from(before);
      this.#after = Buffer.from(` ${PADDING}${after}`);
      return;
    }
    if (message.includes("final-event")) {
      if (message.includes('"exit":0')) this.done.resolve();
      else this.done.reject(new Error(message.toString()));
      return;
    }
    this.lines++;
    const at = this.#before.length;
    const right =
      message.length === at + 10 + this.#after.length &&
      message.compare(this.#before, 0, at, 0, at) === 0 &&
      Number(message.toString("latin1", at, at + 10)) === this.lines &&
      message.compare(this.#after, 0, this.#after.length, at + 10) === 0;
    if (!right) this.done.reject(new Error(`line ${this.lines}: ${message.toString()}`));
  }
}

for (const [name, transport] of Object.entries(transports)) {
  test(`${name}: nothing lost, nobody else waits, no memory`, async () => {
    const before = memory();
    const socket = connect(Number(new URL(served.url).port), "127.0.0.1");
    const client = new LineClient(socket, transport);
    await until("the first lines", () => client.lines > 0);
    socket.pause();

    // The command waits as soon as every buffer on the way is full.
    let still = 0;
    for (let last = -1; still < 10; await Bun.sleep(50)) {
      const now = written(client.pid);
      still = now === last ? still + 1 : 0;
      last = now;
    }
    const stalled = written(client.pid);
    expect(stalled).toBeLessThan(LINES * LINE);
    const waiting = memory();
    for (let i = 0; i < 20; i++) {
      expect(await served.run("flood/hello")).toMatchObject({ stdout: ["hello"] });
    }
    expect(written(client.pid)).toBe(stalled);

    const start = performance.now();
    socket.resume();
    await client.done.promise;
    const seconds = (performance.now() - start) / 1000;
    socket.destroy();
    expect(client.lines).toBe(LINES);
    const { most } = memory();
    console.log(
      `${name}: ${client.lines} lines, ${(client.bytes / 1e6).toFixed(0)} MB in ${seconds.toFixed(1)} s; ` +
        `stopped after ${(stalled / 2 ** 20).toFixed(1)} MiB; RSS ${before.now.toFixed(0)} MiB, ` +
        `waiting ${waiting.now.toFixed(0)}, at most ${most.toFixed(0)}`,
    );
    expect(waiting.now - before.now).toBeLessThan(BOUND);
    expect(most - before.now).toBeLessThan(BOUND);
  }, 1_800_000);
}

/**
 * An exporter as strict as real ones, for who imports: it says which version is spoken once, takes what comes before that for a torn
 * stream, and hangs up on calls with a session or token that was never told, on one that is told twice, and on padding that does not
 * come with its packet.
 */
import { createServer, type Server, type Socket } from "node:net";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import type { Packet } from "../../src/rpc/packet.ts";
import { parsePacket } from "../../src/rpc/parse-packet.ts";
import { jsonValue, readValues } from "../../src/rpc/value.ts";
import { encodeSet, parseHello } from "../../src/rpc/wire.ts";

export type CallPacket = Extract<Packet, { type: "call" }>;

export const json = (value: unknown) => [jsonValue(JSON.stringify(value))];
export const reply = ({ callid }: CallPacket, value: unknown, status = 0): Packet => ({
  ...{ type: "reply", callid, status },
  values: json(value),
});

export class StrictExporter {
  readonly calls: CallPacket[] = [];
  readonly told: Packet[] = [];
  /** Sessions and tokens by number, of the connection that there is. */
  names = new Map<string, string>();
  fault: string | undefined;
  connections = 0;
  #socket: Socket | undefined;
  #server: Server | undefined;

  /**
   * @param answer what is sent for a call; by default its arguments
   * @param cut of so many bytes that are to be sent, how many are sent at once; all by default
   */
  constructor(
    readonly path: string,
    readonly answer: (call: CallPacket) => readonly Packet[] = (call) => [
      reply(call, readValues(call.values)),
    ],
    readonly cut: (size: number) => number = (size) => size,
  ) {}

  async listen(): Promise<this> {
    const server = createServer((socket) => this.#serve(socket));
    await new Promise<void>((resolve) => server.listen(this.path, resolve));
    this.#server = server;
    return this;
  }

  /** Sends packets, in one go but for the cutting. */
  send(...packets: readonly Packet[]): Promise<void> {
    return this.#write(this.#socket, packets);
  }

  async #write(socket: Socket | undefined, packets: readonly Packet[]): Promise<void> {
    const bytes = Buffer.concat(packets.map((packet) => encodePacket(packet, 1)));
    for (let at = 0; at < bytes.length;) {
      const size = Math.max(1, this.cut(bytes.length - at));
      socket?.write(bytes.subarray(at, at + size));
      at += size;
      if (at < bytes.length) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Hangs up, and listens on. */
  hangUp(): void {
    this.#socket?.destroy();
  }

  async close(): Promise<void> {
    this.hangUp();
    await new Promise<void>((resolve) => this.#server?.close(() => resolve()));
  }

  #fail(fault: string, socket: Socket): void {
    this.fault ??= fault;
    socket.destroy();
  }

  #serve(socket: Socket): void {
    this.connections++;
    this.#socket = socket;
    const names = new Map<string, string>();
    this.names = names;
    let buffer = Buffer.alloc(0);
    let greeted = false;
    let sending = Promise.resolve();
    socket.on("error", () => undefined);
    socket.on("data", (chunk: Buffer) => {
      buffer = Buffer.concat([buffer, chunk]);
      if (!greeted) {
        if (buffer.length < 9) return;
        // Whatever comes with the offer is lost.
        if (buffer.length > 9) return this.#fail("it does not wait for the version", socket);
        const hello = parseHello(buffer);
        if (hello.type !== "offer" || !hello.versions.includes(3))
          return this.#fail("another offer", socket);
        greeted = true;
        buffer = Buffer.alloc(0);
        socket.write(encodeSet(3));
        return;
      }
      while (buffer.length >= 8 && this.fault === undefined) {
        const length = buffer.readUInt32LE(4);
        if (buffer.readUInt16LE(0) < 0xfff0 || length < 8)
          return this.#fail(`no packet: ${buffer.subarray(0, 16).toString("hex")}`, socket);
        if (buffer.length < length) return;
        const packet = parsePacket(Buffer.from(buffer.subarray(0, length)));
        // What of the padding is there goes with it; what comes later is taken for a packet.
        buffer = buffer.subarray(Math.ceil(length / 8) * 8);
        const fault = this.#take(packet, names);
        if (fault !== undefined) return this.#fail(fault, socket);
        if (packet.type !== "call") continue;
        const answers = this.answer(packet);
        sending = sending.then(() => this.#write(socket, answers));
      }
    });
  }

  /** Returns what is wrong with it. */
  #take(packet: Packet, names: Map<string, string>): string | undefined {
    switch (packet.type) {
      case "create": {
        const key = `${packet.kind} ${packet.id}`;
        if (names.has(key)) return `${key} is told twice`;
        names.set(key, packet.name);
        return undefined;
      }
      case "call":
        if (packet.callid === 0) return "a call without a number";
        for (const kind of ["session", "token"] as const)
          if (packet[kind] !== 0 && !names.has(`${kind} ${packet[kind]}`))
            return `the ${kind} of a call was never told`;
        this.calls.push(packet);
        return undefined;
      case "unexpected":
        this.told.push(packet);
        return undefined;
      default:
        return `an importer does not say ${packet.type}`;
    }
  }
}

/**
 * An importer as strict as real ones: it hangs up on what they do not forgive. Padding that does not come with its packet is taken
 * for another packet, as they take it; so are subscriptions after the reply, an event that is created twice, a second reply.
 */
import { connect, type Socket } from "node:net";
import { encodePacket } from "../../src/rpc/encode-packet.ts";
import { parsePacket } from "../../src/rpc/parse-packet.ts";
import type { Packet } from "../../src/rpc/packet.ts";
import { jsonValue, readValues } from "../../src/rpc/value.ts";
import { encodeOffer } from "../../src/rpc/wire.ts";

export interface Answer {
  readonly status: number;
  readonly value: unknown;
}

export interface Event {
  readonly id: number;
  readonly name: string;
  readonly data: unknown;
}

interface Open {
  readonly settle: PromiseWithResolvers<Answer>;
  readonly events: number[];
}

/** Of a call, what is not always there. */
export interface Asking {
  readonly api?: string | undefined;
  readonly session?: number;
  readonly token?: number;
}

export class StrictPeer {
  readonly events: Event[] = [];
  readonly created = new Map<number, string>();
  readonly subscribed = new Map<number, readonly number[]>();
  /** Why it has hung up. */
  fault: string | undefined;
  readonly over = Promise.withResolvers<void>();
  readonly #calls = new Map<number, Open>();
  #buffer = Buffer.alloc(0);
  #greeted = Promise.withResolvers<void>();
  #hello = false;
  #next = 0;
  #wake = Promise.withResolvers<void>();

  private constructor(
    readonly socket: Socket,
    readonly cut: (size: number) => number,
  ) {
    socket.setNoDelay(true);
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.over.resolve();
      for (const { settle } of this.#calls.values()) settle.resolve({ status: -15, value: "gone" });
      this.#wake.resolve();
      this.#greeted.reject(new Error("closed before the set"));
    });
    this.#greeted.promise.catch(() => undefined);
  }

  /** @param cut of so many bytes that are to be sent, how many are sent at once; all by default */
  static async dial(
    to: { path: string } | { port: number; host: string },
    cut: (size: number) => number = (size) => size,
    versions: readonly number[] = [3, 0, 0],
  ): Promise<StrictPeer> {
    const socket = connect(to);
    const peer = new StrictPeer(socket, cut);
    await new Promise<void>((resolve, reject) => {
      socket.once("connect", resolve);
      socket.once("error", reject);
    });
    socket.write(encodeOffer(versions));
    await peer.#greeted.promise;
    return peer;
  }

  /** Sends packets, in one go but for the cutting. */
  async send(...packets: readonly Packet[]): Promise<void> {
    const bytes = Buffer.concat(packets.map((packet) => encodePacket(packet, 1)));
    for (let at = 0; at < bytes.length;) {
      const size = Math.max(1, this.cut(bytes.length - at));
      this.socket.write(bytes.subarray(at, at + size));
      at += size;
      if (at < bytes.length) await new Promise((resolve) => setImmediate(resolve));
    }
  }

  call(verb: string, args: unknown = null, asking: Asking = {}): Promise<Answer> {
    return this.callValues(verb, [args], asking);
  }

  callValues(verb: string, args: readonly unknown[], asking: Asking = {}): Promise<Answer> {
    const { session = 0, token = 0 } = asking;
    const api = "api" in asking ? asking.api : "t";
    const callid = ++this.#next;
    const settle = Promise.withResolvers<Answer>();
    this.#calls.set(callid, { settle, events: [] });
    const values = args.map((one) => jsonValue(JSON.stringify(one)));
    void this.send({ type: "call", callid, api, verb, session, token, values });
    return settle.promise;
  }

  /** Waits until there is such an event, or the end. */
  async event(is: (event: Event) => boolean): Promise<Event> {
    for (let at = 0; ;) {
      for (; at < this.events.length; at++) {
        const event = this.events[at];
        if (event && is(event)) return event;
      }
      if (this.socket.destroyed) throw new Error(`no such event: ${this.fault ?? "closed"}`);
      await this.#wake.promise;
    }
  }

  close(): void {
    this.socket.destroy();
  }

  #hangUp(fault: string): void {
    this.fault ??= fault;
    this.socket.destroy();
  }

  #receive(chunk: Buffer): void {
    this.#buffer = Buffer.concat([this.#buffer, chunk]);
    if (!this.#hello) {
      if (this.#buffer.length < 4) return;
      this.#hello = true;
      if (!this.#buffer.equals(Buffer.from([0x76, 3, 4, 0])))
        return this.#hangUp(`another set: ${this.#buffer.toString("hex")}`);
      this.#buffer = Buffer.alloc(0);
      this.#greeted.resolve();
      return;
    }
    while (this.#buffer.length >= 8 && this.fault === undefined) {
      const length = this.#buffer.readUInt32LE(4);
      if (this.#buffer.readUInt16LE(0) < 0xfff0 || length < 8)
        return this.#hangUp(`no packet: ${this.#buffer.subarray(0, 16).toString("hex")}`);
      if (this.#buffer.length < length) break;
      const packet = parsePacket(Buffer.from(this.#buffer.subarray(0, length)));
      // What of the padding is there goes with it; what comes later is taken for a packet.
      this.#buffer = this.#buffer.subarray(Math.ceil(length / 8) * 8);
      this.#take(packet);
    }
    this.#wake.resolve();
    this.#wake = Promise.withResolvers();
  }

  #take(packet: Packet): void {
    switch (packet.type) {
      case "create":
        if (this.created.has(packet.id)) return this.#hangUp("an event is created twice");
        this.created.set(packet.id, packet.name);
        return;
      case "destroy":
        if (!this.created.delete(packet.id)) this.#hangUp("what is not there is destroyed");
        return;
      case "subscribe": {
        const call = this.#calls.get(packet.callid);
        if (!call) return this.#hangUp("a late subscription");
        if (!this.created.has(packet.event)) return this.#hangUp("an unknown event");
        call.events.push(packet.event);
        return;
      }
      case "push": {
        const name = this.created.get(packet.event);
        if (name === undefined) return this.#hangUp("an event that is not there");
        this.events.push({ id: packet.event, name, data: readValues(packet.values) });
        return;
      }
      case "reply": {
        const call = this.#calls.get(packet.callid);
        if (!call) return this.#hangUp("a second reply");
        this.#calls.delete(packet.callid);
        this.subscribed.set(packet.callid, call.events);
        call.settle.resolve({ status: packet.status, value: readValues(packet.values) });
        return;
      }
      default:
        this.#hangUp(`an exporter does not say ${packet.type}`);
    }
  }
}

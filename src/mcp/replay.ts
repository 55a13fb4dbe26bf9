/**
 * What was sent, for a client whose stream broke and that comes back with the id of the last event that it has. Kept within bounds:
 * what is gone is not there to be had, and a client that misses the answer to a call asks again.
 */
import { totalmem } from "node:os";
import type {
  EventId,
  EventStore,
  StreamId,
} from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js";
import { type Part, Share } from "../share.ts";

/** Events of one session, and bytes of them; bytes of all sessions. */
const EVENTS = 500;
const BYTES = 6 << 20;
const everybody = new Share(Math.min(48 << 20, totalmem() / 32), 64 << 10);

interface Kept {
  readonly stream: StreamId;
  readonly message: JSONRPCMessage;
  readonly size: number;
}

/** Characters of its JSON, about: made of it, that would take as much again. */
function sizeOf(value: unknown): number {
  if (typeof value === "string") return value.length + 2;
  if (typeof value !== "object" || value === null) return 8;
  let size = 2;
  for (const [key, inner] of Object.entries(value)) size += key.length + 4 + sizeOf(inner);
  return size;
}

/** Streams of cancelled calls that are remembered: who comes back to one does so at once. */
const OVER = 64;

export class Replay implements EventStore {
  readonly #over = new Set<StreamId>();
  readonly #kept = new Map<EventId, Kept>();
  readonly #part: Part = everybody.part();
  #bytes = 0;
  #count = 0;

  async storeEvent(stream: StreamId, message: JSONRPCMessage): Promise<EventId> {
    const id = `${++this.#count}-${stream}`;
    const size = sizeOf(message);
    this.#kept.set(id, { stream, message, size });
    this.#add(size);
    for (const [first, { size: freed }] of this.#kept) {
      const isFull = this.#kept.size > EVENTS || this.#bytes > BYTES || this.#part.full;
      if (!isFull || first === id) break;
      this.#add(-freed);
      this.#kept.delete(first);
    }
    return id;
  }

  async getStreamIdForEventId(id: EventId): Promise<StreamId | undefined> {
    return this.#kept.get(id)?.stream;
  }

  async replayEventsAfter(
    last: EventId,
    { send }: { send: (id: EventId, message: JSONRPCMessage) => Promise<void> },
  ): Promise<StreamId> {
    const stream = this.#kept.get(last)?.stream;
    // The transport has asked for it before.
    if (stream === undefined) throw new Error("an event that is not known any more");
    let isLater = false;
    for (const [id, one] of [...this.#kept]) {
      // The first of a stream is empty: it only gives a place to come back to.
      if (isLater && one.stream === stream && "jsonrpc" in one.message) await send(id, one.message);
      isLater ||= id === last;
    }
    return stream;
  }

  /** Nothing more comes of it, and nobody is to wait for that. */
  end(stream: StreamId): void {
    for (const [id, { stream: of, size }] of this.#kept) {
      if (of !== stream) continue;
      this.#kept.delete(id);
      this.#add(-size);
    }
    this.#over.add(stream);
    const [first] = this.#over;
    if (this.#over.size > OVER && first !== undefined) this.#over.delete(first);
  }

  /** @param last id of an event */
  isOver(last: EventId | null): boolean {
    return last !== null && this.#over.has(last.replace(/^\d+-/, ""));
  }

  /** @returns the stream of an event, and whether it has later ones; undefined where that event is not kept */
  after(last: EventId): { readonly stream: StreamId; readonly isMore: boolean } | undefined {
    const stream = this.#kept.get(last)?.stream;
    if (stream === undefined) return undefined;
    const own = [...this.#kept].filter(([, one]) => one.stream === stream);
    return { stream, isMore: own.at(-1)?.[0] !== last };
  }

  close(): void {
    this.#kept.clear();
    this.#part.close();
  }

  #add(bytes: number): void {
    this.#bytes += bytes;
    this.#part.add(bytes);
  }
}

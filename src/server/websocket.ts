/** One WebSocket connection (RFC 6455) over a raw socket that has been upgraded: messages, back-pressure, closing. */
import type { Socket } from "node:net";
import { encodeClose, encodeFrame } from "./encode.ts";
import { FrameError, FrameReader, OPCODE, type Message } from "./frames.ts";
import { Outbox } from "./outbox.ts";
import { type Part, Share } from "../share.ts";
import { errorLine } from "../unexpected.ts";

export interface WebSocketEvents {
  text(text: string): void;
  /** Once, as soon as nothing more can be sent. */
  gone(): void;
}

export interface WebSocketLimits {
  /** Most bytes of one received message. */
  message?: number;
  /** Milliseconds from the start of the close handshake until the socket is destroyed. */
  closing?: number;
  /** What this connection holds of the memory for all. */
  part?: Part;
}

/** Output waiting for the peer above which its requests are no longer read, and below which they are again. */
const OUTPUT_HIGH = 1 << 20;
const OUTPUT_LOW = 1 << 18;
/** Output waiting for the peer above which it is cut off: only senders that do not wait get here. */
const OUTPUT_MAX = 64 << 20;
/** Messages handled in one turn of the event loop: their replies count before the next are read, and others get their turn. */
const MESSAGES_A_TURN = 64;
/** Milliseconds that a peer which holds too much may wait to be read again. */
const ROOM_LIMIT = 30_000;
/** Milliseconds that one which has to make room has to read why. */
const EVICTION = 250;

export class WebSocketConnection {
  readonly #reader: FrameReader;
  readonly #outbox: Outbox;
  readonly #closing: number;
  readonly #part: Part;
  #chunks: Uint8Array[] = [];
  #state: "open" | "closing" | "over" = "open";
  #held = false;
  #paused = false;
  #pumping = false;
  #breathing = false;
  #awaitingRoom = false;
  /** Bytes of calls without a reply. */
  #charged = 0;
  /** When a message came last, ms of performance.now(). */
  #heard = performance.now();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly socket: Socket,
    readonly events: WebSocketEvents,
    limits: WebSocketLimits = {},
  ) {
    this.#reader = new FrameReader(limits.message);
    this.#closing = limits.closing ?? 3000;
    this.#part = limits.part ?? new Share(Infinity).part();
    this.#outbox = new Outbox(socket, () => this.#readAgain());
  }

  get open(): boolean {
    return this.#state === "open";
  }

  /** When the peer was last heard of, ms of performance.now(). */
  get heard(): number {
    return this.#heard;
  }

  /** Everything that was sent has been taken by the kernel. */
  get empty(): boolean {
    return this.#outbox.weight === 0 && this.socket.writableLength === 0;
  }

  /** Bytes that wait for the peer. */
  get backlog(): number {
    return this.#outbox.weight;
  }

  /** Starts reading. @param head What came behind the upgrade request. */
  start(head: Uint8Array): void {
    this.socket.setTimeout(0);
    this.socket.setNoDelay(true);
    // A peer that lost power says nothing: the kernel finds out.
    this.socket.setKeepAlive(true, 30_000);
    this.socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    // The server's sockets are half open: without our own end() they would stay so.
    this.socket.on("end", () => this.#finish());
    this.socket.on("error", () => this.socket.destroy());
    this.socket.on("close", () => this.#release());
    if (head.length > 0) this.#receive(head);
  }

  /** Sends a text message; dropped once closing. A promise settles when the peer can take more, or is gone. */
  send(text: string): void | Promise<void> {
    if (this.#state !== "open") return;
    if (this.#outbox.weight > OUTPUT_MAX) return this.#cutOff();
    const sent = this.#outbox.send(text);
    this.#count();
    return sent;
  }

  /** Stops reading requests while `held`. */
  hold(held: boolean): void {
    this.#held = held;
    if (!held) this.#readAgain();
  }

  /** What is done for the peer holds so many bytes more, or with a negative number less. */
  charge(bytes: number): void {
    this.#charged += bytes;
    if (bytes < 0) this.#readAgain();
  }

  /** Starts the close handshake: what was sent goes out first. */
  close(code: number, reason: string): void {
    if (this.#state !== "open") return;
    this.#outbox.send(encodeClose(code, reason));
    this.#leave("closing");
  }

  /** Says goodbye to make room for somebody else, and does not wait for an answer. */
  evict(reason: string): void {
    if (this.#state !== "open") {
      this.socket.destroy();
      return;
    }
    this.#outbox.send(encodeClose(1013, reason));
    this.#outbox.end();
    this.#leave("over");
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.socket.destroy(), EVICTION);
  }

  #receive(chunk: Uint8Array): void {
    if (this.#state === "over") return;
    this.#heard = performance.now();
    this.#chunks.push(chunk);
    this.#pump();
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    let handled = 0;
    try {
      while (this.#state !== "over" && !this.#wait(handled)) {
        const message = this.#reader.next();
        if (message) {
          this.#handle(message);
          handled++;
          continue;
        }
        const chunk = this.#chunks.shift();
        if (!chunk) break;
        this.#reader.push(chunk);
      }
    } catch (error) {
      if (error instanceof FrameError) return this.#fail(error.code, error.message);
      // A bug that one message met ends that connection, and not the server.
      console.error(`a message failed: ${errorLine(error)}`);
      this.#fail(1011, "internal error");
    } finally {
      this.#pumping = false;
      this.#count();
    }
  }

  /** Whether requests must wait; pauses the socket if so. @param handled messages in this turn */
  #wait(handled: number): boolean {
    if (this.#state !== "open") return false;
    const breathe = handled >= MESSAGES_A_TURN;
    this.#count();
    if (!breathe && !this.#held && this.#outbox.weight < OUTPUT_HIGH && !this.#part.full)
      return false;
    this.#paused = true;
    this.socket.pause();
    if (breathe && !this.#breathing) {
      this.#breathing = true;
      setImmediate(() => {
        this.#breathing = false;
        this.#readAgain();
      });
    }
    return true;
  }

  #readAgain(): void {
    this.#count();
    if (!this.#paused || this.#pumping || this.#breathing) return;
    if (this.#state === "open") {
      if (this.#held || this.#outbox.weight > OUTPUT_LOW) return;
      if (this.#part.full) return this.#awaitRoom();
    }
    this.#paused = false;
    this.socket.resume();
    this.#pump();
  }

  #awaitRoom(): void {
    if (this.#awaitingRoom) return;
    this.#awaitingRoom = true;
    // Where all wait for one another with half a message each, somebody has to go.
    const timer = setTimeout(() => this.#cutOff(), ROOM_LIMIT);
    this.#part.onRoom(() => {
      clearTimeout(timer);
      this.#awaitingRoom = false;
      this.#readAgain();
    });
  }

  /** What waits here to be read or to be written, as far as it is more than a trifle. */
  #count(): void {
    let received = this.#reader.held;
    for (const chunk of this.#chunks) received += chunk.length;
    this.#part.set(this.#outbox.weight + received + this.#charged);
  }

  #handle(message: Message): void {
    switch (message.type) {
      case "text":
        if (this.#state === "open") this.events.text(message.text);
        return;
      case "ping":
        if (this.#state === "open") this.#outbox.send(encodeFrame(OPCODE.pong, message.payload));
        return;
      case "pong":
        return;
      case "close":
        if (this.#state === "open") this.#outbox.send(encodeClose(message.code));
        this.#finish();
    }
  }

  /** The peer broke the protocol: nothing more it sends has a meaning. */
  #fail(code: number, reason: string): void {
    if (this.#state === "open") this.#outbox.send(encodeClose(code, reason));
    this.#finish();
  }

  /** Ends our side. What still arrives is read and dropped: closing over unread data would reset the connection. */
  #finish(): void {
    this.#outbox.end();
    this.#leave("over");
  }

  #cutOff(): void {
    this.socket.destroy();
    this.#leave("over");
  }

  #leave(state: "closing" | "over"): void {
    const first = this.#state === "open";
    this.#state = state;
    if (state === "over") this.#chunks = [];
    this.#readAgain();
    if (!first) return;
    this.#timer = setTimeout(() => this.socket.destroy(), this.#closing);
    this.events.gone();
  }

  #release(): void {
    this.#outbox.close();
    this.#part.close();
    this.#leave("over");
    clearTimeout(this.#timer);
  }
}

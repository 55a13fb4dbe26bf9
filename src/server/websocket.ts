/** One WebSocket connection (RFC 6455) over a raw socket that has been upgraded: messages, back-pressure, closing. */
import type { Socket } from "node:net";
import { encodeClose, encodeFrame } from "./encode.ts";
import { FrameError, FrameReader, OPCODE, type Message } from "./frames.ts";
import { Outbox } from "./outbox.ts";

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
}

/** Output waiting for the peer above which its requests are no longer read, and below which they are again. */
const OUTPUT_HIGH = 1 << 20;
const OUTPUT_LOW = 1 << 18;
/** Output waiting for the peer above which it is cut off: only senders that do not wait get here. */
const OUTPUT_MAX = 64 << 20;

export class WebSocketConnection {
  readonly #reader: FrameReader;
  readonly #outbox: Outbox;
  readonly #closing: number;
  #chunks: Uint8Array[] = [];
  #state: "open" | "closing" | "over" = "open";
  #held = false;
  #paused = false;
  #pumping = false;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly socket: Socket,
    readonly events: WebSocketEvents,
    limits: WebSocketLimits = {},
  ) {
    this.#reader = new FrameReader(limits.message);
    this.#closing = limits.closing ?? 3000;
    this.#outbox = new Outbox(socket, () => this.#readAgain());
  }

  get open(): boolean {
    return this.#state === "open";
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
    return this.#outbox.send(text);
  }

  /** Stops reading requests while `held`. */
  hold(held: boolean): void {
    this.#held = held;
    if (!held) this.#readAgain();
  }

  /** Starts the close handshake: what was sent goes out first. */
  close(code: number, reason: string): void {
    if (this.#state !== "open") return;
    this.#outbox.send(encodeClose(code, reason));
    this.#leave("closing");
  }

  #receive(chunk: Uint8Array): void {
    if (this.#state === "over") return;
    this.#chunks.push(chunk);
    this.#pump();
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#state !== "over" && !this.#wait()) {
        const message = this.#reader.next();
        if (message) {
          this.#handle(message);
          continue;
        }
        const chunk = this.#chunks.shift();
        if (!chunk) break;
        this.#reader.push(chunk);
      }
    } catch (error) {
      if (!(error instanceof FrameError)) throw error;
      this.#fail(error.code, error.message);
    } finally {
      this.#pumping = false;
    }
  }

  /** Whether requests must wait; pauses the socket if so. */
  #wait(): boolean {
    if (this.#state !== "open" || (!this.#held && this.#outbox.weight < OUTPUT_HIGH)) return false;
    this.#paused = true;
    this.socket.pause();
    return true;
  }

  #readAgain(): void {
    if (!this.#paused) return;
    if (this.#state === "open" && (this.#held || this.#outbox.weight > OUTPUT_LOW)) return;
    this.#paused = false;
    this.socket.resume();
    this.#pump();
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
    this.#leave("over");
    clearTimeout(this.#timer);
  }
}

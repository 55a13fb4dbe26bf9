/** One connection of messages over a raw socket, whatever protocol they are of: back-pressure, memory, turns, closing. */
import type { Wire } from "./wire.ts";
import { totalmem } from "node:os";
import { Outbox } from "./outbox.ts";
import type { Asker } from "../api/turns.ts";
import type { Debt } from "../backlog.ts";
import { everybody } from "../encoders/hold.ts";
import { type Part, Share } from "../share.ts";
import { errorLine } from "../unexpected.ts";
import { LONG } from "../json.ts";
import { heavy } from "../turnstile.ts";
import { rounds } from "./rounds.ts";

/** Takes messages out of bytes that are cut anywhere. */
export interface MessageReader<Message> {
  /** Bytes of a message that is not complete, and of these what is in the message. */
  readonly held: number;
  readonly message: number;
  push(chunk: Uint8Array): void;
  /** The next whole message, or undefined when more bytes are needed. Throws; then stop. */
  next(): Message | undefined;
}

/** What of a conversation depends on its protocol. */
export interface Protocol<Message> {
  readonly reader: MessageReader<Message>;
  /** Bytes of a message, about. */
  sizeOf(message: Message): number;
  handle(message: Message): void;
  /** What is sent last; undefined where there are no words for it. @param code of RFC 6455, section 7.4 */
  goodbye(code: number, reason: string): Buffer | undefined;
  /** How the peer broke the protocol, where an error says that it did. */
  faultOf(error: unknown): { readonly code: number; readonly message: string } | undefined;
  /** Once, as soon as nothing more can be sent. */
  gone(): void;
}

export interface ConversationLimits {
  /** Milliseconds from the start of closing until the socket is destroyed. */
  closing?: number;
  /** What this connection holds of the memory for all. */
  part?: Part;
  /** Whose connection it is. */
  from?: Asker;
}

/** Output waiting for the peer above which its requests are no longer read, and below which they are again. */
const OUTPUT_HIGH = 1 << 20;
const OUTPUT_LOW = 1 << 18;
/**
 * Output waiting for peers: who has more than what is left is cut off. Only senders that do not wait get here, such as replies with
 * all that several commands have printed; so many bytes each peer may have whatever others have.
 */
const OUTPUT_ALL = Math.min(512 << 20, totalmem() / 8);
const OUTPUT_EACH = 64 << 20;
const unread = new Share(OUTPUT_ALL, OUTPUT_EACH);
/** Messages handled in one turn of the event loop: their replies count before the next are read, and others get their turn. */
const MESSAGES_A_TURN = 16;
/** Milliseconds in which a long message comes to its end. */
const MESSAGE_LIMIT = 30_000;
/** Milliseconds that a peer which holds too much may wait to be read again. */
const ROOM_LIMIT = 30_000;
/** Milliseconds that one which has to make room has to read why. */
const EVICTION = 250;

export class Conversation<Message> {
  readonly #reader: MessageReader<Message>;
  readonly #outbox: Outbox;
  readonly #closing: number;
  readonly #part: Part;
  readonly #unread = unread.part();
  readonly #from: Asker;
  readonly #debt: Debt;
  #chunks: Uint8Array[] = [];
  #state: "open" | "closing" | "over" = "open";
  #held = false;
  #paused = false;
  #pumping = false;
  #breathing = false;
  /** It is its turn, see Rounds. */
  #isNext = false;
  #awaitingRoom = false;
  /** A long message, whose turn has not come. */
  #delayed: Message | undefined;
  /** Bytes of calls without a reply. */
  #charged = 0;
  /** When a message came last, ms of performance.now(). */
  #heard = performance.now();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #unfinished: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly socket: Wire,
    readonly protocol: Protocol<Message>,
    limits: ConversationLimits = {},
  ) {
    this.#reader = protocol.reader;
    this.#closing = limits.closing ?? 3000;
    this.#part = limits.part ?? new Share(Infinity).part();
    this.#from = limits.from ?? { peer: "", connection: this };
    this.#debt = everybody.debt(this.#from.peer, () => this.#cutOff());
    this.#outbox = new Outbox(socket, () => this.#readAgain());
  }

  get open(): boolean {
    return this.#state === "open";
  }

  /** When the peer was last heard of, ms of performance.now(); undefined while it is not read, or amid a long message. */
  get heard(): number | undefined {
    return this.#paused || this.#reader.message > LONG ? undefined : this.#heard;
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
    this.socket.on("end", () => this.finish());
    this.socket.on("error", () => this.socket.destroy());
    this.socket.on("close", () => this.#release());
    if (head.length > 0) this.#receive(head);
  }

  /**
   * Sends a text message; dropped once closing. A promise settles when the peer can take more, or is gone.
   * @param message Its text, or its frame
   */
  send(message: string | Buffer): void | Promise<void> {
    if (this.#state !== "open") return;
    this.#unread.set(this.#outbox.weight);
    if (this.#unread.full) return this.#cutOff();
    const sent = this.#outbox.send(message);
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
    if (bytes >= 0) return;
    this.#part.finished();
    this.#readAgain();
  }

  /** Sends what answers the peer at once, such as a pong. */
  answer(frame: Buffer): void {
    if (this.#state === "open") this.#outbox.send(frame);
  }

  /** Starts to close: what was sent goes out first. */
  close(code: number, reason: string): void {
    if (this.#state !== "open") return;
    const words = this.protocol.goodbye(code, reason);
    // Without any, the end of the stream says it.
    if (!words) return this.finish();
    this.#outbox.send(words);
    this.#leave("closing");
  }

  /** Says goodbye to make room for somebody else, and does not wait for an answer. */
  evict(reason: string): void {
    if (this.#state !== "open") {
      this.socket.destroy();
      return;
    }
    this.#last(1013, reason);
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
        const message = this.#delayed ?? this.#reader.next();
        if (message !== undefined) {
          if (this.#delayed === undefined && this.protocol.sizeOf(message) > LONG) {
            this.#delay(message);
            continue;
          }
          this.#delayed = undefined;
          this.protocol.handle(message);
          if (this.#charged === 0) this.#part.finished();
          handled++;
          continue;
        }
        const chunk = this.#chunks.shift();
        if (!chunk) break;
        this.#reader.push(chunk);
      }
    } catch (error) {
      const fault = this.protocol.faultOf(error);
      if (fault) return this.#fail(fault.code, fault.message);
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
    const crowded = handled === 0 && !this.#isNext && rounds.isFull;
    const breathe = this.#breathing || crowded || handled >= MESSAGES_A_TURN;
    this.#count();
    if (!breathe && !this.#held && this.#outbox.weight < OUTPUT_HIGH && !this.#part.full)
      return false;
    this.#paused = true;
    this.socket.pause();
    // Where nothing is on its way out, nothing else would come back to it.
    if (this.#part.full) this.#awaitRoom();
    if (breathe && !this.#breathing) {
      this.#breathing = true;
      const goOn = (): void => {
        this.#breathing = false;
        this.#isNext = crowded;
        this.#readAgain();
        this.#isNext = false;
      };
      if (crowded) rounds.enter(this.#from, goOn);
      else setImmediate(goOn);
    }
    return true;
  }

  #delay(message: Message): void {
    this.#delayed = message;
    this.#breathing = true;
    heavy.enter(() => {
      this.#breathing = false;
      this.#readAgain();
    });
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
    const timer = setTimeout(() => this.#giveWay(), ROOM_LIMIT);
    const goOn = (): void => {
      clearTimeout(timer);
      this.#awaitingRoom = false;
      this.#readAgain();
    };
    // Only what is half here can be finished: replies that are not read, or calls, take as long as they take.
    const late = (): void => {
      // Once it is all there it is for the server to be quick.
      if (this.#reader.message > 0) this.#giveWay();
      else this.#part.finished();
    };
    const begun = this.#reader.held > 0 || this.#chunks.length > 0;
    this.#part.onRoom(goOn, begun ? late : undefined);
  }

  /** Others wait for the memory that it holds. */
  #giveWay(): void {
    this.close(1013, "the server is busy, and others need the memory: try again later");
  }

  /** A long message has its time to come to its end, as the body of a request: it is counted while it is read. */
  #watchMessage(): void {
    if (this.#reader.message <= LONG) {
      clearTimeout(this.#unfinished);
      this.#unfinished = undefined;
      return;
    }
    this.#unfinished ??= setTimeout(() => {
      this.#unfinished = undefined;
      if (this.#paused) this.#watchMessage();
      else this.close(1013, "the rest of a message did not come in time");
    }, MESSAGE_LIMIT);
  }

  /** What waits here to be read or to be written, as far as it is more than a trifle. */
  #count(): void {
    const delayed = this.#delayed === undefined ? 0 : this.protocol.sizeOf(this.#delayed);
    let received = this.#reader.held + delayed;
    for (const chunk of this.#chunks) received += chunk.length;
    this.#part.set(this.#outbox.weight + received + this.#charged);
    this.#unread.set(this.#outbox.weight);
    if (this.#state !== "over") this.#debt.set(this.#outbox.weight);
    this.#watchMessage();
  }

  /** The peer broke the protocol: nothing more it sends has a meaning. */
  #fail(code: number, reason: string): void {
    this.#last(code, reason);
    this.finish();
  }

  #last(code: number, reason: string): void {
    const words = this.#state === "open" ? this.protocol.goodbye(code, reason) : undefined;
    if (words) this.#outbox.send(words);
  }

  /** Ends our side. What still arrives is read and dropped: closing over unread data would reset the connection. */
  finish(): void {
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
    this.#part.finished();
    if (state === "over") {
      this.#chunks = [];
      this.#delayed = undefined;
    }
    this.#readAgain();
    if (!first) return;
    this.#timer = setTimeout(() => this.socket.destroy(), this.#closing);
    this.protocol.gone();
  }

  #release(): void {
    this.#outbox.close();
    this.#part.close();
    this.#unread.close();
    this.#debt.set(0);
    this.#leave("over");
    clearTimeout(this.#timer);
    clearTimeout(this.#unfinished);
  }
}

/**
 * What a board answers in the course of one call: messages with numbers, of which only so many are on their way as the operator
 * has not confirmed. What is beyond waits here, and who sends it is told to wait; what is lost on the way is sent once more.
 */

/** `part`: the next message goes on with it. */
export type Kind = "accepted" | "event" | "part" | "reply";

/** Bytes of a message: brokers refuse those that are much longer, and drop what waits beyond some number of them. */
export const PIECE = 60 << 10;
/** Bytes that are not confirmed: a board has little memory, and 64 calls of each operator. */
export const WINDOW_BYTES = 256 << 10;
/** Bytes that wait here before who sends has to. */
const ROOM = 64 << 10;
/** ms in which nothing is sent a second time. */
const AGAIN = 1000;

interface Sent {
  readonly kind: Kind;
  readonly payload: Buffer;
  at: number;
}

export interface OutflowOptions {
  /** Most messages that are not confirmed. */
  readonly window: number;
  /** Sends one. */
  readonly put: (seq: number, kind: Kind, payload: Buffer) => void;
  /** Nothing can be sent now. */
  readonly isAway: () => boolean;
  readonly now?: () => number;
}

export class Outflow {
  readonly #unconfirmed = new Map<number, Sent>();
  #unconfirmedBytes = 0;
  /** Ready to be sent. */
  readonly #ready: Omit<Sent, "at">[] = [];
  /** Events that become one message, a line each. */
  #lines: string[] = [];
  #lineBytes = 0;
  #bytes = 0;
  #next = 0;
  #room: PromiseWithResolvers<void> | undefined;
  #flushing = false;
  #dropped = false;
  #blockedSince: number | undefined;
  readonly #now: () => number;

  constructor(readonly options: OutflowOptions) {
    this.#now = options.now ?? (() => performance.now());
  }

  /** Bytes that wait here. */
  get backlog(): number {
    return this.#bytes;
  }

  /** Everything was sent. */
  get isSent(): boolean {
    return this.#bytes === 0;
  }

  /** Everything has arrived. */
  get isConfirmed(): boolean {
    return this.isSent && this.#unconfirmed.size === 0;
  }

  /** Since when it waits for the operator, by the clock of performance.now(). */
  get blockedSince(): number | undefined {
    return this.#blockedSince;
  }

  /** An event. The promise settles once there is room for more. */
  event(text: string): void | Promise<void> {
    if (this.#dropped) return;
    const bytes = Buffer.byteLength(text) + 1;
    if (this.#lineBytes + bytes > PIECE) this.#close();
    this.#lines.push(text);
    this.#lineBytes += bytes;
    this.#bytes += bytes;
    this.#soon();
    if (this.#bytes <= ROOM) return;
    return (this.#room ??= Promise.withResolvers<void>()).promise;
  }

  /** @returns the number that it has, or will have */
  say(kind: "accepted" | "reply", text: string): number {
    if (this.#dropped) return this.#next;
    this.#close();
    this.#cut(kind, Buffer.from(text));
    const seq = this.#next + this.#ready.length - 1;
    this.#flush();
    return seq;
  }

  /** All up to that one have arrived. */
  confirm(seq: number): void {
    for (const [number, { payload }] of this.#unconfirmed) {
      if (number > seq) break;
      this.#unconfirmed.delete(number);
      this.#unconfirmedBytes -= payload.length;
    }
    this.#flush();
  }

  /** Sends again what has not arrived, unless that is under way just now. */
  resend(from: number): void {
    const now = this.#now();
    for (const [number, sent] of this.#unconfirmed) {
      if (number < from || now - sent.at < AGAIN) continue;
      sent.at = now;
      this.options.put(number, sent.kind, sent.payload);
    }
  }

  /** It can be sent again. */
  goOn(): void {
    this.#flush();
  }

  /** Nobody waits for it any more. */
  drop(): void {
    this.#dropped = true;
    this.#unconfirmed.clear();
    this.#ready.length = 0;
    this.#lines = [];
    this.#bytes = this.#lineBytes = this.#unconfirmedBytes = 0;
    // Nor for room.
    this.#flush();
  }

  /** With those of this turn in one message. */
  #soon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #close(): void {
    if (this.#lines.length === 0) return;
    const whole = Buffer.from(this.#lines.join("\n"));
    // The end of the last line is none.
    this.#bytes -= this.#lineBytes;
    this.#lines = [];
    this.#lineBytes = 0;
    this.#cut("event", whole);
  }

  #cut(kind: Kind, whole: Buffer): void {
    this.#bytes += whole.length;
    let at = 0;
    for (; whole.length - at > PIECE; at += PIECE)
      this.#ready.push({ kind: "part", payload: whole.subarray(at, at + PIECE) });
    this.#ready.push({ kind, payload: whole.subarray(at) });
  }

  #flush(): void {
    const { window, put, isAway } = this.options;
    while (!isAway()) {
      if (this.#isFull(window)) break;
      if (this.#ready.length === 0) this.#close();
      const next = this.#ready.shift();
      if (!next) break;
      const seq = this.#next++;
      this.#unconfirmed.set(seq, { ...next, at: this.#now() });
      this.#unconfirmedBytes += next.payload.length;
      this.#bytes -= next.payload.length;
      put(seq, next.kind, next.payload);
    }
    const isBlocked = this.#bytes > 0 && this.#isFull(window);
    this.#blockedSince = isBlocked ? (this.#blockedSince ?? this.#now()) : undefined;
    if (this.#bytes <= ROOM) this.#release();
  }

  #isFull(window: number): boolean {
    return this.#unconfirmed.size >= window || this.#unconfirmedBytes >= WINDOW_BYTES;
  }

  #release(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.resolve();
  }
}

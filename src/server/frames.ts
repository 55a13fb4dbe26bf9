/**
 * WebSocket frames (RFC 6455, section 5), as a pure parser and encoder: bytes in, messages out, no I/O.
 *
 * Stricter than needed nowhere, more lenient in one place: the C client of AFB sends unmasked frames, so both masked
 * and unmasked ones are accepted. (Masking protects proxies on the way from scripts in a browser; browsers always mask.)
 */
import { isUtf8 } from "node:buffer";

export const OPCODE = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const;

/** What the messages of a connection are. */
export type Payload = "text" | "binary";

export type Message =
  | { type: "text"; text: string }
  | { type: "binary"; bytes: Buffer }
  | { type: "ping" | "pong"; payload: Buffer }
  /** `code` is undefined when the peer gave none. */
  | { type: "close"; code: number | undefined; reason: string };

/** The peer broke the protocol: `code` is what to close with. */
export class FrameError extends Error {
  constructor(
    readonly code: 1002 | 1003 | 1007 | 1009,
    message: string,
  ) {
    super(message);
    this.name = "FrameError";
  }
}

const EMPTY = Buffer.alloc(0);
/** Longest payload of a control frame. */
const CONTROL_MAX = 125;
/** The buffer kept between messages; a longer one is given back, so that idle connections stay small. */
const KEEP = 4096;

/**
 * Reads frames out of chunks cut anywhere. Feed one chunk with {@link push}, then take messages with {@link next} until
 * it returns undefined; not taking them is how a caller slows a peer down. Time is linear in the bytes received, memory
 * is at most twice the bytes of the message so far: what a header promises is not allocated before it arrives.
 */
export class FrameReader {
  #chunk: Uint8Array = EMPTY;
  #at = 0;

  readonly #header = Buffer.alloc(14);
  #headerHas = 0;
  #headerNeeds = 2;

  #opcode = 0;
  #final = false;
  #masked = false;
  /** Bytes of the current frame's payload still to come; -1 while reading its header. */
  #left = -1;
  /** Payload bytes of the current frame already read: the phase of the mask. */
  #phase = 0;

  #inMessage = false;
  #message: Buffer = EMPTY;
  #messageLength = 0;
  readonly #control = Buffer.alloc(CONTROL_MAX);
  #controlLength = 0;

  /** @param limit Most bytes of one message, over all its fragments. */
  constructor(
    readonly limit = 1 << 20,
    readonly payload: Payload = "text",
  ) {}

  /** Bytes of a message that is not complete. */
  get held(): number {
    return this.#messageLength + this.#chunk.length - this.#at;
  }

  /** Of these, what is in the message. */
  get message(): number {
    return this.#messageLength;
  }

  push(chunk: Uint8Array): void {
    if (this.#at < this.#chunk.length) throw new Error("push() before next() returned undefined");
    this.#chunk = chunk;
    this.#at = 0;
  }

  /** The next whole message, or undefined when more bytes are needed. Throws {@link FrameError}; then stop. */
  next(): Message | undefined {
    for (;;) {
      if (this.#left < 0 && !this.#readHeader()) return this.#rest();
      const take = Math.min(this.#left, this.#chunk.length - this.#at);
      if (take > 0) this.#readPayload(take);
      if (this.#left > 0) return this.#rest();
      this.#left = -1;
      this.#headerHas = 0;
      this.#headerNeeds = 2;
      if (this.#opcode >= OPCODE.close) return this.#endControl();
      if (this.#final) return this.#endMessage();
    }
  }

  /** Lets go of the used chunk. */
  #rest(): undefined {
    this.#chunk = EMPTY;
    this.#at = 0;
  }

  #readHeader(): boolean {
    while (this.#headerHas < this.#headerNeeds) {
      if (this.#at >= this.#chunk.length) return false;
      this.#header[this.#headerHas++] = this.#chunk[this.#at++] ?? 0;
      if (this.#headerHas === 2) this.#readStart();
    }
    const length7 = (this.#header[1] ?? 0) & 0x7f;
    let length = length7;
    if (length7 === 126) length = this.#header.readUInt16BE(2);
    if (length7 === 127) {
      const high = this.#header.readUInt32BE(2);
      if (high > 0x7fffffff) throw new FrameError(1002, "length with the top bit set");
      length = high * 2 ** 32 + this.#header.readUInt32BE(6);
    }
    if (this.#opcode < OPCODE.close && this.#messageLength + length > this.limit) {
      throw new FrameError(1009, `message over ${this.limit} bytes`);
    }
    this.#left = length;
    this.#phase = 0;
    return true;
  }

  /** Checks the first two bytes, before the length is known. */
  #readStart(): void {
    const [first = 0, second = 0] = this.#header;
    if (first & 0x70) throw new FrameError(1002, "reserved bit set");
    this.#final = (first & 0x80) !== 0;
    this.#opcode = first & 0x0f;
    this.#masked = (second & 0x80) !== 0;
    const length7 = second & 0x7f;
    this.#headerNeeds += (length7 === 127 ? 8 : length7 === 126 ? 2 : 0) + (this.#masked ? 4 : 0);
    switch (this.#opcode) {
      case OPCODE.continuation:
        if (!this.#inMessage) throw new FrameError(1002, "continuation of nothing");
        return;
      case OPCODE.text:
      case OPCODE.binary:
        if (this.#opcode !== OPCODE[this.payload])
          throw new FrameError(1003, `${this.payload === "text" ? "binary" : "text"} frame`);
        if (this.#inMessage) throw new FrameError(1002, "message inside a message");
        this.#inMessage = true;
        return;
      case OPCODE.close:
      case OPCODE.ping:
      case OPCODE.pong:
        if (!this.#final) throw new FrameError(1002, "fragmented control frame");
        if (length7 > CONTROL_MAX) throw new FrameError(1002, "control frame over 125 bytes");
        return;
      default:
        throw new FrameError(1002, `unknown opcode ${this.#opcode}`);
    }
  }

  #readPayload(take: number): void {
    const control = this.#opcode >= OPCODE.close;
    const start = control ? this.#controlLength : this.#messageLength;
    const target = control ? this.#control : this.#grow(start + take);
    const source = this.#chunk.subarray(this.#at, this.#at + take);
    if (this.#masked) this.#unmask(source, target, start);
    else target.set(source, start);
    if (control) this.#controlLength += take;
    else this.#messageLength += take;
    this.#at += take;
    this.#left -= take;
    this.#phase += take;
  }

  #unmask(source: Uint8Array, target: Buffer, start: number): void {
    const key = this.#headerNeeds - 4;
    for (let i = 0; i < source.length; i++) {
      const mask = this.#header[key + ((this.#phase + i) & 3)] ?? 0;
      target[start + i] = (source[i] ?? 0) ^ mask;
    }
  }

  /** The message buffer with room for `size` bytes. Doubling keeps byte-by-byte input linear. */
  #grow(size: number): Buffer {
    if (this.#message.length >= size) return this.#message;
    const bigger = Buffer.allocUnsafeSlow(Math.max(size, Math.min(this.limit, size * 2)));
    bigger.set(this.#message.subarray(0, this.#messageLength));
    return (this.#message = bigger);
  }

  #endMessage(): Message {
    const bytes = this.#message.subarray(0, this.#messageLength);
    if (this.payload === "binary")
      return this.#release({ type: "binary", bytes: Buffer.from(bytes) });
    if (!isUtf8(bytes)) throw new FrameError(1007, "invalid UTF-8");
    return this.#release({ type: "text", text: bytes.toString("utf8") });
  }

  #release(message: Message): Message {
    if (this.#message.length > KEEP) this.#message = EMPTY;
    this.#messageLength = 0;
    this.#inMessage = false;
    return message;
  }

  #endControl(): Message {
    const payload = Buffer.from(this.#control.subarray(0, this.#controlLength));
    this.#controlLength = 0;
    if (this.#opcode === OPCODE.ping) return { type: "ping", payload };
    if (this.#opcode === OPCODE.pong) return { type: "pong", payload };
    return readClose(payload);
  }
}

function readClose(payload: Buffer): Message {
  if (payload.length === 0) return { type: "close", code: undefined, reason: "" };
  if (payload.length === 1) throw new FrameError(1002, "close code cut short");
  const code = payload.readUInt16BE(0);
  // 1004-1006 and 1015 must not appear on the wire; 1016-2999 are not assigned (RFC 6455, 7.4).
  const valid =
    (code >= 1000 && code <= 1003) ||
    (code >= 1007 && code <= 1014) ||
    (code >= 3000 && code <= 4999);
  if (!valid) throw new FrameError(1002, `invalid close code ${code}`);
  const reason = payload.subarray(2);
  // A text like any other: RFC 6455, section 8.1.
  if (!isUtf8(reason)) throw new FrameError(1007, "close reason is not UTF-8");
  return { type: "close", code, reason: reason.toString("utf8") };
}

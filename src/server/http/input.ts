/**
 * What a connection has received and nobody has read yet. The socket is only read on while somebody wants more, but for what it
 * has brought already: a client that sends ahead waits in its own kernel.
 */
import type { Wire } from "../wire.ts";
import type { Part } from "../../share.ts";
import { HEAD_LIMIT } from "./head.ts";
import { HttpFault } from "./fault.ts";

/** Bytes that may wait here before the socket is not read any more. */
const AHEAD = HEAD_LIMIT;
/** Most bytes of the line that begins a chunk, or of a trailer. */
const LINE_LIMIT = 1024;
const NOTHING = Buffer.alloc(0);
const CR = 13;
const LF = 10;
const BARE = "a line ends in a line feed alone: each ends in CR LF";

export class Input {
  #chunks: Buffer[] = [];
  #length = 0;
  #ended = false;
  #paused = false;
  #wanted: PromiseWithResolvers<void> | undefined;
  readonly #socket: Wire;
  readonly #part: Part;
  readonly #onData = (chunk: Buffer): void => this.#push(chunk);
  readonly #onEnd = (): void => this.#finish();

  /**
   * @param part where what waits here is counted
   * @param seen is told of every arrival, and of the end
   */
  constructor(
    socket: Wire,
    part: Part,
    readonly seen: () => void = () => {},
  ) {
    this.#socket = socket;
    this.#part = part;
    socket.on("data", this.#onData);
    socket.on("end", this.#onEnd);
    socket.on("close", this.#onEnd);
  }

  /** Bytes that are here. */
  get length(): number {
    return this.#length;
  }

  /** Nothing comes any more. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Nothing is read before somebody waits for it again. */
  hold(): void {
    if (this.#paused || this.#wanted) return;
    this.#paused = true;
    this.#socket.pause();
  }

  /** Waits for more; false at the end. */
  async more(): Promise<boolean> {
    if (this.#ended) return false;
    const before = this.#length;
    this.#wanted ??= Promise.withResolvers<void>();
    if (this.#paused) {
      this.#paused = false;
      this.#socket.resume();
    }
    await this.#wanted.promise;
    return this.#length > before;
  }

  /**
   * The head of the next request, without its empty line; undefined when the other side ended before it. Empty lines ahead are
   * passed over (RFC 9112, section 2.2).
   * @throws HttpFault
   */
  async head(): Promise<string | undefined> {
    for (let searched = 0; ;) {
      const all = this.#joined();
      let from = 0;
      while (from < all.length && (all[from] === CR || all[from] === LF)) from++;
      if (from > 0) {
        this.#drop(from);
        searched = 0;
        if (from > LINE_LIMIT) throw new HttpFault(400, "there are only empty lines");
        continue;
      }
      const end = all.indexOf("\r\n\r\n", Math.max(0, searched - 3), "latin1");
      if (end > HEAD_LIMIT || (end < 0 && all.length > HEAD_LIMIT)) {
        throw tooLong(all);
      }
      if (end >= 0) {
        const text = all.toString("latin1", 0, end);
        this.#drop(end + 4);
        return text;
      }
      // Bytes that can begin no request are told at once: they may be all that comes.
      if (all.length > 0 && !/^[!#$%&'*+.^_`|~0-9A-Za-z-]/.test(String.fromCharCode(all[0] ?? 0)))
        throw new HttpFault(400, "this is not HTTP");
      if (hasBareLineFeed(all, searched)) throw new HttpFault(400, BARE);
      searched = all.length;
      if (!(await this.more())) return undefined;
    }
  }

  /** The next line without its end; undefined at the end. @throws HttpFault */
  async line(): Promise<string | undefined> {
    for (;;) {
      const all = this.#joined();
      const end = all.indexOf("\r\n", 0, "latin1");
      if (end > LINE_LIMIT || (end < 0 && all.length > LINE_LIMIT)) {
        throw new HttpFault(400, "a line of the chunked body is too long");
      }
      if (end >= 0) {
        const text = all.toString("latin1", 0, end);
        if (text.includes("\n")) throw new HttpFault(400, BARE);
        this.#drop(end + 2);
        return text;
      }
      if (all.includes(LF)) throw new HttpFault(400, BARE);
      if (!(await this.more())) return undefined;
    }
  }

  /** Some of the next `most` bytes, at least one; undefined at the end. */
  async some(most: number): Promise<Buffer | undefined> {
    if (this.#length === 0 && !(await this.more())) return undefined;
    const [first] = this.#chunks;
    if (!first) return undefined;
    const part = first.subarray(0, most);
    this.#drop(part.length);
    return part;
  }

  /** Takes the socket back from here, with what has been read ahead. */
  detach(): Buffer {
    const rest = this.#joined();
    this.#socket.off("data", this.#onData);
    this.#socket.off("end", this.#onEnd);
    this.#socket.off("close", this.#onEnd);
    this.#drop(this.#length);
    if (this.#paused) this.#socket.resume();
    return rest;
  }

  #push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
    this.#part.add(chunk.length);
    if (this.#length >= AHEAD) this.hold();
    this.seen();
    this.#settle();
  }

  #finish(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.seen();
    this.#settle();
  }

  #settle(): void {
    const wanted = this.#wanted;
    this.#wanted = undefined;
    wanted?.resolve();
  }

  #joined(): Buffer {
    if (this.#chunks.length > 1) this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0] ?? NOTHING;
  }

  #drop(bytes: number): void {
    this.#length -= bytes;
    this.#part.add(-bytes);
    let left = bytes;
    while (left > 0) {
      const [first] = this.#chunks;
      if (!first) return;
      if (first.length > left) {
        this.#chunks[0] = first.subarray(left);
        return;
      }
      left -= first.length;
      this.#chunks.shift();
    }
  }
}

/** What is typed or printed into a connection, mostly: its empty line would never come, and nobody be told why. */
function hasBareLineFeed(bytes: Buffer, from: number): boolean {
  for (let at = bytes.indexOf(LF, from); at >= 0; at = bytes.indexOf(LF, at + 1))
    if (bytes[at - 1] !== CR) return true;
  return false;
}

/** Who has put too much into the URL is told so, and where it may go. */
function tooLong(bytes: Buffer): HttpFault {
  const line = bytes.indexOf("\r\n", 0, "latin1");
  return line < 0 || line > HEAD_LIMIT / 2
    ? new HttpFault(414, `a URL and its headers have ${HEAD_LIMIT} bytes: POST what is longer`)
    : new HttpFault(431, `the headers are over ${HEAD_LIMIT} bytes`);
}

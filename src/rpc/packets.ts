/** Packets of RPC v3 out of bytes that are cut anywhere, first the hand-shake. Pure: no I/O. */
import { parsePacket } from "./parse-packet.ts";
import { HEADER, isOperation, type Packet } from "./packet.ts";
import { helloSize, type Offer, OFFER, parseHello, RpcError, SET, type Set } from "./wire.ts";

const EMPTY = Buffer.alloc(0);
/** Bytes of a buffer that is kept from packet to packet. */
const KEEP = 4096;
/** Bytes of an offer of all versions. */
const MOST_HELLO = 6 + 255;

/**
 * Feed one chunk with {@link push}, then take messages with {@link next} until it returns undefined. Time is linear in the bytes,
 * memory at most twice those of the packet so far. Zeros between packets are padding, however many, and whenever they come: some
 * pad the offer, others send the padding late.
 */
export class PacketReader {
  #chunk: Buffer = EMPTY;
  #at = 0;
  #bytes: Buffer = EMPTY;
  #has = 0;
  #greeted = false;

  /**
   * @param first what the other end has to begin with: who dials offers versions, who listens sets one
   * @param limit most bytes of a packet
   */
  constructor(
    readonly first: "offer" | "set",
    readonly limit = 1 << 20,
  ) {}

  /** Bytes of a packet that is not complete. */
  get held(): number {
    return this.#has + this.#chunk.length - this.#at;
  }

  /** Of these, what is in the packet. */
  get message(): number {
    return this.#has;
  }

  push(chunk: Uint8Array): void {
    if (this.#at < this.#chunk.length) throw new Error("push() before next() returned undefined");
    this.#chunk = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length);
    this.#at = 0;
  }

  /** The next whole message, or undefined when more bytes are needed. Throws RpcError; then stop. */
  next(): Packet | Offer | Set | undefined {
    return this.#greeted ? this.#packet() : this.#hello();
  }

  #hello(): Offer | Set | undefined {
    const expected = this.first === "offer" ? OFFER : SET;
    while (this.#at < this.#chunk.length) {
      this.#take(1);
      if (this.#bytes[0] !== expected)
        throw new RpcError("it does not begin as this protocol does");
      if (helloSize(this.#bytes.subarray(0, this.#has)) !== this.#has) continue;
      const hello = parseHello(Buffer.from(this.#bytes.subarray(0, this.#has)));
      this.#greeted = true;
      this.#has = 0;
      return hello;
    }
    return this.#rest();
  }

  #packet(): Packet | undefined {
    if (this.#has === 0) while (this.#chunk[this.#at] === 0) this.#at++;
    if (!this.#fill(HEADER)) return this.#rest();
    const operation = this.#bytes.readUInt16LE(0);
    const length = this.#bytes.readUInt32LE(4);
    if (!isOperation(operation) || length < HEADER)
      throw new RpcError("what comes is no packet: the stream is torn");
    if (length > this.limit) throw new RpcError(`a packet of over ${this.limit} bytes`);
    if (!this.#fill(length)) return this.#rest();
    // The values of the packet live on in it.
    const packet = parsePacket(Buffer.from(this.#bytes.subarray(0, length)));
    this.#has = 0;
    if (this.#bytes.length > KEEP) this.#bytes = EMPTY;
    return packet;
  }

  /** Whether so many bytes are there. */
  #fill(size: number): boolean {
    if (this.#has < size) this.#take(Math.min(size - this.#has, this.#chunk.length - this.#at));
    return this.#has >= size;
  }

  #take(size: number): void {
    const needed = this.#has + size;
    if (needed > this.#bytes.length) {
      const bigger = Buffer.allocUnsafeSlow(Math.max(MOST_HELLO, needed * 2));
      bigger.set(this.#bytes.subarray(0, this.#has));
      this.#bytes = bigger;
    }
    this.#bytes.set(this.#chunk.subarray(this.#at, this.#at + size), this.#has);
    this.#has += size;
    this.#at += size;
  }

  /** Lets go of the used chunk. */
  #rest(): undefined {
    this.#chunk = EMPTY;
    this.#at = 0;
  }
}

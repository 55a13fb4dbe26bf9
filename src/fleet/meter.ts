/** What kind the packets of a broker are and how long, told before they are collected: MQTT 5, section 2.1. */

/**
 * Those that a broker sends who knows that this asks for nothing beyond QoS 1: CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP,
 * DISCONNECT. For others the client would keep what nobody ever asks for, or fail.
 */
const KINDS: ReadonlySet<number> = new Set([2, 3, 4, 9, 11, 13, 14]);
const PUBLISH = 3;
/** Of the flags of PUBLISH: QoS 2, or none that there is. */
const QOS_2 = 0b0100;

/** Bytes of the length at most. */
const LENGTH_BYTES = 4;

export class PacketMeter {
  /** Bytes of this packet that are still to come; undefined within its head. */
  #left: number | undefined;
  /** Of this head: bytes of the length that were read, and what they say; undefined before it. */
  #head: { read: number; length: number } | undefined;

  /** @param most bytes of a packet behind its head */
  constructor(readonly most: number) {}

  /** Whether all packets are as they should be so far. */
  fits(chunk: Uint8Array): boolean {
    for (let at = 0; ;) {
      const byte = chunk[at];
      if (byte === undefined) return true;
      if (this.#left !== undefined) {
        const taken = Math.min(this.#left, chunk.length - at);
        at += taken;
        this.#left -= taken;
      } else {
        at++;
        if (!this.#begins(byte)) return false;
      }
      // A packet of nothing but its head is over with it.
      if (this.#left === 0) this.#left = undefined;
    }
  }

  #begins(byte: number): boolean {
    const head = this.#head;
    if (!head) {
      this.#head = { read: 0, length: 0 };
      const kind = byte >> 4;
      return KINDS.has(kind) && (kind !== PUBLISH || (byte & QOS_2) === 0);
    }
    head.length += (byte & 0x7f) * 128 ** head.read++;
    if (head.length > this.most) return false;
    if ((byte & 0x80) !== 0) return head.read < LENGTH_BYTES;
    this.#head = undefined;
    this.#left = head.length;
    return true;
  }
}

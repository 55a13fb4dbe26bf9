/** A packet of RPC v3 as its bytes. No I/O. */
import {
  API,
  BY_ID,
  CREDS,
  HEADER,
  KINDS,
  MOST_VALUES,
  OPERATION,
  PLAIN,
  PLAIN_AT,
  PLAIN_HEAD,
  TYPED,
  VERB,
  type Kind,
  type Packet,
} from "./packet.ts";
import { MOST_VALUE, type Value } from "./value.ts";
import { RpcError, textBytes } from "./wire.ts";

class Writer {
  #bytes = Buffer.alloc(256);
  #at = HEADER;

  u8(value: number): void {
    this.#room(1)[this.#at++] = value;
  }

  u16(value: number): void {
    this.#at = this.#room(2).writeUInt16LE(value, this.#at);
  }

  i32(value: number): void {
    this.#at = this.#room(4).writeInt32LE(value, this.#at);
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length).set(bytes, this.#at);
    this.#at += bytes.length;
  }

  /** Zeros up to the next place that is `at` more than a multiple of `unit`. */
  align(unit: number, at = 0): void {
    const zeros = (((at - this.#at) % unit) + unit) % unit;
    this.#room(zeros).fill(0, this.#at, this.#at + zeros);
    this.#at += zeros;
  }

  /** A parameter that says what it is, and has its bytes at a multiple of 8. */
  plain(parameter: number, what: number, bytes: Uint8Array): void {
    if (bytes.length > MOST_VALUE + 2) throw new RpcError("a value is too long");
    this.align(8, PLAIN_AT);
    this.u16(parameter);
    this.u16(PLAIN_HEAD + bytes.length);
    this.u16(what);
    this.raw(bytes);
  }

  byId(kind: Kind, id: number): void {
    this.align(2);
    this.u16(BY_ID);
    this.u16(8);
    this.u16(KINDS[kind]);
    this.u16(id);
  }

  values(values: readonly Value[]): void {
    if (values.length > MOST_VALUES) throw new RpcError(`over ${MOST_VALUES} values`);
    for (const { type, bytes } of values) this.plain(TYPED, type, bytes);
  }

  /** The packet with its padding: both must leave in one write. */
  end(operation: number, seqno: number): Buffer {
    const length = this.#at;
    this.align(8);
    const bytes = this.#bytes;
    bytes.writeUInt16LE(operation, 0);
    bytes.writeUInt16LE(seqno, 2);
    bytes.writeUInt32LE(length, 4);
    return bytes.subarray(0, this.#at);
  }

  #room(size: number): Buffer {
    const needed = this.#at + size;
    if (needed > this.#bytes.length) {
      const bigger = Buffer.alloc(Math.max(needed + 8, this.#bytes.length * 2));
      bigger.set(this.#bytes.subarray(0, this.#at));
      this.#bytes = bigger;
    }
    return this.#bytes;
  }
}

/** Throws RpcError for what the format has no room for. @param seqno never looked at, but counted by binders */
export function encodePacket(packet: Packet, seqno: number): Buffer {
  const to = new Writer();
  switch (packet.type) {
    case "call":
      to.u16(packet.callid);
      to.u16(packet.values.length);
      if (packet.api !== undefined) to.plain(PLAIN, API, textBytes(packet.api));
      to.plain(PLAIN, VERB, textBytes(packet.verb));
      if (packet.session !== 0) to.byId("session", packet.session);
      if (packet.token !== 0) to.byId("token", packet.token);
      if (packet.creds !== undefined) to.plain(PLAIN, CREDS, textBytes(packet.creds));
      to.values(packet.values);
      break;
    case "reply":
      to.u16(packet.callid);
      to.u16(packet.values.length);
      to.i32(packet.status);
      to.values(packet.values);
      break;
    case "push":
      to.u16(packet.event);
      to.u16(packet.values.length);
      to.values(packet.values);
      break;
    case "subscribe":
    case "unsubscribe":
      to.u16(packet.callid);
      to.u16(packet.event);
      break;
    case "unexpected":
      to.u16(packet.event);
      break;
    case "broadcast": {
      const name = textBytes(packet.name);
      to.u16(packet.values.length);
      to.u16(name.length);
      to.raw(Buffer.from(packet.uuid, "hex"));
      to.u8(packet.hop);
      to.raw(name);
      to.values(packet.values);
      break;
    }
    case "create":
      to.u16(KINDS[packet.kind]);
      to.u16(packet.id);
      to.raw(textBytes(packet.name));
      break;
    case "destroy":
      to.u16(KINDS[packet.kind]);
      to.u16(packet.id);
  }
  return to.end(OPERATION[packet.type], seqno);
}

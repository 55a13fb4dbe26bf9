/** What both protocols of binders are made of: the hand-shake about versions, texts that end with a NUL, and the error of who breaks them. */
import { isUtf8 } from "node:buffer";

/** The peer broke the protocol: nothing more that it sends has a meaning. */
export class RpcError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "RpcError";
  }
}

/** What who dials sends first: the versions that it speaks. */
export interface Offer {
  readonly type: "offer";
  readonly versions: readonly number[];
}

/** What is answered: the version that is spoken, 0 for none. */
export interface Set {
  readonly type: "set";
  readonly version: number;
}

export const OFFER = 0x56;
export const SET = 0x76;
/** Bytes before the versions of an offer. */
export const OFFER_HEAD = 6;
const IDENTIFIER = 0x174c1409;
/** From this version on the set tells what packets are aligned to, too. */
const ALIGNED = 2;
const ALIGNMENT = 4;

export function encodeOffer(versions: readonly number[]): Buffer {
  const bytes = Buffer.alloc(OFFER_HEAD);
  bytes[0] = OFFER;
  bytes.writeUInt32LE(IDENTIFIER, 1);
  bytes[5] = versions.length;
  return Buffer.concat([bytes, Buffer.from(versions)]);
}

export const encodeSet = (version: number): Buffer =>
  Buffer.from(version < ALIGNED ? [SET, version] : [SET, version, ALIGNMENT, 0]);

/** Bytes of an offer or a set, as far as they tell; undefined while more are needed to know. Throws RpcError. */
export function helloSize(bytes: Uint8Array): number | undefined {
  const [first, second] = bytes;
  if (first === SET) return second === undefined ? undefined : second < ALIGNED ? 2 : 4;
  if (first !== OFFER && first !== undefined)
    throw new RpcError("it does not begin with the versions that it speaks");
  const count = bytes[5];
  return count === undefined ? undefined : OFFER_HEAD + count;
}

/** Of exactly those bytes. Throws RpcError. */
export function parseHello(bytes: Buffer): Offer | Set {
  if (helloSize(bytes) !== bytes.length) throw new RpcError("versions of another length");
  if (bytes[0] === SET) return { type: "set", version: bytes[1] ?? 0 };
  if (bytes.readUInt32LE(1) !== IDENTIFIER) throw new RpcError("another protocol is offered");
  return { type: "offer", versions: [...bytes.subarray(OFFER_HEAD)] };
}

/** With its NUL. A text with a NUL within would be another one to who reads it. Throws RpcError. */
export function textBytes(text: string): Buffer {
  if (text.includes("\0")) throw new RpcError("a text has a NUL in it");
  return Buffer.from(`${text}\0`);
}

/** A text and its NUL, which some leave out. Throws RpcError. */
export function textOf(bytes: Buffer, what: string, most = Infinity): string {
  const end = bytes.at(-1) === 0 ? bytes.length - 1 : bytes.length;
  if (end > most) throw new RpcError(`${what} has over ${most} bytes`);
  const text = bytes.subarray(0, end);
  if (!isUtf8(text)) throw new RpcError(`${what} is not UTF-8`);
  if (text.includes(0)) throw new RpcError(`${what} has a NUL in it`);
  return text.toString("utf8");
}

/** The packets of RPC v3 between binders, both directions: bytes in, messages out, and back. No I/O. Little endian. */
import { MOST_VALUE, TYPE, type Value } from "./value.ts";
import { RpcError, textBytes, textOf } from "./wire.ts";

/** What one end names by a number of its own. */
export type Kind = "session" | "token" | "event" | "type";

export type Packet =
  | {
      readonly type: "call";
      readonly callid: number;
      /** Older importers name none. */
      readonly api: string | undefined;
      readonly verb: string;
      /** 0 for none. */
      readonly session: number;
      readonly token: number;
      readonly creds?: string;
      readonly values: readonly Value[];
    }
  | {
      readonly type: "reply";
      readonly callid: number;
      readonly status: number;
      readonly values: readonly Value[];
    }
  | { readonly type: "push"; readonly event: number; readonly values: readonly Value[] }
  | {
      readonly type: "subscribe" | "unsubscribe";
      readonly callid: number;
      readonly event: number;
    }
  | { readonly type: "unexpected"; readonly event: number }
  | {
      readonly type: "broadcast";
      readonly name: string;
      /** Hexadecimal. */
      readonly uuid: string;
      readonly hop: number;
      readonly values: readonly Value[];
    }
  | { readonly type: "create"; readonly kind: Kind; readonly id: number; readonly name: string }
  | { readonly type: "destroy"; readonly kind: Kind; readonly id: number };

export const HEADER = 8;
/** Values of one packet that binders read. */
export const MOST_VALUES = 64;
/** Bytes of a name: of a session, an event, an API, a verb; and of a token. */
export const MOST_NAME = 1024;
export const MOST_TOKEN = 16 * 1024;

const OPERATION = {
  call: 0xffff,
  reply: 0xfffe,
  push: 0xfffd,
  subscribe: 0xfffc,
  unsubscribe: 0xfffb,
  unexpected: 0xfffa,
  broadcast: 0xfff9,
  create: 0xfff8,
  destroy: 0xfff7,
} as const;
const OPERATIONS = new Map(
  (Object.keys(OPERATION) as (keyof typeof OPERATION)[]).map((name) => [OPERATION[name], name]),
);

const KINDS: Readonly<Record<Kind, number>> = {
  session: 0xffff,
  token: 0xfffe,
  event: 0xfffd,
  type: 0xfffa,
};
const API = 0xfffc;
const VERB = 0xfffb;
const CREDS = 0xfff7;

const BY_ID = 0xffff;
const PLAIN = 0xfffe;
const UNTYPED = 0xfffd;
const TYPED = 0xfffc;
const TIMEOUT = 0xfffa;

/** Bytes of a parameter before its body, and where it begins in units of 8. */
const HEAD = 4;
const PLAIN_HEAD = 6;
const PLAIN_AT = 2;

export function isOperation(operation: number): boolean {
  return OPERATIONS.has(operation as (typeof OPERATION)[keyof typeof OPERATION]);
}

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

class Cursor {
  at = HEADER;

  constructor(readonly bytes: Buffer) {}

  get left(): number {
    return this.bytes.length - this.at;
  }

  take(size: number): Buffer {
    if (size > this.left) throw new RpcError("a packet is shorter than what is in it");
    const part = this.bytes.subarray(this.at, this.at + size);
    this.at += size;
    return part;
  }

  u16(): number {
    return this.take(2).readUInt16LE();
  }

  end(): void {
    if (this.left > 0) throw new RpcError("a packet is longer than what is in it");
  }
}

function name(bytes: Buffer, what: string, most = MOST_NAME): string {
  if (bytes.length > most + 1) throw new RpcError(`the name of ${what} has over ${most} bytes`);
  return textOf(bytes, `the name of ${what}`);
}

/** Of exactly the bytes of one packet, without the padding. The values share its memory. Throws RpcError. */
export function parsePacket(bytes: Buffer): Packet {
  if (bytes.length < HEADER || bytes.readUInt32LE(4) !== bytes.length)
    throw new RpcError("a packet of another length");
  const operation = bytes.readUInt16LE(0) as (typeof OPERATION)[keyof typeof OPERATION];
  const type = OPERATIONS.get(operation);
  const from = new Cursor(bytes);
  switch (type) {
    case "call": {
      const callid = from.u16();
      const count = from.u16();
      return { type, callid, ...callOf(parametersOf(from, count)) };
    }
    case "reply": {
      const callid = from.u16();
      const count = from.u16();
      const status = from.take(4).readInt32LE();
      return { type, callid, status, values: parametersOf(from, count).values };
    }
    case "push": {
      const event = from.u16();
      const count = from.u16();
      return { type, event, values: parametersOf(from, count).values };
    }
    case "subscribe":
    case "unsubscribe": {
      const [callid, event] = [from.u16(), from.u16()];
      from.end();
      return { type, callid, event };
    }
    case "unexpected": {
      const event = from.u16();
      from.end();
      return { type, event };
    }
    case "broadcast": {
      const [count, length] = [from.u16(), from.u16()];
      const uuid = from.take(16).toString("hex");
      const hop = from.take(1)[0] ?? 0;
      const event = name(from.take(length), "an event");
      if (from.at % 2 === 1 && from.left > 0) from.take(1);
      return { type, name: event, uuid, hop, values: parametersOf(from, count).values };
    }
    case "create": {
      const kind = kindOf(from.u16());
      const id = from.u16();
      const most = kind === "token" ? MOST_TOKEN : MOST_NAME;
      return { type, kind, id, name: name(from.take(from.left), `a ${kind}`, most) };
    }
    case "destroy": {
      const kind = kindOf(from.u16());
      const id = from.u16();
      from.end();
      return { type, kind, id };
    }
    case undefined:
      throw new RpcError(`there is no operation ${operation.toString(16)}`);
  }
}

function kindOf(number: number): Kind {
  for (const kind of ["session", "token", "event", "type"] as const)
    if (KINDS[kind] === number) return kind;
  throw new RpcError(`no such resource is created here: ${number.toString(16)}`);
}

interface Parameters {
  readonly plain: ReadonlyMap<number, Buffer>;
  readonly ids: ReadonlyMap<number, number>;
  readonly values: readonly Value[];
}

function parametersOf(from: Cursor, count: number): Parameters {
  const plain = new Map<number, Buffer>();
  const ids = new Map<number, number>();
  const values: Value[] = [];
  while (from.left >= HEAD) {
    const parameter = from.u16();
    if (parameter === 0) continue;
    const length = from.u16();
    if (length < HEAD) throw new RpcError("a parameter is shorter than its head");
    const body = from.take(length - HEAD);
    switch (parameter) {
      case BY_ID:
        if (body.length !== 4) anotherSize();
        ids.set(body.readUInt16LE(0), body.readUInt16LE(2));
        break;
      case PLAIN:
        if (body.length < 2) anotherSize();
        plain.set(body.readUInt16LE(0), body.subarray(2));
        break;
      case UNTYPED:
        values.push({ type: TYPE.opaque, bytes: body });
        break;
      case TYPED:
        if (body.length < 2) anotherSize();
        values.push({ type: body.readUInt16LE(0), bytes: body.subarray(2) });
        break;
      case TIMEOUT:
        break;
      default:
        throw new RpcError(`there is no parameter ${parameter.toString(16)}`);
    }
    if (values.length > MOST_VALUES) throw new RpcError(`over ${MOST_VALUES} values`);
    if (from.at % 2 === 1 && from.left > 0) from.take(1);
  }
  if (from.take(from.left).some((byte) => byte !== 0)) anotherSize();
  if (values.length !== count)
    throw new RpcError(`${values.length} values, where ${count} are announced`);
  return { plain, ids, values };
}

function anotherSize(): never {
  throw new RpcError("a parameter of another size");
}

function callOf({ plain, ids, values }: Parameters) {
  const [api, verb, creds] = [plain.get(API), plain.get(VERB), plain.get(CREDS)];
  if (!verb) throw new RpcError("a call names no verb");
  return {
    api: api && name(api, "an API"),
    verb: name(verb, "a verb"),
    session: ids.get(KINDS.session) ?? 0,
    token: ids.get(KINDS.token) ?? 0,
    ...(creds && { creds: name(creds, "the caller") }),
    values,
  };
}

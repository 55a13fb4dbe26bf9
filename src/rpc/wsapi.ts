/** The messages of version 1, as WSAPI has them, each in one binary WebSocket frame: both directions. No I/O. Little endian. */
import { helloSize, type Offer, OFFER, parseHello, RpcError, SET, type Set } from "./wire.ts";
import { encodeOffer, encodeSet, textBytes, textOf } from "./wire.ts";

export type Message =
  | Offer
  | Set
  | {
      readonly type: "call";
      readonly callid: number;
      readonly verb: string;
      /** 0 for none. */
      readonly session: number;
      readonly token: number;
      readonly json: string | null;
      /** Who the caller's own client is, see creds.ts. */
      readonly creds: string | null;
    }
  | {
      readonly type: "reply";
      readonly callid: number;
      readonly error: string | null;
      readonly info: string | null;
      readonly json: string | null;
    }
  | { readonly type: "create"; readonly kind: Named; readonly id: number; readonly name: string }
  | { readonly type: "destroy"; readonly kind: Named; readonly id: number }
  | { readonly type: "subscribe" | "unsubscribe"; readonly callid: number; readonly event: number }
  | { readonly type: "push"; readonly event: number; readonly json: string | null }
  | {
      readonly type: "broadcast";
      readonly name: string;
      readonly json: string | null;
      /** Hexadecimal. */
      readonly uuid: string;
      readonly hop: number;
    }
  | { readonly type: "unexpected"; readonly event: number }
  | { readonly type: "describe"; readonly id: number }
  | { readonly type: "description"; readonly id: number; readonly json: string | null };

type Named = "event" | "session" | "token";

const CREATE = { event: "E", session: "S", token: "T" } as const;

/** Bytes of a name, and of a token or what says who calls. */
const MOST_NAME = 1024;
const MOST_TOKEN = 16 * 1024;

const code = (letter: string): Buffer => Buffer.from(letter, "latin1");

function u16(...values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(2 * values.length);
  values.forEach((value, at) => bytes.writeUInt16LE(value, 2 * at));
  return bytes;
}

function text(value: string | null): Buffer {
  const bytes = value === null ? Buffer.alloc(0) : textBytes(value);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(bytes.length, 0);
  return Buffer.concat([length, bytes]);
}

/** Throws RpcError for a text with a NUL in it. */
export function encodeMessage(message: Message): Buffer {
  switch (message.type) {
    case "offer":
      return encodeOffer(message.versions);
    case "set":
      return encodeSet(message.version);
    default:
      return Buffer.concat(parts(message));
  }
}

function parts(message: Exclude<Message, Offer | Set>): Buffer[] {
  switch (message.type) {
    case "call": {
      const { callid, verb, session, token, json, creds } = message;
      return [code("K"), u16(callid), text(verb), u16(session, token), text(json), text(creds)];
    }
    case "reply": {
      const { callid, error, info, json } = message;
      return [code("k"), u16(callid), text(error), text(info), text(json)];
    }
    case "create":
      return [code(CREATE[message.kind]), u16(message.id), text(message.name)];
    case "destroy":
      return [code(CREATE[message.kind].toLowerCase()), u16(message.id)];
    case "subscribe":
    case "unsubscribe":
      return [code(message.type === "subscribe" ? "X" : "x"), u16(message.callid, message.event)];
    case "push":
      return [code("P"), u16(message.event), text(message.json)];
    case "broadcast": {
      const { name, json, uuid, hop } = message;
      return [code("B"), text(name), text(json), Buffer.from(uuid, "hex"), Buffer.from([hop])];
    }
    case "unexpected":
      return [code("U"), u16(message.event)];
    case "describe":
      return [code("D"), u16(message.id)];
    case "description":
      return [code("d"), u16(message.id), text(message.json)];
  }
}

class Cursor {
  #at = 1;

  constructor(readonly bytes: Buffer) {}

  take(size: number): Buffer {
    if (size > this.bytes.length - this.#at)
      throw new RpcError("a message is shorter than what is in it");
    this.#at += size;
    return this.bytes.subarray(this.#at - size, this.#at);
  }

  u16(): number {
    return this.take(2).readUInt16LE();
  }

  /** null for none. */
  text(what: string, most = Infinity): string | null {
    const length = this.take(4).readUInt32LE();
    if (length > most + 1) throw new RpcError(`${what} has over ${most} bytes`);
    return length === 0 ? null : textOf(this.take(length), what, most);
  }

  name(what: string, most = MOST_NAME): string {
    const found = this.text(what, most);
    if (found === null) throw new RpcError(`${what} is missing`);
    return found;
  }

  end<T>(message: T): T {
    if (this.#at < this.bytes.length) throw new RpcError("a message is longer than what is in it");
    return message;
  }
}

/** Of exactly the bytes of one message. Throws RpcError. */
export function parseMessage(bytes: Buffer): Message {
  const [first = 0] = bytes;
  if (first === OFFER || first === SET) {
    if (helloSize(bytes) === undefined) throw new RpcError("versions are cut short");
    return parseHello(bytes);
  }
  const from = new Cursor(bytes);
  const letter = String.fromCharCode(first);
  switch (letter) {
    case "K":
      return from.end({
        type: "call",
        callid: from.u16(),
        verb: from.name("the name of a verb"),
        session: from.u16(),
        token: from.u16(),
        json: from.text("the arguments"),
        creds: from.text("who calls", MOST_TOKEN),
      });
    case "k":
      return from.end({
        type: "reply",
        callid: from.u16(),
        error: from.text("an error", MOST_NAME),
        info: from.text("an info"),
        json: from.text("a reply"),
      });
    case "E":
    case "S":
    case "T": {
      const kind = letter === "E" ? "event" : letter === "S" ? "session" : "token";
      const most = letter === "T" ? MOST_TOKEN : MOST_NAME;
      return from.end({
        type: "create",
        kind,
        id: from.u16(),
        name: from.name(`the name of ${kind === "event" ? "an" : "a"} ${kind}`, most),
      });
    }
    case "e":
    case "s":
    case "t": {
      const kind = letter === "e" ? "event" : letter === "s" ? "session" : "token";
      return from.end({ type: "destroy", kind, id: from.u16() });
    }
    case "X":
    case "x": {
      const type = letter === "X" ? "subscribe" : "unsubscribe";
      return from.end({ type, callid: from.u16(), event: from.u16() });
    }
    case "P":
      return from.end({ type: "push", event: from.u16(), json: from.text("an event") });
    case "B":
      return from.end({
        type: "broadcast",
        name: from.name("the name of an event"),
        json: from.text("an event"),
        uuid: from.take(16).toString("hex"),
        hop: from.take(1)[0] ?? 0,
      });
    case "U":
      return from.end({ type: "unexpected", event: from.u16() });
    case "D":
      return from.end({ type: "describe", id: from.u16() });
    case "d":
      return from.end({ type: "description", id: from.u16(), json: from.text("a description") });
    default:
      throw new RpcError("there is no such message");
  }
}

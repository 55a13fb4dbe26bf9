/** The bytes of a packet of RPC v3 as what it says. No I/O. */
import {
  API,
  BY_ID,
  CREDS,
  HEAD,
  HEADER,
  KINDS,
  MOST_NAME,
  MOST_TOKEN,
  MOST_VALUES,
  OPERATION,
  OPERATIONS,
  PLAIN,
  TIMEOUT,
  TYPED,
  UNTYPED,
  VERB,
  type Kind,
  type Packet,
} from "./packet.ts";
import { TYPE, type Value } from "./value.ts";
import { RpcError, textOf } from "./wire.ts";

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

const name = (bytes: Buffer, what: string, most = MOST_NAME): string =>
  textOf(bytes, `the name of ${what}`, most);

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

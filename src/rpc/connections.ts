/** A connection of an importer, in each of the ways in which they come: packets, messages in frames, packets in frames. */
import type { Wire } from "../server/wire.ts";
import type { Caller, Session } from "../api/client.ts";
import type { Gate } from "../api/gate.ts";
import { parseForeign } from "../json.ts";
import { Conversation } from "../server/conversation.ts";
import { encodeFrame } from "../server/encode.ts";
import { OPCODE } from "../server/frames.ts";
import type { Packeted, Upgraded } from "../server/upgrade.ts";
import { WebSocketConnection } from "../server/websocket.ts";
import type { Part } from "../share.ts";
import { packetCaller } from "./callers.ts";
import { Calls } from "./calls.ts";
import { ON_BEHALF, onBehalf } from "./creds.ts";
import { Exporter, type ExporterOptions } from "./exporter.ts";
import type { Packet } from "./packet.ts";
import { PacketReader } from "./packets.ts";
import { type Ends, faultOf, routePacket, sizeOfPacket } from "./routes.ts";
import { messageSpeaker, packetSpeaker } from "./speakers.ts";
import { encodeSet, type Offer, RpcError, type Set } from "./wire.ts";
import { encodeMessage, type Message, parseMessage } from "./wsapi.ts";

export interface Door extends ExporterOptions {
  readonly part: Part;
  /** Called once, when it is over. @param calls what was given to `imports` */
  readonly gone: (calls?: Calls) => void;
  /** Where who dials may export: called once the version is agreed on. Returns whether it does. */
  readonly imports?: (calls: Calls, finish: () => void) => boolean;
}

/** Of those whose importers say on whose behalf they call. */
export interface NamingDoor extends Door {
  /** What they may. */
  readonly gate: Gate;
}

const V3 = 3;
const V1 = 1;
/** What the version is agreed on by, and what is done with the rest. */
function answering(
  ends: Ends,
  send: (bytes: Buffer) => void,
  finish: () => void,
  agreed = () => {},
) {
  let offered = false;
  return (packet: Packet | Offer | Set): void => {
    if (packet.type !== "offer" || offered) return routePacket(packet, ends);
    offered = true;
    const common = packet.versions.includes(V3);
    send(encodeSet(common ? V3 : 0));
    if (common) agreed();
    else finish();
  };
}

/** Bare packets on a stream. @param behind what was read of it already */
export function speakPackets(
  socket: Wire,
  door: Door,
  behind: Uint8Array = new Uint8Array(),
): Upgraded {
  const exporter = new Exporter(door, packetSpeaker());
  const calls = door.imports ? new Calls(packetCaller()) : undefined;
  let isGiver = false;
  const handle = answering(
    { exporter, calls },
    (bytes) => link.answer(bytes),
    () => link.finish(),
    () => {
      isGiver = (calls && door.imports?.(calls, () => link.finish())) ?? false;
    },
  );
  const link = new Conversation<Packet | Offer | Set>(
    socket,
    {
      reader: new PacketReader("offer"),
      sizeOf: sizeOfPacket,
      handle: (packet) => (link.open ? handle(packet) : undefined),
      goodbye: () => undefined,
      faultOf,
      gone: () => {
        exporter.gone();
        door.gone(calls);
        calls?.gone();
      },
    },
    { part: door.part, from: door.from },
  );
  calls?.attach(link);
  return connected(exporter, link, behind, () => isGiver);
}

/** Packets of one frame: they are handled in one turn. */
const MOST_IN_FRAME = 256;

/** Packets in the binary frames of a WebSocket, each whole: so what is half here is counted with the frame. */
export function speakFramedPackets(
  socket: Wire,
  door: Door,
  behind: Uint8Array = new Uint8Array(),
): Upgraded {
  const framed = (bytes: Buffer): Buffer => encodeFrame(OPCODE.binary, bytes);
  const exporter = new Exporter(door, packetSpeaker(framed));
  const reader = new PacketReader("offer");
  const handle = answering(
    { exporter },
    (bytes) => link.answer(framed(bytes)),
    () => link.finish(),
  );
  const binary = (bytes: Buffer): void => {
    reader.push(bytes);
    let packets = 0;
    for (let next = reader.next(); next && link.open; next = reader.next()) {
      if (++packets > MOST_IN_FRAME) throw new RpcError(`over ${MOST_IN_FRAME} packets in a frame`);
      handle(next);
    }
    if (reader.held > 0) throw new RpcError("a frame ends within a packet");
  };
  const gone = (): void => ended(exporter, door);
  const link: WebSocketConnection = new WebSocketConnection(
    socket,
    { binary, faultOf, gone },
    { part: door.part, payload: "binary" },
  );
  return connected(exporter, link, behind);
}

/** WSAPI: frames without HTTP before them, in each a message of version 1. */
export function speakMessages(socket: Wire, door: NamingDoor): Upgraded {
  const exporter = new Exporter(door, messageSpeaker());
  let greeted = false;
  const send = (message: Message): void =>
    link.answer(encodeFrame(OPCODE.binary, encodeMessage(message)));
  const binary = (bytes: Buffer): void => {
    const message = parseMessage(bytes);
    if (message.type === "offer" && !greeted) {
      greeted = true;
      if (message.versions.includes(V1)) return send({ type: "set", version: V1 });
      throw new RpcError("there is no version in common");
    }
    if (!greeted) throw new RpcError("it does not begin with the versions that it speaks");
    switch (message.type) {
      case "call": {
        const { callid, verb, session, token, json, creds } = message;
        return exporter.call({
          ...{ callid, api: undefined, verb, session, token, size: bytes.length },
          args: () => argsOf(json),
          ...(creds !== null && {
            caller: (session) => callerOf(creds, exporter.tokenOf(token), session, door),
          }),
        });
      }
      case "create":
        if (message.kind !== "event") exporter.name(message.kind, message.id, message.name);
        return;
      case "destroy":
        if (message.kind !== "event") exporter.forget(message.kind, message.id);
        return;
      case "unexpected":
        return exporter.unexpected(message.event);
      case "describe":
        return send({ type: "description", id: message.id, json: "null" });
      default:
        throw new RpcError("who calls does not answer");
    }
  };
  const gone = (): void => ended(exporter, door);
  const link: WebSocketConnection = new WebSocketConnection(
    socket,
    { binary, faultOf, gone },
    { part: door.part, payload: "binary" },
  );
  return connected(exporter, link, new Uint8Array());
}

/** The token is that of the importer's client: it gives the importer nothing. */
function callerOf(
  creds: string,
  token: string | undefined,
  session: Session,
  { gate, peer, from, address }: NamingDoor,
): Caller | Promise<Caller> {
  const named = (may: boolean): Caller => {
    const user = onBehalf(creds, may);
    return {
      ...{ ...(user && { user }), ...(token !== undefined && { token }) },
      ...{ ...(address !== undefined && { address }), via: "binder" },
    };
  };
  const importer: Caller = peer?.user ? { user: peer.user } : {};
  const may = gate.hasAny(ON_BEHALF, { session, caller: importer, from });
  return may instanceof Promise ? may.then(named) : named(may);
}

/**
 * Scalars of an importer's client come as texts: `null` as "null", 70000 as "70000". A text that is neither, nor true or false,
 * is one.
 */
function argsOf(json: string | null): unknown {
  if (json === null) return undefined;
  const value = parseForeign(json);
  if (typeof value !== "string" || !/^(?:null|true|false|-?\d{1,15}(?:\.\d{1,15})?)$/.test(value))
    return value;
  try {
    return parseForeign(value);
  } catch (error) {
    // Such as 007.
    if (error instanceof SyntaxError) return value;
    throw error;
  }
}

function ended(exporter: Exporter, door: Door): void {
  exporter.gone();
  door.gone();
}

/** @param isUsed it is not idle, however little is said */
function connected<M>(
  exporter: Exporter,
  link: Conversation<M>,
  behind: Uint8Array,
  isUsed = () => false,
): Upgraded {
  exporter.attach(link);
  link.start(behind);
  return {
    get idleSince() {
      return isUsed() ? undefined : exporter.idleSince;
    },
    evict: () => link.evict("there are too many connections: idle ones go first"),
    close: (code, reason) => link.close(code, reason),
  };
}

/** Everything there is, as binders show it over HTTP. */
const ALL = [{ local: "*", remote: "*" }] as const;

/** A connection that came in over HTTP. */
export function speakUpgraded({ socket, behind, framed, ...door }: Packeted): Upgraded {
  const speak = framed ? speakFramedPackets : speakPackets;
  return speak(socket, { ...door, exported: ALL }, behind);
}

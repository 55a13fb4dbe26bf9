/** Which end of a connection a packet is for: a connection of packets may have both, one of messages has one. */
import { parseForeign, TooManyValues } from "../json.ts";
import type { Protocol } from "../server/conversation.ts";
import { answerOfMessage, answerOfPacket, readable } from "./callers.ts";
import type { Calls } from "./calls.ts";
import type { Exporter } from "./exporter.ts";
import type { Packet } from "./packet.ts";
import { readValues } from "./value.ts";
import { type Offer, RpcError, type Set } from "./wire.ts";
import type { Message } from "./wsapi.ts";

export interface Ends {
  /** Absent: nothing is exported there. */
  readonly exporter?: Exporter | undefined;
  /** Absent: nothing is imported from there. */
  readonly calls?: Calls | undefined;
}

/** Of close frames: RFC 6455, section 7.4. */
const BROKEN = 1002;

export const faultOf: Protocol<unknown>["faultOf"] = (error) => {
  if (error instanceof RpcError) return { code: BROKEN, message: error.message };
  if (error instanceof TooManyValues) return { code: BROKEN, message: error.message };
  return undefined;
};

export const sizeOfPacket = (packet: Packet | Offer | Set): number =>
  "values" in packet ? packet.values.reduce((sum, { bytes }) => sum + bytes.length, 0) : 0;

/** Throws RpcError for what has no meaning there. */
export function routePacket(packet: Packet | Offer | Set, { exporter, calls }: Ends): void {
  switch (packet.type) {
    case "call": {
      if (!exporter) throw new RpcError("it calls who exports nothing");
      const { callid, api, verb, session, token, values } = packet;
      const args = (): unknown => readValues(values);
      const size = sizeOfPacket(packet);
      return exporter.call({ callid, api, verb, session, token, size, args });
    }
    case "create":
      if (packet.kind === "event") calls?.create(packet.id, packet.name);
      // Types of its own are of no use here: a value of one has no JSON.
      else if (packet.kind !== "type") exporter?.name(packet.kind, packet.id, packet.name);
      return;
    case "destroy":
      if (packet.kind === "event") calls?.destroy(packet.id);
      else if (packet.kind !== "type") exporter?.forget(packet.kind, packet.id);
      return;
    case "unexpected":
      return exporter?.unexpected(packet.event);
    case "offer":
    case "set":
      throw new RpcError("the version has been agreed on");
  }
  if (!calls) throw new RpcError("it answers who does not call");
  switch (packet.type) {
    case "reply":
      return calls.reply(packet.callid, answerOfPacket(packet));
    case "subscribe":
    case "unsubscribe":
      return calls[packet.type](packet.callid, packet.event);
    case "push":
      return calls.push(packet.event, () => readable(() => readValues(packet.values)));
    case "broadcast":
      // Whose it is nobody says: it is for clients of the other binder.
      return;
  }
}

/** Of an exporter. Throws RpcError for what has no meaning there. */
export function routeMessage(message: Message, calls: Calls): void {
  switch (message.type) {
    case "reply":
      return calls.reply(message.callid, answerOfMessage(message));
    case "create":
      if (message.kind === "event") calls.create(message.id, message.name);
      return;
    case "destroy":
      if (message.kind === "event") calls.destroy(message.id);
      return;
    case "subscribe":
    case "unsubscribe":
      return calls[message.type](message.callid, message.event);
    case "push": {
      const { json } = message;
      return calls.push(message.event, () =>
        readable(() => (json === null ? null : parseForeign(json))),
      );
    }
    case "broadcast":
    case "description":
      return;
    default:
      throw new RpcError(`an exporter does not say ${message.type}`);
  }
}

/** What an exporter says, in the packets of v3 and in the messages of WSAPI. */
import type { Reply } from "../api/reply.ts";
import { encodeFrame } from "../server/encode.ts";
import { stringify } from "../api/event-data.ts";
import { OPCODE } from "../server/frames.ts";
import type { Speaker } from "./exporter.ts";
import { encodePacket } from "./encode-packet.ts";
import type { Packet } from "./packet.ts";
import { jsonValue, MOST_VALUE, type Value } from "./value.ts";
import { encodeMessage, type Message } from "./wsapi.ts";

/** JSON never has a NUL in it. */
const jsonOf = (value: unknown): string => stringify(value ?? null) ?? "null";

/** Characters of what an error says. */
const MOST_INFO = 4096;

/** Code, and the value if there is one: what a verb answers, or what its error says. */
function told({ request, response }: Reply): { info?: string; value?: unknown } {
  // What a program has printed may be in it.
  const info = request.info?.slice(0, MOST_INFO).replaceAll("\0", "\ufffd");
  if (request.status === "success") return response === undefined ? {} : { value: response };
  return info === undefined ? {} : { info, value: info };
}

/** Of the process, as in binders: nobody looks at it. */
let seqno = 0;
export const nextSeqno = (): number => (seqno = (seqno % 0xffff) + 1);

/** @param framed puts packets into frames, where they travel in these */
export function packetSpeaker(framed = (packet: Buffer): Buffer => packet): Speaker {
  const packet = (one: Packet): Buffer => framed(encodePacket(one, nextSeqno()));
  const values = (value: unknown): Value[] | undefined => {
    const json = jsonValue(jsonOf(value));
    return json.bytes.length > MOST_VALUE ? undefined : [json];
  };
  return {
    reply(callid, reply) {
      const { code: status } = reply.request;
      const { value } = told(reply);
      const found = value === undefined ? [] : values(value);
      return found && packet({ type: "reply", callid, status, values: found });
    },
    create: (id, name) => packet({ type: "create", kind: "event", id, name }),
    subscribe: (callid, event) => packet({ type: "subscribe", callid, event }),
    push(event, data) {
      const found = values(data);
      return found && packet({ type: "push", event, values: found });
    },
    destroy: (id) => packet({ type: "destroy", kind: "event", id }),
    most: MOST_VALUE - 1,
    advice:
      "start the command with an encoder that sends events, or give the encoder a maxlen or maxline; --ws-server carries 1 MB",
  };
}

/** Most bytes of a frame that binders take by default. */
const MOST_FRAME = 1_048_500;
/** Of it, at most so much is around the JSON. */
const AROUND = 8192;
export const MOST_JSON = MOST_FRAME - AROUND;

export function messageSpeaker(): Speaker {
  const frame = (message: Message): Buffer => encodeFrame(OPCODE.binary, encodeMessage(message));
  const json = (value: unknown): string | undefined => {
    const text = jsonOf(value);
    return Buffer.byteLength(text) > MOST_JSON ? undefined : text;
  };
  return {
    reply(callid, reply) {
      const { status, code } = reply.request;
      const { info = null, value } = told(reply);
      // There is no room for a code: who gives one of its own is told as the text.
      const error = code >= 0 ? null : status;
      const text = json(error === null ? value : undefined);
      return text === undefined
        ? undefined
        : frame({ type: "reply", callid, error, info, json: text });
    },
    create: (id, name) => frame({ type: "create", kind: "event", id, name }),
    subscribe: (callid, event) => frame({ type: "subscribe", callid, event }),
    push(event, data) {
      const text = json(data);
      return text === undefined ? undefined : frame({ type: "push", event, json: text });
    },
    destroy: (id) => frame({ type: "destroy", kind: "event", id }),
    most: MOST_JSON,
    advice:
      "start the command with an encoder that sends events, or give the encoder a maxlen or maxline",
  };
}

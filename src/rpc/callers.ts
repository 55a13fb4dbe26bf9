/** What an importer says, in the packets of v3 and in the messages of WSAPI, and what replies to it mean. */
import { type Request, SERVER_SESSION } from "../api/client.ts";
import { AfbError, type FailureStatus, STATUS } from "../errors.ts";
import { parseForeign } from "../json.ts";
import { encodeFrame } from "../server/encode.ts";
import { stringify } from "../api/event-data.ts";
import { OPCODE } from "../server/frames.ts";
import type { Answer, Caller } from "./calls.ts";
import { credsOf } from "./creds.ts";
import { encodePacket } from "./encode-packet.ts";
import type { Packet } from "./packet.ts";
import { MOST_JSON, nextSeqno } from "./speakers.ts";
import { isUnreadable, jsonValue, MOST_VALUE, readValues } from "./value.ts";
import { encodeMessage, type Message } from "./wsapi.ts";

const jsonOf = ({ args }: Request): string => stringify(args ?? null) ?? "null";

export function packetCaller(): Caller {
  const packet = (one: Packet): Buffer => encodePacket(one, nextSeqno());
  return {
    call(callid, api, session, token, asked) {
      const value = jsonValue(jsonOf(asked));
      if (value.bytes.length > MOST_VALUE) return undefined;
      return packet({
        type: "call",
        callid,
        api,
        verb: asked.verb,
        session,
        token,
        values: [value],
      });
    },
    create: (kind, id, name) => packet({ type: "create", kind, id, name }),
    unexpected: (event) => packet({ type: "unexpected", event }),
    most: MOST_VALUE - 1,
  };
}

/** One API over each connection: it has no name there. */
export function messageCaller(): Caller {
  const frame = (message: Message): Buffer => encodeFrame(OPCODE.binary, encodeMessage(message));
  return {
    call(callid, _api, session, token, asked) {
      const json = jsonOf(asked);
      if (Buffer.byteLength(json) > MOST_JSON) return undefined;
      const { caller } = asked;
      // Our own actions are our own user's.
      const creds = asked.session === SERVER_SESSION ? null : credsOf(caller?.user);
      return frame({ type: "call", callid, verb: asked.verb, session, token, json, creds });
    },
    create: (kind, id, name) => frame({ type: "create", kind, id, name }),
    unexpected: (event) => frame({ type: "unexpected", event }),
    most: MOST_JSON,
  };
}

/** An error with a code of the verb's own; see reply.ts. */
class OwnError extends Error {
  constructor(
    readonly code: number,
    message: string,
    readonly status = "error",
  ) {
    super(message);
  }
}

/** What a packet or message tells, or that it cannot be read. */
export function readable(read: () => unknown): unknown {
  try {
    return read() ?? null;
  } catch (error) {
    if (isUnreadable(error)) return { unreadable: error.message };
    throw error;
  }
}

const WORDS = new Map<number, FailureStatus>(
  (Object.keys(STATUS) as (keyof typeof STATUS)[]).flatMap((status) =>
    status === "success" ? [] : [[STATUS[status].code, status] as const],
  ),
);
const FAILURES = new Set<string>(WORDS.values());
const isFailure = (word: string): word is FailureStatus => FAILURES.has(word);

/** From here on down codes are a verb's own. */
const OWN = -1000;

export function answerOfPacket({ status, values }: Extract<Packet, { type: "reply" }>): Answer {
  const value = values.length === 0 ? undefined : readable(() => readValues(values));
  if (status >= 0) return { response: value };
  const info = typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
  if (status <= OWN) return { error: new OwnError(status, info) };
  const word = WORDS.get(status);
  return {
    error: word ? new AfbError(word, info) : new AfbError("internal-error", `${status}: ${info}`),
  };
}

/** What version 1 has for a code is a text. */
export function answerOfMessage({
  error,
  info,
  json,
}: Extract<Message, { type: "reply" }>): Answer {
  if (error === null)
    return { response: json === null ? undefined : readable(() => parseForeign(json)) };
  const text = info ?? (json === null || json === "null" ? "" : json);
  if (isFailure(error)) return { error: new AfbError(error, text) };
  if (/^[\w-]{1,64}$/.test(error)) return { error: new OwnError(OWN, text, error) };
  return { error: new OwnError(OWN, text === "" ? error : `${error}: ${text}`) };
}

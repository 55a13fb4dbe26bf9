/** Events as they go out. What one gets, others may get as well, a task has hundreds of followers: so it is made once for all. */
import { stringify } from "../api/event-data.ts";
import { encodeFrame } from "./encode.ts";
import { OPCODE } from "./frames.ts";

const EVENT = 5;

interface Sent {
  readonly event: string;
  readonly data: unknown;
  readonly text: string;
  /** As it went to the first WebSocket; from the second on it is worth a frame for all. */
  message: string | Buffer | undefined;
}

/** What was sent last. Only until the code that sends it is done: afterwards the same object may be another event. */
let last: Sent | undefined;
let forgetting = false;

function sent(event: string, data: unknown): Sent {
  if (last && last.data === data && last.event === event) return last;
  const one: Sent = { event, data, text: encode(event, data), message: undefined };
  last = one;
  if (!forgetting) {
    forgetting = true;
    queueMicrotask(() => {
      last = undefined;
      forgetting = false;
    });
  }
  return one;
}

/** The `afb-event` object. */
export const encodeEvent = (event: string, data: unknown): string => sent(event, data).text;

/** The message of x-afb-ws-json1 that carries it: a text, or the frame of one. */
export function eventMessage(event: string, data: unknown): string | Buffer {
  const one = sent(event, data);
  if (typeof one.message === "string") {
    one.message = encodeFrame(OPCODE.text, Buffer.from(one.message));
  }
  return (one.message ??= `[${EVENT},${quoted(event)},${one.text}]`);
}

/** As JSON. A task sends thousands of events of one name in a row. */
function quoted(event: string): string {
  if (event !== named) [named, json] = [event, JSON.stringify(event)];
  return json;
}
let named = "";
let json = '""';

function encode(event: string, data: unknown): string {
  const json = stringify(data);
  const value = json === undefined ? "" : `,"data":${json}`;
  return `{"jtype":"afb-event","event":${quoted(event)}${value}}`;
}

/** A conversation of messages of one byte each, over a real socket. */
import { LONG } from "../../src/json.ts";
import {
  Conversation,
  type ConversationLimits,
  type Protocol,
} from "../../src/server/conversation.ts";
import { pair } from "./raw-pair.ts";

export class Fault extends Error {}

/** @param handle is given each message, with the conversation: one byte, but for `L` and `l`, which count as long and as not yet, and `?`, behind which it is not complete */
export async function talking(
  handle: (message: string, of: Conversation<string>) => void,
  limits: ConversationLimits = {},
) {
  const { raw, client } = await pair();
  const said: string[] = [];
  let bytes = "";
  const reader = {
    /** Of a message that is not complete. */
    held: 0,
    message: 0,
    push: (chunk: Uint8Array) => {
      bytes += Buffer.from(chunk).toString();
      if (bytes.startsWith("?")) reader.held = bytes.length;
    },
    /** What was not is complete. */
    complete: () => {
      bytes = bytes.slice(1);
      reader.held = 0;
    },
    next: () => {
      const [first] = bytes;
      if (first === "?") return undefined;
      bytes = bytes.slice(1);
      return first;
    },
  };
  const protocol: Protocol<string> = {
    reader,
    sizeOf: (message) => (message === "L" ? LONG + 1 : message === "l" ? LONG : 1),
    handle: (message) => {
      said.push(message);
      handle(message, of);
      said.push(`/${message}`);
    },
    goodbye: (code, reason) => (code === 4000 ? undefined : Buffer.from(`${code} ${reason}`)),
    faultOf: (error) => (error instanceof Fault ? { code: 1002, message: "odd" } : undefined),
    gone: () => void said.push("gone"),
  };
  const of = new Conversation<string>(raw, protocol, limits);
  let heard = "";
  client.on("data", (chunk: Buffer) => (heard += chunk.toString()));
  return { raw, client, of, said, reader, heard: () => heard };
}

/** Messages of a server, read. */
import type { Reply } from "../api/reply.ts";
import { isObject } from "../object.ts";

export type ServerFrame =
  | { readonly kind: "event"; readonly name: string; readonly data: unknown }
  | { readonly kind: "reply"; readonly id: string; readonly reply: Reply };

/**
 * undefined for what an AFB server does not send.
 * @param parseJson how the data is read; JSON.parse by default
 */
export function decodeFrame(text: string, parseJson = JSON.parse): ServerFrame | undefined {
  const [kind, name, body] = parse(text, parseJson);
  if (typeof name !== "string" || !isObject(body)) return undefined;
  if (kind === 5) return { kind: "event", name, data: body["data"] };
  if ((kind === 3 || kind === 4) && isReply(body)) return { kind: "reply", id: name, reply: body };
  return undefined;
}

function parse(text: string, parseJson: (text: string) => unknown): unknown[] {
  try {
    const frame: unknown = parseJson(text);
    return Array.isArray(frame) ? frame : [];
  } catch (error) {
    if (error instanceof SyntaxError) return [];
    throw error;
  }
}

function isReply(value: object): value is Reply {
  return (
    "request" in value && isObject(value.request) && typeof value.request["status"] === "string"
  );
}

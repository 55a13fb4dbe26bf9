/** Output as text. */
import { isUtf8 } from "node:buffer";
import type { Hold } from "./hold.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
/** U+FFFD as the command has printed it itself. */
const PRINTED = Buffer.from("\ufffd");

/** Text of whole lines or values. What is no UTF-8 is U+FFFD, and counted in `hold`. A byte order mark is data. */
export function decode(bytes: Uint8Array, hold: Hold): string {
  const text = decoder.decode(bytes);
  if (text.includes("\ufffd")) hold.replace(replacedIn(bytes, text));
  return text;
}

/** undefined where it is no UTF-8. To look first is faster than a decoder that is to fail. */
export const decodeStrictly = (bytes: Uint8Array): string | undefined =>
  isUtf8(bytes) ? decoder.decode(bytes) : undefined;

/** Bytes in whose place the text has U+FFFD: all but those of its other characters. */
function replacedIn(bytes: Uint8Array, text: string): number {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let printed = 0;
  for (let at = buffer.indexOf(PRINTED); at >= 0; at = buffer.indexOf(PRINTED, at + 3)) printed++;
  let marks = 0;
  for (let at = text.indexOf("\ufffd"); at >= 0; at = text.indexOf("\ufffd", at + 1)) marks++;
  return bytes.length - (Buffer.byteLength(text) - 3 * (marks - printed));
}

/** How much of the bytes is left when a character that their end has cut in two is left out: up to three bytes less. */
export function wholeLength(bytes: Uint8Array): number {
  for (let back = 1; back <= 3 && back <= bytes.length; back++) {
    const byte = bytes[bytes.length - back] as number;
    if (byte < 0x80) break;
    if (byte < 0xc0) continue;
    const needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2;
    return needed > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}

/** The body of a request, decoded from its framing (RFC 9112, sections 6 and 7): pieces, as they come. */
import { HttpFault } from "./fault.ts";
import { addField, type BodyFraming } from "./head.ts";
import type { Input } from "./input.ts";

/** What the other side began and did not finish. */
export class Truncated extends Error {}

/** Most lines behind the last chunk. */
const TRAILERS = 64;

/** @throws HttpFault for a framing that is none, Truncated where the connection ends within it */
export async function* readBody(input: Input, framing: BodyFraming): AsyncGenerator<Buffer> {
  if (framing.kind === "length") {
    yield* exactly(input, framing.length);
    return;
  }
  for (;;) {
    const size = chunkSize(await needed(input.line()));
    if (size === 0) break;
    yield* exactly(input, size);
    if ((await needed(input.line())) !== "")
      throw new HttpFault(400, "a chunk is not as long as it says");
  }
  // What they say is about the content, and nothing here reads it. What is none may be the next request to who forwards it.
  const trailers = new Map<string, string>();
  for (let i = 0; ; i++) {
    const line = await needed(input.line());
    if (line === "") break;
    if (i >= TRAILERS) throw new HttpFault(431, "there are too many trailers");
    addField(trailers, line);
  }
}

async function* exactly(input: Input, length: number): AsyncGenerator<Buffer> {
  for (let left = length; left > 0;) {
    const part = await needed(input.some(left));
    left -= part.length;
    yield part;
  }
}

async function needed<Part>(part: Promise<Part | undefined>): Promise<Part> {
  const found = await part;
  if (found === undefined) throw new Truncated("the client left before the end of its request");
  return found;
}

/** Extensions behind the size mean nothing here. */
function chunkSize(line: string): number {
  const digits = /^([0-9A-Fa-f]{1,8})[\t ]*(?:;[\t\x20-\x7e\x80-\xff]*)?$/.exec(line)?.[1];
  if (digits === undefined) throw new HttpFault(400, "a chunk does not begin with its size");
  return parseInt(digits, 16);
}

/** How the output of a task is encoded for who has started it: as its config says, unless the request wants it otherwise. */
import type { Bytes } from "../encoders/encoder.ts";
import { file, fileOf, into } from "../encoders/file.ts";
import { line } from "../encoders/line.ts";
import { log, logged } from "../encoders/log.ts";
import { raw } from "../encoders/raw.ts";
import { sync } from "../encoders/sync.ts";
import { text } from "../encoders/text.ts";
import type { Request } from "./client.ts";
import type { Query } from "./query.ts";
import type { Encoded } from "./run.ts";

/** @param bytes of {@link bytesFor} */
export function encodingFor(
  encoded: Encoded,
  bytes: Bytes | undefined,
  { wait }: Pick<Query, "wait">,
  request: Pick<Request, "wait" | "live">,
): Encoded {
  if (bytes) return { encoder: into(bytes), opts: {} };
  if (wait || request.wait) return waiting(encoded);
  return request.live ? live(encoded) : encoded;
}

/** Who takes the output as it is, where it can be had so. */
export const bytesFor = (
  { encoder, opts }: Encoded,
  { bytes }: Request,
): Promise<Bytes> | undefined => (bytes && encoder === file ? bytes(fileOf(opts)) : undefined);

/** The encoding of what is to be seen as it is printed: lines, where they are lines. */
const live = (encoded: Encoded): Encoded => {
  const { encoder, opts } = encoded;
  if (encoder !== text && encoder !== sync) return encoded;
  const { maxlen, maxline } = opts;
  // So many that are kept, and not so many that come.
  if (maxline !== undefined) return encoded;
  return { encoder: line, opts: { partial: false, ...(maxlen !== undefined && { maxlen }) } };
};

/**
 * The encoding of a reply that waits for the end: an asynchronous encoder has no fields for it, so `sync` stands in. No caller can
 * have what is the operator's, nor keep it from the operator.
 */
function waiting(encoded: Encoded): Encoded {
  if (encoded.encoder.synchronous) return encoded;
  if (encoded.encoder === log) return { ...encoded, encoder: logged };
  if (encoded.encoder === file) return { encoder: raw, opts: { encoding: "base64" } };
  // Of the same kind of options where the encoder has lines too; a json `maxlen` is another thing.
  const alike = encoded.encoder.name === "text" || encoded.encoder.name === "line";
  return { encoder: sync, opts: alike ? encoded.opts : {} };
}

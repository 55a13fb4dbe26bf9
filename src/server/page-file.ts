/** One file as a response: its type, its validators (RFC 9110, section 8.8), and its bytes as fast as the client reads. */
import { type BigIntStats, closeSync, read } from "node:fs";
import { promisify } from "node:util";
import { openHandle } from "../../ffi/beneath.ts";
import { AfbError } from "../errors.ts";

export interface PageFile {
  /** O_PATH: the file itself, whatever its name is by now. */
  readonly handle: number;
  readonly stat: BigIntStats;
  readonly name: string;
}

const readAt = promisify(read);
/** Bytes of one read: what a response costs in memory, besides what the socket holds. */
const CHUNK = 64 * 1024;

/** @param ancestors See Pages. Throws AfbError when the server may not read the file. */
export async function respondFile(
  request: Request,
  { handle, stat, name }: PageFile,
  ancestors: string,
): Promise<Response> {
  const modified = new Date(Number(stat.mtimeMs));
  // Weak: written twice within one tick of the clock, a file may have changed.
  const etag = `W/"${stat.ino.toString(36)}-${stat.size.toString(36)}-${stat.mtimeNs.toString(36)}"`;
  const headers = {
    etag,
    "last-modified": modified.toUTCString(),
    // Kept, but asked for each time: an update of the page shows at once.
    "cache-control": "no-cache",
    "x-content-type-options": "nosniff",
    // Nobody lays a page that can call verbs under one of their own.
    "content-security-policy": `frame-ancestors ${ancestors}`,
    "referrer-policy": "same-origin",
  };
  if (unchanged(request.headers, etag, modified)) {
    return new Response(null, { status: 304, headers });
  }
  const size = Number(stat.size);
  const about = {
    ...headers,
    "content-type": Bun.file(name).type,
    "content-length": String(size),
  };
  const empty = request.method !== "GET" || size === 0;
  return new Response(empty ? null : bytes(open(handle, name), size), { headers: about });
}

/** If-None-Match, or without it If-Modified-Since: RFC 9110, section 13.2.2. */
function unchanged(headers: Headers, etag: string, modified: Date): boolean {
  const match = headers.get("if-none-match");
  if (match !== null) {
    return match.split(",").some((one) => ["*", etag].includes(one.trim()));
  }
  const since = Date.parse(headers.get("if-modified-since") ?? "");
  // The header has whole seconds.
  return Math.floor(modified.getTime() / 1000) * 1000 <= since;
}

function open(handle: number, name: string): number {
  try {
    return openHandle(handle);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EACCES")) throw error;
    throw new AfbError("forbidden", `the server may not read ${name}`);
  }
}

/** `size` bytes of the file, which is closed at the end. A file that became shorter breaks the response off. */
function bytes(fd: number, size: number): ReadableStream<Uint8Array> {
  let at = 0;
  const pull = async (
    controller: Pick<ReadableStreamDefaultController<Uint8Array>, "enqueue" | "close">,
  ): Promise<void> => {
    const chunk = new Uint8Array(Math.min(CHUNK, size - at));
    let failed = true;
    try {
      const { bytesRead } = await readAt(fd, chunk, 0, chunk.length, at);
      if (bytesRead === 0) throw new Error(`the file became shorter than ${size} bytes`);
      at += bytesRead;
      controller.enqueue(chunk.subarray(0, bytesRead));
      failed = false;
    } finally {
      if (failed || at === size) closeSync(fd);
    }
    if (at === size) controller.close();
  };
  // Without a reserve nothing is being read when the stream is cancelled, so the number can be closed.
  return new ReadableStream<Uint8Array>(
    { pull, cancel: () => closeSync(fd) },
    { highWaterMark: 0 },
  );
}

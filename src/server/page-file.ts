/**
 * One file as a response: its type, its validators (RFC 9110, section 8.8), and its bytes, or a range of them, as fast as the
 * client reads.
 */
import { type BigIntStats, closeSync, read } from "node:fs";
import { openHandle } from "../../ffi/beneath.ts";
import { CREDIBLE } from "../credible.ts";
import { AfbError } from "../errors.ts";
import { contentRange, type Range, rangeOf } from "./range.ts";

export interface PageFile {
  /** O_PATH: the file itself, whatever its name is by now. */
  readonly handle: number;
  readonly stat: BigIntStats;
  readonly name: string;
}

/** How many bytes have come, of those at `from` of an open file: pread(2). */
const readAt = (fd: number, chunk: Uint8Array, from: number): Promise<number> =>
  new Promise((resolve, reject) => {
    read(fd, chunk, 0, chunk.length, from, (error, count) =>
      error ? reject(error) : resolve(count),
    );
  });
/** Bytes of one read: what a response costs in memory, besides what the socket holds. */
const CHUNK = 64 * 1024;

/** @param ancestors See Pages. Throws AfbError when the server may not read the file. */
export async function respondFile(
  request: Request,
  { handle, stat, name }: PageFile,
  ancestors: string,
): Promise<Response> {
  const modified = new Date(Number(stat.mtimeMs));
  const etag = etagOf(stat);
  const headers = {
    etag,
    "accept-ranges": "bytes",
    ...(isDated(modified) && { "last-modified": modified.toUTCString() }),
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
  const range = request.method === "GET" ? rangeAsked(request.headers, etag, size) : undefined;
  if (range === "none") {
    const about = { ...headers, "content-range": contentRange(range, size) };
    return new Response(null, { status: 416, headers: about });
  }
  const { from, to } = range ?? { from: 0, to: size };
  const about = {
    ...headers,
    "content-type": Bun.file(name).type,
    "content-length": String(to - from),
    ...(range && { "content-range": contentRange(range, size) }),
  };
  const empty = request.method !== "GET" || size === 0;
  const body = empty ? null : bytes(open(handle, name), { from, to });
  return new Response(body, { status: range ? 206 : 200, headers: about });
}

/**
 * Of images of a system that are built alike all files have one time, of 1970 or of some day, and another content of the same size
 * the same number: nothing tells a page of the image before. So tags are those of this server, as an image comes with its start.
 */
const START = crypto.randomUUID().slice(0, 8);

/** Nor is a time that such images have one to compare with. */
const isDated = (modified: Date): boolean => modified.getTime() >= CREDIBLE;

/** Milliseconds after which the next change of a file must have another time, whatever the ticks of its file system. */
const SETTLED = 2000;

/**
 * Strong, so that ranges can be put together, but for a file that has just changed: written twice within one tick of the
 * clock, it would have the same times. Then it is weak, and another than that of later. The time of the change of the inode
 * is part of it, since that of the content can be set.
 */
function etagOf({ ino, size, mtimeNs, ctimeNs, ctimeMs }: BigIntStats): string {
  const numbers = [ino, size, mtimeNs, ctimeNs].map((number) => number.toString(36));
  const tag = [START, ...numbers].join("-");
  return Date.now() - Number(ctimeMs) > SETTLED ? `"${tag}"` : `W/"${tag}-new"`;
}

/**
 * Range, if If-Range allows it: the same strong entity tag as now (RFC 9110, section 13.1.5). A date there never does: a
 * second is too long to tell that a file is the same.
 */
function rangeAsked(headers: Headers, etag: string, size: number): Range | "none" | undefined {
  const condition = headers.get("if-range");
  if (condition !== null && (condition !== etag || etag.startsWith("W/"))) return undefined;
  return rangeOf(headers.get("range"), size);
}

/** If-None-Match, or without it If-Modified-Since: RFC 9110, section 13.2.2. */
function unchanged(headers: Headers, etag: string, modified: Date): boolean {
  const match = headers.get("if-none-match");
  if (match !== null) {
    // Weak or strong does not matter here: proxies that compress make strong ones weak.
    const plain = (tag: string) => tag.trim().replace(/^W\//, "");
    return match.split(",").some((one) => ["*", plain(etag)].includes(plain(one)));
  }
  if (!isDated(modified)) return false;
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

/** This part of the file, which is closed at the end. A file that became shorter breaks the response off. */
function bytes(fd: number, { from, to }: Range): ReadableStream<Uint8Array> {
  let at = from;
  const pull = async (
    controller: Pick<ReadableStreamDefaultController<Uint8Array>, "enqueue" | "close">,
  ): Promise<void> => {
    const chunk = new Uint8Array(Math.min(CHUNK, to - at));
    let failed = true;
    try {
      const bytesRead = await readAt(fd, chunk, at);
      if (bytesRead === 0) throw new Error(`the file became shorter than ${to} bytes`);
      at += bytesRead;
      controller.enqueue(chunk.subarray(0, bytesRead));
      failed = false;
    } finally {
      if (failed || at === to) closeSync(fd);
    }
    if (at === to) controller.close();
  };
  // Without a reserve nothing is being read when the stream is cancelled, so the number can be closed.
  return new ReadableStream<Uint8Array>(
    { pull, cancel: () => closeSync(fd) },
    { highWaterMark: 0 },
  );
}

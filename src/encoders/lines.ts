/** Bytes to lines of text, as they come. Memory is bounded by `maxlen` and the chunk, time is linear, for any input. */

/**
 * Splits one stream at `\n`. A `\r` stays in its line; the last line needs no `\n`. Invalid UTF-8 becomes U+FFFD and a byte
 * order mark is data. A line of more than `maxlen` UTF-16 units comes in pieces of at most `maxlen`, each but the last
 * ending in `\`; a cut never divides a surrogate pair. `maxlen` is 3 or more.
 */
export class LineSplitter {
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  readonly #maxlen: number;
  /** The line so far: at most `maxlen` units, since a longer one is cut at once. */
  #rest = "";

  constructor(maxlen: number) {
    this.#maxlen = maxlen;
  }

  /** The lines that `chunk` completes. Iterate to the end before the next call. */
  *push(chunk: Uint8Array): Generator<string, void> {
    const text = this.#decoder.decode(chunk, { stream: true });
    let start = 0;
    for (let end = text.indexOf("\n"); end >= 0; end = text.indexOf("\n", start)) {
      const line = text.slice(start, end);
      start = end + 1;
      if (this.#rest.length + line.length <= this.#maxlen) {
        yield this.#rest === "" ? line : this.#rest + line;
      } else {
        yield* this.#cut(line);
        yield this.#rest;
      }
      this.#rest = "";
    }
    yield* this.#cut(start === 0 ? text : text.slice(start));
  }

  /** The last line, where it had no `\n`. */
  *end(): Generator<string, void> {
    yield* this.#cut(this.#decoder.decode());
    if (this.#rest !== "") yield this.#rest;
  }

  /** Adds text without `\n` to the line; yields the pieces that do not fit. */
  *#cut(text: string): Generator<string, void> {
    const line = this.#rest + text;
    if (line.length <= this.#maxlen) {
      this.#rest = line;
      return;
    }
    // The last piece may have more to come.
    let last: string | undefined;
    for (const piece of inPieces(line, this.#maxlen)) {
      if (last !== undefined) yield last;
      last = piece;
    }
    this.#rest = last ?? "";
  }
}

/** The pieces of a line: each of at most `maxlen` units, all but the last ending in `\`. A cut never divides a surrogate pair. */
export function* inPieces(line: string, maxlen: number): Generator<string, void> {
  let start = 0;
  while (line.length - start > maxlen) {
    // One unit is for the `\`, and a high surrogate takes its low one along to the next piece.
    let end = start + maxlen - 1;
    const last = line.charCodeAt(end - 1);
    if (last >= 0xd800 && last <= 0xdbff) end--;
    yield `${line.slice(start, end)}\\`;
    start = end;
  }
  yield start === 0 ? line : line.slice(start);
}

/**
 * Sends each item, waiting where the receiver asks for it. Returns nothing when it never did: a stream of a million lines
 * must not cost a microtask each.
 */
export function deliver<T>(
  items: Iterator<T>,
  send: (item: T) => void | Promise<void>,
): void | Promise<void> {
  for (let next = items.next(); next.done !== true; next = items.next()) {
    const pause = send(next.value);
    if (pause) return resume(pause, items, send);
  }
}

async function resume<T>(
  pause: Promise<void>,
  items: Iterator<T>,
  send: (item: T) => void | Promise<void>,
): Promise<void> {
  await pause;
  for (let next = items.next(); next.done !== true; next = items.next()) {
    const more = send(next.value);
    if (more) await more;
  }
}

/** stdout and stderr as whole strings, in the reply; both always present. */
import { ByteBuffer } from "./bytes.ts";
import type { Encoder, Fields } from "./encoder.ts";
import { checkOptions, integer, LINE_COUNT, type Options } from "./options.ts";

const OPTIONS = {
  /** Bytes kept of each stream. An endless command must not eat the server's memory; what is more is cut and flagged. */
  maxlen: { type: "integer", min: 1, max: 1 << 28, default: 8 << 20 },
  // Means nothing here; see line.ts.
  maxline: LINE_COUNT,
} as const satisfies Options;

/** One stream; `stdout-overflow` or `stderr-overflow` tells that it was cut. */
class Whole {
  readonly #bytes: ByteBuffer;
  overflow = false;

  constructor(limit: number) {
    this.#bytes = new ByteBuffer(limit);
  }

  push(chunk: Uint8Array): void {
    if (!this.overflow && !this.#bytes.append(chunk)) this.overflow = true;
  }

  text(): string {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    const text = decoder.decode(this.#bytes.view(), { stream: true });
    // A character that the limit cut in two is left out; one that the command left unfinished is U+FFFD.
    return this.overflow ? text : text + decoder.decode();
  }
}

export const raw: Encoder = {
  name: "raw",
  synchronous: true,
  check: (opts) => checkOptions("raw", OPTIONS, opts),
  begin(opts) {
    const maxlen = integer(opts, "maxlen", OPTIONS.maxlen);
    const stdout = new Whole(maxlen);
    const stderr = new Whole(maxlen);
    return {
      stdout: (chunk) => stdout.push(chunk),
      stderr: (chunk) => stderr.push(chunk),
      end() {
        const fields: Fields = { stdout: stdout.text(), stderr: stderr.text() };
        if (stdout.overflow) fields["stdout-overflow"] = true;
        if (stderr.overflow) fields["stderr-overflow"] = true;
        return fields;
      },
    };
  },
};

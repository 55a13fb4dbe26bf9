/** One data event per JSON value on stdout, one per line of stderr; what is not JSON becomes a `json-error`. */
import type { Encoder } from "./encoder.ts";
import { lineEvents } from "./line.ts";
import { deliver } from "./lines.ts";
import { checkOptions, integer, LINE_COUNT, LINE_LENGTH, type Options } from "./options.ts";
import { JsonScanner, type Scanned } from "./scanner.ts";

const OPTIONS = {
  /** Bytes of one value. A longer one is a `json-error`. */
  maxlen: { type: "integer", min: 1, max: 1 << 28, default: 1 << 20 },
  /** Brackets within brackets; what reads the event must be able to follow. */
  maxdepth: { type: "integer", min: 1, max: 4096, default: 512 },
  /** What is no JSON by RFC 8259, but for json-c, is a `json-error` too. */
  strict: { type: "flag" },
  // Means nothing here; see line.ts.
  maxline: LINE_COUNT,
} as const satisfies Options;

export const json: Encoder = {
  name: "json",
  synchronous: false,
  check: (opts) => checkOptions("json", OPTIONS, opts),
  begin(opts, emit) {
    const scanner = new JsonScanner(
      integer(opts, "maxlen", OPTIONS.maxlen),
      integer(opts, "maxdepth", OPTIONS.maxdepth),
      opts["strict"] === true,
    );
    const stderr = lineEvents("stderr", LINE_LENGTH.default, emit);
    const send = (scanned: Scanned) =>
      emit("error" in scanned ? { "json-error": scanned.error } : { stdout: scanned.value });
    return {
      stdout: (chunk) => deliver(scanner.push(chunk), send),
      stderr: stderr.push,
      end() {
        const first = deliver(scanner.end(), send);
        if (first) return first.then(() => stderr.end()).then(() => ({}));
        const second = stderr.end();
        return second ? second.then(() => ({})) : {};
      },
    };
  },
};

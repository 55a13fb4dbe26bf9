/** One data event per JSON value on stdout, one per line of stderr; what is not JSON becomes a `json-error`. */
import type { Encoder } from "./encoder.ts";
import { LineEvents } from "./line.ts";
import { deliver } from "./lines.ts";
import { checkOptions, integer, LINE_COUNT, type Options } from "./options.ts";
import { JsonScanner, type Scanned } from "./scanner.ts";

const OPTIONS = {
  /** Bytes of one value; by default, what a task may hold. A longer one is a `json-error`. */
  maxlen: { type: "integer", min: 1, max: 1 << 28 },
  /** Brackets within brackets; what reads the event must be able to follow. */
  maxdepth: { type: "integer", min: 1, max: 4096 },
  /** What is no JSON by RFC 8259, but for json-c, is a `json-error` too. */
  strict: { type: "flag" },
  // Means nothing here; see line.ts.
  maxline: LINE_COUNT,
} as const satisfies Options;

const DEPTH = 512;

export const json: Encoder = {
  name: "json",
  synchronous: false,
  check: (opts) => checkOptions("json", OPTIONS, opts),
  begin(opts, emit, about) {
    const { hold } = about;
    const maxlen = integer(opts, "maxlen") ?? hold.most;
    const maxdepth = integer(opts, "maxdepth") ?? DEPTH;
    const scanner = new JsonScanner(hold, maxlen, maxdepth, opts["strict"] === true);
    const stderr = new LineEvents("stderr", { cr: true, partial: false }, emit, about);
    const send = (scanned: Scanned) => {
      if ("value" in scanned) return emit({ stdout: scanned.value });
      const { error, bytes } = scanned;
      return emit({ "json-error": error, ...(bytes !== undefined && { bytes }) });
    };
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

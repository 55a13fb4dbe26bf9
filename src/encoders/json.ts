/** One data event per JSON value on stdout, one per line of stderr; what is not JSON becomes a `json-error`. */
import type { Encoder } from "./encoder.ts";
import { LineEvents } from "./line.ts";
import { deliver } from "./lines.ts";
import { checkOptions, integer, withoutIgnored } from "./options.ts";
import { JsonScanner, type Scanned } from "./scanner.ts";

const DEPTH = 512;

export const json: Encoder = {
  name: "json",
  synchronous: false,
  check: (opts) => checkOptions("json", opts),
  adapt: (opts) => withoutIgnored("json", opts),
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

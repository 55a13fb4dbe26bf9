/** The default: the lines of stdout and stderr in one data event at the end; no event when nothing was printed. */
import { COLLECT_OPTIONS, collect } from "./collect.ts";
import type { Encoder } from "./encoder.ts";
import { checkOptions } from "./options.ts";

export const text: Encoder = {
  name: "text",
  synchronous: false,
  check: (opts) => checkOptions("text", COLLECT_OPTIONS, opts),
  begin(opts, emit, about) {
    const lines = collect(opts, about);
    return {
      stdout: lines.stdout,
      stderr: lines.stderr,
      end() {
        const fields = lines.end();
        const sent = Object.keys(fields).length > 0 ? emit(fields) : undefined;
        return sent ? sent.then(() => ({})) : {};
      },
    };
  },
};

/** The default: the lines of stdout and stderr in one data event at the end; no event when nothing was printed. */
import { collect } from "./collect.ts";
import type { Encoder, Fields } from "./encoder.ts";
import { checkOptions } from "./options.ts";

export const text: Encoder = {
  name: "text",
  synchronous: false,
  check: (opts) => checkOptions("text", opts),
  begin(opts, emit, about) {
    const lines = collect(opts, about);
    return {
      stdout: lines.stdout,
      stderr: lines.stderr,
      end() {
        const send = (fields: Fields): void | Promise<void> => {
          if (Object.keys(fields).length > 0) return emit(fields);
        };
        const fields = lines.end();
        if (fields instanceof Promise) return fields.then(send).then(() => ({}));
        const sent = send(fields);
        return sent ? sent.then(() => ({})) : {};
      },
    };
  },
};

/** One data event per line. */
import type { Emit, Encoder } from "./encoder.ts";
import { deliver, LineSplitter } from "./lines.ts";
import { checkOptions, integer, LINE_COUNT, LINE_LENGTH, type Options } from "./options.ts";

const OPTIONS = {
  maxlen: LINE_LENGTH,
  // Means nothing here, but existing configs may say it: the original takes the same two options for every encoder.
  maxline: LINE_COUNT,
} as const satisfies Options;

/** One stream as line events under `key`. */
export function lineEvents(key: "stdout" | "stderr", maxlen: number, emit: Emit) {
  const splitter = new LineSplitter(maxlen);
  const send = (line: string) => emit({ [key]: line });
  return {
    push: (chunk: Uint8Array): void | Promise<void> => deliver(splitter.push(chunk), send),
    end: (): void | Promise<void> => deliver(splitter.end(), send),
  };
}

export const line: Encoder = {
  name: "line",
  synchronous: false,
  check: (opts) => checkOptions("line", OPTIONS, opts),
  begin(opts, emit) {
    const maxlen = integer(opts, "maxlen", OPTIONS.maxlen);
    const stdout = lineEvents("stdout", maxlen, emit);
    const stderr = lineEvents("stderr", maxlen, emit);
    return {
      stdout: stdout.push,
      stderr: stderr.push,
      end() {
        const first = stdout.end();
        if (first) return first.then(() => stderr.end()).then(() => ({}));
        const second = stderr.end();
        return second ? second.then(() => ({})) : {};
      },
    };
  },
};

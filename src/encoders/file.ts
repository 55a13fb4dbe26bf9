/**
 * stdout as it is: to a caller who takes bytes, these themselves; to others events with base64 pieces. stderr goes among what the
 * server itself says then, and into the reply, which is only sent where nothing was printed.
 */
import { collect } from "./collect.ts";
import type { Bytes, Encoder, Fields, File, TaskEncoder } from "./encoder.ts";
import { log } from "./log.ts";
import { checkOptions, withoutIgnored, word } from "./options.ts";

/** A page can have these run in its name, from wherever they come. */
const SCRIPT = /^[^;]*(?:java|ecma|live|j)script/i;

const base64 = (stream: "stdout" | "stderr", chunk: Uint8Array): Fields => ({
  [stream]: Buffer.from(chunk.buffer, chunk.byteOffset, chunk.length).toString("base64"),
  encoding: "base64",
});

export const file: Encoder = {
  name: "file",
  synchronous: false,
  check(opts) {
    const problems = checkOptions("file", opts);
    const type = word(opts, "type") ?? "";
    if (SCRIPT.test(type))
      problems.push(`type: ${JSON.stringify(type)} is run by pages; say application/octet-stream`);
    return problems;
  },
  adapt: (opts) => withoutIgnored("file", opts),
  begin: (_opts, emit) => ({
    stdout: (chunk) => emit(base64("stdout", chunk)),
    stderr: (chunk) => emit(base64("stderr", chunk)),
    end: () => ({}),
  }),
};

export function fileOf(opts: Record<string, unknown>): File {
  const name = word(opts, "name");
  return {
    type: word(opts, "type") ?? "application/octet-stream",
    ...(name !== undefined && { name }),
  };
}

/** For a caller who takes bytes. */
export const into = (bytes: Bytes): TaskEncoder => ({
  name: "file",
  synchronous: true,
  check: () => [],
  async begin(_opts, emit, about) {
    const told = await log.begin({}, emit, about);
    const kept = collect({}, about);
    let printed = false;
    return {
      stdout(chunk) {
        printed = true;
        return bytes.write(chunk);
      },
      stderr(chunk) {
        if (!printed) void kept.stderr(chunk);
        return told.stderr(chunk);
      },
      async end() {
        const fields = await kept.end();
        await told.end();
        return fields;
      },
    };
  },
});

/** stdout and stderr as whole strings, in the reply; both always present. What is no text comes in base64, byte for byte. */
import { ByteBuffer } from "./bytes.ts";
import type { Encoder, Fields } from "./encoder.ts";
import type { Hold } from "./hold.ts";
import { checkOptions, integer, withoutIgnored, word } from "./options.ts";
import { decode, decodeStrictly, wholeLength } from "./utf8.ts";

/** One stream; `stdout-overflow` or `stderr-overflow` tells that it was cut. */
class Whole {
  readonly #bytes: ByteBuffer;

  constructor(
    readonly hold: Hold,
    limit: number | undefined,
  ) {
    this.#bytes = new ByteBuffer(hold, limit);
  }

  push(chunk: Uint8Array): void {
    this.#bytes.append(chunk);
  }

  get overflow(): boolean {
    return this.#bytes.lost > 0;
  }

  /** undefined where it is no text. A character that the limit has cut in two is left out. */
  strictly(): string | undefined {
    const bytes = this.#bytes.view();
    const length = this.overflow ? wholeLength(bytes) : bytes.length;
    const text = decodeStrictly(bytes.subarray(0, length));
    if (text !== undefined && length < bytes.length) this.#bytes.cut(length);
    return text;
  }

  text(): string {
    return this.strictly() ?? decode(this.#bytes.view(), this.hold);
  }

  base64(): string {
    const bytes = this.#bytes.view();
    return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
  }

  end(): void {
    this.hold.lose(this.#bytes.lost);
  }
}

export const raw: Encoder = {
  name: "raw",
  synchronous: true,
  check: (opts) => checkOptions("raw", opts),
  adapt: (opts) => withoutIgnored("raw", opts),
  begin(opts, _emit, { hold }) {
    const maxlen = integer(opts, "maxlen");
    const encoding = word(opts, "encoding") ?? "auto";
    const stdout = new Whole(hold, maxlen);
    const stderr = new Whole(hold, maxlen);
    const fields = (): Fields => {
      if (encoding === "utf8") return { stdout: stdout.text(), stderr: stderr.text() };
      const [out, err] =
        encoding === "auto" ? [stdout.strictly(), stderr.strictly()] : [undefined, undefined];
      if (out !== undefined && err !== undefined) return { stdout: out, stderr: err };
      return { stdout: stdout.base64(), stderr: stderr.base64(), encoding: "base64" };
    };
    return {
      stdout: (chunk) => stdout.push(chunk),
      stderr: (chunk) => stderr.push(chunk),
      end() {
        const found = fields();
        stdout.end();
        stderr.end();
        if (stdout.overflow) found["stdout-overflow"] = true;
        if (stderr.overflow) found["stderr-overflow"] = true;
        return found;
      },
    };
  },
};

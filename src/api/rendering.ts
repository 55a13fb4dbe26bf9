/**
 * Whose output becomes a reply next. Many short lines take ten times as much memory as the bytes they are made of, until the reply
 * is written: so only some are being made at a time, in turns of those who asked.
 */
import { type Asker, Turns } from "./turns.ts";

/** Bytes of output that become replies at a time; a longer one alone. */
const AT_A_TIME = 4 << 20;
/** Bytes that need not wait. */
const TRIFLE = 64 << 10;

interface Entry {
  readonly bytes: number;
  readonly go: (done: () => void) => void;
}

export class Rendering {
  readonly #waiting = new Turns<Entry>();
  #bytes = 0;

  constructor(readonly most = AT_A_TIME) {}

  /** Resolves in its turn, with what is to be called once the reply is made; undefined where it need not wait. */
  enter(asker: Asker, bytes: number): Promise<() => void> | undefined {
    if (bytes <= TRIFLE) return undefined;
    return new Promise((go) => {
      this.#waiting.push(asker, { bytes, go });
      this.#next();
    });
  }

  #next(): void {
    for (;;) {
      const entry = this.#waiting.shift(
        ({ bytes }) => this.#bytes === 0 || this.#bytes + bytes <= this.most,
      );
      if (!entry) return;
      this.#bytes += entry.bytes;
      entry.go(() => {
        this.#bytes -= entry.bytes;
        this.#next();
      });
    }
  }
}

/** Of this process: memory is one. */
export const rendering = new Rendering();

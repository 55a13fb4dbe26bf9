/**
 * Whose output becomes a reply next. Many short lines take ten times as much memory as the bytes they are made of, until the reply
 * is written: so only some are being made at a time, in turns of those who asked.
 */
import { type Asker, Turns } from "./turns.ts";

/** Bytes of output that become replies at a time; a longer one alone. */
const AT_A_TIME = 4 << 20;
/** Bytes that need not wait. */
const TRIFLE = 64 << 10;
/** Milliseconds after which one hangs, as an encoder of a plugin may, and others do not wait for it any more. */
const SLOW = 2_000;

interface Entry {
  readonly bytes: number;
  readonly go: (done: () => void) => void;
}

export class Rendering {
  readonly #waiting = new Turns<Entry>();
  #bytes = 0;

  constructor(
    readonly most = AT_A_TIME,
    readonly slow = SLOW,
  ) {}

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
      const { bytes, go } = entry;
      this.#bytes += bytes;
      let isDone = false;
      const done = (): void => {
        if (isDone) return;
        isDone = true;
        clearTimeout(hanging);
        this.#bytes -= bytes;
        this.#next();
      };
      const hanging = setTimeout(done, this.slow);
      go(done);
    }
  }
}

/** Of this process: memory is one. */
export const rendering = new Rendering();

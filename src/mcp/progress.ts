/** Progress of a call, for who has asked for it: ever more, and not more often than somebody could want to see. */
import type { ProgressToken } from "@modelcontextprotocol/sdk/types.js";
import { visible } from "../visible.ts";
import type { Heard, Step } from "./printed.ts";

/** So many at once, and ms to each one more. */
const AT_ONCE = 20;
const EACH = 100;
/** Characters of a line that are shown. */
const SHOWN = 200;

export interface Notification {
  readonly method: "notifications/progress";
  readonly params: Step & { readonly progressToken: ProgressToken };
}

export class Progress implements Heard {
  #last = -Infinity;
  #lines = 0;
  /** What it says itself counts for more than how many lines there are. */
  #isTold = false;
  #left = AT_ONCE;
  #refilled = performance.now();

  /**
   * @param token undefined: nobody has asked
   * @param send is not waited for
   */
  constructor(
    readonly token: ProgressToken | undefined,
    readonly send: (notification: Notification) => void,
  ) {}

  line(text: string): void {
    this.#lines++;
    if (!this.#isTold) this.#tell({ progress: this.#lines, message: text });
  }

  step(step: Step): void {
    // A count of lines before it would be in the way of what is meant.
    if (!this.#isTold) this.#last = -Infinity;
    this.#isTold = true;
    this.#tell(step);
  }

  #tell({ progress, total, message }: Step): void {
    if (this.token === undefined || progress <= this.#last || !this.#mayTell()) return;
    this.#last = progress;
    const params = {
      progressToken: this.token,
      progress,
      ...(total !== undefined && { total }),
      ...(message !== undefined && { message: visible(message.slice(0, SHOWN)) }),
    };
    this.send({ method: "notifications/progress", params });
  }

  #mayTell(): boolean {
    const now = performance.now();
    const more = Math.floor((now - this.#refilled) / EACH);
    if (more > 0) {
      this.#left = Math.min(AT_ONCE, this.#left + more);
      this.#refilled = now;
    }
    if (this.#left === 0) return false;
    this.#left--;
    return true;
  }
}

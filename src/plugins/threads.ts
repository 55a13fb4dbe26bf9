/** Where the encodings of a plugin get their threads from. */
import type { Thread } from "./thread.ts";

export interface Threads {
  /** One with the plugin in it, of which nothing was asked yet. @throws Error when there can be none */
  fresh(): Thread;
  /** The one for what belongs to no task. @throws Error when there can be none */
  shared(): Pick<Thread, "ask" | "askNow">;
  stray(text: string): void;
  /** ms that a hook may take, not counting what it waits for clients that read slowly. */
  readonly limit: number;
}

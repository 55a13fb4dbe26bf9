/** The history, where the command line wants one: the early server may be told of it later. Nothing of it is loaded before. */
import type { Archive, Wanted } from "../api/archive.ts";
import type { Entry } from "../api/book.ts";
import type { History } from "../history/history.ts";
import { type Limits, LIMITS, parseLimits } from "../history/limits.ts";
import type { Options, Values } from "../manual/options.ts";

export interface HistoryPlace {
  readonly file: string;
  readonly limits: Limits;
}

export const HISTORY = {
  history: {
    argument: "FILE",
    text: "keep the tasks that have run, and where the config wants it their output, in this file; none by default",
    path: "file",
  },
  "history-max": {
    argument: "LIMITS",
    text: "how much of them: tasks, bytes and days, such as 1000,16M,30d (default 10000,64M,90d)",
  },
} as const satisfies Options;

/** undefined: no history. @throws TypeError, which is wrong usage */
export function historyOptions({
  history: file,
  "history-max": limits,
}: Values<typeof HISTORY>): HistoryPlace | undefined {
  if (file === "") throw new TypeError("--history: expected a file");
  if (file !== undefined) return { file, limits: limits ? parseLimits(limits) : LIMITS };
  if (limits !== undefined) throw new TypeError("--history-max is for --history FILE");
  return undefined;
}

export class Keeping implements Archive {
  #history: History | undefined;

  /** From now on what happens is kept there. @param tasks whose ids go on behind those that it has */
  async use(
    place: HistoryPlace | undefined,
    tasks?: { continueAfter(id: string): void },
  ): Promise<void> {
    if (!place || this.#history) return;
    const { History } = await import("../history/history.ts");
    const tell = (text: string): void => console.error(`spawnbox serve: ${text}`);
    const found = (id: string): void => tasks?.continueAfter(id);
    this.#history = new History({ ...place, tell, found, uid: process.geteuid?.() ?? 0 });
    this.#history.open();
  }

  /** Tasks that could not be kept; undefined: there is no history. */
  get lost(): number | undefined {
    return this.#history?.lost;
  }

  note(entry: Entry): void {
    this.#history?.note(entry);
  }

  kinds() {
    return this.#history?.kinds() ?? [];
  }

  tasks(wanted: Wanted) {
    return this.#history?.tasks(wanted) ?? [];
  }

  events(id: string) {
    return this.#history?.events(id);
  }

  /** Once nothing runs any more. */
  close(): void {
    this.#history?.close();
  }
}

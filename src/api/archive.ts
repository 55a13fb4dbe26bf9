/** Tasks of before that somebody keeps, longer than the book does: see src/history. */
import type { Entry } from "./book.ts";
import type { TaskRecord } from "./record.ts";
import type { Numbered } from "./ring.ts";

/** Tasks of one verb that the same callers may follow. */
export interface Kind {
  readonly key: number;
  readonly api: string;
  readonly verb: string;
  /** What a caller needed to follow them. */
  readonly privileges: readonly string[];
}

export interface Wanted {
  /** Keys of kinds. */
  readonly kinds: readonly number[];
  /** As {@link CallerRecord} has it: its info, address or uid. */
  readonly caller?: string | undefined;
  readonly pid?: number | undefined;
  readonly id?: string | undefined;
  /** Only tasks whose ids sort before this one. */
  readonly before?: string | undefined;
  readonly limit: number;
}

/** What a task has sent, as far as it is kept. */
export interface KeptEvents {
  readonly record: TaskRecord;
  readonly kind: Kind;
  /** In order. */
  readonly events: readonly Numbered[];
  /** Number of its last event, which is final. */
  readonly last: number;
}

/** Where it cannot be read, nothing is there: who keeps it tells the operator. */
export interface Archive {
  /** A task runs, or has ended. On the way of launches and replies: must neither throw nor take long. */
  note(entry: Entry): void;
  kinds(): readonly Kind[];
  /** Tasks that have ended, by id, the greatest first. */
  tasks(wanted: Wanted): readonly TaskRecord[];
  /** undefined where there is no such task. */
  events(id: string): KeptEvents | undefined;
}

/**
 * The tasks of this server and of those before it, in a file (`serve --history`). What happens is noted, and written a second later
 * with all else that has happened by then: never on the way of a launch, an event or a reply. What cannot be written is told once,
 * and counted; the server goes on without.
 */
import type { Archive, Kind, KeptEvents, Wanted } from "../api/archive.ts";
import { type Entry, weightOf } from "../api/book.ts";
import { EventData } from "../api/event-data.ts";
import type { TaskRecord } from "../api/record.ts";
import type { Ring } from "../api/ring.ts";
import { errnoBehind } from "../../ffi/errno.ts";
import { errorLine } from "../unexpected.ts";
import type { Limits } from "./limits.ts";
import { placeOf } from "./place.ts";
import { Store } from "./store.ts";

export interface HistoryOptions {
  readonly file: string;
  readonly limits: Limits;
  /** Tells the operator, once for each trouble. */
  readonly tell: (text: string) => void;
  /** The server's user. */
  readonly uid: number;
  /** Milliseconds until what could not be written is tried again. */
  readonly again?: number;
  /** Told of the greatest id that is in a file, once that is open. */
  readonly found?: (id: string) => void;
  /** Milliseconds: of a clock that nobody sets, and since 1970. */
  readonly clock?: () => readonly [steady: number, wall: number];
}

/** Milliseconds from what happens until it is written; and after a failure until the next attempt. */
const LATE = 1_000;
const AGAIN = 10_000;
/** Tasks that wait to be written, and bytes of their arguments: beyond, the oldest are lost. */
const WAITING = 5_000;
const ARGUMENTS = 16 << 20;
/** Tasks of one transaction: others have their turn between two. */
const AT_ONCE = 500;
/** Bytes of output that are kept of one task: its last ones. */
const OUTPUT = 1 << 20;
/** Writes between two looks at the limits. */
const TRIM = 16;
/** ms by which a clock that is set moves, and for which it is to be as it is until it empties a file: a network has set it by then. */
const SET = 60_000;
const STEADY = 600_000;

/** A task whose output is kept while it runs. */
interface Followed {
  readonly entry: Entry;
  readonly ring: Ring;
  /** Number of the last event that is written. */
  at: number;
  /** What is written, the oldest first. */
  pieces: readonly { readonly first: number; readonly bytes: number }[];
}

export class History implements Archive {
  #store: Store | undefined;
  #isWanted = false;
  /** Nothing is kept any more: it has been told why. */
  #over = false;
  /** Since the file is none that anything could be kept in. */
  #gaveUp = false;
  #failing = false;
  #lost = 0;
  readonly #waiting = new Map<string, Entry>();
  /** Bytes of those of the tasks that wait. */
  #arguments = 0;
  readonly #followed = new Map<string, Followed>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #writes = 0;
  readonly #clock;
  /** How far one clock is before the other, and since when, by the steady one. */
  #ahead: number;
  #since: number;

  constructor(readonly options: HistoryOptions) {
    this.#clock = options.clock ?? (() => [performance.now(), Date.now()] as const);
    const [steady, wall] = this.#clock();
    this.#ahead = wall - steady;
    this.#since = steady;
  }

  /** Opens the file: before that nothing is kept. What is wrong with it is told; what may be otherwise in a moment is tried again. */
  open(): void {
    if (this.#isWanted || this.#over) return;
    this.#isWanted = true;
    this.#present();
  }

  /** Tasks that are not kept, since they could not be written. */
  get lost(): number {
    return this.#lost;
  }

  note(entry: Entry): void {
    if (this.#over) return this.#missed(entry);
    const { record, plan, events } = entry;
    if (!this.#waiting.has(record.id)) this.#arguments += weightOf(record);
    this.#waiting.set(record.id, entry);
    if (plan.keepsOutput && events && !this.#followed.has(record.id)) {
      const { ring } = events.past;
      ring.hold();
      this.#followed.set(record.id, { entry, ring, at: 0, pieces: [] });
    }
    for (const [id, oldest] of this.#waiting) {
      if (this.#waiting.size <= WAITING && this.#arguments <= ARGUMENTS) break;
      this.#missed(oldest);
      this.#done(oldest);
      this.#letGo(id);
    }
    this.#schedule(LATE);
  }

  kinds(): readonly Kind[] {
    return this.#read((store) => store.kinds()) ?? [];
  }

  tasks(wanted: Wanted): readonly TaskRecord[] {
    return this.#read((store) => store.records(wanted).map(readRecord)) ?? [];
  }

  events(id: string): KeptEvents | undefined {
    return this.#read((store) => {
      const found = store.find(id);
      if (!found) return undefined;
      const record = readRecord(found.record);
      const kept = whole(store.outputOf(id));
      const last = Math.max(found.last, (kept.at(-1)?.number ?? 0) + 1);
      // What is missing between is gone: then all is that comes before.
      const events = kept.at(-1)?.number === last - 1 ? kept : [];
      const final = EventData.of({
        type: "final-event",
        pid: record.pid,
        status: record.status ?? {},
      });
      return { record, kind: found.kind, events: [...events, { number: last, data: final }], last };
    });
  }

  /** Writes what waits, and closes the file. */
  close(): void {
    clearTimeout(this.#timer);
    if (this.#waiting.size + this.#followed.size > 0) this.#flush();
    // All of it, however much: nobody else has a turn any more.
    while (this.#store && this.#waiting.size > 0 && !this.#failing) this.#flush();
    this.#over = true;
    this.#store?.close();
    this.#store = undefined;
  }

  #read<T>(query: (store: Store) => T): T | undefined {
    // What has just happened belongs to it.
    if (this.#store && this.#waiting.size > 0 && !this.#failing) this.#flush();
    const store = this.#store && this.#present();
    if (!store) return undefined;
    try {
      return query(store);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      this.#failed(error);
      return undefined;
    }
  }

  #schedule(ms: number): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#flush();
    }, ms);
  }

  /** The file that is there: another one where somebody has taken it away. */
  #present(): Store | undefined {
    const before = this.#store;
    if (!this.#isWanted || this.#over) return undefined;
    const { file, uid } = this.options;
    try {
      // Who may not look into its directory any more, or where that is a file by now, does not get to know.
      if (before?.isThere) return before;
      this.#store = new Store(placeOf(file, uid));
      const { found } = this.options;
      const newest = found && this.#store.newest;
      if (newest !== undefined) found?.(newest);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (this.#store !== before) this.#store?.close();
      this.#store = before;
      // Its disk may have no room now, or be mounted later; what is wrong with the file or its place is for the operator to mend.
      if (before || errnoBehind(error) !== undefined) this.#failed(error);
      else this.#giveUp(whyOf(error));
      return undefined;
    }
    if (!before) return this.#store;
    before.close();
    for (const followed of this.#followed.values()) Object.assign(followed, { at: 0, pieces: [] });
    this.#tell("has been taken away: another one is begun");
    return this.#store;
  }

  #flush(): void {
    const store = this.#present();
    if (!store) return;
    const batch = [...this.#waiting.values()].slice(0, AT_ONCE);
    const written: (() => void)[] = [];
    const { limits } = this.options;
    this.#lookAtClock(store);
    try {
      store.settle(limits.bytes);
      store.write(() => {
        for (const entry of batch) store.task(rowOf(entry));
        for (const followed of this.#followed.values()) written.push(output(store, followed));
        if (this.#writes % TRIM === 0 || store.bytes > limits.bytes) this.#trim(store);
      });
      store.shrink(limits.bytes / 4);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      return this.#failed(error);
    }
    this.#writes++;
    for (const note of written) note();
    if (this.#failing) this.#recovered();
    for (const entry of batch) this.#done(entry);
    for (const [id, { entry, ring }] of this.#followed)
      if (entry.record.state === "ended" && ring.over) this.#letGo(id);
    // Also while nothing but output comes.
    if (this.#waiting.size > 0) setImmediate(() => this.#schedule(0));
    else if (this.#followed.size > 0) this.#schedule(LATE);
  }

  #trim(store: Store): void {
    const [steady, wall] = this.#clock();
    store.trim(this.options.limits, wall, steady - this.#since >= STEADY);
  }

  /** Sleep moves it, too: the steady one stands still meanwhile. */
  #lookAtClock(store: Store): void {
    const [steady, wall] = this.#clock();
    if (Math.abs(wall - steady - this.#ahead) < SET) return;
    this.#ahead = wall - steady;
    this.#since = steady;
    store.clockIsSet();
  }

  /** What runs is noted again once it has ended; and of a server that ends nobody asks any more. */
  #missed({ record }: Entry): void {
    if (record.state === "ended" && (this.#gaveUp || !this.#over)) this.#lost++;
  }

  /** It waits no more. */
  #done({ record }: Entry): void {
    if (this.#waiting.delete(record.id)) this.#arguments -= weightOf(record);
  }

  #letGo(id: string): void {
    this.#followed.get(id)?.ring.letGo();
    this.#followed.delete(id);
  }

  #failed(error: Error): void {
    if (BROKEN.has(codeOf(error))) return this.#giveUp(whyOf(error));
    if (!this.#failing) {
      this.#failing = true;
      this.#tell(`cannot be written: ${whyOf(error)}; it is tried again, and the server goes on`);
    }
    this.#schedule(this.options.again ?? AGAIN);
  }

  #recovered(): void {
    this.#failing = false;
    const lost = this.#lost > 0 ? `; ${this.#lost} tasks are missing in it` : "";
    this.#tell(`is written again${lost}`);
  }

  #giveUp(why: string): void {
    this.#over = this.#gaveUp = true;
    this.#store?.close();
    this.#store = undefined;
    for (const entry of this.#waiting.values()) {
      this.#missed(entry);
      this.#done(entry);
    }
    for (const id of [...this.#followed.keys()]) this.#letGo(id);
    this.#tell(`${why}; the server goes on without a history`);
  }

  #tell(text: string): void {
    this.options.tell(`--history ${this.options.file}: ${text}`);
  }
}

/** Nothing will come of it any more. */
const BROKEN: ReadonlySet<string> = new Set(["SQLITE_CORRUPT", "SQLITE_NOTADB"]);

const codeOf = (error: Error): string =>
  "code" in error && typeof error.code === "string"
    ? error.code.split("_").slice(0, 2).join("_")
    : "";

const WORDS: Readonly<Record<string, string>> = {
  SQLITE_FULL: "the disk is full",
  SQLITE_READONLY: "it can only be read",
  SQLITE_CANTOPEN: "it cannot be opened",
  SQLITE_CORRUPT: "it is damaged: move it away",
  SQLITE_NOTADB: "is no database: give another file",
  SQLITE_BUSY: "another process has it, or its file system has no locks",
  SQLITE_IOERR: "the disk fails",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is full",
  EROFS: "its file system is read-only",
  EACCES: "this user may not write there",
  SQLITE_IOERR_LOCK: "its file system has no locks: give a file elsewhere",
};

function whyOf(error: Error): string {
  const words = WORDS[errnoBehind(error) ?? ""] ?? WORDS[codeOf(error)];
  return words === undefined ? errorLine(error) : `${words} (${error.message})`;
}

function rowOf({ record, plan, events }: Entry) {
  const { id, api, verb, pid = null, caller, asked } = record;
  return {
    ...{ id, api, verb, pid, asked },
    privileges: JSON.stringify(plan.privileges),
    info: caller.info ?? null,
    address: caller.address ?? null,
    uid: caller.uid === undefined ? null : `${caller.uid}`,
    last: lastOf(events?.past.ring),
    record: JSON.stringify(record),
  };
}

/** Number of the final event, which may still be on its way. */
const lastOf = (ring: Ring | undefined): number =>
  ring ? (ring.over ? ring.last : ring.last + 1) : 1;

/**
 * Writes what of its output is in the ring, and not written yet. The final event is made from its record.
 * @returns what to do once it is there
 */
function output(store: Store, followed: Followed): () => void {
  const { ring, entry, pieces } = followed;
  const { id } = entry.record;
  const end = ring.over ? ring.last - 1 : ring.last;
  const first = Math.max(followed.at + 1, ring.first);
  const lines: string[] = [];
  for (let number = first; number <= end; number++) lines.push(ring.jsonAt(number) ?? "null");
  const now = [...pieces];
  if (lines.length > 0) {
    const events = lines.join("\n");
    // It may have been let go since, and output without its task would stay for good: nothing finds it.
    if (!store.has(id)) store.task(rowOf(entry));
    store.output(id, { first, count: lines.length, events });
    now.push({ first, bytes: events.length });
    let bytes = now.reduce((sum, piece) => sum + piece.bytes, 0);
    while (bytes > OUTPUT && now.length > 1) {
      bytes -= now.shift()?.bytes ?? 0;
      store.forget(id, now[0]?.first ?? first);
    }
  }
  return () => {
    followed.at = end;
    followed.pieces = now;
  };
}

/** Whoever is in the file and runs has lost its server: who runs now is in the book. */
function readRecord(json: string): TaskRecord {
  const record = JSON.parse(json) as TaskRecord;
  return record.state === "ended" ? record : { ...record, state: "ended" };
}

/** The events of the last pieces between which nothing is missing. */
function whole(pieces: readonly { first: number; count: number; events: string }[]) {
  const kept: { first: number; events: string }[] = [];
  let next: number | undefined;
  for (const piece of pieces) {
    if (piece.first !== next) kept.length = 0;
    kept.push(piece);
    next = piece.first + piece.count;
  }
  return kept.flatMap(({ first, events }) =>
    events.split("\n").map((json, i) => ({ number: first + i, data: EventData.written(json) })),
  );
}

/**
 * What is told of calls, written behind them: every few milliseconds, all lines at once. What cannot be written waits in memory,
 * within bounds; what is beyond is lost, counted, and told where the audit goes on.
 */
import type { TaskRecord } from "../api/record.ts";
import type { Fed, Refusal, Relayed, Stopping, Witness } from "../api/witness.ts";
import type { Logger } from "../log.ts";
import { endOf, type Entry, fedOf, lineOf, refusalOf, relayOf, startOf, stopOf } from "./entry.ts";
import type { Line, Sink } from "./sink.ts";

/** ms from a call to its line, where nothing is wrong: a moment, and longer where many come at a time. */
const SOON = 5;
const BATCH = 50;
const MANY = 4;
/** ms to the next try, where its reader is slow, and after an error. */
const SLOW = 20;
const AGAIN = 500;
/** ms that a start waits for its line to be written, and that the end of the server does. */
const PATIENCE = 1000;
/** What may wait: lines, and bytes of them, about. */
const MOST_LINES = 8192;
const MOST_BYTES = 4 << 20;
/** Of a line without its command line. */
const USUAL = 400;

export interface Counts {
  readonly written: number;
  readonly lost: number;
  /** Why nothing can be written now. */
  readonly why?: string;
}

interface Waiting {
  readonly entry: Entry;
  readonly size: number;
  /** Made when it is written first. */
  line?: Line;
  readonly written?: (() => void) | undefined;
}

export class Audit implements Witness {
  readonly sink: Sink;
  readonly #tell: Logger;
  readonly #now: () => number;
  #waiting: Waiting[] = [];
  #bytes = 0;
  #written = 0;
  #lost = 0;
  /** Lost since the last line: all are, until those that wait are written. */
  #gap = 0;
  #why: string | undefined;
  /** It was told that lines are lost. */
  #told = false;
  #delay = SOON;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #flushing: Promise<void> | undefined;
  /** Whose start is written already. */
  readonly #begun = new WeakSet<TaskRecord>();

  constructor(sink: Sink, tell: Logger, now: () => number = Date.now) {
    this.sink = sink;
    this.#tell = tell;
    this.#now = now;
  }

  get counts(): Counts {
    const why = this.#why;
    return { written: this.#written, lost: this.#lost, ...(why !== undefined && { why }) };
  }

  started(record: TaskRecord): void {
    if (!this.#begun.has(record)) this.#add(startOf(record, this.#now()));
  }

  ended(record: TaskRecord): void {
    this.#add(endOf(record, this.#now()));
  }

  stopping(stopping: Stopping): void {
    this.#add(stopOf(stopping));
  }

  fed(fed: Fed): void {
    this.#add(fedOf(fed));
  }

  refused(refusal: Refusal): void {
    this.#add(refusalOf(refusal));
  }

  relayed(relayed: Relayed): void {
    this.#add(relayOf(relayed));
  }

  /** Writes a start before it is one. Resolves to why that cannot be; undefined once it is written. */
  async begin(record: TaskRecord): Promise<string | undefined> {
    // After an error there is no line of a start that will not be.
    if (this.#why !== undefined) await this.#flush();
    if (this.#why !== undefined && this.#why !== "EAGAIN") return wordsOf(this.#why);
    const { promise, resolve } = Promise.withResolvers<undefined>();
    if (!this.#add(startOf(record, this.#now()), () => resolve(undefined)))
      return `what waits to be written is lost already: ${wordsOf(this.#why)}`;
    this.#begun.add(record);
    await this.#flush();
    const late = Promise.withResolvers<string>();
    const timer = setTimeout(() => late.resolve(wordsOf(this.#why)), PATIENCE);
    const failed = this.#why !== undefined && this.#why !== "EAGAIN";
    if (failed) late.resolve(wordsOf(this.#why));
    const result = await Promise.race([promise, late.promise]);
    clearTimeout(timer);
    return result;
  }

  /** From the next line on it goes to what the name of the sink means then. */
  reopen(): void {
    this.sink.reopen();
    void this.#flush();
  }

  /** Writes what is left, as long as that takes no longer than a moment. */
  async close(): Promise<void> {
    const end = performance.now() + PATIENCE;
    for (;;) {
      await this.#flush();
      if (this.#waiting.length + this.#gap === 0 || performance.now() > end) break;
      if (this.#why !== undefined && this.#why !== "EAGAIN") break;
      await new Promise((resolve) => setTimeout(resolve, SLOW));
    }
    clearTimeout(this.#timer);
    const left = this.#waiting.length;
    if (left > 0) this.#lose(left);
    if (this.#gap > 0)
      this.#tell("error", `audit: ${this.sink.name}: lost at the end: ${this.#gap}`);
    await this.sink.close();
  }

  /** @returns whether it waits to be written */
  #add(entry: Entry, written?: () => void): boolean {
    const size = sizeOf(entry);
    const full = this.#waiting.length >= MOST_LINES || this.#bytes + size > MOST_BYTES;
    if (full || this.#gap > 0) {
      this.#lose(1);
      return false;
    }
    this.#waiting.push({ entry, size, written });
    this.#bytes += size;
    this.#soon();
    return true;
  }

  #lose(lines: number): void {
    this.#lost += lines;
    this.#gap += lines;
    if (this.#told) return;
    this.#told = true;
    this.#tell("error", `audit: ${this.sink.name}: lines are lost: ${wordsOf(this.#why)}`);
  }

  #soon(): void {
    if (this.#timer !== undefined || this.#flushing) return;
    const again = this.#why === "EAGAIN" ? SLOW : AGAIN;
    this.#timer = setTimeout(
      () => void this.#flush(),
      this.#why === undefined ? this.#delay : again,
    );
  }

  /** Everything that waits, and after it what was lost. Never rejects. */
  async #flush(): Promise<void> {
    while (this.#flushing) await this.#flushing;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#flushing = this.#write();
    await this.#flushing;
    this.#flushing = undefined;
    if (this.#waiting.length + this.#gap > 0) this.#soon();
  }

  async #write(): Promise<void> {
    const batch = this.#waiting.map(lineFor);
    this.#delay = batch.length > MANY ? BATCH : SOON;
    if (batch.length > 0) {
      const { lines, why } = await this.sink.take(batch);
      this.#took(lines);
      if (why !== undefined) return this.#failed(why);
    }
    if (this.#waiting.length === 0 && this.#gap > 0) {
      const lost = this.#gap;
      const marker: Waiting = { entry: { time: this.#now(), event: "lost", lost }, size: USUAL };
      const { why } = await this.sink.take([lineFor(marker)]);
      if (why !== undefined) {
        // It may have been written in part: it goes on with this very line.
        this.#waiting.unshift(marker);
        this.#bytes += marker.size;
        this.#gap -= lost;
        return this.#failed(why);
      }
      this.#written++;
      this.#gap -= lost;
    }
    this.#recovered();
  }

  #took(lines: number): void {
    for (const { size, written } of this.#waiting.splice(0, lines)) {
      this.#bytes -= size;
      written?.();
    }
    this.#written += lines;
  }

  #failed(why: string): void {
    const before = this.#why;
    this.#why = why;
    // A slow reader is nothing to tell of, before it costs something.
    if (why === "EAGAIN" || before === why) return;
    if (this.#told && before !== undefined) return;
    this.#told = true;
    this.#tell("error", `audit: ${this.sink.name} cannot be written: ${wordsOf(why)}`);
  }

  #recovered(): void {
    this.#why = undefined;
    if (!this.#told) return;
    this.#told = false;
    this.#tell("notice", `audit: ${this.sink.name} is written again; lost so far: ${this.#lost}`);
  }
}

const lineFor = (waiting: Waiting): Line =>
  (waiting.line ??= { entry: waiting.entry, text: lineOf(waiting.entry) });

/** About. */
function sizeOf({ argv, args, info }: Entry): number {
  let size = USUAL + (info?.length ?? 0);
  for (const text of argv ?? []) size += text.length + 3;
  if (args !== undefined) size += JSON.stringify(args).length;
  return size;
}

const WORDS: Readonly<Record<string, string>> = {
  EAGAIN: "its reader is slow",
  ENXIO: "nobody reads it (ENXIO)",
  EPIPE: "its reader is gone (EPIPE)",
  ECONNREFUSED: "nobody listens there (ECONNREFUSED)",
  ENOENT: "it is not there (ENOENT)",
  ENOSPC: "the disk is full (ENOSPC)",
  EDQUOT: "the quota is used up (EDQUOT)",
  EROFS: "the file system is read-only (EROFS)",
  EPROTOTYPE: "it is a stream, and datagrams are needed (EPROTOTYPE)",
};

export const wordsOf = (why = "EAGAIN"): string => WORDS[why] ?? why;

/** The calls that were taken, for as long as a copy of one may come: it gets the answer again, and nothing is run twice. */
import { AfbError } from "../errors.ts";

/** Calls that are remembered, of one operator and of all: a few hundred bytes each. */
const MOST_EACH = 10_000;
const MOST = 20_000;
/** Bytes of answers that are kept; of older ones it is only known that they were given. */
const MOST_BYTES = 4 << 20;
/** Characters of an answer that is kept: it is one message. */
const MOST_ANSWER = 16 << 10;
/** ms for which a call is remembered after its expiry. */
const LONGER = 60_000;

interface Known<Call> {
  readonly digest: string;
  readonly until: number;
  /** While something of it is to be sent. */
  call: Call | undefined;
  answer: Answer | undefined;
}

export interface Answer {
  readonly seq: number;
  readonly text: string;
}

export class Answered<Call> {
  /** By operator and id. */
  readonly #known = new Map<string, Map<string, Known<Call>>>();
  readonly #kept = new Set<Known<Call>>();
  #bytes = 0;

  constructor(readonly now: () => number = () => performance.now()) {}

  find(operator: string, id: string): Readonly<Known<Call>> | undefined {
    return this.#find(operator, id);
  }

  /** @param expiry s. Throws AfbError where there is no room for it */
  add(operator: string, id: string, digest: string, expiry: number, call: Call): void {
    const own = this.#known.get(operator) ?? new Map<string, Known<Call>>();
    let all = 0;
    for (const { size } of this.#known.values()) all += size;
    if (own.size >= MOST_EACH || all >= MOST)
      throw new AfbError("busy", "there were too many calls of late: try again in a minute");
    const until = this.now() + expiry * 1000 + LONGER;
    this.#known.set(operator, own.set(id, { digest, until, call, answer: undefined }));
  }

  /** What it was answered. */
  keep(operator: string, id: string, answer: Answer): void {
    const known = this.#find(operator, id);
    if (!known || answer.text.length > MOST_ANSWER) return;
    known.answer = answer;
    this.#kept.add(known);
    this.#bytes += answer.text.length;
    for (const oldest of this.#kept) {
      if (this.#bytes <= MOST_BYTES) break;
      this.#drop(oldest);
    }
  }

  /** Nothing of it is to be sent any more. */
  release(operator: string, id: string): void {
    const known = this.#find(operator, id);
    if (known) known.call = undefined;
  }

  /** Forgets those of which no copy can come any more. */
  sweep(): void {
    const now = this.now();
    for (const [operator, own] of this.#known) {
      for (const [id, known] of own) {
        if (known.until > now || known.call !== undefined) continue;
        own.delete(id);
        this.#drop(known);
      }
      // Of names that come and go none stays.
      if (own.size === 0) this.#known.delete(operator);
    }
  }

  #find(operator: string, id: string): Known<Call> | undefined {
    return this.#known.get(operator)?.get(id);
  }

  #drop(known: Known<Call>): void {
    const { answer } = known;
    if (!answer) return;
    this.#kept.delete(known);
    this.#bytes -= answer.text.length;
    known.answer = undefined;
  }
}

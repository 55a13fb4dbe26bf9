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
  readonly operator: string;
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
  readonly #known = new Map<string, Known<Call>>();
  readonly #each = new Map<string, number>();
  readonly #kept = new Set<Known<Call>>();
  #bytes = 0;

  constructor(readonly now: () => number = () => performance.now()) {}

  find(operator: string, id: string): Readonly<Known<Call>> | undefined {
    return this.#known.get(`${operator}/${id}`);
  }

  /** @param expiry s. Throws AfbError where there is no room for it */
  add(operator: string, id: string, digest: string, expiry: number, call: Call): void {
    const count = this.#each.get(operator) ?? 0;
    if (count >= MOST_EACH || this.#known.size >= MOST)
      throw new AfbError("busy", "there were too many calls of late: try again in a minute");
    this.#each.set(operator, count + 1);
    const until = this.now() + expiry * 1000 + LONGER;
    this.#known.set(`${operator}/${id}`, { operator, digest, until, call, answer: undefined });
  }

  /** What it was answered. */
  keep(operator: string, id: string, answer: Answer): void {
    const known = this.#known.get(`${operator}/${id}`);
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
    const known = this.#known.get(`${operator}/${id}`);
    if (known) known.call = undefined;
  }

  /** Forgets those of which no copy can come any more. */
  sweep(): void {
    const now = this.now();
    for (const [key, known] of this.#known) {
      if (known.until > now || known.call !== undefined) continue;
      this.#known.delete(key);
      this.#drop(known);
      const left = (this.#each.get(known.operator) ?? 1) - 1;
      if (left > 0) this.#each.set(known.operator, left);
      else this.#each.delete(known.operator);
    }
  }

  #drop(known: Known<Call>): void {
    if (!this.#kept.delete(known)) return;
    this.#bytes -= known.answer?.text.length ?? 0;
    known.answer = undefined;
  }
}

/** What the service has answered, as long as that is good: the least recently used goes first. */
import { type Clock, Moment } from "./expiry.ts";

export interface Known {
  readonly yes: boolean;
  readonly until: Moment;
}

export class Answers {
  readonly #known = new Map<string, Known>();

  constructor(
    readonly clock: Clock,
    readonly most = 1000,
  ) {}

  get size(): number {
    return this.#known.size;
  }

  get(key: string): Known | undefined {
    const known = this.#known.get(key);
    if (!known) return undefined;
    this.#known.delete(key);
    if (known.until.left <= 0) return undefined;
    this.#known.set(key, known);
    return known;
  }

  /** @param ms how long it is good */
  set(key: string, yes: boolean, ms: number): void {
    this.#known.delete(key);
    for (const oldest of this.#known.keys()) {
      if (this.#known.size < this.most) break;
      this.#known.delete(oldest);
    }
    this.#known.set(key, { yes, until: new Moment(ms, this.clock) });
  }

  clear(): void {
    this.#known.clear();
  }
}

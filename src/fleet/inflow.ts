/** What an operator gets of one call of one board: in order, each once, confirmed once it was taken. */
import type { Flow } from "./call.ts";
import type { Kind } from "./outflow.ts";

export interface InflowOptions {
  /** Messages that the board may have under way. */
  readonly window: number;
  /** What is whole. A promise is waited for: the board sends no more than the window meanwhile. */
  readonly take: (kind: Exclude<Kind, "part">, text: string) => void | Promise<void>;
  /** Bytes of a message in parts. */
  readonly whole?: number | undefined;
  /** To the board. */
  readonly say: (flow: Flow) => void;
}

/** Bytes that were taken after which the board is told: well below those that it has under way. */
const BYTES = 128 << 10;
/** Messages that came too early, and their bytes. */
const MOST_EARLY = 512;
const EARLY_BYTES = 8 << 20;
/** Bytes of a message in parts, where nothing else is said. */
const MOST_WHOLE = 256 << 20;

export class Inflow {
  #next = 0;
  #told = -1;
  #bytes = 0;
  #earlyBytes = 0;
  readonly #early = new Map<number, { readonly kind: Kind; readonly payload: Buffer }>();
  #parts: Buffer[] = [];
  #whole = 0;
  #working = false;

  constructor(readonly options: InflowOptions) {}

  /** The number of the message that is to come. */
  get next(): number {
    return this.#next;
  }

  /** Something has come. */
  get isHeard(): boolean {
    return this.#next > 0;
  }

  message(seq: number, kind: Kind, payload: Buffer): void {
    if (seq < this.#next || this.#early.has(seq)) return;
    // A board keeps to its window. What is left out here is asked for, but never that which all others wait for.
    const isFull = this.#early.size >= MOST_EARLY || this.#earlyBytes > EARLY_BYTES;
    if (isFull && seq > this.#next) return;
    // Once: what is not sent again by then is asked for when nothing more comes.
    const isGap = seq > this.#next && this.#early.size === 0 && !this.#working;
    this.#early.set(seq, { kind, payload });
    this.#earlyBytes += payload.length;
    if (isGap) this.ask();
    else void this.#work();
  }

  /** What is missing, and that somebody is there. */
  ask(): void {
    this.#told = this.#next - 1;
    this.options.say({ ...(this.#next > 0 && { seq: this.#next - 1 }), from: this.#next });
  }

  /** Somebody is there, and may not have taken all yet. */
  alive(): void {
    if (!this.#working) return this.ask();
    this.options.say(this.#told < 0 ? {} : { seq: this.#told });
  }

  /** One after the other, whatever they are waited for. */
  async #work(): Promise<void> {
    if (this.#working) return;
    this.#working = true;
    for (;;) {
      const message = this.#early.get(this.#next);
      if (!message) break;
      this.#early.delete(this.#next++);
      this.#bytes += message.payload.length;
      this.#earlyBytes -= message.payload.length;
      const taken = this.#take(message.kind, message.payload);
      if (taken) await taken;
      if (this.#next - 1 - this.#told >= this.options.window / 2 || this.#bytes >= BYTES)
        this.confirm();
    }
    this.#working = false;
  }

  /** All that was taken. */
  confirm(): void {
    this.#bytes = 0;
    if (this.#told >= this.#next - 1) return;
    this.#told = this.#next - 1;
    this.options.say({ seq: this.#told });
  }

  #take(kind: Kind, payload: Buffer): void | Promise<void> {
    this.#whole += payload.length;
    // No board does so: the rest of it is none that could be read.
    if (this.#whole > (this.options.whole ?? MOST_WHOLE)) this.#parts = [];
    this.#parts.push(payload);
    if (kind === "part") return;
    const [first, ...more] = this.#parts;
    const whole = first && more.length === 0 ? first : Buffer.concat(this.#parts);
    this.#parts = [];
    this.#whole = 0;
    return this.options.take(kind, whole.toString());
  }
}

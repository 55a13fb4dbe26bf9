/**
 * Keeps a connection to another binder: it is made anew after its end, at longer and longer intervals, and at once where somebody
 * calls. It is always read: binders do not wait for who does not, they lose what they send.
 */
import { type Request, SERVER_SESSION } from "../api/client.ts";
import type { May } from "../api/foreign.ts";
import { type Address, placeOf, type Speech } from "../config/binder-uri.ts";
import { AfbError } from "../errors.ts";
import { errorLine } from "../unexpected.ts";
import { visible } from "../visible.ts";
import { dial, type Dialled, type DialOptions } from "./dial.ts";
import type { Source } from "./source.ts";
import { requireReadable } from "./tls.ts";

/** Milliseconds to the next try: at first, at most; and of a connection that did some good. */
const FIRST = 100;
const LAST = 30_000;
const GOOD = 10_000;
/** Milliseconds between looks at what is still used of a connection that has run out of numbers. */
const LOOK = 5_000;
/** Such connections that are kept for what is followed there. */
const MOST_RETIRED = 4;
/** Calls of actions that are made again on the next connection. */
const MOST_LASTING = 256;

export interface Dialling {
  readonly speech: Speech;
  readonly address: Address;
  readonly uri: string;
  readonly exporter?: DialOptions["exporter"];
}

export class Dialler implements Source {
  #current: Dialled | undefined;
  #attempt: Promise<Dialled> | undefined;
  readonly #retired = new Set<Dialled>();
  readonly #lasting = new Map<string, { api: string | undefined; request: Request }>();
  #delay = FIRST;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #why = "not dialled yet";
  #told = false;
  #closed = false;

  constructor(readonly to: Dialling) {}

  get state(): string {
    return this.#current ? "connected" : this.#why;
  }

  /** Dials, and from now on whenever there is no connection. */
  start(): void {
    if (!this.#current && !this.#closed) this.#dial().catch(() => undefined);
  }

  /** Waits for a connection. Rejects with an Error that says why there is none. @param limit ms */
  async reach(limit: number): Promise<void> {
    const { address } = this.to;
    // What is wrong with files is so in a moment, too.
    if (address.kind === "tcp") requireReadable(address.tls);
    const end = performance.now() + limit;
    while (!this.#current) {
      const left = end - performance.now();
      if (left <= 0 || this.#closed) throw new Error(`${placeOf(this.to.uri)}: ${this.#why}`);
      const tried = this.#dial().catch(() => Bun.sleep(Math.min(FIRST, left)));
      await Promise.race([tried, Bun.sleep(left)]);
    }
  }

  async call(api: string | undefined, request: Request): Promise<unknown> {
    if (this.#closed) throw new AfbError("not-available", "it is not imported any more");
    const { calls } = this.#usable() ?? (await this.#dial());
    return calls.call(api, request.lasting ? this.#remembered(api, request) : request);
  }

  recheck(may: May): void {
    for (const { calls } of this.#connections()) calls.recheck(may);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#lasting.clear();
    for (const connection of this.#connections()) connection.close();
  }

  #connections(): Dialled[] {
    return [...this.#retired, ...(this.#current ? [this.#current] : [])];
  }

  #usable(): Dialled | undefined {
    const current = this.#current;
    if (!current?.calls.told.isUsedUp) return current;
    // What is open or followed there goes on.
    this.#current = undefined;
    // But for what actions have subscribed to: that is called again on the next.
    current.calls.recheck(({ session }) => session !== SERVER_SESSION);
    const [oldest] = this.#retired;
    if (oldest && this.#retired.size >= MOST_RETIRED) oldest.close();
    this.#retired.add(current);
    const look = setInterval(() => {
      if (!current.calls.isIdle && this.#retired.has(current)) return;
      clearInterval(look);
      current.close();
    }, LOOK);
    return undefined;
  }

  #dial(): Promise<Dialled> {
    return (this.#attempt ??= this.#dialOnce().finally(() => {
      this.#attempt = undefined;
    }));
  }

  async #dialOnce(): Promise<Dialled> {
    clearTimeout(this.#timer);
    const since = performance.now();
    let made: Dialled | undefined;
    const gone = (): void => {
      if (!made || this.#retired.delete(made) || this.#current !== made) return;
      this.#current = undefined;
      if (performance.now() - since > GOOD) this.#delay = FIRST;
      this.#later("it has closed the connection");
    };
    try {
      made = await dial({ ...this.to, gone });
    } catch (error) {
      const why = error instanceof Error ? error.message : errorLine(error);
      this.#later(why);
      throw new AfbError("not-available", `${placeOf(this.to.uri)}: the other binder: ${why}`);
    }
    if (this.#closed) made.close();
    // It may be over as soon as it has begun.
    else if (!made.open) this.#later("it has closed the connection");
    else this.#have(made);
    return made;
  }

  #have(connection: Dialled): void {
    this.#current = connection;
    if (this.#told) console.log(visible(`${placeOf(this.to.uri)}: connected to the other binder`));
    this.#told = false;
    for (const { api, request } of this.#lasting.values())
      connection.calls.call(api, request).catch((error: unknown) => {
        console.error(visible(`${request.api}/${request.verb}, called again: ${errorLine(error)}`));
      });
  }

  /** There is no connection: the next try is not long from now. */
  #later(why: string): void {
    this.#why = why;
    if (this.#closed) return;
    if (!this.#told)
      console.error(
        visible(
          `${placeOf(this.to.uri)}: no connection to the other binder: ${why}; it is tried again`,
        ),
      );
    this.#told = true;
    // Not all at once, where many have lost the same.
    const delay = this.#delay * (0.75 + Math.random() / 2);
    this.#delay = Math.min(this.#delay * 2, LAST);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.start(), delay);
    this.#timer.unref();
  }

  /** What it subscribes to is subscribed to again on the next connection: binders forget, and do not do that by themselves. */
  #remembered(api: string | undefined, request: Request): Request {
    const follows = (event: string): void => {
      const key = JSON.stringify([api, request.verb, request.args]);
      if (this.#lasting.size < MOST_LASTING) this.#lasting.set(key, { api, request });
      request.follows?.(event);
    };
    return { ...request, follows };
  }
}

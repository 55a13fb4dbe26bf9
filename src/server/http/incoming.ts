/**
 * The body of a request that is read while it is answered: no faster than somebody takes it, and never held as a whole. What nobody
 * wants of it is read and dropped all the same, within bounds: what comes behind it is the next request.
 */
import { BrokenInput, type Source, tooMuch } from "../../api/source.ts";
import type { Part } from "../../share.ts";
import { readBody, Truncated } from "./body.ts";
import { HttpFault } from "./fault.ts";
import type { BodyFraming } from "./head.ts";
import type { Input } from "./input.ts";

/** Pieces that are taken in one turn of the event loop. */
const TURN = 64;

export interface Reading {
  /** Where what was taken last is counted. */
  readonly part: Part;
  /** Of a client that waits to be told that it may send its body. */
  readonly invite?: (() => Promise<void>) | undefined;
  /** ms that a client may be silent while somebody waits for it. */
  readonly patience: number;
  /** Bytes that are read and dropped of a body that nobody wants. */
  readonly spare: number;
}

export class Incoming implements Source {
  /** The HTTP status that says why it was not taken, or broke off. */
  http: number | undefined;
  readonly #framing: BodyFraming;
  readonly #reading: Reading;
  readonly #pieces: AsyncGenerator<Buffer>;
  #isDropped = false;
  /** Nothing of it can be read any more. */
  #isBroken = false;
  /** It has ended as it should. */
  #isWhole: boolean;
  #most: number | undefined;
  /** Of that limit. */
  #name: string | undefined;
  #taken = 0;
  #held = 0;
  #invited: boolean;
  #given = 0;
  #wanted: PromiseWithResolvers<Buffer | undefined> | undefined;
  /** What is on its way. */
  #coming: Promise<Buffer | undefined> | undefined;
  #rest: Promise<boolean> | undefined;

  constructor(input: Input, framing: BodyFraming, reading: Reading) {
    this.#framing = framing;
    this.#reading = reading;
    this.#pieces = readBody(input, framing);
    this.#isWhole = framing.kind === "length" && framing.length === 0;
    this.#invited = !reading.invite || this.#isWhole;
  }

  limit(most: number, name?: string): void {
    this.#most = most;
    this.#name = name;
    const framing = this.#framing;
    if (framing.kind === "length" && framing.length > most)
      throw this.#refused(413, tooMuch(most, name, framing.length));
  }

  async next(): Promise<Uint8Array | undefined> {
    this.#hold(0);
    if (this.#isDropped || this.#isWhole) return undefined;
    if (!this.#invited) {
      this.#invited = true;
      await this.#reading.invite?.();
    }
    // What a client has cut into tiny chunks does not keep others waiting.
    if (++this.#given % TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    const piece = await this.#inTime();
    if (!piece) return undefined;
    if (this.#most !== undefined && this.#taken > this.#most)
      throw this.#refused(413, tooMuch(this.#most, this.#name));
    this.#hold(piece.length);
    return piece;
  }

  drop(): void {
    if (this.#isDropped) return;
    this.close();
    // Of who waits to be told that it may send it, nothing comes.
    if (this.#invited) void this.finish();
  }

  /** The end of it can be found: the connection may go on. Else what comes next could be taken for a request. */
  get ends(): boolean {
    if (this.#isWhole) return true;
    const left = this.#framing.kind === "length" ? this.#framing.length - this.#taken : 0;
    return this.#invited && !this.#isBroken && left <= this.#spare;
  }

  /** Reads to its end what nobody wants. @returns whether that was found */
  finish(): Promise<boolean> {
    this.#isDropped = true;
    return (this.#rest ??= this.#toTheEnd());
  }

  /** The connection is done with it. */
  close(): void {
    this.#isDropped = true;
    this.#hold(0);
    this.#wanted?.resolve(undefined);
  }

  /** A client whose command has begun to read sends the rest, as it may. */
  get #spare(): number {
    const allowed = this.#given > 0 ? (this.#most ?? 0) - this.#taken : 0;
    return Math.max(this.#reading.spare, allowed);
  }

  async #toTheEnd(): Promise<boolean> {
    const most = this.#taken + this.#spare;
    try {
      while (!this.#isWhole && this.ends && this.#taken <= most) await this.#more();
    } catch (error) {
      // Nobody is left to be told: the connection ends.
      if (error instanceof BrokenInput) return false;
      throw error;
    }
    return this.#isWhole;
  }

  #more(): Promise<Buffer | undefined> {
    this.#coming ??= this.#read().finally(() => (this.#coming = undefined));
    return this.#coming;
  }

  async #read(): Promise<Buffer | undefined> {
    try {
      const { done, value } = await this.#pieces.next();
      if (done === true) this.#isWhole = true;
      if (!value) return undefined;
      this.#taken += value.length;
      return value;
    } catch (error) {
      this.#isBroken = true;
      if (error instanceof HttpFault)
        throw this.#refused(error.http, new BrokenInput(error.message));
      if (error instanceof Truncated) throw this.#refused(400, new BrokenInput(error.message));
      throw error;
    }
  }

  /** The next piece, unless the client is silent for too long, or nobody wants it any more. */
  async #inTime(): Promise<Buffer | undefined> {
    const wanted = Promise.withResolvers<Buffer | undefined>();
    this.#wanted = wanted;
    this.#more().then(wanted.resolve, wanted.reject);
    const { patience } = this.#reading;
    const timer = setTimeout(() => {
      this.#isBroken = true;
      const why = `nothing of the body has come for ${patience / 1000} s`;
      wanted.reject(this.#refused(408, new BrokenInput(why)));
    }, patience);
    try {
      return await wanted.promise;
    } finally {
      this.#wanted = undefined;
      clearTimeout(timer);
    }
  }

  #refused(http: number, error: BrokenInput): BrokenInput {
    // What nobody reads any more is no fault of what was answered.
    if (!this.#isDropped) this.http ??= http;
    return error;
  }

  #hold(bytes: number): void {
    this.#reading.part.add(bytes - this.#held);
    this.#held = bytes;
  }
}

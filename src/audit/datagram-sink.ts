/** An audit to a program of the system that reads datagrams: each line is one. Connected anew where that program was started anew. */
import { Datagrams } from "../../ffi/datagram.ts";
import { type Line, reasonOf, type Sink, type Taken } from "./sink.ts";

export abstract class DatagramSink implements Sink {
  abstract readonly name: string;
  #datagrams: Datagrams | undefined;

  constructor(readonly path: string) {}

  protected abstract encode(line: Line): Buffer;

  /** Sends in another way what is too long for a datagram. Throws CError. */
  protected abstract sendLong(line: Line, message: Buffer): void;

  /** Throws CError where nobody listens. */
  protected datagrams(): Datagrams {
    return (this.#datagrams ??= new Datagrams(this.path));
  }

  // oxlint-disable-next-line require-await -- as the others
  async take(lines: readonly Line[]): Promise<Taken> {
    let done = 0;
    for (const line of lines) {
      const why = this.#send(line);
      if (why !== undefined) return { lines: done, why };
      done++;
    }
    return { lines: done };
  }

  reopen(): void {
    this.#datagrams?.[Symbol.dispose]();
    this.#datagrams = undefined;
  }

  async close(): Promise<void> {
    this.reopen();
  }

  /** @returns why it was not sent */
  #send(line: Line): string | undefined {
    const message = this.encode(line);
    for (;;) {
      const hadOne = this.#datagrams !== undefined;
      try {
        this.#put(line, message);
        return undefined;
      } catch (error) {
        const why = reasonOf(error);
        if (why === "EAGAIN") return why;
        this.reopen();
        // Else its reader may have been started anew since the last one.
        if (!hadOne) return why;
      }
    }
  }

  #put(line: Line, message: Buffer): void {
    try {
      this.datagrams().send(message);
    } catch (error) {
      if (reasonOf(error) !== "EMSGSIZE") throw error;
      this.sendLong(line, message);
    }
  }
}

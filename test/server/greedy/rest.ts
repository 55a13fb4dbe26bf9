/** HTTP by hand: requests as text, and responses cut out of what comes. */
import type { Socket } from "node:net";

export const get = (target: string): string => `GET ${target} HTTP/1.1\r\nHost: localhost\r\n\r\n`;

export interface HttpReply {
  readonly status: number;
  readonly body: string;
}

/** Reads responses with a content-length, one after the other. */
export class Responses {
  #buffer = Buffer.alloc(0);
  #ended = false;
  #wake = (): void => undefined;

  constructor(readonly socket: Socket) {
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = Buffer.concat([this.#buffer, chunk]);
      this.#wake();
    });
    socket.on("close", () => {
      this.#ended = true;
      this.#wake();
    });
  }

  /** undefined once the connection has ended. */
  async next(): Promise<HttpReply | undefined> {
    for (;;) {
      const found = this.#cut();
      if (found || this.#ended) return found;
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }

  #cut(): HttpReply | undefined {
    const at = this.#buffer.indexOf("\r\n\r\n");
    if (at < 0) return undefined;
    const head = this.#buffer.toString("latin1", 0, at);
    const end = at + 4 + Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    if (this.#buffer.length < end) return undefined;
    const body = this.#buffer.toString("utf8", at + 4, end);
    this.#buffer = this.#buffer.subarray(end);
    return { status: Number(/^HTTP\/1\.1 (\d+)/.exec(head)?.[1]), body };
  }
}

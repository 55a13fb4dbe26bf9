/** The WebSocket sub-protocol by hand: many calls in one write, and reading no faster than one likes. */
import type { Socket } from "node:net";
import { frame, upgradeText } from "../harness.ts";
import { open, pause } from "./program.ts";

/** Of a reply: `[3 or 4, id, reply]`; of an event: `[5, name, event]`. */
export type Message = [kind: number, name: string, body: Body];
interface Body {
  readonly request?: { readonly status: string; readonly info?: string };
  readonly response?: unknown;
  readonly data?: unknown;
}

export const call = (id: string, method: string, args: unknown = null): Buffer =>
  frame(JSON.stringify([2, id, method, args]));

export class Afb {
  #buffer: Buffer = Buffer.alloc(0);
  #pace = Infinity;
  /** What the server said when it closed: `1013 reason`. */
  goodbye: string | undefined;

  private constructor(
    readonly socket: Socket,
    readonly hear: (message: Message) => void,
  ) {
    socket.on("data", (chunk: Buffer) => {
      this.#buffer = this.#buffer.length > 0 ? Buffer.concat([this.#buffer, chunk]) : chunk;
      this.#cut();
      if (this.#pace !== Infinity) void this.#rest(chunk.length);
    });
  }

  /** undefined where it is refused. */
  static async open(hear: (message: Message) => void): Promise<Afb | undefined> {
    const socket = await open();
    if (!socket) return undefined;
    socket.write(upgradeText());
    const head = await new Promise<Buffer>((resolve) => {
      socket.once("data", resolve);
      socket.once("close", () => resolve(Buffer.alloc(0)));
    });
    if (!head.toString("latin1").startsWith("HTTP/1.1 101 ")) {
      socket.destroy();
      return undefined;
    }
    return new Afb(socket, hear);
  }

  get closed(): boolean {
    return this.socket.destroyed;
  }

  write(bytes: Uint8Array | string): void {
    this.socket.write(bytes);
  }

  /** Reads so many bytes a second from now on, about; 0: nothing. */
  read(pace: number): void {
    this.#pace = pace;
    if (pace === 0) this.socket.pause();
    else this.socket.resume();
  }

  async #rest(read: number): Promise<void> {
    this.socket.pause();
    const pace = this.#pace;
    for (let left = read / pace; left > 0 && this.#pace === pace; left -= 0.05) await pause(50);
    if (this.#pace > 0) this.socket.resume();
  }

  #cut(): void {
    let at = 0;
    const buffer = this.#buffer;
    for (;;) {
      const length7 = (buffer[at + 1] ?? 127) & 0x7f;
      const start = at + (length7 === 127 ? 10 : length7 === 126 ? 4 : 2);
      if (start > buffer.length) break;
      const length =
        length7 === 127
          ? Number(buffer.readBigUInt64BE(at + 2))
          : length7 === 126
            ? buffer.readUInt16BE(at + 2)
            : length7;
      if (start + length > buffer.length) break;
      const opcode = (buffer[at] ?? 0) & 0x0f;
      if (opcode === 1)
        this.hear(JSON.parse(buffer.toString("utf8", start, start + length)) as Message);
      if (opcode === 8)
        this.goodbye = `${buffer.readUInt16BE(start)} ${buffer.toString("utf8", start + 2, start + length)}`;
      at = start + length;
    }
    this.#buffer = buffer.subarray(at);
  }
}

/** Counts replies to calls: each has exactly one. */
export class Calls {
  readonly #open = new Set<string>();
  readonly #idle = new Set<() => void>();
  #last = 0;
  asked = 0;
  succeeded = 0;
  busy = 0;
  wrong: string | undefined;

  /** The frames of a call. */
  make(method: string, args: unknown = null): Buffer {
    const id = `c${++this.#last}`;
    this.#open.add(id);
    this.asked++;
    return call(id, method, args);
  }

  /** @param also statuses besides success and busy that are right. @returns whether it was one, and a success */
  hear([kind, id, { request, response }]: Message, also: readonly string[] = []): boolean {
    if (kind === 5) return false;
    const status = request?.status ?? "none";
    if (!this.#open.delete(id)) this.wrong ??= `a reply to ${id}, which waits for none`;
    if (status === "success") this.succeeded++;
    else if (status === "busy" || also.includes(status)) this.busy++;
    else this.wrong ??= `${id}: ${status}: ${request?.info ?? ""}${JSON.stringify(response)}`;
    if (this.#open.size === 0) for (const resolve of this.#idle) resolve();
    if (this.#open.size === 0) this.#idle.clear();
    return status === "success";
  }

  /** Until every call has its reply, or the connection is gone. */
  async done({ socket }: Afb): Promise<void> {
    if (this.#open.size === 0 || socket.destroyed) return;
    await new Promise<void>((resolve) => {
      this.#idle.add(resolve);
      socket.once("close", resolve);
    });
  }

  get told() {
    const { asked, succeeded, busy, wrong } = this;
    const lost = this.#open.size + (wrong === undefined ? 0 : 1);
    return { asked, succeeded, busy, lost, ...(wrong === undefined ? {} : { wrong }) };
  }
}

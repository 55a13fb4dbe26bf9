/**
 * Standard input and output of a client that has started this process. The end of its input is the end once all is answered: who pipes
 * messages in reads until then. A client that is gone reads nothing.
 */
import { StdioServerTransport } from "@modelcontextprotocol/sdk/server/stdio.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  isJSONRPCErrorResponse,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
  type JSONRPCMessage,
  type RequestId,
} from "@modelcontextprotocol/sdk/types.js";
import { isHungUp } from "../../ffi/libc.ts";
import { withoutNull } from "./null-arguments.ts";

const STDOUT = 1;
/** Milliseconds between two looks whether somebody reads yet. */
const LOOK = 100;
/** Milliseconds that a client which is there, and does not read, has at the end. */
const UNREAD = 2_000;

export class Pipe implements Transport {
  onmessage?: (message: JSONRPCMessage) => void;
  onclose?: () => void;
  onerror?: (error: Error) => void;
  readonly #wire = new StdioServerTransport();
  /** What is not answered yet. */
  readonly #asked = new Set<RequestId>();
  readonly #over = Promise.withResolvers<void>();
  #looking: Timer | undefined;

  /** Settles once its client wants nothing more, or this process is told to end. */
  get over(): Promise<void> {
    return this.#over.promise;
  }

  async start(): Promise<void> {
    this.#wire.onmessage = (message) => this.#take(withoutNull(message));
    this.#wire.onerror = (error) => this.onerror?.(error);
    this.#wire.onclose = () => this.onclose?.();
    const end = (): void => this.#over.resolve();
    process.once("SIGTERM", end);
    process.once("SIGINT", end);
    process.stdout.once("error", end);
    // Every message that there is no room for waits for that by itself.
    process.stdout.setMaxListeners(0);
    const ended = (): void => {
      this.#looking = setInterval(() => this.#look(), LOOK);
      this.#look();
    };
    // Behind its end, too.
    process.stdin.once("close", ended);
    await this.#wire.start();
  }

  async send(message: JSONRPCMessage): Promise<void> {
    await this.#wire.send(message);
    if (!isJSONRPCResultResponse(message) && !isJSONRPCErrorResponse(message)) return;
    if (message.id !== undefined) this.#asked.delete(message.id);
    this.#look();
  }

  async close(): Promise<void> {
    clearInterval(this.#looking);
    await this.#written();
    await this.#wire.close();
  }

  /** What the runtime has not written by the exit is lost. Only the end of the stream tells that it has. */
  async #written(): Promise<void> {
    if (isHungUp(STDOUT)) return;
    const done = Promise.withResolvers<void>();
    process.stdout.end(() => done.resolve());
    const looking = setInterval(() => isHungUp(STDOUT) && done.resolve(), LOOK);
    const patience = setTimeout(() => done.resolve(), UNREAD);
    await done.promise;
    clearInterval(looking);
    clearTimeout(patience);
  }

  #take(message: JSONRPCMessage): void {
    if (isJSONRPCRequest(message)) this.#asked.add(message.id);
    else if ("method" in message && message.method === "notifications/cancelled")
      // Nobody answers it.
      this.#asked.delete(message.params?.["requestId"] as RequestId);
    this.onmessage?.(message);
  }

  /** Behind the end of the input. */
  #look(): void {
    if (this.#looking && (this.#asked.size === 0 || isHungUp(STDOUT))) this.#over.resolve();
  }
}

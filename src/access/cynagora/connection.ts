/** One connection to the service: hello, then questions and answers in any order. */
import type { Socket } from "node:net";
import { descriptorOf, peerCredentials } from "../../../ffi/sockets.ts";
import { userByName } from "../../../ffi/users.ts";
import { net } from "../../late.ts";
import { errorLine } from "../../unexpected.ts";
import type { ServiceAddress } from "./address.ts";
import { encodeRecord, RecordError, RecordReader } from "./record.ts";

export interface ConnectionEvents {
  /** It has said hello: from now on there may be questions. */
  ready(): void;
  /** @param expiry as it is written */
  answer(id: string, yes: boolean, expiry: string | undefined): void;
  /** Whatever was answered is to be forgotten. */
  clear(): void;
  /** Once. @param why for the operator @param greeted whether it has ever been ready */
  gone(why: string, greeted: boolean): void;
}

const VERSION = "1";
/** Bytes that the service has not read, at which it is given up. */
const MOST_UNREAD = 256 << 10;
/** The user that it runs as. */
const SERVICE_USER = "cynagora";

export class Connection {
  #socket: Socket | undefined;
  readonly #reader = new RecordReader();
  #greeting: ReturnType<typeof setTimeout> | undefined;
  #state: "greeting" | "ready" | "over" = "greeting";
  #greeted = false;

  constructor(
    readonly address: ServiceAddress,
    readonly events: ConnectionEvents,
  ) {}

  /** @param limit milliseconds in which it says hello */
  dial(limit: number): void {
    const { address } = this;
    const where =
      address.kind === "tcp"
        ? { host: address.host, port: address.port }
        : { path: address.path.replace(/^@/, "\0") };
    this.#greeting = setTimeout(() => this.#end("it does not say hello in time"), limit);
    const socket = net().connect({ ...where, noDelay: true });
    this.#socket = socket;
    socket.setKeepAlive(true, 30_000);
    socket.on("connect", () => this.#greet(socket));
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error) => this.#end(errorLine(error)));
    socket.on("close", () => this.#end("it has closed the connection"));
  }

  get ready(): boolean {
    return this.#state === "ready";
  }

  send(record: Buffer): void {
    const socket = this.#socket;
    if (this.#state !== "ready" || !socket) return;
    if (socket.writableLength > MOST_UNREAD) return this.#end("it does not read");
    socket.write(record);
  }

  /** Without a word to {@link ConnectionEvents.gone}. */
  close(): void {
    if (this.#state === "over") return;
    this.#state = "over";
    clearTimeout(this.#greeting);
    this.#socket?.destroy();
  }

  #greet(socket: Socket): void {
    try {
      this.#requireTrusted(socket);
      socket.write(encodeRecord("cynagora", VERSION));
    } catch (error) {
      this.#end(errorLine(error));
    }
  }

  /** An abstract name is whose program takes it first. A path is where only who may write there puts a socket. */
  #requireTrusted(socket: Socket): void {
    if (this.address.kind === "tcp" || !this.address.path.startsWith("@")) return;
    const fd = descriptorOf(socket);
    if (fd === undefined) throw new Error("it has closed the connection");
    const { uid } = peerCredentials(fd);
    const trusted = [0, process.geteuid?.(), userByName(SERVICE_USER)?.uid];
    if (trusted.includes(uid)) return;
    throw new Error(
      `uid ${uid} has taken this name: only root, the user of this server and ${SERVICE_USER} are believed`,
    );
  }

  #read(chunk: Buffer): void {
    try {
      this.#reader.push(chunk);
      while (this.#state !== "over") {
        const record = this.#reader.next();
        if (!record) return;
        this.#take(record);
      }
    } catch (error) {
      if (!(error instanceof RecordError)) throw error;
      this.#end(`it says what cannot be understood: ${error.message}`);
    }
  }

  #take([word, id, expiry, ...more]: readonly string[]): void {
    switch (word) {
      case "done":
        if (this.#state !== "greeting") return;
        if (id !== VERSION) throw new RecordError(`it speaks version ${shown(id)}`);
        this.#state = "ready";
        this.#greeted = true;
        clearTimeout(this.#greeting);
        return this.events.ready();
      case "yes":
      case "no":
        if (id === undefined || more.length > 0) break;
        return this.events.answer(id, word === "yes", expiry);
      case "clear":
        return this.events.clear();
      case "error":
        throw new RecordError(`error ${shown(id)}`);
    }
    throw new RecordError(`a record that begins with ${shown(word)}`);
  }

  #end(why: string): void {
    if (this.#state === "over") return;
    this.close();
    this.events.gone(why, this.#greeted);
  }
}

const shown = (field = ""): string => JSON.stringify(field.slice(0, 40));

/**
 * The sub-protocol x-afb-ws-json1: calls and replies, and events, as JSON arrays in text messages.
 * Frames are written out by hand, since their key order is part of the protocol for some clients.
 */
import type { Caller, Client } from "../api/client.ts";
import { Farewells } from "../api/farewells.ts";
import type { Asker } from "../api/turns.ts";
import type { Registry } from "../api/registry.ts";
import { failure, type Reply } from "../api/reply.ts";
import { AfbError } from "../errors.ts";
import { parseTyped, TooManyValues } from "../json.ts";
import { isWritten } from "../numbers.ts";
import type { Beating } from "./beats.ts";
import { eventMessage } from "./event-text.ts";
import type { ServerSession } from "./session.ts";
import type { WebSocketConnection } from "./websocket.ts";

const CALL = 2;
const OK = 3;
const ERROR = 4;

/** Calls without a reply at which a connection is no longer read, and at which it is again. */
const CALLS_HIGH = 1024;
const CALLS_LOW = 512;

interface Call {
  id: string;
  api: string;
  verb: string;
  args: unknown;
  token?: string;
}

export class AfbConnection implements Client, Beating {
  #connection: WebSocketConnection | undefined;
  #calls = 0;
  /** Handlers of the end by which it follows something. */
  #kept = 0;
  #caller: Caller;
  readonly #farewells = new Farewells();

  constructor(
    readonly registry: Registry,
    readonly session: ServerSession,
    caller: Caller = {},
    readonly from?: Asker,
  ) {
    this.#caller = caller;
    session.connections++;
  }

  /** The WebSocket this speaks through. */
  attach(connection: WebSocketConnection): void {
    this.#connection = connection;
  }

  get connected(): boolean {
    return this.#connection?.open ?? false;
  }

  /** Since when nothing was asked for, ms of performance.now(); undefined while something is done for it. */
  get idleSince(): number | undefined {
    const connection = this.#connection;
    if (!connection || this.#calls > 0 || this.#kept > 0 || !connection.empty) return undefined;
    return connection.heard;
  }

  /** See Beats. */
  beat(): void {
    if (this.#calls > 0 || this.#kept > 0) this.#connection?.ping();
  }

  get backlog(): number {
    return this.#connection?.backlog ?? 0;
  }

  send(event: string, data: unknown): void | Promise<void> {
    if (!this.connected) return;
    return this.#connection?.send(eventMessage(event, data));
  }

  onClose(gone: () => void, keeps = true): () => void {
    if (keeps) this.#kept++;
    const takeBack = this.#farewells.add(gone, !this.connected);
    return () => {
      if (takeBack() && keeps) this.#kept--;
    };
  }

  /** A text message arrived. */
  text(text: string): void {
    const call = parseCall(text);
    if (call instanceof TooManyValues) {
      // Whose call it is stands in what is not taken apart.
      this.#connection?.close(1009, call.message);
      return;
    }
    if (call === undefined) {
      this.#connection?.close(1008, "invalid-frame");
      return;
    }
    if ("fault" in call) {
      const { id, fault } = call;
      const answer = failure(new AfbError("invalid-request", `the frame is not JSON: ${fault}`));
      void this.#connection?.send(`[${ERROR},${JSON.stringify(id)},${JSON.stringify(answer)}]`);
      return;
    }
    // For this connection, whatever others use its session: see Caller.
    if (call.token !== undefined) this.#caller = { ...this.#caller, token: call.token };
    if (++this.#calls >= CALLS_HIGH) this.#connection?.hold(true);
    const { id, api, verb, args } = call;
    this.#connection?.charge(text.length);
    const reply = (answer: Reply): void => {
      this.#reply(id, answer);
      this.#connection?.charge(-text.length);
    };
    const { session, from } = this;
    this.registry
      .call({ api, verb, args, client: this, session, from, caller: this.#caller })
      .then(reply, (error: unknown) => reply(failure(error)));
  }

  /** The connection is gone. */
  gone(): void {
    this.session.connections--;
    this.#farewells.tell();
  }

  #reply(id: string, answer: Reply): void {
    const { json } = encodeReply(answer, (reply) => [
      reply.request.status === "success" ? OK : ERROR,
      id,
      reply,
    ]);
    // The sender of a reply has nothing to hold back; what piles up here stops the reading of calls instead.
    void this.#connection?.send(json);
    if (--this.#calls === CALLS_LOW) this.#connection?.hold(false);
  }
}

/** A message that cannot be read: why, and the id of the call that it was, or "". */
interface Unreadable {
  id: string;
  fault: string;
}

/**
 * The call in a message, read as leniently as existing clients are used to (see lenient.ts); undefined when it is none. Only a
 * server that calls its clients would be sent anything else.
 */
function parseCall(text: string): Call | Unreadable | TooManyValues | undefined {
  let frame: unknown;
  try {
    frame = parseTyped(text);
  } catch (error) {
    if (error instanceof TooManyValues) return error;
    if (!(error instanceof SyntaxError)) throw error;
    return { id: idIn(text), fault: error.message };
  }
  if (!Array.isArray(frame)) return undefined;
  const [kind, given, method, args, token]: unknown[] = frame;
  if (frame.length < 4 || frame.length > 5 || kind !== CALL) return undefined;
  const id = typeof given === "number" || isWritten(given) ? JSON.stringify(given) : given;
  if (typeof id !== "string" || typeof method !== "string") return undefined;
  const slash = method.indexOf("/");
  if (slash < 1) return undefined;
  const call: Call = { id, api: method.slice(0, slash), verb: method.slice(slash + 1), args };
  if (typeof token === "string") call.token = token;
  else if (token !== undefined && token !== null) return undefined;
  return call;
}

/** Where a call begins, its id is the first text, number or word; longer ones than anybody makes are not looked for. */
const CALL_ID =
  /^\s{0,99}\[\s{0,99}2\s{0,99},\s{0,99}(?:"([^"\\]{0,256})"|'([^'\\]{0,256})'|([\w.-]{1,256}))\s{0,99},/;

const idIn = (text: string): string => {
  const [, quoted, single, word] = CALL_ID.exec(text) ?? [];
  return quoted ?? single ?? word ?? "";
};

/**
 * A reply and its JSON; an internal-error when the response has none.
 * @param within what the JSON is to be of: one text of megabytes is made then, and not another around it
 */
export function encodeReply(
  reply: Reply,
  within: (reply: Reply) => unknown = (itself) => itself,
): { reply: Reply; json: string } {
  try {
    return { reply, json: JSON.stringify(within(reply)) };
  } catch (error) {
    const bug = failure(new Error(`the response cannot be written as JSON: ${String(error)}`));
    return { reply: bug, json: JSON.stringify(within(bug)) };
  }
}

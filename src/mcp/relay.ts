/**
 * The protocol over standard input and output, in front of a server that is elsewhere: messages go on as they are. Where the server
 * was started anew it is begun with as the client has begun, since programs that start this one do not start it again.
 */
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js";
import {
  isInitializeRequest,
  isJSONRPCErrorResponse,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
  type JSONRPCMessage,
  type JSONRPCRequest,
  type RequestId,
} from "@modelcontextprotocol/sdk/types.js";
import { isObject } from "../object.ts";
import { Pipe } from "./pipe.ts";

export interface Elsewhere {
  /** Of `/mcp`. */
  readonly url: URL;
  readonly token: string | undefined;
  readonly fetch: (url: string | URL, init?: RequestInit) => Promise<Response>;
  /** ms for another session, for which all that is asked meanwhile waits. */
  readonly patience?: number;
}

/** The session is not known there any more: the server was started anew. */
const GONE = 404;
/** JSON-RPC: something went wrong between here and there. */
const FAILED = -32000;
const NO_METHOD = -32601;
/** For as long as the client is there: who is started anew is found again. */
const RECONNECTION = {
  ...{ initialReconnectionDelay: 1000, maxReconnectionDelay: 30_000 },
  ...{ reconnectionDelayGrowFactor: 2, maxRetries: Infinity },
};
const PATIENCE = 30_000;
const LOST = "the server was started anew meanwhile: whether this was done is not known";

/**
 * Until the client closes its end.
 * @returns why it ended before; undefined where it did not
 */
export async function relay(elsewhere: Elsewhere): Promise<string | undefined> {
  const { promise: ended, resolve: end } = Promise.withResolvers<string | undefined>();
  const own = new Pipe();
  const front = new Front(elsewhere, own, end);
  own.onmessage = (message) => front.take(message);
  const over = (): void => end(undefined);
  own.onclose = over;
  void own.over.then(over);
  await front.start();
  await own.start();
  const why = await ended;
  await front.close();
  await own.close();
  return why;
}

class Front {
  #there: StreamableHTTPClientTransport;
  /** What comes with the first message needs the session that it makes. */
  #begun: Promise<unknown> = Promise.resolve();
  /** How the client has begun: so it is begun again where the session is lost. */
  #first: JSONRPCRequest | undefined;
  /** The session that is being lost, and the one in its place. */
  #renewing: { readonly lost: Transport; readonly done: Promise<void> } | undefined;
  /** The answer to a beginning of our own. */
  #again: { readonly id: RequestId; readonly settle: PromiseWithResolvers<void> } | undefined;
  /** Asked in this session, and not answered. */
  readonly #open = new Set<RequestId>();
  #told = "";

  constructor(
    readonly elsewhere: Elsewhere,
    readonly own: Pipe,
    readonly end: (why: string) => void,
  ) {
    this.#there = this.#connection();
  }

  start(): Promise<void> {
    return this.#there.start();
  }

  take(message: JSONRPCMessage): void {
    const isFirst = isInitializeRequest(message) && isJSONRPCRequest(message);
    // Who speaks later versions, which have no sessions, looks first whether this does (`server/discover`), and begins as here where
    // it does not: some do for this code alone.
    if (!this.#first && !isFirst) {
      if (isJSONRPCRequest(message)) this.#answer(message.id, "begin with initialize", NO_METHOD);
      return;
    }
    const sent = this.#begun.then(() => this.#send(message));
    if (isFirst) {
      this.#first = message;
      this.#begun = sent.catch(() => {});
    }
    sent.catch((error: unknown) => {
      const why = `${this.elsewhere.url.href}: ${error instanceof Error ? error.message : String(error)}`;
      if (isJSONRPCRequest(message) && this.#open.has(message.id)) this.#answer(message.id, why);
      // Before there is a session nothing else will do either.
      if (this.#there.sessionId === undefined && !this.#renewing) this.end(why);
    });
  }

  async close(): Promise<void> {
    const there = this.#there;
    await there.terminateSession().catch(there.onerror);
    await there.close();
  }

  #connection(): StreamableHTTPClientTransport {
    const { url, token, fetch } = this.elsewhere;
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const reconnectionOptions = { ...RECONNECTION };
    const options = { fetch, requestInit: { headers }, reconnectionOptions };
    const there = new StreamableHTTPClientTransport(url, options);
    there.onmessage = (message) => {
      if (this.#there === there) this.#answered(message);
    };
    there.onerror = (error) => {
      // What comes of one that was given up is of no interest, and before there is a session the end tells it.
      if (this.#there !== there || there.sessionId === undefined) return;
      const isGone = codeOf(error) === GONE;
      // It was started anew again, before it had answered.
      if (isGone && this.#renewing) this.#again?.settle.reject(error);
      // Of a stream: who is told so first asks nothing at all.
      else if (isGone) void this.#renewed(there).catch(() => {});
      else if (!this.#renewing) this.#tell(error.message);
    };
    return there;
  }

  async #send(message: JSONRPCMessage): Promise<void> {
    await this.#renewing?.done.catch(() => {});
    const there = this.#there;
    const id = isJSONRPCRequest(message) ? message.id : undefined;
    if (id !== undefined) this.#open.add(id);
    // Nobody answers that.
    else if ("method" in message && message.method === "notifications/cancelled")
      this.#open.delete(message.params?.["requestId"] as RequestId);
    try {
      await there.send(message);
    } catch (error) {
      if (codeOf(error) !== GONE || there.sessionId === undefined) throw error;
      // It was not taken, and may be sent again; unless its client was told otherwise.
      if (id !== undefined && !this.#open.delete(id)) return;
      try {
        await this.#renewed(there);
      } finally {
        if (id !== undefined) this.#open.add(id);
      }
      await this.#there.send(message);
    }
  }

  /** Once for all that meet its end. Rejects where there is no other session to be had. */
  #renewed(lost: StreamableHTTPClientTransport): Promise<void> {
    if (this.#renewing?.lost === lost) return this.#renewing.done;
    if (this.#there !== lost) return Promise.resolve();
    const done = this.#renew(lost).finally(() => (this.#renewing = undefined));
    this.#renewing = { lost, done };
    return done;
  }

  async #renew(lost: StreamableHTTPClientTransport): Promise<void> {
    const first = this.#first;
    if (!first) return;
    const there = this.#connection();
    const again = { id: `again-${crypto.randomUUID()}`, settle: Promise.withResolvers<void>() };
    again.settle.promise.catch(() => {});
    this.#again = again;
    this.#there = there;
    const begin = async () => {
      await there.start();
      await there.send({ ...first, id: again.id });
      await again.settle.promise;
      await there.send({ jsonrpc: "2.0", method: "notifications/initialized" });
    };
    const late = Promise.withResolvers<never>();
    const silent = new Error("the server was started anew, and does not answer");
    const timer = setTimeout(() => late.reject(silent), this.elsewhere.patience ?? PATIENCE);
    try {
      await Promise.race([begin(), late.promise]);
    } catch (error) {
      // The next message tries it again.
      this.#there = lost;
      await leave(there);
      throw error;
    } finally {
      clearTimeout(timer);
    }
    await leave(lost);
    for (const id of [...this.#open]) this.#answer(id, LOST);
    // It may have others by now.
    for (const what of ["tools", "resources"])
      void this.own.send({ jsonrpc: "2.0", method: `notifications/${what}/list_changed` });
    this.#told = "";
  }

  #answered(message: JSONRPCMessage): void {
    if (isJSONRPCResultResponse(message) || isJSONRPCErrorResponse(message)) {
      if (message.id !== undefined) this.#open.delete(message.id);
      const isAgain = this.#again !== undefined && message.id === this.#again.id;
      if (isAgain || message.id === this.#first?.id) this.#agree(message);
      if (isAgain) {
        if (isJSONRPCResultResponse(message)) this.#again?.settle.resolve();
        else this.#again?.settle.reject(new Error(message.error.message));
        return;
      }
    }
    void this.own.send(message);
  }

  /** On the version. */
  #agree(message: JSONRPCMessage): void {
    if (!isJSONRPCResultResponse(message) || !isObject(message.result)) return;
    const { protocolVersion } = message.result;
    if (typeof protocolVersion === "string") this.#there.setProtocolVersion(protocolVersion);
  }

  #answer(id: RequestId, why: string, code = FAILED): void {
    this.#open.delete(id);
    void this.own.send({ jsonrpc: "2.0", id, error: { code, message: why } });
  }

  /** The same once: a stream is tried again and again. Without what the runtime has for who writes programs. */
  #tell(why: string): void {
    if (why === this.#told) return;
    this.#told = why;
    console.error(`spawnbox mcp: ${why.replace(/ For more information, pass .*$/s, "")}`);
  }
}

/** What it tries again fails from now on, and would be tried for ever. */
async function leave(there: StreamableHTTPClientTransport): Promise<void> {
  there["_reconnectionOptions"].maxRetries = 0;
  await there.close();
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;

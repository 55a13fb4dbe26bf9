/** The protocol over standard input and output, in front of a server that is elsewhere: messages go on as they are. */
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  isInitializeRequest,
  isJSONRPCRequest,
  isJSONRPCResultResponse,
  type JSONRPCMessage,
  type RequestId,
} from "@modelcontextprotocol/sdk/types.js";
import { isObject } from "../object.ts";
import { Pipe } from "./pipe.ts";

export interface Elsewhere {
  /** Of `/mcp`. */
  readonly url: URL;
  readonly token: string | undefined;
  readonly fetch: (url: string | URL, init?: RequestInit) => Promise<Response>;
}

/** The session is not known there any more: the server was started anew. */
const GONE = 404;
/** JSON-RPC: something went wrong between here and there. */
const FAILED = -32000;
const NO_METHOD = -32601;

/**
 * Until the client closes its end.
 * @returns why it ended before; undefined where it did not
 */
export async function relay({ url, token, fetch }: Elsewhere): Promise<string | undefined> {
  const own = new Pipe();
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const there = new StreamableHTTPClientTransport(url, { fetch, requestInit: { headers } });
  const { promise: ended, resolve: end } = Promise.withResolvers<string | undefined>();
  let asked: RequestId | undefined;
  const refuse = (message: JSONRPCMessage, why: string, code = FAILED): void => {
    if (!isJSONRPCRequest(message)) return;
    void own.send({ jsonrpc: "2.0", id: message.id, error: { code, message: why } });
  };
  // What comes with the first message needs the session that it makes.
  let begun: Promise<unknown> = Promise.resolve();
  own.onmessage = (message) => {
    const isFirst = isInitializeRequest(message) && isJSONRPCRequest(message);
    // Who speaks later versions, which have no sessions, looks first whether this does (`server/discover`), and begins as here where
    // it does not: some do for this code alone.
    if (asked === undefined && !isFirst) return refuse(message, "begin with initialize", NO_METHOD);
    const sent = begun.then(() => there.send(message));
    if (isFirst) {
      asked = message.id;
      begun = sent.catch(() => {});
    }
    sent.catch((error: unknown) => {
      const why = `${url.href}: ${error instanceof Error ? error.message : String(error)}`;
      refuse(message, why);
      // Before there is a session nothing else will do either.
      if (codeOf(error) === GONE || there.sessionId === undefined) end(why);
    });
  };
  there.onmessage = (message) => {
    if (isJSONRPCResultResponse(message) && message.id === asked && isObject(message.result)) {
      const { protocolVersion } = message.result;
      if (typeof protocolVersion === "string") there.setProtocolVersion(protocolVersion);
    }
    void own.send(message);
  };
  there.onerror = ({ message }) => {
    // Before there is a session the end tells it.
    if (there.sessionId !== undefined) console.error(`spawnbox mcp: ${message}`);
  };
  const over = (): void => end(undefined);
  own.onclose = over;
  void own.over.then(over);
  await there.start();
  await own.start();
  const why = await ended;
  await there.terminateSession().catch(there.onerror);
  await there.close();
  await own.close();
  return why;
}

const codeOf = (error: unknown): unknown =>
  error instanceof Error && "code" in error ? error.code : undefined;

/** A session over verbs that a test writes, and the SDK's own client of it, in one process. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { InMemoryTransport } from "@modelcontextprotocol/sdk/inMemory.js";
import {
  ElicitRequestSchema,
  type ElicitRequest,
  type ElicitResult,
  type JSONRPCMessage,
} from "@modelcontextprotocol/sdk/types.js";
import { afterEach } from "bun:test";
import type { Caller, Request } from "../../src/api/client.ts";
import type { RegistryOptions } from "../../src/api/registry.ts";
import type { Verb, VerbDescription } from "../../src/api/verb.ts";
import type { Host, Who } from "../../src/mcp/host.ts";
import { Own } from "../../src/mcp/own.ts";
import { Session } from "../../src/mcp/session.ts";
import { connecting } from "../api/harness.ts";

/** A verb of `p` that does what is written here with what it is called with. */
export const verb = (
  name: string,
  call: (request: Request) => unknown,
  { privileges = [], ...about }: Partial<VerbDescription> = {},
): Verb => ({
  ...{ name, privileges, call },
  ...(about.fed && { isFed: true }),
  describe: () => ({ parameters: [], ...about }),
});

export interface Linking {
  readonly verbs?: readonly Verb[];
  readonly plans?: Parameters<ReturnType<typeof connecting>>[0];
  readonly registry?: Partial<RegistryOptions>;
  readonly host?: Partial<Host>;
  readonly caller?: Caller;
  readonly isSlow?: () => boolean;
  /** Of the client. */
  readonly name?: string;
  readonly answer?: (asked: ElicitRequest["params"]) => ElicitResult | Promise<ElicitResult>;
}

/** A function that links a session and a client; both are closed after the test that made them. */
export function linking() {
  const make = connecting();
  const open: { close(): Promise<void> }[] = [];
  afterEach(async () => {
    for (const one of open.splice(0)) await one.close();
  });
  return async (given: Linking = {}) => {
    const { plans = [], verbs = [], caller = {}, isSlow } = given;
    const { registry } = make(plans, { verbs: { p: verbs }, ...given.registry });
    const connection = {};
    const who: Who = {
      ...{ session: { uuid: "s" }, caller },
      from: { peer: "peer", connection },
    };
    const own = new Own();
    const host: Host = { registry, version: "1.2.3", ...given.host };
    const session = new Session(host, () => who, own, isSlow);
    const { answer, name = "x" } = given;
    const client = new Client(
      { name, version: "1" },
      { capabilities: answer ? { elicitation: {} } : {} },
    );
    if (answer) client.setRequestHandler(ElicitRequestSchema, ({ params }) => answer(params));
    const [here, there] = InMemoryTransport.createLinkedPair();
    /** All that the session sends, as it is. */
    const sent: JSONRPCMessage[] = [];
    const send = there.send.bind(there);
    there.send = (message, options) => {
      sent.push(message);
      return send(message, options);
    };
    await session.connect(there);
    await client.connect(here);
    open.push(client, session);
    return { session, client, registry, own, who, host, sent, there };
  };
}

/** As the client got it, without being checked. */
export const called = async (
  client: Client,
  name: string,
  args?: Record<string, unknown>,
  options?: Parameters<Client["callTool"]>[2],
) =>
  (await client.callTool({ name, ...(args && { arguments: args }) }, undefined, options)) as {
    content: { type: string; text?: string }[];
    isError?: boolean;
    structuredContent?: unknown;
    _meta?: object;
  };

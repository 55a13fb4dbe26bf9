/** A server of tools for tests, and clients of it. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
import {
  type CallToolResult,
  CallToolResultSchema,
  ElicitRequestSchema,
  type ElicitResult,
} from "@modelcontextprotocol/sdk/types.js";
import { hashOf } from "../../src/access/token.ts";
import { isRoot } from "../served.ts";

export const TOKENS = { reader: "a-token-of-a-reader", owner: "a-token-of-an-owner" } as const;

export const access = {
  grants: [
    { token: hashOf(TOKENS.reader), info: "the reader", privileges: ["urn:t:read"] },
    { token: hashOf(TOKENS.owner), info: "the owner", privileges: ["urn:t:read", "urn:t:own"] },
  ],
};

export const sh = (script: string, args: readonly string[] = []) => ({
  cmdpath: "/bin/sh",
  args: ["-c", script.replaceAll("$", () => "$$"), "sh", ...args],
});
const file = (type: string) => ({ output: "file", opts: { type } });
const text = { type: "string" };

/** @param more verbs */
export const config = (more: readonly object[] = []) => ({
  metadata: { uid: "t", api: "t" },
  mcp: "*",
  extra: [{ uid: "via", action: "api://t#ask", args: { what: "by the extra verb" } }],
  sandboxes: {
    uid: "box",
    prefix: "",
    profile: "minimal",
    ...(isRoot && { acls: { user: "daemon" } }),
    commands: [
      {
        ...{ uid: "say", label: "Say it", info: "says what it is given" },
        params: { text: { ...text, maxLength: 1_000_000 }, n: { type: "integer" } },
        exec: { cmdpath: "/bin/echo", args: ["-n", "%text%", { arg: "?n?", omit: true }] },
      },
      { uid: "read", privilege: "urn:t:read", exec: { cmdpath: "/bin/echo", args: "read" } },
      { uid: "own", privilege: "urn:t:own", exec: { cmdpath: "/bin/echo", args: "own" } },
      {
        ...{ uid: "object", encoder: "json" },
        tool: {
          ...{ readonly: false, destructive: true, idempotent: true, openworld: true },
          result: { type: "object", properties: { n: { type: "integer" } }, required: ["n"] },
        },
        exec: { cmdpath: "/bin/echo", args: ["%value%"] },
      },
      { uid: "values", encoder: "json", exec: sh(`echo '[1]'; echo '"x"'; echo '{"a":1}'`) },
      { uid: "picture", encoder: file("image/png"), exec: sh("printf '\\211PNG'") },
      { uid: "sound", encoder: file("audio/wav"), exec: sh("printf RIFF") },
      { uid: "page", encoder: file("text/html; charset=utf-8"), exec: sh("echo '<b>'") },
      { uid: "blob", encoder: file("application/zip"), exec: sh("printf 'PK\\377'") },
      { uid: "rawbytes", encoder: "raw", exec: sh("printf '\\377\\376'") },
      {
        ...{ uid: "few", encoder: { output: "text", opts: { maxline: 2 } } },
        exec: sh("echo 1; echo 2; echo 3; echo 4"),
      },
      { uid: "sync", encoder: "sync", exec: sh("echo out; echo err >&2") },
      { uid: "fail", exec: sh("echo before; echo why >&2; exit 7") },
      { uid: "die", exec: sh("kill -9 $$") },
      { uid: "late", timeout: 0.3, exec: { cmdpath: "/bin/sleep", args: "60" } },
      { uid: "much", exec: sh("i=0; while [ $i -lt 40000 ]; do echo line $i; i=$((i+1)); done") },
      { uid: "huge", encoder: file("image/png"), exec: sh("head -c 5000000 /dev/zero") },
      { uid: "escape", exec: sh("printf '\\033[31mred\\033[0m \\342\\200\\256 <1>x\\n'") },
      {
        ...{ uid: "steps", encoder: "json" },
        exec: sh(
          `for n in 1 5 10; do echo '{"progress":'$n',"total":10,"message":"at '$n'"}'; done; sleep 0.2; echo '{"done":true}'`,
        ),
      },
      {
        uid: "lines",
        exec: sh(`for n in a b c; do echo $n; done; echo '{"progress": 50}'; echo d; sleep 0.2`),
      },
      { uid: "cat", stdin: "body", maxinput: 5, exec: { cmdpath: "/bin/cat" } },
      {
        ...{ uid: "ask", confirm: true },
        exec: { cmdpath: "/bin/echo", args: ["%what%"] },
        params: { what: text },
      },
      {
        ...{ uid: "secret", confirm: true, params: { key: { ...text, writeOnly: true } } },
        exec: { cmdpath: "/bin/echo", args: ["done", "%key%"] },
      },
      {
        uid: "tree",
        stop: { signal: "SIGTERM", grace: 0.2 },
        exec: sh("sleep 61 & setsid sleep 62 & echo started; wait"),
      },
      { uid: "tied", detach: false, exec: sh("echo started; sleep 63") },
      ...more,
    ],
  },
});

export interface ClientOptions {
  readonly token?: string;
  /** What somebody answers; without, nobody can be asked. */
  readonly answer?: ElicitResult | (() => Promise<ElicitResult>);
  /** Told of each question. */
  readonly asked?: (message: string) => void;
  readonly fetch?: (url: string | URL, init?: RequestInit) => Promise<Response>;
}

export function clientOf({ answer, asked }: ClientOptions = {}): Client {
  const capabilities = answer ? { elicitation: {} } : {};
  const client = new Client({ name: "a client", version: "1\u001b[0m" }, { capabilities });
  if (answer)
    client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
      asked?.(params.message);
      return typeof answer === "function" ? answer() : answer;
    });
  return client;
}

/** Over HTTP. */
export async function connect(url: string, options: ClientOptions = {}) {
  const { token, fetch } = options;
  const client = clientOf(options);
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const transport = new StreamableHTTPClientTransport(new URL(`${url}/mcp`), {
    requestInit: { headers },
    ...(fetch && { fetch }),
  });
  await client.connect(transport);
  return { client, transport };
}

export async function call(
  client: Client,
  name: string,
  args: Record<string, unknown> = {},
  options: Parameters<Client["callTool"]>[2] = {},
): Promise<CallToolResult> {
  return CallToolResultSchema.parse(
    await client.callTool({ name, arguments: args }, undefined, options),
  );
}

/** All that is text of a result. */
export const textOf = ({ content }: CallToolResult): string =>
  content.map((one) => (one.type === "text" ? one.text : `<${one.type}>`)).join("\n");

/** Messages to the door of tools: whatever comes, each request has an answer, and nobody gets into a session of somebody else. */
import { isInitializeRequest } from "@modelcontextprotocol/sdk/types.js";
import { Door, type Visit } from "../../src/mcp/door.ts";
import { TestRegistry } from "../server/harness.ts";
import { demand, type Json, type Random, type Target } from "./target.ts";

interface Step {
  method: string;
  /** Of which session: that of the first or of the second caller, none, or one that never was. */
  session: "mine" | "other" | "none" | "unknown";
  headers: Record<string, string>;
  body: string;
}

const METHODS = [
  ...["initialize", "tools/list", "tools/call", "tools/call", "resources/list", "resources/read"],
  ...[
    "ping",
    "notifications/cancelled",
    "notifications/initialized",
    "prompts/list",
    "tasks/get",
    "x",
  ],
] as const;
const WORDS = [
  ...["t_ping", "t_echo", "t_cycle", "t_fail", "t_slow", "__proto__", "constructor", "", "\0"],
  ...["spawnbox://tasks", "spawnbox://sandbox/t/../x", "\u202e", "1", "x".repeat(3000)],
] as const;

const valueOf = (random: Random, depth = 0): Json => {
  if (depth > 3 || random.once(2))
    return random.pick([null, true, 0, -1, 1e300, 2 ** 53, 0.5, random.pick(WORDS)]);
  if (random.once(2)) return random.list(4, () => valueOf(random, depth + 1));
  const keys = [
    "name",
    "arguments",
    "uri",
    "_meta",
    "progressToken",
    "requestId",
    "task",
    "a",
  ] as const;
  return Object.fromEntries(random.list(4, () => [random.pick(keys), valueOf(random, depth + 1)]));
};

const INITIALIZE = {
  protocolVersion: "2025-11-25",
  capabilities: { elicitation: {} },
  clientInfo: { name: "fuzz", version: "1" },
};

function messageOf(random: Random): Json {
  if (random.once(12)) return valueOf(random);
  if (random.once(12)) return random.list(5, () => messageOf(random));
  const method = random.pick([METHODS[0], ...METHODS]);
  const params: Json = random.once(3)
    ? valueOf(random)
    : method === "initialize"
      ? INITIALIZE
      : { name: random.pick(WORDS), uri: random.pick(WORDS), arguments: valueOf(random) };
  const id: Json = random.once(6) ? valueOf(random) : random.below(5);
  return {
    ...(!random.once(15) && { jsonrpc: "2.0" }),
    ...(!random.once(6) && { id }),
    ...(random.once(20) ? { result: valueOf(random) } : { method, params }),
  };
}

function make(random: Random): Json {
  return random.list(8, (): { [Key in keyof Step]: Json } => {
    const body = JSON.stringify(messageOf(random));
    const accept = random.once(8) ? "text/html" : "application/json, text/event-stream";
    return {
      method: random.pick(["POST", "POST", "POST", "POST", "GET", "DELETE", "PUT"]),
      session: random.pick(["mine", "mine", "mine", "other", "none", "unknown"]),
      headers: {
        ...{ accept, "content-type": random.once(10) ? "text/plain" : "application/json" },
        ...(random.once(6) && { "mcp-protocol-version": random.pick(["2025-11-25", "1", ""]) }),
        ...(random.once(6) && { "last-event-id": random.pick(["1-x", "", "é", "2-_GET_stream"]) }),
      },
      body: random.once(10) ? body.slice(0, random.below(body.length + 1)) : body,
    };
  });
}

class Registry extends TestRegistry {
  override describe() {
    const verbs = ["ping", "echo", "cycle", "fail", "slow"];
    const described = verbs.map((name) => ({ name: `${name}`, parameters: [], privileges: [] }));
    return [
      { api: "t", verbs: described },
      { api: "u", verbs: described },
    ];
  }
  may(): boolean {
    return true;
  }
}

const visit = (owner: string, body: string): Visit => ({
  ...{ owner, peer: owner, body: Buffer.from(body) },
  who: { caller: { token: owner, via: "mcp" } },
});

/** Whether it asks for a session. */
function begins(method: string, body: string): boolean {
  try {
    return method === "POST" && isInitializeRequest(JSON.parse(body));
  } catch {
    return false;
  }
}

async function begun(door: Door, owner: string): Promise<string> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params: INITIALIZE });
  const headers = {
    accept: "application/json, text/event-stream",
    "content-type": "application/json",
  };
  const request = new Request("http://localhost/mcp", { method: "POST", headers });
  const response = await door.respond(request, visit(owner, body));
  await response.text();
  return response.headers.get("mcp-session-id") ?? "";
}

/** What comes at once of an answer that may have no end. */
async function read(response: Response): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return "";
  let text = "";
  const late = Bun.sleep(20).then(() => ({ done: true as const, value: undefined }));
  for (;;) {
    const { done, value } = await Promise.race([reader.read(), late]);
    if (done) break;
    text += new TextDecoder().decode(value);
  }
  await reader.cancel();
  return text;
}

export const tools: Target = {
  name: "tools",
  make,
  async check(input: Json) {
    const door = new Door({ registry: new Registry(), version: "0" });
    const ids = { mine: await begun(door, "mine"), other: await begun(door, "other") };
    try {
      for (const step of (Array.isArray(input) ? input : []) as unknown as Step[]) {
        const { method = "POST", session = "none", headers = {}, body = "" } = step;
        const own =
          session === "none"
            ? {}
            : { "mcp-session-id": session === "unknown" ? "x" : ids[session] };
        let request: Request;
        try {
          request = new Request("http://localhost/mcp", {
            method,
            headers: { ...headers, ...own },
          });
        } catch (error) {
          if (error instanceof TypeError) continue;
          throw error;
        }
        const response = await door.respond(request, visit("mine", method === "POST" ? body : ""));
        const text = await read(response);
        const { status } = response;
        demand(
          [200, 202, 400, 404, 405, 406, 409, 413, 415].includes(status),
          `status ${status}`,
          text,
        );
        // Before whose session it is, it is looked at whether it is anything; and who begins gets one of its own.
        const isNone = session === "other" || session === "unknown";
        const its = response.headers.get("mcp-session-id");
        demand(
          !isNone ||
            status === 404 ||
            status === 400 ||
            (begins(method, body) && its !== ids.other),
          "a session of somebody else",
          status,
          text,
        );
        if (response.headers.get("content-type") === "application/json") JSON.parse(text);
      }
      // That of somebody else has not noticed.
      const headers = {
        ...{ accept: "application/json, text/event-stream", "content-type": "application/json" },
        "mcp-session-id": ids.other,
      };
      const ping = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "ping" });
      const request = new Request("http://localhost/mcp", { method: "POST", headers });
      const answer = await (await door.respond(request, visit("other", ping))).text();
      demand(answer.includes('"result":{}'), "no answer to the other", answer);
    } finally {
      await door.close();
    }
  },
};

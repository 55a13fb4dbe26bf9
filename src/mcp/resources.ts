/** What a client can read: what the sandboxes do, what the machine can, and what was started here lately. */
import {
  ErrorCode,
  McpError,
  type ReadResourceResult,
  type Resource,
} from "@modelcontextprotocol/sdk/types.js";
import { isObject } from "../object.ts";
import { plainText } from "../visible.ts";
import { FOREIGN } from "./foreign.ts";
import type { Host, Who } from "./host.ts";

const TASKS = "spawnbox://tasks";
const DOCTOR = "spawnbox://doctor";
const SANDBOX = "spawnbox://sandbox/";
const TYPE = "application/json";
/** Tasks that are told. */
const MOST = 50;

interface Explained {
  readonly api: string;
  readonly sandbox: string;
}

export async function list(host: Host, who: Who): Promise<Resource[]> {
  const sandboxes = (await explained(host, who)).map(({ api, sandbox }): Resource => ({
    uri: uriOf(api, sandbox),
    name: `${api}/${sandbox}`,
    title: `Sandbox ${api}/${sandbox}`,
    description: "what it does before a command runs, and how much it leaves open",
    mimeType: TYPE,
  }));
  return [
    ...sandboxes,
    {
      uri: TASKS,
      name: "tasks",
      title: "Last tasks",
      description: "what this caller has started lately, the newest first",
      mimeType: TYPE,
    },
    ...(host.doctor
      ? [
          {
            uri: DOCTOR,
            name: "doctor",
            title: "Doctor",
            description:
              "what this kernel and the user of the server can do, and what to do about what is missing",
            mimeType: TYPE,
          },
        ]
      : []),
  ];
}

/** @param own ids of what this caller has started. @throws McpError for what is not there */
export async function read(
  uri: string,
  host: Host,
  who: Who,
  own: ReadonlySet<string>,
): Promise<ReadResourceResult> {
  const text = await textOf(uri, host, who, own);
  if (text === undefined) throw new McpError(NOT_FOUND, "there is no such resource", { uri });
  // In JSON what hides or turns around text means the same as it stands there.
  return { contents: [{ uri, mimeType: TYPE, text: plainText(text), _meta: FOREIGN }] };
}

/** As the specification has it for resources. */
const NOT_FOUND: ErrorCode = -32002 as ErrorCode;

async function textOf(
  uri: string,
  host: Host,
  who: Who,
  own: ReadonlySet<string>,
): Promise<string | undefined> {
  if (uri === DOCTOR) return host.doctor?.();
  if (uri === TASKS) return JSON.stringify(await tasks(host, who, own), null, 2);
  const found = (await explained(host, who)).find((one) => uriOf(one.api, one.sandbox) === uri);
  return found && JSON.stringify(found, null, 2);
}

const uriOf = (api: string, sandbox: string): string =>
  `${SANDBOX}${encodeURIComponent(api)}/${encodeURIComponent(sandbox)}`;

/** Those of verbs that the caller may call. */
async function explained({ registry }: Host, who: Who): Promise<Explained[]> {
  const { response } = await registry.call({
    api: "monitor",
    verb: "explain",
    args: undefined,
    ...who,
  });
  return Array.isArray(response) ? response.filter(isExplained) : [];
}

const isExplained = (one: unknown): one is Explained =>
  isObject(one) && typeof one["api"] === "string" && typeof one["sandbox"] === "string";

/** Of those that the caller may follow now. */
async function tasks({ registry }: Host, who: Who, own: ReadonlySet<string>): Promise<unknown[]> {
  const args = { limit: 1000 };
  const { response } = await registry.call({ api: "monitor", verb: "tasks", args, ...who });
  const all: unknown[] = Array.isArray(response) ? response : [];
  return all
    .filter((one) => isObject(one) && typeof one["id"] === "string" && own.has(one["id"]))
    .slice(0, MOST);
}

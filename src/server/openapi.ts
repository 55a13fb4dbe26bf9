/** The verbs as an OpenAPI 3.1 document: what a client generator or an API browser needs. */
import type { ApiDescription, VerbDescription } from "../api/verb.ts";
import { STATUS } from "../errors.ts";
import { named } from "../mcp/names.ts";
import { exitsByStatus } from "../plan/http-status.ts";
import { argumentsInUrl, requestBody } from "./openapi-input.ts";
import { EVENTS } from "./events.ts";

type Json = Record<string, unknown>;

/** @param base what is before the paths, see Base */
export function openApi(apis: readonly ApiDescription[], version: string, base = ""): Json {
  const all = apis.flatMap(({ api, verbs }) => {
    const taken = new Set(verbs.map(({ name }) => name.toLowerCase()));
    return verbs.flatMap((verb) => paths(api, verb, taken));
  });
  nameOperations(all.flatMap(([, item]) => Object.values(item)));
  return {
    openapi: "3.1.0",
    info: { title: "spawnbox", version, description: "Commands, each launched in its sandbox" },
    ...(base !== "" && { servers: [{ url: base }] }),
    tags: apis.map(({ api, info }) => ({ name: api, ...(info ? { description: info } : {}) })),
    paths: Object.fromEntries(all),
    components: {
      schemas: { Reply: REPLY, Event: EVENT },
      securitySchemes: { token: TOKEN, ...webhookSchemes(apis) },
    },
    // Of most verbs none is asked for; an empty list says so.
    security: [],
  };
}

interface Operation extends Json {
  operationId: string;
}
/** What is at a path, by method. */
type Item = Record<string, Operation>;

/** Generators make functions of these names, tools and checks take no others: letters, digits, `_` and `-`. */
function nameOperations(all: readonly Operation[]): void {
  for (const [name, operation] of named(all, ({ operationId }) => operationId))
    operation.operationId = name;
}

/** With the names of operations as they are told apart. @param taken the names of the API's verbs in lower case */
function paths(api: string, verb: VerbDescription, taken: ReadonlySet<string>): [string, Item][] {
  const name = verb.name.split("/").map(encodeURIComponent).join("/");
  // Encoded, so that what is put behind it makes no other verb's.
  const id = `${encodeURIComponent(api)}/${name}`;
  const path = `/api/${id}`;
  const about = {
    tags: [api],
    ...(verb.info ? { summary: verb.info } : {}),
    ...(verb.privileges.length > 0
      ? { "x-permissions": verb.privileges, security: [{ token: verb.privileges }] }
      : {}),
    ...(verb.confirm && { "x-confirm": verb.confirm }),
  };
  const failures = {
    "400": { description: "the arguments do not fit; `info` says why", content: REPLY_CONTENT },
    ...(verb.privileges.length > 0 && {
      "401": { description: "the token is not known", content: REPLY_CONTENT },
      "403": { description: "a privilege is missing", content: REPLY_CONTENT },
    }),
    ...(verb.task && {
      "503": { description: "there is no room for another task now", content: REPLY_CONTENT },
    }),
    default: { description: "the reply, with what went wrong", content: REPLY_CONTENT },
  };
  const known = {
    "200":
      verb.file === undefined
        ? { description: "the reply, success", content: REPLY_CONTENT }
        : {
            description: "what the command prints, and in the trailer Spawnbox-Exit how it ended",
            content: { [verb.file]: {} },
          },
    ...(verb.task && {
      "202": {
        description: "with `Prefer: wait=N`: the task goes on, and can be followed at `Location`",
        content: REPLY_CONTENT,
      },
    }),
    ...failures,
  };
  // Of a stream it is 200, whatever comes of it.
  const replies = { ...known, ...byExit(verb, known) };
  const parameters = argumentsInUrl(verb);
  const waits = verb.task ? [WAIT] : [];
  const calls = {
    get: { operationId: id, ...about, parameters: [...parameters, ...waits], responses: replies },
    post: {
      operationId: `${id}#post`,
      ...about,
      ...(verb.webhook !== undefined &&
        verb.privileges.length > 0 && {
          security: [{ token: verb.privileges }, { [schemeOf(verb.webhook)]: [] }],
        }),
      parameters: verb.fed ? [...parameters, ...waits] : waits,
      requestBody: requestBody(verb),
      responses: replies,
    },
  };
  // A verb of that name comes first.
  if (taken.has(`${verb.name}${EVENTS}`.toLowerCase())) return [[path, calls]];
  const stream = {
    get: {
      operationId: `${id}#events`,
      ...about,
      parameters,
      responses: { "200": STREAM, "204": NO_RESUME, ...failures },
    },
  };
  return [
    [path, calls],
    [`${path}${EVENTS}`, stream],
  ];
}

/** What a status says that the config gives to exits, besides what it says anyway. */
const byExit = ({ http = {} }: VerbDescription, known: Readonly<Record<string, Json>>): Json =>
  Object.fromEntries(
    exitsByStatus(http).map(([status, exits]) => {
      const told = `the command has ended with exit code ${exits.join(", ")}`;
      const before = known[status]?.["description"];
      const description = typeof before === "string" ? `${before}; or ${told}` : told;
      return [status, { description, content: REPLY_CONTENT }];
    }),
  );

const schemeOf = (header: string): string => `webhook-${header}`;

/** One for each header that webhooks are known by. */
function webhookSchemes(apis: readonly ApiDescription[]): Json {
  const headers = apis.flatMap(({ verbs }) =>
    verbs.flatMap(({ webhook }) => (webhook === undefined ? [] : [webhook])),
  );
  const description = "the key of one verb, or a signature of the body with it, see its config";
  return Object.fromEntries(
    [...new Set(headers)].map((name) => [
      schemeOf(name),
      { type: "apiKey", in: "header", name, description },
    ]),
  );
}

const REPLY_CONTENT = { "application/json": { schema: { $ref: "#/components/schemas/Reply" } } };

const WAIT = {
  name: "wait",
  in: "query",
  description: "answer at the end of the task, with its output",
  schema: { type: "boolean" },
} as const;

const STREAM = {
  description:
    "Server-Sent Events: `reply`, a Reply, then `data` and `final-event`, each an Event; ends with the task; to a request with Last-Event-ID those since that one",
  content: { "text/event-stream": { schema: { type: "string" } } },
} as const;

const NO_RESUME = {
  description: "to a request with Last-Event-ID: there is nothing more to come, or it is not known",
};

const TOKEN = {
  type: "http",
  scheme: "bearer",
  description: "a token that the access file grants the privileges of the verb",
} as const;

const REPLY = {
  type: "object",
  required: ["jtype", "request"],
  properties: {
    jtype: { const: "afb-reply" },
    request: {
      type: "object",
      required: ["status", "code"],
      properties: {
        status: { type: "string", examples: Object.keys(STATUS) },
        info: { type: "string", description: "what to do" },
        code: { type: "integer" },
      },
    },
    response: true,
  },
} as const;

const EVENT = {
  type: "object",
  required: ["jtype", "event"],
  properties: { jtype: { const: "afb-event" }, event: { type: "string" }, data: true },
} as const;

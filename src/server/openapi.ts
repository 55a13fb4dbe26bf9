/** The verbs as an OpenAPI 3.1 document: what a client generator or an API browser needs. */
import type { Registry } from "../api/registry.ts";
import type { VerbDescription } from "../api/verb.ts";
import { STATUS } from "../errors.ts";

type Json = Record<string, unknown>;

export function openApi(registry: Registry, version: string): Json {
  const apis = registry.describe();
  return {
    openapi: "3.1.0",
    info: { title: "spawnbox", version, description: "Commands, each launched in its sandbox" },
    tags: apis.map(({ api, info }) => ({ name: api, ...(info ? { description: info } : {}) })),
    paths: Object.fromEntries(
      apis.flatMap(({ api, verbs }) => verbs.flatMap((verb) => paths(api, verb))),
    ),
    components: { schemas: { Reply: REPLY, Event: EVENT }, securitySchemes: { token: TOKEN } },
    // Of most verbs none is asked for; an empty list says so.
    security: [],
  };
}

function paths(api: string, verb: VerbDescription): [string, Json][] {
  const path = `/api/${encodeURIComponent(api)}/${verb.name.split("/").map(encodeURIComponent).join("/")}`;
  const id = `${api}/${verb.name}`;
  const about = {
    tags: [api],
    ...(verb.info ? { summary: verb.info } : {}),
    ...(verb.privileges.length > 0
      ? { "x-permissions": verb.privileges, security: [{ token: verb.privileges }] }
      : {}),
  };
  const parameters = verb.parameters.map(({ name, required, schema }) => ({
    name,
    in: "query",
    required,
    schema: schema ?? { type: ["string", "number", "boolean"] },
  }));
  const replies = {
    "200": { description: "the reply, success", content: content("Reply") },
    default: { description: "the reply, with what went wrong", content: content("Reply") },
  };
  const wait = {
    name: "wait",
    in: "query",
    description: "answer at the end of the task, with its output",
    schema: { type: "boolean" },
  };
  const stream = {
    description: "event `reply`, then `data` and `final-event`; ends with the task",
    content: { "text/event-stream": { schema: { $ref: "#/components/schemas/Event" } } },
  };
  return [
    [
      path,
      {
        get: { operationId: id, ...about, parameters: [...parameters, wait], responses: replies },
        post: {
          operationId: `${id}#post`,
          ...about,
          parameters: [wait],
          requestBody: requestBody(verb),
          responses: replies,
        },
      },
    ],
    [
      `${path}/events`,
      {
        get: {
          operationId: `${id}#events`,
          ...about,
          parameters,
          responses: { "200": stream, default: replies.default },
        },
      },
    ],
  ];
}

function requestBody({ parameters, sample }: VerbDescription): Json {
  const required = parameters.filter((one) => one.required).map(({ name }) => name);
  const properties = Object.fromEntries(
    parameters.map(({ name, schema }) => [name, schema ?? true] as const),
  );
  const schema = { type: "object", properties, ...(required.length > 0 ? { required } : {}) };
  const examples = Object.fromEntries((sample ?? []).map((value, i) => [`${i + 1}`, { value }]));
  const json = { schema, ...(sample && sample.length > 0 ? { examples } : {}) };
  return { required: required.length > 0, content: { "application/json": json } };
}

function content(name: string): Json {
  return { "application/json": { schema: { $ref: `#/components/schemas/${name}` } } };
}

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

import { expect, test } from "bun:test";
import type { ApiDescription } from "../../src/api/verb.ts";
import { requestBody } from "../../src/server/openapi-input.ts";
import { openApi } from "../../src/server/openapi.ts";
import { serve, TestRegistry } from "./harness.ts";

class Described extends TestRegistry {
  override describe(): ApiDescription[] {
    return [
      {
        api: "m",
        info: "mine",
        verbs: [
          {
            name: "s/list",
            info: "lists",
            parameters: [
              { name: "dir", required: true, schema: { type: "string", maxLength: 9 } },
              { name: "all", required: false },
            ],
            privileges: ["urn:list"],
            task: true,
            sample: [{ dir: "/" }],
          },
        ],
      },
    ];
  }
}

test("a verb that reads what it is given takes `input`, with what that takes", () => {
  const about = { parameters: [{ name: "list", required: false, schema: { type: "array" } }] };
  const verb = { ...about, name: "v", privileges: [], task: true };
  const textOf = (more: object) =>
    JSON.stringify(openApi([{ api: "m", verbs: [{ ...verb, ...more }] }], "1"));
  const action = { name: "action", required: false };
  const parameters = [...about.parameters, action];
  expect(textOf({ fed: true, parameters: about.parameters })).toContain("application/octet-stream");
  const fed = textOf({ fed: true, lenient: true, parameters });
  const other = textOf({ lenient: true, parameters });
  for (const word of ['"input"', '"base64"', '"end"']) {
    expect(other).not.toContain(word);
    expect([word, fed.includes(word)]).toEqual([word, true]);
  }
});

test("a verb: its parameters in the URL or the body, its privileges, its events", () => {
  const document = openApi(new Described().describe(), "1.2");
  expect(document).toMatchObject({ openapi: "3.1.0", info: { version: "1.2" }, security: [] });
  expect(document["tags"]).toEqual([{ name: "m", description: "mine" }]);
  expect(openApi([{ api: "n", verbs: [] }], "1")["tags"]).toEqual([{ name: "n" }]);
  const dir = {
    name: "dir",
    in: "query",
    required: true,
    schema: { type: "string", maxLength: 9 },
  };
  // Of one that nothing is said of, all that a text can be.
  const all = {
    ...{ name: "all", in: "query", required: false },
    schema: { type: ["string", "number", "boolean"] },
  };
  expect(document["paths"]).toMatchObject({
    "/api/m/s/list": {
      get: {
        operationId: "m_s_list",
        tags: ["m"],
        summary: "lists",
        "x-permissions": ["urn:list"],
        parameters: [dir, all, { name: "wait" }],
        responses: { "200": {}, default: {} },
      },
      post: {
        requestBody: {
          required: true,
          content: {
            "application/json": {
              schema: {
                anyOf: [
                  { required: ["dir"], properties: { dir: { maxLength: 9 } } },
                  { properties: { action: {}, args: {}, verbose: {}, wait: {} } },
                ],
              },
              examples: { "1": { value: { dir: "/" } } },
            },
          },
        },
      },
    },
    "/api/m/s/list/events": {
      get: {
        parameters: [dir, all],
        responses: { "200": { content: { "text/event-stream": {} } } },
      },
    },
  });
});

test("every reference leads somewhere, and every operation has a name of its own", () => {
  const document = openApi(new Described().describe(), "1.2");
  const text = JSON.stringify(document);
  for (const [, name = ""] of text.matchAll(/#\/components\/schemas\/(\w+)/g)) {
    expect(document).toHaveProperty(["components", "schemas", name]);
  }
  const ids = [...text.matchAll(/"operationId":"([^"]+)"/g)].map(([, id]) => id);
  expect(ids).toEqual(["m_s_list", "m_s_list_post", "m_s_list_events"]);
});

test("operations have names that functions can have, each another one", () => {
  const names = [
    "a-b",
    "a.b",
    "a/b",
    "events",
    "{x}",
    "$ref",
    "ü",
    "x".repeat(80),
    "a/events",
    "a",
  ];
  const verbs = names.map((name) => ({ name, privileges: [], parameters: [] }));
  const { paths } = openApi([{ api: "odd.v1", verbs }], "1.2");
  const ids = Object.values(paths as object)
    .flatMap((item: object) => Object.values(item))
    .map(({ operationId }: { operationId: string }) => operationId);
  expect(ids.filter((id) => !/^[A-Za-z0-9_-]{1,64}$/.test(id))).toEqual([]);
  expect([ids.length, new Set(ids).size]).toEqual([29, 29]);
});

test("is served", async () => {
  await using server = await serve();
  const response = await fetch(`${server.url}/openapi.json`);
  expect(response.headers.get("content-type")).toBe("application/json");
  const text = await response.text();
  const document = JSON.parse(text) as { paths: object };
  expect(Object.keys(document.paths)).toContain("/api/t/echo/events");
  // For people, too.
  expect(text).toBe(`${JSON.stringify(document, null, 2)}\n`);
});

test("what all documents have: replies, events, waiting, streams and tokens", () => {
  const found: unknown[] = [];
  const look = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    found.push(value);
    for (const inner of Object.values(value)) look(inner);
  };
  const verb = { name: "v", privileges: ["urn:x"], parameters: [], task: true };
  look(JSON.parse(JSON.stringify(openApi([{ api: "m", verbs: [verb] }], "1"))));
  expect(found).toContainEqual({
    type: "object",
    required: ["jtype", "event"],
    properties: { jtype: { const: "afb-event" }, event: { type: "string" }, data: true },
  });
  expect(found).toContainEqual({
    type: "object",
    required: ["jtype", "request"],
    properties: {
      jtype: { const: "afb-reply" },
      request: {
        type: "object",
        required: ["status", "code"],
        properties: {
          status: { type: "string", examples: expect.arrayContaining(["success", "busy"]) },
          info: { type: "string", description: "what to do" },
          code: { type: "integer" },
        },
      },
      response: true,
    },
  });
  expect(found).toContainEqual(
    expect.objectContaining({ name: "wait", in: "query", schema: { type: "boolean" } }),
  );
  expect(found).toContainEqual({ "text/event-stream": { schema: { type: "string" } } });
  expect(found).toContainEqual(expect.objectContaining({ type: "http", scheme: "bearer" }));
});

test("a body is JSON of the arguments, and a form where each of them can be a text", () => {
  const bodyOf = (schema: unknown, task = false) =>
    requestBody({
      ...{ name: "v", privileges: [], task },
      parameters: [{ name: "a", required: false, schema }],
    });
  const own = (schema: unknown) => ({ type: "object", properties: { a: schema } });
  const text = { type: "string" };
  expect(bodyOf(text)).toEqual({
    required: false,
    content: {
      "application/json": { schema: own(text) },
      "application/x-www-form-urlencoded": { schema: own(text) },
    },
  });
  const forms = [
    [{ anyOf: [{ type: "object" }, { type: "array" }] }, false],
    [{ anyOf: [{ type: "object" }, text] }, false],
    [{ anyOf: [{ type: "integer" }, text] }, true],
    [{ type: ["array", "string"] }, false],
    [{ type: ["integer", "string"] }, true],
    [true, true],
  ] as const;
  for (const [schema, isForm] of forms)
    expect([schema, Object.keys(bodyOf(schema)["content"] as object)]).toEqual([
      schema,
      ["application/json", ...(isForm ? ["application/x-www-form-urlencoded"] : [])],
    ]);
  const { anyOf } = (
    bodyOf(text, true) as { content: { "application/json": { schema: { anyOf: unknown[] } } } }
  ).content["application/json"].schema;
  expect(anyOf).toHaveLength(2);
});

test("a status that the config gives to exits says of which, behind what it says anyway", () => {
  const responsesOf = (http?: Record<string, number>) => {
    const verb = { name: "v", privileges: [], parameters: [], task: true, ...(http && { http }) };
    const { paths } = JSON.parse(JSON.stringify(openApi([{ api: "m", verbs: [verb] }], "1"))) as {
      paths: Record<string, { get: { responses: Record<string, { description: string }> } }>;
    };
    return paths["/api/m/v"]?.get.responses ?? {};
  };
  const known = responsesOf();
  const [status = "", { description } = { description: "" }] =
    Object.entries(known).find(([one, { description }]) => Number(one) >= 400 && description) ?? [];
  const responses = responsesOf({ 3: Number(status), 5: 418, 7: Number(status) });
  expect(responses["418"]?.description).toBe("the command has ended with exit code 5");
  expect(description).not.toBe("");
  expect(responses[status]?.description).toBe(
    `${description}; or the command has ended with exit code 3, 7`,
  );
});

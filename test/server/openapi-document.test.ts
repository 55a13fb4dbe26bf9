/** The OpenAPI documents are valid, and the server takes and gives what they say. */
import { isRoot } from "../served.ts";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Validator } from "@seriousme/openapi-schema-validator";
import { TypeCompiler } from "@sinclair/typebox/compiler";
import { hashOf, makeToken } from "../../src/access/token.ts";
import type { Caller } from "../../src/api/client.ts";
import { openapi } from "../../src/api/openapi.ts";
import { createRegistry, type Registry } from "../../src/api/registry.ts";
import { load } from "../../src/serve/access.ts";
import { Effort } from "../../src/config/pattern/pattern.ts";
import { rebuild } from "../../src/config/rebuild.ts";
import { Launching } from "../../src/launch/launching.ts";
import { openApi } from "../../src/server/openapi.ts";
import { type RunningServer, startServer } from "../../src/server/server.ts";
import { copyOfSamples } from "../samples.ts";
import { LOCAL } from "./harness.ts";

type Json = Record<string, unknown>;
interface Operation {
  operationId: string;
  "x-permissions"?: string[];
  parameters: { name: string; required: boolean; schema?: Json; content?: Json }[];
  requestBody?: { content: Record<string, { schema: unknown; examples?: Json }> };
  responses: Record<string, { content?: Json }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
  components: { schemas: Json };
}

/** One for all documents: it compiles the schema of theirs once, which takes far longer than to look at one. */
const validator = new Validator();

/** What a validator has against a document; it must be told of the version that it claims. */
async function faults(document: object): Promise<unknown> {
  const { valid, errors } = await validator.validate(structuredClone(document) as Json);
  return valid && validator.version === "3.1" ? [] : (errors ?? "not valid");
}

describe("every sample", () => {
  const dir = copyOfSamples();
  beforeAll(() => {
    process.env["RESET_DEVICE"] = "/dev/null";
  });
  afterAll(() => {
    delete process.env["RESET_DEVICE"];
    rmSync(dir, { recursive: true });
  });
  const files = [".", "install"].flatMap((sub) =>
    readdirSync(join(dir, sub)).flatMap((name) => (name.endsWith(".json") ? join(sub, name) : [])),
  );

  test.each(files)("%s", async (name) => {
    const file = join(dir, name);
    // What need not be on this machine, or is for root alone.
    mkdirSync(join(dir, "wireguard"), { recursive: true });
    const text = readFileSync(file, "utf8")
      .replaceAll(/"\/usr\/bin\/wg(-quick)?"/g, '"/bin/true"')
      // An ordinary user cannot do without a user namespace; root's capabilities would do nothing in one.
      .replaceAll('"users": "enable"', isRoot ? '"users": "enable"' : '"users": "default"')
      .replaceAll("/etc/wireguard", join(dir, "wireguard"));
    writeFileSync(file, text);
    const { apis } = load([{ kind: "config", path: file }], "none");
    const launch = () => Promise.reject(new Error("nothing is launched"));
    const registry = createRegistry({ apis, launch });
    const document = openApi(registry.describe(), "1");
    expect(await faults(document)).toEqual([]);
    expect(Object.keys(document["paths"] as object)).toContain(`/api/${apis[0]?.api}/ping`);
    for (const api of registry.describe()) expect(await faults(openapi(api))).toEqual([]);
  });
});

const echo = (uid: string, args: string | string[], more: Json = {}) => ({
  uid,
  encoder: "sync",
  exec: { cmdpath: "/bin/echo", args },
  ...more,
});

const PRIVILEGE = "urn:test:all";
const acls = { user: process.getuid?.() };
/** Several APIs are several configs of one server; their verbs have all that a description can have. */
const first = {
  metadata: { uid: "one", api: "one", info: "of many verbs", version: 2 },
  plugins: { uid: "plug", spath: ".", libs: "plug.ts" },
  sandboxes: [
    {
      uid: "open",
      acls,
      exec: true,
      commands: [
        echo("plain", "hello", { info: "without arguments" }),
        echo("typed", ["%count%", "%level%", "?on?", "?any?"], {
          params: {
            count: { type: "integer", minimum: 1, maximum: 99, description: "how many" },
            level: { enum: ["low", "high", 3] },
            on: { type: ["boolean", "null"] },
            any: { allowDash: true },
          },
          sample: [
            { count: 5, level: "low", on: true, any: "-x" },
            { count: 99, level: 3 },
          ],
        }),
        echo("list", ["%list%", "?map?"], {
          params: {
            list: { type: "array", items: { type: "string" }, minItems: 1 },
            map: { type: "object", properties: { x: { anyOf: [{ const: 1 }, { type: "null" }] } } },
          },
          sample: [{ list: ["a", "b"], map: { x: 1 } }],
        }),
        // Names that mean something else in a URL, or in a query.
        echo("wait", ["%wait%", "%token%"], { sample: [{ wait: "a", token: "b" }] }),
        echo("query", "%query%", { sample: [{ query: "all" }] }),
        echo("args", ["%action%", "?args?"], { sample: [{ args: { action: "x" } }] }),
        echo("stream", "line", { encoder: "line" }),
        // Shadows the stream of the verb before.
        echo("stream/Events", "%x%", { sample: [{ x: "1" }] }),
        echo("odd#post-{é}?", "%x%", { sample: [{ x: "ü&=?" }] }),
        echo("odd", "%x%", { sample: [{ x: "\n" }] }),
      ],
    },
    {
      uid: "closed",
      acls,
      privilege: PRIVILEGE,
      exec: true,
      commands: [echo("secret", "%x%", { sample: [{ x: "y" }], privilege: "urn:test:more" })],
    },
  ],
  extra: [
    { uid: "other", info: "of the other API", action: "api://two#say", args: { x: "1" } },
    { uid: "open", action: "api://two#say" },
    { uid: "function", action: "plugin://plug#double", privilege: PRIVILEGE },
  ],
};
const second = {
  metadata: { uid: "two", api: "two" },
  sandboxes: { uid: "s", acls, commands: [echo("say", "%x%", { sample: [{ x: "hi" }] })] },
};

describe("all features", () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-openapi-"));
  const token = makeToken();
  const launching = new Launching();
  let server: RunningServer;
  let registry: Registry;
  let document: Document;
  beforeAll(async () => {
    writeFileSync(
      join(dir, "plug.ts"),
      "export const functions = { double: (args) => ({ double: args?.n * 2 }) };",
    );
    const file = (name: string, content: unknown): string => {
      writeFileSync(join(dir, name), JSON.stringify(content));
      return join(dir, name);
    };
    const grants = { token: hashOf(token), privileges: "*" };
    const path = [file("one.json", first), file("two.json", second)].join(":");
    const { apis, access } = load([{ kind: "config", path }], file("access.json", { grants }));
    const granted = (caller: Caller) => access.of(caller);
    registry = createRegistry({ apis, launch: launching.launch, granted });
    server = await startServer({ registry, endpoints: [LOCAL], version: "1" });
    document = (await (await fetch(`${server.urls[0]}/openapi.json`)).json()) as Document;
  });
  afterAll(async () => {
    await Promise.all([server.close(), registry.close()]);
    await launching.close();
    rmSync(dir, { recursive: true });
  });

  /** The operations of a method, with their paths. */
  const operations = (method: string) =>
    Object.entries(document.paths).flatMap(([path, item]) => {
      const operation = item[method];
      return operation ? [{ path, operation }] : [];
    });

  /** Calls, and checks that the answer is one of those described. */
  async function call(
    { responses }: Operation,
    path: string,
    init: { method?: string; body?: string | URLSearchParams; type?: string; token?: string } = {},
  ): Promise<{ status: number; body: string }> {
    const { type, token: bearer = token, ...request } = init;
    const headers: Record<string, string> = {
      ...(type !== undefined && { "content-type": type }),
      ...(bearer !== "" && { authorization: `Bearer ${bearer}` }),
    };
    const response = await fetch(`${server.urls[0]}${path}`, { ...request, headers });
    const described = responses[response.status];
    const body = await response.text();
    expect([path, response.status, body, described]).toEqual([
      path,
      response.status,
      body,
      expect.anything(),
    ]);
    const kind = response.headers.get("content-type") ?? "";
    expect(Object.keys(described?.content ?? {})).toContain(kind);
    if (kind === "application/json")
      expect(fits(document.components.schemas["Reply"], JSON.parse(body))).toBe(true);
    return { status: response.status, body };
  }

  /** What a caller would send: the examples, or nothing where nothing is needed. */
  function bodies({ requestBody }: Operation): unknown[] {
    const { examples = {} } = requestBody?.content["application/json"] ?? {};
    const values = Object.values(examples).map((one) => (one as { value: unknown }).value);
    return values.length > 0 ? values : [{}];
  }

  test("the document is valid", async () => {
    expect(await faults(document)).toEqual([]);
    for (const api of registry.describe()) expect(await faults(openapi(api))).toEqual([]);
    const all = Object.values(document.paths).flatMap((item) => Object.values(item));
    expect(new Set(all.map(({ operationId }) => operationId)).size).toBe(all.length);
  });

  test("POST takes the bodies that are described, and says what", async () => {
    for (const { path, operation } of operations("post")) {
      for (const value of bodies(operation)) {
        const { "application/json": json, "application/x-www-form-urlencoded": form } =
          operation.requestBody?.content ?? {};
        expect([path, value, fits(json?.schema, value)]).toEqual([path, value, true]);
        const body = JSON.stringify(value);
        const { status } = await call(operation, path, {
          method: "POST",
          body,
          type: "application/json",
        });
        expect([path, status]).toEqual([path, expected(path)]);
        if (!form) continue;
        const pairs = new URLSearchParams(texts(value));
        expect([
          path,
          (await call(operation, path, { method: "POST", body: pairs })).status,
        ]).toEqual([path, expected(path)]);
      }
    }
  });

  test("POST takes no others, where that is described", async () => {
    const verbs = operations("post").filter(
      ({ operation }) => !fits(schemaOf(operation), { nonsense: 1 }),
    );
    expect(verbs.length).toBeGreaterThan(10);
    for (const { path, operation } of verbs) {
      for (const value of [{ nonsense: 1 }, 5, { action: "dance" }, { args: 1, wait: "maybe" }]) {
        expect([path, value, fits(schemaOf(operation), value)]).toEqual([path, value, false]);
        const body = JSON.stringify(value);
        const { status } = await call(operation, path, {
          method: "POST",
          body,
          type: "application/json",
        });
        expect([path, value, status]).toEqual([path, value, 400]);
      }
    }
  });

  test("GET takes the parameters that are described, with and without events", async () => {
    for (const { path, operation } of operations("get")) {
      const verb = path.replace(/\/events$/, "");
      const described = document.paths[verb]?.["post"] ?? operation;
      for (const value of bodies(described)) {
        const query = inUrl(operation, value);
        const { status, body } = await call(operation, `${path}?${query}`);
        expect([path, status]).toEqual([path, expected(path)]);
        if (status === 200 && path !== verb) expect(body).toStartWith("id: ");
      }
      for (const { name, schema } of operation.parameters) {
        if (name === "wait" || schema === undefined || fits(schema, "nonsense")) continue;
        const { status } = await call(operation, `${path}?${name}=nonsense`);
        expect([path, name, status]).toEqual([path, name, 400]);
      }
    }
  });

  test("what needs a privilege says so", async () => {
    const guarded = operations("get").filter(({ operation }) => operation["x-permissions"]);
    expect(guarded.map(({ path }) => path)).toContain("/api/one/closed/secret/events");
    for (const { path, operation } of operations("get")) {
      const { status } = await call(operation, path, { token: "" });
      expect([path, status === 403]).toEqual([path, guarded.some((one) => one.path === path)]);
      if (operation["x-permissions"]) {
        expect((await call(operation, path, { token: "nobody's" })).status).toBe(401);
      }
    }
  });
});

/** Events need a client that takes them, which plain HTTP is not: these say so. */
const expected = (path: string): number =>
  /^\/api\/monitor\/(set|trace|subscribe|unsubscribe)/.test(path) ? 400 : 200;

const schemaOf = (operation: Operation): unknown =>
  operation.requestBody?.content["application/json"]?.schema;

/** The arguments as an operation describes them in its URL. */
function inUrl({ parameters }: Operation, value: unknown): string {
  const whole = parameters.find(({ content }) => content !== undefined);
  if (whole) return new URLSearchParams({ [whole.name]: JSON.stringify(value) }).toString();
  for (const name of Object.keys(value as object)) {
    expect(parameters.map((one) => one.name)).toContain(name);
  }
  return new URLSearchParams(texts(value)).toString();
}

const texts = (value: unknown): Record<string, string> =>
  Object.fromEntries(Object.entries(value as object).map(([key, one]) => [key, String(one)]));

const compiled = new Map<unknown, (value: unknown) => boolean>();
function fits(schema: unknown, value: unknown): boolean {
  let check = compiled.get(schema);
  if (!check) {
    const report = (path: string, message: string) => {
      throw new Error(`${path}: ${message}`);
    };
    const effort = new Effort();
    const type = rebuild(schema, "schema", report, effort);
    const compiler = TypeCompiler.Compile(type);
    check = (one) => {
      effort.renew();
      return compiler.Check(one);
    };
    compiled.set(schema, check);
  }
  return check(value);
}

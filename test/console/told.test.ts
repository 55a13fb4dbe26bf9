/** What the page makes of a server that says what a test wants: its catalogue, a start that can be stopped, and what is remembered. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { until } from "../served.ts";
import { sendEvent, wireServer, type WireSocket } from "../wire-server.ts";
import { type Components, componentsAmid, componentsAt } from "./components.ts";

interface Parts {
  connect(): void;
  loadCatalogue(): Promise<void>;
  readonly catalogue: { readonly value: readonly object[] | undefined };
  readonly problem: { readonly value: string };
  readonly isOperator: { readonly value: boolean };
  findSandbox(api: string, uid: string): object | undefined;
  findVerb(api: string, verb: string): object | undefined;
  isLocked(verb: object): boolean;
  verbsOf(api: object): { readonly name: string }[];
  startStoppable(
    method: string,
    sandbox: string,
    args: unknown,
  ): { readonly reply: Promise<object>; stop(): void };
  remember(verb: object, values: object): void;
  remembered(verb: object): object;
  keep(store: string, key: string, value: string | undefined): void;
  recall(store: string, key: string): string | undefined;
}

/** Calls as they came: verb and arguments. */
const asked: [string, unknown][] = [];
/** By verb: the response, or a status that is none of success; nothing: it is not answered. */
const answers = new Map<string, { readonly response?: unknown; readonly status?: string }>();
const open: (() => void)[] = [];
let socket: WireSocket | undefined;
let server: Bun.Server<undefined>;
let page: Components;
let parts: Parts;
const event = (name: string, data: unknown) => sendEvent(socket, name, data);

beforeEach(async () => {
  for (const one of [asked, open]) one.length = 0;
  answers.clear();
  server = wireServer(
    ({ verb, args, answer }) => {
      asked.push([verb, args]);
      const tell = () => answer({ ...answers.get(verb), info: `of ${verb}` });
      if (answers.has(verb)) tell();
      else open.push(tell);
    },
    (one) => void (socket = one),
  );
  page = await componentsAt(
    `http://localhost:${server.port}/`,
    ...["connection.ts", "catalogue.ts", "stoppable.ts", "remembered.ts", "storage.ts"],
  );
  parts = page.from as unknown as Parts;
  parts.connect();
});
afterEach(async () => {
  await page[Symbol.asyncDispose]();
  await server.stop(true);
});

describe("the catalogue", () => {
  const put = (
    paths: object,
    info: unknown = {},
    explained: unknown = [],
    monitor: object = {},
  ) => {
    answers.set("monitor/get", { response: { apis: { a: paths, monitor } } });
    answers.set("monitor/explain", { response: explained });
    answers.set("a/info", { response: info });
  };
  const VERB = {
    ...{ api: "a", info: undefined, params: [], samples: [], privileges: [], confirm: false },
    ...{ unavailable: undefined, fed: false },
  };

  test("is all that is told of sandboxes and verbs", async () => {
    const parameters = [
      { name: "p", required: true, schema: { type: "string", description: "d" } },
      { name: "q", required: "yes", schema: { type: "number" } },
      { name: "r" },
      5,
    ];
    put(
      {
        info: { description: "the api" },
        paths: {
          "/v": { get: { description: "of the path", parameters } },
          "/w": { post: { description: "posted", "x-permissions": ["x"], "x-confirm": true } },
          "/extra": { get: {} },
          "/ping": { get: {} },
          "/info": { get: {} },
          "/exec": { get: {} },
        },
      },
      {
        notices: [{ path: "p", message: "m" }, 5, {}],
        groups: [
          {
            ...{ uid: "s", info: "the sandbox", exec: true, privileges: ["e", 5] },
            notices: [{ path: "x", message: "y" }],
            verbs: [
              {
                ...{ verb: "v", uid: "u", info: "own", privileges: ["z"], confirm: true },
                usage: { args: { p: "not used", q: "by usage" } },
                params: { q: { minimum: 1 } },
                sample: [{ action: "start" }, { other: 1 }, { action: "stop" }, 5],
                ...{ unavailable: "why", input: 0 },
              },
              { verb: "w" },
              5,
            ],
          },
          { uid: "extra", verbs: [{ verb: "never" }] },
          {},
        ],
      },
      [
        5,
        { api: "b", sandbox: "s", verbs: ["no"] },
        { api: "a", sandbox: "other", verbs: ["no"] },
        {
          ...{ api: "a", sandbox: "s", verbs: ["v", 5], steps: ["one"] },
          exposure: { score: 3.5, findings: [{ what: "f", weight: 2 }, 5, {}] },
          improvements: [{ what: "i", set: { a: 1 } }, 5, {}],
        },
      ],
    );
    await parts.loadCatalogue();
    const v = {
      ...{ ...VERB, name: "v", uid: "u", info: "own", sandbox: "s", privileges: ["z"] },
      params: [
        {
          name: "p",
          required: true,
          schema: { type: "string", description: "d" },
          help: "d",
        },
        { name: "q", required: false, schema: { type: "number", minimum: 1 }, help: "by usage" },
        { name: "r", required: false, schema: {}, help: undefined },
      ],
      samples: [{ action: "start" }, { other: 1 }],
      ...{ confirm: true, unavailable: "why", fed: true, task: true },
    };
    const w = {
      ...{ ...VERB, name: "w", uid: "w", info: "posted", sandbox: "s", privileges: ["x"] },
      ...{ confirm: true, task: true },
    };
    const other = { ...VERB, name: "extra", uid: "extra", sandbox: undefined, task: false };
    const nothing = { api: "a", info: undefined, verbs: [], exec: false, execPrivileges: [] };
    expect(parts.catalogue.value).toEqual([
      {
        ...{ name: "a", info: "the api", others: [other], notices: ["p: m", ": "] },
        sandboxes: [
          {
            ...{ api: "a", uid: "s", info: "the sandbox", verbs: [v, w], exec: true },
            ...{ execPrivileges: ["e"], notices: ["x: y"] },
            explained: {
              ...{ verbs: ["v"], steps: ["one"], score: 3.5 },
              findings: [
                { what: "f", weight: 2 },
                { what: "", weight: 0 },
              ],
              improvements: [
                { what: "i", set: { a: 1 } },
                { what: "", set: undefined },
              ],
            },
          },
          { ...nothing, uid: "", notices: [], explained: undefined },
        ],
      },
    ]);
    expect([parts.problem.value, parts.isOperator.value]).toEqual(["", false]);
    expect(asked.toSorted()).toEqual([
      ["a/info", null],
      ["monitor/explain", null],
      ["monitor/get", { apis: true }],
    ]);
    const { findSandbox, findVerb, isLocked } = parts;
    expect([findSandbox("a", "s"), findSandbox("a", "t"), findSandbox("b", "s")]).toMatchObject([
      ...[{ uid: "s" }, undefined, undefined],
    ] as object[]);
    expect([findVerb("a", "v"), findVerb("a", "extra")]).toEqual([v, other]);
    expect([findVerb("a", "none"), findVerb("b", "v")]).toEqual([undefined, undefined]);
    // What the server does not list of it, it lacks something for.
    expect([v, w, { ...v, privileges: [] }, { ...w, sandbox: undefined }].map(isLocked)).toEqual([
      ...[false, true, false, false],
    ]);
    expect(isLocked({ ...v, sandbox: "" })).toBe(true);
  });

  test("is what there is, where little is told or may be known", async () => {
    put({}, undefined, undefined, { paths: { "/fleet/boards": {} } });
    answers.set("monitor/explain", { status: "denied", response: [{ api: "a", sandbox: "s" }] });
    answers.set("a/info", { response: { groups: [{ uid: "s" }] } });
    await parts.loadCatalogue();
    expect(parts.catalogue.value).toMatchObject([
      {
        name: "a",
        info: undefined,
        sandboxes: [{ explained: undefined }],
        others: [],
        notices: [],
      },
    ]);
    expect(parts.isOperator.value).toBe(true);
    answers.set("monitor/explain", { response: [{ api: "a", sandbox: "s" }] });
    await parts.loadCatalogue();
    expect(parts.catalogue.value).toMatchObject([
      {
        sandboxes: [
          { explained: { verbs: [], steps: [], score: 0, findings: [], improvements: [] } },
        ],
      },
    ]);
    answers.set("monitor/get", { status: "denied" });
    await parts.loadCatalogue();
    expect([parts.problem.value, parts.catalogue.value?.length]).toEqual(["of monitor/get", 1]);
    put({});
    await parts.loadCatalogue();
    expect([parts.problem.value, parts.isOperator.value]).toEqual(["", false]);
  });
});

describe("a start whose end is waited for", () => {
  const begun = (pid: unknown, sandbox = "s", type = "initial-event") =>
    event("a/v", { type, sandbox, pid });
  const stops = () => asked.slice(1);
  /** What was sent before has come. */
  const heard = async () => {
    const count = asked.length;
    answers.set("x/y", {});
    await (page.from as unknown as { call(verb: string): Promise<object> }).call("x/y");
    asked.splice(count, 1);
  };
  const start = async () => {
    const made = parts.startStoppable("a/v", "s", { x: 1 });
    await until("it is asked", () => asked.length === 1);
    expect(asked).toEqual([["a/v", { action: "start", args: { x: 1 }, wait: true }]]);
    return made;
  };
  const STOP = (pid: number) => ["a/v", { action: "stop", args: { pid } }];

  test("is stopped by what is told of it, once that is known", async () => {
    const { stop, reply } = await start();
    begun(1, "other");
    begun(2, "s", "data");
    await heard();
    stop();
    await heard();
    expect(stops()).toEqual([]);
    begun(7);
    await until("it is stopped", () => stops().length === 1);
    // Another's of the same sandbox.
    begun(8);
    await heard();
    expect(stops()).toEqual([STOP(7)] as never);
    stop();
    await until("again", () => stops().length === 2);
    expect(stops()[1]).toEqual(STOP(7) as never);
    open.shift()?.();
    expect(await reply).toMatchObject({ status: "success" });
  });
  test("is not stopped where nobody wants that", async () => {
    const { reply, stop } = await start();
    begun(7);
    await heard();
    expect(stops()).toEqual([]);
    open.shift()?.();
    await reply;
    begun(9);
    await heard();
    stop();
    await until("it is asked", () => stops().length === 1);
    expect(stops()).toEqual([STOP(7)] as never);
  });
});

test("a token that was not taken is asked for, until there is another connection", async () => {
  const { call, refused, reconnect, generation } = page.from as unknown as {
    call(verb: string): Promise<{ readonly status: string }>;
    readonly refused: { readonly value: boolean };
    readonly generation: { readonly value: number };
    reconnect(): void;
  };
  answers.set("a/v", { status: "invalid-token" });
  expect([(await call("a/v")).status, refused.value]).toEqual(["invalid-token", true]);
  const before = generation.value;
  reconnect();
  expect(refused.value).toBe(false);
  await until("it is connected again", () => generation.value > before);
  answers.set("a/v", {});
  expect([(await call("a/v")).status, refused.value]).toEqual(["success", false]);
});

describe("what was given to a verb", () => {
  const verb = {
    ...{ api: "a", name: "v" },
    params: [
      { name: "plain", schema: {} },
      { name: "open", schema: { writeOnly: false } },
      { name: "secret", schema: { writeOnly: true } },
    ],
  };
  const key = "spawnbox:form:a/v";
  const { remembered, remember } = {
    remembered: (one: object = verb) => parts.remembered(one),
    remember: (values: object) => parts.remember(verb, values),
  };
  test("is kept by its name, but for secrets and what is empty", () => {
    const { localStorage } = page.window;
    expect(remembered()).toEqual({});
    remember({ plain: "p", open: "o", secret: "s", none: "" });
    expect(localStorage.getItem(key)).toBe('{"plain":"p","open":"o"}');
    expect(remembered()).toEqual({ plain: "p", open: "o" });
    expect(remembered({ ...verb, name: "w" })).toEqual({});
    // As others may have left it.
    localStorage.setItem(key, '{"plain":5,"open":"o","secret":"s","unknown":"u"}');
    expect(remembered()).toEqual({ open: "o" });
    for (const odd of ["5", "[1]", "no JSON", "null"]) {
      localStorage.setItem(key, odd);
      expect(remembered()).toEqual({});
    }
    remember({ secret: "s", plain: "" });
    expect(localStorage.getItem(key)).toBeNull();
  });
  test("is kept nowhere where the browser does not let it, which is no fault", async () => {
    const throwing = (error: Error) => ({
      ...{ getItem: () => fail(error), setItem: () => fail(error), removeItem: () => fail(error) },
    });
    const fail = (error: Error): never => {
      throw error;
    };
    const using1 = async (error: Error) => {
      await using made = await componentsAmid(
        { localStorage: throwing(error) },
        "http://localhost/",
        "storage.ts",
      );
      const { keep, recall } = made.from as unknown as Parts;
      keep("local", "k", "v");
      keep("local", "k", undefined);
      return recall("local", "k");
    };
    expect(await using1(new DOMException("off", "SecurityError"))).toBeUndefined();
    await expect(using1(new RangeError("a fault"))).rejects.toThrow("a fault");
  });
  test("is kept where the browser lets it, and where it is told to", () => {
    const { keep, recall } = parts;
    const { localStorage, sessionStorage } = page.window;
    keep("local", "k", "l");
    keep("session", "k", "s");
    expect([localStorage.getItem("spawnbox:k"), sessionStorage.getItem("spawnbox:k")]).toEqual([
      ...["l", "s"],
    ]);
    expect([recall("local", "k"), recall("session", "k")]).toEqual(["l", "s"]);
    expect(recall("local", "none")).toBeUndefined();
    keep("local", "k", undefined);
    expect([localStorage.getItem("spawnbox:k"), recall("session", "k")]).toEqual([null, "s"]);
  });
});

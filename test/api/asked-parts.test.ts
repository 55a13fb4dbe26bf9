/** What a call of a command says, and what may change while somebody is asked. */
import { describe, expect, test } from "bun:test";
import { Gate } from "../../src/api/gate.ts";
import { openapi } from "../../src/api/openapi.ts";
import { tooMuch } from "../../src/api/source.ts";
import { apiOf, connecting, granting, paramsOf, shell, use } from "./harness.ts";

const connect = connecting();

describe("an argument of a URL", () => {
  const params = () =>
    paramsOf({ a: { type: "string" }, list: { type: "array", items: { type: "string" } } });
  const say = async (args: unknown, more: object = { texts: true }) => {
    const plan = shell("say", "echo '%a%' '%list%'", { params: params(), ...use("sync") });
    const { client } = connect([plan]);
    const { request, response } = await client.call("say", args, more);
    return request.info ?? (response as { stdout: string[] }).stdout[0];
  };
  test("given several times is a list, where one is wanted, and else refused", async () => {
    expect(await say({ a: "x", list: ["y", "z"] })).toBe('x ["y","z"]');
    expect(await say({ a: ["x", "y"], list: "z" })).toBe(
      "argument `a` is given 2 times, and takes one value",
    );
    expect(await say({ a: "x", list: "z" })).toBe('x ["z"]');
  });
  test("that is JSON says itself what is a list", async () => {
    expect(await say({ args: '{"a":"x","list":["y"]}' })).toBe('x ["y"]');
    const refused = await say({ args: '{"a":["x","y"],"list":["z"]}' });
    expect(refused).not.toContain("is given 2 times");
    expect(refused).toContain("a");
    expect(await say({ a: ["x", "y"], list: ["z"] }, {})).not.toContain("is given 2 times");
  });
});

describe("somebody is asked before a start", () => {
  const plan = () => shell("v", "echo hi", { confirm: true, ...use("sync") });
  const start = async (confirm: () => Promise<void>, between: "replace" | "nothing") => {
    const made = connect([plan()]);
    const gate = Promise.withResolvers<void>();
    const answered = made.client.call("v", undefined, {
      confirm: () => gate.promise.then(confirm),
    });
    await new Promise((resolve) => setImmediate(resolve));
    if (between === "replace") made.registry.replace([apiOf([plan()])]);
    gate.resolve();
    return (await answered).request;
  };
  test("it starts where the config is still the same", async () => {
    expect(await start(async () => {}, "nothing")).toEqual({ status: "success", code: 0 });
    expect(await start(async () => {}, "replace")).toMatchObject({
      status: "bad-state",
      info: "the config has changed while somebody was asked: call it again",
    });
  });
});

test("whether a caller has one of some privileges", () => {
  const gate = new Gate({ granted: granting("a") });
  const asking = { session: { uuid: "u" } };
  const any = (...privileges: string[]) => gate.hasAny(privileges, asking);
  expect([any("a"), any("b", "a"), any("b", "c"), any("b"), any()]).toEqual([
    ...[true, true, false, false, false],
  ]);
});

test("whether the token of a caller is known: a service may know each", () => {
  const known = (options: ConstructorParameters<typeof Gate>[0]) =>
    new Gate(options).knows({ token: "t" });
  const stranger = () => ({ privileges: new Set<string>(), unknownToken: true as const });
  const service = { ask: () => "yes" as const };
  expect([
    known({}),
    known({ granted: granting() }),
    known({ granted: stranger }),
    known({ granted: stranger, permissions: () => undefined }),
    known({ granted: stranger, permissions: () => service as never }),
  ]).toEqual([false, true, false, false, true]);
});

test("what is too long says how long it is, where that is known, and which limit it was", () => {
  expect(tooMuch(5).message).toBe("it is longer than the 5 bytes that are read here (maxinput)");
  expect(tooMuch(5, "one piece").message).toBe(
    "it is longer than the 5 bytes that are read here (one piece)",
  );
  expect(tooMuch(5, "maxinput", 9).message).toBe(
    "the body has 9 bytes, and at most 5 are read here (maxinput)",
  );
});

test("a description of an API has what its verbs have, and nothing else", () => {
  const verb = (parameters: object[], more: object = {}) => ({
    ...{ name: "v", parameters, privileges: [], task: true, ...more },
  });
  const get = (one: object) =>
    openapi({ api: "p", verbs: [one] } as never).paths["/v"]?.get as object;
  const responses = { "200": { description: "afb-reply" } };
  const a = { name: "a", required: true };
  expect(openapi({ api: "p", verbs: [] } as never)).toEqual({
    ...{ openapi: "3.1.0", info: { title: "p", version: "0" }, paths: {} },
  });
  expect(get(verb([]))).toEqual({ responses });
  expect(get(verb([a]))).toEqual({
    parameters: [{ in: "query", name: "a", required: true, schema: {} }],
    responses,
  });
  expect(get(verb([], { info: "", privileges: ["x"], confirm: true }))).toEqual({
    ...{ description: "", "x-permissions": { permission: "x" }, "x-confirm": true, responses },
  });
  expect(get(verb([], { privileges: ["x", "y"] }))).toEqual({
    "x-permissions": { allOf: [{ permission: "x" }, { permission: "y" }] },
    responses,
  });
});

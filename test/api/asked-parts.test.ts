/** What a call of a command says, and what may change while somebody is asked. */
import { describe, expect, test } from "bun:test";
import type { Answer, PermissionService } from "../../src/api/permissions.ts";
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

describe("what was granted is asked of a service again", () => {
  /** Its questions, each with what answers it. */
  function asking(granted: string[] = []) {
    const asked: {
      privilege: string;
      patient: boolean;
      from: string;
      tell(answer: Answer): void;
    }[] = [];
    const service: PermissionService = {
      ask: ({ privilege }, { patient, from }) => {
        const { promise, resolve } = Promise.withResolvers<Answer>();
        asked.push({ privilege, patient, from, tell: resolve });
        return promise;
      },
    };
    const gate = new Gate({ granted: granting(...granted), permissions: () => service });
    const last = (answer: Answer) => {
      asked.at(-1)?.tell(answer);
      return new Promise((resolve) => setImmediate(resolve));
    };
    return { gate, asked, last };
  }
  const NO = { refused: "no" };
  const request = () => ({ session: { uuid: "u" }, from: { peer: "peer", connection: {} } });

  test("once for all who ask meanwhile, and once more for what has changed by then", async () => {
    const { gate, asked, last } = asking(["a"]);
    const one = request();
    const first = gate.may(["a", "b"], one);
    // What is granted here is not asked, and who may already waits for a service that is not there.
    expect(asked).toMatchObject([{ privilege: "b", patient: true, from: "peer" }]);
    const others = [gate.may(["a", "b"], one), gate.may(["a", "b"], one)];
    expect(asked).toHaveLength(1);
    await last("yes");
    expect(asked).toHaveLength(2);
    await last("yes");
    expect(await Promise.all([first, ...others])).toEqual([true, true, true]);
    // Nobody has asked since: it is over, and the next is another one.
    expect(asked).toHaveLength(2);
    const later = gate.may(["a", "b"], one);
    expect(asked).toHaveLength(3);
    await last("yes");
    expect([await later, asked.length]).toEqual([true, 3]);
  });

  test("a refusal stands, however much changes", async () => {
    const { gate, asked, last } = asking();
    const one = request();
    const all = [gate.may(["a", "b"], one), gate.may(["a", "b"], one)];
    await last(NO);
    expect([await Promise.all(all), asked.length]).toEqual([[false, false], 1]);
  });

  test("for each request, and for each list of privileges, apart", async () => {
    const { gate, asked, last } = asking();
    const [one, other] = [request(), request()];
    const ask = async (needed: string[], who: ReturnType<typeof request>) => {
      const before = asked.length;
      const answer = gate.may(needed, who);
      expect(asked.length).toBe(before + 1);
      return answer;
    };
    const all = [ask(["a"], one), ask(["b"], one), ask(["a"], other)];
    for (const { tell } of asked) tell("yes");
    expect(await Promise.all(all)).toEqual([true, true, true]);
    const both = gate.may(["a", "b"], one);
    await last("yes");
    await last(NO);
    expect([await both, asked.map(({ privilege }) => privilege).slice(3)]).toEqual([
      ...[false, ["a", "b"]],
    ]);
  });

  test("to pass, one after the other, each once; one of some is enough", async () => {
    const { gate, asked, last } = asking(["a"]);
    const one = request();
    expect([gate.require("v", [], one), gate.require("v", ["a"], one)]).toEqual([
      ...[undefined, undefined],
    ]);
    const first = gate.require("v", ["a", "b", "c"], one);
    expect(asked).toMatchObject([{ privilege: "b", patient: false }]);
    await last("yes");
    const answered = (await first) ?? new Set();
    expect([...answered]).toEqual(["b"]);
    const second = gate.require("v", ["a", "b", "c"], { ...one, answered });
    await last("yes");
    const all = (await second) ?? new Set();
    expect([...all]).toEqual(["b", "c"]);
    expect(gate.require("v", ["a", "b", "c"], { ...one, answered: all })).toBeUndefined();
    const refused = Promise.resolve(gate.require("v", ["d"], one)).catch((error: unknown) => error);
    await last(NO);
    expect(await refused).toMatchObject({ status: "insufficient-scope" });
    const any = gate.hasAny(["d", "e", "f"], one);
    await last(NO);
    await last("yes");
    expect([await any, asked.map(({ privilege }) => privilege).slice(3)]).toEqual([
      ...[true, ["d", "e"]],
    ]);
    const none = gate.hasAny(["d"], one);
    await last(NO);
    expect(await none).toBe(false);
  });
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

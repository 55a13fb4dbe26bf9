/** What a reply is over REST: its status, by what the verb says, by what is asked for and by how a command ended. */
import { describe, expect, test } from "bun:test";
import type { Request as Call } from "../../src/api/client.ts";
import { failure, type Reply, success } from "../../src/api/reply.ts";
import { AfbError } from "../../src/errors.ts";
import { fetched } from "../../src/server/http/answer.ts";
import { createRest } from "../../src/server/rest.ts";
import { Sessions } from "../../src/server/session.ts";
import { TestRegistry } from "./harness.ts";

function made(answer: (call: Call) => Reply, http?: "afb") {
  const registry = new TestRegistry();
  const asked: Call[] = [];
  registry.call = async (call) => {
    asked.push(call);
    return answer(call);
  };
  registry.describe = () => [{ api: "t", verbs: [], ...(http && { http }) }];
  const options = { registry, sessions: new Sessions(16), version: "0", port: () => 1 };
  const policy = () => ({ loopback: false });
  return { asked, rest: createRest({ ...options, policy, base: () => "/box" }) };
}
const get = async (rest: ReturnType<typeof made>["rest"], path: string, headers = {}) =>
  fetched(await rest(new Request(`http://localhost${path}`, { headers })));

const running = success({ pid: 7, command: "c" });

describe("a start that has not ended", () => {
  test.each([
    ["/api/t/deep%20er/x", "wait=1", running, 202],
    ["/api/t/deep%20er/x", "", running, 200],
    ["/api/t/x?wait=true", "", running, 200],
    ["/api/t/x?wait=no", "wait=1", running, 200],
    ["/api/t/x", "wait=1", success({ pid: 7, command: "c", status: {} }), 200],
    ["/api/t/x", "wait=1", success({ pid: 7 }), 200],
    ["/api/t/x", "wait=1", success("done"), 200],
    ["/api/t/x", "wait=1", failure(new AfbError("forbidden", "x")), 403],
  ])("%s, %p: %j is %d", async (path, prefer, reply, status) => {
    const { rest } = made(() => reply);
    const response = await get(rest, path, prefer === "" ? {} : { prefer });
    expect([response.status, response.headers.get("location")]).toEqual([
      status,
      status === 202 ? "/box/api/t/deep%20er/x/events?action=subscribe&pid=7" : null,
    ]);
  });
});

describe("how a command ended", () => {
  const http = { 0: 201, 3: 418 };
  const ending = (exit: number | undefined, reply: Reply) =>
    made(({ ended }) => {
      ended?.({ http } as never, { exit, usage: {} } as never);
      return reply;
    });

  test.each<[number | undefined, Reply, string, number]>([
    [0, success("x"), "", 201],
    [3, success("x"), "", 418],
    [4, success("x"), "", 200],
    [undefined, success("x"), "", 200],
    [3, failure(new AfbError("forbidden", "x")), "", 418],
    [4, failure(new AfbError("forbidden", "x")), "", 403],
    // As binders answer, whatever it was.
    [3, failure(new AfbError("forbidden", "x")), "afb", 200],
    [3, success("x"), "afb", 200],
    [3, success("x"), "rest", 418],
  ])("%p with %j, asked for as %p: %d", async (exit, reply, style, status) => {
    const headers = style === "" ? {} : { "x-afb-http": style };
    expect((await get(ending(exit, reply).rest, "/api/t/x", headers)).status).toBe(status);
  });

  test("is nothing where its config says nothing", async () => {
    const { rest } = made(({ ended }) => {
      ended?.({} as never, { exit: 3, usage: {} } as never);
      return success();
    });
    expect((await get(rest, "/api/t/x")).status).toBe(200);
  });
});

test("errors are as binders have them where the config of the API says so, and the request not otherwise", async () => {
  const refused = () => failure(new AfbError("forbidden", "x"));
  for (const [http, path, headers, status] of [
    ["afb", "/api/t/x", {}, 200],
    ["afb", "/api/T/x", {}, 200],
    ["afb", "/api/t/x", { "x-afb-http": "rest" }, 403],
    ["afb", "/api/t/x?x-afb-http=Rest", {}, 403],
    // What the URL says comes first.
    ["afb", "/api/t/x?x-afb-http=afb", { "x-afb-http": "rest" }, 200],
    ["afb", "/api/other/x", {}, 403],
    [undefined, "/api/t/x", {}, 403],
    [undefined, "/api/t/x", { "x-afb-http": "afb" }, 200],
  ] as const)
    expect([
      http,
      path,
      headers,
      (await get(made(refused, http).rest, path, headers)).status,
    ]).toEqual([http, path, headers, status] as never);
});

test("who calls is known by what it brings, and gets a cookie unless it came with one", async () => {
  const { asked, rest } = made(() => success());
  const first = await get(rest, "/api/t/x?uuid=abc&token=T");
  expect(first.headers.get("set-cookie")).toStartWith("x-afb-uuid-1=abc; Path=/box; ");
  const again = await get(rest, "/api/t/x", { cookie: "x-afb-uuid-1=abc" });
  expect(again.headers.get("set-cookie")).toBeNull();
  expect(asked.map(({ session }) => session.uuid)).toEqual(["abc", "abc"]);
  expect(asked.map(({ caller }) => caller)).toEqual([{ token: "T", via: "rest" }, { via: "rest" }]);
  const certificate = { names: ["CN:x"], until: 1 };
  const sender = { address: "::1", certificate, from: { peer: "p", connection: {} } };
  await rest(new Request("http://localhost/api/t/x"), sender);
  expect(asked[2]).toMatchObject({
    ...{ caller: { address: "::1", certificate, via: "rest" }, from: sender.from },
  });
});

test("a page that came by https has a cookie of its own, and what is not a call is told where calls are", async () => {
  const { rest } = made(() => success());
  const secure = await rest(new Request("http://localhost/api/t/x"), { scheme: "https:" });
  expect(secure.headers.get("set-cookie")).toEndWith("; Secure");
  for (const [path, told] of [
    ["/api", "say which: /box/api/API/VERB"],
    ["/api/", "say which: /box/api/API/VERB"],
    ["/api/t", "say which verb: /box/api/t/VERB"],
    ["/api/t/", "say which verb: /box/api/t/VERB"],
    ["/api/T", "say which verb: /box/api/T/VERB"],
    ["/api/none", 'no API \\"none\\"'],
    ["/else", "nothing here: use /box/api/API/VERB"],
  ] as const) {
    const response = await get(rest, path);
    expect([path, response.status, await response.text()]).toEqual([
      ...[path, 404, expect.stringContaining(told)],
    ] as never);
  }
});

/** APIs of other binders, of which the test says what they are: who may call what of them, and what is heard of them. */
import { describe, expect, test } from "bun:test";
import { type Client, type Request, SERVER_SESSION } from "../../src/api/client.ts";
import { type ForeignApi, ForeignVerbs } from "../../src/api/foreign.ts";
import { Hub } from "../../src/api/hub.ts";
import type { ActionPlan } from "../../src/plan/plan.ts";
import { compiled } from "../plan/compiling.ts";
import { apiOf, connecting, granting, shell, TestClient } from "./harness.ts";

const connect = connecting();

function foreign(about: Partial<ForeignApi> = {}) {
  const asked: Request[] = [];
  const api: ForeignApi = {
    ...{ name: "far", remote: "there", info: "at x", privileges: [], isPrivate: false },
    ...{ verbs: undefined, state: "connected", recheck: () => {} },
    call: async (request) => {
      asked.push(request);
      return request.verb;
    },
    ...about,
  };
  return { api, asked };
}
const action = (target: ActionPlan["target"]): ActionPlan => ({
  ...{ uid: "x", action: "", target, required: false },
});
const actionsOf = (extra: readonly ActionPlan[]) =>
  apiOf([shell("v", "true")], { actions: { onload: [], onstart: [], events: [], extra } });
const names = async (client: TestClient) => {
  const { response } = await client.call("get", { apis: "far" }, { api: "monitor" });
  return Object.keys((response as { apis: { far: { paths: object } } }).apis.far.paths);
};

describe("verbs of another binder", () => {
  test("are those that are named, in any case, and no others", async () => {
    const { api, asked } = foreign({ verbs: ["Read", "write"] });
    const { client } = connect([], { foreign: [api] });
    const reply = await client.call("rEAD", { n: 1 }, { api: "FAR" });
    expect(reply).toMatchObject({ request: { status: "success" }, response: "Read" });
    expect(asked).toMatchObject([{ verb: "Read", args: { n: 1 } }]);
    const { request } = await client.call("x".repeat(81), {}, { api: "far" });
    expect(request).toMatchObject({
      status: "unknown-verb",
      info: `no verb \`${"x".repeat(80)}\` of far may be called here (there is Read, write)`,
    });
    expect([asked.length, await names(client)]).toEqual([1, ["/Read", "/write"]]);
  });

  test("are any where nobody knows them, and known are those that a config names", async () => {
    const { api, asked } = foreign();
    const target = (kind: "api" | "plugin", owner: string, name: string) =>
      action(
        kind === "api" ? { kind, api: owner, verb: name } : { kind, plugin: owner, name: name },
      );
    const config = actionsOf([
      { ...target("api", "FAR", "one"), uid: "a" },
      { ...target("api", "far", "one"), uid: "b" },
      { ...target("api", "p", "v"), uid: "c" },
    ]);
    const { client } = connect([], { apis: [config], foreign: [api] });
    expect(await names(client)).toEqual(["/one"]);
    await client.call("Any", undefined, { api: "far" });
    expect(asked.map(({ verb }) => verb)).toEqual(["Any"]);
  });

  test("need what the config says of the whole API", async () => {
    const { api, asked } = foreign({ privileges: ["x"] });
    for (const privileges of [[], ["x"]]) {
      const { client } = connect([], { foreign: [api], granted: granting(...privileges) });
      const { request } = await client.call("v", {}, { api: "far" });
      expect(request.status).toBe(privileges.length > 0 ? "success" : "insufficient-scope");
    }
    expect(asked).toHaveLength(1);
  });

  test("are nobody's where the API is private, but for actions and extra verbs", async () => {
    const { api, asked } = foreign({ isPrivate: true });
    const config = actionsOf([action({ kind: "api", api: "far", verb: "v" })]);
    const { client } = connect([], { apis: [config], foreign: [api] });
    expect((await client.call("v", {}, { api: "far" })).request.status).toBe("unknown-api");
    expect(asked).toHaveLength(0);
    expect((await client.call("x")).response).toBe("v");
    expect(asked).toHaveLength(1);
  });

  test("are of one API of a name", () => {
    const { api } = foreign({ name: "p" });
    expect(() => connect([shell("v", "true")], { foreign: [api] })).toThrow(
      "p: an API of that name is here already: import it as OTHER@p",
    );
  });
});

test("what a config imports is in what it says of itself, and no other", async () => {
  const [far, other] = [foreign({ verbs: ["v"], privileges: ["x"] }), foreign({ name: "other" })];
  const config = apiOf([], {
    imports: [{ name: "far" } as NonNullable<ReturnType<typeof apiOf>["imports"]>[number]],
  });
  const { client } = connect([], { apis: [config], foreign: [far.api, other.api] });
  const { response } = await client.call("info");
  expect((response as { imports: object[] }).imports).toEqual([
    { api: "far", info: "at x", state: "connected", privileges: ["x"], verbs: ["v"] },
  ]);
});

describe("a reload", () => {
  test("keeps the APIs of other binders, or brings others; the config is the one that is explained", async () => {
    const [one, other] = [foreign(), foreign({ name: "other" })];
    const box = (uid: string) => compiled({ uid, acls: { user: "root" } });
    const { client, registry } = connect([], { apis: [box("before")], foreign: [one.api] });
    const apis = async () => (await client.call("apis", undefined, { api: "monitor" })).response;
    const explained = async () => {
      const { response } = await client.call("explain", undefined, { api: "monitor" });
      return (response as { sandbox: string }[]).map(({ sandbox }) => sandbox);
    };
    const names = { monitor: true, t: true };
    expect(await apis()).toEqual({ apis: { ...names, far: true } });
    expect(await explained()).toEqual(["before"]);
    registry.replace([box("behind")]);
    expect(await apis()).toEqual({ apis: { ...names, far: true } });
    expect(await explained()).toEqual(["behind"]);
    registry.replace([box("behind")], [other.api]);
    registry.replace([box("behind")]);
    expect(await apis()).toEqual({ apis: { ...names, other: true } });
  });

  test("and other grants: each is told to look whether its callers still may", () => {
    const asked: boolean[] = [];
    let held = ["x"];
    const { api } = foreign({
      privileges: ["x"],
      recheck: (may) => {
        const session = { uuid: "u" };
        asked.push(may({ api: "far", verb: "v", args: {}, session }) === true);
      },
    });
    const { registry } = connect([], {
      foreign: [api],
      granted: () => ({ privileges: new Set(held) }),
    });
    registry.recheck();
    held = [];
    registry.replace([apiOf([])]);
    expect(asked).toEqual([true, false]);
  });
});

describe("events of another binder", () => {
  const heard = (remote: string | undefined) => {
    const hub = new Hub();
    const told: [string, unknown][] = [];
    hub.listen((name, data) => void told.push([name, data]));
    const { api, asked } = foreign({ remote });
    const verbs = new ForeignVerbs(hub);
    const call = async (more: Partial<Request> = {}) => {
      const request = { api: "far", verb: "v", args: {}, session: SERVER_SESSION, ...more };
      await verbs.find(api, "v").call(request);
      return asked.at(-1)?.client;
    };
    return { told, call };
  };

  test("are heard by the actions of this server, under the name that the API has here", async () => {
    const { told, call } = heard("There");
    const client = await call();
    const events = ["there/a", "THERE/a/b", "other/a", "there", "a"];
    for (const event of events) void client?.send(event, { event });
    expect(told).toEqual([
      ...["far/a", "far/a/b", "far/other/a", "far/there", "far/a"].map(
        (name, at): [string, unknown] => [name, { event: events[at] }],
      ),
    ]);
    // By one who is always there, and reads all.
    expect(await call()).toBe(client as Client);
    let gone = 0;
    client?.onClose(() => gone++)();
    expect([client?.connected, client?.backlog, client?.session, gone]).toEqual([
      ...[true, 0, SERVER_SESSION, 0],
    ]);
  });

  test("of one that is another binder's now are told by the name that it has there", async () => {
    const hub = new Hub();
    const told: string[] = [];
    hub.listen((name) => void told.push(name));
    const verbs = new ForeignVerbs(hub);
    for (const remote of ["there", "elsewhere"]) {
      const { api, asked } = foreign({ remote });
      const request = { api: "far", verb: "v", args: {}, session: SERVER_SESSION };
      await verbs.find(api, "v").call(request);
      void asked[0]?.client?.send(`${remote}/a`, {});
    }
    expect(told).toEqual(["far/a", "far/a"]);
  });

  test("of an API without a name there have this one in front", async () => {
    const { told, call } = heard(undefined);
    void (await call())?.send("there/a", 1);
    expect(told).toEqual([["far/there/a", 1]]);
  });

  test("go to who has called, where somebody else has", async () => {
    const { call } = heard("there");
    const client = { send: () => {} } as unknown as Client;
    expect(await call({ client })).toBe(client);
    expect(await call({ session: { uuid: "u" } })).toBeUndefined();
  });
});

import { describe, expect, test } from "bun:test";
import { createRegistry } from "../../src/api/registry.ts";
import { parseTemplate } from "../../src/plan/argv.ts";
import type { Plan } from "../../src/plan/plan.ts";
import {
  apiOf,
  connecting,
  granting,
  paramsOf,
  registryOf,
  shell,
  spawnLaunch,
  TestClient,
} from "./harness.ts";

const connect = connecting();

const ok = (response: string) =>
  `{"jtype":"afb-reply","request":{"status":"success","code":0},"response":${response}}`;

describe("finding verbs", () => {
  const plans = [shell("admin/Sleep", "sleep 9"), shell("hello", "echo hello")];

  test("without regard to case", async () => {
    const { client } = connect([shell("Admin/Hello", "true")]);
    await client.call("aDMIN/hELLO", {}, { api: "P" });
    await client.until("final-event");
    expect(client.wire).toEqual([
      `[3,"1",${ok('{"api":"p","sandbox":"sb","command":"Hello","pid":PID}')}]`,
      '[5,"p/Admin/Hello",{"jtype":"afb-event","event":"p/Admin/Hello","data":{"type":"final-event","pid":PID,"status":{"exit":0}}}]',
    ]);
  });

  test("two that differ by case: exactly the one that was meant, or neither", async () => {
    const { client } = connect([shell("a/c", "true"), shell("a/C", "true"), shell("Ping", "true")]);
    const responses: string[] = [];
    for (const verb of ["a/c", "a/C", "A/c", "ping", "Ping", "PING"])
      responses.push(JSON.stringify((await client.call(verb)).response ?? verb));
    expect(responses).toEqual([
      expect.stringContaining('"command":"c"'),
      expect.stringContaining('"command":"C"'),
      '"A/c"',
      '"pong=1"',
      expect.stringContaining('"command":"Ping"'),
      '"PING"',
    ]);
  });

  test("an unknown API or verb says what there is", async () => {
    const { client } = connect(plans);
    await client.call("ping", {}, { api: "q" });
    await client.call("helo");
    await client.call("__proto__");
    expect(client.wire).toEqual([
      '[4,"1",{"jtype":"afb-reply","request":{"status":"unknown-api","info":"no API `q` (there is p, monitor)","code":-3}}]',
      '[4,"2",{"jtype":"afb-reply","request":{"status":"unknown-verb","info":"no verb `helo`; did you mean `hello`? (there is ping, info, admin/Sleep, hello)","code":-4}}]',
      '[4,"3",{"jtype":"afb-reply","request":{"status":"unknown-verb","info":"no verb `__proto__` (there is ping, info, admin/Sleep, hello)","code":-4}}]',
    ]);
  });

  test("list", () => {
    const { registry } = connect(plans);
    expect(registry.list()).toEqual([
      { api: "p", verbs: ["ping", "info", "admin/Sleep", "hello"] },
      {
        api: "monitor",
        verbs: [
          "get",
          "apis",
          "info",
          "set",
          "tasks",
          "explain",
          "session",
          "trace",
          "subscribe",
          "unsubscribe",
        ],
      },
    ]);
  });

  test("the same name twice, or an unknown encoder, does not start", () => {
    const make =
      (...twice: Plan[]) =>
      () =>
        registryOf(twice);
    expect(make(shell("a", ""), shell("a", ""))).toThrow("two verbs are named p/a");
    expect(make(shell("info", ""))).toThrow("two verbs are named p/info");
    expect(make(shell("a", "", { encoder: { name: "nix", opts: {} } }))).toThrow("no encoder nix");
    expect(() =>
      createRegistry({ apis: [apiOf([]), apiOf([], { api: "p" })], launch: spawnLaunch }),
    ).toThrow("two APIs are named p");
  });

  test("further verbs, of an API of the config or their own", async () => {
    const echo = { name: "echo", call: ({ args }: { args: unknown }) => args };
    const nothing = { name: "nothing", call: () => undefined };
    const { client, registry } = connect([], { verbs: { p: [echo], other: [nothing] } });
    await client.call("echo", { a: 1 });
    await client.call("nothing", {}, { api: "other" });
    expect(client.wire).toEqual([
      `[3,"1",${ok('{"a":1}')}]`,
      '[3,"2",{"jtype":"afb-reply","request":{"status":"success","code":0}}]',
    ]);
    expect(registry.list().map(({ api }) => api)).toEqual(["p", "monitor", "other"]);
  });

  test("a bug is a reply too", async () => {
    const broken = {
      name: "broken",
      call() {
        throw new TypeError("oops");
      },
    };
    const { client } = connect([], { verbs: { p: [broken] } });
    await client.call("broken");
    expect(client.wire).toEqual([
      '[4,"1",{"jtype":"afb-reply","request":{"status":"internal-error","info":"oops","code":-1}}]',
    ]);
  });
});

describe("built-in verbs", () => {
  test("ping counts for the server, whatever the arguments", async () => {
    const registry = createRegistry({
      apis: [apiOf([]), apiOf([], { api: "q" })],
      launch: spawnLaunch,
    });
    const client = new TestClient(registry);
    await client.call("ping");
    await client.call("PING", { any: ["thing"] });
    await client.call("ping", null, { api: "q" });
    expect(client.wire).toEqual([
      `[3,"1",${ok('"pong=1"')}]`,
      `[3,"2",${ok('"pong=2"')}]`,
      `[3,"3",${ok('"pong=3"')}]`,
    ]);
  });

  test("info, with everything and with nothing", async () => {
    const sleep = shell("admin/sleep", "sleep %seconds%", {
      info: "sleeps",
      sample: [{ seconds: 1 }],
      usage: { seconds: "how long" },
      timeout: 1500,
      privileges: ["urn:sleep"],
      encoder: { name: "line", opts: {} },
      argv: parseTemplate("/bin/sleep", ["%seconds%"], (text) => text),
      params: paramsOf({ seconds: { type: "integer" } }),
    });
    const full = apiOf([], {
      info: "a demo",
      version: "1.0",
      author: "somebody",
      sandboxes: [{ uid: "sb", info: "a sandbox", plans: [sleep] }],
      notices: [
        { path: "sandboxes[0].acls", message: "different here" },
        { path: "metadata", message: "and there" },
      ],
    });
    const bare = apiOf([shell("x", "true")], { api: "q" });
    const client = new TestClient(createRegistry({ apis: [full, bare], launch: spawnLaunch }));
    await client.call("info");
    await client.call("info", {}, { api: "q" });
    expect(client.wire).toEqual([
      `[3,"1",${ok(
        '{"groups":[{"uid":"sb","info":"a sandbox","verbs":[{"uid":"sleep","verb":"admin/sleep","info":"sleeps","sample":[{"seconds":1}],' +
          '"usage":{"action":["start","stop"],"args":{"seconds":"how long"}},"encoder":"line","timeout":1.5,"names":["seconds"],"privileges":["urn:sleep"],"params":{"seconds":{"type":"integer"}}}],"notices":[{"path":"sandboxes[0].acls","message":"different here"}]}],' +
          '"metadata":{"uid":"demo","info":"a demo","version":"1.0","author":"somebody","api":"p"},"notices":[{"path":"metadata","message":"and there"}]}',
      )}]`,
      `[3,"2",${ok(
        '{"groups":[{"uid":"sb","verbs":[{"uid":"x","verb":"x","usage":{"action":["start","stop"]},"encoder":"text"}]}],"metadata":{"uid":"demo","api":"q"}}',
      )}]`,
    ]);
  });
});

describe("privileges", () => {
  const plans = [
    shell("both", "touch /dev/null", { privileges: ["urn:a", "urn:b"] }),
    shell("free", "true"),
  ];

  test("every one is needed, for every action", async () => {
    const { client } = connect(plans, { granted: granting("urn:a") });
    await client.call("both");
    await client.call("both", { action: "stop" });
    await client.call("free");
    const refused =
      '{"jtype":"afb-reply","request":{"status":"insufficient-scope","info":"p/both needs the privilege urn:b","code":-9}}';
    expect(client.wire.slice(0, 2)).toEqual([`[4,"1",${refused}]`, `[4,"2",${refused}]`]);
    expect(client.wire[2]).toStartWith('[3,"3"');
  });

  test("the caller decides, never the session; without anything to decide by, nobody has any", async () => {
    const { client, registry } = connect(plans, {
      granted: ({ token }) => ({
        privileges: token === "t" ? "all" : new Set<string>(),
        unknownToken: token === "u",
      }),
    });
    const session = { uuid: "test-session" };
    const both = async (more: object, verb = "both"): Promise<object> =>
      (await registry.call({ api: "p", verb, args: {}, session, ...more })).request;
    const info = "p/both needs the privileges urn:a, urn:b";
    expect((await client.call("both", {}, { caller: { token: "t" } })).request.code).toBe(0);
    const refused: object = { status: "insufficient-scope", info, code: -9 };
    expect(await both({})).toEqual(refused);
    expect(await both({ caller: {} })).toEqual(refused);
    expect(await both({ caller: { token: "u" } })).toEqual({
      status: "invalid-token",
      info: `${info}; this token is not known`,
      code: -7,
    });
    // Clients of other servers send whatever they like.
    expect(await both({ caller: { token: "u" } }, "free")).toMatchObject({ code: 0 });
    const { client: other } = connect(plans);
    const theirs: object = (await other.call("both", {}, { caller: { token: "t" } })).request;
    expect(theirs).toEqual(refused);
    expect((await other.call("free")).request.code).toBe(0);
  });
});

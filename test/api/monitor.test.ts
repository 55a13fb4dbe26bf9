import { describe, expect, test } from "bun:test";
import { SERVER_SESSION, type Session } from "../../src/api/client.ts";
import { grantAll } from "../../src/api/privileges.ts";
import { type RegistryOptions } from "../../src/api/registry.ts";
import { Log } from "../../src/log.ts";
import { parseTemplate } from "../../src/plan/argv.ts";
import { SHARE } from "../../src/api/lossy.ts";
import { apiOf, connecting, granting, paramsOf, shell, sleeper, TestClient } from "./harness.ts";

const make = connecting();

const say = shell("say", "", {
  info: "says it",
  argv: parseTemplate("/bin/echo", ["%text%", "?more?"], (text) => text),
  params: paramsOf({ text: { type: "string", allowDash: true }, more: { allowDash: true } }),
  privileges: ["urn:a", "urn:b"],
  sample: [{ text: "x" }],
});

function connect(options: Partial<RegistryOptions> = {}) {
  const lines: string[] = [];
  const log = new Log((line) => lines.push(line));
  const apis = [apiOf([say, shell("hello", "echo hi"), sleeper("sleep")], { version: "1.0" })];
  return { ...make([], { apis, log, granted: grantAll, ...options }), lines };
}

const monitor = { api: "monitor" };
const replied = (id: number, response?: string) =>
  `[3,"${id}",{"jtype":"afb-reply","request":{"status":"success","code":0}${response === undefined ? "" : `,"response":${response}`}}]`;
const refused = (id: number, status: string, info: string, code: number) =>
  `[4,"${id}",{"jtype":"afb-reply","request":{"status":"${status}","info":${JSON.stringify(info)},"code":${code}}}]`;

describe("get apis", () => {
  test("names", async () => {
    const { client } = connect();
    for (const apis of ["*", false]) await client.call("get", { apis }, monitor);
    await client.call("get", {}, monitor);
    await client.call("get", undefined, monitor);
    expect(client.wire).toEqual([
      replied(1, '{"apis":{"monitor":true,"p":true}}'),
      replied(2, '{"apis":{"monitor":true,"p":true}}'),
      replied(3),
      replied(4),
    ]);
  });

  test("descriptions", async () => {
    const { client } = connect();
    const p =
      '{"openapi":"3.1.0","info":{"title":"p","version":"1.0"},"paths":{' +
      '"/ping":{"get":{"responses":{"200":{"description":"afb-reply"}}}},' +
      '"/info":{"get":{"responses":{"200":{"description":"afb-reply"}}}},' +
      '"/say":{"get":{"description":"says it","x-permissions":{"allOf":[{"permission":"urn:a"},{"permission":"urn:b"}]},' +
      '"parameters":[{"in":"query","name":"text","required":true,"schema":{"type":"string"}},{"in":"query","name":"more","required":false,"schema":{}}],' +
      '"responses":{"200":{"description":"afb-reply"}}}},' +
      '"/hello":{"get":{"responses":{"200":{"description":"afb-reply"}}}},' +
      '"/sleep":{"get":{"responses":{"200":{"description":"afb-reply"}}}}}}';
    await client.call("get", { apis: "P" }, monitor);
    await client.call("get", { apis: ["p"] }, monitor);
    expect(client.wire).toEqual([
      replied(1, `{"apis":{"p":${p}}}`),
      replied(2, `{"apis":{"p":${p}}}`),
    ]);
    const all = await client.call("get", { apis: true }, monitor);
    expect(JSON.stringify(all)).toStartWith(
      '{"jtype":"afb-reply","request":{"status":"success","code":0},"response":{"apis":{"monitor":{"openapi":"3.1.0",',
    );
    await client.call("get", { apis: "q" }, monitor);
    expect(client.wire.at(-1)).toBe(
      refused(4, "unknown-api", "no API `q` (there is monitor, p)", -3),
    );
  });

  test("describe, for OpenAPI", () => {
    const { registry } = connect();
    const api = registry.describe()[0];
    expect(api?.verbs.find(({ name }) => name === "say")).toEqual({
      name: "say",
      info: "says it",
      parameters: [
        { name: "text", required: true, schema: { type: "string" } },
        { name: "more", required: false },
      ],
      task: true,
      privileges: ["urn:a", "urn:b"],
      sample: [{ text: "x" }],
    });
  });
});

describe("verbosity", () => {
  test("get and set", async () => {
    const { client } = connect();
    await client.call("get", { verbosity: true }, monitor);
    await client.call("set", { verbosity: { P: "Debug" } }, monitor);
    await client.call("get", { verbosity: ["", "p"] }, monitor);
    await client.call("set", { verbosity: "warning" }, monitor);
    await client.call("get", { verbosity: { p: true }, apis: false }, monitor);
    await client.call("get", { verbosity: "*" }, monitor);
    expect(client.wire).toEqual([
      replied(1, '{"verbosity":{"":"notice","monitor":"notice","p":"notice"}}'),
      replied(2),
      replied(3, '{"verbosity":{"":"notice","p":"debug"}}'),
      replied(4),
      replied(5, '{"apis":{"monitor":true,"p":true},"verbosity":{"p":"warning"}}'),
      replied(6, '{"verbosity":{"monitor":"warning","p":"warning"}}'),
    ]);
  });

  test("what is wrong changes nothing", async () => {
    const { client } = connect();
    await client.call("set", { verbosity: { p: "debug", "": "loud" } }, monitor);
    await client.call("set", { verbosity: { q: "debug" } }, monitor);
    await client.call("set", {}, monitor);
    await client.call("get", { verbosity: ["", "p"] }, monitor);
    expect(client.wire).toEqual([
      refused(
        1,
        "invalid-request",
        'unknown level "loud" (error, warning, notice, info, debug)',
        -12,
      ),
      refused(2, "unknown-api", "no API `q` (there is p, monitor)", -3),
      refused(3, "invalid-request", 'expects {"verbosity":{"API":"LEVEL"}}', -12),
      replied(4, '{"verbosity":{"":"notice","p":"notice"}}'),
    ]);
  });

  test("changes what is logged", async () => {
    const { client, lines } = connect();
    await client.call("hello");
    await client.until("final-event");
    expect(lines).toEqual([]);
    await client.call("set", { verbosity: { p: "debug" } }, monitor);
    const reply = await client.call("hello", { wait: true });
    const { pid } = reply.response as { pid: number };
    expect(lines).toEqual([
      "debug: p: request 1: hello",
      `info: p: sb/hello@${pid} started`,
      `info: p: sb/hello@${pid} ended: {"exit":0}`,
      "debug: p: reply 1: success",
    ]);
  });

  test("a caller cannot forge a line", async () => {
    const { client, lines } = connect();
    await client.call("set", { verbosity: "debug" }, monitor);
    lines.length = 0;
    await client.call("x\nerror: p: \u001b[31m");
    expect(lines[0]).toBe("debug: p: request 1: x\\u000aerror: p: \\u001b[31m");
    expect(lines.length).toBe(2);
  });
});

test("session", async () => {
  const { client, registry } = connect();
  await client.call("session", {}, monitor);
  expect(client.wire).toEqual([
    replied(1, '{"uuid":"test-session","timeout":32000000,"remain":32000000}'),
  ]);
  const session = { uuid: "u", timeout: 10, remain: 4 };
  const reply = await registry.call({ api: "monitor", verb: "session", args: {}, session });
  expect(reply.response).toEqual({ uuid: "u", timeout: 10, remain: 4 });
});

describe("trace", () => {
  const clean = (wire: string[]) => wire.map((one) => one.replace(/"time":[\d.]+/, '"time":T'));
  let ids = 0;
  const traced = (rest: string) =>
    `[5,"monitor/trace",{"jtype":"afb-event","event":"monitor/trace","data":{"time":T,"tag":"t","id":${++ids},${rest}}}]`;

  test("requests, replies and events of an API", async () => {
    const { client, registry } = connect();
    const watcher = new TestClient(registry);
    await watcher.call("trace", { add: { tag: "t", api: "p" } }, monitor);
    await client.call("hello", 1);
    await client.call("hello");
    await client.until("final-event");
    const refusal = "the command takes no arguments";
    const request = (index: number, action: string, data: string) =>
      traced(
        `"request":{"index":${index},"api":"p","verb":"hello","action":"${action}","session":"test-session"},"data":${data}`,
      );
    const event = (data: string) =>
      ["push_before", "push_after"].map((action) =>
        traced(`"event":{"id":1,"name":"p/hello","action":"${action}"},"data":{"data":${data}}`),
      );
    expect(clean(watcher.wire)).toEqual([
      replied(1),
      request(1, "begin", '{"params":1}'),
      request(
        1,
        "reply",
        `{"status":-12,"error":"invalid-request","info":"${refusal}","reply":null}`,
      ),
      request(2, "begin", '{"params":null}'),
      request(
        2,
        "reply",
        '{"status":0,"reply":{"api":"p","sandbox":"sb","command":"hello","pid":PID}}',
      ),
      ...event('{"type":"data","pid":PID,"stdout":["hi"]}'),
      ...event('{"type":"final-event","pid":PID,"status":{"exit":0}}'),
    ]);
    await watcher.call("trace", { drop: "t" }, monitor);
    const before = watcher.frames.length;
    await client.call("ping");
    expect(watcher.frames.length).toBe(before);
  });

  test("made anew after the last was dropped", async () => {
    const { client, registry } = connect();
    const watcher = new TestClient(registry);
    const add = { add: { tag: "t", event: "push_before", pattern: "p/*" } };
    for (let round = 0; round < 2; round++) {
      await watcher.call("trace", add, monitor);
      const { length } = watcher.frames;
      await client.call("hello");
      while (watcher.frames.length < length + 2) await Bun.sleep(1);
      expect(watcher.wire.at(-1)).toContain('"event":{"id":1,"name":"p/hello"');
      await watcher.call("trace", { drop: true }, monitor);
      ids += 2;
    }
  });

  const datas = (watcher: TestClient) =>
    watcher.wire.slice(1).map((text) => {
      const [, name, { data }] = JSON.parse(text.replaceAll("PID", "1")) as [
        5,
        string,
        { data: { tag: string; [kind: string]: unknown } },
      ];
      const { request, event, session } = data as Record<string, { action: string } | undefined>;
      return `${name} ${data.tag} ${(request ?? event ?? session)?.action}`;
    });

  test.each<[unknown, string[]]>([
    [{ request: "common" }, ["begin", "reply", "begin", "reply"]],
    ["all", ["begin", "reply", "begin", "reply"]],
    [{ request: ["reply", "end"], verbname: "PING" }, ["reply"]],
    [{ request: "all", apiname: "!(p|x)" }, []],
    [{ request: "all", uuid: "nobody" }, []],
    [{ request: "all", uuid: "*" }, ["begin", "reply", "begin", "reply"]],
    [{ request: "begin", uuid: "test-*", verbname: "h*o" }, ["begin"]],
    [{ event: "push_before", pattern: "p/*" }, ["push_before", "push_before"]],
    [{ event: "common", pattern: "p/other" }, []],
    [{ event: "*", request: "none" }, ["push_before", "push_after", "push_before", "push_after"]],
    [{ api: "all", daemon: "all", service: ["all"], global: "vverbose" }, []],
    [
      { apiname: "p", for: [{ request: "begin" }, { event: "push_after" }] },
      ["begin", "begin", "push_after", "push_after"],
    ],
    [{ session: "all" }, ["create"]],
  ])("%j", async (add, expected) => {
    const { client, registry } = connect();
    const watcher = new TestClient(registry);
    await watcher.call("trace", { add }, monitor);
    expect(watcher.wire[0]).toBe(replied(1));
    await client.call("hello");
    await client.until("final-event");
    await client.call("ping");
    expect(datas(watcher).sort()).toEqual(expected.map((it) => `monitor/trace trace ${it}`).sort());
  });

  test("names, tags and sessions", async () => {
    const { registry } = connect();
    const watcher = new TestClient(registry);
    const add = [
      { name: "mine", tag: "T", session: "common" },
      { name: "other", tag: "U", request: "begin" },
    ];
    await watcher.call("trace", { add }, monitor);
    const going = new TestClient(registry);
    await going.call("ping");
    going.disconnect();
    expect(datas(watcher)).toEqual([
      "monitor/mine T create",
      "monitor/other U begin",
      "monitor/mine T close",
    ]);
  });

  test("dropping, by tag, pattern, event and all; what is not there is an error and drops nothing", async () => {
    const { client } = connect();
    const trace = async (args: object) => (await client.call("trace", args, monitor)).request;
    const ok = { status: "success", code: 0 };
    const add = ["a1", "a2", "b"].map((tag) => ({ tag, name: tag, request: "all" }));
    expect(await trace({ add })).toEqual(ok as never);
    expect((await trace({ drop: ["a1", "c"] })).info).toBe('drop: no trace has the tag "c"');
    expect(await trace({ drop: { tag: "a1" } })).toEqual(ok as never);
    expect((await trace({ drop: "a1" })).info).toBe('drop: no trace has the tag "a1"');
    expect(await trace({ drop: { tag: "a*" } })).toEqual(ok as never);
    expect((await trace({ drop: { uuid: "u" } })).info).toContain("no trace has the uuid");
    expect(await trace({ drop: { event: "b" } })).toEqual(ok as never);
    expect(await trace({ drop: true })).toEqual(ok as never);
    expect((await trace({ drop: { tagg: "a" } })).info).toContain("unknown key");
    expect((await trace({ add: { request: "begn" } })).info).toContain("did you mean `begin`?");
    expect((await trace({ add: { name: "x/y" } })).info).toContain("add.name");
    const many = { for: Array.from({ length: 65 }, () => ({})) };
    expect((await trace({ add: many })).info).toBe("at most 64 traces at a time");
    expect(await trace({ add: { request: "all" }, drop: false })).toEqual(ok as never);
  });

  test("apis and info of monitor itself", async () => {
    const { client } = connect();
    const apis = await client.call("apis", undefined, monitor);
    expect(apis.response).toEqual({ apis: { monitor: true, p: true } });
    const info = (await client.call("info", {}, monitor)).response as {
      groups: { verbs: { verb: string }[] }[];
    };
    expect(info).toMatchObject({ metadata: { uid: "monitor", api: "monitor" } });
    expect(info.groups[0]?.verbs.map(({ verb }) => verb)).toContain("trace");
    const privileged = info.groups[0]?.verbs.filter((one) => "privileges" in one) ?? [];
    expect(privileged.map(({ verb }) => verb).toSorted()).toEqual([
      ...["set", "subscribe", "trace"],
    ]);
  });

  test("a tracer that does not read holds nobody, and is told what it missed", async () => {
    const { client, registry } = connect();
    const slow = new TestClient(registry);
    await slow.call("trace", { add: { request: true, api: "p" } }, monitor);
    const gate = Promise.withResolvers<void>();
    slow.pause = () => gate.promise;
    for (let i = 0; i < 3000; i++) await client.call("ping");
    const sent = slow.frames.length - 1;
    expect(slow.backlog).toBeWithin(SHARE, SHARE + 1000);
    slow.pause = undefined;
    gate.resolve();
    await slow.until('"dropped"');
    expect(slow.wire.at(-1)).toContain(`"data":{"dropped":${2 * 3000 - sent}}`);
    expect(slow.frames.length).toBe(1 + sent + 1);
  });

  test("ends with its client, and wrong ones are told", async () => {
    const { client, registry } = connect();
    const gone = new TestClient(registry);
    await gone.call("trace", { add: {} }, monitor);
    gone.disconnect();
    await client.call("ping");
    expect(gone.frames.length).toBe(1);
    expect(gone.handlers).toBe(0);
    await client.call("trace", {}, monitor);
    await client.call("trace", { add: { apis: "p" } }, monitor);
    await client.call("trace", { drop: 1 }, monitor);
    expect(client.wire.slice(1)).toEqual([
      refused(
        2,
        "invalid-request",
        'expects {"add":{"apiname":…,"request":"all","event":"all"}} or {"drop":true}',
        -12,
      ),
      refused(
        3,
        "invalid-request",
        'add: unknown key "apis"; did you mean `api`? (name, tag, api, apiname, verbname, uuid, pattern, request, event, session, daemon, service, global, for)',
        -12,
      ),
      refused(4, "invalid-request", "drop: expected true, a tag, or a list of tags", -12),
    ]);
  });
});

describe("disconnected", () => {
  test("tells subscribers when a client goes", async () => {
    const { client, registry } = connect();
    const going = new TestClient(registry);
    await going.call("ping");
    await client.call("subscribe", "disconnected", monitor);
    await client.call("subscribe", "disconnected", monitor);
    going.disconnect();
    await client.call("unsubscribe", "disconnected", monitor);
    const another = new TestClient(registry);
    await another.call("ping");
    another.disconnect();
    await client.call("subscribe", "connected", monitor);
    expect(client.wire).toEqual([
      replied(1),
      replied(2),
      '[5,"monitor/disconnected",{"jtype":"afb-event","event":"monitor/disconnected","data":{"uuid":"test-session"}}]',
      replied(3),
      refused(4, "invalid-request", 'there is one event to subscribe to: "disconnected"', -12),
    ]);
    expect(client.handlers).toBe(0);
  });

  test("is told to nobody who has gone", async () => {
    const { client, registry } = connect();
    const other = new TestClient(registry);
    for (const one of [client, other]) await one.call("subscribe", "disconnected", monitor);
    client.disconnect();
    other.disconnect();
    expect([client.wire.length, other.wire.length]).toEqual([1, 2]);
  });

  test("is asked for by its name, alone or in a list of nothing else", async () => {
    const { client } = connect();
    const code = async (args: unknown) =>
      (await client.call("subscribe", args, monitor)).request.code;
    expect([await code(["disconnected"]), await code(["disconnected", "disconnected"])]).toEqual([
      0, 0,
    ]);
    for (const args of [[], ["disconnected", "x"], {}, undefined])
      expect(await code(args)).toBe(-12);
  });

  test("needs a connection", async () => {
    const { registry } = connect();
    for (const [verb, args] of [
      ["subscribe", "disconnected"],
      ["unsubscribe", "disconnected"],
      ["trace", { add: {} }],
    ] as const) {
      const told = async (session: Session) => {
        const { request } = await registry.call({ api: "monitor", verb, args, session });
        return request.info ?? request.status;
      };
      expect(await told({ uuid: "rest" })).toBe("events need a WebSocket connection");
      // Actions of a config hear its end of who goes without that.
      expect([verb, await told(SERVER_SESSION)]).toEqual([
        verb,
        verb === "trace" ? "events need a WebSocket connection" : "success",
      ]);
    }
  });
});

test("what others notice takes a privilege", async () => {
  const { client } = connect({ granted: granting() });
  await client.call("get", { apis: false }, monitor);
  for (const verb of ["set", "trace", "subscribe"]) await client.call(verb, {}, monitor);
  expect(client.wire[0]).toStartWith('[3,"1"');
  expect(client.wire.slice(1)).toEqual(
    ["set", "trace", "subscribe"].map((verb, i) =>
      refused(
        i + 2,
        "insufficient-scope",
        `monitor/${verb} needs the privilege urn:AGL:permission:monitor:public:${verb}`,
        -9,
      ),
    ),
  );
});

/** `monitor/tasks`: each caller sees the tasks that it may follow, and no others; filters say what is wrong with them. */
import { describe, expect, setSystemTime, test } from "bun:test";
import type { Archive } from "../../src/api/archive.ts";
import type { Caller } from "../../src/api/client.ts";
import type { TaskRecord } from "../../src/api/record.ts";
import type { RegistryOptions } from "../../src/api/registry.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { apiOf, connecting, pidOf, shell, sleeper, TestClient, use } from "./harness.ts";

const connect = connecting();

/** The token is the only privilege that its caller has. */
const granted = ({ token = "" }: Caller) => ({ privileges: new Set([token]) });
const as = (token: string) => ({ caller: { token } });

async function list(client: TestClient, args: object = {}, more: object = {}) {
  const reply = await client.call("tasks", args, { api: "monitor", ...more });
  if (reply.request.status !== "success") throw new Error(reply.request.info);
  return reply.response as TaskRecord[];
}

const verbs = (records: readonly TaskRecord[]) => records.map(({ verb }) => verb);

describe("who may not follow a task does not see it", () => {
  const plans = [
    sleeper("open"),
    sleeper("mine", { privileges: ["a"] }),
    sleeper("yours", { privileges: ["b"] }),
  ];

  test("in the list, whatever it asks for", async () => {
    const { client } = connect(plans, { granted });
    await client.call("open");
    await client.call("mine", undefined, as("a"));
    await client.call("yours", undefined, as("b"));
    expect(verbs(await list(client))).toEqual(["open"]);
    expect(verbs(await list(client, {}, as("a")))).toEqual(["mine", "open"]);
    const [yours] = await list(client, { verb: "yours" }, as("b"));
    expect(yours).toMatchObject({ verb: "yours", state: "running" });
    for (const filter of [{ id: yours?.id }, { pid: yours?.pid }, { verb: "yours" }])
      expect(await list(client, filter, as("a"))).toEqual([]);
    expect(
      (await client.call("yours", { action: "subscribe", args: { id: yours?.id, from: 1 } }))
        .request.status,
    ).toBe("insufficient-scope");
  });

  test("by the id of a task of another verb", async () => {
    const { client } = connect(plans, { granted });
    await client.call("yours", undefined, as("b"));
    const [yours] = await list(client, {}, as("b"));
    for (const action of ["subscribe", "stop", "unsubscribe"])
      expect(
        (await client.call("open", { action, args: { id: yours?.id } })).request,
      ).toMatchObject({ status: "no-item" });
    expect(verbs(await list(client, { state: "running" }, as("b")))).toEqual(["yours"]);
  });

  test("in events, also once it has lost the privilege", async () => {
    let mine = "a";
    const { client, registry } = connect(plans, {
      granted: () => ({ privileges: new Set([mine]) }),
    });
    const watcher = new TestClient(registry);
    await list(watcher, { follow: true });
    const told = () => watcher.wire.filter((frame) => frame.includes('"monitor/tasks"'));
    await client.call("mine");
    await watcher.until('"type":"started","task":');
    expect(told().length).toBe(1);
    mine = "b";
    registry.recheck();
    await client.call("yours");
    await watcher.until('"verb":"yours"');
    mine = "a";
    const pid = pidOf(await client.call("open"));
    mine = "";
    await client.call("open", { action: "stop", args: { pid } });
    await watcher.until('"type":"ended"');
    expect(
      told().map((frame) => /"type":"(\w+)","task".*"verb":"(\w+)"/.exec(frame)?.slice(1)),
    ).toEqual([
      ["started", "mine"],
      ["started", "yours"],
      ["started", "open"],
      ["ended", "open"],
    ]);
    await list(watcher, { follow: false });
    await client.call("open");
    expect(told().length).toBe(4);
  });

  test("for how long it runs, whatever becomes of the clock meanwhile", async () => {
    const { client } = connect(plans);
    const pid = pidOf(await client.call("open"));
    await Bun.sleep(5);
    setSystemTime(new Date(Date.now() + 1e12));
    const [task] = await list(client, { pid });
    setSystemTime();
    expect(task?.wall).toBeGreaterThanOrEqual(4);
    expect(task?.wall).toBeLessThan(60_000);
    await client.call("open", { action: "stop", args: { pid } });
    await client.until("final-event");
    expect((await list(client, { pid, state: "ended" }))[0]).not.toHaveProperty("wall");
  });

  test("in events of its own alone, whoever else follows", async () => {
    const { client, registry } = connect(plans, { granted });
    const watchers = ["a", "b", ""].map((token) => ({ token, own: new TestClient(registry) }));
    for (const { token, own } of watchers) await list(own, { follow: true }, as(token));
    await client.call("mine", undefined, as("a"));
    await client.call("yours", undefined, as("b"));
    await client.call("open");
    for (const { token, own } of watchers) {
      await own.until('"verb":"open"');
      const told = own.wire.flatMap((frame) => /"type":"started".*"verb":"(\w+)"/.exec(frame)?.[1]);
      const seen = { a: ["mine", "open"], b: ["yours", "open"] }[token] ?? ["open"];
      expect([token, told.filter((verb) => verb !== undefined)]).toEqual([token, seen]);
    }
  });

  test("of an exec by the privilege of its sandbox", async () => {
    const template = (sandbox: string, privileges: string[]): Plan =>
      shell("exec", "", { sandbox, privileges, argv: { elements: [], names: new Set() } });
    const sandboxes = [
      { uid: "one", plans: [], exec: template("one", ["a"]) },
      { uid: "two", plans: [], exec: template("two", ["b"]) },
    ];
    const { client } = connect([], { apis: [apiOf([], { sandboxes })], granted });
    const exec = { cmdpath: "/bin/sleep", args: ["60"] };
    await client.call("exec", { sandbox: "one", exec }, as("a"));
    expect(verbs(await list(client, {}, as("a")))).toEqual(["exec"]);
    expect(await list(client, {}, as("b"))).toEqual([]);
  });

  test("of an archive: by what its verb needs now, or where it is gone needed then", async () => {
    const record = { id: "1m8j538rr6v0jkc", state: "ended", verb: "kept" } as TaskRecord;
    let asked: readonly number[] = [];
    const archive: Archive = {
      note() {},
      kinds: () => [
        { key: 1, api: "p", verb: "mine", privileges: [] },
        { key: 2, api: "p", verb: "gone", privileges: ["b"] },
        { key: 3, api: "p", verb: "gone", privileges: ["a", "b"] },
      ],
      tasks: ({ kinds }) => ((asked = kinds), [record]),
      events: () => undefined,
    };
    const { client } = connect(plans, { granted, archive });
    expect(verbs(await list(client, {}, as("a")))).toEqual(["kept"]);
    expect(asked).toEqual([1]);
    await list(client, {}, as("b"));
    expect(asked).toEqual([2]);
    expect(await list(client, {}, as("c"))).toEqual([]);
    expect(await list(client, { state: "running" }, as("a"))).toEqual([]);
  });
});

describe("the list", () => {
  test("tells of those that wait, run and have ended, the last first", async () => {
    const { client } = connect([shell("say", "echo a", use("sync")), sleeper("sleep")]);
    await client.call("say");
    const pid = pidOf(await client.call("sleep"));
    const [running, ended] = await list(client);
    expect(running).toMatchObject({ verb: "sleep", pid, state: "running" });
    expect(ended).toMatchObject({ verb: "say", state: "ended", status: { exit: 0 } });
    expect(verbs(await list(client, { state: "ended" }))).toEqual(["say"]);
    expect(verbs(await list(client, { limit: 1 }))).toEqual(["sleep"]);
    expect(verbs(await list(client, { before: running?.id }))).toEqual(["say"]);
    expect(verbs(await list(client, { caller: "local" }))).toEqual([]);
    // Of a URL all is text, and names are the same in any case.
    expect(verbs(await list(client, { verb: "SLEEP", api: "P", limit: "5" }))).toEqual(["sleep"]);
  });

  test("names a caller by what is known of it, its certificate with or without what kind of name that is", async () => {
    const { client } = connect([shell("say", "echo a", use("sync"))]);
    const certificate = { names: ["CN:tablet", "DNS:tablet.local"], until: Date.now() + 60_000 };
    await client.call("say", undefined, { caller: { certificate, address: "10.0.0.7" } });
    for (const caller of ["CN:tablet", "tablet", "10.0.0.7"])
      expect([caller, verbs(await list(client, { caller }))]).toEqual([caller, ["say"]]);
    for (const caller of ["CN", "let", "DNS:tablet", ""])
      expect([caller, verbs(await list(client, { caller }))]).toEqual([caller, []]);
  });

  test("keeps few of those that have ended, and little of what they were given", async () => {
    const { client } = connect([shell("say", "true %text%", use("sync"))]);
    const text = "x".repeat(50_000);
    for (let i = 0; i < 30; i++) await client.call("say", { text });
    expect((await list(client, { limit: 1000 })).length).toBeLessThanOrEqual(21);
    const { client: other } = connect([shell("say", "true", use("sync"))]);
    for (let i = 0; i < 220; i++) await other.call("say");
    expect((await list(other, { limit: 1000 })).length).toBe(200);
  });

  test("by wrong filters is refused with what is allowed", async () => {
    const { client } = connect([]);
    const why = async (args: unknown) => {
      const { status, info = "" } = (await client.call("tasks", args, { api: "monitor" })).request;
      return `${status}: ${info}`;
    };
    expect(await why({ stat: 1 })).toBe(
      'invalid-request: unknown key "stat"; did you mean `state`? (api, verb, state, caller, pid, id, before, limit, follow)',
    );
    expect(await why({ state: "runing" })).toContain("(all, waiting, running, ended)");
    expect(await why([1])).toContain("expects an object with any of api");
    expect(await why("x")).toContain("expects an object");
    expect(await why({ limit: 0 })).toContain("from 1 to 1000");
    expect(await why({ limit: 1e9 })).toContain("from 1 to 1000");
    expect(await why({ limit: "1.5" })).toContain("from 1 to 1000");
    expect(await why({ id: "x" })).toContain("of 15 letters");
    expect(await why({ before: 1 })).toContain("expected a text");
    expect(await why({ follow: "perhaps" })).toContain("true or false");
    const { session } = client;
    const options: Partial<RegistryOptions> = {};
    const { registry } = connect([], options);
    const rest = await registry.call({
      api: "monitor",
      verb: "tasks",
      args: { follow: true },
      session,
    });
    expect(rest.request.info).toContain("WebSocket");
  });
});

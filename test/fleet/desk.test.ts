/** A server that is an operator of a fleet: what its clients see of the boards, and call on them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashOf } from "../../src/access/token.ts";
import type { Reply } from "../../src/api/reply.ts";
import { type AfbClient, connect } from "../../src/client.ts";
import { type Served, serve, until } from "../served.ts";
import { type Broker, hasBroker, Raw, startBroker } from "./broker.ts";

const LOOKER = "the-token-of-who-may-look";
const CALLER = "the-token-of-who-may-call";
const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const acls = { user: "nobody" };
const commands = [
  { uid: "say", encoder: "line", exec: { cmdpath: "/bin/echo", args: ["said", "%what%"] } },
  { uid: "fail", encoder: "sync", exec: script("exit 3") },
  { uid: "sleep", encoder: "line", exec: script("echo asleep; exec sleep 1000") },
];
const boardConfig = {
  metadata: { uid: "boat", api: "boat", info: "a boat" },
  sandboxes: { uid: "box", prefix: "", acls, commands },
};
const operatorConfig = {
  metadata: { uid: "office", api: "office" },
  sandboxes: { uid: "box", acls, commands: { uid: "x", exec: script("true") } },
};

describe.skipIf(!hasBroker)("an operator's server", () => {
  let broker: Broker;
  let dir: string;
  let office: Served;
  const boats: Served[] = [];
  const at = (name: string): string => join(dir, name);
  const put = (name: string, value: unknown): string => {
    writeFileSync(at(name), JSON.stringify(value));
    return at(name);
  };
  const grant = (calls = true) =>
    put("office-access.json", {
      grants: [
        { token: hashOf(LOOKER), privileges: ["urn:spawnbox:fleet"] },
        {
          ...{ token: hashOf(CALLER), info: "the caller" },
          privileges: ["urn:spawnbox:fleet", ...(calls ? ["urn:spawnbox:fleet:call"] : [])],
        },
      ],
    });

  async function boat(name: string): Promise<Served> {
    const fleet = put(`${name}.json`, { broker: broker.url, board: name, groups: ["dock"] });
    const access = put("boat-access.json", { grants: [{ mqtt: "op1", privileges: [] }] });
    return await serve(boardConfig, { argv: ["--fleet", fleet, "--access", access] });
  }

  beforeAll(async () => {
    dir = mkdtempSync(join(tmpdir(), "spawnbox-desk-"));
    broker = await startBroker({ tls: false });
    boats.push(...(await Promise.all([boat("boat-1"), boat("boat-2")])));
    const fleet = put("office.json", { broker: broker.url, operator: "op1" });
    office = await serve(operatorConfig, {
      argv: ["--fleet", fleet, "--access", grant(), "--audit", at("audit.log")],
    });
    await until("boards are there", async () => {
      const { response } = await rest("boards", {}, CALLER);
      return (response as { online?: number } | undefined)?.online === 2;
    });
  }, 60_000);
  afterAll(async () => {
    await office?.[Symbol.asyncDispose]();
    for (const one of boats) await one[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  async function rest(verb: string, args: unknown, token?: string): Promise<Reply> {
    const response = await fetch(`${office.url}/api/monitor/fleet/${verb}`, {
      method: "POST",
      body: JSON.stringify(args),
      headers: {
        "content-type": "application/json",
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
    });
    return (await response.json()) as Reply;
  }

  type Event = Readonly<Record<string, unknown>>;

  async function client(
    token = CALLER,
  ): Promise<{ readonly client: AfbClient; readonly events: Event[] } & Disposable> {
    const one = await connect(`${office.url.replace("http", "ws")}/api`, {
      token: token,
    });
    const events: Event[] = [];
    one.on("event", (name, data) => {
      if (name === "monitor/fleet") events.push(data as Event);
    });
    return { client: one, events, [Symbol.dispose]: () => one.close() };
  }

  const ended = (events: readonly Event[], call: unknown) =>
    until("the end", () => events.some((one) => one["type"] === "end" && one["call"] === call));

  test("[protection] nobody may look or call but by a privilege", async () => {
    for (const verb of ["boards", "board", "call", "stop"])
      expect((await rest(verb, {})).request).toMatchObject({ status: "insufficient-scope" });
    expect((await rest("boards", {}, LOOKER)).request.status).toBe("success");
    const args = { to: "@all", verb: "boat/say", args: { what: "x" } };
    const { request } = await rest("call", args, LOOKER);
    expect([request.status, request.info]).toEqual([
      "insufficient-scope",
      expect.stringContaining("urn:spawnbox:fleet:call"),
    ]);
  });

  test("lists, searches and describes boards", async () => {
    const { response } = await rest("boards", {}, LOOKER);
    expect(response).toMatchObject({
      ...{ operator: "op1", connected: true, known: 2, online: 2, groups: ["dock"], found: 2 },
      boards: [{ board: "boat-1", status: "online", groups: ["dock"] }, { board: "boat-2" }],
    });
    const [{ silent = -1 } = {}] = (response as { boards: { silent?: number }[] }).boards;
    expect(silent).toBeGreaterThanOrEqual(0);
    expect(silent).toBeLessThan(60);
    const search = await rest("boards", { search: "AT-2", limit: "1" }, LOOKER);
    expect(search.response).toMatchObject({ found: 1, boards: [{ board: "boat-2" }] });
    const page = await rest("boards", { after: "boat-1", group: "dock" }, LOOKER);
    expect(page.response).toMatchObject({ found: 2, boards: [{ board: "boat-2" }] });
    const described = await rest("board", { board: "boat-1" }, LOOKER);
    expect(described.response).toMatchObject({ board: "boat-1", status: "online" });
    const { described: apis } = described.response as { described: Event[] };
    const boatApi = apis.find(({ api }) => api === "boat");
    expect(boatApi).toMatchObject({ info: "a boat" });
    expect(JSON.stringify(boatApi)).toContain('"name":"say"');
    expect((await rest("board", { board: "boat-9" }, LOOKER)).request.status).toBe("no-item");
  });

  test("says what is wrong with arguments", async () => {
    for (const [args, said] of [
      [{}, "to"],
      [{ to: "a/b", verb: "boat/say" }, "expected BOARD or @GROUP"],
      [{ to: "boat-1", verb: "boat" }, "expected API/VERB"],
      [{ to: "boat-1", verb: "boat/+" }, "expected API/VERB"],
      [{ to: "boat-1", verb: "boat/say", stages: "1" }, "only for a @GROUP"],
      [{ to: "@all", verb: "boat/say", stages: "0" }, "stages: 0"],
      [{ to: "@all", verb: "boat/say", timeout: "soon" }, "expected a time such as"],
      [{ to: "@all", verb: "boat/say", "max-failed": "1" }, "only with stages"],
      [{ to: "@all", verb: "boat/say", timeot: "1s" }, "timeout"],
    ] as const) {
      const { request } = await rest("call", args, CALLER);
      expect([request.status, request.info]).toEqual([
        "invalid-request",
        expect.stringContaining(said),
      ]);
    }
    const { request } = await rest("call", { to: "boat-9", verb: "boat/say" }, CALLER);
    expect(request.status).toBe("no-item");
    expect((await rest("boards", { follow: true }, LOOKER)).request.status).toBe("invalid-request");
  });

  test("who cannot take events gets all results at the end", async () => {
    const args = { to: "@dock", verb: "boat/fail", timeout: "30s" };
    const { response } = await rest("call", args, CALLER);
    expect(response).toMatchObject({ summary: { error: 2 }, results: [{}, {}] });
    const staged = await rest("call", { ...args, stages: "1,100%" }, CALLER);
    expect(staged.response).toMatchObject({
      summary: { error: 1 },
      info: "stopped after 1 of 2 boards: 1 failed",
    });
  });

  test("a stream of events has each result as it comes, and ends with all", async () => {
    const query = new URLSearchParams({ to: "@all", verb: "boat/ping" });
    const response = await fetch(`${office.url}/api/monitor/fleet/call/events?${query}`, {
      headers: { authorization: `Bearer ${CALLER}` },
    });
    const text = await response.text();
    expect(text.match(/"type":"result"/g)).toHaveLength(2);
    expect(text.split("event: reply")[1]).toContain('"summary":{"ok":2}');
  });

  test("others get output and results as they come, then the end", async () => {
    using one = await client();
    const args = { to: "@all", verb: "boat/say", args: { what: 9007199254740993n } };
    const { response } = await one.client.call("monitor/fleet/call", args);
    expect(response).toMatchObject({ boards: 2, online: 2 });
    const { call } = response as { call: string };
    await ended(one.events, call);
    const of = (type: string) => one.events.filter((event) => event["type"] === type);
    expect(of("result").map(({ board, result }) => [board, result])).toEqual(
      expect.arrayContaining([
        ["boat-1", "ok"],
        ["boat-2", "ok"],
      ]),
    );
    expect(JSON.stringify(of("output"))).toContain("said 9007199254740993");
    expect(of("end")).toEqual([{ type: "end", call, summary: { ok: 2 } }]);
    await until("the audit", () => readFileSync(at("audit.log"), "utf8").includes(call));
    const lines = readFileSync(at("audit.log"), "utf8").split("\n").filter(Boolean);
    expect(lines.map((line) => JSON.parse(line) as Event)).toContainEqual({
      ...{ time: expect.anything(), event: "relay", id: call, to: "@all", called: "boat/say" },
      caller: expect.objectContaining({ info: "the caller", via: "websocket" }),
    });
  });

  const asleep = (events: readonly Event[]) =>
    until("all sleep", () => events.filter(({ type }) => type === "output").length >= 2);
  const tasks = async (): Promise<number> => {
    const all = await Promise.all(
      boats.map((one) => one.call("monitor/tasks", { state: "running" })),
    );
    return all.flatMap(({ response }) => response as unknown[]).length;
  };

  test("stops what it has begun: by a call, and where its client goes", async () => {
    using one = await client();
    const args = { to: "@all", verb: "boat/sleep" };
    const begun = await one.client.call("monitor/fleet/call", args);
    const { call } = begun.response as { call: string };
    await asleep(one.events);
    const stop = await one.client.call("monitor/fleet/stop", { call });
    expect(stop.request.status).toBe("success");
    await ended(one.events, call);
    expect(one.events.findLast(({ type }) => type === "end")).toMatchObject({
      ...{ summary: { error: 2 }, info: "stopped" },
    });
    await until("nothing runs", async () => (await tasks()) === 0);
    const again = await one.client.call("monitor/fleet/stop", { call });
    expect(again.request.status).toBe("no-item");

    // Nor does the next stage begin.
    const stages = { stages: "1,100%", "max-failed": "100%" };
    const before = one.events.length;
    const staged = await one.client.call("monitor/fleet/call", { ...args, ...stages });
    const { call: id } = staged.response as { call: string };
    await until("it sleeps", () => one.events.slice(before).some(({ type }) => type === "output"));
    await one.client.call("monitor/fleet/stop", { call: id });
    await ended(one.events, id);
    expect(one.events.at(-1)).toMatchObject({ summary: { error: 1 }, info: "stopped" });
    expect(await tasks()).toBe(0);

    const other = await client();
    await other.client.call("monitor/fleet/call", args);
    await asleep(other.events);
    expect(await tasks()).toBe(2);
    other.client.close();
    await until("nothing runs", async () => (await tasks()) === 0);
  });

  test("boards come and go, also where nobody says so", async () => {
    using one = await client(LOOKER);
    await one.client.call("monitor/fleet/boards", { follow: true, search: "boat-3" });
    await using other = await Raw.as(broker, "boat-3");
    await other.publish("sb/v1/boat-3/about", '{"version":"<b>9</b>"}', {}, { retain: true });
    const expiry = { messageExpiryInterval: 7 * 86_400 - 3600 };
    await other.publish("sb/v1/boat-3/status", "online", expiry, { retain: true });
    await until("it is there", () =>
      one.events.some(({ board, status }) => board === "boat-3" && status === "online"),
    );
    const { silent } = one.events.at(-1) ?? {};
    // An hour ago.
    expect(Math.abs(Number(silent) - 3600)).toBeLessThan(60);
    const ls = Bun.spawn(
      [office.program, "fleet", "ls", "--broker", broker.url, "--operator", "op1"],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    expect(await ls.stdout.text()).toMatch(/boat-3 +silent for 60 min +<b>9<\/b>/);
    for (const topic of ["status", "about"])
      await other.publish(`sb/v1/boat-3/${topic}`, "", {}, { retain: true });
    await until("it is gone", () => one.events.at(-1)?.["status"] === undefined);
    expect(one.events.every(({ board }) => board === "boat-3")).toBe(true);
  });

  test("[protection] who may not any more gets nothing more, and what was begun is stopped", async () => {
    using one = await client();
    await one.client.call("monitor/fleet/call", { to: "@all", verb: "boat/sleep" });
    await asleep(one.events);
    grant(false);
    process.kill(office.pid, "SIGHUP");
    await until("the end", () =>
      one.events.some(({ type, info }) => type === "end" && info === "its caller may not any more"),
    );
    await until("nothing runs", async () => (await tasks()) === 0);
    grant();
    process.kill(office.pid, "SIGHUP");
    await until("it may again", async () => {
      const { request } = await rest("call", { to: "boat-1", verb: "boat/ping" }, CALLER);
      return request.status === "success";
    });
  });

  test("a reload makes it an operator, or none", async () => {
    const become = async (names: object, status: string): Promise<void> => {
      put("office.json", { broker: broker.url, ...names });
      process.kill(office.pid, "SIGHUP");
      await until(status, async () => {
        const { request } = await rest("boards", {}, LOOKER);
        return request.status === status;
      });
    };
    using one = await client();
    const begun = await one.client.call("monitor/fleet/call", { to: "@all", verb: "boat/sleep" });
    const { call } = begun.response as { call: string };
    await asleep(one.events);
    await become({ board: "office" }, "unknown-verb");
    await ended(one.events, call);
    expect(one.events.at(-1)).toMatchObject({ info: "the server has ended" });
    await until("nothing runs", async () => (await tasks()) === 0);
    await become({ operator: "op1" }, "success");
  });

  test("goes on where the broker is killed, and says that it is not there", async () => {
    using one = await client();
    await one.client.call("monitor/fleet/boards", { follow: true });
    await broker.crash();
    await until("it is told", () =>
      one.events.some(({ type, connected }) => type === "broker" && connected === false),
    );
    const { request } = await rest("call", { to: "boat-1", verb: "boat/ping" }, CALLER);
    expect([request.status, request.info]).toEqual([
      "not-available",
      expect.stringContaining("the broker of the fleet is not reached"),
    ]);
    expect((await rest("boards", {}, LOOKER)).response).toMatchObject({ connected: false });
    await broker.again();
    await until("it is back", async () => {
      const { response } = await rest(
        "call",
        { to: "@all", verb: "boat/ping", timeout: "5s" },
        CALLER,
      );
      return (response as { summary?: { ok?: number } } | undefined)?.summary?.ok === 2;
    });
  }, 60_000);
});

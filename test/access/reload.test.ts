/** Configs and access change together, by SIGHUP or by the verb. */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashOf, makeToken } from "../../src/access/token.ts";
import { connect } from "../../src/client.ts";
import { isRoot, until, users } from "../served.ts";
import { wire } from "./wire.ts";

const config = (...verbs: readonly [uid: string, says: string][]) => ({
  metadata: { uid: "t", api: "p" },
  sandboxes: {
    uid: "s",
    acls: { user: isRoot ? "nobody" : process.geteuid?.() },
    commands: verbs.map(([uid, says]) => ({
      uid,
      encoder: "sync",
      privilege: "urn:x",
      exec: { cmdpath: "/bin/echo", args: says },
    })),
  },
});

/** `p/clock`, which ticks for ever. */
function clock(more: object = {}) {
  const commands = {
    uid: "clock",
    encoder: "line",
    privilege: "urn:x",
    exec: { cmdpath: "/bin/sh", args: ["-c", "while echo tick; do sleep 0.05; done"] },
    ...more,
  };
  const { metadata, sandboxes } = config();
  return { metadata, sandboxes: { ...sandboxes, commands } };
}

/** Two tokens with the privilege, and their grants. */
function twoTokens() {
  const tokens = [makeToken(), makeToken()] as const;
  const grants = tokens.map((token) => ({ token: hashOf(token), privileges: "urn:x" }));
  return { tokens, grants };
}

describe.each(users)("as %s", (user) => {
  test("who loses the privilege for a task does not follow it any more; others do, and it goes on", async () => {
    const { tokens, grants } = twoTokens();
    const [revoked, kept] = tokens;
    await using server = await wire(clock(), user, grants);
    const url = `${server.url.replace("http", "ws")}/api`;
    const [loser, keeper] = [
      await connect(url, { token: revoked }),
      await connect(url, { token: kept }),
    ];
    const lost: { type?: string; info?: string }[] = [];
    loser.on("event", (_, data) => void lost.push(data as object));
    let ticks = 0;
    keeper.on("event", () => void ticks++);
    const task = loser.start("p/clock");
    const pid = (await task.next()).value.pid as number;
    const following = (async () => {
      for await (const _ of task);
    })();
    const stream = await fetch(`${server.url}/api/p/clock/events?token=${revoked}`);
    await keeper.call("p/clock", { action: "subscribe", args: { pid } });

    server.grant(grants.slice(1));
    process.kill(server.pid, "SIGHUP");
    await expect(following).rejects.toThrow(
      "p/clock: insufficient-scope: the privilege to follow this task was withdrawn",
    );
    // The stream ends by itself.
    const text = await stream.text();
    expect(text).toEndWith("\n\n");
    expect(text.slice(0, -2).split("\n\n").at(-1)).toMatch(
      /^event: unsubscribed\ndata: .*withdrawn/,
    );
    await until("the first is told", () => lost.at(-1)?.type === "unsubscribed");
    const { length } = lost;
    const before = ticks;
    await until("the other follows", () => ticks > before + 5);
    expect(lost).toHaveLength(length);
    expect(
      (await loser.call("p/clock", { action: "subscribe", args: { pid } })).request.status,
    ).toBe("invalid-token");
    await keeper.call("p/clock", { action: "stop" });
    await loser.close();
    await keeper.close();
  });

  test("detach false: who may not stop a task any more does not stop it by going away", async () => {
    const { tokens, grants } = twoTokens();
    const [revoked, kept] = tokens;
    await using server = await wire(clock({ detach: false }), user, grants);
    const url = `${server.url.replace("http", "ws")}/api`;
    const keeper = await connect(url, { token: kept });
    const ticks = new Map<number, number>();
    const ended = new Map<number, unknown>();
    keeper.on("event", (_, data) => {
      const { type, pid, status } = data as { type: string; pid: number; status?: unknown };
      if (type === "final-event") ended.set(pid, status);
      ticks.set(pid, (ticks.get(pid) ?? 0) + 1);
    });
    const loser = await connect(url, { token: revoked });
    const owner = await connect(url, { token: kept });
    const start = async (client: typeof loser): Promise<number> =>
      ((await client.call("p/clock")).response as { pid: number }).pid;
    const [lost, owned] = [await start(loser), await start(owner)];
    const stream = await fetch(`${server.url}/api/p/clock/events?token=${revoked}`);
    await keeper.call("p/clock", { action: "subscribe" });
    await until("all three tick", () => ticks.size === 3);
    const [streamed = 0] = [...ticks.keys()].filter((pid) => pid !== lost && pid !== owned);

    server.grant(grants.slice(1));
    process.kill(server.pid, "SIGHUP");
    // The stream is told, and ends.
    expect(await stream.text()).toContain("event: unsubscribed\n");
    await loser.close();
    await owner.close();
    await until("the task of who may ends with its client", () => ended.has(owned));
    ticks.clear();
    await until("the others go on", () =>
      [lost, streamed].every((pid) => (ticks.get(pid) ?? 0) > 5),
    );
    expect([...ended.keys()]).toEqual([owned]);
    await keeper.call("p/clock", { action: "stop" });
    await keeper.close();
  });

  test("a call that was admitted is answered in full, over every transport", async () => {
    const { tokens, grants } = twoTokens();
    const [revoked] = tokens;
    const exec = {
      cmdpath: "/bin/sh",
      args: ["-c", "until [ -e %file% ]; do sleep 0.05; done; echo done"],
    };
    await using server = await wire(clock({ encoder: "sync", exec }), user, grants);
    const file = join(server.dir, "go");
    const client = await connect(`${server.url.replace("http", "ws")}/api`, { token: revoked });
    const events: unknown[] = [];
    client.on("event", (_, data) => void events.push((data as { type: string }).type));
    const query = `?file=${file}&token=${revoked}`;
    const calls = {
      socket: client.call("p/clock", { file }).then((reply) => JSON.stringify(reply)),
      rest: fetch(`${server.url}/api/p/clock${query}`).then((reply) => reply.text()),
      stream: fetch(`${server.url}/api/p/clock/events${query}`).then((reply) => reply.text()),
    };
    const admin = await connect(`${server.url.replace("http", "ws")}/api`, { token: tokens[1] });
    await until("all three run", async () => {
      const { response } = await admin.call("p/clock", { action: "subscribe" });
      return (response as string[]).length === 3;
    });
    server.grant(grants.slice(1));
    process.kill(server.pid, "SIGHUP");
    await until("it is withdrawn", () => events.includes("unsubscribed"));
    writeFileSync(file, "");
    for (const [how, reply] of Object.entries(calls)) {
      expect([how, await reply]).toEqual([how, expect.stringContaining('"stdout":["done"]')]);
    }
    await client.close();
    await admin.close();
  });

  test("the verb tells what changed, or every problem", async () => {
    const [admin, caller, later] = [makeToken(), makeToken(), makeToken()];
    const may = { token: hashOf(admin), privileges: "urn:spawnbox:reload" };
    await using server = await wire(config(["one", "1"], ["two", "2"]), user, [
      may,
      { token: hashOf(caller), privileges: "urn:x" },
    ]);
    const file = join(server.program, "../config.json");
    const url = `${server.url.replace("http", "ws")}/api`;
    const administrator = await connect(url, { token: admin });
    const reload = (args?: unknown) => administrator.call("monitor/reload", args);
    const code = async (token: string, verb: string) =>
      (
        (await (await fetch(`${server.url}/api/p/${verb}?token=${token}`)).json()) as {
          request: { code: number };
        }
      ).request.code;

    expect((await reload()).response).toEqual({ added: [], changed: [], removed: [] });
    expect((await reload({ force: true })).request.status).toBe("invalid-request");

    writeFileSync(file, JSON.stringify(config(["two", "zwei"], ["three", "3"])));
    server.grant([may, { token: hashOf(later), privileges: "urn:x" }]);
    expect((await reload()).response).toEqual({
      added: ["p/three"],
      changed: ["p/two"],
      removed: ["p/one"],
    });
    expect(await code(caller, "two")).toBe(-7);
    expect(await code(later, "three")).toBe(0);

    // A problem in either, and nothing of both has changed.
    server.grant([may, { user: "no-such-user", privileges: "urn:x" }, { token: "x" }]);
    writeFileSync(file, JSON.stringify(config(["four", "4"])));
    const refused = (await reload()).request;
    expect(refused).toMatchObject({ status: "bad-state", code: -14 });
    expect(refused.info).toMatch(/^nothing changed: 3 problems\n/);
    expect(refused.info).toContain('grants[1].user: this system has no user "no-such-user"');
    expect(refused.info).toContain("grants[2].token: ");
    expect(await code(later, "three")).toBe(0);
    expect(await code(later, "four")).toBe(-4);

    server.grant([may]);
    writeFileSync(file, '{"metadata": {}}');
    expect((await reload()).request.info).toContain("config.json: metadata.api: missing key");
    expect(await code(later, "three")).toBe(0);

    // Who takes its own privilege away, has it no more.
    writeFileSync(file, JSON.stringify(config(["four", "4"])));
    server.grant([]);
    expect((await reload()).request.code).toBe(0);
    expect((await reload()).request.status).toBe("invalid-token");
    expect(await code(later, "four")).toBe(-7);
    await administrator.close();
  });

  test("SIGHUP swaps grants for open connections too, and ends traces that are no longer allowed", async () => {
    const [keeps, loses] = [makeToken(), makeToken()];
    const trace = "urn:AGL:permission:monitor:public:trace";
    const grant = (token: string) => ({ token: hashOf(token), privileges: ["urn:x", trace] });
    await using server = await wire(config(["one", "1"]), user, [grant(keeps), grant(loses)]);
    const url = `${server.url.replace("http", "ws")}/api`;
    const [kept, lost] = await Promise.all([keeps, loses].map((token) => connect(url, { token })));
    if (!kept || !lost) throw new Error("not connected");
    const heard: string[] = [];
    for (const [name, client] of [
      ["kept", kept],
      ["lost", lost],
    ] as const) {
      client.on("event", (event) => event === "monitor/trace" && heard.push(name));
      const add = { api: "p", request: true };
      expect((await client.call("monitor/trace", { add })).request.code).toBe(0);
      expect((await client.call("p/one")).request.code).toBe(0);
    }
    await until("both hear", () => new Set(heard).size === 2);
    server.grant([grant(keeps)]);
    process.kill(server.pid, "SIGHUP");
    await until("the grant is gone", async () => (await lost.call("p/one")).request.code === -7);
    heard.length = 0;
    expect((await kept.call("p/one")).request.code).toBe(0);
    // Events and replies come in order: what there was for either has come.
    await Promise.all([kept.call("p/ping"), lost.call("p/ping")]);
    expect(heard).toContain("kept");
    expect(heard).not.toContain("lost");
    await kept.close();
    await lost.close();
  });
});

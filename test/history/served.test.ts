/** Tasks seen from outside: by several clients, over each transport, and in the file, also of a server that is killed while it writes. */
import { afterEach, describe, expect, test } from "bun:test";
import { Database } from "bun:sqlite";
import {
  chmodSync,
  chownSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TaskRecord } from "../../src/api/record.ts";
import { hashOf } from "../../src/access/token.ts";
import { connect } from "../../src/client.ts";
import { isRoot, serve, type Served, until, type User, users } from "../served.ts";
import { isTried } from "../thinned.ts";
import { ORDINARY } from "../accounts.ts";

const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

/** One of the server's own. */
function directory(user: User): string {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-history-"));
  if (isRoot && user === "ordinary user") chownSync(dir, ORDINARY, ORDINARY);
  ends.push(() => rmSync(dir, { recursive: true, force: true }));
  return dir;
}

const config = (user: User, more: object = {}) => ({
  metadata: { uid: "t", api: "t" },
  sandboxes: {
    uid: "s",
    ...(user === "root" && { acls: { user: "root" } }),
    history: { output: true },
    ...more,
    commands: [
      { uid: "say", encoder: "line", exec: { cmdpath: "/bin/echo", args: "%text%" } },
      {
        uid: "login",
        encoder: "sync",
        params: { password: { type: "string", writeOnly: true } },
        exec: { cmdpath: "/bin/echo", args: "%password%" },
      },
      {
        uid: "count",
        encoder: "line",
        exec: { cmdpath: "/bin/sh", args: ["-c", "seq 3; sleep 60"] },
      },
      {
        uid: "guarded",
        privilege: "urn:x",
        encoder: "line",
        exec: { cmdpath: "/bin/sleep", args: "60" },
      },
    ],
  },
});

async function tasks(served: Served, filter: object = {}): Promise<TaskRecord[]> {
  const { request, response } = await served.call("monitor/tasks", filter);
  if (request.status !== "success") throw new Error(request.info);
  return response as TaskRecord[];
}

/** How often a server is killed while it writes. */
const ROUNDS = process.env["CI"] === undefined ? 3 : 10;

for (const user of users) {
  describe(`served by ${user}`, () => {
    // It is written the same way whoever the user is.
    if (isTried(0, user, users))
      test("killed again and again while it writes: the file is whole, and nothing older than a second is lost", async () => {
        const file = join(directory(user), "history");
        let safe = new Set<string>();
        for (let round = 0; round < ROUNDS; round++) {
          const served = await serve(config(user), { user, argv: ["--history", file] });
          const known = new Set(
            (await tasks(served, { limit: 1000 }))
              .filter(({ state }) => state === "ended")
              .map(({ id }) => id),
          );
          expect([...safe].filter((id) => !known.has(id))).toEqual([]);
          const ended = new Map<string, number>();
          /** The first that has ended is old enough by then. */
          const isEnough = () =>
            [...ended.values()].slice(0, 1).some((at) => Date.now() > at + 1_100 + round * 60);
          for (let i = 0; !isEnough(); i++) {
            await served.call("t/say", { action: "start", args: { text: `${i}` }, wait: true });
            for (const { id } of await tasks(served, { state: "ended", limit: 5 }))
              if (!ended.has(id)) ended.set(id, Date.now());
            await Bun.sleep(5);
          }
          const killed = Date.now();
          await served.crash();
          await served[Symbol.asyncDispose]();
          safe = new Set([...ended].filter(([, at]) => at < killed - 1_000).map(([id]) => id));
          const db = new Database(file);
          expect(db.query("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
          db.close();
        }
        expect(safe.size).toBeGreaterThan(0);
      }, 120_000);

    test("a secret is in no list, and not in the file", async () => {
      const dir = directory(user);
      const password = "hunter2-hunter2";
      {
        const argv = ["--history", join(dir, "history")];
        await using served = await serve(config(user), { user, argv });
        const reply = await served.call("t/login", { password });
        expect(JSON.stringify(reply)).toContain(password);
        await served.call("t/login", { password, passwort: password });
        const list = JSON.stringify(await tasks(served));
        expect(list).toContain('"password":"***"');
        expect(list).not.toContain("hunter2");
      }
      expect(readdirSync(dir)).toContain("history");
      for (const name of readdirSync(dir))
        expect(readFileSync(join(dir, name), "latin1")).not.toContain("hunter2");
    });

    test("each client sees what it may follow: over TCP, REST and a unix socket", async () => {
      const dir = directory(user);
      chmodSync(dir, 0o755);
      const access = join(dir, "access.json");
      const socket = join(dir, "socket");
      const grants = [{ info: "the panel", token: hashOf("PANEL"), privileges: "urn:x" }];
      writeFileSync(access, JSON.stringify({ grants }), { mode: 0o600 });
      if (isRoot && user === "ordinary user") chownSync(access, ORDINARY, ORDINARY);
      await using served = await serve(config(user), {
        user,
        argv: ["--access", access, "--unix", socket, "--unix-mode", "0666"],
      });
      const panel = await connect(`${served.url.replace("http", "ws")}/api`, { token: "PANEL" });
      const local = await connect(`ws+unix://${socket}:/api`);
      try {
        expect((await panel.call("t/guarded", {})).request.status).toBe("success");
        const seen = async (client: Pick<Served, "call">) =>
          ((await client.call("monitor/tasks", { state: "running" })).response as TaskRecord[]).map(
            ({ verb, caller }): object => ({ verb, ...caller }),
          );
        const one: object = {
          verb: "guarded",
          info: "the panel",
          address: "127.0.0.1",
          via: "websocket",
        };
        expect(await seen(panel)).toEqual([one]);
        expect(await seen(served)).toEqual([]);
        // Root may everything, as the server's user.
        expect(await seen(local)).toEqual([one]);
        const rest = async (headers: Record<string, string> = {}) =>
          (await fetch(`${served.url}/api/monitor/tasks?state=running`, { headers })).json();
        expect(await rest()).toMatchObject({ response: [] });
        expect(await rest({ authorization: "Bearer PANEL" })).toMatchObject({
          response: [{ verb: "guarded" }],
        });
        expect(JSON.stringify(await rest({ authorization: "Bearer PANEL" }))).not.toContain(
          "PANEL",
        );
      } finally {
        await panel.close();
        await local.close();
      }
    });

    test("a stream of events that breaks goes on where it was, and starts nothing again", async () => {
      await using served = await serve(config(user), { user });
      const url = `${served.url}/api/t/count/events`;
      const first = new AbortController();
      const read = async (headers: Record<string, string>, signal: AbortSignal, enough: string) => {
        const response = await fetch(url, { headers, signal });
        let text = "";
        const decoder = new TextDecoder();
        for await (const chunk of response.body ?? []) {
          text += decoder.decode(chunk, { stream: true });
          if (text.includes(enough)) break;
        }
        return text;
      };
      const begun = await read({}, first.signal, '"stdout":"3"');
      first.abort();
      const ids = [...begun.matchAll(/^id: (\w+:\d+)$/gm)].map(([, id = ""]) => id);
      expect(ids.map((id) => id.split(":")[1])).toEqual(["0", "1", "2", "3"]);
      const second = new AbortController();
      const again = await read({ "last-event-id": ids[1] ?? "" }, second.signal, '"stdout":"3"');
      second.abort();
      expect([...again.matchAll(/"stdout":"(\d)"/g)].map(([, line]) => line)).toEqual(["2", "3"]);
      expect((await tasks(served)).length).toBe(1);
      const id = ids[0]?.split(":")[0] ?? "";
      await served.call("t/count", { action: "stop", args: { id } });
      await until("its end", async () => (await tasks(served, { id }))[0]?.state === "ended");
      const rest = await fetch(url, { headers: { "last-event-id": `${id}:3` } });
      expect(await rest.text()).toContain("event: final-event");
      const over = await fetch(url, { headers: { "last-event-id": `${id}:4` } });
      expect(over.status).toBe(204);
      const unknown = await fetch(url, { headers: { "last-event-id": "000000000000000:1" } });
      expect(unknown.status).toBe(204);
    });

    test("ps, watch and stop", async () => {
      await using served = await serve(config(user), { user });
      const { program, url } = served;
      const spawnbox = async (...args: string[]) => {
        const made = Bun.spawn([program, ...args, "--url", url], {
          stdout: "pipe",
          stderr: "pipe",
        });
        const [out, err, code] = await Promise.all([
          made.stdout.text(),
          made.stderr.text(),
          made.exited,
        ]);
        return { out, err, code };
      };
      await served.call("t/count");
      const [task] = await tasks(served);
      const id = task?.id ?? "";
      const list = await spawnbox("ps");
      expect(list.out).toMatch(
        new RegExp(`^ID .*\\n${id}  t/count  ${task?.pid}  running  .*\\n$`),
      );
      expect(JSON.parse((await spawnbox("ps", "--json")).out)).toMatchObject({ id, verb: "count" });
      const watch = spawnbox("watch", id, "--from", "2");
      await until("three lines", async () => (await tasks(served))[0]?.printed.events === 3);
      expect(await spawnbox("stop", `${task?.pid}`)).toEqual({ out: "", err: "", code: 0 });
      const watched = await watch;
      expect(watched.code).toBe(1);
      expect([...watched.out.matchAll(/"seq":(\d)/g)].map(([, number]) => number)).toEqual([
        "2",
        "3",
        "4",
      ]);
      expect((await spawnbox("ps")).out).not.toContain(id);
      expect((await spawnbox("ps", "--all")).out).toMatch(new RegExp(`${id} .* ended .*stopped`));
      expect(await spawnbox("stop", id)).toMatchObject({
        code: 1,
        err: expect.stringContaining("has ended already"),
      });
      expect(await spawnbox("watch", "000000000000000")).toMatchObject({
        code: 1,
        err: expect.stringContaining("spawnbox ps --all shows"),
      });
      expect((await spawnbox("watch", "x")).code).toBe(2);
      expect((await spawnbox("stop", id, "--signal", "SIGTREM")).code).toBe(2);
      expect((await spawnbox("ps", "--limit", "0")).code).toBe(2);
    });
  });
}

/** What a monitor sees of a server: metrics of both formats, whether it lives and is ready, and who may look. */
import { describe, expect, test } from "bun:test";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { hashOf, makeToken } from "../../src/access/token.ts";
import { connect } from "../../src/client.ts";
import { commands, Place } from "../audit/audited.ts";
import { serve } from "../server/harness.ts";
import { until, users } from "../served.ts";
import { parse, valueOf } from "./strict.ts";

const OPEN = { accept: "application/openmetrics-text;version=1.0.0" };

describe("of a server", () => {
  for (const user of users)
    test(`${user}: what happened is counted, by what its config has`, async () => {
      const pooled = { uid: "pooled", encoder: "sync", pool: 1, exec: { cmdpath: "/bin/true" } };
      const slow = { uid: "slow", timeout: 0.05, exec: { cmdpath: "/bin/sleep", args: ["9"] } };
      const fails = { uid: "fails", encoder: "sync", exec: { cmdpath: "/bin/false" } };
      using place = new Place(user, commands(pooled, slow, fails));
      await using server = await place.serve([
        "--audit",
        place.log,
        "--history",
        place.path("h.db"),
      ]);
      const read = async () => parse(await server.get("/metrics"), "prometheus");
      const value = async (name: string, labels?: Record<string, string>) =>
        valueOf(await read(), name, labels);
      const of = { api: "a", sandbox: "box" };
      expect(await value("spawnbox_launches_total", { ...of, mode: "cold" })).toBe(0);

      await until("one is ready", async () => (await value("spawnbox_pool_ready")) === 1);
      await server.call("pooled");
      await server.call("echo?text=12345");
      await server.call("fails");
      await server.call("guarded");
      await server.call("slow");
      const client = await connect(`${server.url.replace("http", "ws")}/api`);
      const { response } = await client.call("a/sleep");
      const { pid } = response as { pid: number };
      await until("one runs", async () => (await value("spawnbox_tasks_running")) === 1);
      expect(await value("spawnbox_websockets")).toBe(1);
      await client.call("a/sleep", { action: "stop", args: { pid } });
      await until("none runs", async () => (await value("spawnbox_tasks_running")) === 0);
      await client.close();

      const text = await server.get("/metrics", { headers: OPEN });
      const families = parse(text, "openmetrics");
      expect([...families.keys()].toSorted()).toEqual(
        [...(await read()).keys()].map(plain).toSorted(),
      );
      const now = (name: string, labels?: Record<string, string>) =>
        valueOf(families, name, labels);
      expect(now("spawnbox_launches_total", { ...of, mode: "warm" })).toBe(1);
      expect(now("spawnbox_launches_total", { ...of, mode: "cold" })).toBe(4);
      expect(now("spawnbox_pool_hits_total", of)).toBe(1);
      expect(now("spawnbox_launch_seconds_count", { mode: "warm" })).toBe(1);
      expect(now("spawnbox_launch_seconds_sum", { mode: "cold" })).toBeGreaterThan(0);
      const causes = { success: 2, failure: 1, timeout: 1, stopped: 1, signal: 0, oom: 0 };
      for (const [cause, count] of Object.entries(causes))
        expect(now("spawnbox_tasks_ended_total", { cause }), cause).toBe(count);
      expect(now("spawnbox_calls_refused_total", { status: "insufficient-scope" })).toBe(1);
      expect(now("spawnbox_output_bytes_total")).toBe(6);
      expect(now("spawnbox_audit_lost_lines_total")).toBe(0);
      expect(now("spawnbox_audit_writable")).toBe(1);
      expect(now("spawnbox_history_lost_tasks_total")).toBe(0);
      expect(now("process_resident_memory_bytes")).toBeGreaterThan(1e7);
      expect(now("process_open_fds")).toBeGreaterThan(5);
      expect(Math.abs(now("process_start_time_seconds") - Date.now() / 1000)).toBeLessThan(600);
      expect(now("spawnbox_build_info", { version: "0.1.0" })).toBe(1);
    }, 60_000);

  test("[protection] what callers send makes no series", async () => {
    using place = new Place(users[0]);
    await using server = await place.serve([]);
    const series = async () => (await server.get("/metrics")).split("\n").length;
    await server.call("guarded");
    await server.call("nothing");
    await server.call("secret");
    const before = await series();
    for (let i = 0; i < 100; i++) {
      await server.call(`v${i}?x=${i}`);
      await server.call(`secret?a${i}=1`, { headers: { "x-afb-token": `t${i}` } });
      await fetch(`${server.url}/api/other${i}/v`);
    }
    expect(await series()).toBe(before);
  }, 60_000);

  test("a reload counts, whether it succeeds or not; sandboxes that are gone are gone", async () => {
    using place = new Place(users[0]);
    await using server = await place.serve([]);
    const config = join(place.dir, "config.json");
    const reload = async (text: string) => {
      writeFileSync(config, text);
      server.child.kill("SIGHUP");
    };
    await server.call("echo?text=1");
    await reload("{");
    const value = async (name: string, labels?: Record<string, string>) =>
      valueOf(parse(await server.get("/metrics"), "prometheus"), name, labels);
    const count = (result: string) => value("spawnbox_reloads_total", { result });
    await until("it failed", async () => (await count("failure")) === 1);
    expect(await value("spawnbox_reload_successful")).toBe(0);
    // The configs of before are served.
    expect(await server.get("/readyz")).toBe("ready\n");
    const { sandboxes, ...rest } = commands();
    await reload(JSON.stringify({ ...rest, sandboxes: { ...sandboxes, uid: "other" } }));
    await until("it succeeded", async () => (await count("success")) === 1);
    expect(await value("spawnbox_reload_successful")).toBe(1);
    const text = await server.get("/metrics");
    expect(text).toContain('sandbox="other"');
    expect(text).not.toContain('sandbox="box"');
  });
});

/** Of a family of the older format. */
const plain = (name: string): string => name.replace(/_(total|info)$/, "");

describe("who may look", () => {
  const token = makeToken();
  const granting = (place: Place, privileges: readonly string[]) => {
    const file = join(place.dir, "access.json");
    writeFileSync(file, JSON.stringify({ grants: [{ token: hashOf(token), privileges }] }));
    return file;
  };
  const status = async (url: string, headers: Record<string, string> = {}) =>
    (await fetch(`${url}/metrics`, { headers })).status;
  const bearer = { authorization: `Bearer ${token}` };

  test("everybody, where nobody has said who may call what", async () => {
    using place = new Place(users[0]);
    await using server = await place.serve([]);
    expect(await status(server.url)).toBe(200);
  });

  test("[protection] with an access file: who has the privilege", async () => {
    using place = new Place(users[0]);
    const access = granting(place, ["urn:spawnbox:metrics"]);
    await using server = await place.serve(["--access", access]);
    const refused = await fetch(`${server.url}/metrics`);
    expect(refused.status).toBe(403);
    expect(await refused.text()).toContain("urn:spawnbox:metrics");
    expect(await status(server.url, { authorization: "Bearer wrong" })).toBe(401);
    expect(await status(server.url, bearer)).toBe(200);
    // As a verb, too.
    const client = await connect(`${server.url.replace("http", "ws")}/api`);
    await expect(client.call("monitor/metrics")).resolves.toMatchObject({
      request: { status: "insufficient-scope" },
    });
    await client.close();
    expect(server.stdout()).not.toContain("no verb needs");
    // Neither tells anything.
    for (const path of ["/healthz", "/readyz"])
      expect((await fetch(server.url + path)).status).toBe(200);
  });

  test("another privilege, or none", async () => {
    using place = new Place(users[0]);
    const access = granting(place, ["urn:mine"]);
    for (const [privilege, without] of [
      ["urn:mine", 403],
      ["", 200],
    ] as const) {
      const options = ["--access", access, `--metrics-privilege=${privilege}`];
      await using server = await place.serve(options);
      expect(await status(server.url)).toBe(without);
      expect(await status(server.url, bearer)).toBe(200);
    }
    for (const said of [
      ["--metrics-privilege", "urn:mine"],
      ["--access", "none"],
    ]) {
      await using server = await place.serve(said);
      expect(await status(server.url)).toBe(403);
      expect(server.stdout()).not.toContain("no verb needs");
    }
    await using server = await place.serve(["--access", "open"]);
    expect(await status(server.url)).toBe(200);
  });
});

describe("paths", () => {
  test("below the base; only to look; and no page or method is taken for another", async () => {
    using place = new Place(users[0]);
    writeFileSync(place.path("metrics"), "mine");
    await using server = await place.serve(["--base", "/box", "--roothttp", place.data]);
    for (const path of ["/metrics", "/healthz", "/readyz"]) {
      const found = await fetch(server.url + path);
      expect(found.status, path).toBe(200);
      expect(found.headers.get("cache-control")).toBe("no-store");
      expect(found.headers.get("set-cookie")).toBeNull();
      const length = (await found.text()).length;
      const head = await fetch(server.url + path, { method: "HEAD" });
      expect([head.status, await head.text()]).toEqual([200, ""]);
      if (path !== "/metrics") expect(head.headers.get("content-length")).toBe(`${length}`);
      for (const method of ["POST", "PUT", "DELETE"])
        expect((await fetch(server.url + path, { method })).status, method).toBe(405);
      expect((await fetch(`${new URL(server.url).origin}${path}`)).status).toBe(404);
      const foreign = await fetch(server.url + path, { headers: { origin: "http://evil.test" } });
      expect(foreign.status).toBe(403);
    }
  });

  test("a server that is not ready lives all the same, and says why it is not", async () => {
    let why: string | undefined = "the server is starting";
    await using server = await serve({ unready: () => why });
    const get = async (path: string) => {
      const response = await fetch(server.url + path);
      return [response.status, await response.text()];
    };
    expect(await get("/healthz")).toEqual([200, "ok\n"]);
    expect(await get("/readyz")).toEqual([503, "the server is starting\n"]);
    why = undefined;
    expect(await get("/readyz")).toEqual([200, "ready\n"]);
    why = "the server is ending";
    expect(await get("/readyz")).toEqual([503, "the server is ending\n"]);
    // Without the verb there is nothing to tell.
    expect((await get("/metrics"))[0]).toBe(404);
  });
});

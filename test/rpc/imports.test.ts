/** `imports` of configs: both our ends against each other over every transport, called by clients, actions and extra verbs. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ORDINARY } from "../accounts.ts";
import { isRoot, PATIENCE, serve, type Served, until, users } from "../served.ts";
import { isTried } from "../thinned.ts";
import { certificatesIn } from "./certificates.ts";

/** For sockets of any user, and for files that root obeys. */
const dir = mkdtempSync(join(tmpdir(), "spawnbox-imports-"));
chmodSync(dir, 0o777);
const safe = mkdtempSync(join(tmpdir(), "spawnbox-imports-"));
chmodSync(safe, 0o755);
afterAll(() => [dir, safe].forEach((one) => rmSync(one, { recursive: true })));
const { trust, server: shown, client: mine } = certificatesIn(safe);
let places = 0;
/** Below those that the kernel gives to who asks for none. */
const port = () => 12_000 + (process.pid % 7_000) + ++places;

const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
const acls = (user: string) => ({
  user: isRoot && user === "root" ? "nobody" : isRoot ? ORDINARY : process.geteuid?.(),
});

const LONG = process.env["CI"] !== undefined;
/** Events, more than any buffer on their way has room for: 2 MB of lines at least. */
const FLOOD = LONG ? 20_000 : 4_000;
const LINE = "x".repeat(500);

const exporting = (api: string, user: string) => ({
  metadata: { uid: api, api, version: "1" },
  sandboxes: [
    {
      uid: "s",
      acls: acls(user),
      commands: [
        { uid: "hi", encoder: "sync", exec: { cmdpath: "/bin/echo", args: ["hi", "%name%"] } },
        { uid: "count", encoder: "line", exec: script("for i in 1 2 3; do echo $$i; done") },
        { uid: "stay", encoder: "line", exec: script("echo here; exec sleep 1000") },
        { uid: "flood", encoder: "line", exec: script(`seq 1 ${FLOOD} | sed s/^/${LINE}/`) },
        { uid: "shut", encoder: "sync", privilege: "urn:x", exec: script("echo open") },
      ],
    },
  ],
});

const importing = (imports: readonly object[], user: string, more: object = {}) => ({
  metadata: { uid: "near", api: "near", version: "1" },
  imports,
  sandboxes: [
    {
      uid: "s",
      acls: acls(user),
      commands: [{ uid: "note", encoder: "sync", exec: script("echo noted") }],
    },
  ],
  ...more,
});

/** Writes another config in the place of a server's. */
async function reload(server: Served, config: object) {
  const [, file = ""] =
    /--config\0([^\0]+)/.exec(readFileSync(`/proc/${server.pid}/cmdline`, "utf8")) ?? [];
  writeFileSync(file, JSON.stringify(config));
  return server.call("monitor/reload");
}

const stdoutOf = ({ response }: { response?: unknown }) =>
  (response as { stdout?: string[] } | undefined)?.stdout;
const open = ["--access", "open"];

const tls = (kind: string, signed: { cert: string; key: string }) =>
  kind === "tls+" ? "" : `&cert=${signed.cert}&key=${signed.key}`;

/** Where the one serves, and what the other dials. */
const PLACES: readonly (readonly [
  protocol: string,
  where: string,
  place: () => readonly [served: string, dialled: string],
])[] = [
  [
    "rpc",
    "a path",
    () => {
      const at = `unix:${join(dir, `${++places}`)}`;
      return [at, at] as const;
    },
  ],
  [
    "rpc",
    "an abstract name",
    () => {
      const at = `unix:@spawnbox-imports-${process.pid}-${++places}`;
      return [at, at] as const;
    },
  ],
  [
    "rpc",
    "TCP",
    () => {
      const at = `tcp:127.0.0.1:${port()}`;
      return [at, at] as const;
    },
  ],
  [
    "rpc",
    "TLS",
    () => {
      const at = port();
      return [
        `tls+tcp:127.0.0.1:${at}?cert=${shown.cert}&key=${shown.key}`,
        `tls+tcp:127.0.0.1:${at}?trust=${trust}`,
      ] as const;
    },
  ],
  [
    "rpc",
    "TLS of both",
    () => {
      const at = port();
      return [
        `mtls+tcp:127.0.0.1:${at}?trust=${trust}${tls("mtls+", shown)}`,
        `mtls+tcp:127.0.0.1:${at}?ca=${trust}${tls("mtls+", mine)}&host=board`,
      ] as const;
    },
  ],
  [
    "ws",
    "a path",
    () => {
      const at = `unix:${join(dir, `${++places}`)}`;
      return [at, at] as const;
    },
  ],
  [
    "ws",
    "TCP",
    () => {
      const at = `tcp:127.0.0.1:${port()}`;
      return [at, at] as const;
    },
  ],
];

describe.each(users)("as %s", (user) => {
  const options = (argv: readonly string[] = []) => ({ user, argv: [...open, ...argv] });

  // It is the way that differs, not whose user the servers have.
  test.each(PLACES.filter((_, row) => isTried(row, user, users)))(
    "by %s over %s: calls, errors, events, extra verbs, the end and the return",
    async (protocol, _, place) => {
      const [served, dialled] = place();
      const uri = `${served}${served.includes("?") ? "&" : "?"}as-api=far`;
      const far = () => serve(exporting("far", user), options([`--${protocol}-server`, uri]));
      const exporter = await far();
      const imports = [{ uri: dialled, protocol, as: "other", api: "far" }];
      const extra = [{ uid: "greet", action: "api://other#hi", args: { name: "you" } }];
      await using importer = await serve(importing(imports, user, { extra }), options());
      expect(stdoutOf(await importer.call("other/hi", { name: "é" }))).toEqual(["hi é"]);
      expect(stdoutOf(await importer.call("near/greet"))).toEqual(["hi you"]);
      const over = await fetch(`${importer.url}/api/other/hi?name=me`);
      expect(stdoutOf((await over.json()) as object)).toEqual(["hi me"]);
      expect((await importer.call("other/none")).request.status).toBe("unknown-verb");
      expect((await importer.call("other/hi", { nam: "x" })).request.status).toBe(
        "invalid-request",
      );
      const seen: { stdout?: string; type?: string }[] = [];
      importer.client.on(
        "event",
        (name, data) => void (name === "far/flood" && seen.push(data as object)),
      );
      await importer.call("other/flood");
      await until("the last event", () => seen.some(({ type }) => type === "final-event"));
      expect(seen.flatMap(({ stdout }) => stdout ?? [])).toEqual(
        Array.from({ length: FLOOD }, (__, i) => `${LINE}${i + 1}`),
      );
      const info = (await importer.call("near/info")).response;
      expect(info).toMatchObject({ imports: [{ api: "other", state: "connected" }] });

      const waiting = importer.call("other/stay", { action: "start" });
      expect((await waiting).request.status).toBe("success");
      const ended: unknown[] = [];
      importer.client.on("event", (name, data) => void (name === "far/stay" && ended.push(data)));
      await exporter.crash();
      await until("who followed is told", () =>
        ended.some((one) => (one as { type?: string }).type === "disconnected"),
      );
      expect((await importer.call("other/ping")).request.status).toBe("not-available");
      await exporter[Symbol.asyncDispose]();
      await using _again = await far();
      await until("it is dialled by itself", async () => {
        const { response } = await importer.call("near/info");
        return (response as { imports: { state: string }[] }).imports[0]?.state === "connected";
      });
      expect((await importer.call("other/ping")).request.status).toBe("success");
    },
    60_000 * PATIENCE,
  );

  test(
    "what is imported comes and goes with a reload, and only what may be called is called",
    async () => {
      const path = join(dir, `${++places}`);
      await using _far = await serve(
        exporting("far", user),
        options(["--rpc-server", `unix:${path}?as-api=far`]),
      );
      await using near = await serve(importing([], user), options());
      const status = async (verb: string) => (await near.call(verb, { name: "x" })).request.status;
      expect(await status("far/hi")).toBe("unknown-api");
      const some = [{ uri: `unix:${path}`, as: "far", verbs: ["hi", "ping"] }];
      expect(await reload(near, importing(some, user))).toMatchObject({
        response: { added: ["far/*"] },
      });
      expect([await status("far/hi"), await status("far/shut")]).toEqual([
        "success",
        "unknown-verb",
      ]);
      const openapi = (await (await fetch(`${near.url}/openapi.json`)).json()) as {
        paths: object;
      };
      expect(Object.keys(openapi.paths)).toContain("/api/far/hi");
      const hidden = [{ uri: `unix:${path}`, as: "far", private: true }];
      const extra = [{ uid: "hi", action: "api://far#hi" }];
      await reload(near, importing(hidden, user, { extra }));
      expect([await status("far/hi"), await status("near/hi")]).toEqual(["unknown-api", "success"]);
      const apis = (await near.call("monitor/get", { apis: true })).response as { apis: object };
      expect(Object.keys(apis.apis)).not.toContain("far");
      await reload(near, importing([], user));
      expect(await status("far/hi")).toBe("unknown-api");
    },
    60_000 * PATIENCE,
  );
});

const only = users[0];

test("a privilege of an import is asked of its callers, and its events end with it", async () => {
  const path = join(dir, `${++places}`);
  const access = join(safe, "access.json");
  const grant = (privileges: string[]) =>
    writeFileSync(access, JSON.stringify({ grants: [{ anyone: true, privileges }] }), {
      mode: 0o644,
    });
  grant(["urn:far", "urn:spawnbox:reload"]);
  await using _far = await serve(exporting("far", only), {
    argv: ["--rpc-server", `unix:${path}?as-api=far`],
  });
  const imports = [{ uri: `unix:${path}`, as: "far", privilege: "urn:far" }];
  const extra = [{ uid: "through", action: "api://far#hi", args: { name: "x" } }];
  await using near = await serve(importing(imports, only, { extra }), {
    argv: ["--access", access],
  });
  expect(stdoutOf(await near.call("near/through"))).toEqual(["hi x"]);
  const seen: unknown[] = [];
  near.client.on(
    "event",
    (name, data) => void (name === "far/stay" && seen.push((data as { type: string }).type)),
  );
  await near.call("far/stay");
  await until("it follows", () => seen.includes("data"));
  const followed = near.client.start("far/stay");
  await followed.next();
  const stream = await fetch(`${near.url}/api/far/stay/events`);
  const argv = [near.program, "call", "--url", near.url, "far/stay"];
  const calling = Bun.spawn(argv, { stdin: "ignore", stderr: "inherit" });
  const printed = calling.stdout.getReader();
  await printed.read();
  grant(["urn:spawnbox:reload"]);
  await near.call("monitor/reload");
  await until("it is told", () => seen.includes("unsubscribed"));
  expect(await stream.text()).toMatch(/event: unsubscribed\n.*\n\n$/);
  const end = (async () => {
    for await (const _ of followed);
  })();
  await expect(end).rejects.toThrow("insufficient-scope");
  expect(await calling.exited).toBe(1);
  for (const verb of ["far/hi", "near/through"])
    expect((await near.call(verb, { name: "x" })).request.status).toBe("insufficient-scope");
});

test("an action subscribes the server at the start, and again after the end of the other, to events that start actions", async () => {
  const path = join(dir, `${++places}`);
  const far = () =>
    serve(exporting("far", only), { argv: ["--rpc-server", `unix:${path}?as-api=far`] });
  const exporter = await far();
  const config = importing([{ uri: `unix:${path}`, as: "there", api: "far" }], only, {
    onload: [{ uid: "begin", action: "api://there#count" }],
    events: [{ uid: "there/count", action: "api://near#note" }],
  });
  await using near = await serve(config, { argv: open });
  const noted = async () => {
    const { response } = await near.call("near/info");
    const { actions } = response as { actions: { uid: string; calls: number }[] };
    return actions.find(({ uid }) => uid === "there/count")?.calls ?? 0;
  };
  // Three lines, and the end.
  await until("all are noted", async () => (await noted()) === 4);
  await exporter.crash();
  await exporter[Symbol.asyncDispose]();
  await using _again = await far();
  await until("they are again", async () => (await noted()) === 8);
});

test("on whose behalf WSAPI is called is told: a client of nobody has nothing there, an action has what the server has", async () => {
  const path = join(dir, `${++places}`);
  await using _far = await serve(exporting("far", only), {
    argv: ["--access", "none", "--ws-server", `unix:${path}?as-api=far`],
  });
  const config = importing([{ uri: `unix:${path}`, as: "far", protocol: "ws" }], only, {
    onload: [{ uid: "begin", action: "api://far#shut", required: true }],
    extra: [{ uid: "through", action: "api://far#shut" }],
  });
  await using near = await serve(config);
  for (const verb of ["far/shut", "near/through"])
    expect((await near.call(verb)).request.status).toBe("insufficient-scope");
});

test(
  "a required import that is not there ends the start, with its reason; an optional one does not",
  async () => {
    const uri = `unix:${join(dir, "nobody")}`;
    const required = importing([{ uri, as: "far" }], only);
    await using near = await serve(importing([{ uri, as: "far", optional: true }], only), {
      argv: open,
    });
    expect((await near.call("far/ping")).request.status).toBe("not-available");
    expect((await near.call("near/note")).request.status).toBe("success");
    const other = importing([{ uri: `${uri}2`, as: "far" }], only);
    const [started, reloaded] = await Promise.all([
      serve(required).catch((error: unknown) => error),
      reload(near, other),
    ]);
    expect((started as Error).message).toMatch(
      /the import far is required, and not there: .*ENOENT/,
    );
    expect(reloaded.request.status).toBe("bad-state");
    expect(reloaded.request.info).toContain("the import far is required, and not there");
    expect((await near.call("near/note")).request.status).toBe("success");
  },
  60_000 * PATIENCE,
);

/** Of each of 200 clients: more at once than an importer has open. */
const CALLS = LONG ? 50 : 20;

test(
  `200 clients call ${CALLS} times each through an importer, and nothing is lost`,
  async () => {
    const path = join(dir, `${++places}`);
    await using _far = await serve(exporting("far", only), {
      argv: [...open, "--rpc-server", `unix:${path}?as-api=far`],
    });
    await using near = await serve(importing([{ uri: `unix:${path}`, as: "far" }], only), {
      argv: open,
    });
    const { connect } = await import("../../src/client.ts");
    const clients = await Promise.all(
      Array.from({ length: 200 }, () => connect(`${near.url.replace("http", "ws")}/api`)),
    );
    const replies = await Promise.all(
      clients.flatMap((client, c) =>
        Array.from({ length: CALLS }, (_, i) =>
          client.call(i % 10 === 0 && c % 10 === 0 ? "far/hi" : "far/ping", { name: `${c} ${i}` }),
        ),
      ),
    );
    await Promise.all(clients.map((client) => client.close()));
    expect(replies).toHaveLength(200 * CALLS);
    expect(replies.filter(({ request }) => request.status !== "success")).toEqual([]);
    const pongs = replies.flatMap(({ response }) =>
      typeof response === "string" ? [response] : [],
    );
    const said = replies.flatMap((one) => stdoutOf(one) ?? []);
    expect(new Set(said).size).toBe(2 * CALLS);
    expect(new Set(pongs).size).toBe(198 * CALLS);
  },
  120_000 * PATIENCE,
);

test(
  "of an exporter, or an importer, that is killed in the middle of calls: each call has an answer, and others go on",
  async () => {
    const path = join(dir, `${++places}`);
    const argv = [...open, "--rpc-server", `unix:${path}?as-api=far`];
    const far = await serve(exporting("far", only), { argv });
    const near = await serve(importing([{ uri: `unix:${path}`, as: "far" }], only), { argv: open });
    const calls = Array.from({ length: 300 }, (_, i) => near.call("far/hi", { name: `${i}` }));
    await Promise.race(calls);
    await far.crash();
    const statuses = (await Promise.all(calls)).map(({ request }) => request.status);
    expect(statuses).toContain("success");
    expect(statuses).toContain("disconnected");
    for (const status of new Set(statuses))
      expect(["success", "disconnected", "not-available"]).toContain(status);
    await far[Symbol.asyncDispose]();

    await using again = await serve(exporting("far", only), { argv });
    const more = Array.from({ length: 100 }, (_, i) => near.call("far/hi", { name: `${i}` }));
    await Promise.race(more);
    await near.crash();
    await Promise.allSettled(more);
    await near[Symbol.asyncDispose]();
    expect(stdoutOf(await again.call("far/hi", { name: "x" }))).toEqual(["hi x"]);
    await using other = await serve(importing([{ uri: `unix:${path}`, as: "far" }], only), {
      argv: open,
    });
    expect(stdoutOf(await other.call("far/hi", { name: "y" }))).toEqual(["hi y"]);
  },
  60_000 * PATIENCE,
);

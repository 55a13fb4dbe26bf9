/** Privileges as clients meet them, on every transport. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { hashOf, makeToken } from "../../src/access/token.ts";
import { connect } from "../../src/client.ts";
import { ORDINARY } from "../accounts.ts";
import { isRoot, users } from "../served.ts";
import { STRANGER, wire } from "./wire.ts";

const echo = (uid: string, more: object = {}) => ({
  uid,
  encoder: "sync",
  exec: { cmdpath: "/bin/echo", args: [uid] },
  ...more,
});

const config = {
  metadata: { uid: "t", api: "p" },
  sandboxes: [
    {
      uid: "s",
      prefix: "",
      acls: { user: isRoot ? "root" : process.geteuid?.() },
      commands: [
        echo("free"),
        echo("shut", { privilege: "urn:x" }),
        echo("other", { privilege: "urn:y" }),
        { uid: "sleep", privilege: "urn:x", exec: { cmdpath: "/bin/sleep", args: ["60"] } },
        {
          uid: "attack",
          encoder: "sync",
          exec: {
            cmdpath: "/bin/sh",
            args: ["-c", 'exec "$0" call --raw --url "unix:$1" p/shut', "%program%", "%socket%"],
          },
        },
      ],
    },
    {
      uid: "any",
      privilege: "urn:any",
      exec: true,
      acls: { user: isRoot ? "root" : process.geteuid?.() },
      commands: echo("more", { privilege: "urn:x" }),
    },
  ],
  extra: [
    { uid: "via", action: "api://p#shut" },
    { uid: "also", action: "api://p#free", privilege: "urn:y" },
  ],
  onload: { uid: "first", action: "api://p#shut", required: true },
};

const info = (verb: string, privilege: string) => `${verb} needs the privilege ${privilege}`;
const refused = (verb: string, privilege: string) => ({
  status: "insufficient-scope",
  info: info(verb, privilege),
  code: -9,
});
const unknown = (verb: string, privilege: string) => ({
  status: "invalid-token",
  info: `${info(verb, privilege)}; this token is not known`,
  code: -7,
});

describe.each(users)("as %s", (user) => {
  test("without an access file: refused to all but root and the server's user on the unix socket", async () => {
    await using server = await wire(config, user);
    const own = user === "root" || !isRoot ? undefined : { uid: ORDINARY };
    expect((await server.callAs(own, "p/shut")).response).toMatchObject({ stdout: ["shut"] });
    expect((await server.call("p/shut")).request as object).toEqual(refused("p/shut", "urn:x"));
    expect((await server.call("p/free")).request.code).toBe(0);
    expect((await server.call("p/via")).request as object).toEqual(refused("p/via", "urn:x"));
    expect((await server.call("p/also")).request as object).toEqual(refused("p/also", "urn:y"));
    expect((await server.call("p/any/more")).request.info).toBe(
      "p/any/more needs the privileges urn:any, urn:x",
    );
    const exec = { sandbox: "any", exec: { cmdpath: "/bin/true" } };
    expect((await server.call("p/exec", exec)).request as object).toEqual(
      refused("p/exec", "urn:any"),
    );
    for (const verb of ["set", "trace", "subscribe"]) {
      expect((await server.call(`monitor/${verb}`, {})).request as object).toEqual(
        refused(`monitor/${verb}`, `urn:AGL:permission:monitor:public:${verb}`),
      );
    }
    expect((await server.call("monitor/reload")).request as object).toEqual(
      refused("monitor/reload", "urn:spawnbox:reload"),
    );
    expect((await server.call("monitor/doctor")).request as object).toEqual(
      refused("monitor/doctor", "urn:spawnbox:doctor"),
    );
    expect((await server.call("monitor/get", { apis: true })).request.code).toBe(0);
    // Case does not matter for names, and so not for what they need.
    expect((await server.call("P/SHUT")).request.code).toBe(-9);

    for (const [path, init, expected, challenge] of [
      ["shut", {}, refused("p/shut", "urn:x"), 'Bearer error="insufficient_scope"'],
      ["shut/events", {}, refused("p/shut", "urn:x"), 'Bearer error="insufficient_scope"'],
      ["shut", { method: "POST" }, refused("p/shut", "urn:x"), 'Bearer error="insufficient_scope"'],
      ["shut?action=stop", {}, refused("p/shut", "urn:x"), 'Bearer error="insufficient_scope"'],
      ["shut?token=x", {}, unknown("p/shut", "urn:x"), 'Bearer error="invalid_token"'],
      ["shut/events?token=x", {}, unknown("p/shut", "urn:x"), 'Bearer error="invalid_token"'],
    ] as const) {
      const response = await fetch(`${server.url}/api/p/${path}`, init);
      expect(await response.json()).toEqual({ jtype: "afb-reply", request: expected });
      expect(response.status).toBe(expected.code === -7 ? 401 : 403);
      expect(response.headers.get("www-authenticate")).toBe(challenge);
    }
    // Clients of a binder without permission service send any token.
    expect((await fetch(`${server.url}/api/p/free?token=x`)).status).toBe(200);
  });

  test("a token: in every place for one, and only for what it is granted", async () => {
    const token = makeToken();
    const other = makeToken();
    await using server = await wire(config, user, [
      { token: hashOf(token), privileges: "urn:x" },
      { token: hashOf(other), privileges: ["urn:y"] },
      { anyone: true, privileges: "urn:z" },
    ]);
    const get = async (path: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${server.url}/api/p/${path}`, { headers });
      const text = await response.text();
      return { status: response.status, text };
    };
    for (const [path, headers] of [
      ["shut", { authorization: `Bearer ${token}` }],
      ["shut", { authorization: `bearer  ${token}` }],
      ["shut", { "x-afb-token": token }],
      [`shut?token=${token}`, {}],
      [`shut?x-afb-token=${token}`, {}],
      [`shut?access_token=${token}`, {}],
      [`shut/events?access_token=${token}`, {}],
      [`via?token=${token}`, {}],
    ] as const) {
      expect(await get(path, headers)).toMatchObject({
        status: 200,
        text: expect.stringContaining('"stdout":["shut"]'),
      });
    }
    for (const name of ["token", "access_token", "x-afb-token"]) {
      const body = new URLSearchParams({ [name]: token });
      const response = await fetch(`${server.url}/api/p/shut`, { method: "POST", body });
      expect(await response.text()).toContain('"stdout":["shut"]');
    }
    expect((await get("other", { authorization: `Bearer ${token}` })).status).toBe(403);
    expect((await get("shut", { authorization: `Bearer ${token}x` })).status).toBe(401);
    // The hash in the file is no token.
    expect((await get(`shut?token=${hashOf(token)}`)).status).toBe(401);
    expect((await get("shut", { authorization: `Basic ${token}` })).status).toBe(403);

    // In a call, and from then on.
    const url = `${server.url.replace("http", "ws")}/api`;
    const socket = new WebSocket(url, "x-afb-ws-json1");
    await new Promise((resolve) => (socket.onopen = resolve));
    let tell: (frame: unknown[]) => void = () => {};
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(String(data)) as unknown[];
      if (frame[0] !== 5) tell(frame);
    };
    const call = (method: string, args: unknown, ...more: string[]) => {
      const reply = new Promise<unknown[]>((resolve) => (tell = resolve));
      socket.send(JSON.stringify([2, "1", method, args, ...more]));
      return reply.then(([, , body]) => (body as { request: object }).request);
    };
    expect(await call("p/shut", null)).toEqual(refused("p/shut", "urn:x"));
    expect(await call("p/shut", null, token)).toEqual({ status: "success", code: 0 });
    expect(await call("p/shut", null)).toEqual({ status: "success", code: 0 });
    expect(await call("p/other", null)).toEqual(refused("p/other", "urn:y"));
    expect(await call("p/shut", { action: "stop" })).toEqual({ status: "success", code: 0 });
    expect(await call("p/shut", { action: "stop" }, "wrong")).toEqual(unknown("p/shut", "urn:x"));
    expect(await call("p/shut", { action: "subscribe" })).toEqual(unknown("p/shut", "urn:x"));
    expect(await call("p/shut", null, "")).toEqual(refused("p/shut", "urn:x"));
    socket.close();

    // With the handshake.
    for (const to of [url, `ws+unix://${server.socket}:/api`]) {
      const client = await connect(to, { token: other });
      expect((await client.call("p/other")).request.code).toBe(0);
      await client.close();
    }
    const parameter = await connect(`${url}?x-afb-token=${token}`);
    expect((await parameter.call("p/shut")).request.code).toBe(0);
    await parameter.close();
  });

  test("a session is entered by its uuid, the token in it is not", async () => {
    const token = makeToken();
    await using server = await wire(config, user, [{ token: hashOf(token), privileges: "*" }]);
    const url = `${server.url.replace("http", "ws")}/api`;
    const victim = await connect(`${url}?x-afb-uuid=me`, { token });
    expect((await victim.call("p/shut")).request.code).toBe(0);
    const set = await fetch(`${server.url}/api/p/shut?uuid=me&token=${token}`);
    const cookie = set.headers.get("set-cookie")?.split(";")[0] ?? "";
    expect(cookie).toEndWith("=me");
    const attacker = await connect(`${url}?x-afb-uuid=me`);
    expect((await attacker.call("monitor/session")).response).toMatchObject({ uuid: "me" });
    expect((await attacker.call("p/shut")).request as object).toEqual(refused("p/shut", "urn:x"));
    for (const [path, headers] of [
      ["?uuid=me", {}],
      ["", { "x-afb-uuid": "me" }],
      ["", { cookie }],
    ] as const) {
      const response = await fetch(`${server.url}/api/p/shut${path}`, { headers });
      expect(response.status).toBe(403);
    }
    // The other way round: a session that the attacker has prepared gets nothing from the one who uses it later.
    expect((await victim.call("p/shut")).request.code).toBe(0);
    expect((await attacker.call("p/shut")).request.code).toBe(-9);
    await victim.close();
    await attacker.close();
  });

  test("a command of the server is nobody on its sockets", async () => {
    const token = makeToken();
    await using server = await wire(config, user, [{ token: hashOf(token), privileges: "urn:x" }]);
    const { program, socket } = server;
    const ran = await server.run("p/attack", { program, socket });
    expect(ran.stdout?.[0]).toContain(info("p/shut", "urn:x"));
    expect(ran.status.exit).toBe(1);
  });

  test("info, OpenAPI and monitor tell what a verb needs", async () => {
    await using server = await wire(config, user, []);
    const told = JSON.stringify((await server.call("p/info")).response);
    expect(told).toContain('"names":[');
    expect(told).toMatch(/"uid":"shut"[^{}]*"usage":\{[^{}]*\}[^{}]*"privileges":\["urn:x"\]/);
    expect(told).toMatch(/"uid":"more"[^{}]*\{[^{}]*\}[^{}]*"privileges":\["urn:any","urn:x"\]/);
    expect(told).toContain('"exec":true,"privileges":["urn:any"]');
    expect(told).toMatch(/"uid":"via"[^}]*\},"action":"api:\/\/p#shut","privileges":\["urn:x"\]/);
    expect(told).toMatch(/"uid":"also"[^}]*\},"action":"api:\/\/p#free","privileges":\["urn:y"\]/);
    expect(told).toContain("is granted to nobody but root");
    const document = (await (await fetch(`${server.url}/openapi.json`)).json()) as {
      paths: Record<string, { get: object }>;
    };
    const needs = { "x-permissions": ["urn:x"], security: [{ token: ["urn:x"] }] };
    for (const path of ["shut", "via", "shut/events"]) {
      expect(document.paths[`/api/p/${path}`]?.get).toMatchObject(needs);
    }
    expect(document.paths["/api/p/free"]?.get).not.toHaveProperty("x-permissions");
    const { response } = await server.call("monitor/get", { apis: ["p", "monitor"] });
    expect(response).toMatchObject({
      apis: {
        p: { paths: { "/shut": { get: { "x-permissions": { permission: "urn:x" } } } } },
        monitor: {
          paths: { "/reload": { get: { "x-permissions": { permission: "urn:spawnbox:reload" } } } },
        },
      },
    });
  });
});

test.skipIf(!isRoot)(
  "users and groups of the unix socket, and what is under no_new_privs",
  async () => {
    await using server = await wire(config, "root", [
      { user: STRANGER.uid, privileges: "urn:x" },
      { group: "7001", privileges: "urn:x" },
    ]);
    const code = async (who: Parameters<typeof server.callAs>[0], verb = "p/shut") =>
      (await server.callAs(who, verb)).request.code;
    expect(await code(STRANGER)).toBe(0);
    expect(await code(STRANGER, "p/other")).toBe(-9);
    expect(await code({ uid: 4322 })).toBe(-9);
    expect(await code({ uid: 4322, gid: 7001 })).toBe(0);
    expect(await code({ uid: 4322, groups: [5, 7001, 9] })).toBe(0);
    expect(await code({ uid: 4322, groups: Array.from({ length: 200 }, (_, i) => 6900 + i) })).toBe(
      0,
    );
    expect(await code({ uid: 0 }, "p/other")).toBe(0);
    expect(await code({ uid: 0, confined: true }, "p/other")).toBe(-9);
    // What is granted to it in so many words, it has.
    expect(await code({ ...STRANGER, confined: true })).toBe(0);
  },
);

test("call takes its token from the environment or a file, not only from the command line", async () => {
  const token = makeToken();
  await using server = await wire(config, users[0] ?? "root", [
    { token: hashOf(token), privileges: "urn:x" },
  ]);
  const file = join(server.dir, "panel.token");
  await Bun.write(file, `${token}\n{"token":"…"}\n`);
  const call = async (env: Record<string, string>, ...options: string[]) => {
    const command = [server.program, "call", "--url", server.url, "--raw", ...options, "p/shut"];
    const caller = Bun.spawn(command, {
      env: { PATH: "/usr/bin:/bin", ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const [out, err] = await Promise.all([caller.stdout.text(), caller.stderr.text()]);
    return { code: await caller.exited, out, err };
  };
  expect((await call({ SPAWNBOX_TOKEN: token })).code).toBe(0);
  expect((await call({}, "--token-file", file)).code).toBe(0);
  expect((await call({ SPAWNBOX_TOKEN: "wrong" }, "--token-file", file)).code).toBe(0);
  expect((await call({ SPAWNBOX_TOKEN: "wrong" }, "--token", token)).code).toBe(0);
  expect((await call({ SPAWNBOX_TOKEN: "" })).out).toContain("insufficient-scope");
  expect((await call({ SPAWNBOX_TOKEN: "wrong" })).out).toContain("invalid-token");
  expect(await call({}, "--token-file", `${file}x`)).toMatchObject({
    code: 2,
    err: expect.stringContaining("ENOENT"),
  });
  expect((await call({}, "--token-file", file, "--token", token)).code).toBe(2);
  const odd = await call({ SPAWNBOX_TOKEN: `a\nsecret` });
  expect(odd.code).toBe(2);
  expect(odd.err).not.toContain("secret");
});

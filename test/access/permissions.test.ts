/** The executable with a permission service: callers of every kind, and a service that is not there, hangs, or changes its mind. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashOf, makeToken } from "../../src/access/token.ts";
import { connect } from "../../src/client.ts";
import { Importer } from "../rpc/ws-importer.ts";
import { StrictPeer } from "../rpc/peer.ts";
import { pick, seeded } from "../config/random.ts";
import { ORDINARY } from "../accounts.ts";
import { isRoot, serve, until, users } from "../served.ts";
import { type Asked, Cynagora } from "./cynagora.ts";
import { STRANGER, type Wire, wire } from "./wire.ts";

const echo = (uid: string, more: object = {}) => ({
  uid,
  encoder: "sync",
  exec: { cmdpath: "/bin/echo", args: [uid] },
  ...more,
});

const account = isRoot ? "nobody" : process.geteuid?.();
const config = {
  metadata: { uid: "t", api: "p" },
  sandboxes: [
    {
      uid: "s",
      prefix: "",
      acls: { user: account },
      commands: [
        echo("free"),
        echo("shut", { privilege: "urn:x" }),
        echo("other", { privilege: "urn:y" }),
        {
          uid: "clock",
          encoder: "line",
          privilege: "urn:x",
          exec: { cmdpath: "/bin/sh", args: ["-c", "while echo tick; do sleep 0.05; done"] },
        },
      ],
    },
    {
      uid: "any",
      privilege: "urn:any",
      exec: true,
      acls: { user: account },
      commands: echo("more", { privilege: "urn:x" }),
    },
  ],
};

const dir = mkdtempSync(join(tmpdir(), "spawnbox-permissions-"));
chmodSync(dir, 0o755);
afterAll(() => rmSync(dir, { recursive: true }));
let places = 0;

/** At a path, where the server's user may connect. */
async function listening(service: Cynagora, path: string): Promise<void> {
  rmSync(path, { force: true });
  await service.listen(path);
  chmodSync(path, 0o777);
}

interface Platform extends Wire {
  readonly service: Cynagora;
  readonly path: string;
}

async function platform(
  user: (typeof users)[number],
  grants: unknown = [],
  service = new Cynagora(),
  argv: readonly string[] = [],
): Promise<Platform> {
  const path = join(dir, `service-${++places}`);
  await listening(service, path);
  const served = await wire(config, user, grants, ["--cynagora", `unix:${path}`, ...argv]);
  return {
    ...served,
    service,
    path,
    async [Symbol.asyncDispose]() {
      await served[Symbol.asyncDispose]();
      await service.close();
    },
  };
}

const asked = ({ service }: Platform): string[] =>
  service.asked.map(({ client, user, permission }) => `${client} ${user} ${permission}`);

const refused = (verb: string, privilege: string, why: string) => ({
  status: "insufficient-scope",
  info: `${verb} needs the privilege ${privilege}; the permission service ${why}`,
  code: -9,
});
/** What connects or listens in `work`, at once, is that user's to the kernel. */
function seenAs<T>(uid: number, work: () => T): T {
  process.seteuid?.(uid);
  try {
    return work();
  } finally {
    process.seteuid?.(0);
  }
}

const NO = "does not grant it";
const GONE = "cannot be asked now";

describe.each(users)("as %s", (user) => {
  const own = user === "root" || !isRoot ? undefined : { uid: ORDINARY };
  let server: Platform;
  let answers: Record<string, string> = {};
  beforeAll(async () => {
    const sockets = mkdtempSync(join(dir, "sockets-"));
    chmodSync(sockets, 0o777);
    const token = { token: hashOf("panel"), privileges: "urn:y" };
    const service = new Cynagora(
      ({ client, session, user: uid, permission }) =>
        answers[`${session} ${permission}`] ?? answers[`${client} ${uid} ${permission}`] ?? "no",
    );
    server = await platform(user, [token], service, [
      ...["--rpc-server", `unix:${join(sockets, "rpc")}?as-api=p`],
      ...["--ws-server", `unix:${join(sockets, "ws")}?as-api=p`],
    ]);
    Object.assign(paths, { rpc: join(sockets, "rpc"), ws: join(sockets, "ws") });
  });
  const paths = { rpc: "", ws: "" };
  afterAll(() => server[Symbol.asyncDispose]());
  const service = <T>(each: (one: Asked) => T): T[] => server.service.asked.map(each);
  const fresh = (table: Record<string, string>): void => {
    answers = table;
    server.service.clear();
    server.service.asked.length = 0;
  };

  test("what the access file grants, and what nobody needs, is not asked about", async () => {
    fresh({});
    expect((await server.callAs(own, "p/shut")).request.code).toBe(0);
    expect((await server.call("p/free")).request.code).toBe(0);
    const granted = await fetch(`${server.url}/api/p/other?token=panel`);
    expect(granted.status).toBe(200);
    expect(server.service.asked).toEqual([]);
  });

  test.skipIf(!isRoot)(
    "other users over the unix socket are asked about by their uid",
    async () => {
      fresh({ "NoLabel 4321 urn:x": "yes" });
      expect((await server.callAs(STRANGER, "p/shut")).response).toMatchObject({
        stdout: ["shut"],
      });
      expect((await server.callAs({ uid: 4322 }, "p/shut")).request as object).toEqual(
        refused("p/shut", "urn:x", NO),
      );
      expect(asked(server)).toEqual(["NoLabel 4321 urn:x", "NoLabel 4322 urn:x"]);
    },
  );

  test("callers over TCP are nobody: REST and WebSocket, by session or token", async () => {
    fresh({ "mine urn:x": "yes", "SECRET urn:x": "yes" });
    const get = async (query: string, headers: Record<string, string> = {}) => {
      const response = await fetch(`${server.url}/api/p/shut${query}`, { headers });
      return [response.status, (await response.json()) as { request: object }] as const;
    };
    const [status, body] = await get("?uuid=other");
    expect([status, body.request]).toEqual([403, refused("p/shut", "urn:x", NO)]);
    expect((await get("?uuid=mine"))[0]).toBe(200);
    expect((await get("", { Authorization: "Bearer SECRET" }))[0]).toBe(200);
    // A token is asked about instead of the session.
    expect((await get("?uuid=mine&token=x"))[0]).toBe(403);
    expect(service(({ client, session, user: uid }) => [client, session, uid])).toEqual([
      ["NoLabel", "other", "99"],
      ["NoLabel", "mine", "99"],
      ["NoLabel", "SECRET", "99"],
      ["NoLabel", "x", "99"],
    ]);
    const client = await connect(`${server.url.replace("http", "ws")}/api`, { token: "SECRET" });
    expect((await client.call("p/shut")).request.code).toBe(0);
    expect((await client.call("p/other")).request as object).toEqual(
      refused("p/other", "urn:y", NO),
    );
    // The yes to the token was known.
    expect(server.service.asked.length).toBe(5);
    await client.close();
  });

  test("all privileges of a verb are needed, and asked about one after the other", async () => {
    fresh({ "all urn:any": "yes", "all urn:x": "yes", "some urn:any": "yes" });
    const code = async (verb: string, session: string, query = "") => {
      const response = await fetch(`${server.url}/api/p/${verb}?uuid=${session}${query}`);
      const { request } = (await response.json()) as { request: { code: number; info?: string } };
      return [request.code, /privileges? (\S+);/.exec(request.info ?? "")?.[1]];
    };
    expect(await code("any/more", "none")).toEqual([-9, "urn:any"]);
    expect(await code("any/more", "some")).toEqual([-9, "urn:x"]);
    expect(await code("any/more", "all")).toEqual([0, undefined]);
    const exec = `&query=${encodeURIComponent('{"sandbox":"any","exec":{"cmdpath":"/bin/true"}}')}`;
    expect(await code("exec", "none", exec)).toEqual([-9, "urn:any"]);
    expect(await code("exec", "some", exec)).toEqual([0, undefined]);
    expect(server.service.asked.filter(({ session }) => session === "none").length).toBe(1);
  });

  test("the API monitor too", async () => {
    const url = `${server.url.replace("http", "ws")}/api`;
    const client = await connect(url, { token: "operator" });
    fresh({ "operator urn:AGL:permission:monitor:public:trace": "yes" });
    const trace = { add: { api: "p", request: true } };
    expect((await client.call("monitor/trace", trace)).request.code).toBe(0);
    expect((await client.call("monitor/set", { verbosity: {} })).request.code).toBe(-9);
    expect((await client.call("monitor/reload")).request.code).toBe(-9);
    const heard: unknown[] = [];
    client.on("event", (event) => void heard.push(event));
    await client.call("p/free");
    expect(heard).toContain("monitor/trace");
    fresh({});
    // Asked again for the trace; what is asked for the call here is asked once more.
    await until("it is asked again", () => asked(server).length > 0);
    await until("it hears no more", async () => {
      heard.length = 0;
      await client.call("p/free");
      await client.call("p/ping");
      return !heard.includes("monitor/trace");
    });
    await client.close();
  });

  test.skipIf(!isRoot)(
    "importers: by the process that has connected, its sessions and tokens",
    async () => {
      fresh({ "TOK1 urn:x": "yes", "NoLabel 4321 urn:y": "yes" });
      const peer = await seenAs(4321, () => StrictPeer.dial({ path: paths.rpc }));
      await peer.send(
        { type: "create", kind: "session", id: 3, name: "SESS1" },
        { type: "create", kind: "token", id: 1, name: "TOK1" },
      );
      const call = (verb: string, token: number) =>
        peer.call(verb, null, { api: "p", session: 3, token });
      expect(await call("shut", 1)).toMatchObject({ status: 0, value: { stdout: ["shut"] } });
      expect(await call("shut", 0)).toMatchObject({ status: -9 });
      expect(await call("other", 0)).toMatchObject({ status: 0 });
      expect(service(({ session, user: uid }) => [session, uid])).toEqual([
        ["TOK1", "4321"],
        ["SESS1", "4321"],
        ["SESS1", "4321"],
      ]);
      // A start that is asked about, and what is behind it: in order, and with its events before the reply.
      answers["SESS1 urn:x"] = "yes";
      server.service.clear();
      const [started, stopped] = [
        call("clock", 0),
        peer.call("clock", { action: "stop" }, { api: "p", session: 3 }),
      ];
      expect(await started).toMatchObject({ status: 0 });
      expect((await stopped).value).toHaveLength(1);
      await peer.event(({ data }) => (data as { type: string }).type === "final-event");
      expect(peer.fault).toBeUndefined();
      peer.close();
    },
  );

  test.skipIf(!isRoot)(
    "who is named on behalf of, once the importer may name somebody",
    async () => {
      const named = "urn:redpesk:permission:*:partner:on-behalf-credentials";
      fresh({ [`NoLabel 4321 ${named}`]: "yes", "App 1000 urn:x": "yes", "App 1000 urn:y": "yes" });
      const creds = "3e8:3e8:0-App";
      const calls = async (uid: number, ...verbs: string[]) => {
        const importer = await seenAs(uid, () => Importer.dial(paths.ws));
        const found = [];
        for (const verb of verbs) found.push(await importer.answer(verb, creds));
        importer.close();
        return found;
      };
      expect(await calls(4321, "shut", "any/more")).toEqual(["success", "insufficient-scope"]);
      expect(asked(server)).toEqual([
        `NoLabel 4321 ${named}`,
        "App 1000 urn:x",
        "App 1000 urn:any",
      ]);
      server.service.asked.length = 0;
      expect(await calls(4322, "shut")).toEqual(["insufficient-scope"]);
      expect(asked(server)).toEqual([
        `NoLabel 4322 ${named}`,
        `NoLabel 4322 ${named.replace("redpesk", "AGL")}`,
      ]);
      server.service.asked.length = 0;
      // Root may name others without being asked about.
      expect(await calls(0, "other")).toEqual(["success"]);
      expect(asked(server)).toEqual(["App 1000 urn:y"]);
    },
  );

  test("monitor/session says who the service is asked about", async () => {
    const reply = await server.callAs(undefined, "monitor/session");
    expect(reply.response).toMatchObject({ uid: process.getuid?.(), label: "NoLabel" });
    expect((await server.call("monitor/session")).response).not.toHaveProperty("label");
  });
});

// Each with a server of its own: they mostly wait.
describe.concurrent("a service", () => {
  const [user] = users;

  test("that goes away: refused by name, known or not; what the access file grants goes on", async () => {
    const token = makeToken();
    const service = new Cynagora(() => "yes");
    await using server = await platform(
      user,
      [{ token: hashOf(token), privileges: "urn:x" }],
      service,
    );
    const shut = async (query = "?uuid=a") =>
      ((await (await fetch(`${server.url}/api/p/shut${query}`)).json()) as { request: object })
        .request;
    expect(await shut()).toMatchObject({ code: 0 });
    await service.close();
    await until("it is seen", async () => ((await shut()) as { code: number }).code === -9);
    expect(await shut()).toEqual(refused("p/shut", "urn:x", GONE));
    expect(await shut("?uuid=b")).toEqual(refused("p/shut", "urn:x", GONE));
    expect(await shut(`?token=${token}`)).toMatchObject({ code: 0 });
    await listening(service, server.path);
    expect(await shut()).toMatchObject({ code: 0 });
  });

  test("that hangs holds up nobody who need not ask, and then refuses", async () => {
    const token = makeToken();
    const service = new Cynagora(() => undefined);
    await using server = await platform(
      user,
      [{ token: hashOf(token), privileges: "urn:x" }],
      service,
    );
    const url = `${server.url.replace("http", "ws")}/api`;
    const client = await connect(url);
    const hangs = client.call("p/shut");
    await until("it is asked", () => service.asked.length > 0);
    let over = false;
    void hangs.then(() => (over = true));
    // Of the same connection, and of others.
    expect((await client.call("p/free")).request.code).toBe(0);
    const granted = await connect(url, { token });
    expect((await granted.call("p/shut")).request.code).toBe(0);
    expect(over).toBe(false);
    expect((await hangs).request as object).toEqual(
      refused("p/shut", "urn:x", "does not answer in time"),
    );
    await granted.close();
    await client.close();
  }, 60_000);

  test("that says nonsense grants nothing", async () => {
    const service = new Cynagora(() => undefined);
    await using server = await platform(user, [], service);
    for (const text of ["yes\n", "error invalid\n", "\0".repeat(3000), "done 1 1\nyes\\ 1\n"]) {
      service.decide = () => void service.say(text);
      const response = await fetch(`${server.url}/api/p/shut`);
      expect(response.status).toBe(403);
    }
    service.decide = () => "yes";
    expect((await fetch(`${server.url}/api/p/shut`)).status).toBe(200);
  });

  test("that changes its mind: who follows is told, and others go on; nothing is launched that is not granted", async () => {
    const allowed = new Set(["loser", "keeper"]);
    const service = new Cynagora(({ session }) => (allowed.has(session) ? "yes" : "no"));
    await using server = await platform(user, [], service);
    const url = `${server.url.replace("http", "ws")}/api`;
    const [loser, keeper] = [
      await connect(url, { token: "loser" }),
      await connect(url, { token: "keeper" }),
    ];
    let ticks = 0;
    keeper.on("event", () => void ticks++);
    const lost: { type?: string }[] = [];
    loser.on("event", (_, data) => void lost.push(data as object));
    const pid = ((await loser.call("p/clock")).response as { pid: number }).pid;
    const stream = await fetch(`${server.url}/api/p/clock/events?token=loser`);
    await keeper.call("p/clock", { action: "subscribe", args: { pid } });
    await until("both follow", () => ticks > 2 && lost.length > 2);
    allowed.delete("loser");
    service.clear();
    await until("it is told", () => lost.at(-1)?.type === "unsubscribed");
    expect(await stream.text()).toContain("event: unsubscribed\n");
    const before = [lost.length, ticks] as const;
    await until("the other follows", () => ticks > before[1] + 5);
    expect(lost.length).toBe(before[0]);
    expect((await loser.call("p/clock")).request.code).toBe(-9);
    // A storm changes nothing for who may.
    for (let i = 0; i < 50; i++) service.say("clear 9\n".repeat(200));
    const [, more] = [service.clear(), ticks];
    await until("it follows on", () => ticks > more + 5);
    // All of it, gone for longer than it is waited for, is nothing that is granted.
    await service.close();
    const ended: unknown[] = [];
    keeper.on("event", (_, data) => void ended.push((data as { type: string }).type));
    await until("it is told, too", () => ended.includes("unsubscribed"));
    await loser.close();
    await keeper.close();
  }, 60_000);

  test("that restarts: who follows goes on following", async () => {
    const service = new Cynagora(() => "yes");
    await using server = await platform(user, [], service);
    const client = await connect(`${server.url.replace("http", "ws")}/api`);
    const types = new Set<string>();
    let ticks = 0;
    client.on("event", (_, data) => {
      types.add((data as { type: string }).type);
      ticks++;
    });
    await client.call("p/clock");
    await service.close();
    await Bun.sleep(700);
    await listening(service, server.path);
    const before = service.asked.length;
    await until("it is asked again", () => service.asked.length > before);
    const now = ticks;
    await until("it follows", () => ticks > now + 5);
    expect([...types]).toEqual(["data"]);
    await client.close();
  });

  test("whose yes has an end: who follows is asked about again then", async () => {
    const service = new Cynagora(() => (service.asked.length > 2 ? "no" : "yes 1s"));
    await using server = await platform(user, [], service);
    const client = await connect(`${server.url.replace("http", "ws")}/api`);
    const types: string[] = [];
    client.on("event", (_, data) => void types.push((data as { type: string }).type));
    await client.call("p/clock");
    await until("it is over", () => types.includes("unsubscribed"));
    expect(service.asked.length).toBe(3);
    await client.close();
  });
});

/** ms in which that takes all processors. */
const BAD = process.env["CI"] === undefined ? 1500 : 4000;
/** Calls that succeed all the same, however slow the machine is. */
const ENOUGH = 10;

test("a service that is bad in every way, in turn: who may not never does, and the server goes on", async () => {
  const [user] = users;
  const next = seeded(7);
  const once = (times: number): boolean => next() * times < 1;
  let answers = 0;
  const service = new Cynagora(async ({ session }) => {
    if (once(3)) await Bun.sleep(next() * 20);
    // However few questions there are on a busy machine.
    if (++answers === 8 || once(50)) service.hangUp();
    if (once(20)) service.say("clear 1\n".repeat(Math.floor(next() * 50)));
    if (once(100)) service.say(once(2) ? "yes\n" : "error invalid\n");
    const may = /^may-/.test(session);
    return `${may ? "yes" : "no"}${pick(next, ["", " -", " 1s", " 1h", " -1s", " nonsense"])}`;
  });
  service.put = (socket, text) => {
    const at = Math.floor(next() * text.length);
    socket.write(text.slice(0, at));
    socket.write(text.slice(at));
  };
  await using server = await platform(user, [], service);
  const url = `${server.url.replace("http", "ws")}/api`;
  const codes = { may: new Map<number, number>(), not: new Map<number, number>() };
  const end = performance.now() + BAD;
  const done = (): number => codes.may.get(0) ?? 0;
  const caller = async (i: number) => {
    const who = i % 2 === 0 ? "may" : "not";
    const client = await connect(url, { token: `${who}-${i}` });
    while (performance.now() < end || done() <= ENOUGH) {
      const verb = pick(next, ["p/shut", "p/shut", "p/clock", "p/free"]);
      const { code } = (await client.call(verb)).request;
      if (verb === "p/clock" && code === 0) await client.call(verb, { action: "stop" });
      if (verb === "p/free") expect(code).toBe(0);
      else codes[who].set(code, (codes[who].get(code) ?? 0) + 1);
    }
    await client.close();
  };
  await Promise.all(Array.from({ length: 16 }, (_, i) => caller(i)));
  expect([...codes.not.keys()]).toEqual([-9]);
  // Some are stopped by others before their turn comes.
  expect([...codes.may.keys()].filter((code) => ![0, -9, -14].includes(code))).toEqual([]);
  expect(done()).toBeGreaterThan(ENOUGH);
  expect(service.connections).toBeGreaterThan(1);
}, 60_000);

test("nothing is launched before it is granted, and nothing that is not", async () => {
  const [user] = users;
  const open = mkdtempSync(join(dir, "open-"));
  chmodSync(open, 0o777);
  const made = (name: string): boolean => existsSync(join(open, name));
  const touch = {
    uid: "touch",
    encoder: "sync",
    privilege: "urn:x",
    exec: { cmdpath: "/usr/bin/touch", args: [join(open, "%name%")] },
  };
  const asks: PromiseWithResolvers<string | undefined>[] = [];
  const service = new Cynagora(() => {
    const asked = Promise.withResolvers<string | undefined>();
    asks.push(asked);
    return asked.promise;
  });
  const path = join(dir, `service-${++places}`);
  await listening(service, path);
  const { metadata, sandboxes } = config;
  const box = { ...sandboxes[0], commands: touch, namespace: { mounts: [] } };
  await using server = await wire(
    { metadata, sandboxes: [box] },
    user,
    [],
    [...["--cynagora", path]],
  );
  const touched = (name: string) =>
    fetch(`${server.url}/api/p/touch?name=${name}`).then(({ status }) => status);
  const [yes, no] = [touched("yes"), touched("no")];
  await until("both are asked about", () => asks.length === 2);
  await server.call("p/ping");
  expect([made("yes"), made("no")]).toEqual([false, false]);
  for (const { session } of service.asked) expect(session).toMatch(/^[0-9a-f-]{36}$/);
  asks[0]?.resolve("yes");
  asks[1]?.resolve("no");
  expect([await yes, await no].toSorted()).toEqual([200, 403]);
  expect([made("yes"), made("no")].toSorted()).toEqual([false, true]);
  await service.close();
});

describe("at the start", () => {
  const [user] = users;

  test("what is worth knowing is told, and what cannot be is refused", async () => {
    const file = join(dir, "config.json");
    writeFileSync(file, JSON.stringify(config));
    const only = join(dir, "only.json");
    writeFileSync(
      only,
      JSON.stringify({ access: "cynagora-only", grants: [{ anyone: true, privileges: "*" }] }),
    );
    const argv = ["--config", file, "--port", "0", "--access"];
    const begun = async (...more: string[]) => {
      const server = Bun.spawn(
        [join(import.meta.dir, "../../dist/spawnbox"), "serve", ...argv, ...more],
        {
          env: { PATH: process.env["PATH"] },
          stdout: "pipe",
          stderr: "pipe",
        },
      );
      let said = "";
      for await (const chunk of server.stdout) {
        said += Buffer.from(chunk).toString();
        if (said.includes("serves on")) server.kill("SIGKILL");
      }
      return { said: said + (await server.stderr.text()), code: await server.exited };
    };
    const absent = await begun("none", "--cynagora", join(dir, "absent"));
    expect(absent.said).toContain(
      `notice: --cynagora unix:${join(dir, "absent")}: the permission service cannot be reached now: `,
    );
    // Who is granted what, nobody knows here.
    expect(absent.said).not.toContain("is granted to nobody");
    await using service = new Cynagora();
    await listening(service, join(dir, "present"));
    const present = await begun(only, "--cynagora", `unix:${join(dir, "present")}`);
    expect(present.said).not.toContain("cannot be reached");
    expect(present.said).toContain(`notice: ${only}: grants: does nothing: `);
    const without = await begun(only);
    expect(without.code).toBe(1);
    expect(without.said).toContain(`${only}: access: cynagora-only: nobody could call anything`);
  });

  test("a service that is not there comes later, and its place may come from the environment", async () => {
    const path = join(dir, "nowhere");
    const through = ["env", `CYNAGORA_SOCKET_CHECK=unix:${path}`];
    const service = new Cynagora(() => "yes");
    await using server = await serve(config, {
      user,
      through,
      argv: ["--access", "none", "--cynagora"],
    });
    expect((await fetch(`${server.url}/api/p/shut`)).status).toBe(403);
    await listening(service, path);
    expect((await fetch(`${server.url}/api/p/shut`)).status).toBe(200);
    await service.close();
  });

  test("access cynagora-only: nobody has anything but by the service, and grants do nothing", async () => {
    const token = makeToken();
    const file = JSON.stringify({
      access: "cynagora-only",
      grants: [
        { token: hashOf(token), privileges: "*" },
        { anyone: true, privileges: "*" },
      ],
    });
    const uid = process.getuid?.() ?? 0;
    const service = new Cynagora(({ user: asker }) => (asker === String(uid) ? "yes" : "no"));
    await using server = await platform(user, file, service);
    expect((await server.callAs(undefined, "p/shut")).request.code).toBe(0);
    expect((await fetch(`${server.url}/api/p/shut?token=${token}`)).status).toBe(403);
    expect(asked(server)).toEqual([`NoLabel ${uid} urn:x`, "NoLabel 99 urn:x"]);
    await service.close();
    await until(
      "root is refused",
      async () => (await server.callAs(undefined, "p/shut")).request.code === -9,
    );
  });

  test("an abstract name that somebody else has taken is not believed", async () => {
    if (!isRoot) return;
    const name = `spawnbox-squat-${process.pid}`;
    const squatter = new Cynagora(() => "yes");
    await seenAs(4321, () => squatter.listen(`\0${name}`));
    await using server = await serve(config, {
      user,
      argv: ["--access", "none", "--cynagora", `unix:@${name}`],
    });
    expect((await fetch(`${server.url}/api/p/shut`)).status).toBe(403);
    expect([squatter.connections > 0, squatter.lines]).toEqual([true, []]);
    await squatter.close();
    const service = await new Cynagora(() => "yes").listen(`\0${name}`);
    expect((await fetch(`${server.url}/api/p/shut`)).status).toBe(200);
    await service.close();
  });
});

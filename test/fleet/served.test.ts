/** The executable as a board, with a real broker between it and its operators. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { once } from "node:events";
import {
  chmodSync,
  closeSync,
  createReadStream,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { hashOf } from "../../src/access/token.ts";
import { isAlive, isRoot, type Served, serve, until } from "../served.ts";
import { type Broker, fleetOf, type Got, hasBroker, Raw, startBroker } from "./broker.ts";

const executable = join(import.meta.dir, "../../dist/spawnbox");
/** Of what is printed to a reader that does not read. */
const FLOOD_MB = process.env["CI"] === undefined ? 40 : 100;

const config = {
  metadata: { uid: "boat", api: "boat" },
  sandboxes: [
    {
      uid: "s",
      prefix: "",
      acls: { chdir: "/tmp", ...(isRoot && { user: "root" }) },
      commands: [
        {
          uid: "count",
          encoder: "line",
          exec: { cmdpath: "/usr/bin/seq", args: ["%n%"] },
        },
        { uid: "sleep", encoder: "line", exec: { cmdpath: "/bin/sleep", args: ["%n%"] } },
        { uid: "slow", encoder: "line", exec: { cmdpath: "/bin/sh", args: ["-c", SLOW()] } },
        {
          uid: "once",
          encoder: "sync",
          exec: { cmdpath: "/bin/sh", args: ["-c", "echo ran >> '%file%'; echo done"] },
        },
        { uid: "fail", encoder: "sync", exec: { cmdpath: "/bin/false", args: [] } },
        { uid: "big", encoder: "sync", exec: { cmdpath: "/usr/bin/seq", args: ["20000"] } },
        {
          uid: "guarded",
          privilege: "urn:boat:guarded",
          encoder: "sync",
          exec: { cmdpath: "/bin/true", args: [] },
        },
      ],
    },
  ],
};

/** Prints for three seconds, so that something can happen meanwhile. */
function SLOW(): string {
  return "i=0; while [ $$i -lt 60 ]; do seq $$((i*50+1)) $$((i*50+50)); i=$$((i+1)); sleep 0.05; done";
}

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly error: string;
}

let broker: Broker;
let board: Served;
let raw: Raw;
let dir: string;
let fleet: string;
let access: string;
let audit: string;
let restart: () => Promise<void>;

const operatorArgs = (name: string, url = broker.url): string[] => {
  const { cert, key } = broker.cert(name);
  return ["--broker", url, "--operator", name, "--ca", broker.ca, "--cert", cert, "--key", key];
};

const start = (...args: string[]) =>
  Bun.spawn([executable, "fleet", ...args], {
    env: { PATH: process.env["PATH"] ?? "" },
    stdio: ["ignore", "pipe", "pipe"],
  });

async function run(...args: string[]): Promise<Ran> {
  const child = start(...args);
  const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, error };
}

const call = (...args: string[]): Promise<Ran> => run("call", ...args, ...operatorArgs("op1"));

const jsonLines = (text: string): Record<string, unknown>[] =>
  text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Record<string, unknown>);

/** The lines that a command has printed, of events. */
const printed = (events: readonly { readonly data?: unknown }[]): string[] =>
  events.flatMap(({ data }) => {
    const { stdout } = (data ?? {}) as { stdout?: string };
    return stdout === undefined ? [] : [stdout];
  });

const eventsOf = (got: readonly Got[]): { data?: unknown }[] =>
  [...got]
    .filter(({ kind }) => kind === "event")
    .sort((a, b) => a.seq - b.seq)
    .flatMap(({ text }) => text.split("\n").map((line) => JSON.parse(line) as { data?: unknown }));

const numbers = (most: number): string[] => Array.from({ length: most }, (_, i) => String(i + 1));

/** A call as op1, and what came for it. */
function ask(
  method: string,
  args: string,
  properties: Record<string, unknown> = {},
  id = crypto.randomUUID(),
  how: { retain?: boolean; qos?: 0 | 1 } = {},
) {
  const out = `sb/v1/boat-1/out/op1/${id}`;
  const own = () => raw.got.filter(({ topic }) => topic === out);
  const published = raw.publish(
    `sb/v1/boat-1/call/op1/${method}`,
    args,
    { responseTopic: out, messageExpiryInterval: 20, ...properties },
    how,
  );
  return {
    ...{ id, own, published },
    find: (fits: (got: Got) => boolean) => raw.find((got) => got.topic === out && fits(got)),
    reply: () => raw.find((got) => got.topic === out && got.kind === "reply"),
    flow: (flow: object) => raw.publish(`sb/v1/boat-1/flow/op1/${id}`, JSON.stringify(flow)),
  };
}

const statusOf = ({ text }: Got) =>
  (JSON.parse(text) as { request: { status: string; info?: string } }).request;

describe.skipIf(!hasBroker)("with a broker", () => {
  beforeAll(async () => {
    broker = await startBroker();
    dir = mkdtempSync(join(tmpdir(), "spawnbox-fleet-"));
    chmodSync(dir, 0o755);
    [fleet, access, audit] = [
      join(dir, "fleet.json"),
      join(dir, "access.json"),
      join(dir, "audit"),
    ];
    writeFileSync(
      fleet,
      JSON.stringify({
        ...fleetOf(broker, "boat-1"),
        board: "boat-1",
        groups: ["dock"],
        expiry: 30,
      }),
    );
    grant([{ mqtt: "op1", info: "the harbour master", privileges: [] }]);
    restart = async () => {
      board = await serve(config, {
        argv: ["--fleet", fleet, "--access", access, "--audit", audit],
      });
    };
    await restart();
    raw = await Raw.as(broker, "op1");
    await raw.subscribe("sb/v1/+/status", "sb/v1/+/about", "sb/v1/+/api/+", "sb/v1/+/out/op1/#");
    await raw.find(({ topic, text }) => topic === "sb/v1/boat-1/status" && text === "online");
  }, 60_000);

  afterAll(async () => {
    await raw?.[Symbol.asyncDispose]();
    await board?.[Symbol.asyncDispose]();
    await broker?.[Symbol.asyncDispose]();
    rmSync(dir, { recursive: true, force: true });
  });

  function grant(grants: readonly object[]): void {
    writeFileSync(access, JSON.stringify({ grants }));
  }

  async function reload(): Promise<void> {
    const reply = await fetch(`${board.url}/api/monitor/reload`, { method: "POST" });
    if (reply.status !== 200) process.kill(board.pid, "SIGHUP");
  }

  describe("a board", () => {
    test("tells what it is and what it does, retained", async () => {
      const about = await raw.find(({ topic }) => topic === "sb/v1/boat-1/about");
      expect(JSON.parse(about.text)).toMatchObject({
        groups: ["dock"],
        apis: expect.arrayContaining(["boat"]) as unknown,
        limits: { window: 64, expiry: 30 },
      });
      const api = await raw.find(({ topic }) => topic === "sb/v1/boat-1/api/boat");
      const { verbs } = JSON.parse(api.text) as {
        verbs: { name: string; privileges?: string[] }[];
      };
      expect(verbs.find(({ name }) => name === "guarded")?.privileges).toEqual([
        "urn:boat:guarded",
      ]);
      await using late = await Raw.as(broker, "op1");
      await late.subscribe("sb/v1/+/status");
      expect((await late.find(() => true)).text).toBe("online");
    });

    test("answers a plain MQTT client from the shell", async () => {
      const { cert, key } = broker.cert("op1");
      const id = crypto.randomUUID();
      const child = Bun.spawn(
        [
          ...["mosquitto_rr", "-V", "5", "-h", "localhost", "-p", String(broker.port), "-W", "10"],
          ...["--cafile", broker.ca, "--cert", cert, "--key", key, "-q", "1"],
          ...["-t", "sb/v1/boat-1/call/op1/boat/ping", "-e", `sb/v1/boat-1/out/op1/${id}`],
          ...["-D", "publish", "message-expiry-interval", "10", "-m", "{}"],
        ],
        { stdio: ["ignore", "pipe", "pipe"] },
      );
      const [out, error] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      expect(`${out}${error}`).toContain("pong=");
    });

    test("answers a call with all that the command prints, in order, with numbers, and echoes the correlation", async () => {
      const one = ask("boat/count", '{"n":200}', { correlationData: Buffer.from("mine") });
      const reply = await one.reply();
      expect(printed(eventsOf(one.own()))).toEqual(numbers(200));
      expect(one.own().map(({ seq }) => seq)).toEqual(one.own().map((_, i) => i));
      expect(one.own()[0]).toMatchObject({ kind: "accepted", correlation: "mine" });
      expect(JSON.parse(reply.text)).toMatchObject({
        request: { status: "success" },
        response: { command: "count", status: { exit: 0 } },
      });
    });

    test("sends a long reply in parts", async () => {
      const one = ask("boat/big", "");
      await one.find(({ kind, seq }) => kind === "reply" && seq > 2);
      const all = one.own().filter(({ kind }) => kind === "part" || kind === "reply");
      const whole = all.sort((a, b) => a.seq - b.seq).map(({ text }) => text);
      const { response } = JSON.parse(whole.join("")) as { response: { stdout: string[] } };
      expect(response.stdout).toEqual(numbers(20_000));
    });

    test("sends no more than a window that nobody confirms, and goes on where it is", async () => {
      const user = { userProperties: { window: "3" } };
      const one = ask("boat/count", '{"n":100000}', user);
      await one.find(({ seq }) => seq === 2);
      // Others have their turns meanwhile.
      for (let i = 0; i < 5; i++) await ask("boat/ping", "").reply();
      expect(one.own().map(({ seq }) => seq)).toEqual([0, 1, 2]);
      // What was lost is asked for, and comes once more, a second later.
      await until("it came again", async () => {
        await one.flow({ from: 1 });
        return one.own().filter(({ seq }) => seq === 1).length > 1;
      });
      let confirmed = -1;
      await until("all was sent", async () => {
        const last = Math.max(...one.own().map(({ seq }) => seq));
        if (last > confirmed) await one.flow({ seq: (confirmed = last) });
        return one.own().some(({ kind }) => kind === "reply");
      });
      // As often as it was asked for.
      raw.got.splice(0, raw.got.length, ...raw.got.filter((got, i, all) => first(got, i, all)));
      expect(printed(eventsOf(one.own()))).toEqual(numbers(100_000));
    });

    test("runs nothing twice: a copy gets the answer of the first", async () => {
      const file = join("/tmp", `spawnbox-once-${crypto.randomUUID()}`);
      const args = JSON.stringify({ file });
      const one = ask("boat/once", args);
      const first = await one.reply();
      const again = ask("boat/once", args, {}, one.id);
      await until("it was answered again", () => one.own().filter(isReply).length === 2);
      expect(again.own().at(-1)).toMatchObject({ text: first.text, seq: first.seq });
      // The same id is no other call.
      ask("boat/once", JSON.stringify({ file: `${file}x` }), {}, one.id);
      // Nor are copies that come while it runs.
      const long = ask("boat/sleep", '{"n":1}');
      await long.find(({ kind }) => kind === "accepted");
      ask("boat/sleep", '{"n":1}', {}, long.id);
      await long.reply();
      expect(long.own().filter(({ kind }) => kind === "accepted")).toHaveLength(1);
      expect(readFileSync(file, "utf8")).toBe("ran\n");
      expect(await Bun.file(`${file}x`).exists()).toBe(false);
      rmSync(file);
    });

    test("refuses what may be stale, is too large, or no JSON", async () => {
      const refused = async (args: string, properties: Record<string, unknown>) =>
        statusOf(await ask("boat/ping", args, properties).reply());
      expect((await refused("", { messageExpiryInterval: undefined })).info).toContain("Expiry");
      expect((await refused("", { messageExpiryInterval: 31 })).info).toContain("up to 30 s");
      expect((await refused(" ".repeat(300 << 10), {})).info).toContain('"largest"');
      expect((await refused("{", {})).info).toContain("not JSON");
      expect((await refused("{}", { contentType: "text/plain" })).info).toContain("json");
      expect((await refused("{}", {})).status).toBe("success");
    });

    test("[protection] does not do what is retained, nor at its next connection", async () => {
      const topic = "sb/v1/boat-1/call/op1/boat/ping";
      const retained = ask("boat/ping", "", {}, undefined, { retain: true });
      await retained.published;
      await ask("boat/ping", "").reply();
      expect(retained.own()).toEqual([]);
      await raw.publish(topic, "", {}, { retain: true });
    });

    test("[protection] answers nowhere but to its operator's own place", async () => {
      await using spy = await Raw.as(broker, "boat-2");
      const places = [
        "sb/v1/boat-1/out/op2/x",
        "sb/v1/boat-2/call/op1/x",
        "sb/v1/boat-1/status",
        "x",
      ];
      await spy.subscribe("sb/v1/boat-2/call/#");
      for (const responseTopic of places) await ask("boat/ping", "", { responseTopic }).published;
      await ask("boat/ping", "").reply();
      expect(spy.got).toEqual([]);
      expect(
        raw.got.filter(({ topic }) => places.includes(topic) && topic.includes("/out/")),
      ).toEqual([]);
    });

    test("[protection] nobody calls in another operator's name, and one without a grant is refused", async () => {
      await using other = await Raw.as(broker, "op2");
      const properties = {
        messageExpiryInterval: 20,
        responseTopic: "sb/v1/boat-1/out/op1/forged",
      };
      expect(other.publish("sb/v1/boat-1/call/op1/boat/ping", "", properties)).rejects.toThrow();
      expect(other.publish("sb/v1/boat-1/out/op1/x", "")).rejects.toThrow();
      expect(
        other.publish("sb/v1/boat-1/status", "offline", {}, { retain: true }),
      ).rejects.toThrow();
      await ask("boat/ping", "").reply();
      expect(raw.got.some(({ topic }) => topic.endsWith("/forged"))).toBe(false);
      // A broker that lets it through: the board does not know that operator.
      await using open = await startBroker({ tls: false });
      const file = join(dir, "open.json");
      writeFileSync(file, JSON.stringify({ broker: open.url, board: "boat-1" }));
      await using served = await serve(config, { argv: ["--fleet", file, "--access", access] });
      await using anybody = await Raw.as(open, "op2");
      await anybody.subscribe("sb/v1/boat-1/#");
      await anybody.find(({ text }) => text === "online");
      await anybody.publish("sb/v1/boat-1/call/op2/boat/ping", "", {
        ...{ messageExpiryInterval: 20, responseTopic: "sb/v1/boat-1/out/op2/y" },
      });
      const reply = await anybody.find(({ kind }) => kind === "reply");
      expect([served.pid > 0, statusOf(reply).status]).toEqual([true, "forbidden"]);
    });

    test("[protection] grants by name or token, asks at each call, and tells the audit who it was", async () => {
      const guarded = async (token?: string) => {
        const user = token === undefined ? {} : { userProperties: { token } };
        return statusOf(await ask("boat/guarded", "", user).reply()).status;
      };
      expect(await guarded()).toBe("insufficient-scope");
      expect(await guarded("wrong")).toBe("invalid-token");
      grant([
        { mqtt: "op1", info: "the harbour master", privileges: [] },
        { token: hashOf("secret"), privileges: ["urn:boat:guarded"] },
        { anyone: true, privileges: ["urn:boat:guarded"] },
      ]);
      await reload();
      await until("the token counts", async () => (await guarded("secret")) === "success");
      // Whoever can connect to the board is not whoever comes by a broker.
      expect(await guarded()).toBe("insufficient-scope");
      // A running call ends with the right to call.
      const long = ask("boat/sleep", '{"n":60}');
      await long.find(({ kind }) => kind === "accepted");
      grant([{ mqtt: "op9", privileges: ["*"] }]);
      await reload();
      expect(statusOf(await long.reply()).status).toBe("forbidden");
      expect(await guarded()).toBe("forbidden");
      grant([{ mqtt: "op1", info: "the harbour master", privileges: ["urn:boat:guarded"] }]);
      await reload();
      await until("it is granted", async () => (await guarded()) === "success");
      const told = jsonLines(readFileSync(audit, "utf8")) as {
        event: string;
        status?: string;
        caller: object;
      }[];
      const caller = { info: "the harbour master", operator: "op1", via: "mqtt" };
      expect(told.find(({ event }) => event === "start")?.caller).toEqual(caller);
      expect(told.some(({ status }) => status === "forbidden")).toBe(true);
    });

    test("is what its file says after a reload, unless that has a problem", async () => {
      const before = readFileSync(fleet, "utf8");
      const written = JSON.parse(before) as object;
      writeFileSync(fleet, JSON.stringify({ ...written, groups: ["dock", "+"] }));
      await reload();
      expect(statusOf(await ask("boat/ping", "").reply()).status).toBe("success");
      raw.got.length = 0;
      writeFileSync(fleet, JSON.stringify({ ...written, groups: ["dock", "night"] }));
      await reload();
      await raw.find(({ topic, text }) => topic.endsWith("/about") && text.includes('"night"'));
      await raw.find(({ topic, text }) => topic.endsWith("boat-1/status") && text === "online");
      await raw.publish("sb/v1/_group/night/call/op1/boat/ping", "", {
        ...{ messageExpiryInterval: 20, correlationData: Buffer.from("by-group") },
      });
      await raw.find(({ topic }) => topic === "sb/v1/boat-1/out/op1/by-group");
      writeFileSync(fleet, before);
      raw.got.length = 0;
      await reload();
      await raw.find(({ topic, text }) => topic.endsWith("boat-1/status") && text === "online");
    });

    test("stops a task when told so, and lets go of one that is left", async () => {
      const one = ask("boat/sleep", '{"n":60}');
      const accepted = await one.find(({ kind }) => kind === "accepted");
      const { pid } = (JSON.parse(accepted.text) as { response: { pid: number } }).response;
      await one.flow({ stop: true });
      expect(JSON.parse((await one.reply()).text)).toMatchObject({
        response: { status: { cause: "stopped" } },
      });
      expect(await isAlive(pid)).toBe(false);
      const other = ask("boat/sleep", '{"n":3}');
      const second = await other.find(({ kind }) => kind === "accepted");
      const { pid: kept } = (JSON.parse(second.text) as { response: { pid: number } }).response;
      await other.flow({ leave: true });
      expect(statusOf(await other.reply()).status).toBe("disconnected");
      expect(await isAlive(kept)).toBe(true);
      const late = ask("boat/sleep", '{"n":60}', {
        // Long enough to begin, also on a busy machine.
        userProperties: { timeout: "3000", detach: "false" },
      });
      const third = await late.find(({ kind }) => kind === "accepted");
      const { pid: stopped } = (JSON.parse(third.text) as { response: { pid: number } }).response;
      expect(statusOf(await late.reply()).status).toBe("timeout");
      await until("it is stopped", async () => !(await isAlive(stopped)));
    });
  });

  const isReply = ({ kind }: Got): boolean => kind === "reply";
  const first = (got: Got, at: number, all: readonly Got[]): boolean =>
    all.findIndex(({ topic, seq }) => topic === got.topic && seq === got.seq) === at ||
    !got.topic.includes("/out/");

  describe("spawnbox fleet", () => {
    test("lists boards, and tells what they do", async () => {
      const listed = await run("ls", "--json", ...operatorArgs("op1"));
      expect(jsonLines(listed.out)[0]).toMatchObject({ board: "boat-1", status: "online" });
      const { out } = await run("asyncapi", "boat-1", ...operatorArgs("op1"));
      expect(JSON.parse(out)).toMatchObject({
        asyncapi: "3.0.0",
        channels: { boat_guarded: { address: "sb/v1/boat-1/call/{operator}/boat/guarded" } },
      });
    });

    test("watches boards come and go", async () => {
      const child = start("watch", "--group", "dock", ...operatorArgs("op1"));
      await using other = await Raw.as(broker, "boat-2");
      await other.publish("sb/v1/boat-2/about", '{"groups":["dock"]}', {}, { retain: true });
      await other.publish("sb/v1/boat-2/status", "online", {}, { retain: true });
      let text = "";
      for await (const chunk of child.stdout) {
        text += Buffer.from(chunk).toString();
        if (text.includes("boat-1 online") && text.includes("boat-2 online")) break;
      }
      await other.publish("sb/v1/boat-2/status", "", {}, { retain: true });
      await other.publish("sb/v1/boat-2/about", "", {}, { retain: true });
      child.kill("SIGINT");
      expect(await child.exited).toBe(130);
    });

    test("calls one board, and its exit code says how it went", async () => {
      const good = await call("boat-1", "boat/count", '{"n":3}');
      expect([good.code, good.error]).toEqual([0, ""]);
      expect(good.out).toContain('boat-1: {"type":"data"');
      expect(good.out.trim().split("\n").at(-1)).toStartWith("boat-1: ok {");
      const bad = await call("boat-1", "boat/fail", "--json");
      expect([bad.code, jsonLines(bad.out).at(-1)?.["result"]]).toEqual([1, "error"]);
      const unknown = await call("boat-1", "boat/nothing", "--json");
      expect([unknown.code, jsonLines(unknown.out).at(-1)?.["result"]]).toEqual([1, "refused"]);
      const nobody = await call("boat-9", "boat/ping");
      expect([nobody.code, nobody.out]).toEqual([1, expect.stringContaining("boat-9")]);
      const late = await call("boat-1", "boat/sleep", '{"n":60}', "--timeout", "500ms", "--json");
      expect([late.code, jsonLines(late.out).at(-1)?.["result"]]).toEqual([1, "timeout"]);
    });

    test("wrong usage is told", async () => {
      for (const args of [
        ...[["call"], ["call", "boat-1"], ["call", "b/1", "boat/ping"], ["call", "boat-1", "ping"]],
        ...[
          ["call", "boat-1", "boat/#"],
          ["call", "boat-1", "boat/ping", "--timeout", "5"],
        ],
        ...[["call", "boat-1", "boat/ping", "--stages", "1"], ["ls", "--timeout", "5s"], ["cert"]],
        ...[["cert", dir, "../x"], ["cert", dir, "ca"], []],
      ]) {
        const { code, error } = await run(...args);
        expect([args, code]).toEqual([args, 2]);
        expect(error).toContain("usage: spawnbox fleet");
      }
    });

    test("Ctrl-C stops what was started, or leaves it where that was asked for", async () => {
      const running = async () => {
        const { response } = await board.call("monitor/tasks", { verb: "sleep", state: "running" });
        const tasks = response as { id: string; args: { n: number } }[];
        return tasks.filter(({ args }) => args.n === 77).map(({ id }) => id);
      };
      const interrupted = async (...more: string[]) => {
        const child = start(
          ...["call", "boat-1", "boat/sleep", '{"n":77}', ...more, ...operatorArgs("op1")],
        );
        await until("it runs", async () => (await running()).length === 1);
        child.kill("SIGINT");
        expect(await child.exited).toBe(130);
        return { out: await child.stdout.text(), error: await child.stderr.text() };
      };
      await interrupted();
      await until("it is stopped", async () => (await running()).length === 0);
      expect(await interrupted("--detach")).toEqual({
        out: "",
        error: "spawnbox fleet call: left (boards: 1); the tasks go on\n",
      });
      // The board has heard of the end of its call by the time it has answered another one.
      expect((await call("boat-1", "boat/ping")).code).toBe(0);
      const [left, ...others] = await running();
      expect([left !== undefined, others]).toEqual([true, []]);
      await board.call("boat/sleep", { action: "stop", args: { id: left } });
      await until("it is stopped, too", async () => (await running()).length === 0);
    });

    test("gets all that a task prints while the broker is killed, and starts again", async () => {
      const child = start("call", "boat-1", "boat/slow", "--json", ...operatorArgs("op1"));
      const all = child.stdout.text();
      await until("it prints", async () => {
        const { response } = await board.call("monitor/tasks", { verb: "slow", state: "running" });
        return (response as unknown[]).length === 1;
      });
      // In the midst of it.
      await Bun.sleep(500);
      await broker.crash();
      await Bun.sleep(300);
      await broker.again();
      const out = jsonLines(await all);
      expect(await child.exited).toBe(0);
      expect(printed(out)).toEqual(numbers(3000));
      await until("the client of the test is back", () => raw.client.connected);
    }, 60_000);

    test("that is not read keeps the task waiting, and the broker small; nothing is lost", async () => {
      const lines = Math.round((FLOOD_MB * 1e6) / 60);
      // A pipe of the runtime is read whether anybody asks for it or not.
      const pipe = join(dir, "unread");
      expect(Bun.spawnSync(["mkfifo", pipe]).exitCode).toBe(0);
      const end = openSync(pipe, "r+");
      const args = ["boat-1", "boat/count", `{"n":${lines}}`, "--json", ...operatorArgs("op1")];
      const child = Bun.spawn([executable, "fleet", "call", ...args], {
        ...{ env: { PATH: process.env["PATH"] ?? "" }, stdio: ["ignore", end, "ignore"] },
      });
      const running = async () => {
        const { response } = await board.call("monitor/tasks", { verb: "count", state: "running" });
        return response as unknown[];
      };
      await until("it runs", async () => (await running()).length === 1);
      await Bun.sleep(1500);
      expect(broker.memory).toBeLessThan(40 << 20);
      expect(await running()).toHaveLength(1);
      // From here on it is read.
      let text = "";
      let [expected, wrong] = [1, 0];
      const decoder = new TextDecoder();
      const reading = createReadStream(pipe);
      await once(reading, "open");
      closeSync(end);
      for await (const chunk of reading as AsyncIterable<Buffer>) {
        text += decoder.decode(chunk, { stream: true });
        const all = text.split("\n");
        text = all.pop() ?? "";
        for (const line of all) {
          const found = /"stdout":"(\d+)"/.exec(line)?.[1];
          if (found !== undefined && Number(found) !== expected++) wrong++;
        }
      }
      expect([await child.exited, expected - 1, wrong]).toEqual([0, lines, 0]);
      expect(broker.memory).toBeLessThan(40 << 20);
    }, 120_000);

    test("a board that is killed is missed at once; what it was doing is not done again", async () => {
      const child = start(
        "call",
        "boat-1",
        "boat/sleep",
        '{"n":88}',
        "--json",
        ...operatorArgs("op1"),
      );
      const sleeping = async () => {
        const { response } = await board.call("monitor/tasks", { verb: "sleep", state: "running" });
        return JSON.stringify(response).includes('"n":88');
      };
      await until("it runs", sleeping);
      raw.got.length = 0;
      await board.crash();
      await board[Symbol.asyncDispose]().catch(() => {});
      await raw.find(({ topic, text }) => topic === "sb/v1/boat-1/status" && text === "offline");
      const offline = await call("boat-1", "boat/ping", "--json");
      expect([offline.code, jsonLines(offline.out)[0]?.["result"]]).toEqual([1, "offline"]);
      // What waits for it in the broker is done once, unless it has expired.
      const file = join("/tmp", `spawnbox-queued-${crypto.randomUUID()}`);
      const stale = ask("boat/once", JSON.stringify({ file }), { messageExpiryInterval: 1 });
      await stale.published;
      const queued = start(
        ...["call", "boat-1", "boat/once", JSON.stringify({ file }), "--queue", "25s", "--json"],
        ...operatorArgs("op1"),
      );
      const answered = queued.stdout.text();
      await Bun.sleep(1500);
      await restart();
      expect(jsonLines(await answered).at(-1)?.["result"]).toBe("ok");
      expect(await child.exited).toBe(1);
      expect(await Bun.file(file).text()).toBe("ran\n");
      expect(await sleeping()).toBe(false);
      rmSync(file);
    }, 60_000);

    test("[protection] believes only its own broker", async () => {
      const ping = async (at: Broker, name = "op1", ca = at.ca, days = 30) => {
        const { cert, key } = at.cert(name, days);
        const who = ["--operator", name, "--ca", ca, "--cert", cert, "--key", key];
        const { code, error } = await run("ls", "--broker", at.url, ...who);
        return { code, error };
      };
      await using elsewhere = await startBroker({ names: ["other.example"] });
      await using expired = await startBroker({ days: 0.5 });
      expect((await ping(broker)).code).toBe(0);
      const wrongCa = await ping(broker, "op1", elsewhere.ca);
      expect([wrongCa.code, wrongCa.error]).toEqual([
        3,
        expect.stringMatching(/certificate|issuer/i),
      ]);
      const wrongName = await ping(elsewhere);
      expect([wrongName.code, wrongName.error]).toEqual([3, expect.stringContaining("localhost")]);
      const old = await ping(expired);
      expect([old.code, old.error]).toEqual([3, expect.stringMatching(/expired/i)]);
      const oldClient = await ping(broker, "op-old", broker.ca, 0.5);
      expect(oldClient.code).toBe(3);
      const { code } = await run(
        "ls",
        "--broker",
        broker.url,
        "--operator",
        "op1",
        "--ca",
        broker.ca,
      );
      expect(code).toBe(3);
    }, 60_000);

    test("makes certificates that fit, and leaves what is there", async () => {
      const at = join(dir, "certs");
      const made = await run("cert", at, "boat-1", "op1", "--host", "localhost");
      expect([made.code, made.out]).toEqual([0, expect.stringContaining("broker.pem")]);
      const before = readFileSync(join(at, "op1.pem"), "utf8");
      expect((await run("cert", at, "op1", "op2")).out).toContain("op2.pem");
      expect(readFileSync(join(at, "op1.pem"), "utf8")).toBe(before);
    });
  });
});

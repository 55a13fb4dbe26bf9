/**
 * The server of early boot and the service that takes over from it, as the real executable, in a mount namespace with a /run of
 * its own. With a real service manager: test/boot/inside/service.ts.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { descriptorsOf } from "../descriptors.ts";
import { connect } from "../../src/client.ts";
import { Cynagora } from "../access/cynagora.ts";
import { DatagramSocket } from "../server/datagrams.ts";
import { hasBroker, Raw, startBroker } from "../fleet/broker.ts";
import { accepts, isAlive, isRoot, until } from "../served.ts";

const program = join(import.meta.dir, "../../dist/spawnbox");
const dir = mkdtempSync(join(tmpdir(), "spawnbox-takeover-"));
const place = (name: string): string => join(dir, name);
/** Holds the namespaces. */
let holder: Bun.Subprocess<"ignore", "pipe", "inherit">;
let early: Bun.Subprocess<"ignore", "pipe", "pipe">;
/** What the early server has open when nobody is connected. */
let idle: number;
/** Of the early server, outside of its namespaces too. */
let pid: number;

function config(api: string, more: object = {}): string {
  const path = place(`${api}.json`);
  const tell = { uid: "tell", encoder: "sync", exec: { cmdpath: "/bin/echo", args: [api] } };
  const say = { ...tell, uid: "say", encoder: "log" };
  const sandboxes = { uid: "box", acls: { user: "root" }, commands: [tell, say] };
  writeFileSync(path, JSON.stringify({ metadata: { uid: api, api }, sandboxes, ...more }));
  return path;
}

/** A command that becomes the program, in the namespaces. */
const inside = (...argv: string[]): string[] => [
  ...["nsenter", `--target=${holder.pid}`, "--mount", `--wd=${dir}`],
  ...argv,
];

/** The process of the unit, with a socket of the service manager's. */
function start(
  argv: readonly string[],
  fd?: number,
  env: Readonly<Record<string, string>> = {},
): Bun.Subprocess<"ignore", "pipe", "pipe"> {
  const own = fd === undefined ? "" : "LISTEN_FDS=1 LISTEN_PID=$$ ";
  const script = `cd /; WATCHDOG_PID=$$ ${own}exec "$@"`;
  return Bun.spawn(inside("/bin/sh", "-c", script, "sh", program, "serve", "--early", ...argv), {
    env: { PATH: process.env["PATH"], ...env },
    stdio: ["ignore", "pipe", "pipe", ...(fd === undefined ? [] : [fd])],
  });
}

async function serveAs(
  argv: readonly string[],
  fd?: number,
): Promise<{ exitCode: number; said: string }> {
  // Whoever tries the program has it at its usual port.
  const unit = start(["--port", "0", ...argv], fd);
  // Not the output, which is open as long as the early server has it.
  const exitCode = await unit.exited;
  const said = exitCode === 0 ? "" : await unit.stderr.text();
  return { exitCode, said };
}

async function call(socket: string, verb: string): Promise<unknown> {
  const client = await connect(`ws+unix://${place(socket)}:/api`);
  try {
    const { response, request } = await client.call(verb);
    return (response as { stdout?: string[] } | undefined)?.stdout?.[0] ?? request.status;
  } finally {
    await client.close();
  }
}

/** How many the early server has open. */
const sockets = (): number =>
  descriptorsOf(pid).filter((link) => link.startsWith("socket:")).length;

describe.if(isRoot)("the service takes over", () => {
  beforeAll(async () => {
    holder = Bun.spawn(
      [
        ...["unshare", "--mount", "--propagation=private"],
        ...["/bin/sh", "-ec", 'mount -t tmpfs run /run; echo up; exec sleep "$1"', "sh", "600"],
      ],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    for await (const chunk of holder.stdout) if (chunk.length > 0) break;
    early = Bun.spawn(
      // As a path that means another file where the unit is.
      inside(program, "early", "--config", basename(config("first")), "--unix", place("first")),
      { env: { PATH: process.env["PATH"], OF: "early" }, stdio: ["ignore", "pipe", "pipe"] },
    );
    pid = early.pid;
    await until("the early server serves", async () => {
      if (early.exitCode !== null) throw new Error(await early.stderr.text());
      return accepts(place("first"));
    });
    // What forks for it is there then.
    expect(await call("first", "first/tell")).toBe("first");
    await Bun.sleep(100);
    idle = sockets();
  });

  afterAll(async () => {
    early.kill("SIGTERM");
    await early.exited;
    holder.kill();
    await holder.exited;
    rmSync(dir, { recursive: true });
  });

  test("a required action that fails: nothing is open, and it serves on as before", async () => {
    const onload = { uid: "must", action: "api://second#tell", args: "no", required: true };
    const argv = ["--config", config("second", { onload }), "--unix", place("second")];
    const { exitCode, said } = await serveAs(argv);
    expect(said).toContain("second: onload must: required, and failed: the command");
    expect(said).toContain("spawnbox early serves on without this service");
    expect(exitCode).toBe(1);
    expect(existsSync(place("second"))).toBe(false);
    expect(await call("first", "first/tell")).toBe("first");
    expect(await call("first", "second/tell")).toBe("unknown-api");
    await until("no socket more", () => sockets() === idle);
  });

  test("a required action that fails: what the others have started ends", async () => {
    const script = (text: string) => ({ cmdpath: "/bin/sh", args: ["-c", text] });
    const there = place("there");
    const sandboxes = {
      ...{ uid: "box", acls: { user: "root" } },
      commands: [
        {
          ...{ uid: "stay", encoder: "line", single: true },
          exec: script(`echo $$ >>${place("pids")}; : >${there}; exec sleep 600`),
        },
        {
          ...{ uid: "wait", encoder: "sync" },
          exec: script(`until [ -e ${there} ]; do sleep 0.01; done; rm ${there}`),
        },
      ],
    };
    const onload = [
      { uid: "start", action: "api://stays#stay" },
      // What has just started may be killed before it does anything.
      { uid: "first", action: "api://stays#wait", required: true },
      { uid: "must", action: "api://stays#stay", args: "no", required: true },
    ];
    const argv = ["--config", config("stays", { sandboxes, onload })];
    const pids = (): number[] => readFileSync(place("pids"), "utf8").trim().split("\n").map(Number);
    // A second time it is not in its own way.
    for (const count of [1, 2]) {
      const { exitCode, said } = await serveAs(argv);
      expect(said).toContain("stays: onload must: required, and failed: the command");
      expect(exitCode).toBe(1);
      expect(pids().length).toBe(count);
      for (const pid of pids()) expect(await isAlive(pid)).toBe(false);
    }
  });

  test("another early server leaves the announcement, whether it can start or not", async () => {
    const announced = (): unknown =>
      JSON.parse(readFileSync(`/proc/${pid}/root/run/spawnbox/early.json`, "utf8"));
    const before = announced();
    expect(before).toEqual({ pid, urls: [`unix:${place("first")}`] });
    const another = (socket: string) =>
      Bun.spawn(
        inside(program, "early", "--config", place("first.json"), "--unix", place(socket)),
        { stdio: ["ignore", "ignore", "ignore"] },
      );
    expect(await another("first").exited).toBe(1);
    expect(announced()).toEqual(before);
    const serving = another("another");
    await until("it serves", () => accepts(place("another")));
    expect(await call("another", "first/tell")).toBe("first");
    expect(announced()).toEqual(before);
    serving.kill("SIGTERM");
    expect(await serving.exited).toBe(0);
    expect(announced()).toEqual(before);
  });

  test("a socket that cannot be opened: those of the unit are given back", async () => {
    const inherited = DatagramSocket.listenStream(place("inherited"));
    writeFileSync(place("file"), "");
    const { exitCode, said } = await serveAs(
      ["--config", config("third"), "--unix", place("file")],
      inherited.fd,
    );
    expect(said).toContain(`cannot listen on ${place("file")}: a file that is no socket is there`);
    expect(exitCode).toBe(1);
    expect(await call("first", "third/tell")).toBe("unknown-api");
    await until("no socket more", () => sockets() === idle);
    inherited.close();
  });

  test("what was served is put back whatever is in the files by then; a reload waits for that", async () => {
    const begun = place("waits-begun");
    const args = ["-c", `touch ${begun}; sleep 1`];
    const slow = { uid: "slow", encoder: "sync", exec: { cmdpath: "/bin/sh", args } };
    const more = {
      sandboxes: { uid: "box", acls: { user: "root" }, commands: slow },
      onload: [
        { uid: "wait", action: "api://waits#slow" },
        { uid: "must", action: "api://waits#slow", args: "no", required: true },
      ],
    };
    const unit = start(["--config", config("waits", more)]);
    await until("the action has begun", () => existsSync(begun));
    const client = await connect(`ws+unix://${place("first")}:/api`);
    writeFileSync(place("first.json"), "{");
    const reloaded = client.call("monitor/reload");
    expect(await Promise.race([reloaded, Bun.sleep(200)])).toBeUndefined();
    expect(await unit.exited).toBe(1);
    expect((await reloaded).request).toMatchObject({
      status: "bad-state",
      info: expect.stringContaining("nothing changed: 1 problem"),
    });
    await client.close();
    expect(await call("first", "waits/ping")).toBe("unknown-api");
    expect(await call("first", "first/tell")).toBe("first");
    config("first");
  });

  test("what the service manager hands over is told by its number there", async () => {
    const file = openSync("/dev/null", "r");
    const { exitCode, said } = await serveAs(["--config", config("third")], file);
    closeSync(file);
    expect(said).toContain("descriptor 3 of the service manager cannot be used");
    expect(exitCode).toBe(1);
  });

  test.each([
    ["killed", undefined],
    ["handed over, killed", "lost"],
  ])("a unit that is %s before its end: nothing of it is served", async (_, socket) => {
    rmSync(place("begun"), { force: true });
    const inherited = socket === undefined ? undefined : DatagramSocket.listenStream(place(socket));
    const args = ["-c", `touch ${place("begun")}; sleep 1`];
    const slow = { uid: "slow", encoder: "sync", exec: { cmdpath: "/bin/sh", args } };
    const path = config("killed", {
      sandboxes: { uid: "box", acls: { user: "root" }, commands: [slow] },
      onload: { uid: "wait", action: "api://killed#slow" },
    });
    const unit = start(["--config", path, "--unix", place("killed")], inherited?.fd);
    await until("the action has begun", () => existsSync(place("begun")));
    unit.kill("SIGKILL");
    await unit.exited;
    inherited?.close();
    await until(
      "it is not served",
      async () => (await call("first", "killed/ping")) === "unknown-api",
    );
    await until("no socket more", () => sockets() === idle);
    expect(existsSync(place("killed"))).toBe(false);
    expect(await call("first", "first/tell")).toBe("first");
  });

  test("it becomes the service: configs, sockets, output, and its signs of life", async () => {
    using manager = new DatagramSocket(place("notify"));
    const env = { NOTIFY_SOCKET: place("notify"), WATCHDOG_USEC: "500000" };
    const inherited = DatagramSocket.listenStream(place("handed"));
    // So that it has written where its output was before.
    await call("first", "first/say");
    const unit = start(
      // The first is known already.
      ["--config", `${config("fourth")}:${place("first.json")}`, "--unix", place("fourth")],
      inherited.fd,
      env,
    );
    inherited.close();
    expect(await unit.exited).toBe(0);
    for (const socket of ["first", "fourth", "handed"]) {
      expect(await call(socket, "first/tell")).toBe("first");
      expect(await call(socket, "fourth/tell")).toBe("fourth");
    }
    expect(manager.receive()).toStartWith(`MAINPID=${pid}\nREADY=1\n`);
    await until("a sign of life", () => manager.receive() === "WATCHDOG=1");
    await call("fourth", "fourth/say");
    for await (const chunk of unit.stderr) {
      expect(new TextDecoder().decode(chunk)).toMatch(/^fourth: box\/say@\d+ stdout: fourth\n$/);
      break;
    }
  });

  test("the permission service is the unit's: not asked where that fails, and from then on where it does not", async () => {
    await using service = await new Cynagora(({ user }) => (user === "0" ? "yes" : "no")).listen(
      place("service"),
    );
    writeFileSync(place("only.json"), JSON.stringify({ access: "cynagora-only" }));
    const argv = ["--access", place("only.json"), "--cynagora", `unix:${place("service")}`];
    const onload = { uid: "must", action: "api://fifth#tell", args: "no", required: true };
    const failed = await serveAs(["--config", config("fifth", { onload }), ...argv]);
    expect(failed.exitCode).toBe(1);
    expect(await call("first", "monitor/reload")).toBe("success");
    expect(service.asked).toEqual([]);
    const { exitCode } = await serveAs(["--config", config("fifth"), ...argv]);
    expect(exitCode).toBe(0);
    expect(await call("first", "monitor/reload")).toBe("success");
    expect(service.asked.map(({ user, permission }) => [user, permission])).toEqual([
      ["0", "urn:spawnbox:reload"],
    ]);
    service.decide = () => "no";
    service.clear();
    await until("it is heard", async () => (await call("first", "monitor/reload")) !== "success");
    expect(await call("first", "fifth/tell")).toBe("fifth");
  });

  test("so is the audit: not kept where that fails, and from then on where it does not", async () => {
    const required = { audit: { required: true } };
    const told = (name: string) =>
      existsSync(place(name)) ? readFileSync(place(name), "utf8").trim().split("\n") : [];
    const onload = { uid: "must", action: "api://sixth#tell", args: "no", required: true };
    const failed = await serveAs([
      ...["--config", config("sixth", { onload, ...required }), "--audit", place("audit.failed")],
    ]);
    expect(failed.exitCode).toBe(1);
    // What was refused in its course.
    expect(told("audit.failed").map((line) => JSON.parse(line).event)).toEqual(["refuse"]);
    await call("first", "first/tell");
    const wrong = await serveAs(["--config", config("sixth", required), "--audit", "/no/where"]);
    expect(wrong).toMatchObject({ exitCode: 1, said: expect.stringContaining("--audit: ") });
    const { exitCode } = await serveAs([
      ...["--config", config("sixth", required), "--audit", place("audit")],
    ]);
    expect(exitCode).toBe(0);
    expect(await call("first", "sixth/tell")).toBe("sixth");
    await until("it is told", () => told("audit").length === 2);
    expect(told("audit").map((line) => JSON.parse(line).caller)).toEqual([
      { uid: 0, via: "websocket" },
      { uid: 0, via: "websocket" },
    ]);
    expect(told("audit.failed")).toHaveLength(1);
  });

  test.if(hasBroker)(
    "so is the fleet: not joined where that fails, and from then on where it does not",
    async () => {
      await using broker = await startBroker({ tls: false });
      await using raw = await Raw.as(broker, "op1");
      await raw.subscribe("sb/v1/#");
      const fleet = { broker: broker.url, board: "early-1" };
      writeFileSync(place("fleet.json"), JSON.stringify({ ...fleet, bord: 1 }));
      const argv = ["--config", config("last"), "--fleet", place("fleet.json")];
      const failed = await serveAs(argv);
      expect(failed).toMatchObject({
        exitCode: 1,
        said: expect.stringContaining("unknown key `bord`"),
      });
      expect(await call("first", "first/tell")).toBe("first");
      writeFileSync(place("fleet.json"), JSON.stringify(fleet));
      writeFileSync(place("operators.json"), '{"grants":[{"mqtt":"op1","privileges":[]}]}');
      const { exitCode } = await serveAs([...argv, "--access", place("operators.json")]);
      expect(exitCode).toBe(0);
      await raw.find(({ topic, text }) => topic.endsWith("early-1/status") && text === "online");
      await raw.publish("sb/v1/early-1/call/op1/last/tell", "", {
        ...{ messageExpiryInterval: 20, responseTopic: "sb/v1/early-1/out/op1/x" },
      });
      expect((await raw.find(({ kind }) => kind === "reply")).text).toContain("last");
    },
  );
});

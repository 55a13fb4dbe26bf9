/** `spawnbox fleet`: what its command line says, and what it prints of boards and calls. */
import { afterAll, beforeAll, describe, expect, spyOn, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run } from "../../src/cli/fleet.ts";
import { fleetCall, type FleetCall } from "../../src/command-line/fleet-call.ts";
import { listBoards, toldBoard } from "../../src/command-line/fleet-list.ts";
import type { Lines } from "../../src/command-line/lines.ts";
import type { Client } from "../../src/api/client.ts";
import { failure, success } from "../../src/api/reply.ts";
import { AfbError } from "../../src/errors.ts";
import { parseTarget } from "../../src/fleet/campaign.ts";
import type { Operator } from "../../src/fleet/operator.ts";
import { Presence } from "../../src/fleet/presence.ts";
import { parseAmount } from "../../src/fleet/stages.ts";
import { saidBy, wrongOf } from "../cli/saying.ts";
import { type Broker, hasBroker, startBroker } from "../fleet/broker.ts";
import { invocation, simulated, withOperator } from "../fleet/simulated.ts";
import { until } from "../served.ts";

let dir: string;
beforeAll(() => (dir = mkdtempSync(join(tmpdir(), "spawnbox-operator-"))));
afterAll(() => rmSync(dir, { recursive: true }));

const NAMES = "letters, digits and . _ -, at most 64";
test.each([
  ["", "say what: ls, call, watch, cert, asyncapi"],
  ["lss", "say what: ls, call, watch, cert, asyncapi"],
  ["ls x", "unexpected argument x"],
  ["watch x", "unexpected argument x"],
  ["ls --group a/b", `--group a/b: expected ${NAMES}`],
  ["watch --group a/b", `--group a/b: expected ${NAMES}`],
  ["asyncapi", "say which board"],
  ["asyncapi a b", "say which board"],
  ["asyncapi @a", `BOARD @a: expected ${NAMES}`],
  ["call", "say which board, or which @GROUP"],
  ["call a/b c/d", `a/b: expected BOARD or @GROUP, ${NAMES}`],
  ["call b1", "say which verb: API/VERB"],
  ["call b1 a//", '"a//" is not API/VERB, without + and #'],
  ["call b1 a/b+", '"a/b+" is not API/VERB, without + and #'],
  ["call b1 a/b {} {}", "too many arguments: quote the JSON"],
  ["call b1 a/b --timeout 5", "--timeout 5: expected a time such as 30s, 5m or 1h, at most 7d"],
  ["call b1 a/b --queue 8d", "--queue 8d: expected a time such as 30s, 5m or 1h, at most 7d"],
  ["call b1 a/b --stages 1", "--stages is for a @GROUP"],
  ["call @all a/b --max-failed 1", "--max-failed is for --stages"],
  ["cert", "say which directory: DIR"],
  ["cert D", "say names of boards and operators, or --host"],
  ...["0", "7300", "x", "10000", "01"].map((days) => [
    `cert D b1 --days ${days}`,
    `--days ${days}: expected days, from 1 to 7299`,
  ]),
  ...["-h", ".h", "h.", "a_b", "a".repeat(254)].map((host) => [
    `cert D --host=${host}`,
    `--host ${host}: expected a name such as broker.example, or an address`,
  ]),
  ["cert D b1 a/b", `NAME a/b: expected ${NAMES}`],
  ["cert D ca", "ca: the files of this name are others"],
  ["cert D broker", "broker: the files of this name are others"],
  // What is for one of them is for no other.
  ...["--timeout 1s", "--queue 1s", "--stages 1", "--max-failed 1", "--detach"].flatMap((option) =>
    ["ls", "watch", "asyncapi b1", "cert D b1"].map((word) => [
      `${word} ${option}`,
      `${option.split(" ")[0]} is for call`,
    ]),
  ),
  ...["call b1 a/b", "asyncapi b1", "cert D b1"].map((word) => [
    `${word} --group g`,
    "--group is for ls, watch",
  ]),
  ...["call b1 a/b", "asyncapi b1", "ls", "watch"].flatMap((word) =>
    ["--host h", "--days 3"].map((option) => [
      `${word} ${option}`,
      `${option.split(" ")[0]} is for cert`,
    ]),
  ),
])("wrong usage: %s", async (line, why) => {
  const argv = (line ?? "").split(" ").filter(Boolean);
  const at = argv.map((one) => (one === "D" ? join(dir, "none") : one));
  expect(await wrongOf(run, ...at)).toBe(`spawnbox fleet: ${why}`);
  expect(readdirSync(dir)).not.toContain("none");
});

describe("who calls, and where the broker is", () => {
  const wrong = async (...argv: string[]) => {
    const { code, err } = await saidBy(run, "ls", ...argv);
    expect([code, err.split("\n").at(-1)]).toEqual([2, "spawnbox fleet: 1 problem(s) above"]);
    return err.split("\n")[0];
  };
  test("is not said, or not as it can be", async () => {
    const who = "say who calls: --operator NAME, or operator in a fleet file";
    const by = ["--operator", "op1"];
    const url = ["--broker", "mqtt://localhost:1"];
    expect(await wrong(...url)).toBe(`command line: ${who}`);
    expect(await wrong(...url, "--operator", "a/b")).toBe(`command line: ${who}`);
    for (const half of ["--cert", "--key"])
      expect(await wrong(...url, ...by, half, "x")).toBe(
        "command line: --cert and --key go together",
      );
    expect(await wrong(...by, "--broker", "http://h")).toBe(
      'command line: expected mqtts://HOST[:PORT], not "http://h"',
    );
    const file = join(dir, "fleet.json");
    writeFileSync(file, '{"broker": "mqtt://localhost:1", "board": "b1"}', { mode: 0o644 });
    expect(await wrong("--fleet", file)).toBe(`${file}: ${who}`);
    expect(await wrong("--fleet", join(dir, "nowhere.json"))).toContain("ENOENT");
  });
  test("where there is none that is told, without an end", async () => {
    // Of a certificate that is not there the first connection knows.
    const { code, err } = await saidBy(
      run,
      ...["ls", "--operator", "op1", "--broker", "mqtts://localhost:1"],
      ...["--ca", join(dir, "no-ca.pem")],
    );
    expect([code, err.startsWith("spawnbox fleet: ")]).toEqual([3, true]);
  });
});

test("certificates are made of what is not there, each with its names, days and modes", async () => {
  const place = join(dir, "certs/deep");
  const make = (...argv: string[]) => saidBy(run, "cert", place, ...argv);
  const at = (name: string) => join(place, `${name}.pem`);
  const read = (name: string) => new X509Certificate(readFileSync(at(name)));
  const first = await make("b1", "op1", "--host", "h.example", "--host", "::1", "--days", "3");
  expect(first).toEqual({
    ...{ code: 0, err: "" },
    out: ["made, each with its .key:", ...["ca", "broker", "b1", "op1"].map(at)].join("\n"),
  });
  expect(readdirSync(place).toSorted()).toEqual(
    ["b1", "broker", "ca", "op1"].flatMap((name) => [`${name}.key`, `${name}.pem`]),
  );
  for (const name of ["ca", "broker", "b1", "op1"])
    expect([
      statSync(at(name)).mode & 0o777,
      statSync(join(place, `${name}.key`)).mode & 0o777,
    ]).toEqual([0o644, 0o600]);
  expect(statSync(place).mode & 0o777).toBe(0o755);
  expect([read("ca"), read("b1"), read("op1")].map(({ subject }) => subject)).toEqual([
    ...["CN=spawnbox fleet", "CN=b1", "CN=op1"],
  ]);
  expect(read("broker").subjectAltName).toBe("DNS:h.example, IP Address:0:0:0:0:0:0:0:1");
  const days = ({ validFrom, validTo }: X509Certificate) =>
    (Date.parse(validTo) - Date.parse(validFrom)) / 86_400_000;
  expect([days(read("b1")), days(read("broker"))]).toEqual([3, 3]);
  const begun = Date.now() - Date.parse(read("b1").validFrom);
  expect(Math.round(begun / 86_400_000)).toBe(1);
  const before = readFileSync(at("b1"));
  expect(await make("b1", "--host", "other")).toMatchObject({ code: 0, out: "all are there" });
  expect((await make("b2")).out).toBe(`made, each with its .key:\n${at("b2")}`);
  expect(readFileSync(at("b1"))).toEqual(before);
  expect(days(read("b2"))).toBe(365);
  for (const name of ["b1", "b2", "broker"])
    expect(read(name).verify(read("ca").publicKey)).toBe(true);
  // An authority without its key cannot sign.
  rmSync(join(place, "ca.key"));
  expect((await make("b3")).out).toBe(`made, each with its .key:\n${at("ca")}\n${at("b3")}`);
  writeFileSync(join(place, "ca.key"), "no key");
  const { code, err } = await make("b4");
  expect([code, err.startsWith("spawnbox fleet cert: ")]).toEqual([1, true]);
});

/** Lines as they would be printed. */
function printing() {
  const lines: string[] = [];
  const closing = Promise.withResolvers<void>();
  const out = {
    print: (line: string) => void lines.push(line),
    flush: async () => {},
    closed: closing.promise,
  };
  return { lines, out: out as unknown as Lines, close: () => closing.resolve() };
}

describe("boards", () => {
  const presence = new Presence();
  const note = (board: string, kind: string, what: object | string) =>
    presence.note(
      board,
      kind,
      [],
      Buffer.from(typeof what === "string" ? what : JSON.stringify(what)),
    );
  const about = (groups: string[], apis: string[], version?: string) => ({
    ...{ groups, apis, limits: {}, arch: "x64" },
    ...(version !== undefined && { version }),
  });
  note("a-long-name", "about", about(["dock", "quay"], ["x", "y"], "1.2.3"));
  note("a-long-name", "status", "online");
  note("b", "about", about([], []));
  note("b", "status", "offline");
  note("c", "status", "online");
  const silent = presence.boards.get("c");
  if (silent) silent.heard = performance.now() - 3_600_000;
  const operator = { look: async () => {}, presence } as unknown as Operator;

  test("are listed, in columns as wide as they have to be", async () => {
    const { lines, out } = printing();
    expect(await listBoards(operator, "all", false, out)).toBe(0);
    expect(lines).toEqual([
      "BOARD        STATE              VERSION  GROUPS  APIS",
      "a-long-name  online             1.2.3    dock,quay  x,y",
      "b            offline            ?        -  ",
      "c            silent for 60 min  ?        -  ",
    ]);
    const dock = printing();
    await listBoards(operator, "dock", false, dock.out);
    expect(dock.lines.slice(1).map((line) => line.split(" ")[0])).toEqual(["a-long-name"]);
    const none = printing();
    await listBoards(operator, "none", false, none.out);
    expect(none.lines).toEqual(["BOARD  STATE              VERSION  GROUPS  APIS"]);
  });
  test("are lines of JSON, without a head", async () => {
    const { lines, out } = printing();
    await listBoards(operator, "all", true, out);
    const all = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(all.map(({ board, status, version }) => [board, status, version])).toEqual([
      ["a-long-name", "online", "1.2.3"],
      ["b", "offline", undefined],
      ["c", "online", undefined],
    ]);
    expect(all[0]).toMatchObject({ groups: ["dock", "quay"], apis: ["x", "y"] });
  });
  test("that come and go are told, once by each, of the group that was asked for", () => {
    const { lines, out } = printing();
    const told = (board: string, kind = "status", group = "all", json = false) =>
      toldBoard(operator, board, kind, group, json, out);
    told("b", "about");
    told("b");
    told("c", "status", "dock");
    told("a-long-name", "status", "dock");
    told("a-long-name", "status", "other");
    told("gone");
    told("a-long-name", "status", "quay", true);
    expect(lines).toEqual([
      ...["b offline", "a-long-name online", "gone gone"],
      '{"board":"a-long-name","status":"online","version":"1.2.3","groups":["dock","quay"],"apis":["x","y"]}',
    ]);
  });
});

describe.skipIf(!hasBroker)("a call", () => {
  let broker: Broker;
  let all: ReturnType<typeof simulated>[];
  beforeAll(async () => {
    broker = await startBroker({ tls: false });
    const answers = {
      good: success({ a: 1 }),
      plain: success(),
      bad: failure(new AfbError("bad-state", "two\nlines")),
      away: success(),
    };
    all = Object.entries(answers).map(([name, reply]) =>
      simulated(broker, name, () => reply, { groups: [name === "good" ? "one" : "more"] }),
    );
    for (const one of all) one.start();
    await until("all are there", () => all.every((one) => one.isJoined));
    await all[3]?.close();
  });
  afterAll(async () => {
    await Promise.all(all.map((one) => one.close()));
    await broker?.[Symbol.asyncDispose]();
  });
  const called = (to: string, json = false) =>
    withOperator(broker, async (operator) => {
      const { lines, out } = printing();
      const call = {
        ...{ target: parseTarget(to), isQueued: false, stages: undefined, json, detach: false },
        ...{ mostFailed: parseAmount("0"), invocation: invocation() },
      } as FleetCall;
      const listeners = process.listenerCount("SIGINT") + process.listenerCount("SIGTERM");
      const code = await fleetCall(operator, call, out);
      expect(process.listenerCount("SIGINT") + process.listenerCount("SIGTERM")).toBe(listeners);
      return { code, lines };
    });
  test("to one board is a line, and its exit code that of the board", async () => {
    expect(await called("good")).toEqual({ code: 0, lines: ['good: ok {"a":1}'] });
    expect(await called("plain")).toEqual({ code: 0, lines: ["plain: ok"] });
    expect(await called("bad")).toEqual({ code: 1, lines: ["bad: refused: two lines"] });
    expect(await called("away")).toEqual({ code: 1, lines: ["away: offline"] });
    expect(await called("never")).toEqual({
      ...{ code: 1, lines: ["no board never was ever seen: see spawnbox fleet ls"] },
    });
  });
  test("to a group is a line for each, and one for all", async () => {
    const { code, lines } = await called("@more");
    expect([code, lines.slice(0, -1).toSorted(), lines.at(-1)]).toEqual([
      1,
      ["away: offline", "bad: refused: two lines", "plain: ok"],
      expect.stringMatching(/^1 offline, (1 ok, 1 refused|1 refused, 1 ok)$/),
    ] as never);
    expect(await called("@one")).toEqual({ code: 0, lines: ['good: ok {"a":1}', "1 ok"] });
    expect(await called("@none")).toEqual({
      ...{ code: 1, lines: ["no board of this group was ever seen"] },
    });
  });
  test("in JSON, for scripts", async () => {
    const read = async (to: string) =>
      (await called(to, true)).lines.map((line) => JSON.parse(line) as object);
    expect(await read("@one")).toMatchObject([
      {
        board: "good",
        result: "ok",
        reply: { request: { status: "success" }, response: { a: 1 } },
      },
      { summary: { ok: 1 } },
    ]);
    expect(await read("away")).toEqual([{ board: "away", result: "offline" }]);
    expect(await read("never")).toEqual([
      { summary: {}, info: "no board never was ever seen: see spawnbox fleet ls" },
    ]);
  });
  test.each(["ends", "does not end", "is left"])(
    "that is interrupted stops what it has started, or leaves it: a task that %s",
    async (how) => {
      const detach = how === "is left";
      const asked: unknown[] = [];
      let client: Client | undefined;
      const slow = simulated(broker, "slow", (_, request) => {
        const { args } = request;
        if (typeof args === "object" && args !== null && "action" in args) {
          asked.push(args);
          // A little later: it is waited for.
          if (how === "ends")
            setTimeout(() => {
              void client?.send("boat/horn", { type: "final-event", pid: 7, status: { exit: 0 } });
            }, 300);
          return success();
        }
        client = request.client;
        return success({ api: "boat", sandbox: "s", command: "horn", pid: 7 });
      });
      slow.start();
      await until("it is there", () => slow.isJoined);
      using said = spyOn(console, "error").mockImplementation(() => {});
      const { lines, out } = printing();
      const code = await withOperator(broker, async (operator) => {
        const call = {
          ...{ target: parseTarget("slow"), isQueued: false, stages: undefined },
          ...{ mostFailed: parseAmount("0"), invocation: invocation(), json: false, detach },
        } as FleetCall;
        const calling = fleetCall(operator, call, out);
        await until("it runs", () => client !== undefined);
        process.emit("SIGINT");
        await until("it is asked", () => detach || asked.length > 0);
        if (how === "does not end") process.emit("SIGINT");
        return await calling;
      });
      await slow.close();
      expect(code).toBe(130);
      const words = detach
        ? "left (boards: 1); the tasks go on"
        : "stopping (boards: 1); Ctrl-C again leaves them";
      expect(said.mock.calls.flat()).toEqual([`spawnbox fleet call: ${words}`]);
      expect(asked).toEqual(detach ? [] : [{ action: "stop", args: { pid: 7 } }]);
      if (how === "ends") expect(lines.at(-1)).toStartWith("slow: ok");
    },
  );
  test("whose output nobody reads any more ends as well", async () => {
    const slow = simulated(broker, "slow", () => new Promise(() => {}));
    slow.start();
    await until("it is there", () => slow.isJoined);
    using said = spyOn(console, "error").mockImplementation(() => {});
    const { out, close } = printing();
    const code = await withOperator(broker, async (operator) => {
      const call = {
        ...{ target: parseTarget("slow"), isQueued: false, stages: undefined },
        ...{ mostFailed: parseAmount("0"), invocation: invocation(), json: false, detach: true },
      } as FleetCall;
      const calling = fleetCall(operator, call, out);
      close();
      return await calling;
    });
    await slow.close();
    expect([code, said.mock.calls.length]).toEqual([1, 0]);
  });
});

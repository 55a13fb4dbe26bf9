/** Subcommands that ask a server, which says here what a test wants: what they send, what they print, and how they end. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { run as call } from "../../src/cli/call.ts";
import { run as mcp } from "../../src/cli/mcp.ts";
import { run as ps } from "../../src/cli/ps.ts";
import { run as stop } from "../../src/cli/stop.ts";
import { run as watch } from "../../src/cli/watch.ts";
import { tableOf } from "../../src/command-line/tasks.ts";
import type { TaskRecord } from "../../src/api/record.ts";
import { isRoot } from "../accounts.ts";
import { type Answer, sendEvent as event, wireServer, type WireSocket } from "../wire-server.ts";
import { wrongOf } from "./saying.ts";

const ID = "1m8j538rr6v0jkc";
test.each([
  [ps, "ps --limit 0", "--limit 0: expected a number from 1 to 1000"],
  [ps, "ps --limit 1001", "--limit 1001: expected a number from 1 to 1000"],
  [ps, "ps --limit x", "--limit x: expected a number from 1 to 1000"],
  [ps, "ps x", "unexpected argument x"],
  [stop, "stop", "say which task: its ID, as spawnbox ps shows it"],
  [stop, `stop ${ID} 5`, "name one task"],
  [stop, "stop 12345678", '"12345678" is neither an ID, as spawnbox ps shows it, nor a pid'],
  [stop, "stop 5 -s SIGHUPP", "--signal SIGHUPP: no such signal; did you mean `SIGHUP`?"],
  [stop, "stop 5 -s nothing", "--signal nothing: no such signal"],
  [watch, "watch", "say which task: its ID, as spawnbox ps shows it"],
  [watch, "watch 5 --from x", "--from x: expected the number of an event"],
  [
    watch,
    "watch 5 --from 1234567890123456",
    "--from 1234567890123456: expected the number of an event",
  ],
  [call, "call", "say which verb: API/VERB"],
  [call, "call a/b --url ftp://x", '"ftp://x" is not a URL such as ws://localhost:1234/api'],
  [mcp, "mcp --audit x", "--audit is for --config: the server has an audit of its own"],
  ...["--url http://h", "--token t", "--token-file f", "--ca c", "--cert c"].map(
    (option) =>
      [
        mcp,
        `mcp --config x ${option}`,
        "give either a server (--url) or configs (--config, --plan), not both",
      ] as const,
  ),
] as const)("%p wrong usage: %s", async (run, line, why) => {
  const [name, ...argv] = line.split(" ");
  expect(await wrongOf(run, ...argv)).toBe(`spawnbox ${name}: ${why}`);
});

/** Calls as they came: verb and arguments. */
const asked: [string, unknown][] = [];
/** In place of an answer, something else may be done with the connection. */
const answers = new Map<string, (args: unknown, socket: WireSocket) => Answer | undefined>();
let server: Bun.Server<undefined>;
beforeEach(() => {
  asked.length = 0;
  answers.clear();
  server = wireServer(({ socket, verb, args, answer }) => {
    asked.push([verb, args]);
    const found = answers.get(verb);
    const given = found ? found(args, socket) : { status: "unknown-verb" };
    if (given) answer(given);
  });
});
afterEach(() => server.stop(true));

/** In a process of its own, whose output is known then. */
async function spawnbox(name: string, ...argv: readonly string[]) {
  const file = join(import.meta.dir, `../../src/cli/${name}.ts`);
  const code = `const { run } = await import(${JSON.stringify(file)});
    process.exit(await run(process.argv.slice(1)));`;
  const child = Bun.spawn(
    [process.execPath, "-e", code, "--", ...argv, "--url", `http://localhost:${server.port}`],
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: { PATH: process.env["PATH"], TZ: process.env["TZ"] },
    },
  );
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, out, err, child };
}

const record = (id: string, more: object = {}) => ({
  ...{ id, api: "a", verb: "v", pid: 7, state: "running", asked: 1000, started: 1000 },
  ...{ caller: { via: "rest" }, ...more },
});
const table = (...all: object[]) => `${tableOf(all as unknown as TaskRecord[]).join("\n")}\n`;
const ended = { state: "ended", status: { exit: 0, usage: { wall: 1 } } };

describe("ps", () => {
  const tasks = (...all: object[]) =>
    answers.set("monitor/tasks", (args) => ({
      response: all.filter((one) => {
        const { state } = args as { state: string };
        return state === "all" || (one as { state: string }).state === state;
      }),
    }));
  test("shows those that wait or run, the last first", async () => {
    tasks(
      record("1m8j538rr6v0jk1", ended),
      record("1m8j538rr6v0jk2", { state: "waiting", started: undefined, pid: undefined }),
      record("1m8j538rr6v0jk3", { started: Date.now() }),
    );
    const { code, out, err } = await spawnbox("ps");
    expect([code, err]).toEqual([0, ""]);
    expect(out.split("\n").map((line) => line.split(" ")[0])).toEqual([
      ...["ID", "1m8j538rr6v0jk3", "1m8j538rr6v0jk2", ""],
    ]);
    expect(asked).toEqual(
      ["waiting", "running"].map((state) => ["monitor/tasks", { state, limit: 100 }]),
    );
  });
  test("shows all, or the last ones, also as JSON", async () => {
    const all = [1, 2, 3].map((n) => record(`1m8j538rr6v0jk${n}`, ended));
    tasks(...all);
    expect((await spawnbox("ps", "-a")).out).toBe(table(...all.toReversed()));
    expect(asked).toEqual([["monitor/tasks", { state: "all", limit: 100 }]]);
    const { out } = await spawnbox("ps", "--all", "--json", "--limit", "2");
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as object),
    ).toEqual(all.toReversed().slice(0, 2));
    expect(asked.at(-1)).toEqual(["monitor/tasks", { state: "all", limit: 2 }]);
  });
  test("is refused, and says why", async () => {
    answers.set("monitor/tasks", () => ({ status: "forbidden", info: "not\nyou" }));
    const { code, out, err } = await spawnbox("ps");
    expect([code, out]).toEqual([1, ""]);
    expect(err).toStartWith("spawnbox ps: ");
    expect(err).toContain("not");
  });
  test("goes on with what begins and ends, until the connection is lost", async () => {
    const task = record(ID, ended);
    answers.set("monitor/tasks", (args, socket) => {
      const { state } = args as { state: string };
      if (state === "running")
        setTimeout(() => {
          for (const data of [
            { type: "ended", task },
            { type: "dropped", task: { ...task, state: "waiting" } },
            { dropped: 3 },
            { type: "odd" },
          ])
            event(socket, "monitor/tasks", data);
          event(socket, "other/tasks", { task });
          socket.close(4000, "gone");
        }, 50);
      return { response: [] };
    });
    const { code, out, err } = await spawnbox("ps", "-w");
    const row = table(task).split("\n")[1] ?? "";
    expect(out).toBe(`${table()}${row}\n${row}\n`);
    expect(err).toMatch(
      /^spawnbox ps: 3 changes are missing here\nspawnbox ps: the connection was lost: .*gone/,
    );
    expect(code).toBe(3);
    expect(asked).toEqual(
      ["waiting", "running"].map((state) => ["monitor/tasks", { state, limit: 100, follow: true }]),
    );
  });
});

describe("stop", () => {
  const known = (...all: object[]) => answers.set("monitor/tasks", () => ({ response: all }));
  test.each([
    [[ID], { id: ID, limit: 1 }, { id: ID }],
    [["4711"], { pid: 4711, limit: 1 }, { id: ID }],
    [[ID, "-s", "HUP"], { id: ID, limit: 1 }, { id: ID, signal: 1 }],
    [[ID, "--signal", "15"], { id: ID, limit: 1 }, { id: ID, signal: 15 }],
  ])("%p tells the task", async (argv, filter, args) => {
    known(record(ID));
    answers.set("a/v", () => ({}));
    expect(await spawnbox("stop", ...argv)).toMatchObject({ code: 0, out: "", err: "" });
    expect(asked).toEqual([
      ["monitor/tasks", filter],
      ["a/v", { action: "stop", args }],
    ]);
  });
  test("where there is none, it has ended, or the server refuses", async () => {
    known();
    const none = `no task ${ID} that you may follow: spawnbox ps --all shows those that are known`;
    expect(await spawnbox("stop", ID)).toMatchObject({ code: 1, err: `spawnbox stop: ${none}\n` });
    known(record(ID, ended));
    expect(await spawnbox("stop", ID)).toMatchObject({
      ...{ code: 1, err: `spawnbox stop: task ${ID} has ended already: exit 0\n` },
    });
    expect(asked.every(([verb]) => verb === "monitor/tasks")).toBe(true);
    known(record(ID));
    answers.set("a/v", () => ({ status: "forbidden", info: "why" }));
    expect(await spawnbox("stop", ID)).toMatchObject({
      ...{ code: 1, err: "spawnbox stop: forbidden: why\n" },
    });
    answers.set("a/v", (_, socket) => void socket.close(4000, "gone"));
    expect((await spawnbox("stop", ID)).code).toBe(3);
  });
});

describe("watch", () => {
  const STARTED = { api: "a", sandbox: "s", command: "v", pid: 7 };
  test("asks from where it is told to, and prints to the end", async () => {
    for (const [argv, from] of [
      [[], 1],
      [["--from", "0"], 0],
      [["--from", "99"], 99],
    ] as const) {
      asked.length = 0;
      answers.set("monitor/tasks", () => ({ response: [record(ID)] }));
      answers.set("a/v", (_, socket) => {
        setTimeout(() => {
          event(socket, "a/v", { type: "data", pid: 7, stdout: "x", seq: 5 });
          event(socket, "a/v", { type: "final-event", pid: 7, status: { exit: 0 } });
        }, 20);
        return { response: STARTED };
      });
      const { code, out } = await spawnbox("watch", ID, ...argv);
      expect([code, out.includes('"stdout":"x"')]).toEqual([0, true]);
      expect(asked[1]).toEqual(["a/v", { action: "subscribe", args: { id: ID, from } }]);
    }
  });
  test("says that there is none", async () => {
    answers.set("monitor/tasks", () => ({ response: [] }));
    const { code, err } = await spawnbox("watch", "5");
    expect([code, err.startsWith("spawnbox watch: no task with pid 5 that you")]).toEqual([
      1,
      true,
    ]);
  });
});

test("call: the reply as JSON, and an exit code of it; without a server there is another", async () => {
  answers.set("a/v", (args) => ({ response: args }));
  const good = await spawnbox("call", "a/v", '{"x": 1.50}');
  expect([good.code, good.err, JSON.parse(good.out)]).toMatchObject([
    ...[0, "", { request: { status: "success" }, response: { x: 1.5 } }],
  ] as never);
  expect(asked).toEqual([["a/v", { x: 1.5 }]]);
  expect((await spawnbox("call", "a/w")).code).toBe(1);
  await server.stop(true);
  const { code, err } = await spawnbox("call", "a/v");
  expect([code, err.startsWith("spawnbox call: cannot connect to ws://localhost:")]).toEqual([
    ...[3, true],
  ]);
});

test("run: who interrupts it has the end of a task that may take its time", async () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-asking-"));
  const config = join(dir, "config.json");
  const script =
    "trap 'sleep 0.2; echo cleaned; exit' TERM; echo ready; while :; do sleep 0.01; done";
  const commands = {
    uid: "slow",
    encoder: "line",
    exec: { cmdpath: "/bin/sh", args: ["-c", script] },
  };
  const sandboxes = {
    ...{ uid: "s", acls: isRoot ? { user: "nobody" } : {} },
    commands: { ...commands, stop: { signal: "SIGTERM", grace: 20 } },
  };
  writeFileSync(config, JSON.stringify({ metadata: { uid: "r", api: "r" }, sandboxes }));
  const file = join(import.meta.dir, "../../src/cli/run.ts");
  const code = `const { run } = await import(${JSON.stringify(file)});
    process.exit(await run(process.argv.slice(1)));`;
  const child = Bun.spawn([process.execPath, "-e", code, "--", "r/slow", "--config", config], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] },
  });
  let out = "";
  let told: "SIGINT" | undefined;
  try {
    for await (const chunk of child.stdout) {
      out += Buffer.from(chunk).toString();
      // A second one would end it at once.
      if (!told && out.includes("ready")) child.kill((told = "SIGINT"));
    }
    expect([await child.exited, await child.stderr.text()]).toEqual([130, expect.any(String)]);
    expect(out).toContain("cleaned");
  } finally {
    child.kill("SIGKILL");
    rmSync(dir, { recursive: true });
  }
});

test("run: what reads its input gets it, and others leave it alone", async () => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-asking-"));
  const config = join(dir, "config.json");
  const cat = { encoder: "sync", exec: { cmdpath: "/bin/cat", args: [] } };
  writeFileSync(
    config,
    JSON.stringify({
      metadata: { uid: "r", api: "r" },
      sandboxes: {
        ...{ uid: "s", acls: isRoot ? { user: "nobody" } : {} },
        commands: [
          { uid: "fed", ...cat, stdin: "body" },
          { uid: "not", ...cat },
        ],
      },
    }),
  );
  try {
    for (const [verb, printed] of [
      ["fed", ["given"]],
      ["not", undefined],
    ] as const) {
      const file = join(import.meta.dir, "../../src/cli/run.ts");
      const code = `const { run } = await import(${JSON.stringify(file)});
        process.exit(await run(process.argv.slice(1)));`;
      const child = Bun.spawn(
        [process.execPath, "-e", code, "--", `r/${verb}`, "--config", config],
        {
          stdio: [Buffer.from("given\n"), "pipe", "pipe"],
          env: { PATH: process.env["PATH"] },
        },
      );
      const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text()]);
      const said = [
        await child.exited,
        err.split("\n").filter((line) => !/^notice: |^$/.test(line)),
      ];
      expect([verb, ...said]).toEqual([verb, 0, []]);
      const { response } = JSON.parse(out.trimEnd().split("\n").at(-1) ?? "") as {
        response: { stdout?: string[] };
      };
      expect([verb, response.stdout]).toEqual([verb, printed as never]);
    }
  } finally {
    rmSync(dir, { recursive: true });
  }
});

/** What is told of tasks, and of calls that did not become one: by records without secrets, each once. */
import { describe, expect, test } from "bun:test";
import type { RegistryOptions } from "../../src/api/registry.ts";
import type { TaskRecord } from "../../src/api/record.ts";
import { TASK_ID, TaskIds } from "../../src/api/task-id.ts";
import type { Refusal, Stopping, Witness } from "../../src/api/witness.ts";
import { SERVER_SESSION } from "../../src/api/client.ts";
import { Log } from "../../src/log.ts";
import { AfbError } from "../../src/errors.ts";
import { parseTemplate } from "../../src/plan/argv.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { apiOf, connecting, paramsOf, pidOf, shell, sleeper, use } from "./harness.ts";

const connect = connecting();

/** Copies, since a record goes on. */
class Notes implements Witness {
  readonly begun: TaskRecord[] = [];
  readonly over: TaskRecord[] = [];
  readonly refusals: Refusal[] = [];
  readonly stops: Stopping[] = [];
  started = (record: TaskRecord) => void this.begun.push(structuredClone(record));
  ended = (record: TaskRecord) => void this.over.push(structuredClone(record));
  refused = (refusal: Refusal) => void this.refusals.push(refusal);
  stopping = (stopping: Stopping) => void this.stops.push(stopping);
}

function witnessed(plans: readonly Plan[], options: Partial<RegistryOptions> = {}) {
  const notes = new Notes();
  return { notes, ...connect(plans, { witnesses: [notes], ...options }) };
}

const args = ["-c", "echo $0 $1", "%user%", "%password%"];
const login = (overrides: Partial<Plan> = {}) =>
  shell("login", "", {
    argv: parseTemplate("/bin/sh", args, (text) => text),
    params: paramsOf({ password: { type: "string", writeOnly: true, maxLength: 8 } }),
    ...use("sync"),
    ...overrides,
  });

test("ids are short, sorted and never the same, also where the clock is set back", () => {
  let now = 1_700_000_000_000;
  const made = new TaskIds(() => now);
  const next = () => made.next();
  const ids: string[] = [];
  for (let i = 0; i < 5000; i++) {
    if (i % 1000 === 0) now -= 5_000;
    if (i % 100 === 0) now++;
    ids.push(next());
  }
  expect(new Set(ids).size).toBe(5000);
  expect([...ids].sort()).toEqual(ids);
  expect(ids.every((id) => TASK_ID.test(id))).toBe(true);
  const other = new TaskIds(() => now);
  expect(new Set([...ids, other.next(), other.next()]).size).toBe(5002);
});

test("ids go on behind the last of an earlier server, whose clock was ahead", () => {
  let now = 1_700_000_000_000;
  const before = new TaskIds(() => now);
  const last = [before.next(), before.next()].at(-1) ?? "";
  now = 60_000;
  const ids = new TaskIds(() => now);
  expect(ids.next() < last).toBe(true);
  ids.continueAfter(last);
  const behind = [ids.next(), ids.next()];
  expect([last, ...behind]).toEqual([last, ...behind].sort());
  // What is earlier, or none, takes nothing back.
  for (const id of ["000000000000001", "nonsense", ""]) ids.continueAfter(id);
  expect(ids.next() > (behind.at(-1) ?? "")).toBe(true);
  // A server that was killed has given some behind that, which no history has.
  const killed = Array.from({ length: 100 }, () => before.next());
  const again = new TaskIds(() => now);
  again.continueAfter(last);
  const others = Array.from({ length: 100 }, () => again.next());
  expect(new Set([...killed, ...others]).size).toBe(200);
  now = 1_800_000_000_000;
  expect(ids.next().slice(0, 9)).toBe(new TaskIds(() => now).next().slice(0, 9));
});

describe("a task", () => {
  test("is told when it runs and when it has ended, by the same id", async () => {
    const { client, notes } = witnessed([shell("say", "echo a; echo b >&2; exit 3")], {
      named: () => "the panel",
    });
    const caller = { token: "SECRET-TOKEN", address: "10.0.0.7", via: "websocket" } as const;
    const pid = pidOf(await client.call("say", undefined, { caller }));
    await client.until("final-event");
    const [begun] = notes.begun;
    expect(begun).toMatchObject({
      ...{ api: "p", verb: "say", sandbox: "sb", command: "say", pid, state: "running" },
      caller: { info: "the panel", address: "10.0.0.7", via: "websocket" },
    });
    expect(begun?.id).toMatch(TASK_ID);
    expect(notes.over).toMatchObject([
      { id: begun?.id, state: "ended", status: { exit: 3 }, printed: { bytes: 4, lines: 2 } },
    ]);
    expect(JSON.stringify(notes)).not.toContain("SECRET-TOKEN");
    expect(notes.refusals).toEqual([]);
  });

  test("that waits for its end is told as others are", async () => {
    const { client, notes } = witnessed([shell("say", "echo a", use("sync"))]);
    await client.call("say");
    expect(notes.begun.length).toBe(1);
    expect(notes.over.map(({ state }) => state)).toEqual(["ended"]);
  });

  test("is told of each stop, with its signal and who sends it", async () => {
    const { client, notes } = witnessed([sleeper("sleep")]);
    const pid = pidOf(await client.call("sleep"));
    await client.call("sleep", { action: "stop", args: { pid, signal: "TERM" } });
    await client.until("final-event");
    expect(notes.stops).toMatchObject([{ signal: 15, record: { pid } }]);
    await client.call("sleep", { action: "stop", args: { pid } });
    expect(notes.refusals).toMatchObject([{ action: "stop", status: "invalid-request" }]);
  });
});

describe("a secret is not told", () => {
  test("of a task: neither as an argument nor in the command line", async () => {
    const { client, notes } = witnessed([login()]);
    const reply = await client.call("login", { user: "ann", password: "hunter2" });
    expect(JSON.stringify(reply)).toContain("ann hunter2");
    expect(JSON.stringify(notes)).not.toContain("hunter2");
    expect(notes.begun[0]).toMatchObject({
      args: { user: "ann", password: "***" },
      argv: ["/bin/sh", "-c", "echo $0 $1", "ann", "***"],
      hidden: true,
    });
  });

  test("of a call that is refused: by its value, a name that is wrong, or a query that is none", async () => {
    const { client, notes } = witnessed([login()]);
    await client.call("login", { user: "ann", password: "hunter2-too-long" });
    await client.call("login", { user: "ann", pasword: "hunter2" });
    await client.call("login", ["hunter2"]);
    await client.call("login", "hunter2");
    await client.call("login", { action: "start", args: '{"password":"hunter2"' });
    await client.call("login", { action: "hunter2", args: {} });
    expect(notes.refusals.map(({ status }) => status)).toEqual(
      Array.from({ length: 6 }, () => "invalid-request"),
    );
    expect(JSON.stringify(notes)).not.toContain("hunter2");
    expect(notes.refusals[0]).toMatchObject({ args: { user: "ann", password: "***" } });
  });

  test("in the log and in traces, neither of a call that is refused nor of one that is not", async () => {
    const lines: string[] = [];
    const log = new Log((line) => lines.push(line));
    const { client } = witnessed([login()], { log });
    log.set("p", "debug");
    await client.call(
      "trace",
      { add: { request: "*" } },
      { api: "monitor", session: SERVER_SESSION },
    );
    await client.call("login", { user: "ann", password: "hunter2" });
    await client.call("login", { user: "ann", password: "hunter2-too-long" });
    await client.call("login", { user: "ann", pasword: "hunter2" });
    const traced = client.wire.filter((frame) => frame.includes("monitor/trace"));
    expect(traced.join()).toContain('"user":"ann"');
    const [, ...others] = traced.join().split('"stdout":["ann hunter2"]');
    expect(
      [...lines, traced.join().split('"stdout":["ann hunter2"]')[0], ...others].join(),
    ).not.toContain("hunter2");
    expect(lines.join()).toContain("invalid-request");
  });

  test("where the config wants no arguments to be shown", async () => {
    const { client, notes } = witnessed([login({ discreet: true })]);
    await client.call("login", { user: "ann", password: "hunter2" });
    await client.call("login", { user: "ann", surname: "hunter2" });
    expect(notes.begun.length + notes.refusals.length).toBe(2);
    expect(JSON.stringify(notes)).not.toMatch(/hunter2|ann/);
    expect(notes.begun[0]?.argv).toBeUndefined();
  });

  test("of an exec in a sandbox that shows nothing, nor where that is not known", async () => {
    const template = (sandbox: string, discreet?: true): Plan =>
      shell("exec", "", {
        sandbox,
        argv: { elements: [], names: new Set() },
        ...(discreet && { discreet }),
      });
    const sandboxes = [
      { uid: "open", plans: [], exec: template("open") },
      { uid: "shy", plans: [], exec: template("shy", true) },
    ];
    const { client, notes } = witnessed([], { apis: [apiOf([], { sandboxes })] });
    const exec = { cmdpath: "/bin/echo", args: ["hunter2"] };
    await client.call("exec", { sandbox: "shy", exec, encoder: "sync" });
    await client.call("exec", { sandbox: "syh", exec });
    await client.call("exec", { sandbox: "shy", exec, hunter2: 1 });
    expect(notes.begun.length + notes.refusals.length).toBe(3);
    expect(JSON.stringify(notes)).not.toContain("hunter2");
    await client.call("exec", {
      sandbox: "open",
      exec: { ...exec, args: ["seen"] },
      encoder: "sync",
    });
    expect(notes.begun.at(-1)?.argv).toEqual(["/bin/echo", "seen"]);
  });
});

describe("a call that did not start a task is told once, with why", () => {
  test("for a privilege, wrong arguments, a place that is taken, a program that is not there", async () => {
    const plans = [
      shell("guarded", "true", { privileges: ["urn:x"] }),
      sleeper("one", { concurrency: 1 }),
      shell("none", "", { argv: parseTemplate("/no/such", [], (text) => text) }),
    ];
    const { client, notes } = witnessed(plans);
    await client.call("guarded");
    await client.call("one");
    await client.call("one");
    await client.call("none");
    expect(notes.refusals.map(({ verb, status }) => [verb, status])).toEqual([
      ["guarded", "insufficient-scope"],
      ["one", "bad-state"],
      ["none", "internal-error"],
    ]);
    expect(notes.refusals[2]?.id).toMatch(TASK_ID);
    expect(notes.begun.length).toBe(1);
  });

  test("also where another verb stands for it, and not for what launches nothing", async () => {
    const extra = [
      {
        uid: "alias",
        action: "api://p#guarded",
        target: { kind: "api", api: "p", verb: "guarded" },
        required: false,
      },
    ] as const;
    const actions = { onload: [], onstart: [], events: [], extra };
    const plans = [shell("guarded", "true", { privileges: ["urn:x"] })];
    const { client, notes } = witnessed([], { apis: [apiOf(plans, { actions })] });
    await client.call("alias");
    await client.call("ping", { a: 1 });
    await client.call("nothing");
    expect(notes.refusals.map(({ verb }) => verb)).toEqual(["alias"]);
  });

  test("for a privilege also where it launches nothing", async () => {
    const { client, notes } = witnessed([]);
    await client.call("trace", { add: "secret" }, { api: "monitor" });
    await client.call("get", { apis: "secret" }, { api: "monitor" });
    expect(notes.refusals).toMatchObject([
      { api: "monitor", verb: "trace", status: "insufficient-scope", hidden: true },
    ]);
    expect(JSON.stringify(notes.refusals)).not.toContain("secret");
  });
});

test("a witness may let nothing start; what runs can be stopped", async () => {
  let full = false;
  const witness: Witness = {
    mayStart() {
      if (full) throw new AfbError("not-available", "nothing can be written down");
    },
  };
  const { client } = connect([sleeper("sleep")], { witnesses: [witness] });
  const pid = pidOf(await client.call("sleep"));
  full = true;
  expect((await client.call("sleep")).request).toMatchObject({
    status: "not-available",
    info: "nothing can be written down",
  });
  expect((await client.call("sleep", { action: "stop", args: { pid } })).request.status).toBe(
    "success",
  );
  await client.until("final-event");
});

/** The small parts that all others stand on: logs, names in any case, objects, turns; and what a client reads and follows. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { CError } from "../ffi/errno.ts";
import type { Reply } from "../src/api/reply.ts";
import { Cased, findCased } from "../src/cased.ts";
import { backoff } from "../src/client/backoff.ts";
import { CallError, ConnectionError } from "../src/client/errors.ts";
import { decodeFrame } from "../src/client/frame.ts";
import { followTask } from "../src/client/task.ts";
import { type Level, LEVELS, Log } from "../src/log.ts";
import { isNothing, isObject } from "../src/object.ts";
import { Turnstile } from "../src/turnstile.ts";
import { deniedAround, errorLine, fatalLine } from "../src/unexpected.ts";
import { Refused } from "../src/errors.ts";
import { filterSource, numbered, type Rule } from "./places/rules.ts";

describe("the log", () => {
  test("has what its level lets through, of an API its own or the server's, in one line", () => {
    const lines: string[] = [];
    const log = new Log((line) => void lines.push(line));
    const through = (api: string) => LEVELS.filter((level) => log.enabled(api, level));
    expect(LEVELS).toEqual(["error", "warning", "notice", "info", "debug"]);
    expect([through(""), through("a")]).toEqual([
      LEVELS.slice(0, 3),
      LEVELS.slice(0, 3),
    ] as Level[][]);
    log.set("a", "debug");
    log.set("", "error");
    expect([log.level("a"), log.level("b"), log.level("")]).toEqual(["debug", "error", "error"]);
    expect(through("b")).toEqual(["error"]);
    log.for("a")("debug", "one\ntwo");
    log.for("b")("warning", "never");
    log.for("")("error", "own");
    expect(lines.splice(0)).toEqual(["debug: a: one\\u000atwo", "error: own"]);
    const [most, over] = ["x".repeat(4096), "x".repeat(4097)];
    log.for("")("error", most);
    log.for("")("error", over);
    expect(lines).toEqual([`error: ${most}`, `error: ${most}… (1 characters more)`]);
  });
});

describe("names in any case", () => {
  test("are found where they say which one is meant", () => {
    expect([
      findCased("a", ["A", "a"]),
      findCased("B", ["a", "b"]),
      findCased("c", ["C", "c "]),
      findCased("d", ["a"]),
    ]).toEqual(["a", "b", "C", undefined]);
    expect(findCased("x", ["X", "x", "y"])).toBe("x");
    expect(findCased("É", ["é", "e"])).toBe("é");
    expect([findCased("Ab", ["aB", "AB"]), findCased("Ab", [])]).toEqual([undefined, undefined]);
    const map = new Cased<number>();
    map.set("a", 1);
    map.set("B", 2);
    expect([map.get("a"), map.get("A"), map.get("b"), map.has("A"), map.has("a")]).toEqual([
      1,
      1,
      2,
      false,
      true,
    ]);
    map.set("A", 3);
    expect([map.get("a"), map.get("A"), [...map.values()]]).toEqual([1, 3, [1, 2, 3]]);
    map.set("cc", 4);
    map.set("CC", 5);
    map.set("Cc", 6);
    expect(map.get("cC")).toBeUndefined();
  });
});

test("what is an object, and what are no arguments", () => {
  expect([{}, { a: 1 }, new Map(), [], null, undefined, "x", 1].map(isObject)).toEqual([
    true,
    true,
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
  expect([undefined, null, {}, [], { a: undefined }, [1], "", 0, false].map(isNothing)).toEqual([
    true,
    true,
    true,
    true,
    false,
    false,
    false,
    false,
    false,
  ]);
});

test("a turnstile lets one through in each turn, not at once, in order", async () => {
  const turnstile = new Turnstile();
  const log: string[] = [];
  turnstile.after = () => void log.push("after");
  for (const name of ["a", "b"]) turnstile.enter(() => void log.push(name));
  expect(log).toEqual([]);
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  await turn();
  expect(log).toEqual(["a", "after"]);
  turnstile.enter(() => void log.push("c"));
  await turn();
  await turn();
  await turn();
  expect(log).toEqual(["a", "after", "b", "after", "c", "after"]);
});

/** As node:fs throws it. */
const ofSystem = (message: string) => Object.assign(new Error(message), { errno: -1 });

test("what nobody foresaw is told in one line, and who is to hear of it", () => {
  const named = Object.assign(new Error("m\n"), { name: "Own" });
  expect([errorLine(new Error("x\ny")), errorLine(named), errorLine("s\n"), errorLine(5)]).toEqual([
    "x\\u000ay",
    "Own: m\\u000a",
    "s\\u000a",
    "5",
  ]);
  expect(fatalLine("n", new Refused("do this\n"))).toBe("n: do this\\u000a");
  expect(fatalLine("n", new Error("a: requires the JIT"))).toMatch(
    /^n: the runtime may not make code as it runs: .* \(a: requires the JIT\)$/,
  );
  const words = `console.log(fatalLine("n", new Error("a: requires the JIT")))`;
  const source = `import { fatalLine } from ${JSON.stringify(join(import.meta.dir, "../src/unexpected.ts"))}; ${words}`;
  // More than it needs: what it says then is what it would have said with less.
  const little = ["prlimit", `--as=${2 ** 42}`, process.execPath, "-e", source];
  expect(`${Bun.spawnSync(little).stdout}`).toMatch(
    /^n: the runtime may have 4398046511104 bytes of address space, .*LimitAS=infinity in the unit .* \(a: requires the JIT\)$/m,
  );
  expect(fatalLine("n", "odd")).toMatch(
    /^n: failed unexpectedly: odd\. This is a bug of spawnbox \S+: please report it, with what SPAWNBOX_DEBUG=1 in its environment makes it tell$/,
  );
  expect([
    deniedAround(new Error("EACCES")),
    deniedAround("EPERM"),
    deniedAround(new Error("XEPERM")),
    deniedAround(new Error("x.json: ENOENT: no such file or directory: /proc/x")),
    deniedAround(ofSystem("EACCES: permission denied, open '/srv/proc/x'")),
    deniedAround(ofSystem("ENOSPC: no space left on device, open '/proc/x'")),
  ]).toEqual(Array(6).fill(undefined));
  const hidden = /hides it$/;
  expect(deniedAround(ofSystem("EIO: i/o error, open '/sys/x'"))).toMatch(hidden);
  expect(deniedAround(new CError("open", "/proc/x", "EACCES"))).toMatch(hidden);
  let none: unknown;
  try {
    readFileSync("/proc/self/none");
  } catch (error) {
    none = error;
  }
  expect(fatalLine("n", none)).toMatch(
    /^n: ENOENT: .*\/proc\/self\/none'?: it is to be there and to be read: a security module .* hides it$/,
  );
});

test("who looks for a bug is told where it comes from", () => {
  const before = process.env["SPAWNBOX_DEBUG"];
  process.env["SPAWNBOX_DEBUG"] = "1";
  try {
    const error = new TypeError("m");
    expect(errorLine(error)).toBe(error.stack ?? "");
    const without = Object.assign(new TypeError("m"), { stack: undefined });
    expect([errorLine(without), errorLine("s\n")]).toEqual(["TypeError: m", "s\\u000a"]);
    expect(fatalLine("n", "odd")).toEndWith(": please report it, with this stack");
  } finally {
    if (before === undefined) delete process.env["SPAWNBOX_DEBUG"];
    else process.env["SPAWNBOX_DEBUG"] = before;
  }
});

test("under a filter, what it may have denied is told as that", () => {
  const code = `import { deniedAround, fatalLine } from ${JSON.stringify(join(import.meta.dir, "../src/unexpected.ts"))};
    const said = (text) => deniedAround(new Error(text)) ?? "-";
    console.log([said("a\\nEPERM: b"), said("ENOSYS"), said("EACCES"), said("XENOSYS"), fatalLine("n", new Error("EPERM"))].join("\\n"));`;
  const run = (rules: readonly Rule[]) => {
    const python = `
import json, os, sys
filters = {"__name__": "filters"}
exec(sys.argv[1], filters)
rules = json.loads(sys.argv[2])
if rules: filters["apply"](rules)
os.execv(sys.argv[3], sys.argv[3:])`;
    const { stdout } = Bun.spawnSync([
      ...["/usr/bin/python3", "-ISc", python, filterSource, JSON.stringify(numbered(rules))],
      ...[process.execPath, "-e", code],
    ]);
    return stdout.toString().trimEnd().split("\n");
  };
  const words =
    ": a seccomp filter around it denies that: SystemCallFilter=@system-service in the unit; or --security-opt seccomp=unconfined, of the container";
  expect(run([{ call: "acct", errno: 1 }])).toEqual([
    `a\\u000aEPERM: b${words}`,
    `ENOSYS${words}`,
    ...["-", "-", `n: EPERM${words}`],
  ]);
  if (!/^Seccomp:\s*2$/m.test(readFileSync("/proc/self/status", "utf8")))
    expect(run([])).toEqual(["-", "-", "-", "-", expect.stringContaining("unexpectedly")]);
});

test("tries come soon at first, then ever more rarely, at random, and end", () => {
  expect([...backoff({ attempts: 8 }, () => 0)]).toEqual([
    250, 500, 1000, 2000, 4000, 8000, 15_000, 15_000,
  ]);
  expect([...backoff({ first: 10, most: 30, attempts: 3 }, () => 1)]).toEqual([5, 10, 15]);
  expect([...backoff({ attempts: 0 })]).toEqual([]);
});

test("messages of a server, and what is none", () => {
  const request = { status: "success" };
  const read = (value: unknown) =>
    decodeFrame(typeof value === "string" ? value : JSON.stringify(value));
  expect(read([5, "a/b", { data: 1 }])).toEqual({ kind: "event", name: "a/b", data: 1 });
  for (const kind of [3, 4])
    expect(read([kind, "7", { request }])).toEqual({
      kind: "reply",
      id: "7",
      reply: { request },
    } as never);
  for (const none of [
    "{",
    "1",
    {},
    [5, 1, {}],
    [5, "a", 1],
    [2, "a", { request }],
    [3, "a", {}],
    [3, "a", { request: 1 }],
    [4, "a", { request: { status: 1 } }],
  ])
    expect(read(none)).toBeUndefined();
  expect(() =>
    decodeFrame("x", () => {
      throw new RangeError("x");
    }),
  ).toThrow(RangeError);
  const reply = (status: string, info?: string) => ({ request: { status, info } }) as Reply;
  expect([
    new CallError("m", reply("denied", "why")).message,
    new CallError("m", reply("success")).message,
  ]).toEqual(["m: denied: why", "m: started no task"]);
});

describe("a task that is followed", () => {
  /** A server that answers so, and tells these events. */
  function connection(answer: object) {
    const listeners = new Map<string, ((...told: never[]) => void)[]>();
    const asked: unknown[] = [];
    return {
      asked,
      tell: (name: string, ...told: unknown[]) =>
        (listeners.get(name) ?? []).forEach((one) => one(...(told as never[]))),
      left: () => [...listeners.values()].flat().length,
      call: (method: string, args: unknown) => {
        asked.push([method, args]);
        return Promise.resolve(answer as Reply);
      },
      on(name: string, listener: (...told: never[]) => void) {
        const all = listeners.get(name) ?? [];
        listeners.set(name, [...all, listener]);
        return () =>
          void listeners.set(
            name,
            (listeners.get(name) ?? []).filter((one) => one !== listener),
          );
      },
    };
  }
  const started = (more: object = {}) => ({
    request: { status: "success" },
    response: { pid: 7, api: "a", sandbox: "s", command: "c", ...more },
  });
  const turn = () => Bun.sleep(0);

  test("has its own data, until its end", async () => {
    const server = connection(started());
    const task = followTask(server, "A/b", { x: 1 });
    const first = task.next();
    await turn();
    server.tell("event", "a/B", { pid: 7, type: "data", stdout: "o" });
    server.tell("event", "a/c", { pid: 7, type: "data", stdout: "another verb" });
    server.tell("event", "a/b", { pid: 8, type: "data", stdout: "another task" });
    server.tell("event", "a/b", "none");
    server.tell("event", "a/b", { pid: 7, type: "overflow", events: 1, bytes: 2 });
    server.tell("event", "a/b", { pid: 8, type: "final-event" });
    expect(await first).toEqual({ done: false, value: { pid: 7, stdout: "o" } });
    server.tell("event", "a/b", { pid: 7, type: "final-event", status: { exit: 3 } });
    expect(await task.next()).toEqual({ done: true, value: { exit: 3 } });
    expect([server.asked, server.left()]).toEqual([[["A/b", { x: 1 }]], 0]);
    // As by a verb that starts another, or that another binder has: all by one name, also what comes before the reply is read.
    const renamed = connection(started({ api: "X" }));
    const task2 = followTask(renamed, "a/b", null);
    const one = task2.next();
    renamed.tell("event", "z/y", { pid: 7, type: "data", stdout: "of another binder, and first" });
    renamed.tell("event", "x/y", { pid: 7, type: "data", stdout: "early" });
    await turn();
    renamed.tell("event", "z/y", { pid: 7, type: "data", stdout: "of another binder" });
    renamed.tell("event", "x/y", { pid: 7, type: "data", stdout: "late" });
    expect(await one).toEqual({ done: false, value: { pid: 7, stdout: "early" } });
    expect(await task2.next()).toEqual({ done: false, value: { pid: 7, stdout: "late" } });
    renamed.tell("event", "z/y", { pid: 7, type: "final-event", status: { exit: 4 } });
    renamed.tell("event", "x/y", { pid: 7, type: "final-event", status: { exit: 5 } });
    expect(await task2.next()).toEqual({ done: true, value: { exit: 5 } });
    const odd = connection(started());
    const other = followTask(odd, "a/b", null);
    const end = other.next();
    await turn();
    odd.tell("event", "a/b", { pid: 7, type: "final-event", status: 1 });
    expect(await end).toEqual({ done: true, value: {} });
  });
  test("that has ended with its start has its output and its end", async () => {
    const task = followTask(connection(started({ stdout: "o", status: { exit: 0 } })), "a/b", null);
    expect([await task.next(), await task.next()]).toEqual([
      { done: false, value: { pid: 7, stdout: "o" } },
      { done: true, value: { exit: 0 } },
    ]);
  });
  test("is none where the reply says so", async () => {
    for (const answer of [
      { request: { status: "denied" } },
      { request: { status: "success" }, response: 1 },
      { request: { status: "success" }, response: { pid: 7 } },
      started({ pid: "7" }),
    ]) {
      const server = connection(answer);
      await expect(followTask(server, "a/b", null).next()).rejects.toThrow(CallError);
      expect([server.asked.length, server.left()]).toEqual([1, 0]);
    }
  });
  test("is let go by who looks no more, unless nobody is there any more", async () => {
    const server = connection(started());
    const task = followTask(server, "a/b", null);
    const first = task.next();
    await turn();
    server.tell("event", "a/b", { pid: 7, type: "data" });
    await first;
    await task.return({});
    expect(server.asked.at(-1)).toEqual(["a/b", { action: "unsubscribe", args: { pid: 7 } }]);
    for (const how of ["lost", "close"]) {
      const gone = connection(started());
      const end = followTask(gone, "a/b", null).next();
      await turn();
      gone.tell(how, "why");
      await expect(end).rejects.toThrow(new ConnectionError("a/b: connection lost: why"));
      expect(gone.asked).toHaveLength(1);
    }
  });
  test("keeps little of what others tell until its start is answered", async () => {
    const server = connection(started({ api: "x" }));
    const task = followTask(server, "a/b", null);
    const first = task.next();
    for (let n = 1; n <= 3000; n++) server.tell("event", "x/y", { pid: 7, type: "data", n });
    // Nobody tells a task's own so often before it has begun.
    expect(await first).toEqual({ done: false, value: { pid: 7, n: 2001 } });
    await task.return({});
  });
  test("goes on where a binder has gone that it does not run at", async () => {
    const gone = { type: "disconnected", info: "why" };
    const final = { pid: 7, type: "final-event", status: { exit: 1 } };
    const ran = started();
    const subscribed = { request: { status: "success" } };
    // Whose is told by the reply, else by the first event, else by the verb.
    for (const [answer, first, others, own] of [
      [ran, undefined, ["far/b", "ab/b"], "a/via"],
      [started({ api: "Far" }), undefined, ["a/c", "other/b"], "far/c"],
      [started({ api: undefined }), undefined, ["far/c"], "far/b"],
      [started({ api: undefined }), "far/b", ["other/b"], "far/b"],
      [subscribed, undefined, ["far/c"], "far/b"],
      [subscribed, "far/b", ["other/b"], "far/b"],
    ] as const)
      for (const isLost of [false, true]) {
        const server = connection(answer);
        const isStart = answer !== subscribed;
        const task = followTask(server, "a/b", null, isStart ? undefined : { pid: 7 });
        const next = task.next();
        await turn();
        if (first !== undefined) server.tell("event", first, { pid: 7, type: "overflow" });
        for (const other of others) server.tell("event", other, gone);
        await turn();
        server.tell("event", own, isLost ? gone : final);
        if (isLost) await expect(next).rejects.toThrow("a/b: connection lost: why");
        else expect(await next).toEqual({ done: true, value: { exit: 1 } });
      }
  });
  test("from its middle: what was left out is told, and that the right to it was withdrawn", async () => {
    const server = connection({ request: { status: "success" } });
    const missed: object[] = [];
    const task = followTask(server, "a/b", null, {
      pid: 7,
      missed: (one) => void missed.push(one),
    });
    const first = task.next();
    await turn();
    server.tell("event", "a/b", { pid: 7, type: "overflow", events: 1, bytes: 2 });
    server.tell("event", "a/b", { pid: 7, type: "unsubscribed", info: "no more" });
    await expect(first).rejects.toThrow("a/b: insufficient-scope: no more");
    expect([missed, server.asked.length]).toEqual([[{ events: 1, bytes: 2 }], 1]);
    await expect(
      followTask(connection({ request: { status: "denied" } }), "a/b", null, { pid: 7 }).next(),
    ).rejects.toThrow("a/b: denied");
  });
});

import { compileParams } from "../../src/config/params.ts";
import { describe, expect, test } from "bun:test";
import type { Encoder, TaskEncoder } from "../../src/encoders/encoder.ts";
import { findEncoder } from "../../src/encoders/catalogue.ts";
import { sync } from "../../src/encoders/sync.ts";
import { type Launch, LaunchError } from "../../src/launch/task.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { connecting, settled, shell, sleeper, spawnLaunch, TestClient, use } from "./harness.ts";
import { event, final, refused, replied, started } from "./frames.ts";

const connect = connecting();

describe("start, asynchronous", () => {
  const table: [string, string, string[]][] = [
    ["text", "echo out; echo err >&2", ['"stdout":["out"],"stderr":["err"]']],
    ["text", "true", []],
    ["line", "echo l1; echo l2", ['"stdout":"l1"', '"stdout":"l2"']],
    ["line", "printf e1 >&2", ['"stderr":"e1"']],
    ["json", `echo '{"a":1} x'`, ['"stdout":{"a":1}', '"json-error":"not JSON: x"']],
    ["log", "true", []],
  ];
  test.each(table)("%s: %s", async (name, script, fields) => {
    const { client } = connect([shell("text", script, use(name))]);
    await client.call("text");
    await client.until("final-event");
    expect(client.wire).toEqual([
      started("1", "text"),
      ...fields.map((field) => event("text", `{"type":"data","pid":PID,${field}}`)),
      final("text", '{"exit":0}'),
    ]);
    expect(client.handlers).toBe(0);
  });

  test("the status tells of failure, the reply does not", async () => {
    const { client } = connect([shell("fail", "exit 3"), shell("die", "kill -SEGV $$")]);
    await client.call("fail");
    await client.call("die");
    await client.until('"exit":3');
    await client.until("Segmentation");
    expect(client.wire).toContain(final("fail", '{"exit":3}'));
    expect(client.wire).toContain(final("die", '{"signal":"Segmentation fault"}'));
  });

  test("the reply is never overtaken, even by a task that has printed before it is known", async () => {
    const eager: Launch = async (plan, _argv, sink) => {
      const printed = sink.stdout(new TextEncoder().encode("early\n"));
      const usage = { wall: 0, user: 0, system: 0, maxrss: 0 };
      const ended = Promise.resolve(printed).then(() => ({ exit: 0, usage }));
      return { plan, pid: 7, ended, stop() {}, end() {}, kill() {} };
    };
    const { client } = connect([shell("l", "", use("line"))], { launch: eager });
    await Promise.all([client.call("l"), client.call("l")]);
    await client.until("final-event");
    const kinds = client.wire.map((frame) => frame.slice(0, 4));
    expect(kinds.slice(0, 2)).toEqual(['[3,"', '[3,"']);
    expect(client.wire[2]).toBe(event("l", '{"type":"data","pid":PID,"stdout":"early"}'));
  });

  test("nothing is lost and nothing is early under back-pressure", async () => {
    const { client } = connect([shell("seq", "seq 1 20000", use("line"))]);
    let waiting = 0;
    client.pause = () => {
      if (++waiting > 1) throw new Error("sent before the last was taken");
      return new Promise((resolve) =>
        queueMicrotask(() => {
          waiting--;
          resolve();
        }),
      );
    };
    await client.call("seq");
    await client.until("final-event");
    const lines = client.frames.flatMap(
      (frame) => /"stdout":"(\d+)"/.exec(JSON.stringify(frame))?.[1] ?? [],
    );
    expect(lines).toEqual(Array.from({ length: 20000 }, (_, n) => String(n + 1)));
  });
});

describe("start, synchronous", () => {
  test("sync: an event, then the reply", async () => {
    const { client } = connect([shell("hello", "echo World!", use("sync"))]);
    await client.call("hello");
    expect(client.wire).toEqual([
      event(
        "hello",
        '{"type":"initial-event","api":"p","sandbox":"sb","command":"hello","pid":PID}',
      ),
      replied(
        "1",
        '{"api":"p","sandbox":"sb","command":"hello","pid":PID,"status":{"exit":0},"stdout":["World!"]}',
      ),
    ]);
    expect(client.handlers).toBe(0);
  });

  const typesOf = (frames: readonly unknown[]) =>
    frames.map((frame) => /"type":"([\w-]+)"/.exec(JSON.stringify(frame))?.[1] ?? "reply");

  test("a reply that does not wait for the end, however short that is, comes behind the event", async () => {
    const { client } = connect([shell("hello", "sleep 0.1", use("sync"))]);
    await client.call("hello", undefined, { wait: 0 });
    await client.until("final-event");
    expect(typesOf(client.frames)).toEqual(["initial-event", "reply", "final-event"]);
  });

  test("what an encoder sends at once comes behind the event", async () => {
    const eager: TaskEncoder = {
      ...sync,
      begin(opts, emit, about) {
        setImmediate(() => void emit({ note: "begun" }));
        return sync.begin(opts, emit, about);
      },
    };
    const { client } = connect([shell("hello", "sleep 0.1", use("eager"))], {
      encoders: () => eager,
    });
    await client.call("hello");
    expect(typesOf(client.frames)).toEqual(["initial-event", "data", "reply"]);
  });

  test("who follows it from now on is not told that it has begun", async () => {
    const { client, registry } = connect([sleeper("nap", use("sync"))]);
    const late = new TestClient(registry);
    const answered = client.call("nap");
    await late.call("nap", { action: "subscribe" });
    await client.call("nap", { action: "stop" });
    await answered;
    expect(typesOf(client.frames)).toEqual(["initial-event", "reply", "reply"]);
    expect(typesOf(late.frames)).toEqual(["reply"]);
  });

  test("raw: whole strings", async () => {
    const { client } = connect([shell("r", "printf 'a\\nb'; exit 1", use("raw", { maxlen: 2 }))]);
    const reply = await client.call("r");
    expect(settled(reply.response)).toBe(
      '{"api":"p","sandbox":"sb","command":"r","pid":PID,"status":{"exit":1,"overflow":{"bytes":1}},"stdout":"a\\n","stderr":"","stdout-overflow":true}',
    );
  });

  test("a time-out", async () => {
    const { client } = connect([
      shell("t", "echo a; sleep 60", { ...use("sync"), timeout: 2_000 }),
    ]);
    const reply = await client.call("t");
    expect(settled(reply.response)).toBe(
      '{"api":"p","sandbox":"sb","command":"t","pid":PID,"status":{"signal":"Killed","info":"timeout","cause":"timeout"},"stdout":["a"]}',
    );
  });
});

describe("arguments", () => {
  const plans = [shell("say", "printf '%%s\\n' \"$0\" '%a%'", use("sync")), shell("none", "true")];

  test("of either form", async () => {
    const { client } = connect(plans);
    for (const args of [{ a: "x" }, { args: { a: "x" } }, { action: "START", args: '{"a":"x"}' }]) {
      const reply = await client.call("say", args);
      expect(settled(reply.response)).toContain('"x"]');
    }
  });

  test("wrong ones are told, and nothing runs", async () => {
    const { client } = connect(plans);
    await client.call("say");
    await client.call("none", 1);
    await client.call("none", { action: "halt" });
    const frames = client.wire;
    expect(frames.length).toBe(3);
    for (const frame of frames) expect(frame).toContain('"status":"invalid-request","info":"');
  });

  test("those that are not declared are told and left out; with params they are refused", async () => {
    const params = compileParams({}, "params", () => {});
    const { client } = connect([
      shell("one", "echo %a%?b?", use("sync")),
      shell("none", "echo hi", use("sync")),
      shell("strict", "echo %a%", { params, ...use("sync") }),
    ]);
    const response = async (...call: [string, unknown?]) =>
      (await client.call(...call)).response as { stdout: string[]; notices?: string[] };
    for (const args of [true, "start", "START", { action: "start" }, undefined]) {
      const { stdout, notices } = await response("none", args);
      expect([stdout, notices]).toEqual([["hi"], undefined]);
    }
    expect(await response("none", { x: 1, args: {} })).toMatchObject({
      stdout: ["hi"],
      notices: ["ignored: `x`, `args`; the command takes no arguments"],
    });
    expect(await response("one", { action: "start", a: 1, B: 2 })).toMatchObject({
      stdout: ["1"],
      notices: ["ignored: `B`; did you mean `b`?; known arguments: a, b"],
    });
    const asynchronous = await client.call("none", { y: 1 });
    expect(asynchronous.response).toHaveProperty("notices");
    const refused = (await client.call("strict", { a: 1, x: 1 })).request;
    expect(refused.info).toStartWith("unknown argument `x`");
  });

  test("params are checked", async () => {
    const params = {
      writeOnly: new Set<string>(),
      allowDash: new Set(["a"]),
      defaults: new Set<string>(),
      complete: (args: unknown) => args,
      check(args: unknown) {
        if (JSON.stringify(args) !== '{"a":"-x"}') throw new Error("checked");
      },
    };
    const { client } = connect([shell("say", "%a%", { params, ...use("sync") })]);
    expect((await client.call("say", { a: "y" })).request.info).toBe("checked");
    expect((await client.call("say", { a: "-x" })).request.status).toBe("success");
  });
});

describe("what cannot be started", () => {
  test("is an error that names step, object and errno, without events", async () => {
    const launch: Launch = async () => {
      throw new LaunchError("mount", "/data", "EACCES", "Permission denied");
    };
    const { client } = connect([shell("a", "true"), shell("b", "true", use("sync"))], { launch });
    await client.call("a");
    await client.call("b");
    expect(client.wire).toEqual([
      refused(
        "1",
        "internal-error",
        "sb/a not started: mount /data: EACCES: Permission denied",
        -1,
      ),
      refused(
        "2",
        "internal-error",
        "sb/b not started: mount /data: EACCES: Permission denied",
        -1,
      ),
    ]);
  });

  test("because the server ends is told so, whatever became of it", async () => {
    const launch: Launch = (_plan, _argv, _sink, abort) =>
      new Promise((_, reject) =>
        abort?.addEventListener("abort", () =>
          reject(new LaunchError("launcher", "", "", "killed before it could execute")),
        ),
      );
    const { client, registry } = connect([shell("a", "true")], { launch });
    const asked = client.call("a");
    await registry.close();
    expect((await asked).request).toEqual({
      status: "not-available",
      info: "the server is shutting down",
      code: -5,
    });
  });

  test("gives its place back", async () => {
    let fail = true;
    const launch: Launch = (plan, argv, sink) => {
      if (fail) return Promise.reject(new LaunchError("exec", "/x", "ENOENT", "no"));
      return spawnLaunch(plan, argv, sink);
    };
    const { client } = connect([shell("one", "true", { concurrency: 1 })], { launch });
    expect((await client.call("one")).request.status).toBe("internal-error");
    fail = false;
    expect((await client.call("one")).request.status).toBe("success");
  });

  test("a log that cannot be opened", async () => {
    const opts = { stdout: "/proc/nonexistent/x.log" };
    const { client } = connect([shell("a", "touch /tmp/never", use("log", opts))]);
    const reply = await client.call("a");
    expect(reply.request.status).toBe("internal-error");
    expect(reply.request.info).toContain("ENOENT");
  });
});

describe("without a client (REST)", () => {
  const rest = { api: "p", verb: "c", args: {}, session: { uuid: "rest" } };

  test("start replies at once", async () => {
    const { registry } = connect([sleeper("c")]);
    const reply = await registry.call(rest);
    expect(settled(reply.response)).toBe('{"api":"p","sandbox":"sb","command":"c","pid":PID}');
  });

  test.each(["text", "line", "json", "sync"])("wait carries the output: %s", async (name) => {
    const { registry } = connect([shell("c", "echo out; echo err >&2; exit 2", use(name))]);
    const reply = await registry.call({ ...rest, wait: true });
    expect(settled(reply.response)).toBe(
      '{"api":"p","sandbox":"sb","command":"c","pid":PID,"status":{"exit":2},"stdout":["out"],"stderr":["err"]}',
    );
  });

  test("wait in the query, with the limits of the encoder", async () => {
    const { registry } = connect([shell("c", "seq 1 9", use("text", { maxline: 1 }))]);
    const reply = await registry.call({ ...rest, args: { wait: "true" } });
    expect(settled(reply.response)).toEndWith('"stdout":["1","..."],"stdout-overflow":true}');
  });
});

test("verbose explains the plan", async () => {
  const explain = (plan: Plan) => [`runs ${plan.command}`];
  const { client } = connect([shell("a", "true"), shell("b", "true", use("sync"))], { explain });
  const plain = await client.call("a", { verbose: 0 });
  expect(settled(plain.response)).not.toContain("plan");
  const loud = await client.call("a", { verbose: 1 });
  expect(settled(loud.response)).toEndWith('"pid":PID,"plan":["runs a"]}');
  const sync = await client.call("b", { verbose: 1 });
  expect(settled(sync.response)).toEndWith('"status":{"exit":0},"plan":["runs b"]}');
});

test("an encoder that fails does not take its task or the server with it", async () => {
  const broken: Encoder = {
    name: "broken",
    synchronous: false,
    check: () => [],
    begin: () => ({
      stdout() {
        throw new Error("no more");
      },
      stderr: () => Promise.reject(new Error("not reached")),
      end: () => ({}),
    }),
  };
  const encoders = (name: string) => (name === "broken" ? broken : findEncoder(name));
  const { client } = connect([shell("b", "echo a; echo b; exit 4", use("broken"))], { encoders });
  await client.call("b");
  await client.until("final-event");
  expect(JSON.stringify(client.frames[1])).toMatch(
    /"status":\{"exit":4,"usage":\{[^}]*\},"encoder":"no more"\}/,
  );
});

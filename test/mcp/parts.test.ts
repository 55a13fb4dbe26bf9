/** The parts of the tools that need no client. */
import { describe, expect, spyOn, test } from "bun:test";
import { totalmem } from "node:os";
import type { ApiDescription } from "../../src/api/verb.ts";
import { Kept } from "../../src/mcp/kept.ts";
import { named } from "../../src/mcp/names.ts";
import { Own } from "../../src/mcp/own.ts";
import { Printed, type Step } from "../../src/mcp/printed.ts";
import { type Notification, Progress } from "../../src/mcp/progress.ts";
import { Replay } from "../../src/mcp/replay.ts";
import { toolsOf } from "../../src/mcp/tools.ts";
import { pick, seeded } from "../config/random.ts";

describe("names", () => {
  const of = (...keys: string[]) => Object.fromEntries(named(keys, (key) => key));
  test("are the verb's, in what clients take", () => {
    expect(of("demo/disk/usage", "demo/é x")).toEqual({
      demo_disk_usage: "demo/disk/usage",
      demo___x: "demo/é x",
    });
  });
  test("[protection] two that would be alike are both another one's, and stay so", () => {
    const found = of("a/b/c", "a/b_c", "a/d");
    const [first = "", second = ""] = Object.keys(found);
    expect([first, second]).toEqual([
      expect.stringMatching(/^a_b_c_[0-9a-f]{8}$/),
      expect.stringMatching(/^a_b_c_[0-9a-f]{8}$/),
    ]);
    expect(found["a_b_c"]).toBeUndefined();
    expect(found["a_d"]).toBe("a/d");
    expect(of("a/d", "a/b_c", "a/b/c")).toEqual(found);
  });
  test("are short, whatever they are of", () => {
    for (const name of Object.keys(of(`a/${"x".repeat(500)}`, `a/${"x".repeat(501)}`)))
      expect(name).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
  });
});

describe("which verbs", () => {
  const verb = (name: string) => ({ name, parameters: [], privileges: [] });
  const names = (more: Partial<ApiDescription>) => [
    ...toolsOf([
      { api: "a", verbs: ["ping", "info", "exec", "x", "net/up"].map(verb), ...more },
    ]).keys(),
  ];
  test("[protection] never those of every API, nor exec; those of the list alone", () => {
    expect(names({})).toEqual(["a_x", "a_net_up"]);
    expect(names({ mcp: ["*"] })).toEqual(["a_x", "a_net_up"]);
    expect(names({ mcp: ["NET/*", "exec"] })).toEqual(["a_net_up"]);
    expect(names({ mcp: [] })).toEqual([]);
    expect(names({ foreign: true })).toEqual([]);
    expect(names({ api: "monitor" })).toEqual([]);
    expect(names({ verbs: [{ ...verb("gone"), unavailable: true }] })).toEqual([]);
  });
});

describe("what is kept of a text", () => {
  test("all, as long as it is short", () => {
    const kept = new Kept(10, 10);
    kept.addText("a\n\nb\n");
    expect([kept.text, kept.lost, kept.isEmpty]).toEqual(["a\n\nb", 0, false]);
  });
  test("[protection] never more than its bound, whatever comes; and all else is counted", () => {
    const random = seeded(7);
    for (let i = 0; i < 300; i++) {
      const kept = new Kept(50, 50);
      let given = 0;
      for (let n = Math.floor(random() * 60); n > 0; n--) {
        const line = pick(random, ["", "x", "ab", "y".repeat(30), "z".repeat(400)]);
        kept.add(line);
        given += line.length + 1;
      }
      const plain = kept.text.replace(/\[\d+ lines, \d+ characters, are left out here\]\n?/, "");
      expect(plain.length).toBeLessThanOrEqual(260);
      if (kept.lost === 0) expect(plain.length).toBe(Math.max(0, given - 1));
      else expect(Math.abs(plain.length + kept.lost - given)).toBeLessThanOrEqual(2);
    }
  });
});

describe("what is kept of a text, exactly", () => {
  const of = (head: number, tail: number, ...lines: string[]) => {
    const kept = new Kept(head, tail);
    for (const line of lines) kept.add(line);
    return [kept.text, kept.lost];
  };
  const gap = (lines: number, characters: number) =>
    `[${lines} lines, ${characters} characters, are left out here]`;
  test.each<[string, [number, number, ...string[]], [string, number]]>([
    ["the beginning has room for it", [3, 2, "abc"], ["abc", 0]],
    ["with the ends of lines", [4, 2, "a", "b", "c"], ["a\nb\nc", 0]],
    // From here on all is the end, also what the beginning had room for.
    ["the end has the rest", [4, 4, "abc", "defg", "h"], [`abc\n${gap(1, 5)}\nh`, 5]],
    ["the end has room for it", [3, 6, "abc", "de", "fg"], ["abc\nde\nfg", 0]],
    ["not any more", [3, 5, "abc", "de", "fg"], [`abc\n${gap(1, 3)}\nfg`, 3]],
    ["its last line stays, whatever it is", [1, 1, "ab"], ["ab", 0]],
    ["but for what is longer than all", [1, 1, "abcd"], [`${gap(0, 2)}\nab`, 2]],
    ["by one character too", [1, 1, "abc"], [`${gap(0, 1)}\nab`, 1]],
    ["several are gone", [1, 5, "abc", "d", "ef", "g"], [`${gap(2, 6)}\nef\ng`, 6]],
    [
      "as many are gone as there is no room for, however many come",
      [0, 10, ..."abcdefghij".split("").map((one) => one.repeat(4))],
      [`${gap(8, 40)}\niiii\njjjj`, 40],
    ],
  ])("%s", (_what, [head, tail, ...lines], expected) => {
    const found = of(head, tail, ...lines);
    expect(found.map(String)).toEqual(expected.map(String));
  });
  test("lines of the beginning are the same when they are many", () => {
    const lines = Array.from({ length: 2000 }, (_one, n) => `${n}`);
    expect(of(20_000, 10, ...lines)).toEqual([lines.join("\n"), 0]);
  });
  test("nothing, and texts that end in a line or not", () => {
    const kept = new Kept(10, 10);
    kept.addText("");
    expect([kept.isEmpty, kept.text]).toEqual([true, ""]);
    kept.addText("\n");
    expect([kept.isEmpty, kept.text]).toEqual([false, ""]);
    kept.addText("a\n\n");
    kept.addText("b");
    expect(kept.text).toBe("\na\n\nb");
    const end = new Kept(0, 10);
    end.add("x");
    expect(end.isEmpty).toBe(false);
  });
});

describe("what is printed", () => {
  const heard: { lines: string[]; steps: Step[] } = { lines: [], steps: [] };
  const make = (isValues: boolean) => {
    Object.assign(heard, { lines: [], steps: [] });
    return new Printed(isValues, {
      line: (text) => void heard.lines.push(text),
      step: (step) => void heard.steps.push(step),
    });
  };
  test("steps are no output; what has more than that is", () => {
    const printed = make(true);
    for (const stdout of [{ progress: 1 }, { progress: 2, x: 1 }, { progress: "3" }, 4])
      printed.take({ type: "data", pid: 1, stdout });
    expect(heard.steps).toEqual([{ progress: 1 }]);
    expect(printed.values).toEqual([{ progress: 2, x: 1 }, { progress: "3" }, 4]);
  });
  test("a plugin's fields are values", () => {
    const printed = make(false);
    printed.take({ type: "data", pid: 1, temperature: 5 });
    expect(printed.values).toEqual([{ temperature: 5 }]);
  });
  test("what an event tells of itself and of its task is none", () => {
    const printed = make(false);
    const about = ["pid", "seq", "encoding", "partial", "status", "bytes", "cr", "api", "sandbox"];
    const more = ["command", "plan", "notices", "stdout-overflow", "stderr-overflow"];
    for (const key of [...about, ...more]) printed.take({ type: "data", [key]: 1 });
    expect([printed.values, printed.stdout.text]).toEqual([[], ""]);
  });
  test.each<[string, object, Step | undefined]>([
    ["alone", { progress: 0 }, { progress: 0 }],
    [
      ...(["with all that it may have", { progress: 1, total: 2, message: "m" }] as const),
      { progress: 1, total: 2, message: "m" },
    ],
    ["of a total that is none", { progress: 1, total: "2" }, { progress: 1 }],
    ["and a message that is none", { progress: 1, message: 5 }, { progress: 1 }],
    ["without it", { total: 2 }, undefined],
    ["as a text", { progress: "1" }, undefined],
    ["with more", { progress: 1, more: 1 }, undefined],
  ])("a step, as a value and as a line: %s", (_what, value, step) => {
    const values = make(true);
    values.take({ stdout: value });
    expect([heard.steps, values.values]).toEqual(step ? [[step], []] : [[], [value]]);
    const lines = make(false);
    lines.take({ stdout: JSON.stringify(value) });
    const line = step ? [] : [JSON.stringify(value)];
    expect([heard.steps, heard.lines]).toEqual([step ? [step] : [], line]);
    expect(lines.stdout.text).toBe(line.join(""));
  });
  test("what is no step: endless numbers, what is in stderr, no object, no JSON, a line that is long", () => {
    const printed = make(true);
    printed.take({ stdout: { progress: Infinity } });
    printed.take({ stdout: { progress: 1, total: -Infinity } });
    printed.take({ stdout: [{ progress: 1 }] });
    expect(heard.steps).toEqual([{ progress: 1 }]);
    const lines = make(false);
    const line = (length: number) => {
      const text = JSON.stringify({ progress: 1, message: "" });
      return text.replace('""', `"${"m".repeat(length - text.length)}"`);
    };
    const none = ['{"progress":', ' {"progress":1}', "{}", line(1001)];
    lines.take({ stdout: none });
    lines.take({ stderr: '{"progress":1}' });
    expect([heard.steps, heard.lines]).toEqual([[], [...none, '{"progress":1}']]);
    expect(lines.stdout.text).toBe(none.join("\n"));
    lines.take({ stdout: line(1000) });
    expect(heard.steps).toHaveLength(1);
  });
  test("each field where it belongs", () => {
    const printed = make(true);
    printed.take({ stdout: undefined, stderr: ["e", "f"], "json-error": "bad" });
    printed.take({ stdout: "s" });
    printed.takeWhole({ stdout: "t", stderr: "g", more: 1 });
    expect(printed.values).toEqual(["s", { more: 1 }, "t"]);
    expect(printed.stderr.text).toBe("e\nf\nnot JSON: bad\ng");
    expect(printed.stdout.isEmpty).toBe(true);
    expect(heard.lines).toEqual(["e", "f", "g"]);
    const lines = make(false);
    lines.take({ stdout: ["a", { b: 1 }, ""] });
    expect([lines.stdout.text, lines.values]).toEqual(["a\n", [{ b: 1 }]]);
    expect(heard.lines).toEqual(["a", ""]);
  });
  test("bytes, and the stderr that comes with them; what is none is not there", () => {
    const printed = make(false);
    const base64 = (text: string) => Buffer.from(text).toString("base64");
    printed.take({ encoding: "base64", stdout: base64("ab"), stderr: base64("e\nf") });
    printed.take({ encoding: "base64", stdout: base64("c"), stderr: "" });
    printed.take({ encoding: "base64", stdout: 5, stderr: 5, more: 1 });
    expect([String(printed.bytes), printed.stderr.text]).toEqual(["abc", "e\nf"]);
    expect([printed.values, printed.lostBytes, printed.stdout.isEmpty]).toEqual([[], 0, true]);
  });
  test("empty lines are lines, and no output is none", () => {
    const printed = make(false);
    printed.take({ stdout: "a" });
    printed.take({ stdout: "" });
    printed.take({ stdout: "b" });
    printed.takeWhole({ stdout: "", stderr: "" });
    expect([printed.stdout.text, printed.stderr.isEmpty]).toEqual(["a\n\nb", true]);
  });
  test("[protection] values and bytes beyond the bound are counted, and not kept", () => {
    const values = make(true);
    for (let i = 0; i < 40; i++) values.take({ stdout: "v".repeat(50_000) });
    expect(values.values.length + values.lostValues).toBe(40);
    expect(values.lostValues).toBeGreaterThan(25);
    const bytes = make(false);
    const stdout = Buffer.alloc(1 << 20).toString("base64");
    for (let i = 0; i < 5; i++) bytes.take({ encoding: "base64", stdout });
    expect(bytes.bytes.length + bytes.lostBytes).toBe(5 << 20);
    expect(bytes.lostBytes).toBe(3 << 20);
  });
});

describe("progress", () => {
  const make = () => {
    const sent: Notification["params"][] = [];
    return { sent, progress: new Progress("t", ({ params }) => void sent.push(params)) };
  };
  test("only ever more, and with a message that is one line", () => {
    const { sent, progress } = make();
    progress.step({ progress: 5, message: "a\nb\u001b" });
    for (const n of [5, 4, 6]) progress.step({ progress: n });
    expect(sent.map((one) => [one.progress, one.message])).toEqual([
      [5, "a\\u000ab\\u001b"],
      [6, undefined],
    ]);
  });
  test("[protection] not more often than somebody could want to see", () => {
    const { sent, progress } = make();
    for (let i = 0; i < 10_000; i++) progress.line("x");
    expect(sent.length).toBeLessThan(40);
  });
  test("lines are counted, until it says itself how far it is", () => {
    const { sent, progress } = make();
    progress.line("a");
    progress.line("b");
    progress.step({ progress: 1, total: 9, message: "m" });
    progress.line("c");
    progress.step({ progress: 1 });
    progress.step({ progress: 2 });
    expect(sent).toEqual([
      { progressToken: "t", progress: 1, message: "a" },
      { progressToken: "t", progress: 2, message: "b" },
      { progressToken: "t", progress: 1, total: 9, message: "m" },
      { progressToken: "t", progress: 2 },
    ]);
  });
  test("a message is as long as somebody reads", () => {
    const { sent, progress } = make();
    for (const length of [200, 201]) progress.line("m".repeat(length));
    expect(sent.map(({ message }) => message?.length)).toEqual([200, 200]);
  });
  test("[protection] twenty at once, and one more each tenth of a second", () => {
    let now = 5000;
    using _clock = spyOn(performance, "now").mockImplementation(() => now);
    const { sent, progress } = make();
    const more = (after: number): number => {
      now += after;
      const before = sent.length;
      for (let i = 0; i < 50; i++) progress.line("x");
      return sent.length - before;
    };
    expect([0, 99, 1, 99, 201, 100_000].map(more)).toEqual([20, 0, 1, 0, 3, 20]);
  });
  test.each([[5], [2], [0.5], [0], [-1], [-1e300]])(
    "%d is told behind lines, as the first that it says itself",
    (step) => {
      const { sent, progress } = make();
      for (const line of ["a", "b"]) progress.line(line);
      progress.step({ progress: step });
      expect(sent.map((one) => one.progress)).toEqual([1, 2, step]);
    },
  );
  test("nobody has asked", () => {
    const progress = new Progress(undefined, () => {
      throw new Error("sent");
    });
    progress.line("x");
  });
});

describe("what is kept for streams that broke", () => {
  const EVENT = { jsonrpc: "2.0" as const, method: "m" };
  /** An event that counts as so many bytes. */
  const event = (size: number) => ({ ...EVENT, params: { x: "x".repeat(size - 50) } });
  const has = async (replay: Replay, n: number) =>
    (await replay.getStreamIdForEventId(`${n}-s`)) !== undefined;

  test("so many events, and no more", async () => {
    const replay = new Replay();
    for (let n = 1; n <= 500; n++) await replay.storeEvent("s", EVENT);
    expect(await has(replay, 1)).toBe(true);
    await replay.storeEvent("s", EVENT);
    expect([await has(replay, 1), await has(replay, 2)]).toEqual([false, true]);
    replay.close();
    expect(await has(replay, 2)).toBe(false);
  });

  test("so many bytes, each event for what it is about", async () => {
    const replay = new Replay();
    const half = 3 << 20;
    await replay.storeEvent("s", event(half));
    await replay.storeEvent("s", event(half));
    expect(await has(replay, 1)).toBe(true);
    const other = new Replay();
    await other.storeEvent("s", event(half));
    await other.storeEvent("s", event(half + 1));
    expect([await has(other, 1), await has(other, 2)]).toEqual([false, true]);
    // All but what came last goes for it.
    await other.storeEvent("s", event(half + 1));
    expect([await has(other, 2), await has(other, 3)]).toEqual([false, true]);
    replay.close();
    other.close();
  });

  test("nothing of a stream that is over, and all of the others", async () => {
    const replay = new Replay();
    const [first] = [await replay.storeEvent("s", EVENT), await replay.storeEvent("s", EVENT)];
    const other = await replay.storeEvent("t", EVENT);
    replay.end("s");
    const known = (id: string) => replay.getStreamIdForEventId(id);
    expect([await known(first), await has(replay, 2), await known(other)]).toEqual([
      ...[undefined, false, "t"],
    ]);
    expect([first, other, null].map((id) => replay.isOver(id))).toEqual([true, false, false]);
    replay.close();
  });

  test("what is no text counts too", async () => {
    const replay = new Replay();
    const params = { a: Array.from({ length: 300_000 }, () => 5) };
    await replay.storeEvent("s", { ...EVENT, params });
    await replay.storeEvent("s", { ...EVENT, params });
    expect([await has(replay, 1), await has(replay, 2)]).toEqual([false, true]);
    replay.close();
  });

  test("[protection] of all sessions together; a trifle each may have, and what is given back is there", async () => {
    const all = Math.min(48 << 20, totalmem() / 32);
    const others: Replay[] = [];
    for (let left = all; left > 0; left -= 5 << 20) {
      const one = new Replay();
      await one.storeEvent("s", event(5 << 20));
      others.push(one);
    }
    const replay = new Replay();
    await replay.storeEvent("s", event(32 << 10));
    await replay.storeEvent("s", event(32 << 10));
    expect(await has(replay, 1)).toBe(true);
    await replay.storeEvent("s", event(60));
    expect([await has(replay, 1), await has(replay, 2)]).toEqual([false, true]);
    for (const one of others) one.close();
    await replay.storeEvent("s", event(1 << 20));
    expect(await has(replay, 2)).toBe(true);
    replay.close();
  });

  test("none that is not known", async () => {
    const none = new Replay();
    expect(none.replayEventsAfter("1-s", { send: async () => {} })).rejects.toThrow(
      "an event that is not known any more",
    );
  });
});

test("of what a caller has started the last hundred are known", () => {
  const own = new Own();
  for (let n = 0; n < 100; n++) own.add(`${n}`);
  expect([own.ids.has("0"), own.ids.size]).toEqual([true, 100]);
  own.add("100");
  own.add("100");
  expect([own.ids.has("0"), own.ids.has("1"), own.ids.size]).toEqual([false, true, 100]);
});

test("a verb as a tool", () => {
  const of = (more: Partial<ApiDescription["verbs"][number]>) => {
    const [one] = toolsOf([
      { api: "a", verbs: [{ name: "b/c", parameters: [], privileges: [], ...more }] },
    ]).values();
    return one?.tool as object | undefined;
  };
  const named = { name: "a_b_c", _meta: { "spawnbox/verb": "a/b/c", "spawnbox/untrusted": true } };
  expect(of({})).toEqual({
    ...named,
    ...{
      description: "Runs a/b/c.",
      annotations: {},
      inputSchema: { type: "object", properties: {} },
    },
  });
  const schema = { type: "integer" };
  const result = { type: "object" };
  expect(
    of({
      ...{ label: "L\u001b", info: "I\u001b", task: true, fed: true, confirm: true },
      parameters: [
        { name: "n", required: true, schema },
        { name: "s", required: false },
        { name: "z", required: true, schema: null },
      ],
      tool: { readonly: true, destructive: false, idempotent: false, openworld: true, result },
    }),
  ).toEqual({
    ...named,
    title: "L\\u001b",
    description: "I\\u001b\nA person is asked before it starts.",
    inputSchema: {
      type: "object",
      properties: {
        ...{ n: schema, s: { type: "string" }, z: { type: "string" } },
        stdin: { type: "string", description: "what it reads on its standard input" },
      },
      ...{ required: ["n", "z"], additionalProperties: false },
    },
    outputSchema: result,
    annotations: {
      ...{ title: "L\\u001b", readOnlyHint: true, destructiveHint: false },
      ...{ idempotentHint: false, openWorldHint: true },
    },
  });
  // What has a parameter of that name has it.
  const stdin = [{ name: "stdin", required: false, schema }];
  expect(of({ fed: true, parameters: stdin })).toMatchObject({
    inputSchema: { properties: { stdin: schema }, additionalProperties: false },
  });
  // A command takes no other arguments, whatever it has.
  expect(of({ task: true })).toMatchObject({ inputSchema: { additionalProperties: false } });
});

test("a name is as long as clients take", () => {
  const names = (...keys: string[]) => [...named(keys, (key) => key).keys()];
  expect(names("x".repeat(64))).toEqual(["x".repeat(64)]);
  expect(names("x".repeat(65))).toEqual([
    expect.stringMatching(new RegExp(`^${"x".repeat(55)}_[0-9a-f]{8}$`)),
  ]);
});

test("[protection] what is kept for streams that broke is bounded, and only of that stream", async () => {
  const replay = new Replay();
  const message = (n: number, size = 1) => ({
    ...{ jsonrpc: "2.0" as const, method: "m" },
    params: { n, x: "x".repeat(size) },
  });
  const after = async (id: string) => {
    const found: number[] = [];
    await replay.replayEventsAfter(id, {
      send: async (_id, one) => void found.push((one as ReturnType<typeof message>).params.n),
    });
    return found;
  };
  const first = await replay.storeEvent("a", message(1));
  await replay.storeEvent("b", message(2));
  await replay.storeEvent("a", message(3));
  expect(await after(first)).toEqual([3]);
  for (let n = 4; n < 20; n++) await replay.storeEvent("a", message(n, 1 << 20));
  expect(await replay.getStreamIdForEventId(first)).toBeUndefined();
  expect(await replay.getStreamIdForEventId("17-b")).toBeUndefined();
  expect(await after("16-a")).toEqual([17, 18, 19]);
  replay.close();
});

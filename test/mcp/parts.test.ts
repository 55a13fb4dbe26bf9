/** The parts of the tools that need no client. */
import { describe, expect, test } from "bun:test";
import type { ApiDescription } from "../../src/api/verb.ts";
import { Kept } from "../../src/mcp/kept.ts";
import { named } from "../../src/mcp/names.ts";
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
  test("nobody has asked", () => {
    const progress = new Progress(undefined, () => {
      throw new Error("sent");
    });
    progress.line("x");
  });
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

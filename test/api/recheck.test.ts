/** When grants change: whoever may not follow any more does not, whatever has become of the verb meanwhile. */
import { describe, expect, test } from "bun:test";
import { Admission } from "../../src/api/admission.ts";
import type { Bytes } from "../../src/encoders/encoder.ts";
import { grantAll } from "../../src/api/privileges.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { apiOf, connecting, pidOf, shell, sleeper, TestClient, use } from "./harness.ts";

const connect = connecting();
const privileges = ["urn:x"];
const ticking = (overrides: Partial<Plan> = {}) =>
  shell("clock", "while echo tick; do sleep 0.02; done", {
    ...use("line"),
    privileges,
    ...overrides,
  });
const WITHDRAWN =
  '"type":"unsubscribed","pid":PID,"info":"the privilege to follow this task was withdrawn"';

/** A registry whose grants the test takes away. */
function granting(plans: readonly Plan[], options: Parameters<typeof connect>[1] = {}) {
  const held = new Set(privileges);
  return { held, ...connect(plans, { granted: () => ({ privileges: held }), ...options }) };
}

const isTold = (client: TestClient) => client.wire.some((frame) => frame.includes(WITHDRAWN));

/** Nothing comes after the last word, though the task goes on. */
async function hearsNothing(client: TestClient, witness: () => Promise<unknown>) {
  expect(isTold(client)).toBe(true);
  const { length } = client.frames;
  expect(client.wire.at(-1)).toContain(WITHDRAWN);
  await witness();
  expect(client.frames).toHaveLength(length);
}

describe("a task is no longer followed", () => {
  test("of a verb that is gone", async () => {
    const { client, registry, held } = granting([ticking()]);
    const pid = pidOf(await client.call("clock"));
    await client.until("tick");
    // Gone at one reload, the grants at a later one.
    registry.replace([apiOf([shell("other", "true")])]);
    expect(isTold(client)).toBe(false);
    held.clear();
    registry.replace([apiOf([shell("other", "true")])]);
    await hearsNothing(client, () => Bun.sleep(100));
    expect(process.kill(pid, 0)).toBe(true);
  });

  test("of a verb that goes at the same reload", async () => {
    const { client, registry, held } = granting([ticking()]);
    await client.call("clock");
    await client.until("tick");
    held.clear();
    registry.replace([apiOf([])]);
    await hearsNothing(client, () => Bun.sleep(100));
  });

  test("of a verb that asks for more now", async () => {
    const { client, registry } = granting([ticking()]);
    await client.call("clock");
    await client.until("tick");
    registry.replace([apiOf([ticking()])]);
    expect(isTold(client)).toBe(false);
    registry.replace([apiOf([ticking({ privileges: ["urn:x", "urn:y"] })])]);
    await hearsNothing(client, () => Bun.sleep(100));
  });

  test("of exec, each in a sandbox of its own privileges", async () => {
    const template = (sandbox: string, needed: string[]) =>
      shell("exec", "", { sandbox, privileges: needed, argv: { elements: [], names: new Set() } });
    const api = apiOf([], {
      sandboxes: [
        { uid: "open", plans: [], exec: template("open", []) },
        { uid: "guarded", plans: [], exec: template("guarded", privileges) },
      ],
    });
    const { client, registry, held } = granting([], { apis: [api] });
    const exec = { cmdpath: "/bin/sh", args: ["-c", "while echo tick; do sleep 0.02; done"] };
    const encoder = "line";
    const guarded = pidOf(await client.call("exec", { sandbox: "guarded", exec, encoder }));
    const open = pidOf(await client.call("exec", { sandbox: "open", exec, encoder }));
    held.clear();
    registry.replace([api]);
    const about = client.frames.filter((frame) => JSON.stringify(frame).includes('"unsubscribed"'));
    expect(about.map(pidOf)).toEqual([guarded]);
    const from = client.frames.length;
    // Longer than the other takes for a tick, too.
    while (client.frames.length < from + 5) await Bun.sleep(10);
    expect(new Set(client.frames.slice(from).map(pidOf))).toEqual(new Set([open]));
  });

  test("that was admitted before, and starts after", async () => {
    for (const encoder of ["line", "sync"]) {
      const first = sleeper("first", { sandboxConcurrency: 1 });
      const second = shell("second", "echo out; sleep 0.1", {
        ...use(encoder),
        privileges,
        sandboxConcurrency: 1,
      });
      const { client, registry, held } = granting([first, second]);
      const follower = new TestClient(registry);
      await client.call("first");
      const reply = follower.call("second");
      await Bun.sleep(20);
      held.clear();
      registry.replace([apiOf([first, second])]);
      await client.call("first", { action: "stop" });
      // What was admitted is answered.
      expect((await reply).request.status).toBe("success");
      await follower.until("unsubscribed");
      await Bun.sleep(250);
      expect(isTold(follower)).toBe(true);
      expect(
        follower.wire.filter(
          (frame) => frame.includes('"final-event"') || frame.includes('"type":"data"'),
        ),
      ).toEqual([]);
    }
  });

  test("that was admitted before, and starts after: nor is its output taken as it is", async () => {
    const admission = new Admission({ tasks: 1 });
    const plans = [sleeper("first"), shell("second", "echo out", { ...use("file"), privileges })];
    for (const withdraws of [true, false]) {
      const { client, registry, held } = granting(plans, { admission });
      let dropped = 0;
      const bytes: Bytes = { write: () => {}, drop: () => void dropped++ };
      await client.call("first");
      const reply = client.call("second", undefined, { bytes: async () => bytes });
      while (admission.load.waiting === 0) await Bun.sleep(1);
      if (withdraws) held.clear();
      registry.recheck();
      await client.call("first", { action: "stop" });
      expect((await reply).request.status).toBe("success");
      expect([withdraws, dropped]).toEqual([withdraws, withdraws ? 1 : 0]);
      while (admission.load.running > 0) await Bun.sleep(1);
    }
  });

  test("but whose grants stay is", async () => {
    const { client, registry } = granting([ticking()]);
    await client.call("clock");
    await client.until("tick");
    registry.replace([apiOf([ticking()])]);
    const { length } = client.frames;
    while (client.frames.length < length + 3) await Bun.sleep(10);
    expect(isTold(client)).toBe(false);
  });
});

describe("a trace", () => {
  const monitor = { api: "monitor" };
  const add = { add: { tag: "t", api: "p" } };
  test("ends with its client", async () => {
    const { client, registry } = connect([shell("hello", "echo", use("sync"))], {
      granted: grantAll,
    });
    const watcher = new TestClient(registry);
    await watcher.call("trace", add, monitor);
    await client.call("hello");
    await watcher.until('"action":"reply"');
    watcher.disconnect();
    const { length } = watcher.frames;
    await client.call("hello");
    await Bun.sleep(50);
    expect(watcher.frames).toHaveLength(length);
    expect(watcher.handlers).toBeLessThanOrEqual(1);
  });
  test("is not kept for one that went before it was made", async () => {
    const { client, registry } = connect([shell("hello", "echo", use("sync"))], {
      granted: grantAll,
    });
    const watcher = new TestClient(registry);
    watcher.disconnect();
    await watcher.call("trace", add, monitor);
    const { length } = watcher.frames;
    await client.call("hello");
    await Bun.sleep(50);
    expect(watcher.frames).toHaveLength(length);
  });
});

describe("output as it is", () => {
  /** What a caller over REST takes. */
  const taking = async (registry: ReturnType<typeof granting>["registry"]) => {
    let text = "";
    let dropped = false;
    const printed = Promise.withResolvers<void>();
    const bytes = async () => ({
      write(chunk: Uint8Array) {
        text += Buffer.from(chunk).toString();
        printed.resolve();
      },
      drop: () => void (dropped = true),
    });
    const session = { uuid: "reader" };
    const ended = registry.call({ api: "p", verb: "clock", args: undefined, session, bytes });
    await printed.promise;
    expect(text).toStartWith("tick");
    return { ended, isDropped: () => dropped };
  };

  test("is for nobody who may not follow it any more, and the task goes on", async () => {
    const { registry, held, client } = granting([ticking(use("file"))]);
    const { ended, isDropped } = await taking(registry);
    registry.replace([apiOf([ticking(use("file"))])]);
    expect(isDropped()).toBe(false);
    held.clear();
    registry.recheck();
    expect(isDropped()).toBe(true);
    held.add("urn:x");
    await client.call("clock", { action: "stop" });
    expect(JSON.stringify(await ended)).toContain('"status":{"signal"');
  });

  test("does not hold the end of the server, where nobody reads it", async () => {
    const { registry } = granting([ticking(use("file"))]);
    const room = Promise.withResolvers<void>();
    const begun = Promise.withResolvers<void>();
    const bytes = async () => ({
      write() {
        begun.resolve();
        return room.promise;
      },
      drop: () => room.resolve(),
    });
    const session = { uuid: "reader" };
    const ended = registry.call({ api: "p", verb: "clock", args: undefined, session, bytes });
    await begun.promise;
    await registry.close();
    expect(JSON.stringify(await ended)).toContain('"status":{"signal"');
  });
});

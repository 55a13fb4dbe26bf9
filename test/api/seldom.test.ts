/** What of the API is seldom asked for: who is gone, what takes too long, tasks that wait by their id, hooks, and what was refused. */
import { describe, expect, jest, test } from "bun:test";
import type { Action } from "../../src/api/actions.ts";
import { Admission } from "../../src/api/admission.ts";
import { leaverOf, type Request } from "../../src/api/client.ts";
import { EventActions } from "../../src/api/event-actions.ts";
import { within } from "../../src/api/deadline.ts";
import type { TaskRecord } from "../../src/api/record.ts";
import type { Refusal, Witness } from "../../src/api/witness.ts";
import { controlled } from "./controlled.ts";
import { connecting, paramsOf, shell, TestClient } from "./harness.ts";
import { isSettled, turn } from "./listener.ts";

const make = connecting();

describe("who has called and is gone", () => {
  const leaver = (gone: AbortSignal) => {
    const found = leaverOf({ gone, client: undefined as never });
    if (!found) throw new Error("nothing tells");
    return found;
  };
  test("is its client, where nothing else is said", () => {
    const client = {} as NonNullable<Request["client"]>;
    expect([leaverOf({ client }), leaverOf({})]).toEqual([client, undefined]);
  });
  test("is told once, and nobody who has taken it back", async () => {
    const abort = new AbortController();
    const { signal } = abort;
    const one = leaver(signal);
    let told = 0;
    one.onClose(() => told++);
    one.onClose(() => (told += 100))();
    expect([one.connected, told]).toEqual([true, 0]);
    abort.abort();
    expect([one.connected, told]).toEqual([false, 1]);
    // Who comes later is told in a moment.
    one.onClose(() => (told += 10));
    expect(told).toBe(1);
    await turn();
    expect(told).toBe(11);
  });
});

describe("what cannot be stopped", () => {
  test("is waited for so long, and not a moment more", async () => {
    jest.useFakeTimers();
    try {
      const late = within(1500, "it", new Promise(() => {})).catch((error: unknown) => error);
      jest.advanceTimersByTime(1499);
      expect(await isSettled(late)).toBe(false);
      jest.advanceTimersByTime(1);
      expect(await late).toMatchObject({ status: "timeout", message: "it took more than 1.5 s" });
      expect(await within(10, "it", Promise.resolve(5))).toBe(5);
      await expect(within(10, "it", Promise.reject(new Error("no")))).rejects.toThrow("no");
      expect(jest.getTimerCount()).toBe(0);
    } finally {
      jest.useRealTimers();
    }
  });
});

test("a task whose turn has not come: by its id it is stopped, and has no events", async () => {
  const control = controlled();
  const admission = new Admission({ tasks: 1 });
  const { client } = make([shell("v", "")], { launch: control.launch, admission });
  await client.call("v");
  const starts = [client.call("v"), client.call("v")];
  while (admission.load.waiting < 2) await turn();
  const { response } = await client.call("tasks", { state: "waiting" }, { api: "monitor" });
  const [second, first] = (response as TaskRecord[]).map(({ id }) => id);
  const act = async (action: string, id = first) =>
    (await client.call("v", { action, args: { id } })).request;
  for (const action of ["subscribe", "unsubscribe"])
    expect(await act(action)).toMatchObject({
      ...{ status: "bad-state", info: `task ${first} waits for its turn: it has no events yet` },
    });
  const reply = await client.call("v", { action: "stop", args: { id: first } });
  expect([reply.request.status, reply.response]).toEqual(["success", "sb/v"]);
  expect((await starts[0])?.request.info).toBe("it was stopped before its turn came");
  expect(admission.load).toEqual({ running: 1, waiting: 1 });
  control.last().end();
  await starts[1];
  expect((await act("subscribe", second)).status).toBe("success");
  control.last().end();
});

test("input for a task that reads none is refused with what its config lacks", async () => {
  const control = controlled();
  const { client } = make([shell("v", "")], { launch: control.launch });
  await client.call("v");
  const { request } = await client.call("v", { action: "input", args: { pid: 1, data: "x" } });
  expect(request).toMatchObject({
    ...{ status: "invalid-request", info: 'sb/v@1 reads no input: its config has no "stdin"' },
  });
  control.last().end();
});

test("what a URL gives several times is refused, but where a list is wanted", async () => {
  const control = controlled();
  const params = paramsOf({ list: { type: "array" } });
  const plan = shell("v", "%list% %one%", { params });
  const { client } = make([plan], { launch: control.launch });
  const { request } = await client.call("v", { list: ["a"], one: ["x", "y"] }, { texts: true });
  expect(request).toMatchObject({
    ...{ status: "invalid-request", info: expect.stringMatching(/^argument `one`.*2/) },
  });
  expect(control.tasks).toHaveLength(0);
});

test("who follows the tasks and asks once more has what was asked for last", async () => {
  const control = controlled();
  const granted = ({ token = "" }) => ({ privileges: new Set([token]) });
  const plans = [shell("a", "", { privileges: ["x"] }), shell("b", "")];
  const { client, registry } = make(plans, { launch: control.launch, granted });
  const watcher = new TestClient(registry);
  const follow = (args: object, token: string) =>
    watcher.call("tasks", { follow: true, ...args }, { api: "monitor", caller: { token } });
  const as = { caller: { token: "x" } };
  await follow({ verb: "b" }, "");
  await follow({ verb: "a" }, "x");
  await client.call("a", undefined, as);
  await client.call("b", undefined, as);
  await follow({}, "");
  await client.call("a", undefined, as);
  await client.call("b", undefined, as);
  await watcher.until('"verb":"b"');
  const seen = watcher.wire.flatMap(
    (frame) => /"type":"started".*"verb":"(\w)"/.exec(frame)?.[1] ?? [],
  );
  expect(seen).toEqual(["a", "b"]);
  for (const task of control.tasks) task.end();
});

test("of a call that is refused and starts nothing it is told what it was to do, and nothing that it had", async () => {
  const refused: Refusal[] = [];
  const witnesses: Witness[] = [{ refused: (one) => void refused.push(one) }];
  const secret = paramsOf({ key: { type: "string", writeOnly: true } });
  const plans = [shell("v", "%key%", { params: secret, privileges: ["x"] })];
  const { client } = make(plans, { witnesses });
  const told = async (args: object) => {
    await client.call("v", args);
    return refused.pop();
  };
  const about = { caller: expect.anything(), time: expect.any(Number), api: "p", verb: "v" };
  const why = { sandbox: "sb", command: "v", status: "insufficient-scope" };
  expect(await told({ action: "stop", args: { pid: 5 } })).toEqual({
    ...{ ...about, ...why, action: "stop", info: expect.any(String) },
  });
  expect(await told({ key: "k" })).toEqual({
    ...{ ...about, ...why, action: "start", args: { key: "***" }, hidden: true },
  });
});

test("an action is done for each event, one after the other, also for those that come once it is done", async () => {
  const done: unknown[] = [];
  let isAtIt = false;
  const action = {
    plan: { uid: "v", target: { kind: "api", api: "p", verb: "w" } },
    deps: { api: "p" },
    failed: (error: Error) => void done.push(error.message),
    run: async (args: unknown) => {
      expect(isAtIt).toBe(false);
      isAtIt = true;
      await turn();
      done.push(args);
      isAtIt = false;
      if (args === 2) throw new Error("it is told by who does it");
    },
  } as unknown as Action;
  const actions = new EventActions([action], ["p/v"]);
  for (const [first, second] of [
    [1, 2],
    [3, 4],
  ]) {
    actions.tell("p/v", first);
    actions.tell("p/v", second);
    actions.tell("p/w", "another");
    // Who has sent it goes on first.
    expect(done).toHaveLength((first ?? 0) - 1);
    while (done.length < (second ?? 0)) await turn();
    await turn();
  }
  expect(done).toEqual([1, 2, 3, 4]);
});

describe("a webhook", () => {
  const webhook = { header: "x-key", prefix: "", file: "/f" };
  test("is known by the verb that it starts, in any case, and by no other", () => {
    const plans = [shell("v", "", { webhook, privileges: ["x"] }), shell("w", "")];
    const { registry } = make(plans);
    expect(registry.hooked?.({ api: "P", verb: "V" })).toEqual({
      ...{ id: "p/v", webhook, privileges: ["x"] },
    });
    for (const [api, verb] of [
      ["p", "w"],
      ["p", "none"],
      ["q", "v"],
    ] as const)
      expect(registry.hooked?.({ api, verb })).toBeUndefined();
  });
});

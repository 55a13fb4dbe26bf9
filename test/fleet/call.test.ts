/** One call on a board, from its start to its one last answer, whatever comes in between. */
import { expect, spyOn, test } from "bun:test";
import { success, type Reply } from "../../src/api/reply.ts";
import { AfbError } from "../../src/errors.ts";
import { BoardCall, type CallOptions } from "../../src/fleet/call.ts";

type Asked = CallOptions["asked"];

/** Under way, with what the registry is asked, and answers when it is told to. */
function calling(asked: Partial<Asked> = {}, { isMute = false, isAway = false } = {}) {
  const calls: { readonly args: unknown; readonly answer: (reply: Reply) => void }[] = [];
  const sent: string[] = [];
  const ends: string[] = [];
  const call = new BoardCall({
    place: {
      operator: "o",
      api: "a",
      verb: "v",
      group: undefined,
      id: "1",
      correlation: undefined,
      isMute,
    },
    asked: {
      args: { action: "start" },
      expiry: 1,
      timeout: undefined,
      detach: undefined,
      window: 64,
      token: undefined,
      digest: "",
      ...asked,
    },
    session: {} as CallOptions["session"],
    caller: {} as CallOptions["caller"],
    registry: {
      call: ({ args }: { args: unknown }) =>
        new Promise<Reply>((answer) => void calls.push({ args, answer })),
    } as unknown as CallOptions["registry"],
    put: (_, kind, payload) => void sent.push(`${kind} ${payload.toString()}`),
    isAway: () => isAway,
    over: (_, { text }) => void ends.push(text),
  });
  call.start();
  const turn = () => new Promise<void>((resolve) => setImmediate(resolve));
  const kinds = async () => {
    await turn();
    return sent.map((one) => one.split(" ")[0]);
  };
  return { call, calls, sent, ends, turn, kinds };
}
const STARTED = success({ pid: 7, api: "a", command: "c" });
const STOP = { action: "stop", args: { pid: 7 } };

test("an answer is the last word, and the only one", async () => {
  const { call, calls, ends, kinds, turn } = calling({ args: undefined });
  let gone = 0;
  call.onClose(() => gone++);
  calls[0]?.answer(success(5));
  await turn();
  expect([await kinds(), ends.length, gone, call.connected]).toEqual([["reply"], 1, 1, false]);
  call.end(success(6));
  call.vanish(new AfbError("disconnected", "x"));
  void call.send("a/v", { type: "data" });
  expect([await kinds(), ends.length, gone]).toEqual([["reply"], 1, 1]);
  expect(JSON.parse(ends[0] ?? "")).toMatchObject({ response: 5 });
});

test("one that has ended before its answer gets none besides", async () => {
  const { call, calls, ends, kinds } = calling();
  call.vanish(new AfbError("disconnected", "gone"));
  calls[0]?.answer(STARTED);
  expect([await kinds(), ends.length, calls.length]).toEqual([["reply"], 1, 1]);
  expect(ends[0]).toContain("disconnected");
});

test("a task that is stopped before anybody knows its number is stopped then, once", async () => {
  const { call, calls, turn } = calling();
  call.flow({ stop: true, signal: "SIGINT" });
  expect(calls).toHaveLength(1);
  void call.send("a/v", { type: "initial-event", pid: 7 });
  await turn();
  expect(calls.slice(1).map(({ args }) => args)).toEqual([
    { action: "stop", args: { pid: 7, signal: "SIGINT" } },
  ]);
  void call.send("a/v", { type: "initial-event", pid: 7 });
  expect(calls).toHaveLength(2);
  call.flow({ stop: true });
  expect(calls.at(-1)?.args).toEqual(STOP);
});

test("an operator that is gone leaves its task as it was asked, or as the config has it", async () => {
  for (const [detach, stops] of [
    [undefined, 0],
    [true, 0],
    [false, 1],
  ] as const) {
    const { call, calls, ends } = calling({ detach });
    void call.send("a/v", { type: "initial-event", pid: 7 });
    call.vanish(new AfbError("disconnected", "gone"));
    expect([calls.length - 1, ends.length]).toEqual([stops, 1]);
  }
  const { call, calls, ends } = calling({ detach: false });
  void call.send("a/v", { type: "initial-event", pid: 7 });
  call.flow({ leave: true });
  expect([calls.length, ends[0]?.includes("the operator has left")]).toEqual([1, true]);
});

test("a stop that is refused is told, as long as the call is not over; one that is not says nothing", async () => {
  for (const [status, isOver, told] of [
    ["forbidden", false, true],
    ["success", false, false],
    ["forbidden", true, false],
  ] as const) {
    const { call, calls, sent, turn } = calling();
    calls[0]?.answer(STARTED);
    await turn();
    call.flow({ stop: true });
    expect(calls[1]?.args).toEqual(STOP);
    if (isOver) call.end(success());
    calls[1]?.answer({ ...success(), request: { status, info: "why" } } as Reply);
    await turn();
    await turn();
    const events = sent.filter((one) => one.startsWith("event "));
    expect(events.some((one) => one.includes('"not-stopped"'))).toBe(told);
    if (told) expect(events.join()).toContain('"status":"forbidden","info":"why"');
  }
});

test("ends with its task, whatever else there is, and says how that has ended", async () => {
  const { call, calls, ends, sent, turn } = calling();
  calls[0]?.answer(STARTED);
  await turn();
  expect(sent[0]).toStartWith("accepted ");
  void call.send("a/v", { type: "data", pid: 7 });
  void call.send("a/v", { type: "final-event", pid: 8, status: { exit: 1 } });
  void call.send("a/v", { type: "final-event" });
  void call.send("a/v", "text");
  expect(ends).toEqual([]);
  void call.send("a/v", { type: "final-event", pid: 7, status: { exit: 0 } });
  expect(ends.map((text) => JSON.parse(text) as Reply)).toMatchObject([
    {
      request: { status: "success" },
      response: { pid: 7, api: "a", command: "c", status: { exit: 0 } },
    },
  ]);
  await turn();
  expect(sent.map((one) => one.split(" ")[0])).toEqual(["accepted", "event", "reply"]);
});

test("ends where its operator may not see its task any more", async () => {
  for (const [info, said] of [
    ["why", "why"],
    [undefined, "undefined"],
  ] as const) {
    const { call, calls, ends, turn } = calling();
    calls[0]?.answer(STARTED);
    await turn();
    void call.send("a/v", { type: "unsubscribed", pid: 7, info });
    expect(JSON.parse(ends[0] ?? "")).toMatchObject({
      request: { status: "insufficient-scope", info: said },
    });
  }
});

test("of a subscription ends with the last of its tasks, which are not its own", async () => {
  const { call, calls, ends, turn } = calling({ args: { action: "subscribe" } });
  calls[0]?.answer(success(["a/v@8", "a/v@9"]));
  await turn();
  void call.send("a/v", { type: "data", pid: 8 });
  call.flow({ stop: true });
  expect(calls).toHaveLength(1);
  for (const pid of [8, 9]) {
    expect(ends).toEqual([]);
    void call.send("a/v", { type: "final-event", pid, status: { exit: 0 } });
  }
  expect(JSON.parse(ends[0] ?? "")).toMatchObject({ response: ["a/v@8", "a/v@9"] });
});

test("is heard of, and sends again what is asked for", async () => {
  const { call, calls, sent, turn } = calling();
  expect(call.heard).toBeUndefined();
  calls[0]?.answer(STARTED);
  await turn();
  using time = spyOn(performance, "now").mockReturnValue(performance.now() + 5000);
  call.flow({});
  expect([call.heard, sent.length]).toEqual([performance.now(), 1]);
  call.flow({ from: 0 });
  expect(sent).toHaveLength(2);
  time.mockReturnValue(performance.now() + 5000);
  call.flow({ seq: 0 });
  call.flow({ from: 0 });
  expect([sent.length, call.outflow.isConfirmed, call.backlog]).toEqual([2, true, 0]);
});

test("that is over is not stopped by who goes then", async () => {
  const { call, calls, turn } = calling({ detach: false });
  calls[0]?.answer(STARTED);
  await turn();
  call.end(success());
  call.vanish(new AfbError("disconnected", "gone"));
  expect(calls).toHaveLength(1);
});

test("of a button sends nothing, and waits for nobody", async () => {
  const { call, calls, sent, ends, turn } = calling({ window: 1 }, { isMute: true, isAway: true });
  calls[0]?.answer(STARTED);
  await turn();
  const waits = call.send("a/v", { type: "data", pid: 7, stdout: "x".repeat(200 << 10) });
  expect(waits).toBeInstanceOf(Promise);
  await waits;
  void call.send("a/v", { type: "final-event", pid: 7, status: { exit: 0 } });
  await turn();
  expect([sent, ends.length, call.outflow.isConfirmed]).toEqual([[], 1, true]);
  const away = calling({}, { isAway: true });
  away.calls[0]?.answer(success());
  await turn();
  expect([away.sent, away.call.outflow.isConfirmed]).toEqual([[], false]);
});

/** One call on a board, from its start to its one last answer, whatever comes in between. */
import { expect, test } from "bun:test";
import { success, type Reply } from "../../src/api/reply.ts";
import { AfbError } from "../../src/errors.ts";
import { BoardCall, type CallOptions } from "../../src/fleet/call.ts";

type Asked = CallOptions["asked"];

/** Under way, with what the registry is asked, and answers when it is told to. */
function calling(asked: Partial<Asked> = {}) {
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
      isMute: false,
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
    isAway: () => false,
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

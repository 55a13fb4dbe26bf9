/** Bounds of the parts of a fleet: how much each takes, for how long, and what is one too many. */
import { describe, expect, test } from "bun:test";
import { Answered } from "../../src/fleet/answered.ts";
import { Inflow } from "../../src/fleet/inflow.ts";
import { Outflow, PIECE, WINDOW_BYTES } from "../../src/fleet/outflow.ts";
import { Pace } from "../../src/fleet/pace.ts";
import { isTooMuch, parseAmount, parseStages, staged } from "../../src/fleet/stages.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

describe("what an operator gets", () => {
  const start = (window: number, whole?: number) => {
    const got: string[] = [];
    const said: object[] = [];
    const flow = new Inflow({
      window,
      whole,
      take: (_, text) => void got.push(text),
      say: (one) => said.push(one),
    });
    const message = (seq: number, text: string, kind: "event" | "part" = "event") =>
      flow.message(seq, kind, Buffer.from(text));
    return { flow, got, said, message };
  };
  test("is confirmed at half of the window, or of what is under way", async () => {
    const { flow, said, message } = start(4);
    expect(flow.isHeard).toBe(false);
    message(0, "a");
    await turn();
    expect([said, flow.isHeard, flow.next]).toEqual([[], true, 1]);
    message(1, "b");
    await turn();
    expect(said.splice(0)).toEqual([{ seq: 1 }]);
    message(2, "x".repeat((128 << 10) - 1));
    await turn();
    expect(said).toEqual([]);
    message(3, "y".repeat(1));
    await turn();
    expect(said.splice(0)).toEqual([{ seq: 3 }]);
    const wide = start(64);
    wide.message(0, "x".repeat((128 << 10) - 1));
    await turn();
    expect(wide.said).toEqual([]);
    wide.message(1, "y");
    await turn();
    expect(wide.said).toEqual([{ seq: 1 }]);
    wide.flow.confirm();
    expect(wide.said).toHaveLength(1);
    wide.flow.ask();
    expect(wide.said.at(-1)).toEqual({ seq: 1, from: 2 });
    const fresh = start(4);
    fresh.flow.alive();
    expect(fresh.said).toEqual([{ from: 0 }]);
  });
  test("early, of it so many messages and bytes; never without the one that is to come", async () => {
    const { got, message } = start(4);
    for (let seq = 1; seq <= 513; seq++) message(seq, `${seq}`);
    message(0, "0");
    await turn();
    expect(got.at(-1)).toBe("512");
    const large = start(4);
    const piece = "x".repeat(4 << 20);
    for (const seq of [1, 2]) large.message(seq, piece);
    large.message(3, "fits");
    large.message(4, "beyond");
    large.message(0, "0");
    await turn();
    expect(large.got.map((text) => text.length)).toEqual([1, 4 << 20, 4 << 20, 4]);
  });
  test("in parts, no longer than it may be", async () => {
    const { got, message } = start(64, 6);
    message(0, "abc", "part");
    message(1, "def");
    message(2, "abc", "part");
    message(3, "defg");
    message(4, "abcdef");
    await turn();
    expect(got).toEqual(["abcdef", "defg", "abcdef"]);
  });
});

describe("what a board sends", () => {
  const start = (window: number) => {
    const sent: string[] = [];
    let now = 0;
    const flow = new Outflow({
      ...{ window, isAway: () => false, now: () => now },
      put: (seq, kind, payload) => sent.push(`${seq} ${kind} ${payload.length}`),
    });
    return { flow, sent, later: (ms: number) => (now += ms) };
  };
  test("is cut where a message is full, and numbered", () => {
    const { flow, sent } = start(9);
    expect(flow.say("accepted", "x".repeat(PIECE))).toBe(0);
    expect(flow.say("reply", "x".repeat(PIECE + 1))).toBe(2);
    expect(sent).toEqual([`0 accepted ${PIECE}`, `1 part ${PIECE}`, "2 reply 1"]);
    expect(flow.backlog).toBe(0);
    flow.drop();
    expect(flow.say("reply", "y")).toBe(3);
    expect(sent).toHaveLength(3);
  });
  test("events of a turn are one message as long as it has room for them with their ends", async () => {
    const { flow, sent } = start(9);
    for (const length of [PIECE - 3, 1, 1]) void flow.event("e".repeat(length));
    expect(flow.backlog).toBe(PIECE - 3 + 1 + 1 + 1 + 1 + 1 - 1);
    await turn();
    expect(sent).toEqual([`0 event ${PIECE - 1}`, "1 event 1"]);
    expect(flow.backlog).toBe(0);
  });
  test("who sends waits where more than 64 KiB are to be sent, and goes on at that", async () => {
    const { flow } = start(1);
    flow.say("accepted", "");
    expect(flow.event("x".repeat((32 << 10) - 1))).toBeUndefined();
    expect(flow.event("x".repeat((32 << 10) - 1))).toBeUndefined();
    expect(flow.backlog).toBe((64 << 10) - 1);
    expect(flow.event("")).toBeUndefined();
    const waits = flow.event("");
    expect([waits instanceof Promise, flow.event("") === waits]).toEqual([true, true]);
    await turn();
    expect(flow.blockedSince).toBe(0);
    flow.confirm(0);
    await waits;
    expect(flow.isConfirmed).toBe(false);
  });
  test("the window is full by its messages or by its bytes, and a second time is a second later", () => {
    const { flow, sent, later } = start(64);
    const quarter = PIECE;
    for (let i = 0; i < 6; i++) flow.say("reply", "x".repeat(quarter));
    // The last of them goes beyond the bytes.
    expect(sent).toHaveLength(Math.ceil(WINDOW_BYTES / quarter));
    later(999);
    flow.resend(0);
    expect(sent).toHaveLength(5);
    later(1);
    flow.resend(3);
    expect(sent.slice(5)).toEqual([`3 reply ${quarter}`, `4 reply ${quarter}`]);
    flow.resend(0);
    expect(sent.slice(7).map((one) => one.split(" ")[0])).toEqual(["0", "1", "2"]);
    expect(flow.blockedSince).toBe(0);
    flow.confirm(0);
    expect([sent.length, flow.isSent, flow.blockedSince]).toEqual([11, true, undefined]);
    const few = start(2);
    for (let i = 0; i < 3; i++) few.flow.say("reply", "x");
    expect(few.sent).toHaveLength(2);
  });
});

describe("calls that were taken", () => {
  const call = (answered: Answered<string>, operator: string, id: number) =>
    answered.add(operator, `${id}`, "d", 1, "call");
  test("are so many of each operator, and of all, and leave their places", () => {
    let now = 0;
    const answered = new Answered<string>(() => now);
    for (const operator of ["op1", "op2"])
      for (let i = 0; i < 10_000; i++) call(answered, operator, i);
    expect(() => call(answered, "op3", 0)).toThrow("too many calls of late: try again in a minute");
    for (const id of ["0", "1"]) answered.release("op1", id);
    answered.release("op1", "none");
    now = 61_000;
    answered.sweep();
    expect([answered.find("op1", "0"), answered.find("op1", "2")?.call]).toEqual([
      undefined,
      "call",
    ]);
    call(answered, "op1", 10_000);
    call(answered, "op1", 10_001);
    expect(() => call(answered, "op1", 10_002)).toThrow("too many");
  });
  test("answers are kept that are one message, the last 4 MiB of them", () => {
    let now = 0;
    const answered = new Answered<string>(() => now);
    const keep = (id: number, length: number) => {
      call(answered, "op", id);
      answered.keep("op", `${id}`, { seq: 7, text: "x".repeat(length) });
      return answered.find("op", `${id}`)?.answer?.seq;
    };
    expect([keep(1000, (16 << 10) + 1), keep(0, 16 << 10)]).toEqual([undefined, 7]);
    for (let id = 1; id < 256; id++) keep(id, 16 << 10);
    expect(answered.find("op", "0")?.answer).toBeDefined();
    keep(256, 1);
    expect([0, 1].map((id) => answered.find("op", `${id}`)?.answer?.seq)).toEqual([undefined, 7]);
    answered.keep("op", "none", { seq: 0, text: "" });
    // What is forgotten makes room.
    for (let id = 0; id <= 256; id++) answered.release("op", `${id}`);
    now = 61_000;
    answered.sweep();
    for (let id = 300; id < 556; id++) keep(id, 16 << 10);
    expect(answered.find("op", "300")?.answer).toBeDefined();
  });
});

test("the pace: a millisecond at once, four after a pause, and no timer for less than half of one", () => {
  const waits = (...costs: number[]) => {
    let now = 0;
    const asked: number[] = [];
    const pace = new Pace(
      () => now,
      (next, ms) => {
        asked.push(ms);
        now += ms;
        next();
      },
    );
    for (const cost of costs) {
      pace.arrived();
      now += cost;
      pace.taken(() => {});
    }
    return asked.map((ms) => Number(ms.toFixed(3)));
  };
  expect([waits(0.99), waits(1), waits(4.2), waits(4.5)]).toEqual([[], [0], [0], [0, 1]]);
  expect(waits(4.26)).toEqual([0, 0.52]);
});

describe("stages and their failures", () => {
  test("have their bounds", () => {
    expect([
      parseAmount("0%"),
      parseAmount("100%"),
      parseAmount("1234567"),
      parseAmount("0.001%"),
    ]).toEqual([
      { number: 0, isPercent: true },
      { number: 100, isPercent: true },
      { number: 1_234_567, isPercent: false },
      { number: 0.001, isPercent: true },
    ]);
    for (const wrong of ["12345678", "0.0001%", "100.1%", "1.0001", "%", " 1", "1 %"])
      expect(() => parseAmount(wrong)).toThrow(
        `${wrong}: expected a number of boards, or a percentage`,
      );
    expect(() => parseStages("1, 0")).toThrow("1, 0: each stage has some boards");
    const sizes = (count: number, text: string) =>
      staged(
        Array.from({ length: count }, (_, i) => i),
        parseStages(text),
      ).map((part) => part.join());
    expect(sizes(3, "1,1,2,50%,100%")).toEqual(["0", "1", "2"]);
    expect(sizes(4, "3,1,100")).toEqual(["0,1,2", "3"]);
    expect([isTooMuch(1, 50, parseAmount("2%")), isTooMuch(1, 49, parseAmount("2%"))]).toEqual([
      false,
      true,
    ]);
    expect([isTooMuch(2, 1, parseAmount("2")), isTooMuch(3, 1, parseAmount("2"))]).toEqual([
      false,
      true,
    ]);
  });
});

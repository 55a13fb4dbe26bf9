/** Bounds of the parts of a fleet: how much each takes, for how long, and what is one too many. */
import { describe, expect, spyOn, test } from "bun:test";
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
  test("once, and after what came before was taken", async () => {
    const gates = Array.from({ length: 3 }, () => Promise.withResolvers<void>());
    const got: string[] = [];
    const said: object[] = [];
    const flow = new Inflow({
      window: 64,
      take: (_, text) => gates[got.push(text) - 1]?.promise,
      say: (one) => said.push(one),
    });
    for (const seq of [0, 1]) flow.message(seq, "event", Buffer.from(`${seq}`));
    expect(got).toEqual(["0"]);
    flow.alive();
    gates[0]?.resolve();
    await turn();
    expect(got).toEqual(["0", "1"]);
    flow.confirm();
    flow.alive();
    gates[1]?.resolve();
    await turn();
    flow.message(2, "event", Buffer.from("2"));
    flow.alive();
    gates[2]?.resolve();
    await turn();
    flow.ask();
    // Not once more.
    flow.confirm();
    expect(said).toEqual([{}, { seq: 1 }, { seq: 1 }, { seq: 1 }, { seq: 2, from: 3 }]);
    const first = start(64);
    first.message(0, "a");
    first.flow.confirm();
    expect(first.said).toEqual([{ seq: 0 }]);
    const slow = new Inflow({
      ...{ window: 2, say: (one) => first.said.push(one) },
      take: (_, text) => (text === "b" ? gates[2]?.promise.then(() => turn()) : undefined),
    });
    for (const [seq, text] of ["a", "b"].entries()) slow.message(seq, "event", Buffer.from(text));
    slow.alive();
    expect(first.said.slice(1)).toEqual([{ seq: 0 }, { seq: 0 }]);
    // In a turn of its own.
    await turn();
    await turn();
  });
  test("in parts, 256 MiB of them where nothing else is said", async () => {
    const { flow, got } = start(64);
    const most = Object.defineProperty(Buffer.from("x"), "length", { value: 256 << 20 });
    flow.message(0, "part", most);
    flow.message(1, "event", Buffer.from("y"));
    await turn();
    expect(got).toEqual(["y"]);
  });
  test("in parts, no longer than it may be", async () => {
    const whole = start(64, 6);
    for (const seq of [0, 2]) {
      whole.message(seq, "abc", "part");
      whole.message(seq + 1, "def");
    }
    await turn();
    expect(whole.got).toEqual(["abcdef", "abcdef"]);
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
    expect([PIECE, WINDOW_BYTES]).toEqual([61_440, 262_144]);
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
    // Who waits once more waits for other room.
    const again = flow.event("y".repeat(64 << 10));
    let isRoom = false;
    void (again as Promise<void>).then(() => (isRoom = true));
    await turn();
    expect([again === waits, isRoom]).toEqual([false, false]);
    const full = start(1);
    full.flow.say("accepted", "");
    expect(full.flow.event("")).toBeUndefined();
    await turn();
    expect(full.flow.blockedSince).toBe(0);
    const exact = start(1);
    for (const length of [0, PIECE]) exact.flow.say("accepted", "x".repeat(length));
    const waiting = exact.flow.event("x".repeat((64 << 10) - 1)) as Promise<void>;
    let isExact = false;
    void waiting.then(() => (isExact = true));
    exact.flow.confirm(0);
    await turn();
    expect([exact.flow.backlog, isExact]).toEqual([64 << 10, true]);
  });
  test("leaves no gap: what comes goes behind what waits, and with it ends", async () => {
    const { flow, sent } = start(2);
    const turns = spyOn(globalThis, "setImmediate");
    for (let i = 0; i < 3; i++) void flow.event("e");
    expect(turns).toHaveBeenCalledTimes(1);
    turns.mockRestore();
    flow.say("accepted", "");
    flow.say("reply", "");
    expect(sent).toEqual(["0 event 5", "1 accepted 0"]);
    void flow.event("e");
    const waits = flow.event("x".repeat(70 << 10));
    await turn();
    flow.drop();
    await waits;
    expect([flow.blockedSince, flow.backlog, flow.isConfirmed]).toEqual([undefined, 0, true]);
    flow.confirm(1);
    expect(flow.event("x".repeat(70 << 10))).toBeUndefined();
    await turn();
    expect([sent.length, flow.backlog]).toEqual([2, 0]);
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
    for (const [left, more] of [
      [1, 1],
      [0, 0],
    ] as const) {
      const wide = start(64);
      for (const length of [PIECE, PIECE, PIECE, PIECE, WINDOW_BYTES - 4 * PIECE - left])
        wide.flow.say("reply", "x".repeat(length));
      wide.flow.say("reply", "y");
      expect(wide.sent).toHaveLength(5 + more);
    }
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
    let busy: unknown;
    try {
      call(answered, "op3", 0);
    } catch (error) {
      busy = error;
    }
    expect(busy).toMatchObject({
      ...{ status: "busy", message: "there were too many calls of late: try again in a minute" },
    });
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
    const last = answered.find("op", "255");
    expect(last?.answer).toBeDefined();
    now = 61_000;
    answered.sweep();
    expect(last?.answer).toBeUndefined();
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
  expect([waits(4.26), waits(4.25)]).toEqual([
    [0, 0.52],
    [0, 0.5],
  ]);
  // What goes on in the turn after it was taken counts, but not what was waited for.
  let now = 0;
  const asked: number[] = [];
  const pace = new Pace(
    () => now,
    (next, ms) => {
      asked.push(ms);
      now += ms === 0 ? 3 : ms;
      next();
    },
  );
  now += 4;
  pace.taken(() => {});
  expect(asked.splice(0)).toEqual([0, 3]);
  now += 1;
  pace.taken(() => {});
  expect(asked).toEqual([0, 4]);
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
    expect(sizes(200, "100%")[0]?.split(",")).toHaveLength(200);
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

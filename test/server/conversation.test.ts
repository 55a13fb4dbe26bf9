/** A connection of messages, each of one byte, over a real socket: what is handled when, and how it ends. */
import { expect, jest, spyOn, test } from "bun:test";
import { once } from "node:events";
import { totalmem } from "node:os";
import { everybody } from "../../src/encoders/hold.ts";
import { LONG } from "../../src/json.ts";
import { rounds } from "../../src/server/rounds.ts";
import type { RawSocket } from "../../src/server/raw-socket.ts";
import { Share } from "../../src/share.ts";
import { turnsUntil } from "../launch/turns.ts";
import { until } from "../served.ts";
import { Fault, talking } from "./talking.ts";

const turn = () => new Promise((resolve) => setImmediate(resolve));

test("one message is handled after the other, also what comes while one is", async () => {
  const { raw, client, of, said } = await talking((message) => {
    if (message === "a") raw.received(Buffer.from("b"));
  });
  of.start(new Uint8Array());
  client.write("a");
  await until("both are handled", () => said.length === 4);
  client.write("c");
  await until("and the next", () => said.length === 6);
  expect(said).toEqual(["a", "/a", "b", "/b", "c", "/c"]);
});

test("sixteen are handled in a turn; held, none is, and then the rest", async () => {
  const { of, said } = await talking(() => {});
  await turn();
  of.start(Buffer.from("x".repeat(40)));
  expect(said).toHaveLength(32);
  of.hold(true);
  for (let i = 0; i < 5; i++) await turn();
  expect(said).toHaveLength(32);
  of.hold(false);
  await until("all are handled", () => said.length === 80);
});

test("who holds itself while it handles one is not given the next", async () => {
  const { of, said } = await talking((message) => void (message === "a" && of.hold(true)));
  of.start(Buffer.from("ab"));
  for (let i = 0; i < 5; i++) await turn();
  expect(said).toEqual(["a", "/a"]);
  of.hold(false);
  await until("it is given the next", () => said.length === 4);
});

test.each([
  ["1002 odd", new Fault(), 0],
  ["1011 internal error", new TypeError("x"), 1],
])("a message that fails ends it: %s", async (goodbye, error, lines) => {
  const spy = spyOn(console, "error").mockImplementation(() => {});
  try {
    const { client, of, said, heard } = await talking((message) => {
      if (message === "b") throw error;
    });
    const ended = once(client, "end");
    of.start(Buffer.from("abc"));
    await ended;
    expect([heard(), said, of.open]).toEqual([goodbye, ["a", "/a", "b", "gone"], false]);
    expect(spy).toHaveBeenCalledTimes(lines);
    // What still comes is dropped.
    client.write("d");
    client.end();
    for (let i = 0; i < 5; i++) await turn();
    expect(said).toEqual(["a", "/a", "b", "gone"]);
  } finally {
    spy.mockRestore();
  }
});

test("what was sent goes out before the goodbye, and nothing behind it", async () => {
  const { client, of, said, heard } = await talking(() => {});
  of.start(new Uint8Array());
  void of.send(Buffer.from("one "));
  of.answer(Buffer.from("two "));
  of.close(1000, "over");
  of.close(1000, "again");
  void of.send(Buffer.from("late"));
  of.answer(Buffer.from("late"));
  await until("it is heard", () => heard().endsWith("over"));
  // The other side is heard until it ends, too.
  client.end("a");
  await until("that is seen", () => said.includes("/a"));
  expect([heard(), said]).toEqual(["one two 1000 over", ["gone", "a", "/a"]]);
});

test("where there are no words for a goodbye the end of the stream is it", async () => {
  const { of, client, said, heard } = await talking(() => {});
  const ended = once(client, "end");
  of.start(new Uint8Array());
  void of.send(Buffer.from("one"));
  of.close(4000, "over");
  await ended;
  expect([heard(), said, of.open]).toEqual(["one", ["gone"], false]);
});

test("it ends with its peer, whether that says so or not", async () => {
  for (const how of ["end", "resetAndDestroy"] as const) {
    const { raw, client, of, said } = await talking(() => {});
    of.start(new Uint8Array());
    client[how]();
    await until(`it is noticed: ${how}`, () => said.length > 0);
    expect([said, of.open, of.empty]).toEqual([["gone"], false, true]);
    client.destroy();
    await until("it is closed", () => raw.destroyed);
    expect(said).toEqual(["gone"]);
  }
});

test("a long message is handled when it is its turn, and what is behind it behind that", async () => {
  const share = new Share(1 << 30);
  const part = share.part();
  const { of, said } = await talking(() => {}, { part });
  of.start(Buffer.from("aLb"));
  expect(said).toEqual(["a", "/a"]);
  expect(part.held).toBeGreaterThan(LONG);
  await until("all are handled", () => said.length === 6);
  expect([said.join(""), part.held]).toEqual(["a/aL/Lb/b", 0]);
  const other = await talking(() => {});
  other.of.start(Buffer.from("l"));
  expect(other.said).toEqual(["l", "/l"]);
});

test("its socket has no time-out, sends at once and is asked whether the peer is there; its errors are its end", async () => {
  const { raw, of, said } = await talking(() => {});
  const calls = [spyOn(raw, "setTimeout"), spyOn(raw, "setNoDelay"), spyOn(raw, "setKeepAlive")];
  of.start(new Uint8Array());
  expect(calls.map(({ mock }) => mock.calls)).toEqual([[[0]], [[true]], [[true, 30_000]]] as never);
  raw.emit("error", new Error("it is broken"));
  expect(raw.destroyed).toBe(true);
  await until("it is gone", () => said.length > 0);
  expect(said).toEqual(["gone"]);
});

test("what has come is handled while it closes; once it is over it is dropped, and counts for nothing", async () => {
  for (const [how, expected] of [
    ["close", ["a", "gone", "/a", "b", "/b", "c", "/c"]],
    ["finish", ["a", "gone", "/a"]],
  ] as const) {
    const part = new Share(1 << 30).part();
    const { raw, of, said } = await talking(
      (message) => {
        if (message !== "a") return;
        raw.received(Buffer.from("bc"));
        if (how === "close") of.close(1000, "over");
        else of.finish();
      },
      { part },
    );
    of.start(Buffer.from("a"));
    await until("what was said is on its way", () => of.empty);
    expect([how, said]).toEqual([how, expected] as never);
    if (how === "finish") expect(part.held).toBe(0);
  }
});

test("a long message whose turn has not come is dropped with what is behind it, once it is over", async () => {
  const part = new Share(1 << 30).part();
  const { of, said } = await talking(() => {}, { part });
  of.start(Buffer.from("L"));
  of.finish();
  await until("what was said is on its way", () => of.empty);
  for (let i = 0; i < 5; i++) await turn();
  expect([said, part.held]).toEqual([["gone"], 0]);
});

test("who has to make room has a moment to read why, and one that closes already has none", async () => {
  const { raw, client, of, said, heard } = await talking(() => {});
  of.start(new Uint8Array());
  jest.useFakeTimers();
  try {
    of.evict("there is no room");
    expect([of.open, said]).toEqual([false, ["gone"]]);
    await turnsUntil("it is heard", () => heard() === "1013 there is no room");
    jest.advanceTimersByTime(249);
    expect(raw.destroyed).toBe(false);
    jest.advanceTimersByTime(1);
    expect(raw.destroyed).toBe(true);
    await turnsUntil("no timer is left", () => jest.getTimerCount() === 0);
    const other = await talking(() => {});
    other.of.start(new Uint8Array());
    other.of.close(1000, "over");
    other.of.evict("there is no room");
    expect([other.raw.destroyed, other.said]).toEqual([true, ["gone"]]);
    await turnsUntil("nor is one of this", () => jest.getTimerCount() === 0);
    client.destroy();
  } finally {
    jest.useRealTimers();
  }
});

test("who closes and hears no goodbye is left after three seconds", async () => {
  const { raw, of } = await talking(() => {});
  of.start(new Uint8Array());
  jest.useFakeTimers();
  try {
    of.close(1000, "over");
    jest.advanceTimersByTime(2_999);
    expect(raw.destroyed).toBe(false);
    jest.advanceTimersByTime(1);
    expect(raw.destroyed).toBe(true);
    await turnsUntil("no timer is left", () => jest.getTimerCount() === 0);
  } finally {
    jest.useRealTimers();
  }
});

test("who does not read what waits for it is not read either, from a megabyte on; all of it counts", async () => {
  const part = new Share(1 << 30).part();
  const { of, said, client } = await talking(() => {}, { part });
  client.pause();
  of.start(Buffer.from("?"));
  const piece = Buffer.alloc(64 << 10);
  /** So much waits, as the kernel takes no more. */
  const more = (most: number) =>
    until("the kernel takes no more", () => {
      const isFull = of.backlog >= most;
      while (of.backlog < most) void of.send(piece);
      return isFull;
    });
  await more(900 << 10);
  expect(part.held).toBe(of.backlog + 1);
  expect(of.heard).toBeNumber();
  client.write("x");
  const heard = of.heard ?? 0;
  await until("it is read", () => (of.heard ?? 0) > heard);
  await more((1 << 20) + 1);
  client.write("y");
  await until("it is not read any more", () => of.heard === undefined);
  client.resume();
  await until("it is read again", () => of.heard !== undefined);
  expect(said).toEqual([]);
  client.destroy();
});

test("who lets more wait than there is for all of them is cut off; whoever waits to send is told", async () => {
  const { raw, of, said, client } = await talking(() => {});
  client.pause();
  of.start(new Uint8Array());
  // The same piece again and again: it is not there so often.
  const piece = Buffer.alloc(64 << 10);
  let waiting: unknown;
  let most = 0;
  for (let i = 0; i < 20_000 && of.open; i++) {
    most = of.backlog;
    waiting = of.send(piece) ?? waiting;
  }
  expect([of.open, raw.destroyed, said]).toEqual([false, true, ["gone"]]);
  // One alone has half of it.
  const half = Math.min(512 << 20, totalmem() / 8) / 2;
  expect(most).toBeWithin(half, half + 2 * piece.length);
  await waiting;
  await until("it is closed", () => of.backlog === 0);
});

test("where others wait each turn is waited for, also behind one", async () => {
  const { raw, of, said } = await talking(() => {});
  let more = true;
  const other = { peer: "other", connection: {} };
  const again = (): void => void (more && rounds.enter(other, again));
  again();
  try {
    of.start(Buffer.from("a"));
    expect(said).toEqual([]);
    await until("it has its turn", () => said.length === 2);
    raw.received(Buffer.from("b"));
    expect(said).toEqual(["a", "/a"]);
    await until("it has the next", () => said.length === 4);
  } finally {
    more = false;
  }
});

test("64 MiB may wait for each, whatever waits for others", async () => {
  const piece = Buffer.alloc(512 << 10);
  const all = Math.min(512 << 20, totalmem() / 8);
  const before = everybody.free;
  const made: RawSocket[] = [];
  const one = async () => {
    const { raw, of, client } = await talking(() => {});
    made.push(raw);
    client.pause();
    of.start(new Uint8Array());
    return of;
  };
  try {
    // Each takes all that it may, and less and less is left.
    for (let left = all; left > 32 << 20;) {
      const of = await one();
      const most = Math.max(64 << 20, left / 2) - 2 * piece.length;
      while (of.backlog < most) void of.send(piece);
      expect(of.open).toBe(true);
      left -= of.backlog;
    }
    const last = await one();
    let most = 0;
    while (last.open) {
      most = last.backlog;
      void last.send(piece);
    }
    expect(most).toBeWithin(64 << 20, (64 << 20) + 2 * piece.length);
  } finally {
    // Those that come later find as much as these.
    for (const raw of made) raw.destroy();
    await until("nothing waits for them", () => everybody.free >= before);
  }
});

test("who let more than 256 KiB wait while it was held is not read before that has gone", async () => {
  const { of, said, client } = await talking(() => {});
  client.pause();
  of.start(new Uint8Array());
  const piece = Buffer.alloc(16 << 10);
  for (const [message, least] of [
    ["a", 200 << 10],
    ["b", 264 << 10],
  ] as const) {
    of.hold(true);
    client.write(message);
    await until("it is not read", () => of.heard === undefined);
    await until("the kernel takes no more", () => {
      const isFull = of.backlog >= least;
      while (of.backlog < least) void of.send(piece);
      return isFull;
    });
    of.hold(false);
  }
  expect([said, of.heard]).toEqual([["a", "/a"], undefined]);
  client.resume();
  await until("it is read again", () => said.includes("/b"));
});

test("once its socket is closed nothing of it counts any more, nor is anything timed", async () => {
  const part = new Share(1 << 30).part();
  // Else it would hold more than is left for others, which is timed, too.
  await until("there is room", () => everybody.free > 64 << 20);
  // What those before have yet to read would be its peer's, too, and have a timer of its own.
  const from = { peer: "apart", connection: {} };
  const { raw, of, client, reader } = await talking(() => {}, { part, from });
  client.pause();
  jest.useFakeTimers();
  try {
    reader.message = LONG + 1;
    of.start(Buffer.from("?"));
    of.charge(5);
    const sent = Array.from({ length: 200 }, () => of.send(Buffer.alloc(64 << 10)));
    expect([part.held > 1000, sent.at(-1), jest.getTimerCount()]).toEqual([
      ...[true, expect.any(Promise), 1],
    ] as never);
    of.close(1000, "over");
    raw.destroy();
    await turnsUntil("no timer is left", () => jest.getTimerCount() === 0);
    await Promise.all(sent);
    of.charge(7);
    expect(part.held).toBe(0);
    // Whoever counts on it later counts nothing.
    part.set(5);
    expect(part.held).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});

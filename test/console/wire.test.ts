/** The page's connection to the server: when it is made, given up and made again, by a clock and a server that the test decides. */
import { afterEach, beforeEach, describe, expect, jest, spyOn, test } from "bun:test";
import { type Components, componentsAmid } from "./components.ts";

/** A connection, as the browser has it. */
class Wire {
  static OPEN = WebSocket.OPEN;
  static all: Wire[] = [];
  readyState: number = WebSocket.CONNECTING;
  onopen?: () => void;
  onmessage?: (event: { data: unknown }) => void;
  onclose?: () => void;
  readonly sent: unknown[] = [];
  isClosed = false;
  constructor(
    readonly url: string,
    readonly protocol: string,
  ) {
    Wire.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }
  /** As one to a network that is gone: nothing is told of its end. */
  close(): void {
    this.isClosed = true;
    this.readyState = WebSocket.CLOSING;
  }
  opens(): void {
    this.readyState = WebSocket.OPEN;
    this.onopen?.();
  }
  says(message: unknown): void {
    this.onmessage?.({ data: typeof message === "string" ? message : JSON.stringify(message) });
  }
  breaks(): void {
    this.readyState = WebSocket.CLOSED;
    this.onclose?.();
  }
}

interface Parts {
  connect(): void;
  reconnect(): void;
  call(verb: string, args?: unknown): Promise<object>;
  listen(event: string, listener: (data: object) => void): () => void;
  readonly base: string;
  readonly generation: { readonly value: number };
  readonly lost: { readonly value: boolean };
  readonly refused: { readonly value: boolean };
}

const ends: (() => unknown)[] = [];
let page: Components;
let parts: Parts;
const made = () => Wire.all.length;
const last = (): Wire => {
  const wire = Wire.all.at(-1);
  if (!wire) throw new Error("there is none");
  return wire;
};
/** What was settled is heard. */
const turn = () => new Promise((resolve) => setImmediate(resolve));
const at = async (url: string) => {
  page = await componentsAmid({ WebSocket: Wire, CloseEvent: Event }, url, "connection.ts");
  const { window } = page;
  ends.push(() => window.happyDOM.close());
  return page.from as unknown as Parts;
};
const hide = (hidden: boolean) =>
  Object.defineProperty(page.window.document, "hidden", { value: hidden, configurable: true });
/** The browser says so. */
const told = (target: { dispatchEvent(event: never): unknown }, type: string) =>
  target.dispatchEvent(new page.window.Event(type) as never);

beforeEach(async () => {
  Wire.all = [];
  parts = await at("http://localhost/");
  hide(false);
  jest.useFakeTimers();
});
afterEach(async () => {
  jest.useRealTimers();
  for (const end of ends.splice(0).reverse()) await end();
});
const after = (ms: number) => jest.advanceTimersByTime(ms);

test.each([
  ["http://h/", "/", "ws://h/api"],
  ["https://h:1/console/", "/", "wss://h:1/api"],
  ["https://h/x/console/index.html", "/x/", "wss://h/x/api"],
  ["http://h/x/page", "/x/", "ws://h/x/api"],
])("of a page at %s all is below %s", async (url, base, address) => {
  jest.useRealTimers();
  const { connect, base: found } = await at(url);
  connect();
  expect([found, last().url, last().protocol]).toEqual([base, address, "x-afb-ws-json1"]);
});

describe("a server", () => {
  test("that is not there is told after two seconds, and tried again, ever more seldom", () => {
    parts.connect();
    expect([made(), parts.generation.value]).toEqual([1, 0]);
    const tries: number[] = [];
    for (let at = 0; at < 7000; at += 100) {
      if (last().readyState === WebSocket.CONNECTING) {
        tries.push(at);
        last().breaks();
      }
      // Not told sooner, nor later since one more has failed.
      expect([at, parts.lost.value]).toEqual([at, at >= 2000]);
      after(100);
    }
    expect(tries).toEqual([0, 200, 600, 1400, 3000, 6200]);
    last().opens();
    expect([parts.lost.value, parts.generation.value]).toEqual([false, 1]);
  });
  test("that is there at once is never told to be lost, and each connection is counted", () => {
    parts.connect();
    last().opens();
    after(4999);
    expect([parts.lost.value, made()]).toEqual([false, 1]);
    last().breaks();
    expect([made(), parts.generation.value]).toEqual([1, 1]);
    // From then on: as soon as after any that was open.
    after(199);
    expect(made()).toBe(1);
    after(1);
    expect([made(), parts.lost.value]).toEqual([2, false]);
    last().opens();
    expect(parts.generation.value).toBe(2);
    after(1999);
    expect(parts.lost.value).toBe(false);
  });
  test("that is lost is told two seconds later, once", () => {
    parts.connect();
    last().opens();
    last().breaks();
    after(1999);
    expect(parts.lost.value).toBe(false);
    after(1);
    expect(parts.lost.value).toBe(true);
  });
  test("is tried at once where the network is back, or somebody looks; but one time", () => {
    parts.connect();
    const online = () => told(page.window, "online");
    const seen = () => told(page.window.document, "visibilitychange");
    // There is one under way.
    online();
    expect(made()).toBe(1);
    for (let i = 0; i < 5; i++) {
      last().breaks();
      after(10_000);
    }
    const before = made();
    last().breaks();
    hide(true);
    seen();
    online();
    expect(made()).toBe(before);
    hide(false);
    seen();
    expect(made()).toBe(before + 1);
    // Nor another when its time would have come.
    after(40_000);
    expect(made()).toBe(before + 1);
    last().breaks();
    // As after the first.
    after(200);
    expect(made()).toBe(before + 2);
    last().breaks();
    online();
    expect(made()).toBe(before + 3);
    last().opens();
    online();
    expect(made()).toBe(before + 3);
  });
});

describe("a server that is silent", () => {
  const SESSION = [2, "1", "monitor/session", null];
  test("is asked after five seconds, and is there where it answers", async () => {
    parts.connect();
    last().opens();
    after(4000);
    last().says([5, "x", {}]);
    after(4999);
    await turn();
    expect(last().sent).toEqual([]);
    after(1001);
    await turn();
    expect(last().sent).toEqual([SESSION]);
    after(4000);
    last().says([3, "1", { request: { status: "success" } }]);
    await turn();
    after(900);
    expect([parts.lost.value, made(), last().isClosed]).toEqual([false, 1, false]);
    // What it was given to answer is over.
    after(7900);
    await turn();
    expect([parts.lost.value, last().isClosed]).toEqual([false, false]);
  });
  test("and does not answer for eight seconds is left for another connection", async () => {
    parts.connect();
    last().opens();
    const waiting = parts.call("a/v");
    await turn();
    // Within the first five seconds it has opened.
    after(9999);
    await turn();
    expect(last().sent).toHaveLength(1);
    after(1);
    await turn();
    const [silent] = Wire.all;
    expect(silent?.sent).toEqual([
      [2, "1", "a/v", null],
      [2, "2", "monitor/session", null],
    ]);
    after(7999);
    expect([parts.lost.value, silent?.isClosed]).toEqual([false, false]);
    after(1);
    expect([parts.lost.value, silent?.isClosed]).toEqual([true, true]);
    expect(await waiting).toEqual({ status: "disconnected", info: "", response: undefined });
    after(200);
    expect(made()).toBe(2);
    last().opens();
    expect(parts.lost.value).toBe(false);
    // Its end, which comes late, is nobody's any more.
    silent?.breaks();
    after(10_000);
    expect([made(), parts.lost.value]).toEqual([2, false]);
  });
  test("is not asked before it is there", async () => {
    parts.connect();
    after(20_000);
    await turn();
    last().opens();
    await turn();
    expect(last().sent).toEqual([]);
  });
});

describe("a call", () => {
  const success = (id: string, more: object = {}) => [
    ...[3, id, { request: { status: "success" }, ...more }],
  ];
  test("waits for the connection, and has its own answer", async () => {
    parts.connect();
    const [one, two] = [parts.call("a/v", { x: 1 }), parts.call("a/w")];
    await turn();
    // It is the next that comes.
    last().breaks();
    after(200);
    last().opens();
    await turn();
    expect(last().sent).toEqual([
      [2, "1", "a/v", { x: 1 }],
      [2, "2", "a/w", null],
    ]);
    // What is none of theirs.
    for (const odd of ["{", "5", [], [3], [3, 5, {}], [5, "2", {}], success("99")])
      last().says(odd);
    last().onmessage?.({ data: new ArrayBuffer(8) });
    last().says(success("2", { response: [7] }));
    last().says([4, "1", { request: { status: "denied", info: "why" } }]);
    expect(await two).toEqual({ status: "success", info: "", response: [7] });
    expect(await one).toEqual({ status: "denied", info: "why", response: undefined });
    const odd = parts.call("a/v");
    await turn();
    last().says([4, "3", 5]);
    expect(await odd).toEqual({ status: "?", info: "", response: undefined });
  });
  test("is over with its connection, and one behind its end waits for the next", async () => {
    parts.connect();
    last().opens();
    const lost = parts.call("a/v");
    await turn();
    last().breaks();
    expect(await lost).toMatchObject({ status: "disconnected" });
    const next = parts.call("a/v");
    await turn();
    after(200);
    last().opens();
    await turn();
    expect(last().sent).toEqual([[2, "2", "a/v", null]]);
    last().says(success("2"));
    expect(await next).toMatchObject({ status: "success" });
    // It is closing, and has not said so yet.
    last().close();
    expect(await parts.call("a/v")).toEqual({
      ...{ status: "disconnected", info: "", response: undefined },
    });
    expect(last().sent).toHaveLength(1);
  });
  test("has the token that there is", async () => {
    parts.connect();
    last().opens();
    page.window.sessionStorage.setItem("spawnbox:token", "TOKEN");
    void parts.call("a/v", []);
    await turn();
    expect(last().sent).toEqual([[2, "1", "a/v", [], "TOKEN"]]);
    last().says([4, "1", { request: { status: "invalid-token" } }]);
    await turn();
    expect(parts.refused.value).toBe(true);
    const { isClosed } = last();
    parts.reconnect();
    expect([isClosed, last().isClosed, parts.refused.value]).toEqual([false, true, false]);
    after(200);
    expect(made()).toBe(2);
    last().breaks();
    // There is none to leave.
    parts.reconnect();
    expect(made()).toBe(2);
  });
});

describe("an event", () => {
  test("goes to all who listen for its name, in any case, until they leave", () => {
    parts.connect();
    last().opens();
    const heard: string[] = [];
    const leave = parts.listen("A/V", () => {
      heard.push("one");
      leave();
    });
    parts.listen("a/v", (data) => void heard.push(JSON.stringify(data)));
    parts.listen("other", () => void heard.push("other"));
    const says = (data: unknown, name: unknown = "a/V") =>
      last().says([5, name, { event: name, data }]);
    says({ x: 1 });
    says({ x: 2 });
    expect(heard).toEqual(["one", '{"x":1}', '{"x":2}']);
    for (const odd of [undefined, null, 5, "x", [1]]) says(odd);
    says({}, 5);
    says({}, "nobody");
    last().says([3, "a/v", { data: {} }]);
    last().says([5, "a/v"]);
    expect(heard).toHaveLength(3);
  });
});

test("long work is done in turns: so long where somebody looks, and longer where nobody does", async () => {
  jest.useRealTimers();
  const turns = await componentsAmid({}, "http://localhost/", "turns.ts");
  ends.push(() => turns[Symbol.asyncDispose]());
  const { isTurnOver, nextTurn } = turns.from as unknown as {
    isTurnOver(): boolean;
    nextTurn(): Promise<void>;
  };
  let now = 0.5;
  using _clock = spyOn(performance, "now").mockImplementation(() => now);
  expect(isTurnOver()).toBe(true);
  for (const [hidden, length] of [
    [false, 20],
    [true, 200],
  ] as const) {
    Object.defineProperty(turns.window.document, "hidden", { value: hidden, configurable: true });
    const begin = now;
    await nextTurn();
    const over = [0, length, length + 1].map((ms) => {
      now = begin + ms;
      return isTurnOver();
    });
    expect([hidden, over]).toEqual([hidden, [false, false, true]]);
  }
  // One after the other.
  const order: number[] = [];
  await Promise.all([1, 2, 3].map((n) => nextTurn().then(() => void order.push(n))));
  expect(order).toEqual([1, 2, 3]);
});

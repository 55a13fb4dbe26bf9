/** Events of a task as the page reads them, of a server that sends what a test says, in any pieces. */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { until } from "../served.ts";
import { type Components, componentsAmid } from "./components.ts";

interface Stream {
  readonly id: string;
  begin(): Promise<void>;
  hear(hear: (data: object, number: number) => void): Promise<void>;
  leave(): void;
}
interface Parts {
  EventStream: new (body: ReadableStream<Uint8Array>) => Stream;
  openStream(
    api: string,
    verb: string,
    query: Readonly<Record<string, string>>,
    body?: string,
  ): Promise<Stream | object>;
  startTask(api: string, verb: string, args: object, input?: string): Promise<Stream | object>;
  isStarted(id: string): boolean;
  takeStream(id: string): Stream | undefined;
  putAside(stream: Stream): void;
}

const asked: object[] = [];
let answer: () => Response = () => new Response();
let server: Bun.Server<undefined>;
let page: Components;
let parts: Parts;
beforeEach(async () => {
  asked.length = 0;
  server = Bun.serve({
    port: 0,
    async fetch(request) {
      const { method, headers, url } = request;
      asked.push({
        ...{ method, path: url.slice(url.indexOf("/", 8)), body: await request.text() },
        ...{ type: headers.get("content-type"), token: headers.get("authorization") },
      });
      return answer();
    },
  });
  const url = `http://localhost:${server.port}/`;
  const surroundings = {
    fetch: (to: string, how: object) => fetch(new URL(to, url), how),
  };
  page = await componentsAmid(surroundings, url, "stream.ts", "starts.ts");
  parts = page.from as unknown as Parts;
});
afterEach(async () => {
  await page[Symbol.asyncDispose]();
  await server.stop(true);
});

/** A body of which a test says what comes, and that it is left. */
function source() {
  let control!: ReadableStreamDefaultController<Uint8Array>;
  let isLeft = false;
  const body = new ReadableStream<Uint8Array>({
    start: (controller) => void (control = controller),
    cancel: () => void (isLeft = true),
  });
  const bytes = (text: string) => new TextEncoder().encode(text);
  return {
    ...{ body, isLeft: () => isLeft, end: () => control.close() },
    break: () => control.error(new TypeError("gone")),
    send: (text: string | Uint8Array) =>
      control.enqueue(typeof text === "string" ? bytes(text) : text),
  };
}
const event = (number: number, data: unknown, jtype = "afb-event") =>
  `id: T:${number}\ndata: ${JSON.stringify({ jtype, event: "a/v", data })}\n\n`;

describe("events", () => {
  const heard = async (pieces: (string | Uint8Array)[]) => {
    const { body, send, end } = source();
    const stream = new parts.EventStream(body);
    const all: [object, number][] = [];
    for (const piece of pieces) send(piece);
    end();
    await stream.begin();
    await stream.hear((data, number) => void all.push([data, number]));
    return { all, id: stream.id };
  };
  const TEXT = [
    ": hello\n\n",
    event(1, { n: "é" }),
    ": still there\n\n",
    event(12, { n: 2 }),
    // What is none of the task's.
    event(13, { no: 1 }, "afb-reply"),
    event(14, [1]),
    "data: {\n\ndata: 5\n\n",
    'retry: 5\ndata: {"jtype":"afb-event","data":{"n":3}}\n\n',
    // Not at its end.
    "id: T:15\ndata: {}",
  ].join("");
  const ALL = {
    all: [
      [{ n: "é" }, 1],
      [{ n: 2 }, 12],
      [{ n: 3 }, 0],
    ],
    id: "T",
  };

  test("are the same in any pieces", async () => {
    const bytes = new TextEncoder().encode(TEXT);
    for (const length of [1, 2, 3, 7, 40, bytes.length]) {
      const pieces: Uint8Array[] = [];
      for (let at = 0; at < bytes.length; at += length) pieces.push(bytes.slice(at, at + length));
      expect([length, await heard(pieces)]).toEqual([length, ALL] as never);
    }
  });

  test("begin with a name, or end without one; those that came with it are heard first", async () => {
    expect(await heard([])).toEqual({ all: [], id: "" });
    const { body, send, end } = source();
    const stream = new parts.EventStream(body);
    send(event(1, { n: 1 }) + event(2, { n: 2 }));
    await stream.begin();
    expect(stream.id).toBe("T");
    const all: number[] = [];
    const over = stream.hear((_data, number) => void all.push(number));
    send(event(3, { n: 3 }));
    end();
    await over;
    expect(all).toEqual([1, 2, 3]);
  });

  test("that break off are told; who leaves hears no more", async () => {
    const broken = source();
    const stream = new parts.EventStream(broken.body);
    broken.send(event(1, {}));
    await stream.begin();
    broken.break();
    await expect(stream.hear(() => {})).rejects.toThrow("gone");
    // It is broken already, which nobody has to hear twice.
    stream.leave();
    const left = source();
    const other = new parts.EventStream(left.body);
    const over = other.hear(() => {});
    other.leave();
    await over;
    expect(left.isLeft()).toBe(true);
  });

  test.each([
    [false, [false, false]],
    [true, [true, true]],
  ])("leave the page its turn where they take long: %p", async (isLong, expected) => {
    let now = 0;
    using _clock = spyOn(performance, "now").mockImplementation(() => now);
    const { body, send, end } = source();
    const stream = new parts.EventStream(body);
    const turns: boolean[] = [];
    let isLater = true;
    const hear = () => {
      turns.push(isLater);
      isLater = false;
      queueMicrotask(() => (isLater = true));
      if (isLong) now += 1e6;
    };
    send(event(1, {}) + event(2, {}));
    await stream.begin();
    const over = stream.hear(hear);
    while (turns.length < 2) await new Promise((resolve) => setImmediate(resolve));
    send(event(3, {}) + event(4, {}));
    end();
    await over;
    expect([turns[1], turns[3]] as unknown[]).toEqual(expected);
  });
});

describe("a call", () => {
  const NAMED = { method: "GET", type: null, token: null, body: "" };
  test("is for a verb, with what it is given", async () => {
    answer = () => new Response(event(1, {}));
    const stream = await parts.openStream("a b", "v/w x", { q: "1&2" });
    expect(stream).toBeInstanceOf(parts.EventStream);
    page.window.sessionStorage.setItem("spawnbox:token", "T");
    await parts.openStream("a", "v", {}, "{}");
    expect(asked).toEqual([
      { ...NAMED, path: "/api/a%20b/v/w%20x/events?q=1%262" },
      {
        ...{ method: "POST", path: "/api/a/v/events?", body: "{}" },
        ...{ type: "application/json", token: "Bearer T" },
      },
    ]);
  });
  test.each<[string, () => Response, object]>([
    [
      "refused",
      () =>
        Response.json({ request: { status: "denied", info: "why" }, response: 5 }, { status: 403 }),
      { status: "denied", info: "why", response: 5 },
    ],
    [
      "refused without a word",
      () => new Response("<html>", { status: 502 }),
      { status: "502", info: "", response: undefined },
    ],
    [
      "answered by nothing",
      () => new Response(null, { status: 204 }),
      { status: "204", info: "", response: undefined },
    ],
  ])("that is %s has that for an answer", async (_what, told, reply) => {
    answer = told;
    expect(await parts.openStream("a", "v", {})).toEqual(reply);
    expect(await parts.startTask("a", "v", {})).toEqual(reply);
  });
});

describe("a task that is started here", () => {
  test("is known by its name, and taken once", async () => {
    answer = () => new Response(event(1, { n: 1 }));
    const stream = await parts.startTask("a", "v", { x: 1 });
    expect(stream).toMatchObject({ id: "T" });
    expect([parts.isStarted("T"), parts.isStarted("U")]).toEqual([true, false]);
    expect(parts.takeStream("T")).toBe(stream as Stream);
    expect([parts.isStarted("T"), parts.takeStream("T")]).toEqual([false, undefined]);
    await parts.startTask("a", "v", { x: 1 }, "input");
    expect(asked).toMatchObject([
      { method: "POST", path: "/api/a/v/events?", body: '{"action":"start","args":{"x":1}}' },
      { method: "POST", path: "/api/a/v/events?query=%7B%22x%22%3A1%7D", body: "input" },
    ]);
  });
  test("where there is no server is told so", async () => {
    await server.stop(true);
    const surroundings = { fetch: () => Promise.reject(new TypeError("no server")) };
    await using other = await componentsAmid(surroundings, "http://localhost/", "starts.ts");
    const { startTask } = other.from as unknown as Parts;
    expect(await startTask("a", "v", {})).toEqual({
      ...{ status: "disconnected", info: "no server", response: undefined },
    });
    const broken = { fetch: () => Promise.reject(new RangeError("a fault")) };
    await using faulty = await componentsAmid(broken, "http://localhost/", "starts.ts");
    const { startTask: start } = faulty.from as unknown as Parts;
    await expect(start("a", "v", {})).rejects.toThrow("a fault");
  });
  test("is read on when nobody looks, as are two others at a time", async () => {
    const all = Array.from({ length: 5 }, source);
    const leaves: string[] = [];
    const streams = all.map(({ body }, n) => {
      const stream = new parts.EventStream(body);
      const leave = stream.leave.bind(stream);
      return Object.assign(stream, {
        leave: () => {
          leaves.push(`${n}`);
          leave();
        },
      });
    });
    const left = () => all.map(({ isLeft }) => isLeft());
    for (const [n, stream] of streams.entries()) {
      parts.putAside(stream);
      // Twice is once.
      parts.putAside(stream);
      await until("it is left", () => left().filter(Boolean).length === Math.max(0, n - 2));
    }
    expect(left()).toEqual([true, true, false, false, false]);
    // Each once.
    expect(leaves).toEqual(["0", "1"]);
  });
});

/** One connection of HTTP/1.1, with limits short enough to be met. */
import { expect, jest, test } from "bun:test";
import { BrokenInput } from "../../../src/api/source.ts";
import { LIMITS } from "../../../src/server/http/connection.ts";
import type { Incoming } from "../../../src/server/http/incoming.ts";
import { Share } from "../../../src/share.ts";
import { turns, turnsUntil } from "../../launch/turns.ts";
import { until } from "../../served.ts";
import { RawClient } from "../harness.ts";
import { lines, type Site, site } from "./site.ts";

test("slow clients are cut off: before the headers, within them, within the body, and when idle", async () => {
  const limits = { head: 50, body: 80, idle: 60, linger: 50 };
  const { port, stop } = await site(
    async (request) => {
      if (new URL(request.url).pathname === "/long") await Bun.sleep(200);
      return new Response("done");
    },
    { limits },
  );
  for (const [bytes, expected] of [
    ["", /^HTTP\/1.1 408|^$/],
    ["GET / HTTP/1.1\r\nHost", /^HTTP\/1.1 408 /],
    // Of the next request, the first byte has come with this one.
    [`${lines("GET", "/")}G`, /^HTTP\/1.1 200 [^]*HTTP\/1.1 408 /],
    [lines("POST", "/slow", "Content-Length: 9") + "1", /^HTTP\/1.1 408 /],
    // Longer than any limit, but nobody's fault.
    [lines("GET", "/long"), /\r\n\r\ndone$/],
    [lines("GET", "/"), /\r\n\r\ndone$/],
  ] as const) {
    using client = await RawClient.open(port);
    client.write(bytes);
    expect(await client.rest()).toMatch(expected);
  }
  stop();
});

test("requests sent ahead are asked for one after the other, and only as far as replies are read", async () => {
  const body = "x".repeat(256 << 10);
  const here = await site(() => new Response(body));
  using client = await RawClient.open(here.port);
  client.socket.pause();
  client.write(lines("GET", "/").repeat(4000));
  // Until nothing moves any more: the kernel holds what it can.
  for (let before = -1; before < here.asked || here.asked === 0;) {
    before = here.asked;
    await Bun.sleep(200);
  }
  expect(here.asked).toBeLessThan(200);
  expect(here.memory.most - here.memory.free).toBeLessThan(2 * body.length);
  client.socket.destroy();
  while (here.memory.free < here.memory.most) await Bun.sleep(5);
  here.stop();
});

test("what all connections hold together is bounded: bodies wait for one another", async () => {
  const memory = new Share(1 << 20);
  const here = await site((_, body) => new Response(String(body.length)), {
    memory,
  });
  const clients: RawClient[] = [];
  let most = 0;
  for (let i = 0; i < 20; i++) {
    const client = await RawClient.open(here.port);
    clients.push(client);
    client.write(lines("POST", "/", "Content-Length: 900000", "Connection: close"));
    client.write("y".repeat(899_999));
    most = Math.max(most, memory.most - memory.free);
  }
  for (let i = 0; i < 40; i++) {
    await Bun.sleep(5);
    most = Math.max(most, memory.most - memory.free);
  }
  // Each may be beyond by what was read last: 18 MB were sent.
  expect(most).toBeLessThan(12 << 20);
  for (const client of clients) client.write("y");
  for (const client of clients) {
    expect(await client.rest()).toEndWith("\r\n\r\n900000");
    client.socket.destroy();
  }
  while (memory.free < memory.most) await Bun.sleep(5);
  here.stop();
});

test("who waits for what others hold is not idle, and is once that is over", async () => {
  const memory = new Share(1 << 20);
  const here = await site((_, body) => new Response(String(body.length)), { memory });
  const other = memory.part();
  other.add(1 << 20);
  // It is the one that need not wait.
  other.onRoom(
    () => {},
    () => {},
  );
  using client = await RawClient.open(here.port);
  client.write(lines("POST", "/", "Content-Length: 100000"));
  client.write("y".repeat(99_999));
  const idle = () => here.connections[0]?.idleSince;
  await until("it waits", () => here.connections.length > 0 && idle() === undefined);
  other.close();
  client.write("y");
  expect(await client.head()).toStartWith("HTTP/1.1 200 ");
  await until("it is idle", () => idle() !== undefined);
  here.stop();
});

test.each([
  ["a backslash in the path", lines("GET", "/pages/..\\api/t/ping"), 400],
  ["a fragment", lines("GET", "/?a=b#c"), 400],
  ["two hosts", lines("GET", "/", "Host: y"), 400],
  ["two hosts, one in the URL", lines("GET", "http://y/"), 400],
  ["a user in the URL", lines("GET", "http://y@x/"), 400],
  ["no host", "GET / HTTP/1.1\r\n\r\n", 400],
  ["no host but in the URL", "GET http://x/ HTTP/1.1\r\n\r\n", 400],
  ["a blank before the colon", lines("GET", "/", "A : b"), 400],
  ["a folded line", lines("GET", "/", "A: b", " c"), 400],
  ["a bare line feed within the headers", "GET / HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400],
  ["bare line feeds alone", "GET / HTTP/1.1\nHost: x\n\n", 400],
  ["a first line with a bare line feed", "GET /\n", 400],
  [
    "a chunk whose line ends in a bare line feed",
    `${lines("POST", "/", "Transfer-Encoding: chunked")}1\n`,
    400,
  ],
  ...[
    ["a bare line feed behind the last chunk", "0\r\n\n"],
    ["a bare line feed in a trailer", "0\r\nA: b\n"],
    ["a carriage return in a trailer", "0\r\nA: b\r\r\n"],
    ["a trailer that is none", "0\r\n"],
  ].map(([what = "", end = ""]): [string, string, number] => [
    what,
    // To another reader a request of its own.
    `${lines("POST", "/", "Transfer-Encoding: chunked")}${end}${lines("GET", "/")}`,
    400,
  ]),
  ["a star that nobody asks for its options", lines("GET", "*"), 400],
  ["a carriage return in a value", lines("GET", "/", "A: b\rc"), 400],
  ["NUL in a value", lines("GET", "/", "A: b\0c"), 400],
  ["a no-break space behind a coding", lines("POST", "/", "Transfer-Encoding: chunked\xa0"), 501],
  ["a no-break space behind a length", lines("POST", "/", "Content-Length: 1\xa0"), 400],
  ["too long a URL", lines("GET", `/?a=${"x".repeat(20_000)}`), 414],
  [
    "one that leaves too little for headers",
    lines("GET", `/${"x".repeat(16_000)}`, `A: ${"x".repeat(500)}`),
    414,
  ],
  ["too long a header", lines("GET", "/", `A: ${"x".repeat(20_000)}`), 431],
  ["a method in lower case", lines("post", "/"), 400],
  ["HEAD in lower case", lines("head", "/"), 400],
  ["a length of two", lines("POST", "/", "Content-Length: 1", "Content-Length: 1"), 400],
  ["a list of lengths", lines("POST", "/", "Content-Length: 1, 1"), 400],
  ["a signed length", lines("POST", "/", "Content-Length: +1"), 400],
  ["a length beyond all numbers", lines("POST", "/", `Content-Length: ${"9".repeat(30)}`), 400],
  ["length and chunks", lines("POST", "/", "Content-Length: 1", "Transfer-Encoding: chunked"), 400],
  ["an unknown coding", lines("POST", "/", "Transfer-Encoding: gzip, chunked"), 501],
  ["chunked twice", lines("POST", "/", "Transfer-Encoding: chunked, chunked"), 501],
  ["chunks of HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400],
  ["a chunk without a size", `${lines("POST", "/", "Transfer-Encoding: chunked")}zz\r\n`, 400],
  [
    "a chunk longer than it says",
    `${lines("POST", "/", "Transfer-Encoding: chunked")}1\r\nab\r\n`,
    400,
  ],
  ["an expectation that nobody meets", lines("POST", "/", "Expect: 200-ok"), 417],
  ["HTTP/2 without a word", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505],
  ["TLS", "\x16\x03\x01\x02\0", 400],
  ["a method that is none", lines("G(T", "/"), 400],
  [
    "too many headers",
    lines("GET", "/", ...Array.from({ length: 200 }, (_, i) => `A${i}: b`)),
    431,
  ],
  [
    "a long line of chunks",
    `${lines("POST", "/", "Transfer-Encoding: chunked")}1;${"x".repeat(5000)}`,
    400,
  ],
])("%s: refused, and the connection ends", async (_, bytes, status) => {
  const here = await site(() => new Response("answered"), { limits: { ...LIMITS, linger: 100 } });
  using client = await RawClient.open(here.port);
  client.write(Buffer.from(bytes, "latin1"));
  const text = await client.rest();
  expect(text).toStartWith(`HTTP/1.1 ${status} `);
  expect(text).toMatch(/^connection: close\r$/m);
  expect(text).not.toContain("answered");
  here.stop();
});

test.each([
  ["a whole URL, as for a proxy", "http://X/a/b?c=d", "/a/b?c=d"],
  ["one without a path", "HTTPS://x?c", "/?c"],
  ["what was typed in UTF-8", "/ä?ö=%C3%BC\u{1f6e5}", "/%C3%A4?%C3%B6=%C3%BC%F0%9F%9B%A5"],
])("%s", async (_, target, expected) => {
  const here = await site(({ url }) => new Response(url));
  using client = await RawClient.open(here.port);
  client.write(Buffer.from(lines("GET", target, "Connection: close")));
  expect(await client.rest()).toEndWith(`\r\n\r\nhttp://localhost${expected}`);
  here.stop();
});

test("bytes in a URL that are no UTF-8 stay what they are", async () => {
  const here = await site(({ url }) => new Response(url));
  using client = await RawClient.open(here.port);
  client.write(Buffer.from(lines("GET", "/?a=\xe9", "Connection: close"), "latin1"));
  expect(await client.rest()).toEndWith("\r\n\r\nhttp://localhost/?a=%E9");
  here.stop();
});

test("bodies in chunks of any cut, trailers and extensions, and the next request behind them", async () => {
  const here = await site((_, body) => new Response(`<${body}>`));
  const chunked =
    lines("POST", "/", "Transfer-Encoding: chunked") +
    "3;a=b\r\nabc\r\n0A\r\ndefghijklm\r\n0\r\nA: b\r\n\r\n";
  const bytes = Buffer.from(
    chunked + lines("POST", "/", "Content-Length: 1", "Connection: close") + "z",
  );
  for (const size of [1, 2, 7, bytes.length]) {
    using client = await RawClient.open(here.port);
    for (let at = 0; at < bytes.length; at += size) {
      client.write(bytes.subarray(at, at + size));
      if (size < 7) await Bun.sleep(0);
    }
    const text = await client.rest();
    expect(text).toContain("\r\n\r\n<abcdefghijklm>HTTP/1.1 200 OK\r\n");
    expect(text).toEndWith("\r\n\r\n<z>");
  }
  here.stop();
});

test("a line feed behind its carriage return is none that is bare, wherever a packet ends", async () => {
  const here = await site(() => new Response("answered"));
  using client = await RawClient.open(here.port);
  for (const byte of lines("GET", "/", "Connection: close")) {
    client.write(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(await client.rest()).toEndWith("\r\n\r\nanswered");
  here.stop();
});

test("whether the server is there (OPTIONS *) is told, and the connection goes on", async () => {
  const here = await site(() => new Response("answered"), { route: () => "/elsewhere" });
  using client = await RawClient.open(here.port);
  client.write(lines("OPTIONS", "*") + lines("GET", "/", "Connection: close"));
  const text = await client.rest();
  expect(text).toMatch(/^HTTP\/1.1 204 No Content\r\n/);
  expect(text).toEndWith("\r\n\r\nanswered");
  expect(here.asked).toBe(1);
  here.stop();
});

test("HTTP/1.0: one request, unless it is asked for another; no chunks", async () => {
  const stream = () =>
    new Response(
      new ReadableStream<Uint8Array>({
        start: (
          controller: Pick<ReadableStreamDefaultController<Uint8Array>, "enqueue" | "close">,
        ) => {
          controller.enqueue(Buffer.from("data: 1\n\n"));
          controller.close();
        },
      }),
      { headers: { "content-type": "text/event-stream" } },
    );
  const here = await site((request) => (request.url.endsWith("/s") ? stream() : new Response("a")));
  const ask = async (bytes: string): Promise<string> => {
    using client = await RawClient.open(here.port);
    client.write(bytes);
    return await client.rest();
  };
  expect(await ask("GET / HTTP/1.0\r\n\r\n")).toMatch(/connection: close\r\n\r\na$/);
  const two = "GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n";
  expect((await ask(two)).match(/200 OK/g)?.length).toBe(2);
  // It knows of no answer but the last (RFC 9110, section 10.1.1).
  for (const expected of ["100-continue", "more"]) {
    const post = `POST / HTTP/1.0\r\nExpect: ${expected}\r\nContent-Length: 1\r\n\r\nx`;
    expect(await ask(post)).toStartWith("HTTP/1.1 200 OK\r\n");
  }
  expect(await ask("GET /s HTTP/1.0\r\n\r\n")).toEndWith("\r\n\r\ndata: 1\n\n");
  const chunks = await ask(lines("GET", "/s", "Connection: close"));
  expect(chunks).toEndWith("\r\n\r\n9\r\ndata: 1\n\n\r\n0\r\n\r\n");
  here.stop();
});

test("what has no body has no length, each cookie its line, and a stream to HTTP/1.0 its end", async () => {
  const headers: [string, string][] = [
    ["set-cookie", "a=1"],
    ["set-cookie", "b=2"],
    ["content-type", "text/event-stream"],
  ];
  const here = await site(({ url }) => {
    const status = Number(new URL(url).pathname.slice(1));
    const text = new ReadableStream({
      start(to) {
        to.enqueue(new TextEncoder().encode("data"));
        to.close();
      },
    });
    return new Response(status === 200 ? text : null, { status, headers });
  });
  for (const [status, version] of [
    [204, "1.1"],
    [304, "1.1"],
    [200, "1.0"],
    [200, "1.1"],
  ] as const) {
    using client = await RawClient.open(here.port);
    client.write(lines("GET", `/${status}`).replace("1.1", version));
    const head = await client.head();
    expect(head).toStartWith(`HTTP/1.1 ${status} `);
    expect(head).toContain("\r\nset-cookie: a=1\r\nset-cookie: b=2\r\n");
    expect(head).toContain("\r\ncontent-type: text/event-stream\r\n");
    expect(head).not.toContain("content-length");
    expect(/connection: (\S+)/.exec(head)?.[1]).toBe(version === "1.0" ? "close" : "keep-alive");
    if (version === "1.0") expect(await client.rest()).toBe("data");
  }
  here.stop();
});

test("a backslash in a query is text", async () => {
  const here = await site((request) => new Response(new URL(request.url).search));
  using client = await RawClient.open(here.port);
  client.write(lines("GET", '/?a="\\n"', "Connection: close"));
  expect(decodeURIComponent(await client.rest())).toEndWith('?a="\\n"');
  here.stop();
});

test("the signal of a request tells that its client has gone", async () => {
  const gone = Promise.withResolvers<void>();
  const here = await site(async (request) => {
    request.signal.addEventListener("abort", () => gone.resolve());
    await gone.promise;
    return new Response("late");
  });
  const client = await RawClient.open(here.port);
  client.write(lines("GET", "/"));
  while (here.asked === 0) await Bun.sleep(2);
  client.socket.destroy();
  await gone.promise;
  here.stop();
});

test("once it is answered nobody is told that its client has gone", async () => {
  const signals: AbortSignal[] = [];
  const answer = ({ signal }: Request) => {
    signals.push(signal);
    return new Response("done");
  };
  const take = async (body: Incoming, request: Request) => {
    while (await body.next());
    return answer(request);
  };
  const here = await site(answer, { take });
  for (const request of [
    lines("GET", "/"),
    `${lines("POST", "/", "Content-Length: 1")}x`,
    `${lines("POST", "/stream", "Content-Length: 1")}x`,
  ]) {
    using client = await RawClient.open(here.port);
    client.write(request);
    await client.head();
    expect(await client.take(4)).toBe("done");
    client.socket.end();
    // The server ends in turn.
    await client.rest();
  }
  expect(signals.map(({ aborted }) => aborted)).toEqual([false, false, false]);
  here.stop();
});

test("who was told that the server is busy is not answered after all, and its connection ends", async () => {
  const memory = new Share(1000);
  const other = memory.part();
  other.add(900);
  const finishing = memory.part();
  finishing.add(90);
  // It has the right to finish first.
  finishing.onRoom(
    () => {},
    () => {},
  );
  const limits = { ...LIMITS, body: 100, linger: 200 };
  const here = await site(() => new Response("answered"), { memory, limits });
  using client = await RawClient.open(here.port);
  client.write(lines("POST", "/", "Content-Length: 500") + "y".repeat(500));
  const head = await client.head();
  expect(head).toStartWith("HTTP/1.1 503 ");
  other.close();
  finishing.close();
  await client.rest();
  expect(here.asked).toBe(0);
  // Our side of the connection does not wait for the other for ever.
  while (memory.free < memory.most) await Bun.sleep(5);
  here.stop();
});

/** Takes a body to its end. */
const sizeOf = async (body: Incoming, read = () => {}): Promise<Response> => {
  let size = 0;
  try {
    for (let piece = await body.next(); piece; piece = await body.next()) {
      size += piece.length;
      read();
    }
  } catch (error) {
    if (!(error instanceof BrokenInput)) throw error;
    return new Response(error.message, { status: body.http ?? 500 });
  }
  return new Response(String(size));
};

const memoryOf = ({ memory }: Site): number => memory.most - memory.free;

test("of a body that is read as it comes nothing is held, and each piece has its time", async () => {
  const limits = { head: 500, body: 150, idle: 500, linger: 50 };
  let pieces = 0;
  const take = (body: Incoming) => sizeOf(body, () => pieces++);
  const here = await site(() => new Response(), { limits, take });
  using slow = await RawClient.open(here.port);
  jest.useFakeTimers();
  try {
    slow.write(lines("POST", "/stream", "Content-Length: 8"));
    for (let i = 1; i <= 8; i++) {
      slow.write("x");
      await turnsUntil("it is read", () => pieces === i);
      // Together longer than the time of a body that is read as a whole.
      if (i < 8) jest.advanceTimersByTime(100);
    }
    expect(await slow.head()).toStartWith("HTTP/1.1 200 ");
    expect(await slow.take(1)).toBe("8");
    slow.write(lines("POST", "/stream", "Content-Length: 9") + "x");
    await turnsUntil("it is read", () => pieces === 9);
    await turns(5);
    jest.advanceTimersByTime(150);
    expect(await slow.head()).toMatch(/^HTTP\/1.1 408 [^]*\r\nconnection: close\r\n/);
    expect(await slow.take(39)).toBe("nothing of the body has come for 0.15 s");
  } finally {
    jest.useRealTimers();
  }
  slow.socket.destroy();
  while (memoryOf(here) > 0) await Bun.sleep(5);
  here.stop();
});

test("who holds what others wait for, and sends no more, is told so long before its own time is over", async () => {
  const memory = new Share(64 << 10, 1024, 50);
  const here = await site(() => new Response("done"), { memory });
  using client = await RawClient.open(here.port);
  client.write(lines("POST", "/", "Content-Length: 200000") + "x".repeat(150_000));
  expect(await client.rest()).toStartWith("HTTP/1.1 503 Service Unavailable\r\n");
  expect(here.asked).toBe(0);
  client.socket.destroy();
  while (memoryOf(here) > 0) await Bun.sleep(5);
  here.stop();
});

test("a body in tiny chunks, and one that nobody wants", async () => {
  const here = await site((request) => new Response(request.method), {
    take: (body) => sizeOf(body),
  });
  using client = await RawClient.open(here.port);
  client.write(lines("POST", "/stream", "Transfer-Encoding: chunked"));
  client.write("1\r\nx\r\n".repeat(100_000));
  client.write("0\r\n\r\n");
  await client.head();
  expect(await client.take(6)).toBe("100000");
  here.stop();

  const idle = await site((request) => new Response(request.method));
  using other = await RawClient.open(idle.port);
  other.write(lines("POST", "/stream", "Content-Length: 1000000") + "x".repeat(1000));
  expect(await other.head()).toContain("connection: keep-alive");
  expect(await other.take(15)).toBe("nobody takes it");
  other.write(lines("GET", "/").padEnd(1000, "x").slice(0, 1000).repeat(999));
  other.write(lines("GET", "/second"));
  await other.head();
  expect(await other.take(3)).toBe("GET");
  expect(idle.asked).toBe(2);
  // Of neither anything is held, nor less.
  await until("all is given back", () => idle.memory.free === idle.memory.most);
  // What may be a request is not read as one where a client was not told to send its body.
  other.write(lines("POST", "/stream", "Content-Length: 100", "Expect: 100-continue"));
  other.write(lines("GET", "/third").repeat(9));
  expect(await other.head()).toContain("connection: close");
  expect(await other.rest()).toBe("nobody takes it");
  expect(idle.asked).toBe(3);
  idle.stop();
});

test("a client that goes on sending what nobody wants is not waited for without end", async () => {
  const limits = { head: 500, body: 60, idle: 500, linger: 50 };
  const here = await site(() => new Response(), { limits });
  using client = await RawClient.open(here.port);
  client.write(lines("POST", "/stream", "Content-Length: 1000") + "x");
  await client.head();
  await client.take(15);
  while (!client.closed && !client.ended) await Bun.sleep(5);
  expect(await client.rest()).toBe("");
  using endless = await RawClient.open(here.port);
  endless.write(lines("POST", "/stream", "Transfer-Encoding: chunked"));
  await endless.head();
  for (let i = 0; i < 64 && !endless.ended; i++) {
    endless.write(`10000\r\n${"x".repeat(0x10000)}\r\n`);
    await Bun.sleep(1);
  }
  while (!endless.closed && !endless.ended) await Bun.sleep(5);
  here.stop();
});

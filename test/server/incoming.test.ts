/** What a connection has received, and the body that is read of it: bounds, ends, and what nobody wants. */
import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { BrokenInput } from "../../src/api/source.ts";
import { HttpFault } from "../../src/server/http/fault.ts";
import type { BodyFraming } from "../../src/server/http/head.ts";
import { Incoming, type Reading } from "../../src/server/http/incoming.ts";
import { Input } from "../../src/server/http/input.ts";
import { Share } from "../../src/share.ts";
import { isSettled, turn } from "../api/listener.ts";

/** A connection, by its other end. */
function connection() {
  const socket = new PassThrough({ highWaterMark: 1 << 20 });
  const memory = new Share(1 << 20);
  let seen = 0;
  const input = new Input(socket as unknown as Socket, memory.part(), () => void seen++);
  /** It sends that, or its end, which the server has then. */
  const send = async (text?: string | Buffer) => {
    if (text === undefined) socket.end();
    else socket.write(text);
    for (let i = 0; i < 4; i++) await turn();
  };
  const held = () => memory.most - memory.free;
  return { socket, input, send, held, seen: () => seen };
}
const fault = async (work: Promise<unknown>): Promise<unknown> => {
  try {
    return await work;
  } catch (error) {
    if (error instanceof HttpFault) return `${error.http}: ${error.message}`;
    if (error instanceof BrokenInput) return error.message;
    throw error;
  }
};

describe("what has come", () => {
  test("is a head behind empty lines, in any pieces; what comes behind it stays", async () => {
    const { input, send, held } = connection();
    const head = input.head();
    for (const piece of ["\r", "\n\n\r\n", "GET / HTTP/1.1\r\nA: b\r", "\n\r", "\nrest"])
      await send(piece);
    expect(await head).toBe("GET / HTTP/1.1\r\nA: b");
    expect([input.length, held()]).toEqual([4, 4]);
    expect(String(await input.some(2))).toBe("re");
    expect(String(input.detach())).toBe("st");
    expect([input.length, held()]).toEqual([0, 0]);
  });

  test("is taken in the pieces in which it came, or less", async () => {
    const { input, send, held } = connection();
    for (const piece of ["abc", "defgh", "ij"]) await send(piece);
    const some = async (most: number) => String(await input.some(most));
    expect([await some(3), await some(2), await some(9), held()]).toEqual(["abc", "de", "fgh", 2]);
    await send("\r\nkl");
    expect([await input.line(), await some(1), await some(9), held()]).toEqual([
      ...["ij", "k", "l", 0],
    ] as never);
  });

  test("is none at the end", async () => {
    const { input, send, seen } = connection();
    await send("GET / HT");
    expect([input.ended, seen()]).toEqual([false, 1]);
    await send();
    expect([await input.head(), input.ended, seen()]).toEqual([undefined, true, 2] as never);
    expect([await input.line(), await input.more()]).toEqual([undefined, false] as never);
    expect(String(await input.some(9))).toBe("GET / HT");
    expect(await input.some(9)).toBeUndefined();
  });

  test("is refused where it is too long, or no request", async () => {
    const said = async (text: string) => {
      const { input, send } = connection();
      const head = fault(input.head());
      await send(text);
      await send();
      return head;
    };
    const of = (bytes: number) => `GET /${"x".repeat(bytes - 5)}`;
    expect(await said(`${of(16_384)}\r\n\r\n`)).toBe(of(16_384));
    const url = "414: a URL and its headers have 16384 bytes: POST what is longer";
    const headers = "431: the headers are over 16384 bytes";
    expect(await said(`${of(16_385)}\r\n\r\n`)).toBe(url);
    expect(await said(`${of(8192)}\r\n${"x".repeat(8191)}\r\n\r\n`)).toBe(headers);
    expect(await said(`${of(8193)}\r\n${"x".repeat(8190)}\r\n\r\n`)).toBe(url);
    expect(await said(of(16_384))).toBeUndefined();
    expect(await said(of(16_385))).toBe(url);
    for (const bare of ["GET /\n", "GET / HTTP/1.1\r\nA: b\n", "GET / HTTP/1.1\r\n\n"])
      expect(await said(bare)).toBe("400: a line ends in a line feed alone: each ends in CR LF");
    expect(await said("GET / HTTP/1.1\r\nA: b\r\n")).toBeUndefined();
    expect(await said("\n".repeat(1024))).toBeUndefined();
    expect(await said("\n".repeat(1025))).toBe("400: there are only empty lines");
    for (const text of ["\x16\x03", " GET", "(", "\x0b"])
      expect(await said(text)).toBe("400: this is not HTTP");
  });

  test("is a line, of a kibibyte at most", async () => {
    const { input, send } = connection();
    await send(`a\r\n\r\n${"x".repeat(1024)}\r\n${"y".repeat(1025)}\r\n`);
    expect([await input.line(), await input.line(), await input.line()]).toEqual([
      ...["a", "", "x".repeat(1024)],
    ]);
    expect(await fault(input.line())).toBe("400: a line of the chunked body is too long");
    const open = connection();
    const line = fault(open.input.line());
    await open.send("z".repeat(1024));
    expect(await isSettled(line)).toBe(false);
    await open.send("z");
    expect(await line).toBe("400: a line of the chunked body is too long");
  });

  test("is not read on where much waits, until somebody wants more", async () => {
    const { input, socket, send, held } = connection();
    await send("x".repeat(16_383));
    expect(socket.isPaused()).toBe(false);
    await send("x");
    expect([socket.isPaused(), held()]).toEqual([true, 16_384]);
    await send("y");
    expect(input.length).toBe(16_384);
    const more = input.more();
    expect(socket.isPaused()).toBe(false);
    expect([await more, input.length]).toEqual([true, 16_385]);
    input.hold();
    expect(socket.isPaused()).toBe(true);
    input.detach();
    expect(socket.isPaused()).toBe(false);
    const other = connection();
    const wanted = other.input.more();
    other.input.hold();
    expect(other.socket.isPaused()).toBe(false);
    await other.send("x");
    expect(await wanted).toBe(true);
  });
});

describe("a body that is read as it comes", () => {
  const chunked: BodyFraming = { kind: "chunked" };
  const bytes = (length: number): BodyFraming => ({ kind: "length", length });
  function made(framing: BodyFraming, more: Partial<Reading> = {}) {
    const at = connection();
    const memory = new Share(1 << 20);
    const reading = { part: memory.part(), patience: 30_000, spare: 10, ...more };
    const body = new Incoming(at.input, framing, reading);
    const next = async () => {
      const piece = await fault(body.next());
      return piece instanceof Uint8Array ? Buffer.from(piece).toString() : piece;
    };
    return { ...at, body, next, held: () => memory.most - memory.free };
  }

  test("comes in pieces up to its length; each is held until the next is wanted", async () => {
    const { body, next, send, held } = made(bytes(5));
    await send("abc");
    expect([await next(), held(), body.ends]).toEqual(["abc", 3, true]);
    await send("defg");
    expect([await next(), held()]).toEqual(["de", 2]);
    expect([await next(), await next(), held(), body.ends, body.http]).toEqual([
      ...[undefined, undefined, 0, true, undefined],
    ] as never);
    const none = made(bytes(0));
    expect([none.body.ends, await none.next()]).toEqual([true, undefined] as never);
  });

  test("in chunks, with what may stand behind them", async () => {
    const { body, next, send } = made(chunked);
    await send("2;x=y\r\nab\r\n1 \r\nc\r\n0\r\nTrailer: x\r\n\r\nGET");
    expect([await next(), await next(), await next(), body.ends]).toEqual([
      ...["ab", "c", undefined, true],
    ] as never);
  });

  test.each([
    ["x\r\n", "a chunk does not begin with its size"],
    ["1\r\nab\r\n", "a chunk is not as long as it says"],
    [`0\r\n${"A: b\r\n".repeat(65)}\r\n`, "there are too many trailers"],
    ["123456789\r\n", "a chunk does not begin with its size"],
  ])("%# of chunks is refused", async (text, why) => {
    const { body, next, send } = made(chunked);
    await send(text);
    let found = await next();
    if (found === "a") found = await next();
    expect(found).toBe(why);
    expect([body.http, body.ends]).toEqual([why.includes("many") ? 431 : 400, false]);
    const fine = made(chunked);
    await fine.send(`0\r\n${"A: b\r\n".repeat(64)}\r\n`);
    expect([await fine.next(), fine.body.ends]).toEqual([undefined, true] as never);
  });

  test("that breaks off is told", async () => {
    const { body, next, send } = made(bytes(5));
    await send("ab");
    await send();
    expect([await next(), await next()]).toEqual([
      "ab",
      "the client left before the end of its request",
    ]);
    expect([body.http, body.ends, await body.finish()]).toEqual([400, false, false]);
  });

  test("is no longer than it may be: by its length at once, in chunks as it comes", async () => {
    const known = made(bytes(5));
    known.body.limit(5);
    expect(() => known.body.limit(4)).toThrow(
      "the body has 5 bytes, and at most 4 are read here (maxinput)",
    );
    expect(known.body.http).toBe(413);
    const { body, next, send } = made(chunked);
    body.limit(3, "one piece");
    await send("3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n");
    expect([await next(), await next()]).toEqual([
      "abc",
      "it is longer than the 3 bytes that are read here (one piece)",
    ]);
    expect(body.http).toBe(413);
  });

  test("is waited for so long", async () => {
    const { body, next, send } = made(bytes(5), { patience: 20 });
    expect(await next()).toBe("nothing of the body has come for 0.02 s");
    expect([body.http, body.ends]).toEqual([408, false]);
    await send("abcde");
    // One whose end has come after all is known to have it.
    const late = made(chunked, { patience: 20 });
    expect(await late.next()).toBe("nothing of the body has come for 0.02 s");
    expect(late.body.ends).toBe(false);
    await late.send("0\r\n\r\n");
    expect(late.body.ends).toBe(true);
  });

  test("is asked for by the first who wants it, once", async () => {
    let invited = 0;
    const invite = async () => void invited++;
    const { body, next, send } = made(bytes(3), { invite });
    expect([invited, body.ends]).toEqual([0, false]);
    await send("ab");
    expect([await next(), invited, body.ends]).toEqual(["ab", 1, true]);
    await send("c");
    expect([await next(), await next(), invited]).toEqual(["c", undefined, 1] as never);
    // Of one that nobody wants nothing comes.
    const other = made(bytes(3), { invite });
    other.body.drop();
    await other.send("GET");
    expect([other.input.length, invited, await other.next()]).toEqual([3, 1, undefined] as never);
  });

  test("that nobody wants is read and dropped, as far as that is little", async () => {
    const { body, next, send, input } = made(bytes(10));
    body.drop();
    body.drop();
    expect([body.ends, await next()]).toEqual([true, undefined] as never);
    await send("0123456789NEXT");
    expect([await body.finish(), input.length]).toEqual([true, 4]);
    const long = made(bytes(11));
    expect(long.body.ends).toBe(false);
    expect(await long.body.finish()).toBe(false);
    // What was taken does not count.
    const begun = made(bytes(15));
    await begun.send("01234");
    expect([await begun.next(), begun.body.ends]).toEqual(["01234", true]);
    const endless = made(chunked);
    const finishing = endless.body.finish();
    await endless.send("8\r\n01234567\r\n".repeat(3));
    expect(await finishing).toBe(false);
  });

  test("of which some was taken is read to its end, as long as it may be", async () => {
    const { body, next, send } = made(bytes(100));
    body.limit(100);
    await send("x".repeat(40));
    expect(await next()).toHaveLength(40);
    expect(body.ends).toBe(true);
    const finishing = body.finish();
    await send("x".repeat(60));
    expect(await finishing).toBe(true);
    // What was taken counts in that.
    const pieces = made(chunked);
    pieces.body.limit(100);
    await pieces.send(`28\r\n${"x".repeat(40)}\r\n`);
    expect(await pieces.next()).toHaveLength(40);
    const late = pieces.body.finish();
    await pieces.send(`3c\r\n${"x".repeat(60)}\r\n`);
    expect(await isSettled(late)).toBe(false);
    await pieces.send("1\r\nx\r\n");
    expect(await late).toBe(false);
    // And of which nothing was, is no longer than what nobody wants.
    const none = made(bytes(100));
    none.body.limit(100);
    expect(none.body.ends).toBe(false);
  });

  test("is given up by who waits for it; a fault is nobody's then", async () => {
    const { body, next, send } = made(bytes(5));
    const waiting = next();
    for (let i = 0; i < 2; i++) await turn();
    body.drop();
    expect(await waiting).toBeUndefined();
    await send("ab");
    await send();
    expect([await body.finish(), body.http]).toEqual([false, undefined] as never);
    const closed = made(bytes(5));
    await closed.send("ab");
    await closed.next();
    closed.body.close();
    expect([closed.held(), await closed.next()]).toEqual([0, undefined] as never);
  });
});

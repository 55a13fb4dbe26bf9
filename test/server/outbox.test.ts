/** What waits to be written to a WebSocket: in few writes, and nothing more than one frame beyond what the socket takes. */
import { describe, expect, test } from "bun:test";
import { Duplex } from "node:stream";
import { encodeFrame } from "../../src/server/encode.ts";
import { FrameReader } from "../../src/server/frames.ts";
import { Outbox } from "../../src/server/outbox.ts";
import { isSettled, turn } from "../api/listener.ts";

/** A socket that takes each write when it is let, and says that it is full beyond so many bytes. */
class Slow extends Duplex {
  readonly writes: Buffer[] = [];
  isOver = false;
  #taken: (() => void)[] = [];
  isHeld = false;

  constructor(highWaterMark = 1 << 20) {
    super({ writableHighWaterMark: highWaterMark });
  }

  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(chunk);
    if (this.isHeld) this.#taken.push(done);
    else done();
  }
  override _final(done: () => void): void {
    this.isOver = true;
    done();
  }
  accept(): void {
    for (const done of this.#taken.splice(0)) done();
  }
  /** What a client reads of it. */
  get texts(): string[] {
    const reader = new FrameReader(1 << 30);
    reader.push(Buffer.concat(this.writes));
    const found: string[] = [];
    for (let one = reader.next(); one; one = reader.next())
      found.push(one.type === "text" ? one.text : one.type);
    return found;
  }
}

function made(highWaterMark?: number) {
  const socket = new Slow(highWaterMark);
  let drained = 0;
  const outbox = new Outbox(socket, () => void drained++);
  return { socket, outbox, drained: () => drained };
}
const K = 1024;

describe("frames of one turn", () => {
  test("leave in one write at its end, texts and others in their order", async () => {
    const { socket, outbox, drained } = made();
    expect(outbox.weight).toBe(0);
    expect(outbox.send("é")).toBeUndefined();
    expect(outbox.send(encodeFrame(9, Buffer.from("x")))).toBeUndefined();
    expect(outbox.send("b")).toBeUndefined();
    expect([socket.writes.length, outbox.weight]).toEqual([0, 2 + 3 + 1 + 3 * 64]);
    await turn();
    expect([socket.writes.length, socket.texts, outbox.weight]).toEqual([
      ...[1, ["é", "ping", "b"], 0],
    ] as never);
    void outbox.send("next");
    await turn();
    expect([socket.writes.length, socket.texts.at(-1), drained()]).toEqual([2, "next", 0]);
  });

  test("leave at once where they make a batch by their bytes; who sends waits for the next turn", async () => {
    const { socket, outbox, drained } = made();
    expect(outbox.send("x".repeat(32 * K))).toBeUndefined();
    expect(outbox.send("x".repeat(32 * K - 1))).toBeUndefined();
    expect(socket.writes).toEqual([]);
    const sent = outbox.send("y");
    expect(socket.writes).toHaveLength(1);
    expect(await isSettled(sent)).toBe(false);
    await sent;
    // The last of them had no place in it.
    expect(socket.texts.map((text) => text.length)).toEqual([32 * K, 32 * K - 1, 1]);
    expect([drained(), outbox.weight]).toEqual([1, 0]);
  });

  test("or by their number", async () => {
    const { socket, outbox } = made();
    for (let n = 1; n < 4096; n++) expect(outbox.send("x")).toBeUndefined();
    expect(socket.writes).toEqual([]);
    const sent = outbox.send("x");
    expect([socket.writes.length, socket.texts.length]).toEqual([1, 4096]);
    expect(await isSettled(sent)).toBe(false);
    await sent;
  });

  test("are cut into batches; one that is longer goes alone", async () => {
    const { socket, outbox } = made();
    socket.isHeld = true;
    void outbox.send("x".repeat(100 * K));
    for (let n = 0; n < 3; n++) void outbox.send("y".repeat(30 * K));
    void outbox.send("z".repeat(70 * K));
    for (let i = 0; i < 12; i++) {
      socket.accept();
      await turn();
    }
    expect(socket.writes.map(({ length }) => Math.floor(length / K))).toEqual([100, 60, 30, 70]);
    expect(socket.texts.map((text) => text.length / K)).toEqual([100, 30, 30, 30, 70]);
  });

  test("exactly a batch is one", async () => {
    const { socket, outbox } = made();
    const half = "x".repeat(32 * K - 4);
    void outbox.send(half);
    void outbox.send(half);
    void outbox.send("y");
    await turn();
    await turn();
    expect(socket.writes.map(({ length }) => length)).toEqual([64 * K, 3]);
  });
});

describe("a socket that is full", () => {
  test("is waited for, by all who send meanwhile", async () => {
    const { socket, outbox, drained } = made(10);
    socket.isHeld = true;
    expect(outbox.send("longer than ten bytes")).toBeUndefined();
    await turn();
    const waits = [outbox.send("a"), outbox.send("b")];
    for (let i = 0; i < 3; i++) await turn();
    expect([await isSettled(Promise.all(waits)), socket.writes.length]).toEqual([false, 1]);
    expect(outbox.weight).toBe(2 + 2 * 64);
    socket.accept();
    await Promise.all(waits);
    expect([socket.texts, drained()]).toEqual([["longer than ten bytes", "a", "b"], 1] as never);
    expect(outbox.weight).toBe(0);
    socket.accept();
    await turn();
    expect(outbox.send("c")).toBeUndefined();
  });

  test("ends behind what waits; nothing is sent after", async () => {
    const { socket, outbox } = made(10);
    socket.isHeld = true;
    void outbox.send("longer than ten bytes");
    await turn();
    void outbox.send("last");
    outbox.end();
    outbox.end();
    expect(outbox.send("never")).toBeUndefined();
    for (let i = 0; i < 3; i++) await turn();
    expect([socket.writes.length, socket.isOver]).toEqual([1, false]);
    for (let i = 0; i < 4; i++) {
      socket.accept();
      await turn();
    }
    expect([socket.texts, socket.isOver]).toEqual([["longer than ten bytes", "last"], true]);
  });

  test("that is gone is waited for by nobody, and holds nothing", async () => {
    const { socket, outbox, drained } = made(10);
    socket.isHeld = true;
    void outbox.send("longer than ten bytes");
    await turn();
    const waits = outbox.send("a");
    outbox.close();
    await waits;
    expect([outbox.weight, outbox.send("b")]).toEqual([0, undefined]);
    outbox.end();
    socket.accept();
    await turn();
    expect([socket.writes.length, socket.isOver, drained()]).toEqual([1, false, 0]);
  });
});

test("the end comes at once where nothing waits", async () => {
  const { socket, outbox } = made();
  outbox.end();
  await turn();
  expect(socket.isOver).toBe(true);
  const other = made();
  void other.outbox.send("x");
  other.outbox.end();
  await turn();
  expect([other.socket.texts, other.socket.isOver]).toEqual([["x"], true]);
});

/** Responses onto a connection: their head, and no more in memory than a client reads. */
import { describe, expect, test } from "bun:test";
import type { Socket } from "node:net";
import { Duplex } from "node:stream";
import { headText, Output } from "../../src/server/http/output.ts";
import { Share } from "../../src/share.ts";
import { isSettled, turn } from "../api/listener.ts";

const K = 1024;

test("a head has its status in words, its fields in order, the time, and whether more may come", () => {
  const headers = [
    ["b", "1"],
    ["a", "2"],
  ] as const;
  const before = Math.floor(Date.now() / 1000);
  const [line, first, second, date, connection, ...rest] = headText(
    { status: 200, headers },
    false,
  ).split("\r\n");
  expect([line, first, second, connection, rest]).toEqual([
    ...["HTTP/1.1 200 OK", "b: 1", "a: 2", "connection: keep-alive", ["", ""]],
  ] as never);
  expect(date).toMatch(/^date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$/);
  const at = Date.parse(date?.slice("date: ".length) ?? "") / 1000;
  expect(at).toBeWithin(before, Math.floor(Date.now() / 1000) + 1);
  const other = headText({ status: 299, headers: [] }, true);
  expect(other).toStartWith("HTTP/1.1 299 Unknown\r\ndate: ");
  expect(other).toEndWith("\r\nconnection: close\r\n\r\n");
});

/** A connection that takes each write when it is let. */
class Slow extends Duplex {
  readonly writes: number[] = [];
  #taken: (() => void)[] = [];
  constructor(public isHeld: boolean) {
    super({ writableHighWaterMark: 10 });
  }
  override _read(): void {}
  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.writes.push(chunk.length);
    if (this.isHeld) this.#taken.push(done);
    else done();
  }
  async accept(): Promise<void> {
    for (const done of this.#taken.splice(0)) done();
    for (let i = 0; i < 3; i++) await turn();
  }
}

function made(isHeld = true) {
  const socket = new Slow(isHeld);
  const memory = new Share(1 << 20);
  const debts: number[] = [];
  const debt = { set: (bytes: number) => void debts.push(bytes) };
  const output = new Output(socket as unknown as Socket, memory.part(), () => debt as never);
  return { socket, output, debts, held: () => memory.most - memory.free };
}

describe("a whole response", () => {
  test("that is short is one write, waited for until it is taken", async () => {
    for (const body of [undefined, new Uint8Array(5), new Uint8Array(64 * K)]) {
      const { socket, output, held, debts } = made();
      const whole = output.whole("0123456789", body);
      const size = 10 + (body?.length ?? 0);
      expect([await isSettled(whole), held()]).toEqual([false, size]);
      let left = size;
      while (left > 0) {
        left -= 64 * K;
        await socket.accept();
      }
      await whole;
      expect([socket.writes.reduce((sum, one) => sum + one, 0), held(), debts]).toEqual([
        ...[size, 0, []],
      ] as never);
    }
  });

  test("that is long goes slice by slice, and counts for who reads it", async () => {
    const { socket, output, held, debts } = made();
    const whole = output.whole("0123456789", new Uint8Array(200 * K));
    expect(held()).toBe(64 * K);
    await socket.accept();
    const rest = 200 * K - (64 * K - 10);
    expect([held(), debts]).toEqual([rest, [rest]] as never);
    await socket.accept();
    expect([held(), debts]).toEqual([rest - 64 * K, [rest, rest - 64 * K]] as never);
    for (let i = 0; i < 3; i++) await socket.accept();
    await whole;
    expect([socket.writes, held(), debts.at(-1)]).toEqual([
      ...[[64 * K, 64 * K, 64 * K, rest - 128 * K], 0, 0],
    ] as never);
  });

  test("that is there for others, too, counts for nobody", async () => {
    const { socket, output, held, debts } = made();
    const whole = output.whole("0123456789", new Uint8Array(200 * K), false);
    await socket.accept();
    expect([held(), debts]).toEqual([0, []] as never);
    for (let i = 0; i < 4; i++) await socket.accept();
    await whole;
    expect(socket.writes.reduce((sum, one) => sum + one, 0)).toBe(200 * K + 10);
  });

  test("is not written on to one that has gone", async () => {
    const { socket, output, held, debts } = made();
    const whole = output.whole("0123456789", new Uint8Array(200 * K));
    await socket.accept();
    expect(output.gone).toBe(false);
    socket.destroy();
    await whole;
    expect([output.gone, held(), debts.at(-1), socket.writes.length]).toEqual([true, 0, 0, 2]);
    await output.whole("x", undefined);
    await output.some("x");
    expect([held(), socket.writes.length]).toEqual([0, 2]);
  });
});

test("some bytes of a stream, texts as they are, are waited for where the client does not read", async () => {
  const { socket, output, held } = made();
  const some = output.some("0123456789é");
  expect([await isSettled(some), held()]).toEqual([false, 11]);
  await socket.accept();
  await some;
  expect([socket.writes, held()]).toEqual([[11], 0] as never);
  const quick = made(false);
  await quick.output.some(new Uint8Array(3));
  expect([quick.socket.writes, quick.held()]).toEqual([[3], 0] as never);
});

import { join } from "node:path";
import { afterEach, describe, expect, jest, test } from "bun:test";
import { closeSync, fstatSync, readlinkSync, writeSync } from "node:fs";
import { pipe } from "../../ffi/libc.ts";
import { Channel } from "../../src/launch/channel.ts";
import { until } from "../served.ts";

test("a read that could go on is not waiting for the other side", async () => {
  const [end, other] = pipe();
  const channel = new Channel(end);
  let got = "";
  expect(channel.waiting).toBe(false);
  const drained = channel.drain((chunk) => void (got += Buffer.from(chunk).toString()));
  await until("it reads", () => channel.waiting);
  // The event loop has had no turn since: who gave up on a channel that waits would lose this.
  writeSync(other, "x");
  expect(channel.waiting).toBe(false);
  await until("it waits for more", () => channel.waiting);
  closeSync(other);
  expect(channel.waiting).toBe(false);
  await drained;
  expect({ got, waiting: channel.waiting }).toEqual({ got: "x", waiting: false });
});

test("without a descriptor for the event loop it is read all the same, and to its end", () => {
  const script = join(import.meta.dir, "channel-scarce.ts");
  const run = Bun.spawnSync(["prlimit", "--nofile=40:40", process.execPath, script]);
  expect(run.stdout.toString() || run.stderr.toString()).toBe(
    '["one two ","one two three",[false]]\n',
  );
});

test("those who have printed something are heard some in each turn of the event loop, not all", async () => {
  const pipes = Array.from({ length: 40 }, () => pipe());
  let inTurn = 0;
  let most = 0;
  let heard = 0;
  let on = true;
  const turn = (): void => {
    most = Math.max(most, inTurn);
    inTurn = 0;
    if (on) setImmediate(turn);
  };
  const take = (): void => {
    inTurn++;
    heard++;
    for (const end = performance.now() + 3; performance.now() < end;);
  };
  for (const [, other] of pipes) writeSync(other, "x".repeat(2048));
  setImmediate(turn);
  const drained = pipes.map(([end]) => new Channel(end).drain(take));
  for (const [, other] of pipes) closeSync(other);
  await Promise.all(drained);
  on = false;
  expect(heard).toBeGreaterThanOrEqual(40 * 2);
  expect(most).toBeLessThan(8);
});

test("as much is handed on at once as is done with in a moment", async () => {
  const slices = async (milliseconds: number, bytes: number): Promise<number[]> => {
    const [end, other] = pipe();
    const sizes: number[] = [];
    writeSync(other, "x".repeat(bytes));
    closeSync(other);
    await new Channel(end).drain((chunk) => {
      sizes.push(chunk.length);
      for (const over = performance.now() + milliseconds; performance.now() < over;);
    });
    return sizes;
  };
  const quick = await slices(0, 60_000);
  expect(quick.length).toBeLessThan(12);
  expect(Math.max(...quick)).toBeGreaterThan(16_000);
  const slow = await slices(6, 3000);
  expect(slow.slice(0, 5)).toEqual([1024, 512, 256, 128, 64]);
});

/** Whether a descriptor is the end of a pipe that it was. */
function watched(fd: number): () => boolean {
  const { ino } = fstatSync(fd);
  return () => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === `pipe:[${ino}]`;
    } catch {
      return false;
    }
  };
}

test("what is there by now is handed on, as much as a pipe holds, and the end closes it", async () => {
  const [end, other] = pipe();
  const isOpen = watched(end);
  const channel = new Channel(end);
  const got: number[] = [];
  const take = (chunk: Uint8Array) => void got.push(chunk.length);
  expect(await channel.now(take)).toBe(false);
  expect([got, isOpen()]).toEqual([[], true]);
  writeSync(other, "x".repeat(700));
  expect(await channel.now(take)).toBe(false);
  writeSync(other, "x".repeat(65_536));
  expect(await channel.now(take)).toBe(true);
  expect(got.reduce((sum, size) => sum + size, 0)).toBe(700 + 65_536);
  // In pieces, since the first may take long.
  expect(got.slice(0, 2)).toEqual([700, 1024]);
  closeSync(other);
  expect(isOpen()).toBe(true);
  await channel.now(take);
  expect(isOpen()).toBe(false);
  await channel.now(take);
  await channel.drain(take);
  expect(got.reduce((sum, size) => sum + size, 0)).toBe(700 + 65_536);
});

test("who takes slowly is waited for, piece by piece", async () => {
  const [end, other] = pipe();
  const channel = new Channel(end);
  const gates: (() => void)[] = [];
  const take = () => new Promise<void>((resolve) => gates.push(resolve));
  writeSync(other, "x".repeat(1500));
  const reading = channel.now(take);
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve));
  expect(gates).toHaveLength(1);
  gates[0]?.();
  await until("the rest is taken", () => gates.length === 2);
  gates[1]?.();
  await reading;
  closeSync(other);
  await channel.drain(() => expect.unreachable("there is no more"));
});

test("is given up without its other side: while it is read, and before", async () => {
  for (const isReading of [true, false]) {
    const [end, other] = pipe();
    const isOpen = watched(end);
    const channel = new Channel(end);
    const got: string[] = [];
    const take = (chunk: Uint8Array) => void got.push(Buffer.from(chunk).toString());
    const drained = isReading ? channel.drain(take) : undefined;
    if (isReading) await until("it waits", () => channel.waiting);
    channel.cancel();
    channel.cancel();
    await (drained ?? channel.drain(take));
    expect([got, isOpen(), channel.waiting]).toEqual([[], false, false]);
    closeSync(other);
  }
});

/** A pipe with so many bytes in it, and the end that is written to. */
function filled(bytes: number) {
  const [end, other] = pipe();
  writeSync(other, Buffer.alloc(bytes));
  return { channel: new Channel(end), other };
}

test("of what is there at once as much is read as a pipe holds, also where more comes meanwhile", async () => {
  const { channel, other } = filled(65536);
  let read = 0;
  let more = 0;
  await channel.now((chunk) => {
    read += chunk.length;
    if (more < 10_000) more += writeSync(other, chunk);
  });
  expect([read, channel.waiting]).toEqual([65536, false]);
  closeSync(other);
  await channel.drain((chunk) => void (read += chunk.length));
  expect(read).toBe(65536 + more);
});

test("who is waited for is not waited for by the other side", async () => {
  const { channel, other } = filled(1);
  const gate = Promise.withResolvers<void>();
  let isTaking = false;
  const drained = channel.drain(() => {
    isTaking = true;
    return gate.promise;
  });
  await until("it is taken", () => isTaking);
  expect(channel.waiting).toBe(false);
  gate.resolve();
  await until("it waits for more", () => channel.waiting);
  closeSync(other);
  await drained;
  expect(channel.waiting).toBe(false);
});

describe("by a clock that is told", () => {
  afterEach(() => void jest.useRealTimers());
  /** Pieces of 10,000 bytes, each of which takes so many milliseconds. */
  async function pieces(milliseconds: number): Promise<number[]> {
    jest.useFakeTimers();
    const { channel, other } = filled(10_000);
    closeSync(other);
    const sizes: number[] = [];
    const take = (chunk: Uint8Array): void => {
      sizes.push(chunk.length);
      // By none it would be one.
      if (milliseconds > 0) jest.advanceTimersByTime(milliseconds);
    };
    await channel.now(take);
    await channel.drain(take);
    jest.useRealTimers();
    return sizes;
  }
  test("pieces grow as long as they take no time, and shrink where they take long", async () => {
    expect(await pieces(0)).toEqual([1024, 2048, 4096, 2832]);
    for (const milliseconds of [1, 4])
      expect(await pieces(milliseconds)).toEqual([...Array.from({ length: 9 }, () => 1024), 784]);
    const [a, b, c, d, e, ...rest] = await pieces(5);
    expect([a, b, c, d, e]).toEqual([1024, 512, 256, 128, 64]);
    expect(new Set(rest.slice(0, -1))).toEqual(new Set([64]));
  });

  test("who makes work makes it in a turn of its own, however many there are", async () => {
    jest.useFakeTimers();
    let inTurn = 0;
    let most = 0;
    let on = true;
    const turn = (): void => {
      most = Math.max(most, inTurn);
      inTurn = 0;
      if (on) setImmediate(turn);
    };
    setImmediate(turn);
    const all = Array.from({ length: 20 }, () => filled(2048));
    for (const { other } of all) closeSync(other);
    await Promise.all(
      all.map(({ channel }) =>
        channel.drain(() => {
          inTurn++;
          jest.advanceTimersByTime(3);
        }),
      ),
    );
    on = false;
    // Beyond eight milliseconds the next one has the next turn.
    expect(most).toBeWithin(2, 5);
  });
});

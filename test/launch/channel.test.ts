import { join } from "node:path";
import { expect, test } from "bun:test";
import { closeSync, writeSync } from "node:fs";
import { pipe } from "../../ffi/libc.ts";
import { Channel } from "../../src/launch/channel.ts";
import { until } from "../served.ts";

test("a read that could go on is not waiting for the other side", async () => {
  const [end, other] = pipe();
  const channel = new Channel(end);
  let got = "";
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
  expect(run.stdout.toString() || run.stderr.toString()).toBe('["one ","one two"]\n');
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

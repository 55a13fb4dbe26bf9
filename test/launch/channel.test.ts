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

/** The pipe on which all supervisors tell: who hears what, and that all of it is heard where it is asked for. */
import { expect, test } from "bun:test";
import { writeSync } from "node:fs";
import { RECORD_AT, RECORD_SIZE } from "../../ffi/launcher/layout.ts";
import { StatusPipe } from "../../src/launch/status.ts";
import { flagsOf, ownDescriptors } from "../descriptors.ts";
import { until } from "../served.ts";

/** A record of a launch, with a word in it. */
function record(from: number, word = ""): Buffer {
  const bytes = Buffer.alloc(RECORD_SIZE);
  bytes.writeUInt32LE(from, RECORD_AT.from);
  bytes.write(word, RECORD_AT.what);
  return bytes;
}
const wordOf = (bytes: Uint8Array) =>
  Buffer.from(bytes.subarray(RECORD_AT.what)).toString().replace(/\0+$/, "");
const ignore = () => {};

test("each launch hears what is told of it, until it is forgotten", async () => {
  const status = new StatusPipe();
  const heard: string[] = [];
  const [one, two] = ["one", "two"].map((name) =>
    status.listen((bytes) => void heard.push(`${name}: ${wordOf(bytes)}`)),
  );
  expect([one, two]).toEqual([1, 2]);
  writeSync(status.end, Buffer.concat([record(2, "a"), record(1, "b"), record(7, "c")]));
  await until("both are heard", () => heard.length === 2);
  expect(heard.splice(0)).toEqual(["two: a", "one: b"]);
  status.forget(1);
  writeSync(status.end, Buffer.concat([record(1, "d"), record(2, "e")]));
  await until("the other is heard", () => heard.length === 1);
  expect(heard).toEqual(["two: e"]);
});

test("all that was told is heard once that is asked for, however much it is", async () => {
  const status = new StatusPipe();
  const heard: string[] = [];
  status.listen((bytes) => void heard.push(wordOf(bytes)));
  // So that the stream waits for more by now.
  writeSync(status.end, record(1, "first"));
  await until("it is heard", () => heard.length === 1);
  const words = Array.from({ length: 100 }, (_, i) => `${i}`);
  for (let round = 1; round <= 3; round++) {
    heard.length = 0;
    writeSync(status.end, Buffer.concat(words.map((word) => record(1, word))));
    await status.settled();
    expect(heard).toEqual(words);
  }
  // And where nothing was.
  await status.settled();
  expect(heard).toEqual(words);
});

test("nobody waits for what another reader has taken", () => {
  const { end } = new StatusPipe();
  const all = ownDescriptors();
  const [read] = [...all].find(([fd, to]) => fd !== end && to === all.get(end)) ?? [];
  expect(flagsOf(read ?? -1)).toEqual({ reads: true, waits: false });
});

test("a number is that of one launch, also when all have been used", () => {
  const status = new StatusPipe(0xffff_fffe);
  expect([1, 2, 3].map(() => status.listen(ignore))).toEqual([0xffff_fffe, 0xffff_ffff, 1]);
  // Those that are in use are left out.
  const again = new StatusPipe(0xffff_fffe);
  const three = [1, 2, 3].map(() => again.listen(ignore));
  again.forget(three[1] ?? 0);
  expect(again.listen(ignore)).toBe(2);
  const full = new StatusPipe(1);
  full.listen(ignore);
  full.forget(1);
  expect(full.listen(ignore)).toBe(2);
});

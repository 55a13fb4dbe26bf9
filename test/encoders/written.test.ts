/** A reader that is slow: how long it is waited for, and what is counted when it does not read. */
import { afterAll, describe, expect, test } from "bun:test";
import { closeSync, constants, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Written } from "../../src/encoders/written.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-written-"));
afterAll(() => rmSync(dir, { recursive: true }));

const PIPE = 65_536;
const turn = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
let made = 0;

/** A full pipe with its reader, and what was told of it. */
function pipe(patience: number, patient = false) {
  const path = join(dir, `${made++}`);
  expect(Bun.spawnSync(["mkfifo", path]).exitCode).toBe(0);
  const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
  const told: string[] = [];
  const writer = new Written(fd, patient, (why) => void told.push(why), patience);
  expect(writer.write(new Uint8Array(PIPE))).toBeUndefined();
  return {
    ...{ writer, told },
    read: (bytes: number) => readSync(fd, new Uint8Array(bytes)),
    [Symbol.dispose]: () => closeSync(fd),
  };
}

describe("a reader that is slow", () => {
  test("is waited for, longer than it may stall, as long as it goes on", async () => {
    using one = pipe(60);
    let done = false;
    const written = Promise.resolve(one.writer.write(new Uint8Array(PIPE))).then(
      () => (done = true),
    );
    for (let reads = 0; !done && reads < 100; reads++) {
      await turn(10);
      one.read(4096);
    }
    await written;
    expect([one.writer.lost, one.told]).toEqual([0, []]);
  });

  test("and stalls: what it does not take is lost, and told once", async () => {
    using one = pipe(40);
    const written = one.writer.write(new Uint8Array(1000));
    expect([one.writer.lost, one.told]).toEqual([0, []]);
    await written;
    expect([one.writer.lost, one.writer.why, one.told]).toEqual([1000, "EAGAIN", ["EAGAIN"]]);
    // It is not waited for again,
    expect(one.writer.write(new Uint8Array(10))).toBeUndefined();
    expect([one.writer.lost, one.told]).toEqual([1010, ["EAGAIN"]]);
    // but once it reads.
    one.read(8192);
    expect(one.writer.write(new Uint8Array(8192))).toBeUndefined();
    const more = one.writer.write(new Uint8Array(5));
    expect(one.writer.lost).toBe(1010);
    one.read(4096);
    await more;
    expect(one.writer.lost).toBe(1010);
  });

  test("of a part that it takes the rest is lost", async () => {
    using one = pipe(20);
    one.read(4096);
    await one.writer.write(new Uint8Array(10_000));
    expect(one.writer.lost).toBe(10_000 - 4096);
    // Also of one that it takes while it is waited for.
    using other = pipe(100);
    const written = other.writer.write(new Uint8Array(10_000));
    other.read(4096);
    await written;
    expect(other.writer.lost).toBe(10_000 - 4096);
  });

  test("that may hold the task is waited for without end", async () => {
    using one = pipe(0, true);
    const written = one.writer.write(new Uint8Array(4096));
    await turn(60);
    expect([one.writer.lost, one.told]).toEqual([0, []]);
    one.read(PIPE);
    await written;
    expect([one.writer.lost, one.told]).toEqual([0, []]);
  });
});

/** The pipes that bring a command its words and what it reads: real ones, of which nobody waits for the other end. */
import { afterEach, describe, expect, jest, test } from "bun:test";
import { closeSync, readSync, writeSync } from "node:fs";
import { WORDS_SIZE } from "../../ffi/launcher/layout.ts";
import { isReadable, pipe, setNonBlocking } from "../../ffi/libc.ts";
import { InputPipe } from "../../src/launch/input-pipe.ts";
import { atOnce, secondReader, WordsPipe, wordsOf } from "../../src/launch/words-pipe.ts";
import { isSettled } from "../api/listener.ts";
import { newPipes, ownDescriptors } from "../descriptors.ts";
import { turns } from "./turns.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const take = (fd: number, most: number): string => {
  const buffer = Buffer.alloc(most);
  return buffer.toString(
    "latin1",
    0,
    atOnce(() => readSync(fd, buffer)),
  );
};

describe("words", () => {
  test("are their length, and each with its NUL, as far as a pipe holds them", () => {
    expect(wordsOf(["/x", "é"])).toEqual(Buffer.from("\x06\0\0\0/x\0\xc3\xa9\0", "latin1"));
    expect(wordsOf([])).toEqual(Buffer.alloc(4));
    expect(wordsOf(["x".repeat(WORDS_SIZE - 1)])?.length).toBe(WORDS_SIZE + 4);
    expect(wordsOf(["x".repeat(WORDS_SIZE)])).toBeUndefined();
  });

  function made() {
    const [read, write] = pipe();
    return { read, write, words: new WordsPipe(secondReader(read), write) };
  }

  test("are given once, and it is known whether somebody has read them", () => {
    const { read, words } = made();
    expect([words.given, words.isUnread()]).toEqual([false, true]);
    expect([words.give(bytes("abc")), words.given]).toEqual([true, true]);
    expect(words.give(bytes("def"))).toBe(false);
    expect(words.isUnread()).toBe(true);
    // It has looked by reading them.
    expect(words.isUnread()).toBe(false);
    words.close();
    closeSync(read);
  });

  test.each([
    ["abcd", true],
    ["abcdx", false],
  ])("of which %p was read are unread: %p; the end comes behind them", (begin, is) => {
    const { read, words } = made();
    expect(words.give(bytes("abcdx"))).toBe(true);
    expect(take(read, begin.length)).toBe(begin);
    expect(words.isUnread()).toBe(is);
    expect(take(read, 9)).toBe("");
    words.close();
    closeSync(read);
  });

  test("are not given where there is no room for all of them", () => {
    const { read, write, words } = made();
    setNonBlocking(write);
    const filled = 65536 - 10;
    writeSync(write, Buffer.alloc(filled));
    expect([words.give(Buffer.alloc(8192)), words.given]).toEqual([false, true]);
    words.close();
    closeSync(read);
  });

  test("never given are closed with the rest", () => {
    const before = ownDescriptors();
    const { read, words } = made();
    words.close();
    expect(take(read, 1)).toBe("");
    expect(words.give(bytes("x"))).toBe(false);
    closeSync(read);
    expect(newPipes(before)).toEqual([]);
  });

  test("a move that would wait moves nothing; any other failure is one", () => {
    const failing = (code: string) => () => {
      throw Object.assign(new Error(code), { code });
    };
    expect([atOnce(() => 7), atOnce(failing("EAGAIN"))]).toEqual([7, 0]);
    expect(() => atOnce(failing("EPIPE"))).toThrow("EPIPE");
    expect(() =>
      atOnce(() => {
        throw new RangeError("bug");
      }),
    ).toThrow(RangeError);
  });
});

describe("input", () => {
  function made() {
    const [read, write] = pipe();
    return { read, input: new InputPipe(write) };
  }

  test("is there in order, and the end behind it", async () => {
    const { read, input } = made();
    const given = [input.give(bytes("ab")), input.give(bytes("")), input.give(bytes("c"))];
    input.end();
    expect(await Promise.all(given)).toEqual([true, true, true]);
    expect(take(read, 9)).toBe("abc");
    expect(take(read, 9)).toBe("");
    expect(await input.give(bytes("d"))).toBe(false);
    closeSync(read);
  });

  test("waits for who reads slowly, all of it", async () => {
    const { read, input } = made();
    // Who waited here for more would keep the process from writing it.
    setNonBlocking(read);
    const large = Buffer.from(Array.from({ length: 300_000 }, (_, i) => i % 251));
    const given = input.give(large);
    const last = Buffer.alloc(200_000, "!");
    const behind = input.give(last);
    await turns(5);
    expect(await isSettled(given)).toBe(false);
    let text = "";
    while (text.length < large.length + last.length) {
      text += take(read, 65536);
      await Bun.sleep(1);
    }
    expect(await Promise.all([given, behind])).toEqual([true, true]);
    expect(text).toBe(Buffer.concat([large, last]).toString("latin1"));
    input.close();
    expect(take(read, 1)).toBe("");
    closeSync(read);
  });

  test("that nobody reads any more is not taken, nor what comes behind it", async () => {
    const before = ownDescriptors();
    const { read, input } = made();
    closeSync(read);
    expect(await input.give(bytes("a"))).toBe(false);
    expect(newPipes(before)).toEqual([]);
    expect(await input.give(bytes("b"))).toBe(false);
  });

  describe("that waits", () => {
    afterEach(() => void jest.useRealTimers());
    /** Milliseconds until there is something to read. */
    async function untilReadable(read: number): Promise<number> {
      for (let time = 0; time < 1000; time++) {
        if (isReadable(read)) return time;
        jest.advanceTimersByTime(1);
        await turns(5);
      }
      return Infinity;
    }

    test("is looked at again soon, and less often as long as nobody reads", async () => {
      const { read, input } = made();
      const all = (most = 65536) => take(read, most).length;
      jest.useFakeTimers();
      const first = input.give(bytes("a"));
      await turns(5);
      // Where there is room nobody waits.
      expect(await isSettled(first)).toBe(true);
      expect([all(), jest.getTimerCount()]).toEqual([1, 0]);
      const given = input.give(Buffer.alloc(300_000));
      await turns(5);
      expect([all(), await untilReadable(read)]).toEqual([65536, 1]);
      // The looks that find it full are 1, 2, 4, 8, 16, 32 and 64 ms apart, and from then on 64.
      for (let time = 0; time < 200; time++) {
        jest.advanceTimersByTime(1);
        await turns(5);
      }
      expect([all(), await untilReadable(read)]).toEqual([65536, 255 - 200]);
      expect([all(), await untilReadable(read)]).toEqual([65536, 1]);
      input.close();
      expect([await given, jest.getTimerCount()]).toEqual([false, 0]);
      closeSync(read);
    });
  });

  test("is dropped at once when it is closed, whatever waits", async () => {
    const { read, input } = made();
    const given = input.give(Buffer.alloc(300_000));
    await turns(5);
    input.close();
    input.close();
    expect(await given).toBe(false);
    let left = 0;
    for (let some = take(read, 65536).length; some > 0; some = take(read, 65536).length)
      left += some;
    expect(left).toBeWithin(1, 300_000);
    closeSync(read);
  });
});

/** How long a text of another binder may be: with or without the NUL at its end it is as long, so what is read can be written. */
import { expect, test } from "bun:test";
import { parseMessage } from "../../src/rpc/wsapi.ts";
import { encodeSet, helloSize, textOf } from "../../src/rpc/wire.ts";

test.each([
  ["a".repeat(8), true],
  ["a".repeat(9), false],
  ["é".repeat(4), true],
  [`${"é".repeat(4)}a`, false],
  ["", true],
])("%s", (text, fits) => {
  for (const end of ["", "\0"]) {
    const read = () => textOf(Buffer.from(text + end), "a name", 8);
    if (fits) expect(read()).toBe(text);
    else expect(read).toThrow("a name has over 8 bytes");
  }
});

test.each([
  [0, 2],
  [1, 2],
  [2, 4],
  [3, 4],
])("the word of version %d has %d bytes", (version, size) => {
  const word = encodeSet(version);
  expect([word.length, helloSize(word.subarray(0, 2))]).toEqual([size, size]);
  expect(helloSize(word.subarray(0, 1))).toBeUndefined();
});

test("what does not begin with versions is known by its first byte", () => {
  for (const bytes of ["G", "\0", "K\x01"])
    expect(() => helloSize(Buffer.from(bytes))).toThrow(
      "it does not begin with the versions that it speaks",
    );
  expect(helloSize(Buffer.of())).toBeUndefined();
});

test.each([
  ["the name of a verb", "K\x01\0", 1024],
  ["who calls", "K\x01\0\x01\0\0\0v\0\0\0\0\0\0\0\0", 16384],
  ["an error", "k\x01\0", 1024],
  ["the name of an event", "E\x01\0", 1024],
  ["the name of a session", "S\x01\0", 1024],
  ["the name of a token", "T\x01\0", 16384],
  ["the name of an event", "B", 1024],
])("%s that says that it is longer than it may be is not waited for", (what, before, most) => {
  const message = (length: number) => {
    const bytes = Buffer.from(`${before}\0\0\0\0`, "latin1");
    bytes.writeUInt32LE(length, before.length);
    return () => parseMessage(bytes);
  };
  expect(message(most + 1)).toThrow("a message is shorter than what is in it");
  expect(message(most + 2)).toThrow(`${what} has over ${most} bytes`);
});

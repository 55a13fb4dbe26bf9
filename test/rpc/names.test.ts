/** How long a text of another binder may be: with or without the NUL at its end it is as long, so what is read can be written. */
import { expect, test } from "bun:test";
import { textOf } from "../../src/rpc/wire.ts";

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

/** What is said for people of a task's output. */
import { expect, test } from "bun:test";
import { Shown } from "../../src/encoders/shown.ts";
import { RECORD } from "../../src/kernel-log.ts";
import { utf8 } from "./feed.ts";

async function written(name: string, text: string, kernelLog: boolean): Promise<string[]> {
  const found: string[] = [];
  const write = (line: Uint8Array) => void found.push(Buffer.from(line).toString());
  const shown = new Shown(
    () => name,
    "stdout",
    write,
    () => kernelLog,
  );
  await shown.push(utf8(text));
  await shown.end();
  return found;
}

// What a character of the text becomes has one byte, three, and six that may be cut anywhere.
test.each(["a", "€", "\u0001"])(
  "into the kernel log, no write is more than a record: of %j",
  async (one) => {
    for (const name of ["", "t: s/c@1", "n".repeat(256), "€".repeat(256), "\u001b".repeat(100)]) {
      const full = await written(name, one.repeat(512), true);
      const sizes = full.map((line) => Buffer.byteLength(line) - 1);
      expect(Math.max(...sizes)).toBeLessThanOrEqual(RECORD);
      // As full as one can be: nothing less than a character would fit.
      for (const size of sizes.slice(0, -1)) expect(size).toBeGreaterThan(RECORD - 3);
      const [head = ""] = /^.* stdout: /s.exec(full[0] ?? "") ?? [];
      const pieces = full.map((line) => line.slice(head.length, -1));
      // A piece from within a line begins with a space.
      expect([pieces[0], ...pieces.slice(1).map((piece) => piece.slice(1))].join("")).toBe(
        one === "\u0001" ? "\\u0001".repeat(512) : one.repeat(512),
      );
      expect(full.every((line) => line.startsWith(head) && line.endsWith("\n"))).toBe(true);
      expect(await written(name, one.repeat(512), false)).toHaveLength(1);
    }
  },
);

test("of a name so much is said, and what it would have obeyed is not", async () => {
  expect(await written("n".repeat(300), "x\n", false)).toEqual([`${"n".repeat(256)} stdout: x\n`]);
  expect(await written("n\n", "x\n", false)).toEqual(["n\\u000a stdout: x\n"]);
});

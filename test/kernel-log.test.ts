/** The kernel log as output: no write is longer than the kernel takes. That it takes them is seen in the virtual machine. */
import { expect, test } from "bun:test";
import { records } from "../src/kernel-log.ts";

test("what fits is one record", () => {
  expect(records("a\nb")).toEqual(["a\nb"]);
  expect(records("")).toEqual([""]);
});

test("what does not is cut between lines, and a long line between characters; nothing is lost", () => {
  const lines = Array.from({ length: 90 }, (_, i) => `problem ${i}: ${"ä".repeat(i)}`).join("\n");
  const cut = records(lines);
  expect(cut.length).toBeGreaterThan(1);
  expect(cut.join("\n")).toBe(lines);
  const long = `x${"ä€".repeat(2000)}`;
  expect(records(long).join("").replaceAll(" ", "")).toBe(long);
  for (const record of [...cut, ...records(long)])
    expect(Buffer.byteLength(record)).toBeLessThanOrEqual(960);
});

test("no piece of a line begins a record: the kernel would take <N> for its priority", () => {
  for (const record of records("<0>".repeat(2000)).slice(1)) expect(record).toStartWith(" ");
});

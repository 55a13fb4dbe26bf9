/** The kernel log as output: no write is longer than the kernel takes. That it takes them is seen in the virtual machine. */
import { expect, test } from "bun:test";
import { closeSync, existsSync, openSync } from "node:fs";
import { isKernelLog, RECORD, records } from "../src/kernel-log.ts";

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

test("bounds: a record that is full, one byte more, a line that is empty or short, characters of each length", () => {
  const full = "x".repeat(RECORD);
  expect(records(full)).toEqual([full]);
  expect(records(`${full}y`)).toEqual([full, " y"]);
  expect(records(`${full}\ny`)).toEqual([full, "y"]);
  expect(records(`a\n${full}`)).toEqual(["a", full]);
  expect(records(`\n${full}`)).toEqual([`\n${full.slice(1)}`, " x"]);
  expect(records("abcdef", 4)).toEqual(["abcd", " ef"]);
  expect(records("abcdefgh", 4)).toEqual(["abcd", " efg", " h"]);
  expect(records("abcä", 4)).toEqual(["abc", " ä"]);
  expect(records("ab€", 4)).toEqual(["ab", " €"]);
});

test("which output is the kernel log", () => {
  const is = (path: string): boolean => {
    const fd = openSync(path, "w");
    try {
      return isKernelLog(fd);
    } finally {
      closeSync(fd);
    }
  };
  expect([is("/dev/null"), is("/dev/zero")]).toEqual([false, false]);
  if (existsSync("/dev/kmsg") && process.geteuid?.() === 0) expect(is("/dev/kmsg")).toBe(true);
});

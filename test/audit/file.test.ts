/** A file of lines at its bounds: what is there before, what is written in part, what is asked onto the disk, and what stays open. */
import { afterAll, describe, expect, jest, test } from "bun:test";
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileSink } from "../../src/audit/file.ts";
import type { Line } from "../../src/audit/sink.ts";
import { descriptorsOf } from "../descriptors.ts";
import { mayTrace, told } from "../strace.ts";
import { readNow } from "./pipe.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-audit-file-"));
afterAll(() => rmSync(dir, { recursive: true }));

let names = 0;
function fresh(): string {
  const own = join(dir, `${++names}`);
  mkdirSync(own);
  return join(own, "log");
}
const line = (text: string): Line => ({ entry: { time: 0, event: "start" }, text });
const sinkOf = (path: string, most = 0, count = 2) =>
  new FileSink({ path, most, count, trust: undefined });
const contents = (path: string): Record<string, string> =>
  Object.fromEntries(
    readdirSync(join(path, ".."))
      .toSorted()
      .map((name) => [name, readFileSync(join(path, "..", name), "utf8")]),
  );

test.each([
  ["as many bytes as there may be", "12345\n", ["abc"], { log: "12345\nabc\n" }],
  ["one more", "123456\n", ["abc"], { log: "abc\n", "log.1": "123456\n" }],
  ["none before", "", ["123456789"], { log: "123456789\n" }],
  ["more than there may be, alone", "", ["1234567890"], { log: "1234567890\n" }],
  [
    "several at a time, as many as there is room for",
    "1\n",
    ["abc", "efg", "hij"],
    { log: "hij\n", "log.1": "1\nabc\nefg\n" },
  ],
  ["letters of more than a byte", "12345\n", ["äb"], { log: "12345\näb\n" }],
  ["letters of more than a byte, one more", "12345\n", ["ää"], { log: "ää\n", "log.1": "12345\n" }],
])("a file of ten bytes: %s", async (_, before, texts, after) => {
  const path = fresh();
  writeFileSync(path, before);
  const sink = sinkOf(path, 10);
  expect(await sink.take(texts.map(line))).toEqual({ lines: texts.length });
  await sink.close();
  expect(contents(path)).toEqual(after);
});

test("many lines are few writes", async () => {
  const writes = () => Number(/^syscw: (\d+)$/m.exec(readFileSync("/proc/self/io", "utf8"))?.[1]);
  const path = fresh();
  const sink = sinkOf(path);
  const lines = Array.from({ length: 20_000 }, (_, i) => line(`{"n":${i}}`));
  const before = writes();
  await sink.take(lines);
  // Others of this process may write meanwhile.
  expect(writes() - before).toBeLessThan(1000);
  expect(readFileSync(path, "utf8").split("\n")).toHaveLength(20_001);
  await sink.close();
});

test("one that was cut is as long as it is", async () => {
  const path = fresh();
  const sink = sinkOf(path, 10);
  await sink.take([line("1234567")]);
  writeFileSync(path, "");
  await sink.take([line("abcdefg")]);
  await sink.close();
  expect(contents(path)).toEqual({ log: "abcdefg\n" });
});

test("it is the one that was opened, whatever its name is, until it is opened anew", async () => {
  const path = fresh();
  const sink = sinkOf(path);
  for (const round of [1, 2]) {
    if (round === 1) sink.open();
    else sink.reopen();
    if (round === 2) await sink.take([line("opened")]);
    renameSync(path, `${path}.${round}`);
    await sink.take([line(`${round}`)]);
    await sink.take([line("more")]);
  }
  await sink.close();
  expect(contents(path)).toEqual({ "log.1": "1\nmore\n", "log.2": "opened\n2\nmore\n" });
});

test("closed, it has nothing left to do", async () => {
  const sink = sinkOf(fresh());
  jest.useFakeTimers();
  try {
    await sink.take([line("1")]);
    expect(jest.getTimerCount()).toBe(1);
    await sink.close();
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});

test("nothing is left open", async () => {
  const path = fresh();
  const opened = () => descriptorsOf("self").filter((one) => one.startsWith(path)).length;
  const before = opened();
  for (let round = 0; round < 3; round++) {
    const sink = sinkOf(path, 10);
    sink.open();
    expect([sink.isFile, opened() - before]).toEqual([true, 1]);
    for (const text of ["1234567", "1234567"]) await sink.take([line(text)]);
    sink.reopen();
    await sink.take([line("1")]);
    expect(opened() - before).toBe(1);
    await sink.close();
    expect(opened() - before).toBe(0);
  }
});

test("a pipe is left at the end of a line, and not before", async () => {
  const path = fresh();
  Bun.spawnSync(["mkfifo", path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const sink = sinkOf(path, 10);
  const long = "x".repeat(100_000);
  const lines = [line(long), line("after")];
  expect(await sink.take(lines)).toEqual({ lines: 0, why: "EAGAIN" });
  expect(sink.isFile).toBe(false);
  renameSync(path, `${path}.old`);
  sink.reopen();
  const buffer = Buffer.alloc(1 << 20);
  let got = readNow(reader, buffer);
  expect(got.length).toBeLessThan(long.length);
  // The rest of the line goes where its beginning is, and what comes behind it to what has the name now.
  expect(await sink.take(lines)).toEqual({ lines: 2 });
  got += readNow(reader, buffer);
  expect(got === `${long}\n`).toBe(true);
  expect(readFileSync(path, "utf8")).toBe("after\n");
  expect(statSync(path).isFile()).toBe(true);
  await sink.close();
  closeSync(reader);
});

test("a pipe whose reader went amid a line gives the next one whole lines", async () => {
  const path = fresh();
  Bun.spawnSync(["mkfifo", path]);
  const open = () => openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const first = open();
  const sink = sinkOf(path);
  const lines = [line("x".repeat(100_000))];
  expect(await sink.take(lines)).toEqual({ lines: 0, why: "EAGAIN" });
  closeSync(first);
  expect(await sink.take(lines)).toEqual({ lines: 0, why: "EPIPE" });
  const second = open();
  expect(await sink.take([line("short")])).toEqual({ lines: 1 });
  expect(readNow(second, Buffer.alloc(100))).toBe("short\n");
  await sink.close();
  closeSync(second);
});

const MODULE = JSON.stringify(join(import.meta.dir, "../../src/audit/file.ts"));
/** A sink in a process of its own, which prints what it says of lines with these texts. */
const script = (path: string, steps: string): string => `
  const { FileSink } = await import(${MODULE});
  const sink = new FileSink({ path: ${JSON.stringify(path)}, most: 0, count: 2, trust: undefined });
  const take = async (...texts) => console.log(JSON.stringify(await sink.take(texts.map((text) => ({ text })))));
  ${steps}`;

describe("what a file took in part", () => {
  // A file may have no more than 1024 bytes: it is 512 a block, or 1024.
  const limited = ["sh", "-c", 'trap "" XFSZ; ulimit -S -f 1; exec "$@"', "sh"];
  const answers = (path: string, steps: string): unknown[] => {
    const { stdout } = Bun.spawnSync([...limited, process.execPath, "-e", script(path, steps)]);
    const lines = stdout.toString().trim().split("\n");
    return lines.map((text) => JSON.parse(text) as unknown);
  };
  const texts = ["first", "x".repeat(2000), "last"];

  test("goes on with the same byte", () => {
    const path = fresh();
    const steps = `
      const texts = ${JSON.stringify(texts)};
      await take(...texts);
      Bun.spawnSync(["prlimit", "--pid", String(process.pid), "--fsize=unlimited"]);
      await take(...texts.slice(1));
      await sink.close();`;
    expect(answers(path, steps)).toEqual([{ lines: 1, why: "EFBIG" }, { lines: 2 }]);
    expect(readFileSync(path, "utf8")).toBe(texts.map((text) => `${text}\n`).join(""));
  });

  test("begins again where somebody has cut it", () => {
    const path = fresh();
    const steps = `
      const { truncateSync } = await import("node:fs");
      const texts = ${JSON.stringify(texts)};
      await take(...texts);
      truncateSync(sink.name, 6);
      await take(...texts.slice(1));
      truncateSync(sink.name, 0);
      await take("whole");
      await sink.close();`;
    expect(answers(path, steps)).toEqual([
      { lines: 1, why: "EFBIG" },
      { lines: 0, why: "EFBIG" },
      { lines: 1 },
    ]);
    expect(readFileSync(path, "utf8")).toBe("whole\n");
  });
});

describe.skipIf(!mayTrace())("what the kernel is asked for", () => {
  const tracing = (path: string, steps: string, inject: string) =>
    told(script(path, steps), inject, "--seccomp-bpf", "-P", path);

  test.each([
    ["EIO", { log: "", "log.old": "1\n" }],
    ["EPIPE", { log: "", "log.old": "1\n" }],
    // It is the same file: where there is room again, it goes on.
    ["ENOSPC", { "log.old": "1\n3\n" }],
  ])("after %s it is opened anew, or is not", (why, after) => {
    const path = fresh();
    writeFileSync(path, "1\n");
    const steps = `
      await take("2");
      (await import("node:fs")).renameSync(sink.name, sink.name + ".old");
      await take("3");
      await sink.close();`;
    // What has this name cannot be written.
    const { printed } = tracing(path, steps, `write:error=${why}`);
    const [first, second] = printed.trim().split("\n");
    expect(JSON.parse(first ?? "")).toEqual({ lines: 0, why });
    expect(JSON.parse(second ?? "")).toEqual(why === "ENOSPC" ? { lines: 1 } : { lines: 0, why });
    expect(contents(path)).toEqual(after as never);
  });

  test.each([
    ["a file", 3],
    ["a pipe", 0],
  ])(
    "what was written to %s is asked onto the disk once a second, and at the end",
    (kind, times) => {
      const path = fresh();
      if (kind === "a pipe") Bun.spawnSync(["mkfifo", path]);
      const steps = `
      // So that a pipe has a reader.
      (await import("node:fs")).openSync(sink.name, "a+");
      // A clock that is twenty times as fast.
      const wait = setTimeout;
      globalThis.setTimeout = (then, ms, ...rest) => wait(then, ms / 20, ...rest);
      const second = () => new Promise((resolve) => setTimeout(resolve, 1500));
      for (let i = 0; i < 5; i++) await take("1");
      await second();
      await second();
      await take("2");
      await second();
      await take("3");
      await sink.close();
      await second();`;
      const { calls } = tracing(path, steps, "fdatasync:delay_exit=1");
      expect(calls.filter((call) => call.includes("fdatasync("))).toHaveLength(times);
    },
  );
});

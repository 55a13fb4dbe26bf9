import { describe, expect, test } from "bun:test";
import { constants } from "node:os";
import { signalName, signalNames, signalNumber, signalWords } from "../../src/config/signals.ts";

test("every signal of this kernel has its number, with and without SIG, in any case", () => {
  for (const [name, number] of Object.entries(constants.signals)) {
    const short = name.slice(3);
    const spellings = [
      name,
      short,
      name.toLowerCase(),
      short.toLowerCase(),
      number,
      String(number),
    ];
    expect(spellings.map(signalNumber)).toEqual(Array<number>(6).fill(number));
  }
});

describe("names", () => {
  const table: [unknown, number | undefined][] = [
    ["SIGRTMIN", 34],
    ["rtmin+2", 36],
    ["SIGRTMAX", 64],
    ["RTMAX-30", 34],
    ["RTMAX-31", undefined],
    ["RTMIN-1", undefined],
    ["RTMAX+1", undefined],
    [1, 1],
    [64, 64],
    ["64", 64],
    [0, undefined],
    [65, undefined],
    ["65", undefined],
    [1.5, undefined],
    [Number.NaN, undefined],
    ["", undefined],
    ["SIG", undefined],
    [".", undefined],
    ["SIGSIGTERM", undefined],
    ["TERMINATE", undefined],
    ["constructor", undefined],
    [null, undefined],
    [true, undefined],
    [["TERM"], undefined],
  ];
  test.each(table)("%j", (name, number) => {
    expect(signalNumber(name)).toBe(number);
  });

  test("31 of them", () => {
    expect(signalNames.length).toBe(31);
    expect(signalNames.map(signalNumber)).toEqual(signalNames.map((_, index) => index + 1));
  });
});

test("words of the C library", () => {
  const some = [1, 2, 3, 6, 9, 11, 13, 14, 15, 24, 31].map(signalWords);
  expect(some).toEqual([
    "Hangup",
    "Interrupt",
    "Quit",
    "Aborted",
    "Killed",
    "Segmentation fault",
    "Broken pipe",
    "Alarm clock",
    "Terminated",
    "CPU time limit exceeded",
    "Bad system call",
  ]);
  expect([32, 34, 64, 65].map(signalWords)).toEqual([
    "Unknown signal 32",
    "Real-time signal 0",
    "Real-time signal 30",
    "Unknown signal 65",
  ]);
});

const python = Bun.which("python3");
test.skipIf(python === null)("the same words as strsignal(3) of this machine", () => {
  const script = "import signal; print([signal.strsignal(n) or '' for n in range(1, 65)])";
  const { stdout } = Bun.spawnSync([python ?? "", "-c", script]);
  const words =
    stdout
      .toString()
      .match(/'[^']*'/g)
      ?.map((word) => word.slice(1, -1)) ?? [];
  for (const [index, word] of words.entries()) {
    if (word !== "") expect(signalWords(index + 1)).toBe(word);
  }
  expect(words.length).toBe(64);
});

test("names of numbers, those without one as they are", () => {
  expect([1, 15, 31, 34, 36, 64].map(signalName)).toEqual([
    ...["SIGHUP", "SIGTERM", "SIGSYS", "SIGRTMIN+0", "SIGRTMIN+2", "SIGRTMIN+30"],
  ]);
  expect([0, -1, 32, 33].map(signalName)).toEqual(["0", "-1", "32", "33"]);
});

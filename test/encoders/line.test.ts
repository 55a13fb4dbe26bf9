/** One event a line: in pieces where they are long, and shown after a while where they do not end. */
import { describe, expect, jest, test } from "bun:test";
import type { Fields } from "../../src/encoders/encoder.ts";
import { line } from "../../src/encoders/line.ts";
import { isSettled } from "../api/listener.ts";
import { about, feed, utf8 } from "./feed.ts";

describe("in pieces of maxlen, and what there is to say of a line stands in the last", () => {
  test.each([
    ["abc\n", [{ stdout: "abc" }]],
    ["abcdef\n", [{ stdout: "abc\\" }, { stdout: "def" }]],
    ["abcdefgh\n", [{ stdout: "abc\\" }, { stdout: "def\\" }, { stdout: "gh" }]],
    ["abcdef\rx\n", [{ stdout: "abc\\" }, { stdout: "def", cr: true }, { stdout: "x" }]],
    ["\n", [{ stdout: "" }]],
  ])("%j", async (text, expected) => {
    const opts = { maxlen: 4 };
    expect((await feed(line, text, { opts })).events).toEqual(expected);
    expect((await feed(line, text, { opts, sizes: [1] })).events).toEqual(expected);
  });
});

test("without maxlen whole, with what there is to say of it", async () => {
  const { events } = await feed(line, "50%\r100%\nend", { stderr: "e\n" });
  expect(events).toEqual([
    { stdout: "50%", cr: true },
    { stdout: "100%" },
    { stderr: "e" },
    { stdout: "end" },
  ]);
});

/** What comes of pieces, each sent when the events of the one before it have come: so many. */
async function shown(opts: Record<string, unknown>, pieces: readonly [string, number][]) {
  const events: Fields[] = [];
  let more = () => {};
  const encoding = line.begin(
    opts,
    (fields) => {
      events.push(fields);
      more();
    },
    about(),
  );
  for (const [text, count] of pieces) {
    await encoding.stdout(utf8(text));
    while (events.length < count) await new Promise<void>((resolve) => (more = resolve));
  }
  await encoding.end();
  return { events, lines: encoding.lines };
}

describe("after a while, when nothing more has come", () => {
  test("a return was the end of its line, and a line feed behind it belongs to it", async () => {
    expect(
      await shown({}, [
        ["50%\r", 1],
        ["\nnext\n", 2],
      ]),
    ).toEqual({
      events: [{ stdout: "50%", cr: true }, { stdout: "next" }],
      lines: 2,
    });
  });

  test("a part of a line is shown where that is wanted, is none that has ended, and comes again", async () => {
    expect(
      await shown({ partial: true }, [
        ["Password: ", 1],
        ["ok\n", 2],
      ]),
    ).toEqual({
      events: [{ stdout: "Password: ", partial: true }, { stdout: "Password: ok" }],
      lines: 1,
    });
  });
});

test("what was shown is waited for once: then who prints is not held back any more", async () => {
  jest.useFakeTimers();
  try {
    const taken = Promise.withResolvers<void>();
    const events: Fields[] = [];
    const emit = (fields: Fields): void | Promise<void> => {
      events.push(fields);
      if (fields["partial"]) return taken.promise;
    };
    const encoding = line.begin({ partial: true }, emit, about());
    expect(encoding.stdout(utf8("Pass"))).toBeUndefined();
    jest.advanceTimersByTime(199);
    expect(events).toEqual([]);
    jest.advanceTimersByTime(1);
    jest.advanceTimersByTime(1);
    expect(events).toEqual([{ stdout: "Pass", partial: true }]);
    const sent = encoding.stdout(utf8("word\n"));
    expect(await isSettled(sent)).toBe(false);
    expect(events).toHaveLength(1);
    taken.resolve();
    await sent;
    expect(events[1]).toEqual({ stdout: "Password" });
    expect(encoding.stdout(utf8("next\n"))).toBeUndefined();
    await encoding.end();
    expect([events.length, jest.getTimerCount()]).toEqual([3, 0]);
  } finally {
    jest.useRealTimers();
  }
});

test("a long part is shown again the later, the longer it is, and the next line is not held up by it", async () => {
  jest.useFakeTimers();
  try {
    const events: Fields[] = [];
    const encoding = line.begin({ partial: true }, (fields) => void events.push(fields), about());
    const lengths = () => events.map(({ stdout }) => String(stdout).length);
    const pass = (ms: number) => {
      jest.advanceTimersByTime(ms);
      jest.advanceTimersByTime(1);
    };
    let length = 64 << 10;
    await encoding.stdout(utf8("x".repeat(length)));
    pass(200);
    expect(lengths()).toEqual([length]);
    // A dot each 300 ms, for what 64 KiB take.
    for (let n = 0; n < 12; n++) {
      await encoding.stdout(utf8("."));
      pass(299);
    }
    expect(lengths()).toEqual([length]);
    await encoding.stdout(utf8("."));
    pass(600);
    expect(lengths()).toEqual([length, (length += 13)]);
    await encoding.stdout(utf8("\nPassword: "));
    pass(200);
    expect(lengths()).toEqual([length - 13, length, length, "Password: ".length]);
    // What is short is shown each time.
    await encoding.stdout(utf8("*"));
    pass(200);
    expect(events.at(-1)).toEqual({ stdout: "Password: *", partial: true });
    await encoding.end();
    expect(jest.getTimerCount()).toBe(0);
  } finally {
    jest.useRealTimers();
  }
});

test("what is asked at the end of a line of any length is shown in a while", async () => {
  jest.useFakeTimers();
  try {
    const events: Fields[] = [];
    const encoding = line.begin({ partial: true }, (fields) => void events.push(fields), about());
    await encoding.stdout(utf8("x".repeat(1 << 20)));
    jest.advanceTimersByTime(201);
    jest.advanceTimersByTime(1);
    await encoding.stdout(utf8("Password: "));
    jest.advanceTimersByTime(9000);
    jest.advanceTimersByTime(1);
    expect(events).toHaveLength(1);
    jest.advanceTimersByTime(1000);
    jest.advanceTimersByTime(1);
    expect(events.map(({ stdout }) => String(stdout).slice(-10))).toEqual([
      "x".repeat(10),
      "Password: ",
    ]);
    await encoding.end();
  } finally {
    jest.useRealTimers();
  }
});

test("the lines of both streams are counted", async () => {
  const encoding = line.begin({}, () => {}, about());
  await encoding.stdout(utf8("a\nb\n"));
  await encoding.stderr(utf8("c\nd"));
  expect(encoding.lines).toBe(3);
  await encoding.end();
  expect(encoding.lines).toBe(4);
});

test("where parts are not wanted they wait for their end", async () => {
  const events: Fields[] = [];
  const encoding = line.begin({}, (fields) => void events.push(fields), about());
  await encoding.stdout(utf8("Password: "));
  // Longer than a part would wait.
  await Bun.sleep(400);
  expect(events).toEqual([]);
  await encoding.end();
  expect(events).toEqual([{ stdout: "Password: " }]);
});

test("options that mean nothing are left out, with a notice for each of them alone", () => {
  expect(line.adapt?.({ maxlen: 80, maxline: 10, cr: false }, "/")).toEqual({
    opts: { maxlen: 80, cr: false },
    notices: ["maxline: means nothing to the encoder line"],
  });
});

import { describe, expect, test } from "bun:test";
import { parseQuery, parseTarget } from "../../src/api/query.ts";
import { AfbError } from "../../src/errors.ts";

const start = { action: "start", args: undefined, verbose: 0, wait: false } as const;

test("input is an action of who reads it, and else an argument", () => {
  const flat = { action: "Input", pid: 7, data: "x" };
  expect(parseQuery(flat, new Set(), true)).toEqual({
    ...start,
    action: "input",
    args: { pid: 7, data: "x" },
  });
  expect(parseQuery(flat)).toEqual({ ...start, args: flat });
  expect(parseQuery({ action: "input", args: { pid: 7 } }).action).toBe("input");
});

describe("parseQuery", () => {
  const table: [unknown, object][] = [
    [undefined, start],
    [null, start],
    [{}, start],
    [{ action: "start" }, start],
    [{ action: "STOP" }, { ...start, action: "stop" }],
    [{ action: "Subscribe" }, { ...start, action: "subscribe" }],
    [
      { action: "unsubscribe", args: { pid: 1 } },
      { ...start, action: "unsubscribe", args: { pid: 1 } },
    ],
    [{ args: { a: 1 } }, { ...start, args: { a: 1 } }],
    [{ args: null }, start],
    [
      { action: "start", args: '{"timeout":"1"}' },
      { ...start, args: { timeout: "1" } },
    ],
    [{ args: "text" }, { ...start, args: "text" }],
    [{ args: "[1]" }, { ...start, args: "[1]" }],
    [{ verbose: 2 }, { ...start, verbose: 2 }],
    [{ verbose: "4" }, { ...start, verbose: 4 }],
    [{ wait: true }, { ...start, wait: true }],
    [{ wait: "TRUE" }, { ...start, wait: true }],
    [{ wait: "0" }, { ...start, wait: false }],
    // Anything else is the args of a start.
    [{ filename: "/etc/hosts" }, { ...start, args: { filename: "/etc/hosts" } }],
    [
      { action: "stop", pid: 1 },
      { ...start, action: "stop", args: { pid: 1 } },
    ],
    [
      { action: "Start", a: 1, args: { b: 2 }, wait: true },
      { ...start, args: { a: 1, b: 2 }, wait: true },
    ],
    [
      { action: "start", a: 1, args: "x" },
      { ...start, args: { action: "start", a: 1, args: "x" } },
    ],
    [
      { action: "fly", filename: "x" },
      { ...start, args: { action: "fly", filename: "x" } },
    ],
    [{ Action: "stop" }, { ...start, args: { Action: "stop" } }],
    [["stop"], { ...start, args: ["stop"] }],
    ["stop", { ...start, args: "stop" }],
    [0, { ...start, args: 0 }],
    [false, { ...start, args: false }],
  ];
  test.each(table)("%j", (query, expected) => {
    expect(parseQuery(query)).toEqual(expected as ReturnType<typeof parseQuery>);
  });

  test("a command with an argument of that name", () => {
    const query = { action: "start", a: 1 };
    expect(parseQuery(query, new Set(["action"]))).toEqual({ ...start, args: query });
  });

  const wrong: [unknown, string][] = [
    [
      { action: "sotp" },
      'unknown action "sotp"; did you mean `stop`? (start, stop, subscribe, unsubscribe)',
    ],
    [{ action: 1 }, "unknown action 1 (start, stop, subscribe, unsubscribe)"],
    [{ action: null }, "unknown action null (start, stop, subscribe, unsubscribe)"],
    [{ verbose: 5 }, "verbose must be a whole number from 0 to 4, not 5"],
    [{ verbose: true }, "verbose must be a whole number from 0 to 4, not true"],
    [{ wait: "later" }, 'wait must be true or false, not "later"'],
    [{ args: '{"a":' }, "args is not JSON: "],
  ];
  test.each(wrong)("refuses %j", (query, message) => {
    const error = thrown(() => parseQuery(query));
    expect([error.status, error.message.slice(0, message.length)]).toEqual([
      "invalid-request",
      message,
    ]);
  });
});

describe("parseTarget", () => {
  const table: [unknown, object][] = [
    [undefined, {}],
    [{}, {}],
    [{ pid: 12 }, { pid: 12 }],
    [
      { pid: "12", signal: "15" },
      { pid: 12, signal: 15 },
    ],
    [{ signal: "sigterm" }, { signal: 15 }],
    [{ lossless: true }, { lossless: true }],
    [{ lossless: "false" }, { lossless: false }],
  ];
  test.each(table)("%j", (args, expected) => {
    expect(parseTarget({ action: "subscribe", args })).toEqual(expected);
  });

  const wrong: [unknown, string][] = [
    [[1], 'args must be {"pid":N,"signal":"NAME"}, both optional'],
    ["all", 'args must be {"pid":N,"signal":"NAME"}, both optional'],
    [{ pidd: 1 }, 'unknown key "pidd" in args (pid, id, signal, lossless, from)'],
    [{ lossless: 2 }, "lossless must be true or false, not 2"],
    [{ pid: 0 }, "invalid pid 0"],
    [{ pid: -1 }, "invalid pid -1"],
    [{ pid: 1.5 }, "invalid pid 1.5"],
    [{ pid: 4194305 }, "invalid pid 4194305"],
    [{ pid: 2 ** 32 + 1 }, "invalid pid 4294967297"],
    [{ pid: "4294967297" }, 'invalid pid "4294967297"'],
    [{ pid: "0x1" }, 'invalid pid "0x1"'],
    [{ signal: 1.5 }, "unknown signal 1.5 (a name such as SIGTERM, or 1 to 64)"],
    [{ signal: 2 ** 32 + 9 }, "unknown signal 4294967305 (a name such as SIGTERM, or 1 to 64)"],
    [{ pid: null }, "invalid pid null"],
    [
      { signal: "SIGTREM" },
      'unknown signal "SIGTREM"; did you mean `SIGTERM`? (a name such as SIGTERM, or 1 to 64)',
    ],
    [{ signal: 0 }, "unknown signal 0 (a name such as SIGTERM, or 1 to 64)"],
    [{ signal: 65 }, "unknown signal 65 (a name such as SIGTERM, or 1 to 64)"],
  ];
  test.each(wrong)("refuses %j", (args, message) => {
    const error = thrown(() => parseTarget({ action: "subscribe", args }));
    expect([error.status, error.message]).toEqual(["invalid-request", message]);
  });
});

test("lossless is only for subscribe", () => {
  const error = thrown(() => parseTarget({ action: "stop", args: { lossless: true } }));
  expect(error.message).toBe("lossless is for subscribe");
});

function thrown(act: () => unknown): AfbError {
  try {
    act();
  } catch (error) {
    if (error instanceof AfbError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

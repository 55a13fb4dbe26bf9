/** What may be asked of a fleet, and what it means. */
import { expect, test } from "bun:test";
import { isMethod, parseTarget, parseTime, timesOf } from "../../src/fleet/campaign.ts";
import {
  BOARDS,
  callOf,
  CALL,
  filterOf,
  parametersOf,
  readArguments,
  STOP,
} from "../../src/fleet/desk-arguments.ts";

test("a board or a group, a verb, a time", () => {
  expect([parseTarget("b1"), parseTarget("@g"), parseTarget("@all")]).toEqual([
    { kind: "board", board: "b1" },
    { kind: "group", group: "g" },
    { kind: "group", group: "all" },
  ]);
  for (const none of ["", "@", "_a", "@_group", "a/b", "b@g"])
    expect(parseTarget(none)).toBeUndefined();
  expect(["1ms", "30s", "5m", "1h", "7d", "168h", "604800s"].map(parseTime)).toEqual([
    1, 30_000, 300_000, 3_600_000, 604_800_000, 604_800_000, 604_800_000,
  ]);
  for (const none of ["0s", "1", "s", "1.5s", "-1s", "1w", "8d", "604801s", "1234567890ms", " 1s"])
    expect(parseTime(none)).toBeUndefined();
  expect(["a/b", "a/b/c", "a/b c", "a/b\nc"].map(isMethod)).toEqual([true, true, true, true]);
  for (const none of ["a", "a/", "/b", "a//", "a/+", "a/#", "a/b\0"])
    expect([none, isMethod(none)]).toEqual([none, false]);
});

test("how long a broker keeps a call, and how long its first answer may take", () => {
  expect([
    timesOf({ timeout: undefined }),
    timesOf({ timeout: 500 }),
    timesOf({ timeout: 1001 }),
    timesOf({ timeout: 90_000 }),
  ]).toEqual([
    { expiry: 60, timeout: undefined, patience: 62_000 },
    { expiry: 1, timeout: 500, patience: 2500 },
    { expiry: 2, timeout: 1001, patience: 3001 },
    { expiry: 60, timeout: 90_000, patience: 62_000 },
  ]);
  expect(timesOf({ timeout: 5000, queue: 3_600_000 })).toEqual({
    expiry: 3600,
    timeout: 5000,
    patience: 3_602_000,
  });
});

test("which boards", () => {
  expect(filterOf(undefined)).toEqual({
    group: "all",
    search: "",
    after: "",
    limit: 200,
    follow: undefined,
  });
  expect(
    filterOf({ group: "g", search: "AbC", after: "b1", limit: "12", follow: "false" }),
  ).toEqual({ group: "g", search: "abc", after: "b1", limit: 12, follow: false });
  expect(filterOf({ limit: 1000, follow: true })).toMatchObject({ limit: 1000, follow: true });
  expect(filterOf({ limit: 1 }).limit).toBe(1);
  expect(filterOf({ search: "x".repeat(256) }).search).toHaveLength(256);
  for (const wrong of [
    { limit: 0 },
    { limit: 1001 },
    { limit: "1234567" },
    { limit: "1x" },
    { group: "_" },
    { search: "x".repeat(257) },
    { follow: "yes" },
    { other: 1 },
    5,
    [],
  ])
    expect(() => filterOf(wrong)).toThrow();
  // All of it is told.
  expect(() => filterOf({ limit: 0, group: "_" })).toThrow(/group: .*; limit: |limit: .*; group: /);
});

test("a call, and what does not go together", () => {
  const asked = (more: object) => callOf({ to: "@g", verb: "a/v", ...more });
  expect(asked({})).toEqual({
    ...{
      target: { kind: "group", group: "g" },
      isQueued: false,
      stages: undefined,
      detach: false,
      wait: false,
      to: "@g",
    },
    invocation: {
      method: "a/v",
      args: "",
      expiry: 60,
      timeout: undefined,
      patience: 62_000,
      detach: false,
      token: undefined,
    },
    mostFailed: { number: 0, isPercent: false },
  });
  expect(
    asked({
      args: { x: 1 },
      timeout: "5s",
      queue: "1h",
      stages: "1,100%",
      "max-failed": "2%",
      detach: "true",
      wait: true,
    }),
  ).toMatchObject({
    ...{ isQueued: true, detach: true, wait: true, mostFailed: { number: 2, isPercent: true } },
    invocation: { args: '{"x":1}', timeout: 5000, expiry: 3600, detach: true },
    stages: [
      { number: 1, isPercent: false },
      { number: 100, isPercent: true },
    ],
  });
  try {
    asked({ to: "_" });
  } catch (error) {
    expect(error).toMatchObject({ status: "invalid-request" });
  }
  for (const [more, words] of [
    [{ to: "_" }, 'to: found "_", expected BOARD or @GROUP'],
    [{ verb: "a" }, 'verb: found "a", expected API/VERB'],
    [{ to: "b", stages: "1" }, "stages: only for a @GROUP"],
    [{ "max-failed": "1" }, "max-failed: only with stages"],
    [{ stages: "0" }, "stages: 0: each stage has some boards"],
    [
      { stages: "1", "max-failed": "x" },
      "max-failed: x: expected a number of boards, or a percentage",
    ],
    [{ timeout: "5" }, 'timeout: found "5", expected a time such as 30s, 5m or 1h, at most 7d'],
    [{ queue: "8d" }, 'queue: found "8d", expected a time such as 30s, 5m or 1h, at most 7d'],
    [{ to: "x".repeat(66) }, "65"],
    [{ verb: `a/${"x".repeat(511)}` }, "verb: "],
  ] as const)
    expect(() => asked(more)).toThrow(words);
  expect(asked({ to: `@${"x".repeat(64)}`, verb: `a/${"x".repeat(510)}` }).to).toHaveLength(65);
  expect(() => callOf({})).toThrow(/to: .*missing|missing/);
});

test("arguments as verbs are described", () => {
  expect(
    parametersOf(CALL)
      .filter(({ required }) => required)
      .map(({ name }) => name),
  ).toEqual(["to", "verb"]);
  expect(parametersOf(BOARDS).some(({ required }) => required)).toBe(false);
  expect(readArguments(STOP, { call: "x", leave: "true" })).toEqual({ call: "x", leave: true });
});

/** What crosses from a plugin's thread: text of JSON, and errors that can always be told. */
import { expect, test } from "bun:test";
import { errorOf, failureOf, jsonOf, textOf, valueOf } from "../../src/plugins/messages.ts";

const UNTELLABLE = "it has thrown something that cannot be told";
const throwing = () => {
  throw new Error("again");
};

test("an error is told with the code and status that it has, if they are of their kind", () => {
  const failure = (more: object) => failureOf(Object.assign(new Error("why"), more));
  expect(failure({})).toEqual({ message: "why" });
  expect(failure({ code: 7, status: "s" })).toEqual({ message: "why", code: 7, status: "s" });
  expect(failure({ code: "ENOENT", status: 404 })).toEqual({ message: "why" });
  expect(failure({ message: 5 })).toEqual({ message: "5" });
  for (const [thrown, message] of [
    ["text", "text"],
    [7, "7"],
    [undefined, "undefined"],
    [null, "null"],
    [{ message: "no error" }, "no error"],
    [{ message: 5, code: "E" }, '{"message":5,"code":"E"}'],
    [{ a: "x".repeat(2000) }, `{"a":"${"x".repeat(994)}`],
    [new Map(), "{}"],
    [[1, 2], "1,2"],
  ] as const)
    expect(failureOf(thrown)).toEqual({ message });
  const cycle: { self?: object } = {};
  cycle.self = cycle;
  expect(failureOf(cycle)).toEqual({ message: "[object Object]" });
  expect(textOf({ message: "no error" })).toBe("no error");
});

test("what cannot be told is told as that", () => {
  const hostile = [
    Object.create(null),
    { toString: throwing },
    Object.defineProperty(new Error("x"), "message", { get: throwing }),
    Object.defineProperty(new Error("x"), "code", { get: throwing }),
    new Proxy(new Error("x"), { get: throwing, getPrototypeOf: throwing }),
    { [Symbol.toPrimitive]: throwing },
  ];
  for (const thrown of hostile) expect(failureOf(thrown)).toEqual({ message: UNTELLABLE });
  expect(textOf(Object.create(null))).toBe(UNTELLABLE);
  expect([textOf(1), textOf(new Error("e"))]).toEqual(["1", "Error: e"]);
});

test("an error comes out on the other side as it was told", () => {
  const error = errorOf({ message: "why", code: 7, status: "s" });
  expect(error).toBeInstanceOf(Error);
  expect(error).toMatchObject({ message: "why", code: 7, status: "s" });
  expect("code" in errorOf({ message: "why" })).toBe(false);
});

test("values are what JSON has of them, and nothing is nothing", () => {
  for (const nothing of [undefined, () => 1, Symbol("s")]) expect(jsonOf(nothing)).toBeUndefined();
  expect(valueOf(undefined)).toBeUndefined();
  for (const value of [null, 0, "", [], { a: [1, { b: "é" }] }])
    expect(valueOf(jsonOf(value))).toEqual(value);
  const circle: unknown[] = [];
  circle.push(circle);
  expect(() => jsonOf(circle)).toThrow(TypeError);
  expect(() => jsonOf(1n)).toThrow(TypeError);
});

test("what is nested so deep that who reads it could fail is refused", () => {
  const nested = (depth: number) => JSON.parse("[".repeat(depth) + "]".repeat(depth)) as unknown;
  expect(jsonOf(nested(512))).toBe("[".repeat(512) + "]".repeat(512));
  expect(() => jsonOf(nested(513))).toThrow("it is nested too deep");
});

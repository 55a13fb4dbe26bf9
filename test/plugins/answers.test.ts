/** What a function may do in its thread: each call is answered once, by its number. */
import { expect, test } from "bun:test";
import { Answers } from "../../src/plugins/answers.ts";
import type { FromThread } from "../../src/plugins/messages.ts";

function made() {
  const said: FromThread[] = [];
  return { said, answers: new Answers((message) => said.push(message)) };
}

test("a call is told with who asks, and gets the answer of its number", async () => {
  const { said, answers } = made();
  const context = answers.context(7, "a");
  expect(context.api).toBe("a");
  const first = context.call("b", "v", { x: 1 });
  const second = context.call("b", "w");
  expect(said).toEqual([
    { kind: "invoke", invoke: 1, context: 7, api: "b", verb: "v", json: '{"x":1}' },
    { kind: "invoke", invoke: 2, context: 7, api: "b", verb: "w", json: undefined },
  ]);
  answers.settle(2, "[2]");
  answers.refuse(1, { message: "no", status: "forbidden", code: -8 });
  expect(await second).toEqual([2]);
  expect(first).rejects.toMatchObject({ message: "no", status: "forbidden", code: -8 });
  // Once more, or of none: nobody waits for it.
  answers.settle(2, "[3]");
  answers.refuse(99, { message: "x" });
});

test("names are text, whatever they were, and what cannot be told is asked of nobody", async () => {
  const { said, answers } = made();
  const context = answers.context(1, "a");
  void context.call(5 as unknown as string, null as unknown as string, []);
  expect(said).toMatchObject([{ api: "5", verb: "null", json: "[]" }]);
  expect(context.call("a", "v", 1n)).rejects.toThrow(TypeError);
  context.log("error", { toString: () => "line" } as unknown as string);
  expect(said.slice(1)).toEqual([{ kind: "log", context: 1, level: "error", text: "line" }]);
});

test("so many may wait, then it is thrown, until one is answered", async () => {
  const { answers } = made();
  const context = answers.context(1, "a");
  for (let i = 0; i < 1 << 14; i++) void context.call("a", "v");
  expect(() => context.call("a", "v")).toThrow("more than 16384 calls at once");
  answers.settle(1, undefined);
  void context.call("a", "v");
  expect(() => context.call("a", "v")).toThrow("more than 16384 calls at once");
});

/** The encoding of one task as its thread has it: what a plugin may give, and what is told of it. */
import { expect, test } from "bun:test";
import type { Emit, Encoding, Fields } from "../../src/encoders/encoder.ts";
import { Encoded } from "../../src/plugins/encoded.ts";
import type { PluginEncoder } from "../../src/plugins/plugin.ts";

const RESERVED = ["type", "api", "sandbox", "command", "pid", "status", "plan"];

/** With what an encoder emits at hand. */
function encoded(encoding: Partial<Record<keyof Encoding, unknown>> = {}) {
  const sent: { batch: number; list: readonly string[] }[] = [];
  let emit: Emit = () => {};
  let opts: unknown;
  const whole = { stdout() {}, stderr() {}, end: () => ({}), ...encoding };
  const begin = (given: unknown, emits: Emit) => {
    [opts, emit] = [given, emits];
    return whole;
  };
  const one = new Encoded(
    { name: "e", begin } as unknown as PluginEncoder,
    { a: 1 },
    (batch, list) => sent.push({ batch, list }),
  );
  return { one, sent, opts, emit: (fields: unknown) => emit(fields as Fields) };
}

test("events go in batches, each in its order, and wait until the clients can take more", async () => {
  const { one, sent, emit, opts } = encoded();
  expect(opts).toEqual({ a: 1 });
  const taken: string[] = [];
  void emit({ n: 1 })?.then(() => taken.push("first"));
  void emit({ n: 2 })?.then(() => taken.push("first"));
  expect(sent).toEqual([]);
  await Promise.resolve();
  expect(sent).toEqual([{ batch: 1, list: ['{"n":1}', '{"n":2}'] }]);
  void emit({ n: 3 })?.then(() => taken.push("second"));
  one.flush();
  one.flush();
  expect(sent[1]).toEqual({ batch: 2, list: ['{"n":3}'] });
  expect(sent).toHaveLength(2);
  one.sent(2);
  await Bun.sleep(0);
  expect(taken).toEqual(["second"]);
  one.sent(1);
  // Twice, or of none.
  one.sent(1);
  one.sent(99);
  await Bun.sleep(0);
  expect(taken).toEqual(["second", "first", "first"]);
});

test("an object that changes later was told as it was", async () => {
  const { sent, emit } = encoded();
  const fields: Record<string, unknown> = { n: [1] };
  void emit(fields);
  fields["n"] = 2;
  await Promise.resolve();
  expect(sent[0]?.list).toEqual(['{"n":[1]}']);
});

test("so many events wait, and no more, until a batch is taken", async () => {
  const { one, sent, emit } = encoded();
  for (let i = 0; i < 1 << 18; i++) void emit({});
  expect(() => emit({})).toThrow("more than 262144 events at once");
  await Promise.resolve();
  expect(sent).toHaveLength(1);
  expect(() => emit({})).toThrow("more than 262144 events at once");
  one.sent(1);
  // Taken twice, it makes no room for more.
  one.sent(1);
  void emit({ n: 1 });
  one.flush();
  expect(sent[1]?.list).toEqual(['{"n":1}']);
  for (let i = 1; i < 1 << 18; i++) void emit({});
  expect(() => emit({})).toThrow("more than 262144 events at once");
});

test("what the server says of a task no plugin can say, in an event or at the end", async () => {
  for (const name of RESERVED) {
    const fields = JSON.parse(`{"a":1,"${name}":null}`) as Fields;
    const said = `the field ${name} is the server's to tell`;
    expect(() => encoded().emit(fields)).toThrow(said);
    expect(encoded({ end: () => fields }).one.end()).rejects.toThrow(said);
  }
  const near = { Pid: 1, statuses: 2, "": 3, ["__proto__"]: 4 };
  expect(await encoded({ end: () => near }).one.end()).toEqual(near);
});

test("an event is an object", () => {
  const { emit } = encoded();
  for (const fields of [undefined, null, 1, "{}", [], [{}], () => ({})])
    expect(() => emit(fields)).toThrow("emit() takes an object of fields");
  for (const made of [undefined, [1], "{", 7, null])
    expect(() => emit({ toJSON: () => made })).toThrow("emit() takes an object of fields");
});

test("the end is an object, or nothing", async () => {
  for (const [fields, told] of [
    [undefined, {}],
    [null, {}],
    [{}, {}],
    [{ a: 1 }, { a: 1 }],
    [Promise.resolve({ b: 2 }), { b: 2 }],
  ] as const)
    expect(await encoded({ end: () => fields }).one.end()).toEqual(told);
  for (const fields of [1, "a", [], true])
    expect(encoded({ end: () => fields }).one.end()).rejects.toThrow(
      "end() must return an object of fields",
    );
});

test("output goes to the hook of its stream, which is waited for", async () => {
  const seen: string[] = [];
  const hook = (stream: string) => async (chunk: Uint8Array) => {
    await Bun.sleep(1);
    seen.push(`${stream} ${chunk.join()}`);
  };
  const { one } = encoded({ stdout: hook("out"), stderr: hook("err") });
  await one.take("stderr", Uint8Array.of(1));
  expect(seen).toEqual(["err 1"]);
  await one.take("stdout", Uint8Array.of(2, 3));
  expect(seen).toEqual(["err 1", "out 2,3"]);
});

test("an encoding without its hooks is none, and a begin that fails says why", () => {
  for (const hook of ["stdout", "stderr", "end"])
    for (const wrong of [undefined, null, 1, {}])
      expect(() => encoded({ [hook]: wrong })).toThrow(`what begin() returns has no ${hook}()`);
  const begun = (begin: () => unknown) => () =>
    new Encoded({ name: "e", begin } as unknown as PluginEncoder, {}, () => {});
  for (const nothing of [undefined, null])
    expect(begun(() => nothing)).toThrow("what begin() returns has no stdout()");
  expect(
    begun(() => {
      throw new RangeError("no such thing");
    }),
  ).toThrow("begin() failed: no such thing");
});

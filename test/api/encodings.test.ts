/** How the output of a task is encoded for who has started it, by what its config says and what the request wants. */
import { describe, expect, test } from "bun:test";
import type { Request } from "../../src/api/client.ts";
import { bytesFor, encodingFor } from "../../src/api/encodings.ts";
import { findEncoder } from "../../src/encoders/catalogue.ts";
import type { Bytes, TaskEncoder } from "../../src/encoders/encoder.ts";

const of = (name: string, opts: Record<string, unknown> = {}) => {
  const encoder = findEncoder(name);
  if (!encoder) throw new Error(`there is no ${name}`);
  return { encoder, opts };
};
const foreign: TaskEncoder = {
  ...{ name: "text", synchronous: false, check: () => [] },
  begin: () => ({ stdout() {}, stderr() {}, end: () => ({}) }),
};
const found = (given: ReturnType<typeof of>, request: Pick<Request, "wait" | "live"> = {}) => {
  const { encoder, opts } = encodingFor(given, undefined, { wait: false }, request);
  return [encoder.name, opts];
};
const OPTS = { maxlen: 5, maxline: 2 };

describe("a reply that waits for the end", () => {
  test.each<[string, object, string, object]>([
    ["sync", OPTS, "sync", OPTS],
    ["text", OPTS, "sync", OPTS],
    ["line", OPTS, "sync", OPTS],
    ["json", OPTS, "sync", {}],
    ["raw", OPTS, "raw", OPTS],
    ["file", { type: "image/png" }, "raw", { encoding: "base64" }],
  ])("of %s with %j", (name, opts, encoder, own) => {
    const given = of(name, opts as Record<string, unknown>);
    const expected = [findEncoder(encoder)?.name ?? "", own];
    expect(found(given, { wait: true })).toEqual(expected as never);
    expect(found(given, { wait: 3 })).toEqual(expected as never);
    const { encoder: asked, opts: askedOpts } = encodingFor(given, undefined, { wait: true }, {});
    expect([asked.name, askedOpts]).toEqual(expected as never);
    // As its config says, where nobody waits.
    expect(encodingFor(given, undefined, { wait: false }, {})).toBe(given);
  });
  test("leaves its file to who has a log of it, and is as before where it is a reply anyway", () => {
    const log = of("log", { filename: "x" });
    const waits = encodingFor(log, undefined, { wait: true }, {});
    expect([waits.encoder === log.encoder, waits.encoder.synchronous, waits.opts]).toEqual([
      ...[false, true, log.opts],
    ]);
    const sync = of("sync", { maxlen: 7 });
    expect(encodingFor(sync, undefined, { wait: true }, {})).toBe(sync);
    const own = { encoder: { ...foreign, name: "x", synchronous: true }, opts: {} };
    expect(encodingFor(own, undefined, { wait: true }, {})).toBe(own);
  });
});

describe("what is seen as it is printed", () => {
  test.each<[string, object, string, object]>([
    ["text", {}, "line", { partial: false }],
    ["sync", { maxlen: 5 }, "line", { partial: false, maxlen: 5 }],
    ["text", { maxline: 5 }, "text", { maxline: 5 }],
    ["line", { maxlen: 5 }, "line", { maxlen: 5 }],
    ["json", {}, "json", {}],
  ])("of %s with %j", (name, opts, encoder, own) => {
    expect(found(of(name, opts as Record<string, unknown>), { live: true })).toEqual([
      ...[encoder, own],
    ] as never);
  });
  test("of another encoder of the same name is as it is", () => {
    const given = { encoder: foreign, opts: {} };
    expect(encodingFor(given, undefined, { wait: false }, { live: true })).toBe(given);
  });
});

test("whoever takes bytes has them of a file, and of nothing else", async () => {
  const bytes = {} as Bytes;
  const asked: unknown[] = [];
  const request = {
    bytes: async (file: unknown) => {
      asked.push(file);
      return bytes;
    },
  } as unknown as Request;
  expect(await bytesFor(of("file", { type: "image/png", name: "a.png" }), request)).toBe(bytes);
  expect(asked).toEqual([expect.objectContaining({ type: "image/png" })]);
  expect(bytesFor(of("raw"), request)).toBeUndefined();
  expect(bytesFor(of("file"), {} as Request)).toBeUndefined();
  const { encoder, opts } = encodingFor(of("file"), bytes, { wait: true }, { wait: true });
  expect([encoder.synchronous, opts]).toEqual([true, {}]);
});

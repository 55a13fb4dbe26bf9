/** How a call went, as the result of a tool: each part in its place, with its mark and in its words. */
import { describe, expect, test } from "bun:test";
import { totalmem } from "node:os";
import type { WireStatus } from "../../src/api/status.ts";
import type { VerbDescription } from "../../src/api/verb.ts";
import { Printed } from "../../src/mcp/printed.ts";
import { answered, ended, failed, refused } from "../../src/mcp/result.ts";

const USAGE = { wall: 1, user: 0, system: 0, maxrss: 0 };
const deaf = { line: () => {}, step: () => {} };
const foreign = (text: string) => ({ type: "text", text, _meta: { "spawnbox/untrusted": true } });
const said = (text: string) => ({
  ...{ type: "text", text },
  annotations: { audience: ["user", "assistant"], priority: 1 },
});

function result(
  fields: readonly Record<string, unknown>[],
  status: Partial<WireStatus> = { exit: 0 },
  { verb = {}, values = false }: { verb?: Partial<VerbDescription>; values?: boolean } = {},
  about: Parameters<typeof ended>[3] = { id: "i" },
) {
  const printed = new Printed(values, deaf);
  for (const one of fields) printed.take(one);
  const found = ended(verb, printed, { usage: USAGE, ...status }, about);
  printed.close();
  return found;
}
const base64 = (text: string | Uint8Array) => ({
  encoding: "base64",
  stdout: Buffer.from(text).toString("base64"),
});

test("all that there is, in its order, each marked as whose it is", () => {
  const fields = [{ stdout: ["a", 5] }, base64("z"), { stderr: "e\u001b" }];
  const about = { id: "7", notices: ["mind"] };
  const found: object = result(fields, { exit: 3, cause: "timeout" }, {}, about);
  const uri = "spawnbox://task/7/stdout";
  const bytes = { uri, mimeType: "application/octet-stream", blob: "eg==" };
  expect(found).toEqual({
    content: [
      foreign("a"),
      { type: "resource", resource: bytes, _meta: { "spawnbox/untrusted": true } },
      foreign('{"values":[5]}'),
      foreign("stderr:\ne\\u001b"),
      said("mind\nit ended with exit code 3; cause: timeout"),
    ],
    isError: true,
    _meta: {
      "spawnbox/task": "7",
      "spawnbox/status": { usage: USAGE, exit: 3, cause: "timeout" },
    },
  });
  // Nothing is nothing, and a name there always is.
  expect(result([], { exit: 0 }, {}, {})).toEqual({
    content: [],
    _meta: { "spawnbox/task": "task", "spawnbox/status": { usage: USAGE, exit: 0 } },
  });
});

test.each<[string, Partial<WireStatus>, string | undefined]>([
  ["well", { exit: 0 }, undefined],
  ["an exit", { exit: 1 }, "it ended with exit code 1"],
  ["well, but ended", { exit: 0, cause: "stopped" }, "it ended with exit code 0; cause: stopped"],
  ["a signal", { signal: "Killed" }, "it was ended by a signal: Killed"],
  ["one without a name", {}, "it was ended by a signal: unknown"],
  [
    "with others",
    { exit: 2, others: 3 },
    "it ended with exit code 2; 3 other processes were ended with it",
  ],
  [
    "a last call",
    { exit: 2, syscall: "mount" },
    "it ended with exit code 2; its last system call: mount",
  ],
  [
    "denied calls",
    { exit: 2, denied: { mount: 1, ptrace: 2 } as WireStatus["denied"] & {} },
    "it ended with exit code 2; its sandbox has denied: mount, ptrace (2 times)",
  ],
  [
    "what is not heard where all is well",
    { exit: 0, others: 3, syscall: "x", denied: { mount: 1 } as WireStatus["denied"] & {} },
    undefined,
  ],
  [
    "lost output",
    { exit: 0, overflow: { bytes: 4 }, replaced: { bytes: 5 }, encoder: "why" },
    "4 bytes of its output are lost: more than is held of it\n5 bytes of its output were no text\noutput is missing: why",
  ],
])("an end, in words: %s", (_what, status, words) => {
  const { content, isError } = result([], status);
  expect(content as unknown[]).toEqual(words === undefined ? [] : [said(words)]);
  expect(isError).toBe(status.exit !== 0 || status.cause !== undefined ? true : undefined);
});

test.each<[string | undefined, string | Uint8Array, object]>([
  ["image/png", "a", { type: "image", data: "YQ==", mimeType: "image/png" }],
  ["Image/PNG ; x=y", "a", { type: "image", data: "YQ==", mimeType: "image/png" }],
  ["audio/wav; rate=1", "a", { type: "audio", data: "YQ==", mimeType: "audio/wav" }],
  [
    "text/html; charset=utf-8",
    "é\u001b",
    { mimeType: "text/html; charset=utf-8", text: "é\\u001b" },
  ],
  ["application/json", "{}", { mimeType: "application/json", text: "{}" }],
  ["image+json", "{}", { mimeType: "image+json", text: "{}" }],
  ["application/x+xml", "<a/>", { mimeType: "application/x+xml", text: "<a/>" }],
  ["application/jsonp", "a", { mimeType: "application/jsonp", blob: "YQ==" }],
  ["x-image/png", "a", { mimeType: "x-image/png", blob: "YQ==" }],
  ["application/text/x", "a", { mimeType: "application/text/x", blob: "YQ==" }],
  ["text/plain", new Uint8Array([255]), { mimeType: "text/plain", blob: "/w==" }],
  [undefined, "a", { mimeType: "application/octet-stream", blob: "YQ==" }],
])("bytes of the type %p", (file, bytes, expected) => {
  const { content } = result([base64(bytes)], { exit: 0 }, { verb: file ? { file } : {} });
  const _meta = { "spawnbox/untrusted": true };
  const uri = "spawnbox://task/i/stdout";
  const one =
    "type" in expected
      ? { ...expected, _meta }
      : { type: "resource", resource: { uri, ...expected }, _meta };
  expect(content as unknown[]).toEqual([one]);
});

describe("values", () => {
  const options = (type?: object) => ({
    values: true,
    verb: type ? { tool: { result: type as Record<string, unknown> } } : {},
  });
  test.each<[string, unknown[], object]>([
    ["one object is the result", [{ a: 1 }], { a: 1 }],
    ["one that is none is in a list", [5], { values: [5] }],
    ["a list", [[1]], { values: [[1]] }],
    ["several", [{ a: 1 }, { b: 2 }], { values: [{ a: 1 }, { b: 2 }] }],
  ])("%s", (_what, values, structured) => {
    const given = values.map((stdout) => ({ stdout }));
    const { content, structuredContent, isError } = result(given, { exit: 0 }, options());
    expect(structuredContent).toEqual(structured as Record<string, unknown>);
    expect(content as unknown[]).toEqual([foreign(JSON.stringify(structured))]);
    expect(isError).toBeUndefined();
    // Of what failed only as text.
    const failed = result(given, { exit: 1 }, options());
    expect("structuredContent" in failed).toBe(false);
    expect(failed.content[0] as unknown).toEqual(foreign(JSON.stringify(structured)));
  });

  const N = { type: "object", properties: { n: { type: "integer" } }, required: ["n"] };
  test.each<[string, unknown[], Partial<WireStatus>, string | undefined]>([
    ["as it says", [{ n: 1 }], { exit: 0 }, undefined],
    [
      ...(["another type", [{ n: "x" }], { exit: 0 }] as [string, unknown[], object]),
      "what it has printed is not what its config says: ",
    ],
    ["two", [{ n: 1 }, { n: 2 }], { exit: 0 }, "what it has printed is not what its config says: "],
    ["none", [], { exit: 0 }, "it has printed no JSON value, and its config says what that is"],
    ["it failed anyway", [], { exit: 1 }, undefined],
  ])("what the config says of them: %s", (_what, values, status, why) => {
    const given = values.map((stdout) => ({ stdout }));
    const found = result(given, status, options(N));
    const words = found.content.flatMap((one) => (one.type === "text" ? [one.text] : [])).join("|");
    if (why === undefined) expect(words).not.toContain("its config says");
    else expect(words).toContain(why);
    expect(words).not.toContain("argument `result`");
    expect(found.isError).toBe(why !== undefined || status.exit !== 0 ? true : undefined);
    expect("structuredContent" in found).toBe(!found.isError);
  });

  test("one object of which others are lost is not all that it printed", () => {
    const large = "v".repeat(300_000);
    const found = result(
      [{ stdout: { large } }, { stdout: { large } }],
      { exit: 0 },
      { values: true },
    );
    expect(found.structuredContent).toEqual({ values: [{ large }] });
    expect(found.content.at(-1) as unknown).toEqual(
      said("1 more values that it has printed are left out"),
    );
  });
});

test("what is left out of each stream is told", () => {
  const lines = (n: number) => "x".repeat(n - 1);
  const text = Array.from({ length: 200 }, () => lines(1000)).join("\n");
  const { content } = result([{ stdout: text, stderr: text }]);
  const [out, err, words] = content.map((one) => (one.type === "text" ? one.text : ""));
  // The beginning has 98 of them, and the end 32; of stderr 16 each.
  expect(out).toContain("\n[70 lines, 70000 characters, are left out here]\n");
  expect(err).toStartWith(`stderr:\n${lines(1000)}\n`);
  expect(err).toContain("\n[168 lines, 168000 characters, are left out here]\n");
  expect(words).toBe(
    "70000 characters of its output are left out\n168000 characters of its stderr are left out",
  );
});

test("half of a picture is bytes", () => {
  const { content } = result(
    [base64(Buffer.alloc((2 << 20) + 1))],
    { exit: 0 },
    { verb: { file: "image/png" } },
  );
  expect(content[0]).toMatchObject({ type: "resource", resource: { mimeType: "image/png" } });
  expect(content.slice(1) as unknown[]).toEqual([
    said("the last 1 bytes of its output are left out"),
  ]);
  const whole = result(
    [base64(Buffer.alloc(2 << 20))],
    { exit: 0 },
    { verb: { file: "image/png" } },
  );
  expect(whole.content.map(({ type }) => type)).toEqual(["image"]);
});

describe("of a verb that starts no task", () => {
  const MOST = 512 << 10;
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);
  test.each<[string, unknown, object]>([
    ["nothing", undefined, { content: [] }],
    ["a text", "a\u001b\nb", { content: [foreign("a\\u001b\nb")] }],
    ["an empty one", "", { content: [foreign("")] }],
    ["an object", { a: 1 }, { content: [foreign('{"a":1}')], structuredContent: { a: 1 } }],
    ["a list", [1], { content: [foreign("[1]")] }],
    ["null", null, { content: [foreign("null")] }],
    ["what cannot be written", () => {}, { content: [foreign("null")] }],
    ["as much as there may be", "y".repeat(MOST), { content: [foreign("y".repeat(MOST))] }],
    [
      "more",
      "y".repeat(MOST + 2),
      { content: [foreign("y".repeat(MOST)), said("2 more characters are left out")] },
    ],
    [
      "an object of that size",
      { a: "y".repeat(MOST - 8) },
      {
        content: [foreign(`{"a":"${"y".repeat(MOST - 8)}"}`)],
        structuredContent: { a: "y".repeat(MOST - 8) },
      },
    ],
    [
      "a larger one",
      { a: "y".repeat(MOST - 7) },
      {
        content: [
          foreign(`{"a":"${"y".repeat(MOST - 7)}"`),
          said("1 more characters are left out"),
        ],
      },
    ],
  ])("%s", (_what, response, expected) => {
    expect(answered(response) as object).toEqual(expected);
  });
  test("one in a circle says so", () => {
    expect(answered(cyclic).content[0]).toMatchObject({
      text: expect.stringContaining("cannot be written as JSON"),
    });
  });
});

test("what is refused, and what has failed", () => {
  const expected = (text: string, status: string) => ({
    ...{ content: [said(text)], isError: true, _meta: { "spawnbox/status": status } },
  });
  expect(refused("why\u001b", "busy") as object).toEqual(expected("why\\u001b", "busy"));
  const reply = (info?: string) =>
    failed({
      jtype: "afb-reply",
      request: { status: "forbidden", code: -4, ...(info !== undefined && { info }) },
    }) as object;
  expect(reply("why")).toEqual(expected("forbidden: why", "forbidden"));
  expect(reply()).toEqual(expected("forbidden", "forbidden"));
});

describe("what is printed", () => {
  test("bytes of all calls together: each has its part, and gives it back", () => {
    const all = Math.min(64 << 20, totalmem() / 16);
    const make = () => new Printed(false, deaf);
    const two = base64(Buffer.alloc(2 << 20));
    const open: Printed[] = [];
    const more = (n: number) => {
      for (; n > 0; n--) {
        const one = make();
        one.take(two);
        open.push(one);
      }
    };
    more(Math.floor(all / (2 << 20)));
    const late = make();
    // Before it is known that there is too much, one piece is taken.
    late.take(base64(Buffer.alloc(300_000)));
    late.take(base64("more"));
    expect([late.bytes.length, late.lostBytes]).toEqual([300_000, 4]);
    const values = new Printed(true, deaf);
    values.take({ stdout: "v".repeat(300_000) });
    values.take({ stdout: 1 });
    expect([values.values.length, values.lostValues]).toEqual([1, 1]);
    for (const one of open) one.close();
    late.take(base64("more"));
    values.take({ stdout: 1 });
    expect([late.bytes.length, late.lostBytes]).toEqual([300_004, 4]);
    expect([values.values.length, values.lostValues]).toEqual([2, 1]);
    late.close();
    values.close();
  });

  test("values up to the bound, with it", () => {
    const printed = new Printed(true, deaf);
    printed.take({ stdout: "v".repeat((512 << 10) - 3) });
    printed.take({ stdout: 1 });
    printed.take({ stdout: 2 });
    expect([printed.values.length, printed.lostValues]).toEqual([2, 1]);
    printed.close();
  });
});

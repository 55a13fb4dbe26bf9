/** Parts of the console that need no browser. */
import { describe, expect, test } from "bun:test";
import { join } from "node:path";
import { inOneLine, isObject, numberOf, objectOf, parseJson } from "../../src/console/json.ts";
import { argumentsOf, argumentsOfSample, kindOf, valuesOf } from "../../src/console/arguments.ts";
import { delayOf } from "../../src/console/backoff.ts";
import { faultsOf } from "../../src/console/faults.ts";
import { sampleOf } from "../../src/console/metrics.ts";
import { hideSecrets, putSecrets } from "../../src/console/secrets.ts";
import { timeOf } from "../../src/console/time.ts";
import { TEXTS } from "../../src/console/texts.ts";
import { BUDGET, bundleConsole } from "../../src/make/console.ts";

const SOURCE = join(import.meta.dir, "../../src/console");

const param = (name: string, schema: Record<string, unknown>) => ({
  ...{ name, schema, required: false, help: undefined },
});

describe("a form", () => {
  test("has a control for each kind of argument", () => {
    expect(kindOf(param("a", { enum: [1, 2] }))).toBe("choice");
    expect(kindOf(param("a", { type: "integer" }))).toBe("number");
    expect(kindOf(param("a", { type: "boolean" }))).toBe("switch");
    expect(kindOf(param("a", { type: "integer", writeOnly: true }))).toBe("secret");
    expect(kindOf(param("a", { type: "object" }))).toBe("json");
    expect(kindOf(param("a", { type: "string", pattern: "^a" }))).toBe("text");
    expect(kindOf(param("a", {}))).toBe("multi");
  });

  test("sends values of their type, leaves out what is empty, and what is wrong as it is", () => {
    const params = [
      param("choice", { enum: [1, "two"] }),
      param("count", { type: "integer" }),
      param("on", { type: "boolean" }),
      param("list", { type: "array" }),
      param("text", { type: "string" }),
      param("pin", { type: "string", writeOnly: true }),
      param("none", {}),
    ];
    const values = {
      choice: "1",
      count: "12",
      on: "false",
      list: "[1]",
      text: "5",
      pin: "0042",
      none: "",
    };
    expect(argumentsOf(params, values)).toEqual({
      ...{ choice: 1, count: 12, on: false, list: [1], text: "5", pin: "0042" },
    });
    expect(argumentsOf(params, { count: "many", list: "[" })).toEqual({ count: "many", list: "[" });
  });

  test("numbers stay as they are written, from a field, a list, a sample, and in what is told", () => {
    const params = [param("id", { type: "integer" }), param("list", { type: "array" })];
    const values = { id: "9007199254740993", list: "[1.50, 1e400, -0]" };
    const sent = '{"id":9007199254740993,"list":[1.50,1e400,-0]}';
    const args = argumentsOf(params, values);
    expect(JSON.stringify(args)).toBe(sent);
    expect(valuesOf(objectOf(parseJson(sent)))).toEqual({
      ...{ id: "9007199254740993", list: "[1.50,1e400,-0]" },
    });
    const told = objectOf(parseJson('{"a":1.50,"b":2,"c":9007199254740993,"d":"1.50"}'));
    expect(Object.values(told).map(numberOf)).toEqual([1.5, 2, 9007199254740992, undefined]);
    expect(Object.values(told).map(isObject)).toEqual([false, false, false, false]);
    expect(Object.values(told).map(inOneLine)).toEqual(["1.50", "2", "9007199254740993", "1.50"]);
  });

  test("shows no secret, and sends what its place stands for", () => {
    const params = [param("pin", { type: "string", writeOnly: true }), param("text", {})];
    const given = { pin: "0042", text: "***" };
    const shown = hideSecrets(params, given);
    expect(shown).toEqual({ pin: "***", text: "***" });
    expect(putSecrets(params, shown, given)).toEqual(given);
    expect(putSecrets(params, { pin: "1" }, given)).toEqual({ pin: "1" });
    // What is not given is what somebody has written.
    expect(putSecrets(params, { pin: "***" }, { text: "x" })).toEqual({ pin: "***" });
  });
});

test("a sample is a query, or arguments as they are; both fill in a form", () => {
  expect(argumentsOfSample({ action: "start", args: { a: 1 } })).toEqual({ a: 1 });
  for (const other of [
    { action: "start", args: "x" },
    { action: "start", args: null },
    { action: "stop", args: { a: 1 } },
    { args: { a: 1 } },
    { a: 1 },
  ])
    expect(argumentsOfSample(other)).toEqual(other);
  expect(valuesOf({ a: 1, b: "x", c: { d: [true] } })).toEqual({
    ...{ a: "1", b: "x", c: '{"d":[true]}' },
  });
});

test("all that is said of one argument stands at its field", () => {
  const { at } = faultsOf("argument `a`: too long; argument `a`: no number; argument `b`: x", [
    "a",
  ]);
  expect(at.get("a")).toBe("argument `a`: too long; argument `a`: no number");
});

test("what the server says of arguments stands at their fields, and the rest is said, too", () => {
  const info =
    "argument `a`: found 1: expected a string like /; x/; argument `b` is missing; argument `zz` is missing";
  const { at, rest } = faultsOf(info, ["a", "b", "c"]);
  expect([...at]).toEqual([
    ["a", "argument `a`: found 1: expected a string like /; x/"],
    ["b", "argument `b` is missing"],
  ]);
  expect(rest).toBe("argument `zz` is missing");
  const unknown = "unknown argument `x`; known arguments: a, b";
  expect(faultsOf(unknown, ["a", "b"])).toEqual({ at: new Map(), rest: unknown });
  expect(faultsOf("", ["a"])).toEqual({ at: new Map(), rest: "" });
});

test("who waits for the server asks soon at first, and seldom later", () => {
  expect([0, 1, 2, 7, 8, 100].map(delayOf)).toEqual([200, 400, 800, 25_600, 32_000, 32_000]);
});

test("a time has its day, unless that is today", () => {
  const now = new Date(2026, 10, 29, 15, 4, 5).getTime();
  expect(timeOf(now - 3_600_000, now)).toBe("14:04:05");
  expect(timeOf(new Date(2026, 10, 28, 23, 59, 59).getTime(), now)).toBe("2026-11-28 23:59:59");
  expect(timeOf(new Date(2025, 10, 29, 15, 4, 5).getTime(), now)).toBe("2025-11-29 15:04:05");
});

test("metrics are read with their labels", () => {
  const text =
    '# HELP x\nspawnbox_launches_total{api="a",mode="cold"} 2\nspawnbox_launches_total{api="b"} 3\nprocess_resident_memory_bytes 1e6\n';
  expect(sampleOf(text)).toEqual({ launches: 5, memory: 1e6, running: 0 });
});

test("what a config says is no key of the page's own texts", async () => {
  const { more } = await bundleConsole(false);
  const { en, de, fr, lessons } = JSON.parse(more["words.json"]) as Record<string, object>;
  for (const texts of [en, de, fr]) expect(Object.keys(texts ?? {})).toEqual(Object.keys(TEXTS));
  expect(Object.keys(lessons ?? {})).toEqual(["de", "fr"]);
});

test("every text is there in each language, with the same values in it", () => {
  for (const [key, texts] of Object.entries(TEXTS)) {
    const places = texts.map((text) => [...text.matchAll(/\{\d\}/g)].map(String).sort().join());
    expect([key, new Set(places).size]).toEqual([key, 1]);
    expect([key, texts.every((text: string) => text !== "")]).toEqual([key, true]);
  }
});

test("the page keeps to its budget, and is one page: nothing of another place", async () => {
  const { html, compressed, more } = await bundleConsole();
  expect(Buffer.byteLength(html)).toBeLessThanOrEqual(BUDGET.minified);
  expect(compressed.length).toBeLessThanOrEqual(BUDGET.compressed);
  expect(Buffer.byteLength(more["more.js"])).toBeLessThanOrEqual(BUDGET.minified);
  expect(Bun.gzipSync(more["more.js"]).length).toBeLessThanOrEqual(BUDGET.compressed);
  expect([...html.matchAll(/(?:src|href)="(?!data:,|#)[^"]*"/g)].map(String)).toEqual([]);
  for (const file of new Bun.Glob("*.ts*").scanSync(SOURCE)) {
    const text = await Bun.file(join(SOURCE, file)).text();
    const found =
      /\beval\(|new Function|[iI]nnerHTML|outerHTML|insertAdjacent|document\.write/.exec(text);
    expect([file, found?.[0]]).toEqual([file, undefined]);
  }
});

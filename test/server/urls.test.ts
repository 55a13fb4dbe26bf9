/** What of a URL and its headers is text to be taken apart: arguments, and parts of a file. */
import { describe, expect, test } from "bun:test";
import { VALUES } from "../../src/json.ts";
import { decode, once, parseJson, parseQuery, toArgs } from "../../src/server/query.ts";
import { contentRange, rangeOf } from "../../src/server/range.ts";
import { said } from "../api/harness.ts";

const pairs = (text: string) => [...parseQuery(text, "the query")];

describe("arguments", () => {
  test.each<[string, [string, unknown][]]>([
    ["", []],
    ["&&", []],
    [
      "a=1&b=2",
      [
        ["a", "1"],
        ["b", "2"],
      ],
    ],
    ["a", [["a", ""]]],
    ["a=", [["a", ""]]],
    ["=b", [["", "b"]]],
    ["a=b=c", [["a", "b=c"]]],
    ["a+b=c+d%20e%2B", [["a b", "c d e+"]]],
    ["%C3%A9=x", [["é", "x"]]],
    [
      "a=1&b=2&a=3&a=4",
      [
        ["a", ["1", "3", "4"]],
        ["b", "2"],
      ],
    ],
  ])("of %j", (text, expected) => {
    expect(pairs(text)).toEqual(expected as never);
  });

  test("are as many as JSON may have values", () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => `${i}`).join("&");
    expect(pairs(many(VALUES))).toHaveLength(VALUES);
    expect(said(() => pairs(many(VALUES + 1)))).toMatch(/^invalid-request: the query: ./);
  });

  test("that cannot be decoded, or are given twice, are refused", () => {
    for (const text of ["a=%", "%ff=1", "a=%e9"])
      expect(said(() => pairs(text))).toMatch(
        /^invalid-request: the query: ".*" is not percent-encoded UTF-8$/,
      );
    expect(decode("a%2Fb", "x")).toBe("a/b");
    const given = parseQuery("a=1&a=2&b=3", "x");
    expect([once(given, "b"), once(given, "c")]).toEqual(["3", undefined]);
    expect(said(() => once(given, "a"))).toBe(
      "invalid-request: `a` is given 2 times: give it once",
    );
  });

  test("are one JSON, or an object of texts, without some", () => {
    const args = (text: string, ...without: string[]) =>
      said(() => toArgs(parseQuery(text, "x"), new Set(without)));
    expect(args("query=[1,2]&a=1")).toEqual([1, 2]);
    expect(args("a=1&b=2&b=3&wait=1", "wait")).toEqual({ a: "1", b: ["2", "3"] });
    expect([args(""), args("wait=1", "wait")]).toEqual([undefined, undefined]);
    expect(Object.keys(args("__proto__=1") as object)).toEqual(["__proto__"]);
    expect(args("query=x")).toMatch(/^invalid-request: parameter "query" is not JSON: ./);
    expect(said(() => parseJson(`[${"1,".repeat(VALUES + 1)}1]`, "the body"))).toMatch(
      /^invalid-request: the body: ./,
    );
  });
});

describe("a part of a file", () => {
  test.each<[string | null, number, unknown]>([
    ["bytes=0-0", 10, { from: 0, to: 1 }],
    ["BYTES=2-", 10, { from: 2, to: 10 }],
    ["bytes=2-5", 10, { from: 2, to: 6 }],
    ["bytes=9-99", 10, { from: 9, to: 10 }],
    ["bytes=9-9", 10, { from: 9, to: 10 }],
    ["bytes=-3", 10, { from: 7, to: 10 }],
    ["bytes=-1", 10, { from: 9, to: 10 }],
    ["bytes=-99", 10, { from: 0, to: 10 }],
    ["bytes=10-", 10, "none"],
    ["bytes=10-20", 10, "none"],
    ["bytes=-0", 10, "none"],
    ["bytes=0-", 0, "none"],
    ["bytes=-0", 0, "none"],
    ["bytes=-5", 0, undefined],
    ["bytes=5-4", 10, undefined],
    ["bytes=12-11", 10, undefined],
    ["bytes=-", 10, undefined],
    ["bytes=0-1,3-4", 10, undefined],
    ["lines=0-1", 10, undefined],
    ["bytes=a-b", 10, undefined],
    [null, 10, undefined],
  ])("%j of %d bytes", (header, size, expected) => {
    expect(rangeOf(header, size) as unknown).toEqual(expected);
  });
  test("is told as it is, or as what there would be", () => {
    expect(contentRange({ from: 2, to: 6 }, 10)).toBe("bytes 2-5/10");
    expect(contentRange("none", 10)).toBe("bytes */10");
  });
});

/** What an action names: a verb, or a function of a plugin. */
import { expect, test } from "bun:test";
import { parseReference } from "../../src/plugins/reference.ts";

test.each([
  ["api://a#v", { kind: "api", api: "a", verb: "v" }],
  ["API://a#b/c#d", { kind: "api", api: "a", verb: "b/c#d" }],
  ["api://a/b#v", { kind: "api", api: "a/b", verb: "v" }],
  ["plugin://p#f", { kind: "plugin", plugin: "p", name: "f" }],
  ["Plugin://p#f", { kind: "plugin", plugin: "p", name: "f" }],
] as const)("%s", (text, expected) => {
  expect(parseReference(text)).toEqual(expected);
});

test.each(["", "api:a#v", "api://a", "api://#v", "api://a#", "lua://a#v", " api://a#v"])(
  "%j is none, and what would be one is told",
  (text) => {
    expect(() => parseReference(text)).toThrow(
      `\`${text}\`: expected api://NAME#VERB or plugin://UID#FUNCTION`,
    );
  },
);

test("of a long one the beginning is told", () => {
  expect(() => parseReference("x".repeat(200))).toThrow(`\`${"x".repeat(80)}\`: expected`);
});

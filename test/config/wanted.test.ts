/** What a schema of an argument wants, in words; and the part of a schema that a place in a value has. */
import { expect, test } from "bun:test";
import { schemaAt, wordsOf } from "../../src/config/wanted.ts";

test.each<[unknown, string]>([
  [true, "a value"],
  [{ const: "x" }, '"x"'],
  [{ const: null }, "null"],
  [{ enum: ["x"] }, '"x"'],
  [{ enum: ["x", 1] }, 'one of "x", 1'],
  [{ anyOf: [{ type: "string" }, { const: 1 }] }, "a string, or 1"],
  [{ type: ["string", "null"] }, "a string, or null"],
  [{ type: "boolean" }, "true or false"],
  [{ type: "object" }, "an object"],
  [{ type: "integer" }, "an integer"],
  [{ type: "integer", minimum: 1, maximum: 9 }, "an integer from 1 to 9"],
  [{ type: "integer", minimum: 1 }, "an integer of at least 1"],
  [{ type: "number", maximum: 9 }, "a number of at most 9"],
  [{ type: "number", exclusiveMinimum: 1, exclusiveMaximum: 9 }, "a number above 1 and below 9"],
  [{ type: "number", minimum: 0, exclusiveMaximum: 9 }, "a number of at least 0 and below 9"],
  [{ type: "integer", multipleOf: 5 }, "an integer, a multiple of 5"],
  [{ type: "string", minLength: 2, maxLength: 2 }, "a string of 2 characters"],
  [{ type: "string", minLength: 1, maxLength: 1 }, "a string of 1 character"],
  [{ type: "string", minLength: 1, maxLength: 8 }, "a string of 1 to 8 characters"],
  [{ type: "string", minLength: 1 }, "a string of at least 1 character"],
  [{ type: "string", maxLength: 8, pattern: "^a" }, "a string of at most 8 characters like /^a/"],
  [{ type: "array", minItems: 2 }, "a list of at least 2 elements"],
  [{ type: "array", maxItems: 1, uniqueItems: true }, "a list of at most 1 element, all different"],
])("%j wants %s", (schema, words) => {
  expect(wordsOf(schema)).toBe(words);
});

test("of a place the schema, where it is written", () => {
  const inner = { type: "integer" };
  const schema = {
    properties: { "a/b": { items: { properties: { "c~": inner } } }, own: inner },
    additionalProperties: { type: "string" },
    items: { type: "null" },
  };
  const found = (pointer: string): unknown => schemaAt(schema, pointer);
  expect(found("")).toBe(schema);
  expect(found("/own")).toBe(inner);
  expect(found("/a~1b/0/c~0")).toBe(inner);
  expect(found("/a~1b/x/c~0")).toBeUndefined();
  expect(found("/other")).toEqual({ type: "string" });
  expect(found("/0")).toEqual({ type: "null" });
  expect(found("/own/deeper")).toBeUndefined();
});

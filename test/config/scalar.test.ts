/** What a schema wants, in words. */
import { expect, test } from "bun:test";
import { type TSchema, Type } from "@sinclair/typebox";
import { expectation } from "../../src/config/scalar.ts";

const words = (aliases: Record<string, string>) =>
  Type.Unsafe<string>({ type: "string", enum: ["a", "b"], words: aliases });

test.each<[TSchema, string]>([
  [words({}), "one of a, b"],
  [words({ x: "a" }), "one of a, b (also x)"],
  [words({ x: "a", y: "b" }), "one of a, b (also x, y)"],
  [Type.String(), "a string"],
  [Type.String({ minLength: 1 }), "a string, not empty"],
  [Type.String({ minLength: 2 }), "a string"],
  [Type.String({ maxLength: 7 }), "a string of at most 7 characters"],
  [Type.String({ pattern: "^a$", maxLength: 7 }), "a string like /^a$/"],
  [Type.String({ minimum: 0, maximum: 9 }), "a string, or an integer from 0 to 9"],
  [Type.Integer(), "an integer"],
  [Type.Integer({ minimum: 0 }), "an integer from 0"],
  [Type.Integer({ maximum: 9 }), "an integer up to 9"],
  [Type.Integer({ minimum: 1, maximum: 9 }), "an integer from 1 to 9"],
  [Type.Number({ minimum: 0.5 }), "a number from 0.5"],
  [Type.Boolean(), "true or false"],
  [Type.Array(Type.String()), "a list"],
  [Type.Union([Type.String(), Type.Boolean()]), "a string or true or false"],
  [Type.Object({}), "an object"],
  [Type.Object({}, { shorthand: "a" }), "a string or an object"],
  [Type.Integer({ minimum: 0, description: "verbosity" }), "an integer from 0 (verbosity)"],
])("%#: %s", (schema, expected) => {
  expect(expectation(schema)).toBe(expected);
});

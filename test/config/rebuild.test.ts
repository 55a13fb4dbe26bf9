/** JSON Schemas that arguments may have: which keywords each takes, and what is said of the others. */
import { describe, expect, test } from "bun:test";
import { Effort } from "../../src/config/pattern/pattern.ts";
import { rebuild } from "../../src/config/rebuild.ts";

describe("the schema of an argument", () => {
  const told = (schema: unknown): string[] => {
    const all: string[] = [];
    rebuild(schema, "p", (path, message) => void all.push(`${path}: ${message}`), new Effort());
    return all;
  };
  const other = (known: string) => [
    `p.zzz: the keyword \`zzz\` is not supported here; supported: ${known}`,
  ];
  const range = "minimum, maximum, exclusiveMinimum, exclusiveMaximum, multipleOf";
  const chosen = "enum, const, anyOf";
  test.each<[object, string]>([
    [{ const: 1 }, "const"],
    [{ enum: [1] }, "enum, type"],
    [{ anyOf: [true] }, "anyOf"],
    [{ type: "string" }, `type, minLength, maxLength, pattern, ${chosen}`],
    [{ type: "number" }, `type, ${range}, ${chosen}`],
    [{ type: "integer" }, `type, ${range}, ${chosen}`],
    [{ type: "boolean" }, `type, ${chosen}`],
    [{ type: "null" }, `type, ${chosen}`],
    [{ type: "array" }, `type, items, minItems, maxItems, uniqueItems, ${chosen}`],
    [{ type: "object" }, `type, properties, required, additionalProperties, ${chosen}`],
    [
      { type: ["boolean", "object"] },
      `type, properties, required, additionalProperties, ${chosen}`,
    ],
  ])("%j has these keywords", (schema, known) => {
    expect(told({ ...schema, zzz: 1 })).toEqual(other(known));
    const notes = { title: 1, description: 1, default: 1, examples: 1, deprecated: 1, $comment: 1 };
    expect(told({ ...schema, ...notes })).toEqual([]);
  });
  const types = "string, number, integer, boolean, null, array, object";
  const type = `p.type: expected a type (${types}), or enum, const, anyOf`;
  const number = "found true, expected a number";
  const whole = "expected a whole number from 0 on";
  test.each<[unknown, string]>([
    [5, "p: found 5, expected a JSON Schema (an object)"],
    [{}, type],
    [{ type: [] }, type],
    [{ type: ["string", "x"] }, type],
    [{ type: ["string", 5] }, type],
    [{ type: "string", minLength: 0.5 }, `p.minLength: found 0.5, ${whole}`],
    [{ type: "string", maxLength: -1 }, `p.maxLength: found -1, ${whole}`],
    [{ type: "array", minItems: -1 }, `p.minItems: found -1, ${whole}`],
    [{ type: "array", maxItems: 0.5 }, `p.maxItems: found 0.5, ${whole}`],
    [{ type: "array", uniqueItems: 1 }, "p.uniqueItems: found 1, expected true or false"],
    [{ type: "string", pattern: 1 }, "p.pattern: found 1, expected a regular expression"],
    ...["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"].map(
      (key): [unknown, string] => [{ type: "number", [key]: true }, `p.${key}: ${number}`],
    ),
    [{ type: "number", multipleOf: 0 }, "p.multipleOf: found 0, expected a number above 0"],
    [{ type: "number", multipleOf: -1 }, "p.multipleOf: found -1, expected a number above 0"],
    [{ type: "object", properties: 1 }, "p.properties: expected an object of schemas"],
    [{ type: "object", required: "a" }, "p.required: expected a list of keys"],
    [{ type: "object", required: ["a", 1] }, "p.required: expected a list of keys"],
    [
      { type: "object", properties: { a: 1 } },
      "p.properties.a: found 1, expected a JSON Schema (an object)",
    ],
    [
      { type: "object", additionalProperties: 1 },
      "p.additionalProperties: found 1, expected a JSON Schema (an object)",
    ],
    [{ enum: [] }, "p.enum: expected a list of values"],
    [{ enum: 1 }, "p.enum: expected a list of values"],
    [{ enum: [[]] }, "p.enum: found a list of 0, expected strings, numbers, booleans or null"],
    [{ enum: [1], type: "x" }, type],
    [{ enum: [1, null], type: "string" }, "p.enum: none of these is of type string: nothing fits"],
    [
      { enum: [1.5, "a"], type: ["integer", "null"] },
      "p.enum: none of these is of type integer,null: nothing fits",
    ],
    ...(
      [
        ["string", "minLength", 5, "maxLength", 2],
        ["array", "minItems", 1, "maxItems", 0],
        ["number", "minimum", 1, "maximum", 0.5],
        ["number", "minimum", 3, "exclusiveMaximum", 3],
        ["number", "exclusiveMinimum", 3, "maximum", 3],
        ["number", "exclusiveMinimum", 3, "exclusiveMaximum", 3],
      ] as const
    ).map(([one, low, least, high, most]): [unknown, string] => [
      { type: one, [low]: least, [high]: most },
      `p.${high}: found ${most}: nothing lies between that and ${low}, ${least}`,
    ]),
    ...(
      [
        ["minimum", 1.2, "maximum", 1.9],
        ["minimum", 2.5, "exclusiveMaximum", 3],
        ["exclusiveMinimum", 2, "maximum", 2.9],
        ["exclusiveMinimum", 2, "exclusiveMaximum", 3],
      ] as const
    ).map(([low, least, high, most]): [unknown, string] => [
      { type: "integer", [low]: least, [high]: most },
      `p.${high}: found ${most}: no integer lies between that and ${low}, ${least}`,
    ]),
    [{ const: {} }, "p.const: found an object {}, expected strings, numbers, booleans or null"],
    [
      { const: 2 ** 53 },
      "p.const: 9007199254740992 as a JSON number is not exact: write it in double quotes",
    ],
    [{ anyOf: [] }, "p.anyOf: expected a list of schemas"],
    [{ anyOf: 1 }, "p.anyOf: expected a list of schemas"],
    [{ anyOf: [true, 1] }, "p.anyOf[1]: found 1, expected a JSON Schema (an object)"],
  ])("%j is none", (schema, why) => {
    expect(told(schema)).toEqual([why]);
  });
  test.each<[unknown]>([
    [true],
    [{ type: "string", minLength: 0, maxLength: 0, pattern: "a" }],
    [{ type: "number", multipleOf: 0.5, minimum: -1 }],
    [{ type: "number", minimum: 3, maximum: 3 }],
    [{ type: "number", exclusiveMinimum: 1.2, exclusiveMaximum: 1.9 }],
    [{ type: "integer", minimum: 1.5, maximum: 2 }],
    [{ type: "integer", exclusiveMinimum: 1, exclusiveMaximum: 3 }],
    [{ type: "array", minItems: 2, maxItems: 2 }],
    [{ type: "array", items: { type: "null" }, uniqueItems: false }],
    [{ type: "object", required: ["a"], properties: {}, additionalProperties: { type: "null" } }],
    [{ enum: [null, 1, "a", true, 2 ** 53 - 1, 1e300 + 0.5], type: ["string", "null"] }],
  ])("%j is one", (schema) => {
    expect(told(schema).filter((one) => !one.includes("not exact"))).toEqual([]);
  });
});

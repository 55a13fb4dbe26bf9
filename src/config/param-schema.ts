/** The JSON Schema of the JSON Schema of an argument, for editors: its keywords, as rebuild.ts takes them. */
import { ANNOTATIONS, COUNTS, KEYWORDS } from "./rebuild.ts";

type JsonSchema = Readonly<Record<string, unknown>>;

const TYPE: JsonSchema = {
  description: "what the value is; several in a list",
  if: { type: "array" },
  then: { items: { enum: Object.keys(KEYWORDS) } },
  else: { enum: Object.keys(KEYWORDS) },
};

const SHAPES: Readonly<Record<string, JsonSchema>> = {
  pattern: { type: "string" },
  uniqueItems: { type: "boolean" },
  multipleOf: { type: "number", exclusiveMinimum: 0 },
  items: { type: ["object", "boolean"] },
  properties: { type: "object" },
  required: { type: "array", items: { type: "string" } },
  additionalProperties: { type: ["object", "boolean"] },
};

const shapeOf = (keyword: string): JsonSchema =>
  SHAPES[keyword] ?? (COUNTS.has(keyword) ? { type: "integer", minimum: 0 } : { type: "number" });

/** Of one argument. What is within `items` and `properties` is not looked at. */
export const PARAM_SCHEMA: JsonSchema = {
  type: "object",
  properties: {
    type: TYPE,
    enum: { type: "array" },
    const: {},
    anyOf: { type: "array" },
    ...Object.fromEntries(ANNOTATIONS.map((name) => [name, {}])),
    ...Object.fromEntries(
      [...new Set(Object.values(KEYWORDS).flat())].map((one) => [one, shapeOf(one)]),
    ),
    default: { description: "used where nothing is given" },
    allowDash: { type: "boolean", description: "the value may begin with a dash" },
    writeOnly: {
      type: "boolean",
      description: "true: the value is a secret: no list of tasks, history or audit shows it",
    },
  },
  additionalProperties: false,
};

/** What is written in the fields of a form, as the arguments of a call. Whether they fit is for the server to say. */
import { inOneLine, type Json, listOf, parseJson } from "./json.ts";
import type { Param, Values } from "./model.ts";

/** `multi`: a text that may have lines. */
export type FieldKind = "choice" | "number" | "switch" | "secret" | "json" | "text" | "multi";

export function kindOf({ schema }: Pick<Param, "schema">): FieldKind {
  const { type } = schema;
  if (Array.isArray(schema["enum"])) return "choice";
  if (schema["writeOnly"] === true) return "secret";
  if (type === "integer" || type === "number") return "number";
  if (type === "boolean") return "switch";
  if (type === "array" || type === "object") return "json";
  return schema["pattern"] === undefined && schema["format"] === undefined ? "multi" : "text";
}

/** Empty fields are not sent. */
export function argumentsOf(params: readonly Param[], values: Values): Json {
  return Object.fromEntries(
    params.flatMap((param) => {
      const text = values[param.name] ?? "";
      return text === "" ? [] : [[param.name, valueOf(param, text)]];
    }),
  );
}

function valueOf(param: Param, text: string): unknown {
  switch (kindOf(param)) {
    case "choice":
      return listOf(param.schema["enum"]).find((one) => inOneLine(one) === text) ?? text;
    case "switch":
      return text === "true" ? true : text === "false" ? false : text;
    case "number":
    case "json":
      // As it is where it is none: the server says what is expected.
      return parseJson(text) ?? text;
    case "secret": {
      const { type } = param.schema;
      const isText = type === undefined || type === "string";
      return isText ? text : (parseJson(text) ?? text);
    }
    default:
      return text;
  }
}

/** The other way round: of a sample, or of a call before. */
export const valuesOf = (args: Json): Values =>
  Object.fromEntries(Object.entries(args).map(([name, value]) => [name, inOneLine(value)]));

/** The arguments of a sample, which is a query as calls have it. */
export function argumentsOfSample(sample: Json): Json {
  const { action, args } = sample;
  const isQuery = action === "start" && typeof args === "object" && args !== null;
  return isQuery ? (args as Json) : sample;
}

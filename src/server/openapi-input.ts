/** What the operations of a verb take, in OpenAPI: as parameters in the URL, or as a body. */
import { QUERY_KEYS, queryOf } from "../api/query.ts";
import type { Parameter, VerbDescription } from "../api/verb.ts";
import { isObject } from "../object.ts";
import { NOT_ARGUMENTS } from "./arguments.ts";
import { WHOLE } from "./query.ts";

type Json = Record<string, unknown>;

/** The arguments of a start, one by one where texts can carry them, else in the JSON of `query`. */
export function argumentsInUrl(verb: VerbDescription): Json[] {
  if (isTextual(verb)) {
    return verb.parameters.map(({ name, required, schema }) => ({
      name,
      in: "query",
      required,
      schema: schema ?? { type: ["string", "number", "boolean"] },
    }));
  }
  const schema = isAmbiguous(verb) ? queryOf(argumentsOf(verb), verb.fed) : argumentsOf(verb);
  return [
    {
      name: WHOLE,
      in: "query",
      description: "all arguments, as JSON",
      required: needsArguments(verb),
      content: { "application/json": { schema } },
    },
  ];
}

export function requestBody(verb: VerbDescription): Json {
  if (verb.fed)
    return {
      description: "what it reads as its stdin",
      content: { "application/octet-stream": {} },
    };
  const own = argumentsOf(verb);
  const ways = [...(isAmbiguous(verb) ? [] : [own]), ...(verb.task ? [queryOf(own)] : [])];
  const schema = ways.length > 1 ? { anyOf: ways } : ways[0];
  const samples = (verb.sample ?? []).map((value, i) => [`${i + 1}`, { value }] as const);
  const json = { schema, ...(samples.length > 0 && { examples: Object.fromEntries(samples) }) };
  const form = isTextual(verb) && { "application/x-www-form-urlencoded": { schema: own } };
  return { required: needsArguments(verb), content: { "application/json": json, ...form } };
}

/** The JSON Schema of the arguments. What launches a task knows all of their names; other verbs take what they like. */
export function argumentsOf({ parameters, task, lenient }: VerbDescription): Json | true {
  if (!task && parameters.length === 0) return true;
  const required = parameters.filter((one) => one.required).map(({ name }) => name);
  return {
    type: "object",
    properties: Object.fromEntries(parameters.map(({ name, schema }) => [name, schema ?? true])),
    ...(required.length > 0 && { required }),
    ...(task && !lenient && { additionalProperties: false }),
  };
}

export const needsArguments = ({ parameters }: VerbDescription): boolean =>
  parameters.some(({ required }) => required);

/** Whether arguments could be taken for a query, which has other keys (see `parseQuery`): then only a query says what is meant. */
function isAmbiguous({ parameters, task }: VerbDescription): boolean {
  const isKey = ({ name }: Parameter) => QUERY_KEYS.includes(name);
  const needed = parameters.filter(({ required }) => required);
  return task === true && parameters.some(isKey) && needed.every(isKey);
}

/** Whether texts, each under its own name, can be the arguments. */
const isTextual = (verb: VerbDescription): boolean =>
  !isAmbiguous(verb) &&
  verb.parameters.every(
    ({ name, schema }: Parameter) => !NOT_ARGUMENTS.has(name) && hasText(schema),
  );

function hasText(schema: unknown): boolean {
  if (!isObject(schema)) return true;
  const { type, anyOf } = schema;
  if (Array.isArray(anyOf)) return anyOf.every(hasText);
  return ![type].flat().some((name) => name === "object" || name === "array");
}

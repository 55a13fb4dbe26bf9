/** What was last given to a verb, kept in this browser; never what is writeOnly. */
import { isObject, parseJson } from "./json.ts";
import { keep, recall } from "./storage.ts";
import { isSecret } from "./secrets.ts";
import type { Values, Verb } from "./model.ts";

const keyOf = ({ api, name }: Pick<Verb, "api" | "name">): string => `form:${api}/${name}`;

export function remembered(verb: Verb): Values {
  const kept = parseJson(recall("local", keyOf(verb)) ?? "");
  if (!isObject(kept)) return {};
  const plain = verb.params.filter((param) => !isSecret(param)).map(({ name }) => name);
  return Object.fromEntries(
    Object.entries(kept).flatMap(([name, value]) =>
      plain.includes(name) && typeof value === "string" ? [[name, value]] : [],
    ),
  );
}

export function remember(verb: Verb, values: Values): void {
  const secret = new Set(verb.params.filter(isSecret).map(({ name }) => name));
  const kept = Object.entries(values).filter(([name, value]) => !secret.has(name) && value !== "");
  keep(
    "local",
    keyOf(verb),
    kept.length > 0 ? JSON.stringify(Object.fromEntries(kept)) : undefined,
  );
}

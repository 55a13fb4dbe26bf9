/** Wrong usage of a subcommand: exit code 2, with what to do. Also the reading of `API/VERB [JSON]`, which two share. */
import { jsonErrorAt } from "./json-error.ts";

export class UsageError extends Error {}

/** Method and arguments of a call as given on the command line. */
export function parseCall(positionals: readonly string[]): { method: string; args: unknown } {
  const [method, json, ...rest] = positionals;
  if (method === undefined) throw new UsageError("say which verb: API/VERB");
  if (!/^[^/]+\/./.test(method)) throw new UsageError(`"${method}" is not API/VERB`);
  if (rest.length > 0) throw new UsageError(`too many arguments: quote the JSON`);
  return { method, args: json === undefined ? null : parseJson(json) };
}

function parseJson(text: string): unknown {
  const offset = jsonErrorAt(text);
  if (offset === undefined) return JSON.parse(text);
  const rest = text.slice(offset, offset + 20);
  const found = rest === "" ? "it ends too early" : `unexpected ${rest}`;
  throw new UsageError(`the argument is not JSON: at character ${offset + 1}: ${found}`);
}

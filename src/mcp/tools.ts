/** The verbs of configs as tools. */
import type { Tool } from "@modelcontextprotocol/sdk/types.js";
import { globOf } from "../api/glob.ts";
import type { ApiDescription, VerbDescription } from "../api/verb.ts";
import { BUILTIN_API, BUILTIN_VERBS, EXEC_VERB } from "../config/verbs.ts";
import { plainText } from "../visible.ts";
import { FOREIGN } from "./foreign.ts";
import { named } from "./names.ts";

/** A verb that is offered. */
export interface Offered {
  readonly api: string;
  readonly verb: VerbDescription;
  readonly tool: Tool;
}

/** The argument of a command that reads what it is given. */
export const STDIN = "stdin";

/** By name of the tool. Those of the server itself are none, nor what runs any program. */
export function toolsOf(apis: readonly ApiDescription[]): ReadonlyMap<string, Offered> {
  const verbs = apis
    .filter(({ api }) => api !== BUILTIN_API)
    .flatMap(({ api, verbs, mcp, foreign }) => {
      if (foreign) return [];
      const chosen = mcp?.map(globOf);
      return verbs
        .filter(({ name, unavailable }) => !isBuiltin(name) && !unavailable)
        .filter(({ name }) => chosen?.some((matches) => matches(name)) ?? true)
        .map((verb) => ({ api, verb }));
    });
  const all = named(verbs, ({ api, verb }) => `${api}/${verb.name}`);
  return new Map([...all].map(([name, one]) => [name, { ...one, tool: toolOf(name, one) }]));
}

const isBuiltin = (name: string): boolean => BUILTIN_VERBS.includes(name) || name === EXEC_VERB;

function toolOf(name: string, { api, verb }: Pick<Offered, "api" | "verb">): Tool {
  const { label, info, tool = {}, confirm } = verb;
  const { readonly, destructive, idempotent, openworld, result } = tool;
  const title = label === undefined ? undefined : plainText(label);
  const about = info === undefined ? `Runs ${api}/${verb.name}.` : plainText(info);
  return {
    name,
    ...(title !== undefined && { title }),
    description: confirm ? `${about}\nA person is asked before it starts.` : about,
    inputSchema: inputOf(verb),
    ...(result && { outputSchema: result as NonNullable<Tool["outputSchema"]> }),
    annotations: {
      ...(title !== undefined && { title }),
      ...(readonly !== undefined && { readOnlyHint: readonly }),
      ...(destructive !== undefined && { destructiveHint: destructive }),
      ...(idempotent !== undefined && { idempotentHint: idempotent }),
      ...(openworld !== undefined && { openWorldHint: openworld }),
    },
    // What is said of it is of whoever has written the config.
    _meta: { "spawnbox/verb": `${api}/${verb.name}`, ...FOREIGN },
  };
}

/** What has no schema is a text. */
function inputOf({ parameters, task, fed }: VerbDescription): Tool["inputSchema"] {
  const properties = parameters.map(({ name, schema }): [string, object] => [
    name,
    typeof schema === "object" && schema !== null ? schema : { type: "string" },
  ]);
  if (takesStdin({ parameters, ...(fed && { fed }) }))
    properties.push([
      STDIN,
      { type: "string", description: "what it reads on its standard input" },
    ]);
  const required = parameters.filter((one) => one.required).map(({ name }) => name);
  // A function of a plugin takes what it takes.
  const isOpen = !task && parameters.length === 0;
  return {
    type: "object",
    properties: Object.fromEntries(properties),
    ...(required.length > 0 && { required }),
    ...(!isOpen && { additionalProperties: false }),
  };
}

export const takesStdin = ({
  parameters,
  fed,
}: Pick<VerbDescription, "parameters" | "fed">): boolean =>
  fed === true && !parameters.some(({ name }) => name === STDIN);

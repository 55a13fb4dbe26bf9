/** The boards of a fleet as the server tells them, where it is an operator. What boards say is theirs: texts, and nothing more. */
import { plainOf } from "./ansi.ts";
import { isObject, type Json, listOf, numberOf, objectOf, textOf, textsOf } from "./json.ts";
import type { Param } from "./model.ts";

/** Name of its events. */
export const EVENT = "monitor/fleet";

export interface Board {
  readonly name: string;
  /** undefined where nobody says that there is one. */
  readonly status: "online" | "offline" | undefined;
  /** Of one that is online: ms since its last sign of life. */
  readonly silent: number;
  readonly version: string;
  readonly groups: readonly string[];
  readonly apis: readonly string[];
}

export interface Boards {
  readonly operator: string;
  readonly connected: boolean;
  readonly known: number;
  readonly online: number;
  readonly groups: readonly string[];
  readonly found: number;
  readonly foundOnline: number;
  readonly boards: readonly Board[];
}

export interface BoardVerb {
  /** API/VERB */
  readonly method: string;
  readonly info: string;
  readonly params: readonly Param[];
  readonly privileges: readonly string[];
  readonly confirm: boolean;
}

export function readBoard(told: Json): Board | undefined {
  const name = textOf(told["board"]);
  const status = textOf(told["status"]);
  if (name === undefined) return undefined;
  return {
    name,
    status: status === "online" || status === "offline" ? status : undefined,
    silent: (numberOf(told["silent"]) ?? 0) * 1000,
    version: plainOf(textOf(told["version"]) ?? ""),
    groups: textsOf(told["groups"]).map(plainOf),
    apis: textsOf(told["apis"]).map(plainOf),
  };
}

export function readBoards(response: unknown): Boards {
  const told = objectOf(response);
  return {
    operator: textOf(told["operator"]) ?? "",
    connected: told["connected"] === true,
    known: numberOf(told["known"]) ?? 0,
    online: numberOf(told["online"]) ?? 0,
    // Of those that are names, and so can be called.
    groups: textsOf(told["groups"]).filter((group) => /^[\w.-]{1,64}$/.test(group)),
    found: numberOf(told["found"]) ?? 0,
    foundOnline: numberOf(told["foundOnline"]) ?? 0,
    boards: listOf(told["boards"])
      .filter(isObject)
      .flatMap((one) => readBoard(one) ?? []),
  };
}

/** What a board can do, as the reply to `monitor/fleet/board` has it; nothing where it does not tell. */
export const readVerbs = (response: unknown): readonly BoardVerb[] =>
  listOf(objectOf(response)["described"])
    .filter(isObject)
    .flatMap(({ api, verbs }) =>
      listOf(verbs)
        .filter(isObject)
        .map((verb) => readVerb(textOf(api) ?? "", verb)),
    )
    .filter(({ method }) => isPlain(method));

function readVerb(api: string, verb: Json): BoardVerb {
  const { properties, required } = objectOf(verb["arguments"]);
  const needed = textsOf(required);
  return {
    method: `${api}/${textOf(verb["name"]) ?? ""}`,
    info: plainOf(textOf(verb["info"]) ?? ""),
    params: Object.entries(objectOf(properties))
      .filter(([name]) => isPlain(name))
      .map(([name, given]) => {
        const schema = objectOf(inPlain(given));
        const help = textOf(schema["description"]);
        return { name, required: needed.includes(name), schema, help };
      }),
    privileges: textsOf(verb["privileges"]).map(plainOf),
    confirm: verb["confirm"] === true,
  };
}

/** Names that are anything else cannot be told from others. */
const isPlain = (text: string): boolean => plainOf(text) === text;

/** All texts of it as they may be shown. */
function inPlain(value: unknown): unknown {
  if (typeof value === "string") return plainOf(value);
  if (Array.isArray(value)) return value.map(inPlain);
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, inPlain(one)]));
}

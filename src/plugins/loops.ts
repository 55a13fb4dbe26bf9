/** Event actions that would set themselves off for ever: what they start has events too. */
import type { LoadedConfig } from "../config/load.ts";
import type { Action } from "../config/schema.ts";
import { eventName } from "./names.ts";
import { parseReference } from "./reference.ts";

/** The way back from what `action` starts to the event it is for, such as `p/a → p/b → p/a`; undefined: there is none. */
export function loopOf(
  event: string,
  action: Action,
  all: readonly LoadedConfig[],
): string | undefined {
  const first = startedBy(action, all);
  if (first === undefined) return undefined;
  const goal = event.toLowerCase();
  const ways = [[event, first]];
  const seen = new Set<string>();
  for (let way = ways.shift(); way; way = ways.shift()) {
    const last = way.at(-1) ?? "";
    if (last.toLowerCase() === goal) return way.join(" → ");
    if (seen.has(last.toLowerCase())) continue;
    seen.add(last.toLowerCase());
    for (const next of followers(last, all)) ways.push([...way, next]);
  }
  return undefined;
}

function followers(event: string, all: readonly LoadedConfig[]): string[] {
  return all.flatMap(({ config }) =>
    (config.events ?? []).flatMap((action) => {
      const { api } = config.metadata;
      const name = eventName(action.uid, api);
      const started =
        name.toLowerCase() === event.toLowerCase() ? startedBy(action, all) : undefined;
      return started === undefined ? [] : [started];
    }),
  );
}

/** `api/verb` of the command that an action starts; through an extra verb too. */
function startedBy({ action, args }: Action, all: readonly LoadedConfig[]): string | undefined {
  const target = parse(action);
  if (target?.kind !== "api") return undefined;
  const what =
    typeof args === "object" && args !== null && "action" in args ? args.action : "start";
  if (typeof what === "string" && what.toLowerCase() !== "start") return undefined;
  const name = (text: string) => text.toLowerCase();
  const config = all.find((one) => name(one.config.metadata.api) === name(target.api))?.config;
  const extra = config?.extra?.find(({ uid }) => name(uid) === name(target.verb));
  // An extra verb cannot lead to another one, so this ends.
  const through = extra && parse(extra.action);
  const end = through?.kind === "api" ? through : target;
  return `${end.api}/${end.verb}`;
}

function parse(text: string) {
  try {
    return parseReference(text);
  } catch {
    // Told as a problem where the action is checked.
  }
  return undefined;
}

/** The verbs and events that actions can name, of all configs that are served together. */
import type { LoadedConfig } from "../config/load.ts";
import { findCased } from "../cased.ts";
import { importName } from "../plan/compile-imports.ts";
import type { Config } from "../config/schema.ts";
import { BUILTIN_API, BUILTIN_VERBS, EXEC_VERB, verbOf } from "../config/verbs.ts";

/** Of the API of the server itself, whichever of them it has with its options. */
export const MONITOR_VERBS = [
  "get",
  "apis",
  "info",
  "set",
  "tasks",
  "explain",
  "session",
  "trace",
  "subscribe",
  "unsubscribe",
  "reload",
  "doctor",
  "metrics",
];

/** Verbs by API; undefined for one of another binder, of which nobody knows them. */
export function verbsOf(all: readonly LoadedConfig[]): Map<string, readonly string[] | undefined> {
  const verbs = all.map(({ config }) => {
    const extra = (config.extra ?? []).map(({ uid }) => uid);
    return [config.metadata.api, [...BUILTIN_VERBS, ...taskVerbs(config), ...extra]] as const;
  });
  const imported = all.flatMap(({ config }) =>
    (config.imports ?? []).map((one) => [importName(one) ?? "", one.verbs] as const),
  );
  return new Map([...imported, ...verbs, [BUILTIN_API, MONITOR_VERBS]]);
}

/** Whether an event is one of another binder, whose names nobody knows here. */
export const isForeignEvent = (event: string, all: readonly LoadedConfig[]): boolean =>
  findCased(
    event.slice(0, event.indexOf("/")),
    all.flatMap(({ config }) => (config.imports ?? []).map((one) => importName(one) ?? "")),
  ) !== undefined;

/** Events by name: every verb that starts tasks has one. */
export function eventsOf(all: readonly LoadedConfig[]): string[] {
  const names = all.flatMap(({ config }) =>
    taskVerbs(config).map((verb) => `${config.metadata.api}/${verb}`),
  );
  return [...names, `${BUILTIN_API}/disconnected`];
}

/** Without a slash it is a verb of the config's own API; one with a slash there is named in full: `api/admin/sleep`. */
export function eventName(uid: string, api: string): string {
  return uid.includes("/") ? uid : `${api}/${uid}`;
}

function taskVerbs(config: Config): string[] {
  const commands = config.sandboxes.flatMap((sandbox) =>
    sandbox.commands.map((command) => verbOf(config, sandbox, command)),
  );
  return config.sandboxes.some(({ exec }) => exec) ? [EXEC_VERB, ...commands] : commands;
}

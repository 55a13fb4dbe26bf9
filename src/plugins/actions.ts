/** The actions of a config → plans: what they name must be there. */
import type { LoadedConfig } from "../config/load.ts";
import { findCased } from "../cased.ts";
import { suggestion } from "../config/nearest.ts";
import { element, member } from "../config/place.ts";
import type { Action } from "../config/schema.ts";
import type { ActionPlan, ActionPlans, ActionTarget } from "../plan/plan.ts";
import type { Report } from "../plan/report.ts";
import type { LoadedPlugin } from "./load.ts";
import { loopOf } from "./loops.ts";
import { eventName, eventsOf, isForeignEvent, verbsOf } from "./names.ts";
import { parseReference } from "./reference.ts";
import { isWritten } from "../numbers.ts";
import { isObject } from "../object.ts";

export interface ActionContext {
  /** Every config that is served together with this one. */
  readonly all: readonly LoadedConfig[];
  /** undefined: it could not be loaded, which is told already. */
  readonly plugins: ReadonlyMap<string, LoadedPlugin | undefined>;
  /** Replaces $NAME; throws when one is not set. */
  readonly expand: (text: string) => string;
  readonly report: Report;
}

type When = keyof ActionPlans;

export function compileActions({ config }: LoadedConfig, context: ActionContext): ActionPlans {
  const compile = (when: When): ActionPlan[] =>
    (config[when] ?? []).map((action, i) => {
      const path = element(when, i);
      checkEvent(when, action, path, config.metadata.api, context);
      if (action.required && (when === "events" || when === "extra")) {
        context.report.problem(`${path}.required`, "is for onload and onstart only: remove it");
      }
      if (action.privilege !== undefined && when !== "extra") {
        const message = "is for extra verbs only: this is called by the server itself; remove it";
        context.report.problem(`${path}.privilege`, message);
      }
      return compileAction(when, action, path, context);
    });
  return {
    onload: compile("onload"),
    onstart: compile("onstart"),
    events: compile("events"),
    extra: compile("extra"),
  };
}

function compileAction(
  when: When,
  source: Action,
  path: string,
  context: ActionContext,
): ActionPlan {
  const { uid, info, action, privilege, required = false } = source;
  const args = expanded(source.args, `${path}.args`, context);
  const target = context.report.attempt(`${path}.action`, () => {
    const parsed = parseReference(action);
    checkTarget(when, parsed, context);
    return parsed;
  });
  return {
    uid,
    ...(info !== undefined && { info }),
    action,
    // With a problem nothing of this is ever used.
    target: target ?? { kind: "api", api: "", verb: "" },
    ...(args !== undefined && { args }),
    ...(privilege && { privileges: [privilege] }),
    required,
  };
}

/** Texts are expanded wherever they stand; keys are the names of parameters, and stay. */
function expanded(value: unknown, path: string, context: ActionContext): unknown {
  if (typeof value === "string") return context.report.attempt(path, () => context.expand(value));
  if (Array.isArray(value)) {
    return value.map((inner: unknown, i) => expanded(inner, element(path, i), context));
  }
  if (!isObject(value) || isWritten(value)) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, expanded(inner, member(path, key), context)]),
  );
}

/** @throws Error with the nearest that there is */
function checkTarget(when: When, target: ActionTarget, { all, plugins }: ActionContext): void {
  if (target.kind === "plugin") {
    if (!plugins.has(target.plugin))
      throw new Error(unknown("plugin", target.plugin, plugins.keys()));
    const functions = plugins.get(target.plugin)?.functions;
    if (functions && !functions.has(target.name)) {
      throw new Error(
        unknown(`function of the plugin ${target.plugin}`, target.name, functions.keys()),
      );
    }
    return;
  }
  const apis = verbsOf(all);
  const api = findCased(target.api, apis.keys());
  if (api === undefined) throw new Error(unknown("API", target.api, apis.keys()));
  const verbs = apis.get(api);
  if (verbs && findCased(target.verb, verbs) === undefined) {
    throw new Error(unknown(`verb of the API ${api}`, target.verb, verbs));
  }
  if (when === "extra" && isExtra(api, target.verb, all)) {
    throw new Error(
      `\`${api}/${target.verb}\` is itself an extra verb: name what that one stands for`,
    );
  }
}

function isExtra(api: string, verb: string, all: readonly LoadedConfig[]): boolean {
  const extras = all
    .filter(({ config }) => config.metadata.api === api)
    .flatMap(({ config }) => (config.extra ?? []).map(({ uid }) => uid));
  return findCased(verb, extras) !== undefined;
}

function checkEvent(
  when: When,
  action: Action,
  path: string,
  api: string,
  { all, report }: ActionContext,
): void {
  if (when !== "events") return;
  const events = eventsOf(all);
  const name = eventName(action.uid, api);
  if (isForeignEvent(name, all)) return;
  if (findCased(name, events) === undefined) {
    report.problem(`${path}.uid`, unknown("event", name, events));
    return;
  }
  const loop = loopOf(name, action, all);
  if (loop !== undefined)
    report.problem(`${path}.action`, `would set itself off for ever: ${loop}`);
}

function unknown(what: string, word: string, names: Iterable<string>): string {
  const all = [...names];
  const more = all.length > 20 ? `, and ${all.length - 20} more` : "";
  const there = all.length > 0 ? `there is ${all.slice(0, 20).join(", ")}${more}` : "there is none";
  return `no ${what} \`${word}\`${suggestion(word, all)} (${there})`;
}

/** Plans → what serves them. Made as a whole before anything of it is used, so that a reload succeeds or changes nothing. */
import type { TaskEncoder } from "../encoders/encoder.ts";
import type { Log } from "../log.ts";
import type { ActionPlan, ApiPlan, Plan, PluginPlan } from "../plan/plan.ts";
import type { LoadedPlugin } from "../plugins/load.ts";
import { Action, type ActionDeps, type When } from "./actions.ts";
import { type Changed, infoVerb, pingVerb } from "./builtin.ts";
import { Command } from "./command.ts";
import { EventActions } from "./event-actions.ts";
import { Exec, EXEC_VERB, type ExecDeps, type ExecPlans } from "./exec.ts";
import { extraVerb } from "./extra.ts";
import type { ForeignApi, ForeignVerbs } from "./foreign.ts";
import { unavailableVerb } from "./unavailable.ts";
import { Table } from "./table.ts";
import type { Verb } from "./verb.ts";

/** A verb with tasks: the same one before and after a reload, since what it runs goes on. */
export type TaskVerb = Command | Exec;

export interface AssemblyDeps extends Omit<ExecDeps, "log"> {
  readonly log: Log;
  readonly encoders: (name: string) => TaskEncoder | undefined;
  readonly loadPlugin: (plan: PluginPlan) => LoadedPlugin;
  readonly invoke: ActionDeps["invoke"];
  readonly nextPing: () => number;
  readonly foreignVerbs: ForeignVerbs;
  readonly changed?: Changed;
}

export interface Assembly {
  readonly table: Table;
  /** By `api/verb`. */
  readonly tasks: ReadonlyMap<string, TaskVerb>;
  readonly events: EventActions;
  /** In the order in which they are run. */
  readonly startup: readonly Action[];
  readonly plugins: ReadonlySet<LoadedPlugin>;
  /** Gives the verbs that were there before their new plans, and opens the plugins. Cannot fail. */
  commit(): void;
}

/** Throws when two APIs or two verbs have the same name, an encoder is missing, or a plugin cannot be loaded. */
export function assemble(
  plans: readonly ApiPlan[],
  deps: AssemblyDeps,
  before: ReadonlyMap<string, TaskVerb>,
  foreign: readonly ForeignApi[] = [],
): Assembly {
  const table = new Table();
  const tasks = new Map<string, TaskVerb>();
  const commits: (() => void)[] = [];
  const actions: Action[] = [];
  const used = new Set<LoadedPlugin>();
  const targetOf = ({ target }: ActionPlan): Verb | undefined =>
    target.kind === "api" ? table.verb(target.api, target.verb) : undefined;
  const needed = (plan: ActionPlan): readonly string[] => [
    ...new Set([...(plan.privileges ?? []), ...(targetOf(plan)?.privileges ?? [])]),
  ];
  const confirms = (plan: ActionPlan): boolean => targetOf(plan)?.describe?.().confirm === true;

  for (const api of plans) {
    const log = deps.log.for(api.api);
    const own = { ...deps, log };
    const plugins = new Map((api.plugins ?? []).map((plan) => [plan.uid, deps.loadPlugin(plan)]));
    for (const plugin of plugins.values()) used.add(plugin);
    const find = finder(deps.encoders, plugins);
    const actionsOf = (when: When): Action[] =>
      (api.actions?.[when] ?? []).map((plan) => {
        const findFunction = (uid: string, name: string) => plugins.get(uid)?.functions.get(name);
        return new Action(plan, when, { api: api.api, invoke: deps.invoke, findFunction, log });
      });
    const extras = actionsOf("extra");
    const mine = (["onload", "onstart", "events"] as const).flatMap(actionsOf);
    actions.push(...mine);

    const add = (verb: TaskVerb) => {
      tasks.set(`${api.api}/${verb.name}`, verb);
      table.addVerb(api.api, verb);
    };
    table.addApi(api.api, api);
    table.addVerb(api.api, pingVerb(deps.nextPing));
    const imports = (api.imports ?? []).flatMap(({ name }) =>
      foreign.filter((one) => one.name === name),
    );
    const about = { actions: mine, imports };
    table.addVerb(api.api, infoVerb(api, about, { needed, confirms }, deps.changed));
    const sandboxes = execPlans(api);
    if (sandboxes.size > 0) {
      const known = before.get(`${api.api}/${EXEC_VERB}`);
      const exec: ExecPlans = { sandboxes, find };
      if (known instanceof Exec) commits.push(() => known.update(exec));
      add(known instanceof Exec ? known : new Exec(api.api, exec, own));
    }
    for (const plan of api.sandboxes.flatMap((sandbox) => sandbox.plans)) {
      const encoder = requireEncoder(plan, find);
      const known = before.get(`${api.api}/${plan.verb}`);
      if (known instanceof Command) commits.push(() => known.update(plan, encoder));
      add(known instanceof Command ? known : new Command(plan, encoder, own));
    }
    for (const { unavailable = [] } of api.sandboxes)
      for (const verb of unavailable) table.addVerb(api.api, unavailableVerb(verb));
    for (const extra of extras) table.addVerb(api.api, extraVerb(extra, needed, targetOf));
  }
  for (const api of foreign) addForeign(table, api, plans, deps.foreignVerbs);
  const having = (when: When) => actions.filter((action) => action.when === when);
  return {
    table,
    tasks,
    events: new EventActions(having("events"), tasks.keys()),
    startup: [...having("onload"), ...having("onstart")],
    plugins: used,
    commit: () => {
      for (const plugin of used) plugin.open();
      for (const commit of commits) commit();
    },
  };
}

/** With the verbs that are known of it: those that may be called, or else those that a config names. */
function addForeign(
  table: Table,
  api: ForeignApi,
  plans: readonly ApiPlan[],
  verbs: ForeignVerbs,
): void {
  const { name, info, isPrivate } = api;
  if (table.hasApi(name))
    throw new Error(`${name}: an API of that name is here already: import it as OTHER@${name}`);
  const named = plans.flatMap(({ actions }) =>
    Object.values(actions ?? {}).flatMap((list: readonly ActionPlan[]) =>
      list.flatMap(({ target }) =>
        target.kind === "api" && target.api.toLowerCase() === name.toLowerCase()
          ? [target.verb]
          : [],
      ),
    ),
  );
  const known = api.verbs ?? [...new Set(named)];
  const find = (verb: string): Verb => verbs.find(api, verb);
  table.addApi(name, { info }, { isPrivate, known, find });
}

function execPlans(api: ApiPlan): Map<string, Plan> {
  return new Map(api.sandboxes.flatMap(({ uid, exec }) => (exec ? [[uid, exec] as const] : [])));
}

function finder(encoders: AssemblyDeps["encoders"], plugins: ReadonlyMap<string, LoadedPlugin>) {
  return (name: string, plugin: string | undefined): TaskEncoder | undefined => {
    if (plugin === undefined) return encoders(name);
    return plugins.get(plugin)?.encoders.get(name);
  };
}

function requireEncoder(plan: Plan, find: ReturnType<typeof finder>): TaskEncoder {
  const { name, plugin } = plan.encoder;
  const encoder = find(name, plugin);
  if (encoder) return encoder;
  const from = plugin === undefined ? "" : ` of the plugin ${plugin}`;
  throw new Error(`${plan.api}/${plan.verb}: no encoder ${name}${from}`);
}

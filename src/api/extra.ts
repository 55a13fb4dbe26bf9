/** `extra` of a config: a verb that stands for an action. */
import type { ActionPlan } from "../plan/plan.ts";
import type { Action } from "./actions.ts";
import type { Request } from "./client.ts";
import type { Verb } from "./verb.ts";
import { isObject } from "../object.ts";

/** What an extra verb needs: its own privileges, and those of the verb that it stands for. */
export type Needed = (plan: ActionPlan) => readonly string[];

/** Whether a client asks its user before it calls it. */
export type Confirms = (plan: ActionPlan) => boolean;

/** The verb that an action calls; undefined for a function of a plugin, and where there is no such verb. */
export type TargetOf = (plan: ActionPlan) => Verb | undefined;

export function extraVerb(action: Action, needed: Needed, targetOf: TargetOf): Verb {
  const { uid, info, args } = action.plan;
  return {
    name: uid,
    exact: action.plan.target.kind === "api",
    // Those of the other verb may change with a reload.
    get privileges() {
      return needed(action.plan);
    },
    // In the name of the caller: an extra verb gives nobody a privilege.
    call: (request: Request) => action.call({ ...request, args: merged(args, request.args) }),
    refused: (request) =>
      targetOf(action.plan)?.refused?.({ ...request, args: merged(args, request.args) }),
    describe: () => {
      const described = targetOf(action.plan)?.describe?.();
      if (args === undefined && described)
        return { ...described, ...(info !== undefined && { info }) };
      return {
        ...(info !== undefined && { info }),
        ...(described?.file !== undefined && { file: described.file }),
        ...(described?.values && { values: described.values }),
        ...(described?.http && { http: described.http }),
        ...(described?.confirm && { confirm: described.confirm }),
        ...(described?.tool && { tool: described.tool }),
        parameters: described?.parameters.filter(({ name }) => isOpen(args, name)) ?? [],
      };
    },
  };
}

/** Whether a request may still say what this argument is. */
const isOpen = (own: unknown, name: string): boolean => isObject(own) && !Object.hasOwn(own, name);

/** The config's arguments, and of the request's those that it leaves open. */
function merged(own: unknown, given: unknown): unknown {
  if (own === undefined) return given;
  return isObject(own) && isObject(given) ? { ...given, ...own } : own;
}

/** `extra` of a config: a verb that stands for an action. */
import type { ActionPlan } from "../plan/plan.ts";
import type { Action } from "./actions.ts";
import type { Request } from "./client.ts";
import type { Verb } from "./verb.ts";
import { isObject } from "../object.ts";

/** What an extra verb needs: its own privileges, and those of the verb that it stands for. */
export type Needed = (plan: ActionPlan) => readonly string[];

export function extraVerb(action: Action, needed: Needed): Verb {
  const { uid, info, args } = action.plan;
  return {
    name: uid,
    // Those of the other verb may change with a reload.
    get privileges() {
      return needed(action.plan);
    },
    // In the name of the caller: an extra verb gives nobody a privilege.
    call: (request: Request) => action.call({ ...request, args: merged(args, request.args) }),
    describe: () => ({
      ...(info !== undefined && { info }),
      parameters: [],
    }),
  };
}

/** The config's arguments, and of the request's those that it leaves open. */
function merged(own: unknown, given: unknown): unknown {
  if (own === undefined) return given;
  return isObject(own) && isObject(given) ? { ...given, ...own } : own;
}

/** The verbs that every API has: `ping` and `info`. */
import type { ApiPlan, Plan, SandboxPlan } from "../plan/plan.ts";
import type { Verb } from "./verb.ts";

/** `"pong=N"`; `next` counts the pings of the whole server. */
export function pingVerb(next: () => number): Verb {
  return { name: "ping", call: () => `pong=${next()}` };
}

/** What the API offers, for the devtools page. Plans do not change, so neither does the answer. */
export function infoVerb(api: ApiPlan): Verb {
  const response = describeApi(api);
  return { name: "info", call: () => response };
}

/** First the keys of the original, in its order, then ours. Keys that are undefined are not on the wire. */
function describeApi(api: ApiPlan) {
  return present({
    groups: api.sandboxes.map(describeSandbox),
    metadata: present({
      uid: api.uid,
      info: api.info,
      version: api.version,
      author: api.author,
      api: api.api,
    }),
    notices: api.notices.length > 0 ? api.notices : undefined,
  });
}

function describeSandbox(sandbox: SandboxPlan) {
  return present({
    uid: sandbox.uid,
    info: sandbox.info,
    verbs: sandbox.plans.map(describePlan),
  });
}

function describePlan(plan: Plan) {
  return present({
    uid: plan.command,
    verb: plan.verb,
    info: plan.info,
    sample: plan.sample,
    usage: present({ action: ["start", "stop"], args: plan.usage }),
    encoder: plan.encoder.name,
    // In seconds, as in the config.
    timeout: plan.timeout > 0 ? plan.timeout / 1000 : undefined,
    names: plan.argv.names.size > 0 ? [...plan.argv.names] : undefined,
    privileges: plan.privileges.length > 0 ? plan.privileges : undefined,
  });
}

/** Leaves undefined keys out, so that the object is the same before and after JSON. */
function present(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

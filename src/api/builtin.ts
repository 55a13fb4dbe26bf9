/** The verbs that every API has: `ping` and `info`. */
import { signalName } from "../config/signals.ts";
import {
  type ApiPlan,
  launchable,
  type Plan,
  type SandboxPlan,
  type UnavailableVerb,
} from "../plan/plan.ts";
import type { Notice } from "../plan/report.ts";
import type { Action } from "./actions.ts";
import type { Confirms, Needed } from "./extra.ts";
import type { ForeignApi } from "./foreign.ts";
import type { Verb } from "./verb.ts";

/** `"pong=N"`; `next` counts the pings of the whole server. */
export function pingVerb(next: () => number): Verb {
  return { name: "ping", isUntried: true, call: () => `pong=${next()}` };
}

/** What the machine has become otherwise than the plans of an API have it. */
export type Changed = (api: ApiPlan) => Promise<readonly Notice[]>;

/** What an extra verb has of the verb that it stands for. */
export interface StandsFor {
  readonly needed: Needed;
  readonly confirms: Confirms;
}

/** What the API offers, for the devtools page. Only what has come of the actions, and of the machine, changes. */
export function infoVerb(
  api: ApiPlan,
  { actions, imports }: { actions: readonly Action[]; imports: readonly ForeignApi[] },
  stands: StandsFor,
  changed: Changed = async () => [],
): Verb {
  let response: Record<string, unknown> | undefined;
  // Once all verbs are there: extra verbs stand for those of other APIs too.
  const described = () => (response ??= describeApi(api, stands));
  const call = async () => {
    const more = await changed(api);
    const now =
      more.length > 0
        ? describeApi({ ...api, notices: [...api.notices, ...more] }, stands)
        : described();
    return {
      ...now,
      ...(actions.length > 0 && { actions: actions.map((action) => action.describe()) }),
      ...(imports.length > 0 && { imports: imports.map(describeImport) }),
    };
  };
  return { name: "info", isLong: true, call };
}

/** First the keys of the original, in its order, then ours. Keys that are undefined are not on the wire. */
function describeApi(api: ApiPlan, stands: StandsFor) {
  return present({
    groups: [
      ...api.sandboxes.map((sandbox, i) => describeSandbox(sandbox, below(api.notices, i))),
      ...describeExtra(api, stands),
    ],
    metadata: present({
      uid: api.uid,
      info: api.info,
      version: api.version,
      author: api.author,
      api: api.api,
    }),
    notices: some(api.notices.filter(({ path }) => !path.startsWith(SANDBOXES))),
  });
}

function describeImport({ name, info, state, isPrivate, privileges, verbs }: ForeignApi) {
  return present({
    ...{ api: name, info, state },
    private: isPrivate ? true : undefined,
    privileges: some(privileges),
    verbs,
  });
}

const SANDBOXES = "sandboxes[";

function below(notices: readonly Notice[], sandbox: number): readonly Notice[] {
  return notices.filter(({ path }) => {
    const place = `${SANDBOXES}${sandbox}]`;
    return path === place || path.startsWith(`${place}.`);
  });
}

function describeSandbox(sandbox: SandboxPlan, notices: readonly Notice[]) {
  return present({
    uid: sandbox.uid,
    info: sandbox.info,
    verbs: [
      ...sandbox.plans.map(describePlan),
      ...(sandbox.unavailable ?? []).map(describeUnavailable),
    ],
    families: launchable(sandbox)[0]?.policy.families?.names,
    exec: sandbox.exec ? true : undefined,
    privileges: some(sandbox.exec?.privileges ?? []),
    notices: some(notices),
  });
}

/** Extra verbs as a group of their own: pages list the verbs of groups. */
function describeExtra({ actions }: ApiPlan, { needed, confirms }: StandsFor) {
  if (!actions || actions.extra.length === 0) return [];
  const verbs = actions.extra.map((plan) => {
    const { uid, info, action } = plan;
    const [privileges, confirm] = [some(needed(plan)), confirms(plan) || undefined];
    return present({ uid, verb: uid, info, usage: {}, action, confirm, privileges });
  });
  return [{ uid: "extra", verbs }];
}

const some = <T>(list: readonly T[]) => (list.length > 0 ? list : undefined);

function describeUnavailable({ command, verb, info, privileges, reason }: UnavailableVerb) {
  return present({
    ...{ uid: command, verb, info, usage: {} },
    privileges: some(privileges),
    unavailable: reason,
  });
}

function describePlan(plan: Plan) {
  return present({
    uid: plan.command,
    verb: plan.verb,
    label: plan.label,
    info: plan.info,
    sample: plan.sample,
    usage: present({ action: ["start", "stop"], args: plan.usage }),
    encoder: plan.encoder.name,
    // In seconds, as in the config.
    timeout: plan.timeout > 0 ? plan.timeout / 1000 : undefined,
    stop: plan.stop && {
      signal: signalName(plan.stop.signal),
      grace: plan.stop.grace / 1000,
    },
    input: plan.input,
    confirm: plan.confirm,
    names: some([...plan.argv.names]),
    privileges: some(plan.privileges),
    params: plan.params?.source,
    pool: plan.pool?.size,
    pty: plan.policy.pty && { cols: plan.policy.pty.columns, rows: plan.policy.pty.rows },
  });
}

/** Leaves undefined keys out, so that the object is the same before and after JSON. */
function present(object: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
}

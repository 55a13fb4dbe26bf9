/** `monitor/explain`: what each sandbox does before a command runs, how much it leaves open, and what would close most of that. */
import { AfbError } from "../errors.ts";
import { type ApiPlan, launchable, type Plan, type SandboxPlan } from "../plan/plan.ts";
import { findCased } from "../cased.ts";
import { isObject } from "../object.ts";
import { EXEC_VERB } from "./exec.ts";
import type { Gate } from "./gate.ts";
import type { Request } from "./client.ts";
import type { Verb } from "./verb.ts";

export interface ExplainedDeps {
  readonly gate: Gate;
  readonly apis: () => readonly ApiPlan[];
}

/** Milliseconds of work in a turn of the event loop. */
const A_TURN = 4;
const NAMES = ["api", "sandbox"] as const;
type Chosen = { readonly [Name in (typeof NAMES)[number]]?: string };

/** Tells a caller only of verbs that it may call, as `verbose` does in the reply to a start. */
export function explainVerb(deps: ExplainedDeps): Verb {
  return {
    name: "explain",
    isLong: true,
    call: async (request) => {
      const chosen = parse(request.args);
      const sandboxes = deps
        .apis()
        .flatMap(({ api, sandboxes }) =>
          isSame(chosen.api, api) ? sandboxes.filter(({ uid }) => isSame(chosen.sandbox, uid)) : [],
        );
      const told: object[] = [];
      let begin = performance.now();
      for (const one of sandboxes) {
        const about = await tell(one, deps.gate, request);
        if (about) told.push(about);
        // What each does takes a while to find out, the first time.
        if (performance.now() - begin < A_TURN) continue;
        await new Promise((resolve) => setImmediate(resolve));
        begin = performance.now();
      }
      return told;
    },
    describe: () => ({
      info: "what the sandboxes of the verbs that the caller may call do, and how much they leave open",
      parameters: NAMES.map((name) => ({ name, required: false, schema: { type: "string" } })),
    }),
  };
}

const isSame = (wanted: string | undefined, name: string): boolean =>
  wanted === undefined || findCased(wanted, [name]) !== undefined;

function parse(args: unknown): Chosen {
  if (args === undefined || args === null) return {};
  if (!isObject(args)) throw new AfbError("invalid-request", 'expects {"api":NAME,"sandbox":UID}');
  const names: readonly string[] = NAMES;
  for (const [name, value] of Object.entries(args)) {
    if (!names.includes(name))
      throw new AfbError("invalid-request", `unknown key ${JSON.stringify(name)} (api, sandbox)`);
    if (typeof value !== "string")
      throw new AfbError("invalid-request", `${name}: expected a name`);
  }
  return args;
}

/** By its first command: the others differ in limits and time at most. */
async function tell(sandbox: SandboxPlan, gate: Gate, request: Request) {
  const may: Plan[] = [];
  for (const plan of launchable(sandbox))
    if (await gate.may(plan.privileges, request)) may.push(plan);
  const [first] = may;
  if (!first) return undefined;
  // Most servers are never asked.
  const [{ explain }, { exposure, improvements }] = await Promise.all([
    import("../plan/explain.ts"),
    import("../plan/exposure.ts"),
  ]);
  let told = known.get(first);
  if (!told) {
    const found = exposure(first);
    told = {
      // But for the last, which is the command.
      steps: explain(first).slice(0, -1),
      exposure: found,
      improvements: improvements(found).map(({ what, fix }) => ({ what, set: fix })),
    };
    known.set(first, told);
  }
  const verbs = may.map((plan) => (plan === sandbox.exec ? EXEC_VERB : plan.verb));
  return { api: first.api, sandbox: first.sandbox, verbs, ...told };
}

/** What a plan says of itself, which takes a while to find out. */
const known = new WeakMap<Plan, object>();

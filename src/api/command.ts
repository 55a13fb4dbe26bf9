/** The verb of one plan: start, stop, subscribe and unsubscribe. See AFB.md, "A command verb". */
import type { TaskEncoder } from "../encoders/encoder.ts";
import { file, fileOf } from "../encoders/file.ts";
import { json } from "../encoders/json.ts";
import { fill, type ArgvTemplate } from "../plan/argv.ts";
import type { Plan } from "../plan/plan.ts";
import type { Webhook } from "../plan/webhook.ts";
import type { Request } from "./client.ts";
import { given } from "../config/params.ts";
import { AfbError } from "../errors.ts";
import { isObject } from "../object.ts";
import { declaredOf } from "./declared.ts";
import type { Refused } from "./book.ts";
import { attemptedQuery, parseQuery } from "./query.ts";
import { hasSecrets, keptOf, keptOfRefused } from "./record.ts";
import { type TaskDeps, Tasks } from "./tasks.ts";
import type { Parameter, Verb } from "./verb.ts";

export class Command implements Verb {
  readonly exact = true;
  readonly tasks: Tasks;
  #plan: Plan;
  #encoder: TaskEncoder;

  constructor(plan: Plan, encoder: TaskEncoder, deps: TaskDeps) {
    this.tasks = new Tasks(`${plan.api}/${plan.verb}`, deps);
    this.#plan = plan;
    this.#encoder = encoder;
  }

  get name(): string {
    return this.#plan.verb;
  }

  get privileges(): readonly string[] {
    return this.#plan.privileges;
  }

  get webhook(): Webhook | undefined {
    return this.#plan.webhook;
  }

  get isFed(): boolean {
    return this.#plan.input !== undefined;
  }

  /** What a caller needs to follow a task. */
  needs(_task: Pick<Plan, "privileges">): readonly string[] {
    return this.privileges;
  }

  /** From now on tasks are started under another plan; those that run keep theirs. */
  update(plan: Plan, encoder: TaskEncoder): void {
    this.#plan = plan;
    this.#encoder = encoder;
  }

  async call(request: Request): Promise<unknown> {
    const plan = this.#plan;
    const query = parseQuery(request.args, plan.argv.names, this.isFed);
    if (query.action !== "start") return this.tasks.act(request, query);
    if (plan.input !== undefined) request.input?.limit(plan.input);
    const { args: declared, notices } = declaredOf(plan, query.args, request.offered);
    // Not in what is the JSON of a text: a list there is a list.
    const repeats = request.texts === true && !hasArgs(request.args, query.args);
    const args = plan.params ? plan.params.complete(declared, repeats) : declared;
    if (repeats) requireOnce(args, plan);
    const argv = fill(plan.argv, args, plan.params?.allowDash);
    plan.params?.check(args, request.texts);
    if (plan.confirm && request.confirm) {
      await request.confirm({ plan, kept: keptOf(plan, args, argv) });
      if (this.#plan !== plan)
        throw new AfbError(
          "bad-state",
          "the config has changed while somebody was asked: call it again",
        );
    }
    const encoded = { encoder: this.#encoder, opts: plan.encoder.opts };
    return this.tasks.start({ plan, encoded, argv, args }, request, { ...query, notices });
  }

  refused({ args }: Request): Refused {
    const plan = this.#plan;
    const { action, args: given, unread } = attemptedQuery(args, plan.argv.names, this.isFed);
    if (action !== "start") return { action, plan };
    const discreet = hasSecrets(plan);
    const kept = unread ? { hidden: true as const } : keptOfRefused(plan, given);
    return { action, plan, ...kept, discreet };
  }

  describe() {
    const { info, label, sample, params, webhook, http, confirm, tool } = this.#plan;
    return {
      ...(info !== undefined && { info }),
      ...(label !== undefined && { label }),
      parameters: parametersOf(this.#plan),
      task: true,
      ...(!params && { lenient: true }),
      ...(webhook && { webhook: webhook.header }),
      ...(this.#encoder === file && { file: fileOf(this.#plan.encoder.opts).type }),
      ...(this.#encoder === json && { values: true as const }),
      ...(http && { http }),
      ...(confirm && { confirm }),
      ...(tool && { tool }),
      ...(this.isFed && { fed: true }),
      ...(sample !== undefined && { sample }),
    };
  }
}

/** The arguments of a query come from its `args`, and are not beside it. */
const hasArgs = (asked: unknown, args: unknown): boolean =>
  asked !== args && isObject(asked) && asked["args"] !== undefined;

/** What a URL gives several times is a list for an argument whose schema wants one, and for no other. */
function requireOnce(args: unknown, { params }: Plan): void {
  for (const [name, value] of isObject(args) ? Object.entries(args) : []) {
    if (!Array.isArray(value) || params?.source?.[name] !== undefined) continue;
    throw new AfbError("invalid-request", given(name, value.length));
  }
}

/** The placeholders of a command with their schemas: what a caller may give. */
export function parametersOf({ argv, params }: Pick<Plan, "argv" | "params">): Parameter[] {
  const required = mandatory(argv);
  return [...argv.names].map((name) => {
    const schema = schemaOf(params?.source?.[name]);
    const needed = required.has(name) && !params?.defaults.has(name);
    return { name, required: needed, ...(schema !== undefined && { schema }) };
  });
}

function mandatory({ elements }: ArgvTemplate): ReadonlySet<string> {
  const pieces = elements.flat();
  return new Set(
    pieces.flatMap((piece) => (piece.kind === "value" && piece.required ? [piece.name] : [])),
  );
}

/** The JSON Schema in a `params` entry: `allowDash` is ours, and alone it says nothing of the value. */
function schemaOf(source: unknown): unknown {
  if (typeof source !== "object" || source === null) return undefined;
  const schema = Object.fromEntries(Object.entries(source).filter(([key]) => key !== "allowDash"));
  return Object.keys(schema).length > 0 ? schema : undefined;
}

/**
 * The verb `exec`: a program of the caller's choice, in a sandbox whose config allows that. Its privileges, its policy, its
 * environment and limits are the sandbox's; program and arguments are taken literally, never as templates.
 */
import { isAbsolute, posix } from "node:path";
import { suggestion } from "../config/nearest.ts";
import { milliseconds, MOST_SECONDS } from "../config/ranges.ts";
import type { TaskEncoder } from "../encoders/encoder.ts";
import { AfbError } from "../errors.ts";
import { textOf } from "../plan/argument.ts";
import { type ArgvTemplate, fill } from "../plan/argv.ts";
import type { Plan } from "../plan/plan.ts";
import type { Request } from "./client.ts";
import type { Gate } from "./gate.ts";
import type { Refused } from "./book.ts";
import { attemptedQuery, parseQuery, parseVerbose } from "./query.ts";
import { keptOfRefused } from "./record.ts";
import type { Followable } from "./run.ts";
import { type TaskDeps, Tasks } from "./tasks.ts";
import type { Verb } from "./verb.ts";
import { toDoubles } from "../numbers.ts";
import { isObject } from "../object.ts";

export const EXEC_VERB = "exec";

export interface ExecDeps extends TaskDeps {
  readonly gate: Gate;
}

/** An encoder by its name, or that of a plugin's; undefined when there is none. */
export type FindEncoder = (name: string, plugin: string | undefined) => TaskEncoder | undefined;

export interface ExecPlans {
  /** By uid of the sandbox: what a plan has but for argv. */
  readonly sandboxes: ReadonlyMap<string, Plan>;
  readonly find: FindEncoder;
}

/** What the arguments are but for `sandbox`, for who reads it; what is not so is refused below, with what to do. */
const SCHEMAS = {
  exec: {
    type: "object",
    properties: { cmdpath: { type: "string", pattern: "^/" }, args: true },
    required: ["cmdpath"],
    additionalProperties: false,
  },
  uid: { type: "string", pattern: "^[\\w.-]{1,64}$" },
  timeout: { type: "number", minimum: 0, maximum: MOST_SECONDS },
  verbose: { type: "integer", minimum: 0, maximum: 4 },
  encoder: {
    anyOf: [
      { type: "string" },
      {
        type: "object",
        properties: { plugin: { type: "string" }, output: { type: "string" }, opts: true },
        required: ["output"],
        additionalProperties: false,
      },
    ],
  },
} as const;
const KEYS = ["sandbox", ...Object.keys(SCHEMAS)];
const EXEC_KEYS = Object.keys(SCHEMAS.exec.properties);
const ENCODER_KEYS = Object.keys(SCHEMAS.encoder.anyOf[1].properties);

const invalid = (info: string) => new AfbError("invalid-request", info);

export class Exec implements Verb {
  readonly name = EXEC_VERB;
  readonly exact = true;
  readonly tasks: Tasks;
  readonly #gate: Gate;
  #plans: ExecPlans;

  constructor(api: string, plans: ExecPlans, deps: ExecDeps) {
    this.tasks = new Tasks(`${api}/${EXEC_VERB}`, deps);
    this.#gate = deps.gate;
    this.#plans = plans;
  }

  update(plans: ExecPlans): void {
    this.#plans = plans;
  }

  /** Those of every sandbox; a sandbox may need more. */
  get privileges(): readonly string[] {
    const [first = [], ...others] = [...this.#plans.sandboxes.values()].map(
      (one) => one.privileges,
    );
    return first.filter((name) => others.every((privileges) => privileges.includes(name)));
  }

  /** What a caller needs to follow a task, which is in a sandbox of its own privileges. */
  needs({ privileges }: Pick<Plan, "privileges">): readonly string[] {
    return [...this.privileges, ...privileges];
  }

  async call(request: Request): Promise<unknown> {
    const permit = ({ privileges }: Followable, asking: Request = request) =>
      this.#gate.require(`${request.api}/${this.name}`, privileges, asking);
    const query = parseQuery(request.args);
    if (query.action !== "start") {
      // Each task is in a sandbox of its own privilege.
      return this.tasks.act(request, query, ({ plan }) => {
        const asked = permit(plan);
        return asked && this.#permitted(asked, (asking) => permit(plan, asking), request);
      });
    }
    const given = query.args;
    if (!isObject(given)) {
      throw invalid('expects {"sandbox":"UID","exec":{"cmdpath":"/PATH","args":[…]}}');
    }
    onlyKeys(given, KEYS, "");
    // What is executed gets its numbers as they are written.
    const { exec, ...others } = given;
    const args = toDoubles(others) as Record<string, unknown>;
    const named = (): Plan => this.#sandbox(args["sandbox"]);
    let asking = request;
    for (let asked = permit(named()); asked; asked = permit(named(), asking))
      asking = { ...asking, answered: await asked };
    const sandbox = named();
    const template = literal(exec);
    // Nothing to fill in, but the same limits.
    const argv = fill(template, undefined);
    const { encoder, ...encoding } = await this.#encoder(args["encoder"], sandbox);
    const plan: Plan = {
      ...sandbox,
      command: uidOf(args["uid"], argv[0] ?? ""),
      timeout: timeoutOf(args["timeout"], sandbox.timeout),
      encoder: encoding,
      argv: template,
    };
    const verbose = Math.max(query.verbose, parseVerbose(args["verbose"]));
    const encoded = { encoder, opts: encoding.opts };
    const start = { plan, encoded, argv, args: given };
    return this.tasks.start(start, request, { ...query, verbose });
  }

  refused({ args }: Request): Refused {
    const { action, args: given, unread } = attemptedQuery(args);
    if (action !== "start") return { action };
    const uid = isObject(given) ? given["sandbox"] : undefined;
    const plan = typeof uid === "string" ? this.#plans.sandboxes.get(uid) : undefined;
    // Where nobody knows which sandbox it was to be, it may have been one that shows nothing.
    const all = plan ? [plan] : [...this.#plans.sandboxes.values()];
    const shy = all.find(({ discreet }) => discreet);
    const judge = shy ?? all[0];
    const kept = unread || !judge ? { hidden: true as const } : keptOfRefused(judge, given);
    return { action, ...(plan && { plan }), ...kept, discreet: shy !== undefined };
  }

  async #permitted(
    asked: ReturnType<Gate["require"]>,
    again: (asking: Request) => typeof asked,
    request: Request,
  ): Promise<void> {
    let asking = request;
    for (let more = asked; more; more = again(asking)) asking = { ...asking, answered: await more };
  }

  describe() {
    const uids = [...this.#plans.sandboxes.keys()];
    const schemas = { sandbox: { type: "string", enum: uids }, ...SCHEMAS };
    return {
      info: `runs a program in a sandbox: ${uids.join(", ")}`,
      parameters: Object.entries(schemas).map(([name, schema]) => ({
        name,
        required: name === "sandbox" || name === "exec",
        schema,
      })),
      task: true,
      sample: [{ sandbox: uids[0], exec: { cmdpath: "/bin/ls", args: ["-l"] } }],
    };
  }

  #sandbox(uid: unknown): Plan {
    const { sandboxes } = this.#plans;
    const plan = typeof uid === "string" ? sandboxes.get(uid) : undefined;
    if (plan) return plan;
    const near = typeof uid === "string" ? suggestion(uid, sandboxes.keys()) : "";
    throw invalid(
      `sandbox: none ${JSON.stringify(uid)} that allows exec${near} (${[...sandboxes.keys()].join(", ")})`,
    );
  }

  async #encoder(
    value: unknown,
    sandbox: Plan,
  ): Promise<Plan["encoder"] & { readonly encoder: TaskEncoder }> {
    if (value === undefined) value = sandbox.encoder.name;
    const config = typeof value === "string" ? { output: value } : value;
    if (!isObject(config)) throw invalid("encoder: expected a name, or an object with output");
    onlyKeys(config, ENCODER_KEYS, "encoder.");
    const { output, plugin, opts = {} } = config;
    if (typeof output !== "string") throw invalid("encoder.output: expected a name");
    if (plugin !== undefined && typeof plugin !== "string") {
      throw invalid("encoder.plugin: expected a name");
    }
    const encoder = this.#plans.find(output, plugin);
    if (!encoder) throw invalid(`encoder: there is no ${JSON.stringify(output)}`);
    if (encoder.name === "log") {
      throw invalid("encoder: log writes files with the rights of the server; choose another");
    }
    if (!isObject(opts)) throw invalid("encoder.opts: expected an object");
    const problems = await encoder.check(opts);
    if (problems.length > 0) throw invalid(`encoder.opts: ${problems.join("; ")}`);
    return { encoder, name: encoder.name, ...(plugin !== undefined && { plugin }), opts };
  }
}

function onlyKeys(object: Record<string, unknown>, keys: readonly string[], path: string): void {
  for (const key of Object.keys(object)) {
    if (keys.includes(key)) continue;
    const shown = JSON.stringify(key.slice(0, 80));
    throw invalid(`unknown key ${path}${shown}${suggestion(key, keys)} (${keys.join(", ")})`);
  }
}

/** A command line that has no placeholders, whatever is in it. */
function literal(exec: unknown): ArgvTemplate {
  if (!isObject(exec)) throw invalid('exec: expected {"cmdpath":"/PATH","args":[…]}');
  onlyKeys(exec, EXEC_KEYS, "exec.");
  const { cmdpath, args = [] } = exec;
  if (typeof cmdpath !== "string" || !isAbsolute(cmdpath)) {
    throw invalid("exec.cmdpath: expected an absolute path");
  }
  const list = Array.isArray(args) ? args : [args];
  const elements = [cmdpath, ...list].map((value: unknown, i) => {
    const text = textOf(value);
    if (typeof text === "string") return [{ kind: "text" as const, text }];
    throw invalid(`exec.${i === 0 ? "cmdpath" : `args[${i - 1}]`} ${text.fault}`);
  });
  return { elements, names: new Set() };
}

/** Characters of the name of a task. */
const MOST_OF_UID = 64;

/** What the task is called in its uid and its events. */
function uidOf(value: unknown, program: string): string {
  if (value === undefined)
    return [...posix.basename(program)].slice(0, MOST_OF_UID).join("") || EXEC_VERB;
  if (typeof value === "string" && /^[\w.-]{1,64}$/.test(value)) return value;
  throw invalid("uid: expected up to 64 letters, digits, _, . or -");
}

/** Milliseconds. A caller can ask for less time than the sandbox gives, not for more. */
function timeoutOf(seconds: unknown, limit: number): number {
  if (seconds === undefined) return limit;
  if (typeof seconds !== "number" || !(seconds >= 0 && seconds <= MOST_SECONDS)) {
    throw invalid(
      `timeout: expected seconds from 0 to ${MOST_SECONDS}, not ${JSON.stringify(seconds)}`,
    );
  }
  const asked = milliseconds(seconds);
  return asked > 0 && limit > 0 ? Math.min(asked, limit) : asked || limit;
}

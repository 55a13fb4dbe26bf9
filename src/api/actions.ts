/** Actions of a config: calls of a verb or of a plugin's function, made by the server or behind an `extra` verb. */
import { AfbError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ActionPlan } from "../plan/plan.ts";
import type { FunctionContext, PluginFunction } from "../plugins/plugin.ts";
import { type Request, SERVER_SESSION } from "./client.ts";
import { within } from "./deadline.ts";
import { isObject } from "../object.ts";

/** Milliseconds that a function of a plugin may take, and anything that the server itself waits for. */
export const ACTION_LIMIT = 30_000;

export interface ActionDeps {
  readonly api: string;
  /** Calls a verb; rejects with the error of the reply. */
  readonly invoke: (request: Request) => Promise<unknown>;
  readonly findFunction: (plugin: string, name: string) => PluginFunction | undefined;
  readonly log: Logger;
}

export type When = "onload" | "onstart" | "events" | "extra";

export class Action {
  #calls = 0;
  #failures = 0;
  #lastFailure: string | undefined;

  constructor(
    readonly plan: ActionPlan,
    readonly when: When,
    readonly deps: ActionDeps,
  ) {}

  /** Does it in the name of the server. A failure is logged, kept for `info`, and thrown. */
  async run(args: unknown = this.plan.args): Promise<void> {
    const { uid, action } = this.plan;
    this.#calls++;
    try {
      const offered = this.when === "events" && this.plan.args === undefined;
      const lasting = this.when === "onload" || this.when === "onstart";
      const work = this.call({
        api: "",
        verb: "",
        args,
        offered,
        lasting,
        session: SERVER_SESSION,
      });
      const response = await within(ACTION_LIMIT, action, work);
      this.#pass(response);
      this.deps.log("info", `${this.when} ${uid}: ${action} done`);
    } catch (error) {
      this.failed(error);
      throw error;
    }
  }

  /** Nobody reads the reply: what it says of the arguments is for the operator. */
  #pass(response: unknown): void {
    if (this.plan.args === undefined || !isObject(response)) return;
    const notices: unknown[] = Array.isArray(response["notices"]) ? response["notices"] : [];
    for (const notice of notices)
      this.deps.log("notice", `${this.when} ${this.plan.uid}: ${this.plan.action}: ${notice}`);
  }

  failed(error: unknown): void {
    this.#failures++;
    this.#lastFailure = error instanceof Error ? error.message : String(error);
    this.deps.log(
      "error",
      `${this.when} ${this.plan.uid}: ${this.plan.action}: ${this.#lastFailure}`,
    );
  }

  /** Does it as `request` asks, in the name of its caller. */
  async call(request: Request): Promise<unknown> {
    const { target, action } = this.plan;
    if (target.kind === "api") {
      return this.deps.invoke({ ...request, api: target.api, verb: target.verb });
    }
    const called = this.deps.findFunction(target.plugin, target.name);
    if (!called) throw new AfbError("not-available", `${action}: there is no such function`);
    const work = Promise.try(() => called(request.args, this.#context(request)));
    return within(ACTION_LIMIT, action, work);
  }

  /** What has come of it, for `info`. */
  describe() {
    const { uid, action } = this.plan;
    return {
      uid,
      when: this.when,
      action,
      calls: this.#calls,
      failures: this.#failures,
      ...(this.#lastFailure !== undefined && { failure: this.#lastFailure }),
    };
  }

  #context(request: Request): FunctionContext {
    const { api, invoke, log } = this.deps;
    // It may keep the context for longer than the call.
    // And what of its calls becomes the reply is for the function to say.
    const { answered: _, ended: __, bytes: ___, live: ____, ...own } = request;
    return {
      api,
      // Its arguments are the function's own.
      call: (name, verb, args) => invoke({ ...own, offered: false, api: name, verb, args }),
      log,
    };
  }
}

/**
 * What a plugin is: a TypeScript or JavaScript module that exports `encoders`, `functions`, or both, by name, or has an
 * object of them as its default export. A plugin needs nothing but this type, and that only to be checked:
 *
 *     import type { Plugin } from "spawnbox/src/plugins/plugin.ts";
 *     export const encoders: Plugin["encoders"] = { … };
 */
import type { Emit, Encoding } from "../encoders/encoder.ts";

export type { Emit, Encoding, Fields } from "../encoders/encoder.ts";

/**
 * As a built-in encoder; see src/encoders/encoder.ts. What it throws becomes the error of that task alone. Its fields have other
 * names than what the server says of a task: type, api, sandbox, command, pid, status, plan.
 */
export interface PluginEncoder {
  /** true: the reply comes at the end and carries the fields of `end()`; false, the default: data events. */
  readonly synchronous?: boolean;
  /** Checks options at boot: one message per problem, each naming the option. Without it none are taken. */
  check?(opts: Record<string, unknown>): string[];
  /** A task starts. Throwing refuses the start. */
  begin(opts: Record<string, unknown>, emit: Emit): Encoding;
}

export interface FunctionContext {
  /** The API whose config names the function. */
  readonly api: string;
  /** Calls any verb of this server; rejects with what the error reply says. In the name of whoever called. */
  call(api: string, verb: string, args?: unknown): Promise<unknown>;
  /** Tells the operator. */
  log(level: "error" | "warning" | "notice" | "info" | "debug", text: string): void;
}

/**
 * A function of `plugin://uid#name`. What it returns, or its promise, is the response. An error it throws is the reply;
 * with a `code` of −1000 or below and a word as `status` it is told as that.
 */
export type PluginFunction = (args: unknown, context: FunctionContext) => unknown;

export interface Plugin {
  readonly encoders?: Readonly<Record<string, PluginEncoder>>;
  readonly functions?: Readonly<Record<string, PluginFunction>>;
}

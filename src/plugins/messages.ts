/**
 * What the server and the thread of a plugin tell each other. What comes from code of the plugin comes as JSON: nothing of it is
 * evaluated by the server, and what the plugin goes on to do with its objects changes nothing.
 */

import type { MessagePort } from "node:worker_threads";
import { isTooDeep } from "../json.ts";
import type { Level } from "../log.ts";

/** An error of a plugin, or of the server, on the other side. */
export interface Failure {
  readonly message: string;
  /** Of a function's own kind: see PluginFunction. */
  readonly code?: number;
  readonly status?: string;
}

/** Also of what cannot be told, such as an object without a prototype: whoever waits for an answer must get one. */
export function failureOf(error: unknown): Failure {
  return attempt(() => told(error)) ?? { message: UNTELLABLE };
}

export function textOf(error: unknown): string {
  return attempt(() => saidBy(error)) ?? UNTELLABLE;
}

/** Of an object that is thrown in place of an error, what is in it: `[object Object]` says nothing. */
function saidBy(error: unknown): string {
  const said = String(error);
  if (typeof error !== "object" || error === null || !/^\[object \w+\]$/.test(said)) return said;
  if ("message" in error && typeof error.message === "string") return error.message;
  return attempt(() => JSON.stringify(error).slice(0, SHOWN)) ?? said;
}

/** Characters of it. */
const SHOWN = 1000;

const UNTELLABLE = "it has thrown something that cannot be told";

function attempt<T>(tell: () => T): T | undefined {
  try {
    return tell();
  } catch {
    return undefined;
  }
}

function told(error: unknown): Failure {
  if (!(error instanceof Error)) return { message: saidBy(error) };
  const message = String(error.message);
  const code = "code" in error && typeof error.code === "number" ? error.code : undefined;
  const status = "status" in error && typeof error.status === "string" ? error.status : undefined;
  return { message, ...(code !== undefined && { code }), ...(status !== undefined && { status }) };
}

/** What JSON tells of a value; undefined where that is nothing. @throws TypeError where it cannot be told */
export function jsonOf(value: unknown): string | undefined {
  const text = JSON.stringify(value) as string | undefined;
  if (text !== undefined && isTooDeep(text)) throw new TypeError("it is nested too deep");
  return text;
}

export const valueOf = (json: string | undefined): unknown =>
  json === undefined ? undefined : JSON.parse(json);

export function errorOf({ message, ...more }: Failure): Error {
  return Object.assign(new Error(message), more);
}

type Opts = Record<string, unknown>;

/** Answered by `done` or `failed` with the same id. */
export type Asked =
  /** Whether the thread still turns. */
  | { readonly kind: "ping" }
  /** Once the modules are loaded: {@link Contents}. */
  | { readonly kind: "contents" }
  | { readonly kind: "check"; readonly encoder: string; readonly opts: Opts }
  /** Once in a thread: each task has its own. */
  | { readonly kind: "begin"; readonly encoder: string; readonly opts: Opts }
  | { readonly kind: "stdout" | "stderr"; readonly chunk: Uint8Array }
  | { readonly kind: "end" }
  | {
      readonly kind: "call";
      readonly name: string;
      readonly args: unknown;
      readonly api: string;
      /** Names what the function may do; until `released`. */
      readonly context: number;
    };

export type ToThread =
  | (Asked & { readonly id: number })
  /** The clients can take more: of an `events`. */
  | { readonly kind: "sent"; readonly batch: number }
  /** Of an `invoke`. */
  | { readonly kind: "answer"; readonly invoke: number; readonly json: string | undefined }
  | { readonly kind: "refused"; readonly invoke: number; readonly failure: Failure };

/** What the modules have. */
export interface Contents {
  readonly encoders: readonly {
    readonly name: string;
    readonly synchronous: boolean;
    readonly checks: boolean;
  }[];
  readonly functions: readonly string[];
  /** Absolute paths of all that was loaded for them. */
  readonly modules: readonly string[];
}

export type FromThread =
  /** json: undefined where there is nothing. */
  | { readonly kind: "done"; readonly id: number; readonly json: string | undefined }
  | { readonly kind: "failed"; readonly id: number; readonly failure: Failure }
  | { readonly kind: "events"; readonly batch: number; readonly list: readonly string[] }
  | {
      readonly kind: "invoke";
      readonly invoke: number;
      readonly context: number;
      readonly api: string;
      readonly verb: string;
      readonly json: string | undefined;
    }
  | {
      readonly kind: "log";
      readonly context: number;
      readonly level: Level;
      readonly text: string;
    }
  | { readonly kind: "released"; readonly context: number }
  /** It has called process.exit(). */
  | { readonly kind: "exits" }
  /** An error that nobody caught. */
  | { readonly kind: "stray"; readonly text: string };

/** What a thread is made with. */
export interface ThreadData {
  readonly port: MessagePort;
  /** A number that counts what the thread has told: for who waits without turning. */
  readonly told: Int32Array;
  readonly files: readonly string[];
}

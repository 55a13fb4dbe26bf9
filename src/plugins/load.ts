/** Modules from disk → checked plugins. */
import { statSync } from "node:fs";
import { createRequire } from "node:module";
import { isObject } from "../config/conform.ts";
import type { PluginPlan } from "../plan/plan.ts";
import { guardStrays } from "./stray.ts";
import type { Plugin, PluginEncoder, PluginFunction } from "./plugin.ts";
import { trusted } from "../config/trust.ts";

export interface LoadedPlugin {
  readonly uid: string;
  readonly encoders: ReadonlyMap<string, PluginEncoder>;
  readonly functions: ReadonlyMap<string, PluginFunction>;
}

/** Works for an absolute path in the compiled executable too, which brings the TypeScript loader along. */
const require = createRequire(import.meta.url);

interface Loaded {
  /** Tells whether the file has changed since. */
  readonly stamp: string;
  readonly plugin: Plugin;
}
/** By path: all who name a module share it, and a reload takes one anew only when it has changed. */
const modules = new Map<string, Loaded>();
let generation = 0;

/** @throws Error naming the file and what is wrong with it */
export function loadPlugin({ uid, files }: PluginPlan): LoadedPlugin {
  const encoders = new Map<string, PluginEncoder>();
  const functions = new Map<string, PluginFunction>();
  for (const file of files) {
    const plugin = loadModule(trusted(file, process.geteuid?.() ?? 0));
    add(encoders, plugin.encoders, `${file}: the encoder`);
    add(functions, plugin.functions, `${file}: the function`);
  }
  return { uid, encoders, functions };
}

function add<T>(to: Map<string, T>, from: Readonly<Record<string, T>> | undefined, what: string) {
  for (const [name, one] of Object.entries(from ?? {})) {
    if (to.has(name))
      throw new Error(`${what} \`${name}\` is in another module of this plugin too`);
    to.set(name, one);
  }
}

function loadModule(file: string): Plugin {
  const { dev, ino, size, mtimeMs } = statSync(file);
  const stamp = [dev, ino, size, mtimeMs].join();
  const known = modules.get(file);
  if (known?.stamp === stamp) return known.plugin;
  guardStrays(file);
  let module: unknown;
  try {
    // A name of its own for each generation: one that once failed would else fail for ever.
    module = require(`${file}?${++generation}`);
  } catch (error) {
    throw new Error(`${file}: ${reason(error)}`, { cause: error });
  }
  const plugin = checked(module, file);
  modules.set(file, { stamp, plugin });
  return plugin;
}

function reason(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(String).join("; ");
  const text = error instanceof Error ? error.message : String(error);
  return text.includes("async module") ? "uses await at its top level, which plugins cannot" : text;
}

function checked(module: unknown, file: string): Plugin {
  const fail = (message: string): never => {
    throw new Error(`${file}: ${message}`);
  };
  if (!isObject(module)) return fail("is not a module");
  const exported = isObject(module["default"]) ? module["default"] : module;
  const { encoders = {}, functions = {} } = exported;
  if (!isObject(encoders)) return fail("`encoders` must be an object: {name: encoder}");
  if (!isObject(functions)) return fail("`functions` must be an object: {name: function}");
  if (Object.keys({ ...encoders, ...functions }).length === 0) {
    return fail("exports neither `encoders` nor `functions`");
  }
  return {
    encoders: Object.fromEntries(
      Object.entries(encoders).map(([name, one]) =>
        isEncoder(one) ? [name, one] : fail(`encoders.${name} has no function \`begin\``),
      ),
    ),
    functions: Object.fromEntries(
      Object.entries(functions).map(([name, one]) =>
        isFunction(one) ? [name, one] : fail(`functions.${name} is not a function`),
      ),
    ),
  };
}

const isEncoder = (value: unknown): value is PluginEncoder =>
  typeof value === "object" &&
  value !== null &&
  "begin" in value &&
  typeof value.begin === "function";
const isFunction = (value: unknown): value is PluginFunction => typeof value === "function";

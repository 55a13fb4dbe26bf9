/** Modules from disk → a checked plugin. This happens in a thread of the plugin's, never in the server's own. */
import { pathToFileURL } from "node:url";
import type { Plugin, PluginEncoder, PluginFunction } from "./plugin.ts";
import { isObject } from "../object.ts";

export interface Module {
  readonly encoders: ReadonlyMap<string, PluginEncoder>;
  readonly functions: ReadonlyMap<string, PluginFunction>;
}

/**
 * Works for an absolute path in the compiled executable too, which brings the TypeScript loader along.
 * @throws Error naming the file and what is wrong with it
 */
export async function loadModules(files: readonly string[]): Promise<Module> {
  const encoders = new Map<string, PluginEncoder>();
  const functions = new Map<string, PluginFunction>();
  for (const file of files) {
    const plugin = await loadModule(file);
    add(encoders, plugin.encoders, `${file}: the encoder`);
    add(functions, plugin.functions, `${file}: the function`);
  }
  return { encoders, functions };
}

function add<T>(to: Map<string, T>, from: Readonly<Record<string, T>> | undefined, what: string) {
  for (const [name, one] of Object.entries(from ?? {})) {
    if (to.has(name))
      throw new Error(`${what} \`${name}\` is in another module of this plugin too`);
    to.set(name, one);
  }
}

async function loadModule(file: string): Promise<Plugin> {
  let module: unknown;
  try {
    module = await import(pathToFileURL(file).href);
  } catch (error) {
    throw new Error(`${file}: ${reason(error)}`, { cause: error });
  }
  return checked(module, file);
}

function reason(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(placed).join("; ");
  return placed(error);
}

/** With its line, where the runtime could not read it: it may be in a file that is imported. */
function placed(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  if (!(error instanceof BuildMessage) || !error.position) return message;
  const { file, line, column } = error.position;
  return `${message}, in ${file}:${line}:${column}`;
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

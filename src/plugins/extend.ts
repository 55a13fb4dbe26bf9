/** What a config has besides its sandboxes: plugins, their encoders, and actions. Handed to the compiler of plans. */
import { suggestion } from "../config/nearest.ts";
import { element } from "../config/place.ts";
import type { Config } from "../config/schema.ts";
import { encoderNames, findEncoder } from "../encoders/catalogue.ts";
import type { CheckEncoder, Extend } from "../plan/compile.ts";
import type { PluginPlan } from "../plan/plan.ts";
import type { Report } from "../plan/report.ts";
import { compileActions } from "./actions.ts";
import { findModule } from "./find.ts";
import { type LoadedPlugin, loadPlugin } from "./load.ts";

/** Knows the built-in encoders only. */
export const checkEncoder: CheckEncoder = (...args) => checker(new Map())(...args);

export const extend: Extend = (loaded, { all, expand, report }) => {
  const plans: PluginPlan[] = [];
  const plugins = new Map<string, LoadedPlugin | undefined>();
  for (const [i, plugin] of (loaded.config.plugins ?? []).entries()) {
    const path = element("plugins", i);
    if (plugins.has(plugin.uid)) {
      report.problem(`${path}.uid`, `duplicate plugin uid \`${plugin.uid}\``);
      continue;
    }
    const plan = planOf(plugin, path, loaded.file, expand, report);
    plugins.set(plugin.uid, plan && report.attempt(`${path}.libs`, () => loadPlugin(plan)));
    if (plan) plans.push(plan);
  }
  return {
    plugins: plans,
    actions: compileActions(loaded, { all, plugins, expand, report }),
    checkEncoder: checker(plugins),
  };
};

/** Of several libs the first that is found is loaded. */
function planOf(
  { uid, spath, libs }: NonNullable<Config["plugins"]>[number],
  path: string,
  file: string,
  expand: (text: string) => string,
  report: Report,
): PluginPlan | undefined {
  const reasons: [string, string][] = [];
  for (const [i, lib] of libs.entries()) {
    try {
      const found = findModule(expand(lib), spath === undefined ? undefined : expand(spath), file);
      // What cannot be loaded here may stand before what replaces it.
      for (const [at, why] of reasons) report.notice(at, `${why}; loaded is ${found}`);
      return { uid, files: [found] };
    } catch (error) {
      reasons.push([
        element(`${path}.libs`, i),
        error instanceof Error ? error.message : String(error),
      ]);
    }
  }
  for (const [at, why] of reasons) report.problem(at, why);
  if (libs.length === 0) report.problem(`${path}.libs`, "names no module");
  return undefined;
}

function checker(plugins: ReadonlyMap<string, LoadedPlugin | undefined>): CheckEncoder {
  return (name, plugin, opts, directory) => {
    if (plugin === undefined) {
      const encoder = findEncoder(name);
      const { opts: own, notices } = encoder?.adapt?.(opts, directory) ?? { opts, notices: [] };
      return { problems: checkBuiltin(name, own, plugins), notices, opts: own };
    }
    return { problems: checkPlugin(name, plugin, opts, plugins), notices: [], opts };
  };
}

function checkPlugin(
  name: string,
  plugin: string,
  opts: Record<string, unknown>,
  plugins: ReadonlyMap<string, LoadedPlugin | undefined>,
): string[] {
  if (!plugins.has(plugin)) {
    const known = [...plugins.keys()].join(", ") || "none";
    return [
      `unknown plugin \`${plugin}\`${suggestion(plugin, plugins.keys())} (there is ${known})`,
    ];
  }
  const encoders = plugins.get(plugin)?.encoders;
  // It could not be loaded, which is told already.
  if (!encoders) return [];
  const encoder = encoders.get(name);
  if (encoder) return encoder.checkNow(opts);
  const known = [...encoders.keys()].join(", ") || "none";
  return [
    `the plugin ${plugin} has no encoder \`${name}\`${suggestion(name, encoders.keys())} (it has ${known})`,
  ];
}

function checkBuiltin(
  name: string,
  opts: Record<string, unknown>,
  plugins: ReadonlyMap<string, LoadedPlugin | undefined>,
): string[] {
  const encoder = findEncoder(name);
  if (encoder) return encoder.check(opts);
  const provider = [...plugins].find(([, plugin]) => plugin?.encoders.has(name));
  if (provider) {
    return [
      `the encoder \`${name}\` is one of the plugin ${provider[0]}: add "plugin": "${provider[0]}"`,
    ];
  }
  return [
    `unknown encoder \`${name}\`${suggestion(name, encoderNames()) || ";"} one of ${encoderNames().join(", ")}`,
  ];
}

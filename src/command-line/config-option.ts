/** Where the configs are: --config, else AFB_SPAWN_CONFIG. */
import type { Options } from "../manual/options.ts";

export function configSpec(
  option: string | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  return option || env["AFB_SPAWN_CONFIG"] || undefined;
}

export const CONFIG = {
  config: {
    argument: "PATH[:PATH...]",
    text: "config files or directories; of a directory, every spawn-*.json in it; repeatable",
    path: "file",
    // With the first of two left out, half of what is meant would be served, without a word.
    joined: ":",
  },
} as const satisfies Options;

export const SOURCE = {
  ...CONFIG,
  plan: {
    argument: "FILE",
    text: "plans made by spawnbox compile, instead of configs",
    path: "file",
    // Such a file has the plans of several configs: the first of two would be left out.
    once: true,
  },
} as const satisfies Options;

/** What to serve: configs to compile, or plans compiled before. */
export interface Source {
  readonly kind: "config" | "plan";
  readonly path: string;
}

/** Undefined when nothing is named. @throws TypeError, which is wrong usage, when both are */
export function sourceOf(
  config: string | undefined,
  plan: string | undefined,
  env?: Readonly<Record<string, string | undefined>>,
): Source | undefined {
  if (plan) {
    if (config) throw new TypeError("give either configs or --plan FILE, not both");
    return { kind: "plan", path: plan };
  }
  const spec = configSpec(config, env);
  return spec ? { kind: "config", path: spec } : undefined;
}

/** @throws TypeError, which is wrong usage, when nothing is named, or both are */
export function neededSource(
  config: string | undefined,
  plan: string | undefined,
  env?: Readonly<Record<string, string | undefined>>,
): Source {
  const source = sourceOf(config, plan, env);
  if (source) return source;
  throw new TypeError("no config: give --config PATH, or set AFB_SPAWN_CONFIG");
}

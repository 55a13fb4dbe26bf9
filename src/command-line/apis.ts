/** From what --config or --plan names to plans, as `serve`, `run`, `check` and `explain` need it. */
import { loadConfigs } from "../config/load.ts";
import { compile } from "../plan/compile.ts";
import { type Machine, thisMachine } from "../plan/machine.ts";
import type { ApiPlan } from "../plan/plan.ts";
import { checkEncoder, extend } from "../plugins/extend.ts";
import type { Source } from "./config-option.ts";
import { readPlanFile } from "../plan/stored.ts";

/** @throws ConfigError with every problem of every config */
export function compileConfigs(spec: string, machine: Machine = thisMachine()): ApiPlan[] {
  return compile(loadConfigs(spec), { machine, checkEncoder, extend });
}

/** @throws ConfigError with every problem */
export const apisOf = (source: Source, machine?: Machine): ApiPlan[] =>
  apisOfAll([source], machine);

/** The configs of several sources are compiled together, since one may require an API of another. @throws ConfigError */
export function apisOfAll(sources: readonly Source[], machine?: Machine): ApiPlan[] {
  const configs = sources.filter(({ kind }) => kind === "config").map(({ path }) => path);
  return [
    ...(configs.length > 0 ? compileConfigs(configs.join(":"), machine) : []),
    ...sources
      .filter(({ kind }) => kind === "plan")
      .flatMap(({ path }) => readPlanFile(path, machine)),
  ];
}

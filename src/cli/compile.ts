/** From what --config or --plan names to plans, as `serve`, `run`, `check` and `explain` need it. */
import { loadConfigs } from "../config/load.ts";
import { suggestion } from "../config/nearest.ts";
import { encoderNames, findEncoder } from "../encoders/catalogue.ts";
import { type CheckEncoder, compile } from "../plan/compile.ts";
import { thisMachine } from "../plan/machine.ts";
import type { ApiPlan } from "../plan/plan.ts";
import type { Source } from "./config-option.ts";
import { readPlanFile } from "./plan-file.ts";

export const checkEncoder: CheckEncoder = (name, plugin, opts) => {
  if (plugin !== undefined) return ["encoder plugins are not supported yet"];
  const encoder = findEncoder(name);
  if (encoder) return encoder.check(opts);
  return [
    `unknown encoder \`${name}\`${suggestion(name, encoderNames())} one of ${encoderNames().join(", ")}`,
  ];
};

/** @throws ConfigError with every problem of every config */
export function compileConfigs(spec: string): ApiPlan[] {
  return compile(loadConfigs(spec), { machine: thisMachine(), checkEncoder });
}

/** @throws ConfigError with every problem */
export const apisOf = (source: Source): ApiPlan[] =>
  source.kind === "plan" ? readPlanFile(source.path) : compileConfigs(source.path);

/** From what --config names to plans, as `serve`, `run` and `check` need it. */
import { loadConfigs } from "../config/load.ts";
import { suggestion } from "../config/nearest.ts";
import { encoderNames, findEncoder } from "../encoders/catalogue.ts";
import { type CheckEncoder, compile } from "../plan/compile.ts";
import { thisMachine } from "../plan/machine.ts";
import type { ApiPlan } from "../plan/plan.ts";

const checkEncoder: CheckEncoder = (name, plugin, opts) => {
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

/** Compiles configs written in a test, on a machine that is this one but for what the test says. */
import { ConfigError } from "../../src/config/problem.ts";
import { normalize } from "../../src/config/normalize.ts";
import { compile } from "../../src/plan/compile.ts";
import { type Machine, thisMachine } from "../../src/plan/machine.ts";
import type { ApiPlan, Plan } from "../../src/plan/plan.ts";

export const asRoot: Partial<Machine> = { uid: 0, gid: 0, privileged: true };
export const asUser: Partial<Machine> = {
  uid: 65534,
  gid: 65534,
  groups: [65534],
  ambient: new Set(),
  noNewPrivs: false,
  privileged: false,
};

const command = { uid: "c", exec: { cmdpath: "/bin/sh" } };

/** Compiles one sandbox; its uid and command are given where it has none. @throws ConfigError */
export function compiled(
  sandbox: object,
  machine: Partial<Machine> = asRoot,
  more: object = {},
): ApiPlan {
  const raw = {
    metadata: { uid: "t", api: "t" },
    sandboxes: { uid: "s", commands: command, ...sandbox },
    ...more,
  };
  const { config, problems } = normalize(raw, "t.json");
  if (!config) throw new ConfigError(problems);
  const [api] = compile([{ file: "t.json", config }], {
    machine: { ...thisMachine(), ...machine },
    checkEncoder: (_name, _plugin, opts) => ({ problems: [], notices: [], opts }),
  });
  if (!api) throw new Error("nothing compiled");
  return api;
}

export function planOf(api: ApiPlan): Plan {
  const plan = api.sandboxes[0]?.plans[0];
  if (!plan) throw new Error("no plan");
  return plan;
}

/** What compiling refuses, as `path: message` lines. */
export function refused(sandbox: object, machine?: Partial<Machine>): string[] {
  try {
    compiled(sandbox, machine);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ path, message }) => `${path}: ${message}`);
  }
  throw new Error("it was accepted");
}

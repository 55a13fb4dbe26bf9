/** `imports` of configs → what is dialled, and what is called there. */
import { parseImport } from "../config/binder-uri.ts";
import { findCased } from "../cased.ts";
import { unnameable } from "../config/consistency.ts";
import type { LoadedConfig } from "../config/load.ts";
import { element } from "../config/place.ts";
import type { Problem } from "../config/problem.ts";
import type { Import } from "../config/schema.ts";
import { BUILTIN_API } from "../config/verbs.ts";
import type { Machine } from "./machine.ts";
import type { ApiPlan, ImportPlan } from "./plan.ts";
import type { Report } from "./report.ts";

/** What it is called here; undefined where the URI does not tell, which is told where it is compiled. */
export function importName({ uri, as, protocol = "rpc" }: Import): string | undefined {
  if (as !== undefined) return as;
  try {
    return parseImport(uri, protocol, false).imported[0]?.local;
  } catch {
    return undefined;
  }
}

/** @param expand replaces $NAME; throws when one is not set */
export function compileImports(
  { config }: LoadedConfig,
  { uid }: Pick<Machine, "uid">,
  expand: (text: string) => string,
  report: Report,
): ImportPlan[] {
  return (config.imports ?? []).flatMap((source, i) => {
    const path = element("imports", i);
    const plan = report.attempt(`${path}.uri`, () => importPlan(source, expand));
    if (!plan) return [];
    if (plan.private && plan.privileges.length > 0)
      report.problem(`${path}.privilege`, "no client calls what is private: remove one of both");
    else if (!plan.private && plan.privileges.length === 0 && !plan.verbs)
      report.notice(
        path,
        `whoever may call here may call all of ${plan.name} as ${uid === 0 ? "root" : "the user of this server"}: ` +
          "`privilege` asks callers for a permission, `verbs` names those that may be called, `private` leaves it to actions and extra verbs",
      );
    return [plan];
  });
}

function importPlan(source: Import, expand: (text: string) => string): ImportPlan {
  const { as, api, info, protocol = "rpc", privilege, verbs } = source;
  const uri = expand(source.uri);
  const named = as !== undefined || api !== undefined;
  const { address, imported } = parseImport(uri, protocol, named);
  const [inUri, ...more] = imported;
  if (more.length > 0) throw new Error("one API each: give another entry for another");
  if (as === undefined && source.uri.includes("$"))
    throw new Error("its name here cannot come from a variable: give `as`");
  const name = as ?? inUri?.local ?? api ?? "";
  const fault = unnameable(name);
  if (fault !== undefined) throw new Error(`the API ${JSON.stringify(name)} ${fault}`);
  return {
    name,
    remote: api ?? (inUri ? inUri.remote : name),
    ...{ speech: protocol, uri, address },
    ...(info !== undefined && { info }),
    ...(source.optional && { optional: true }),
    ...(source.private && { private: true }),
    privileges: privilege ? [privilege] : [],
    ...(verbs && { verbs }),
  };
}

/** What of the imports of several configs does not go together. Each API is called by one name, and is one. */
export function checkImports(apis: readonly ApiPlan[]): Problem[] {
  const own = [BUILTIN_API, ...apis.map(({ api }) => api)];
  const known = new Map<string, { plan: ImportPlan; where: string }>();
  const problems: Problem[] = [];
  for (const { file, imports = [] } of apis)
    for (const [i, plan] of imports.entries()) {
      const path = element("imports", i);
      const key = plan.name.toLowerCase();
      const before = known.get(key);
      if (findCased(plan.name, own) !== undefined)
        problems.push({
          file,
          path,
          message: `an API \`${plan.name}\` is here already: name it with \`as\``,
        });
      else if (!before) known.set(key, { plan, where: `${file}: ${path}` });
      else if (!isSame(before.plan, plan))
        problems.push({
          ...{ file, path },
          message: `\`${plan.name}\` is imported otherwise at ${before.where}: name it with \`as\`, or make both alike`,
        });
    }
  return problems;
}

const isSame = (one: ImportPlan, other: ImportPlan): boolean => Bun.deepEquals(one, other);

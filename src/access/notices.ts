/** What is worth knowing of an access and the configs together: privileges that nobody has, and grants of what is none. */
import { suggestion } from "../config/nearest.ts";
import { element } from "../config/place.ts";
import type { Problem } from "../config/problem.ts";
import type { ApiPlan } from "../plan/plan.ts";
import type { Access } from "./access.ts";

/** Where each privilege is first asked for, and by how many verbs. */
function neededBy({ sandboxes, actions }: ApiPlan): Map<string, { path: string; verbs: number }> {
  const needed = new Map<string, { path: string; verbs: number }>();
  const note = (privileges: readonly string[], path: string) => {
    for (const name of new Set(privileges)) {
      const known = needed.get(name);
      if (known) known.verbs++;
      else needed.set(name, { path, verbs: 1 });
    }
  };
  for (const [i, { plans, exec }] of sandboxes.entries()) {
    const path = element("sandboxes", i);
    for (const [j, plan] of plans.entries()) {
      note(plan.privileges, element(`${path}.commands`, j));
    }
    if (exec) note(exec.privileges, `${path}.exec`);
  }
  for (const [i, { privileges = [] }] of (actions?.extra ?? []).entries()) {
    note(privileges, element("extra", i));
  }
  return needed;
}

/** One for each privilege of each config that only root and the server's user have. */
export function ungranted(access: Access, apis: readonly ApiPlan[], uid: number): Problem[] {
  const who = uid === 0 ? "root" : `root and uid ${uid}`;
  return apis.flatMap((api) =>
    [...neededBy(api)]
      .filter(([name]) => !access.grants(name))
      .map(([name, { path, verbs }]) => ({
        file: api.file,
        path,
        message:
          `the privilege \`${name}\`, needed by ${verbs} verb${verbs === 1 ? "" : "s"}, is granted to nobody but ${who} over a unix socket: ` +
          "grant it in a file for --access FILE (spawnbox token makes a token), or give everybody everything with --access open",
      })),
  );
}

/** Grants to certificates, of a server that asks for none. */
export const unshown = (access: Access, file: string): Problem[] =>
  access.rules.flatMap(({ who }, i) => {
    if (who.kind !== "certificate") return [];
    const message = "nobody can show a certificate: say serve --tls-client-ca FILE, with TLS";
    return [{ file, path: `${element("grants", i)}.certificate`, message }];
  });

/** Grants of what no verb needs: most likely a slip. @param builtin privileges of the server itself */
export function unneeded(
  access: Access,
  file: string,
  apis: readonly ApiPlan[],
  builtin: readonly string[],
): Problem[] {
  if (access.serviceOnly) {
    const nothing =
      "does nothing: access is cynagora-only, and the permission service alone is asked";
    return access.rules.length > 0 ? [{ file, path: "grants", message: nothing }] : [];
  }
  const known = new Set([...apis.flatMap((api) => [...neededBy(api).keys()]), ...builtin]);
  return access.rules.flatMap(({ privileges }, i) =>
    (privileges === "all" ? [] : [...privileges])
      .filter((name) => !known.has(name))
      .map((name) => ({
        file,
        path: `${element("grants", i)}.privileges`,
        message: `no verb needs the privilege \`${name}\`${suggestion(name, known)}`,
      })),
  );
}

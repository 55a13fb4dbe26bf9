/** What is exported, looked up among what there is. */
import type { Registry } from "../api/registry.ts";
import { findCased } from "../cased.ts";
import { type Server, type Shown } from "../config/binder-uri.ts";
import { suggestion } from "../config/nearest.ts";

/** With the names that the APIs have here. Throws an Error for one that there is not. */
export function knownApis(
  { uri, exported }: Pick<Server, "uri" | "exported">,
  registry: Registry,
): Shown[] {
  const names = registry.list().map(({ api }) => api);
  return exported.map(({ local, remote }) => {
    if (local === "*") return { local, remote };
    const name = findCased(local, names);
    if (name !== undefined) return { local: name, remote };
    throw new Error(
      `${uri}: there is no API ${JSON.stringify(local)} to export${suggestion(local, names)} (${names.join(", ")})`,
    );
  });
}

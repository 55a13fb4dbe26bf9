/** Arguments that are writeOnly: shown to nobody, also not to who looks over a shoulder. */
import type { Json } from "./json.ts";
import type { Param } from "./model.ts";

/** Stands for what is given. */
const HIDDEN = "***";

export const isSecret = ({ schema }: Pick<Param, "schema">): boolean =>
  schema["writeOnly"] === true;

/** For what is shown and copied. */
export function hideSecrets(params: readonly Param[], args: Json): Json {
  const names = secretsOf(params);
  return Object.fromEntries(
    Object.entries(args).map(([name, value]) => [name, names.has(name) ? HIDDEN : value]),
  );
}

/** The other way round: what was shown, with the secrets that it stood for, as far as it still does. */
export function putSecrets(params: readonly Param[], shown: Json, given: Json): Json {
  const names = secretsOf(params);
  const isHidden = (name: string, value: unknown): boolean =>
    value === HIDDEN && names.has(name) && Object.hasOwn(given, name);
  return Object.fromEntries(
    Object.entries(shown).map(([name, value]) => [
      name,
      isHidden(name, value) ? given[name] : value,
    ]),
  );
}

const secretsOf = (params: readonly Param[]): ReadonlySet<string> =>
  new Set(params.filter(isSecret).map(({ name }) => name));

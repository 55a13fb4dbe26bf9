/** What the server says of arguments: each fault stands at its field, as far as it names one. */

export interface Faults {
  /** By name of the argument. */
  readonly at: ReadonlyMap<string, string>;
  /** Of none of them. */
  readonly rest: string;
}

/** @param info as of src/plan/argv.ts: `argument NAME: …; argument OTHER is missing`, names in backticks */
export function faultsOf(info: string, names: readonly string[]): Faults {
  const at = new Map<string, string>();
  const rest: string[] = [];
  for (const part of info.split(/; (?=argument `)/)) {
    const [, name] = /^argument `([^`]+)`/.exec(part) ?? [];
    if (name === undefined || !names.includes(name)) rest.push(part);
    else at.set(name, [at.get(name) ?? [], part].flat().join("; "));
  }
  return { at, rest: rest.join("; ") };
}

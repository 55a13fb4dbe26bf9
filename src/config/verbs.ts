/** How verbs get their names, and which names are taken. */

/** Verbs that every API has. */
export const BUILTIN_VERBS: readonly string[] = ["ping", "info"];
/** A built-in verb too, in APIs where a sandbox allows it. */
export const EXEC_VERB = "exec";
/** The API that is always there. */
export const BUILTIN_API = "monitor";

/**
 * The verb of a command: `prefix/uid`. An unset prefix is the sandbox's uid where there are several sandboxes, and
 * none where there is one; an empty prefix is none.
 */
export function verbOf(
  config: { readonly sandboxes: readonly unknown[] },
  sandbox: { readonly uid: string; readonly prefix?: string | undefined },
  command: { readonly uid: string },
): string {
  const prefix = sandbox.prefix ?? (config.sandboxes.length > 1 ? sandbox.uid : "");
  return prefix === "" ? command.uid : `${prefix}/${command.uid}`;
}

/** Which of the exported APIs a call is for. */
import type { Shown } from "../config/binder-uri.ts";

/** The API that is meant; undefined where it is none of these. @param asked undefined where none is named, as older importers do */
export function localApi(
  exported: readonly Shown[],
  asked: string | undefined,
): string | undefined {
  const [first, second] = exported;
  if (asked === undefined || asked === "") {
    const unnamed = exported.find(({ remote }) => remote === undefined);
    const only = unnamed ?? (second ? undefined : first);
    return only?.local === "*" ? undefined : only?.local;
  }
  const key = asked.toLowerCase();
  const found =
    exported.find(({ remote }) => remote?.toLowerCase() === key) ??
    exported.find(({ remote }) => remote === "*");
  return found?.local === "*" ? asked : found?.local;
}

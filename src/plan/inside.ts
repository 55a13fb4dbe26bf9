/** Where what lies on the host is for the commands of a sandbox. */
import { posix } from "node:path";
import type { Policy } from "./policy.ts";

/** Whether `path` is `above`, or below it. */
export const covers = (above: string, path: string): boolean =>
  above === "/" || path === above || path.startsWith(`${above}/`);

/** Those places as the commands of a sandbox see them. */
export function sharedInside({ mounts, sharedPlaces: places = [] }: Policy): string[] {
  if (!mounts) return [...places];
  return mounts.flatMap((step) => {
    if (step.kind !== "bind") return [];
    return places.flatMap((place) => {
      if (covers(place, step.source)) return [step.target];
      if (!covers(step.source, place)) return [];
      return [posix.join(step.target, posix.relative(step.source, place))];
    });
  });
}

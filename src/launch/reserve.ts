/**
 * Pools live on what requests leave over: of each supply half is kept for them, and what waits goes first when it runs short.
 * See {@link Pools.giveWay}.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Problem } from "../config/problem.ts";
import { isExhausted, isExhaustion } from "../errors.ts";
import type { ApiPlan, Plan } from "../plan/plan.ts";
import { type Capacity, MEMORY, POOL_SHARE, shares, type Supply } from "./capacity.ts";
import { descriptors, groupProcesses, ourGroups, supplies } from "./supplies.ts";
import { LaunchError } from "./task.ts";

/** So many sandboxes may wait; 0 where half of a supply is in use. @param waiting those that wait now, and are counted as used */
export function poolCapacity(all: readonly Supply[], waiting = 0): Capacity {
  const halves = all.map((supply) => {
    const { total, used, each } = supply;
    // Memory is that of the commands to come, so what others use of it now is not held against them.
    const others = supply.name === MEMORY ? 0 : used - waiting * each;
    return { supply, fit: Math.floor((total * POOL_SHARE - others) / each) };
  });
  const [least] = halves.toSorted((a, b) => a.fit - b.fit);
  return { launches: Math.max(least?.fit ?? Infinity, 0), scarcest: least?.supply };
}

/** Tells whether one more may wait. It is asked before each is made, so the groups are found beforehand. */
export function roomToWait(groups = ourGroups()): () => boolean {
  const limited = groups.filter((group) => existsSync(join(group, "pids.max")));
  return () =>
    told(
      () =>
        [descriptors(), ...groupProcesses(limited)].every(
          ({ used, each, total }) => used + each <= total * POOL_SHARE,
        ),
      false,
    );
}

/** Requests will soon want what is in use by what waits: their own part of the descriptors is used up. */
export function isScarce(): boolean {
  return told(() => {
    const { used, total, share } = descriptors();
    return used > total * share;
  }, true);
}

/** @param scarce where nothing is left of it not even to look at it */
function told<T>(look: () => T, scarce: T): T {
  try {
    return look();
  } catch (error) {
    if (!isExhausted(error)) throw error;
    return scarce;
  }
}

/** A launch failed for want of what waiting sandboxes hold, too. */
export const wantsRoom = (error: unknown): boolean =>
  error instanceof LaunchError && isExhaustion(error.errno);

/** Of each plan of which sandboxes are to wait, how many may. @param waiting see {@link poolCapacity} */
export function poolSizes(apis: readonly ApiPlan[], waiting: number): ReadonlyMap<Plan, number> {
  const plans = apis.flatMap(pooled);
  if (plans.length === 0) return new Map();
  // Where it cannot be told, each is asked about when it is made, see roomToWait.
  const all = told(supplies, []);
  return sizesOf(plans, poolCapacity(all, waiting));
}

function sizesOf(plans: readonly Plan[], { launches }: Capacity): ReadonlyMap<Plan, number> {
  const sizes = shares(plans.map(wantedOf), launches);
  return new Map(plans.map((plan, i) => [plan, sizes[i] ?? 0]));
}

const pooled = ({ sandboxes }: ApiPlan): Plan[] =>
  sandboxes.flatMap(({ plans }) => plans.filter(({ pool }) => pool !== undefined));

const wantedOf = ({ pool }: Plan): number => pool?.size ?? 0;

/** Of each file whose pools will not fill, why. */
export function poolNotices(apis: readonly ApiPlan[]): Problem[] {
  const plans = apis.flatMap(pooled);
  if (plans.length === 0) return [];
  const most = poolCapacity(supplies());
  const sizes = sizesOf(plans, most);
  return apis.flatMap((api): Problem[] => {
    const wanted = pooled(api).reduce((sum, plan) => sum + wantedOf(plan), 0);
    const ready = pooled(api).reduce((sum, plan) => sum + (sizes.get(plan) ?? 0), 0);
    if (!most.scarcest || ready >= wanted) return [];
    const { name, limit, total, used, each } = most.scarcest;
    const message =
      `"pool" asks for ${wanted} sandboxes that wait, and ${ready} will: each takes ${each} ${name}, and of the ${total} by ${limit} ` +
      `${used} are in use and half is for requests. Raise it, or ask for fewer`;
    return [{ file: api.file, path: "sandboxes", message }];
  });
}

/** How a server launches: with the cgroups, the memfds and the warm sandboxes of the plans it serves now. */
import { existsSync } from "node:fs";
import { boundingOf } from "../plan/bounding.ts";
import { cgroupKey, groupsNeeded } from "../plan/cgroup-key.ts";
import { type ApiPlan, launchable, type Plan } from "../plan/plan.ts";
import type { Notice } from "../plan/report.ts";
import { ConfigError, type Problem } from "../config/problem.ts";
import { type CgroupRoot, openCgroups, type TaskGroup } from "./cgroup.ts";
import { expectBounding } from "./agent.ts";
import { createLaunch } from "./launch.ts";
import { releaseOps } from "./launcher.ts";
import { Pools } from "./pool.ts";
import { poolNotices } from "./reserve.ts";
import { secretNotices } from "./secrets.ts";
import type { Launch } from "./task.ts";
import { MOST_TRIED, tryApis, withoutGroups } from "./trial.ts";
import { errorLine } from "../unexpected.ts";

export interface Preparing {
  /** They are to be served: each different sandbox is tried up to the exec (see trial.ts), and pools are to fill. */
  readonly trial?: boolean;
  /** Only to know: nothing of the host is changed for longer than that takes. */
  readonly lookOnly?: boolean;
}

/** What plans need to be launched: made, and not used yet. One of both is to be called, once. */
export interface Preparation {
  /** The plans, without what may be missing and is. */
  readonly apis: ApiPlan[];
  /** What will not be limited or not be there, as `optional` allows, and which pools will not fill. */
  readonly notices: readonly Problem[];
  /** Launches from now on use it. What was for other plans goes, the groups with their last task. */
  use(): void;
  /** It is not needed after all. */
  drop(): void;
}

export class Launching {
  /** The groups of the plans served now; undefined where they need none. */
  #root: CgroupRoot | undefined;
  /** What the plans served now leave in the bounding set. */
  #bounding = 0n;
  /** Those before, with tasks in them. */
  readonly #retired = new Set<CgroupRoot>();
  readonly #pools = new Pools((plan) => this.#group(cgroupKey(plan)));
  readonly #launch = createLaunch({ begin: (key, isNew) => this.#group(key, isNew) }, this.#pools);

  readonly launch: Launch = (...launching) => this.#launch(...launching);

  /**
   * Makes the groups of these plans, and tries them.
   * @throws ConfigError with every limit and sandbox that cannot be had; nothing has changed then
   */
  async prepare(
    apis: readonly ApiPlan[],
    { trial = false, lookOnly = false }: Preparing = {},
  ): Promise<Preparation> {
    const bounding = apis
      .flatMap(plansOf)
      .reduce((all, { policy }) => all | boundingOf(policy), 0n);
    const needed = groupsNeeded(apis);
    const root = needed.length > 0 ? await openCgroups(needed, { lookOnly }) : undefined;
    expectBounding(this.#bounding | bounding);
    const grouped = withoutGroups(apis, root?.missing ?? new Map());
    const limits = [...(root?.notices ?? []), ...grouped.notices];
    const tried = trial
      ? await tryApis(grouped.apis, (key) => root?.begin(key), {
          most: lookOnly ? Infinity : MOST_TRIED,
          isReady: (plan) => !lookOnly || areSourcesThere(plan),
        })
      : undefined;
    if (tried && tried.problems.length > 0) {
      expectBounding(this.#bounding);
      await root?.close();
      throw new ConfigError(tried.problems, [...limits, ...tried.notices]);
    }
    const left = [...(tried?.apis ?? grouped.apis)];
    return {
      apis: left,
      notices: [
        ...limits,
        ...(tried ? [...tried.notices, ...poolNotices(left), ...secretNotices(left)] : []),
      ],
      use: () => {
        this.#retire(this.#root);
        this.#root = root;
        expectBounding((this.#bounding = bounding));
        releaseOps(new Set(apis.flatMap(opsOf)));
      },
      drop: () => {
        expectBounding(this.#bounding);
        this.#retire(root);
      },
    };
  }

  /** From now on sandboxes are kept ready for these plans, and for no others: once they are served. */
  keepReady(apis: readonly ApiPlan[]): void {
    this.#pools.serve(apis);
  }

  /** Sandboxes that wait for a call. */
  get ready(): number {
    return this.#pools.ready;
  }

  /** Kills what is left and removes all groups. */
  async close(): Promise<void> {
    await this.#pools.close();
    const roots = [...this.#retired, ...(this.#root ? [this.#root] : [])];
    await Promise.all(roots.map((root) => root.close()));
  }

  #retire(root: CgroupRoot | undefined): void {
    if (!root) return;
    this.#retired.add(root);
    root.retire().then(
      () => this.#retired.delete(root),
      (error: unknown) => console.error(`a cgroup of before is left: ${errorLine(error)}`),
    );
  }

  #group(key: string, isNew?: boolean): TaskGroup | undefined {
    return this.#root?.begin(key, isNew);
  }
}

/** Not those that a start would make (`autocreate`), for who only looks. */
const areSourcesThere = ({ policy }: Plan): boolean =>
  (policy.mounts ?? []).every(
    (step) => step.kind !== "bind" || step.optional || existsSync(step.source),
  );

const plansOf = ({ sandboxes }: ApiPlan): Plan[] => sandboxes.flatMap(launchable);

const opsOf = (api: ApiPlan): Uint8Array[] =>
  plansOf(api).flatMap(({ ops, pool }) => [ops, ...(pool ? [pool.ops] : [])]);

/** Adds notices found at run time to those of the plans they are about. */
export function withNotices(apis: readonly ApiPlan[], found: readonly Problem[]): ApiPlan[] {
  return apis.map((api) => {
    const own = found.filter(({ file }) => file === api.file || file === "");
    return {
      ...api,
      notices: [...api.notices, ...own.map(({ path, message }): Notice => ({ path, message }))],
    };
  });
}

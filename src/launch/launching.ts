/** How a server launches: with the cgroups of the plans it serves now. */
import { cgroupKey, groupsNeeded } from "../plan/cgroup-key.ts";
import type { ApiPlan, Notice } from "../plan/plan.ts";
import type { Problem } from "../config/problem.ts";
import { type CgroupRoot, openCgroups, type TaskGroup } from "./cgroup.ts";
import { createLaunch } from "./launch.ts";
import { Pools } from "./pool.ts";
import type { Launch } from "./task.ts";

export class Launching {
  /** The groups of the plans served now are the last; tasks of earlier plans may still be in the others. */
  readonly #roots: CgroupRoot[] = [];
  readonly #pools = new Pools((plan) => this.#group(cgroupKey(plan)));
  readonly #launch = createLaunch({ begin: (key) => this.#group(key) }, this.#pools);

  readonly launch: Launch = (...launching) => this.#launch(...launching);

  /**
   * Makes the groups of these plans; launches from now on use them. Returns what will not be limited, as `optional` allows.
   * @throws ConfigError with every limit that cannot be had; nothing has changed then
   */
  async use(apis: readonly ApiPlan[]): Promise<readonly Problem[]> {
    const needed = groupsNeeded(apis);
    if (needed.length === 0 && this.#roots.length === 0) return [];
    const root = await openCgroups(needed);
    this.#roots.push(root);
    return root.notices;
  }

  /** From now on sandboxes are kept ready for these plans, and for no others: once they are served. */
  keepReady(apis: readonly ApiPlan[]): void {
    this.#pools.serve(apis);
  }

  /** Kills what is left and removes all groups. */
  async close(): Promise<void> {
    await this.#pools.close();
    await Promise.all(this.#roots.splice(0).map((root) => root.close()));
  }

  #group(key: string): TaskGroup | undefined {
    return this.#roots.at(-1)?.begin(key);
  }
}

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

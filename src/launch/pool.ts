/**
 * Warm sandboxes: launches that have done everything but the filter and the exec, so that a request costs a write and an exec.
 * Each is used once, and another is made behind it. Where none is ready, a request is launched as without a pool.
 */
import type { ApiPlan, Plan } from "../plan/plan.ts";
import type { TaskGroup } from "./cgroup.ts";
import { LaunchedTask } from "./launched.ts";
import { surroundingsOf } from "./surroundings.ts";
import type { OutputSink } from "./task.ts";
import { wordsOf } from "./words-pipe.ts";

/** ms after a request: making another takes a core for a moment, which belongs to that request. */
const REFILL = 5;
/** ms. What could not be looked at, since the machine was busy or a file system did not answer, is tried again. */
const AGAIN = 1000;

export class Pools {
  readonly #group: (plan: Plan) => TaskGroup | undefined;
  readonly #pools = new Map<Plan, Pool>();
  /** Of those that are not to be used: they are ending. */
  readonly #leaving = new Set<Promise<unknown>>();

  constructor(group: (plan: Plan) => TaskGroup | undefined) {
    this.#group = group;
  }

  /** Keeps sandboxes ready for the plans of these, and for no others. */
  serve(apis: readonly ApiPlan[]): void {
    const plans = apis.flatMap(({ sandboxes }) => sandboxes.flatMap(({ plans }) => plans));
    const wanted = new Set(plans.filter(({ pool }) => pool !== undefined));
    for (const [plan, pool] of this.#pools) {
      if (wanted.has(plan)) continue;
      this.#pools.delete(plan);
      this.#leave(pool.empty());
    }
    for (const plan of wanted) {
      if (this.#pools.has(plan)) continue;
      const pool = new Pool(plan, this.#group, (tasks) => this.#leave(tasks));
      this.#pools.set(plan, pool);
      pool.refill();
    }
  }

  /** A launch of this plan that needs only be waited for; undefined when there is none. */
  async take(
    plan: Plan,
    argv: readonly string[],
    sink: OutputSink,
  ): Promise<LaunchedTask | undefined> {
    const pool = this.#pools.get(plan);
    if (!pool) return undefined;
    const words = wordsOf(argv);
    const task = words && (await pool.take());
    pool.refill();
    if (words) task?.hand(words, sink);
    return task;
  }

  /** Ends them all. */
  async close(): Promise<void> {
    this.serve([]);
    await Promise.all(this.#leaving);
  }

  #leave(tasks: readonly LaunchedTask[]): void {
    for (const task of tasks) {
      const { ended } = task;
      this.#leaving.add(ended);
      void ended.then(() => this.#leaving.delete(ended));
      task.kill();
    }
  }
}

class Pool {
  /** The oldest first. */
  #ready: { readonly task: LaunchedTask; readonly surroundings: string }[] = [];
  #refilling: ReturnType<typeof setTimeout> | undefined;
  /** One of them has ended by itself. */
  #lost = false;
  #closed = false;

  constructor(
    readonly plan: Plan,
    readonly group: (plan: Plan) => TaskGroup | undefined,
    readonly leave: (tasks: readonly LaunchedTask[]) => void,
  ) {}

  async take(): Promise<LaunchedTask | undefined> {
    if (this.#ready.length === 0) return undefined;
    const now = await surroundingsOf(this.plan);
    // A launch then tells why there is no answer.
    if (now === undefined) return undefined;
    // Something else lies at a path by now, such as a file that was replaced by another.
    const stale = this.#ready.filter(({ surroundings }) => surroundings !== now);
    if (stale.length > 0) {
      this.#ready = this.#ready.filter(({ surroundings }) => surroundings === now);
      this.leave(stale.map(({ task }) => task));
    }
    return this.#ready.shift()?.task;
  }

  /** Soon. After one that could not be made, or did not last, no other is before the next request: that tells the failure. */
  refill(): void {
    this.#lost = false;
    this.#soon();
  }

  #soon(delay = REFILL): void {
    this.#refilling ??= setTimeout(() => {
      this.#refilling = undefined;
      void this.#fill();
    }, delay);
  }

  /** Those that were ready. No more are made. */
  empty(): LaunchedTask[] {
    this.#closed = true;
    clearTimeout(this.#refilling);
    return this.#ready.splice(0).map(({ task }) => task);
  }

  get #lacks(): boolean {
    return !this.#closed && !this.#lost && this.#ready.length < (this.plan.pool?.size ?? 0);
  }

  async #fill(): Promise<void> {
    const { plan } = this;
    if (!this.#lacks) return;
    // Before the sandbox looks at them: what changes meanwhile is found then.
    const surroundings = await surroundingsOf(plan);
    if (!this.#lacks || !plan.pool) return;
    if (surroundings === undefined) {
      this.#soon(AGAIN);
      return;
    }
    let task: LaunchedTask;
    try {
      task = LaunchedTask.warm(plan, plan.pool.ops, this.group(plan));
    } catch {
      // No descriptors or processes are left: requests come first, and tell it.
      return;
    }
    this.#ready.push({ task, surroundings });
    task.started.catch(() => {});
    void task.ended.then(() => {
      const left = this.#ready.filter((one) => one.task !== task);
      if (left.length < this.#ready.length) this.#lost = true;
      this.#ready = left;
    });
    // One after the other: requests are served in between.
    this.#soon();
  }
}

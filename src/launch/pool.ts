/**
 * Warm sandboxes: launches that have done everything but the filter and the exec, so that a request costs a write and an exec.
 * Each is used once, and another is made behind it. Where none is ready, a request is launched as without a pool.
 */
import type { ApiPlan, Plan } from "../plan/plan.ts";
import type { TaskGroup } from "./cgroup.ts";
import { LaunchedTask } from "./launched.ts";
import { isScarce, poolSizes, roomToWait } from "./reserve.ts";
import { environmentOf, type Supplied } from "./secrets.ts";
import { surroundingsOf } from "./surroundings.ts";
import type { OutputSink } from "./task.ts";
import { wordsOf } from "./words-pipe.ts";

/** ms after a request: making another takes a core for a moment, which belongs to that request. */
const REFILL = 5;
/** ms. What could not be looked at, since the machine was busy or a file system did not answer, is tried again. */
const AGAIN = 1000;
/** ms. After a launch that found no room, none waits before. */
const HOLD = 10_000;
/** ms between two looks at what requests have left over. */
const LOOK = 100;
/** ms. So long a launch waits for the end of what gives way to it. */
const GOING = 2_000;

export class Pools {
  readonly #group: (plan: Plan) => TaskGroup | undefined;
  readonly #pools = new Map<Plan, Pool>();
  /** Of those that are not to be used: they are ending. */
  readonly #leaving = new Set<Promise<unknown>>();
  /** By performance.now(). */
  #looked = 0;
  /** Found out anew after each reload. */
  #hasRoom: (() => boolean) | undefined;

  constructor(group: (plan: Plan) => TaskGroup | undefined) {
    this.#group = group;
  }

  /** How many wait. */
  get ready(): number {
    let ready = 0;
    for (const pool of this.#pools.values()) ready += pool.ready;
    return ready;
  }

  /** Keeps sandboxes ready for the plans of these, and for no others. */
  serve(apis: readonly ApiPlan[]): void {
    const wanted = poolSizes(apis, this.ready);
    this.#hasRoom = undefined;
    for (const [plan, pool] of this.#pools) {
      if (wanted.has(plan)) continue;
      this.#pools.delete(plan);
      this.#leave(pool.empty());
    }
    for (const [plan, size] of wanted) {
      const known = this.#pools.get(plan);
      if (known) this.#leave(known.resize(size));
      else this.#pools.set(plan, this.#made(plan, size));
    }
  }

  #made(plan: Plan, size: number): Pool {
    return new Pool(plan, size, {
      group: this.#group,
      hasRoom: () => (this.#hasRoom ??= roomToWait())(),
      leave: (tasks) => this.#leave(tasks),
    });
  }

  /**
   * Half of what waits ends, the oldest first, for a launch that has found no room; for a while no other waits in its place.
   * Resolves when it has ended, and with it what already gave way to others: false, if none did.
   */
  async giveWay(): Promise<boolean> {
    this.#shrink();
    const going = [...this.#leaving];
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, GOING);
    await Promise.race([Promise.all(going), late.promise]);
    clearTimeout(timer);
    return going.some((ended) => !this.#leaving.has(ended));
  }

  /** To be called before launches: what waits makes room before it is missed, by connections too. */
  look(): void {
    const now = performance.now();
    if (this.#pools.size === 0 || now < this.#looked + LOOK) return;
    this.#looked = now;
    if (isScarce()) this.#shrink();
  }

  #shrink(): void {
    for (const pool of this.#pools.values()) {
      pool.hold(HOLD);
      this.#leave(pool.oldest(Math.ceil(pool.ready / 2)));
    }
  }

  /** A launch of this plan that needs only be waited for; undefined when there is none. */
  async take(
    plan: Plan,
    { argv, env }: Supplied,
    sink: OutputSink,
  ): Promise<LaunchedTask | undefined> {
    const pool = this.#pools.get(plan);
    if (!pool) return undefined;
    const words = wordsOf(argv);
    const task = words && (await pool.take(env));
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

interface Ready {
  readonly task: LaunchedTask;
  readonly surroundings: string;
  readonly env: Supplied["env"];
}

/** undefined where secrets cannot be read: a request tells why. */
function environmentNow(plan: Plan): Supplied["env"] | undefined {
  try {
    return environmentOf(plan);
  } catch {
    return undefined;
  }
}

class Pool {
  /** The oldest first. */
  #ready: Ready[] = [];
  #refilling: ReturnType<typeof setTimeout> | undefined;
  /** One of them has ended by itself. */
  #lost = false;
  #closed = false;
  /** So many may wait. */
  #size: number;
  /** By performance.now(). */
  #heldUntil = 0;

  constructor(
    readonly plan: Plan,
    size: number,
    readonly all: {
      group(plan: Plan): TaskGroup | undefined;
      /** For one more that waits. */
      hasRoom(): boolean;
      /** Ends them. */
      leave(tasks: readonly LaunchedTask[]): void;
    },
  ) {
    this.#size = size;
    this.#soon();
  }

  get ready(): number {
    return this.#ready.length;
  }

  /** Gives those that are too many. */
  resize(size: number): LaunchedTask[] {
    this.#size = size;
    this.#soon();
    return this.oldest(this.ready - size);
  }

  /** So many of those that were ready, or all. */
  oldest(count: number): LaunchedTask[] {
    return this.#ready.splice(0, Math.max(count, 0)).map(({ task }) => task);
  }

  /** For so many ms no further one is made. */
  hold(time: number): void {
    this.#heldUntil = performance.now() + time;
  }

  /** @param env that of the command: what waits has its own already */
  async take(env: Supplied["env"]): Promise<LaunchedTask | undefined> {
    if (this.#ready.length === 0) return undefined;
    const now = await surroundingsOf(this.plan);
    // A launch then tells why there is no answer.
    if (now === undefined) return undefined;
    // Something else lies at a path by now, such as a file that was replaced by another.
    const isFresh = (one: Ready): boolean =>
      one.surroundings === now && (one.env === env || Bun.deepEquals(one.env, env));
    const stale = this.#ready.filter((one) => !isFresh(one));
    this.#ready = this.#ready.filter(isFresh);
    this.all.leave(stale.map(({ task }) => task));
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
    return this.oldest(this.ready);
  }

  get #lacks(): boolean {
    return !this.#closed && !this.#lost && this.ready < this.#size;
  }

  async #fill(): Promise<void> {
    const { plan } = this;
    if (!this.#lacks) return;
    const held = this.#heldUntil - performance.now();
    if (held > 0 || !this.all.hasRoom()) {
      this.#soon(Math.max(held, AGAIN));
      return;
    }
    // Before the sandbox looks at them: what changes meanwhile is found then.
    const surroundings = await surroundingsOf(plan);
    if (!this.#lacks || !plan.pool) return;
    if (surroundings === undefined) {
      this.#soon(AGAIN);
      return;
    }
    const env = environmentNow(plan);
    if (!env) return this.#soon(HOLD);
    let task: LaunchedTask;
    try {
      task = LaunchedTask.warm(plan, plan.pool.ops, this.all.group(plan), env);
    } catch {
      // No descriptors or processes are left: requests come first, and tell it.
      this.hold(HOLD);
      return;
    }
    this.#ready.push({ task, surroundings, env });
    task.started.catch(() => {});
    void task.ended.then(() => {
      if (this.#withdraw(task)) this.#lost = true;
    });
    // What was there, or not there, for a moment only would be taken for what the sandbox has, should it come again.
    const now = await surroundingsOf(plan);
    // Where it cannot be told, who takes it asks again.
    const isStale = now !== undefined && now !== surroundings;
    if (isStale && this.#withdraw(task)) this.all.leave([task]);
    // One after the other: requests are served in between. A timer that nothing is lacking for would be early for the next one.
    if (this.#lacks) this.#soon(isStale ? AGAIN : REFILL);
  }

  /** Whether it was waiting. */
  #withdraw(task: LaunchedTask): boolean {
    const left = this.#ready.filter((one) => one.task !== task);
    const waited = left.length < this.#ready.length;
    this.#ready = left;
    return waited;
  }
}

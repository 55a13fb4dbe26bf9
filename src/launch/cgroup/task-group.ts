/** The group of one task: made for a launch, or left by a task that could not change it; removed afterwards, or kept for the next. */
import { closeSync, mkdirSync, openSync, readSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import type { CgroupSetting } from "../../plan/cgroup.ts";
import { LaunchError } from "../task.ts";
import { apply, counter, errnoOf, numberOf } from "./files.ts";
import { whyNotMade } from "./made.ts";
import { endTree, killTree } from "./tree.ts";

/** How long the last dead of a task are waited for, ms. */
const PATIENCE = 2_000;

/** What the kernel counted for all processes of a task, waited for or not. */
export interface GroupUsage {
  /** The kernel killed something of the task because it, or its sandbox, reached memory.max. */
  readonly oom: boolean;
  /** Milliseconds of CPU in user and system mode. */
  readonly user: number;
  readonly system: number;
}

export interface EndedGroup {
  readonly usage: GroupUsage;
  /** Resolves once what was left is killed, and the group removed or kept, if that can be. Never rejects. */
  readonly gone: Promise<void>;
}

export interface TaskGroup {
  readonly path: string;
  /** The directory, for CLONE_INTO_CGROUP (clone3(2)); close-on-exec; nobody's after {@link end}. */
  readonly fd: number;
  /** It was that of a task before. */
  readonly isKept: boolean;
  /** Kills every process in it, at once; after {@link end} nothing any more. */
  kill(): void;
  /**
   * Counts; kills what is left, and removes the group. Once, whether or not anything was ever started in it.
   * @param isFresh the supervisor has seen that nobody is left, without killing by way of the group: it may be the next task's
   * @param mayBeOom false: what the kernel killed for want of memory is of no interest, and not looked up
   */
  end(isFresh?: boolean, mayBeOom?: boolean): EndedGroup;
}

/** A directory of the hierarchy, with what is open of it. */
export class GroupPlace {
  /** What its cpu.stat said when its task began. */
  #before: Spent = { user: 0, system: 0 };

  /** @param cpu its cpu.stat */
  constructor(
    readonly path: string,
    readonly countsMemory: boolean,
    readonly fd: number,
    readonly cpu: number,
  ) {}

  /** Since it was made, or {@link settle}d. Throws what node:fs does. */
  usage(mayBeOom: boolean): GroupUsage {
    const { user, system } = this.#count();
    const kills =
      mayBeOom && this.countsMemory ? counter(this.path, "memory.events", "oom_kill") : 0;
    return {
      oom: (kills ?? 0) > 0,
      user: (user - this.#before.user) / 1000,
      system: (system - this.#before.system) / 1000,
    };
  }

  /** Makes it ready for the next task, where it has nobody: nothing of it has changed but its counters. Throws what node:fs does. */
  settle(): boolean {
    if (counter(this.path, "cgroup.events", "populated") !== 0) return false;
    this.#before = this.#count();
    return true;
  }

  close(): void {
    closeSync(this.fd);
    closeSync(this.cpu);
  }

  #count(): Spent {
    const stat = text.toString("latin1", 0, readSync(this.cpu, text, 0, text.length, 0));
    return { user: numberOf(stat, "user_usec") ?? 0, system: numberOf(stat, "system_usec") ?? 0 };
  }
}

/** Microseconds of CPU. */
interface Spent {
  readonly user: number;
  readonly system: number;
}

/** A cpu.stat has some 200 bytes. */
const text = Buffer.alloc(4096);

/** @param countsMemory it has the memory controller. @throws LaunchError */
export function makePlace(
  path: string,
  settings: readonly CgroupSetting[],
  countsMemory: boolean,
): GroupPlace {
  try {
    mkdirSync(path);
  } catch (error) {
    const errno = errnoOf(error);
    const why = whyNotMade(path, errno) || "the group of the task cannot be made";
    throw new LaunchError("cgroup", path, errno, why);
  }
  for (const setting of settings) {
    const refusal = apply(path, setting);
    if (!refusal) continue;
    rmdirSync(path);
    const { errno, meaning } = refusal;
    throw new LaunchError("cgroup", `${setting.file}=${setting.value}`, errno, meaning);
  }
  let fd: number | undefined;
  try {
    fd = openSync(path, "r");
    return new GroupPlace(path, countsMemory, fd, openSync(join(path, "cpu.stat"), "r"));
  } catch (error) {
    if (fd !== undefined) closeSync(fd);
    rmdirSync(path);
    throw new LaunchError("cgroup", path, errnoOf(error), "the group of the task cannot be opened");
  }
}

export interface Owner {
  /** Takes the place for the next task; false: it is to be removed. */
  keep(): boolean;
  /** At the end. @param gone whether the group is removed, or kept */
  onEnd(gone: boolean): void;
}

/** @param place nobody else's until the end */
export const taskGroup = (place: GroupPlace, isKept: boolean, owner: Owner): TaskGroup =>
  new OneTaskGroup(place, isKept, owner);

const UNCOUNTED: GroupUsage = { oom: false, user: 0, system: 0 };

class OneTaskGroup implements TaskGroup {
  #over = false;
  /** Something was killed in it, and the kernel kills what is forked into it later, too. */
  #spent = false;

  constructor(
    readonly place: GroupPlace,
    readonly isKept: boolean,
    readonly owner: Owner,
  ) {}

  get path(): string {
    return this.place.path;
  }

  get fd(): number {
    return this.place.fd;
  }

  /** Where that fails, as without a descriptor that is left, {@link end} does it: the supervisor is told to kill all the same. */
  kill(): void {
    // It may be another task's by now.
    if (this.#over) return;
    this.#spent = true;
    try {
      killTree(this.path);
    } catch (error) {
      errnoOf(error);
    }
  }

  end(isFresh = false, mayBeOom = true): EndedGroup {
    const usage = this.#counted(mayBeOom);
    this.#over = true;
    return { usage, gone: this.#leave(isFresh && !this.#spent) };
  }

  async #leave(isFresh: boolean): Promise<void> {
    // The reply that tells the end goes first.
    await new Promise((resolve) => setImmediate(resolve));
    if (isFresh && this.#kept()) return this.owner.onEnd(true);
    this.place.close();
    // Whatever the errno: it is tried again when the server ends, and by the next server.
    this.owner.onEnd(await endTree(this.path, PATIENCE).catch(() => false));
  }

  #kept(): boolean {
    try {
      return this.place.settle() && this.owner.keep();
    } catch (error) {
      errnoOf(error);
      return false;
    }
  }

  /** Out of descriptors nothing can be counted; the task has ended all the same. */
  #counted(mayBeOom: boolean): GroupUsage {
    try {
      return this.place.usage(mayBeOom);
    } catch (error) {
      errnoOf(error);
      return UNCOUNTED;
    }
  }
}

/** The group of one task: made for a launch, removed after it. */
import { closeSync, mkdirSync, openSync, rmdirSync } from "node:fs";
import type { CgroupSetting } from "../../plan/cgroup.ts";
import { LaunchError } from "../task.ts";
import { apply, counters, errnoOf, get } from "./files.ts";
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
  /** Most memory at one time, bytes; absent without the memory controller, or before Linux 5.19. */
  readonly memoryPeak?: number;
  /** Forks refused by pids.max; absent without the pids controller. */
  readonly forksRefused?: number;
}

export interface TaskGroup {
  readonly path: string;
  /** The directory, for CLONE_INTO_CGROUP (clone3(2)); close-on-exec; closed by {@link end}. */
  readonly fd: number;
  /** Kills every process in it, at once. */
  kill(): void;
  /** Kills what is left, counts, and removes the group. Once, whether or not anything was ever started in it. Never rejects. */
  end(): Promise<GroupUsage>;
}

/** @param onEnd is told whether the group is gone, at its end. @throws LaunchError */
export function makeTaskGroup(
  path: string,
  settings: readonly CgroupSetting[],
  onEnd: (gone: boolean) => void,
): TaskGroup {
  try {
    mkdirSync(path);
  } catch (error) {
    throw new LaunchError("cgroup", path, errnoOf(error), "the group of the task cannot be made");
  }
  for (const setting of settings) {
    const refusal = apply(path, setting);
    if (!refusal) continue;
    rmdirSync(path);
    const { errno, meaning } = refusal;
    throw new LaunchError("cgroup", `${setting.file}=${setting.value}`, errno, meaning);
  }
  try {
    return new OneTaskGroup(path, openSync(path, "r"), onEnd);
  } catch (error) {
    rmdirSync(path);
    throw new LaunchError("cgroup", path, errnoOf(error), "the group of the task cannot be opened");
  }
}

const UNCOUNTED: GroupUsage = { oom: false, user: 0, system: 0 };

class OneTaskGroup implements TaskGroup {
  constructor(
    readonly path: string,
    readonly fd: number,
    readonly onEnd: (gone: boolean) => void,
  ) {}

  /** Where that fails, as without a descriptor that is left, {@link end} does it: the supervisor is told to kill all the same. */
  kill(): void {
    try {
      killTree(this.path);
    } catch (error) {
      errnoOf(error);
    }
  }

  async end(): Promise<GroupUsage> {
    const usage = this.#counted();
    closeSync(this.fd);
    // Whatever the errno: it is tried again when the server ends, and by the next server.
    this.onEnd(await endTree(this.path, PATIENCE).catch(() => false));
    return usage;
  }

  /** Out of descriptors nothing can be counted; the task has ended all the same. */
  #counted(): GroupUsage {
    try {
      return this.#usage();
    } catch (error) {
      errnoOf(error);
      return UNCOUNTED;
    }
  }

  #usage(): GroupUsage {
    const cpu = counters(this.path, "cpu.stat");
    const memory = counters(this.path, "memory.events");
    const pids = counters(this.path, "pids.events");
    const peak = this.#peak();
    return {
      oom: (memory["oom_kill"] ?? 0) > 0,
      user: (cpu["user_usec"] ?? 0) / 1000,
      system: (cpu["system_usec"] ?? 0) / 1000,
      ...(peak !== undefined && { memoryPeak: peak }),
      ...(pids["max"] !== undefined && { forksRefused: pids["max"] }),
    };
  }

  #peak(): number | undefined {
    try {
      return Number(get(this.path, "memory.peak"));
    } catch (error) {
      if (errnoOf(error) !== "ENOENT") throw error;
      return undefined;
    }
  }
}

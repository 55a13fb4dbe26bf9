/** The group of one task: made for a launch, removed after it. */
import { closeSync, mkdirSync, openSync, rmdirSync } from "node:fs";
import type { CgroupSetting } from "../../plan/cgroup.ts";
import { LaunchError } from "../task.ts";
import { apply, counters, errnoOf } from "./files.ts";
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
  /** Resolves once what was left is killed, and the group removed, if that can be. Never rejects. */
  readonly gone: Promise<void>;
}

export interface TaskGroup {
  readonly path: string;
  /** The directory, for CLONE_INTO_CGROUP (clone3(2)); close-on-exec; closed by {@link end}. */
  readonly fd: number;
  /** Kills every process in it, at once. */
  kill(): void;
  /** Counts; kills what is left, and removes the group. Once, whether or not anything was ever started in it. */
  end(): EndedGroup;
}

/** @param countsMemory it has the memory controller @param onEnd is told whether the group is gone, at its end. @throws LaunchError */
export function makeTaskGroup(
  path: string,
  settings: readonly CgroupSetting[],
  countsMemory: boolean,
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
    return new OneTaskGroup(path, openSync(path, "r"), countsMemory, onEnd);
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
    readonly countsMemory: boolean,
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

  end(): EndedGroup {
    const usage = this.#counted();
    closeSync(this.fd);
    return { usage, gone: this.#remove() };
  }

  async #remove(): Promise<void> {
    // The reply that tells the end goes first.
    await new Promise((resolve) => setImmediate(resolve));
    // Whatever the errno: it is tried again when the server ends, and by the next server.
    this.onEnd(await endTree(this.path, PATIENCE).catch(() => false));
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
    const memory = this.countsMemory ? counters(this.path, "memory.events") : {};
    return {
      oom: (memory["oom_kill"] ?? 0) > 0,
      user: (cpu["user_usec"] ?? 0) / 1000,
      system: (cpu["system_usec"] ?? 0) / 1000,
    };
  }
}

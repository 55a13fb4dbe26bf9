/** How plans are started. */
import { cgroupKey } from "../plan/cgroup-key.ts";
import type { CgroupRoot, TaskGroup } from "./cgroup.ts";
import { LaunchedTask } from "./launched.ts";
import { launcherPath } from "./launcher.ts";
import { LOST, NO_AGENT } from "./no-agent.ts";
import type { Pools } from "./pool.ts";
import { wantsRoom } from "./reserve.ts";
import { supply } from "./secrets.ts";
import { type Launch, LaunchError, type Task } from "./task.ts";

/** So often a launch is tried again that came to nothing with the agent. */
const AGAIN = 2;

/** How plans are started: `cgroups` has the group of each launch, where there are groups, and `pools` what is ready. */
export function createLaunch(
  cgroups?: Pick<CgroupRoot, "begin">,
  pools?: Pick<Pools, "take" | "look" | "giveWay">,
): Launch {
  // Made now, not by the first request.
  launcherPath();
  return async (plan, argv, sink, abort) => {
    // A kill would come too late for what begins at once.
    if (abort?.aborted)
      throw new LaunchError("launcher", "", "", "it was given up before it began");
    pools?.look();
    const supplied = supply(plan, argv);
    const warm = await pools?.take(plan, supplied, sink);
    if (warm) {
      try {
        return await begun(warm, abort);
      } catch (error) {
        // It was killed, or changed, while it waited, perhaps by a command of the same user.
        if (!warm.neverRan || abort?.aborted) throw error;
      }
    }
    let isNew = false;
    for (let left = AGAIN; ;) {
      let group: TaskGroup | undefined;
      let task: LaunchedTask | undefined;
      try {
        group = cgroups?.begin(cgroupKey(plan), isNew);
        task = LaunchedTask.launch(plan, supplied, sink, group);
        return await begun(task, abort);
      } catch (error) {
        if (abort?.aborted || error === LOST) throw error;
        // Its group may not be as a task has left it: somebody else may have removed it, or killed what was in it.
        if (group?.isKept && task?.neverRan && isOfGroup(error)) {
          isNew = true;
          continue;
        }
        if (error === NO_AGENT) {
          if (left-- > 0) continue;
          throw error;
        }
        // Others may have taken what was given way to; there is an end once nothing waits.
        if (!wantsRoom(error) || !(await pools?.giveWay())) throw error;
      }
    }
  };
}

/** Launches without cgroups. */
export const launch: Launch = (...launching) => createLaunch()(...launching);

/** What a group makes of a launch that is not as it should be: there is no place in it, or who comes into it is killed. */
const isOfGroup = (error: unknown): boolean =>
  error instanceof LaunchError && (error.step === "clone" || error.step === "launcher");

async function begun(task: LaunchedTask, abort: AbortSignal | undefined): Promise<Task> {
  const giveUp = () => task.kill();
  abort?.addEventListener("abort", giveUp);
  try {
    if (abort?.aborted) task.kill();
    await task.started;
  } finally {
    abort?.removeEventListener("abort", giveUp);
  }
  return task;
}

/** The unit's side of the hand-over: `serve --early` finds the server of early boot, which becomes the service in its stead. */
import { existsSync } from "node:fs";
import { hasEnded, type Process } from "../../ffi/processes.ts";
import { join } from "../boot/handover.ts";
import { CONTROL } from "../boot/places.ts";
import { problemLine } from "../config/problem.ts";
import { stepAside } from "../launch/cgroup/move.ts";
import { serviceManager } from "../service/notify.ts";

/** Milliseconds. */
const INTERVAL = 20;
const PATIENCE = 10_000;
/** After the second signal. */
const HASTE = 2_000;

/** Exit code; undefined when there is no early server, or it has been ended, and this process is to serve itself. */
export async function joinEarly(argv: readonly string[]): Promise<number | undefined> {
  if (!existsSync(CONTROL)) return undefined;
  const notMoved = stepAside();
  if (notMoved !== undefined) console.error(`spawnbox serve: ${notMoved}`);
  const env = Object.fromEntries(
    Object.entries(process.env).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value] as const],
    ),
  );
  const joined = await join({ argv: [...argv], cwd: process.cwd(), env });
  if (joined === undefined) return undefined;
  const { answer, server } = joined;
  if ("unfit" in answer) {
    console.error(`spawnbox serve: spawnbox early is replaced: ${answer.unfit}`);
    await terminate(server);
    return undefined;
  }
  if ("problems" in answer) {
    for (const problem of answer.problems) console.error(problemLine(problem));
    console.error("spawnbox serve: not started: spawnbox early serves on without this service");
    return 1;
  }
  // Only the main process of a unit is listened to: so it is for this one to say that the other is.
  const manager = serviceManager();
  manager.ready(answer.status, server.pid);
  // Nobody else could say it later.
  await manager.told(PATIENCE);
  manager.close();
  return 0;
}

/**
 * A server ends promptly on SIGTERM, but for the grace of its tasks, which a second one ends; one that hangs is killed.
 * @param patience ms until the second; @param haste ms from then on
 */
export async function terminate(
  { pid, pidfd }: Process,
  patience = PATIENCE,
  haste = HASTE,
): Promise<void> {
  for (let waited = 0; !hasEnded(pidfd) && waited < 2 * patience; waited += INTERVAL) {
    if (waited === 0 || waited === patience) process.kill(pid, "SIGTERM");
    if (waited === patience + haste) process.kill(pid, "SIGKILL");
    await Bun.sleep(INTERVAL);
  }
}

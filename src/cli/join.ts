/** The unit's side of the hand-over: `serve --early` finds the server of early boot, which becomes the service in its stead. */
import { existsSync } from "node:fs";
import { join } from "../boot/handover.ts";
import { CONTROL } from "../boot/places.ts";
import { stepAside } from "../launch/cgroup/move.ts";
import { serviceManager } from "../service/notify.ts";
import { version } from "../version.ts";

/** Milliseconds. */
const INTERVAL = 20;
const PATIENCE = 10_000;

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
  const { pid } = process;
  const joined = await join({ version, pid, argv, cwd: process.cwd(), env });
  if (joined === undefined) return undefined;
  if ("unfit" in joined) {
    console.error(`spawnbox serve: spawnbox early is replaced: ${joined.unfit}`);
    await terminate(joined.pid);
    return undefined;
  }
  if ("problems" in joined) {
    for (const { file, path, message } of joined.problems)
      console.error([file, path, message].filter(Boolean).join(": "));
    console.error("spawnbox serve: not started: spawnbox early serves on without this service");
    return 1;
  }
  // Only the main process of a unit is listened to: so it is for this one to say that the other is.
  serviceManager().ready(joined.status, joined.pid);
  return 0;
}

/** A server ends promptly on SIGTERM; one that hangs is killed. */
async function terminate(pid: number): Promise<void> {
  signal(pid, "SIGTERM");
  for (let waited = 0; existsSync(`/proc/${pid}`) && waited < 2 * PATIENCE; waited += INTERVAL) {
    if (waited === PATIENCE) signal(pid, "SIGKILL");
    await Bun.sleep(INTERVAL);
  }
}

/** One that has just ended by itself has done what is wanted. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

/**
 * /dev/null, which is the stdin of commands that get none. Where it is missing the runtime makes a file of that name, and where
 * somebody has made one, as `cmd >/dev/null` of root does once the device was removed, each command could read there what others
 * have written. The launcher looks at it in each launch (ffi/launcher/agent.c).
 */
import { closeSync, openSync, statSync } from "node:fs";
import { errnoOf } from "./cgroup/files.ts";
import { LaunchError } from "./task.ts";

const PATH = "/dev/null";
/** makedev(3) of 1 and 3. */
const DEVICE = 0x103;

/** What to do where it is something else. */
export const NO_NULL =
  "that has to be the null device, for everybody: mount -t devtmpfs devtmpfs /dev, or rm -f /dev/null && mknod -m 666 /dev/null c 1 3";

/** Its mode, a mount with nodev, or a control group of devices: the runtime would tell of the launcher that it may not be executed. */
const DENIED: ReadonlySet<string> = new Set(["EACCES", "EPERM"]);

/** @throws LaunchError where it is missing, or something else, or may not be opened */
export function checkNull(): void {
  const found = statSync(PATH, { throwIfNoEntry: false });
  if (!found?.isCharacterDevice() || found.rdev !== DEVICE)
    throw new LaunchError("spawn", PATH, found ? "ENODEV" : "ENOENT", NO_NULL);
  try {
    closeSync(openSync(PATH, "r+"));
  } catch (error) {
    const errno = errnoOf(error);
    // Such as a lack of descriptors, which what follows has words for.
    if (DENIED.has(errno)) throw new LaunchError("spawn", PATH, errno, NO_NULL);
  }
}

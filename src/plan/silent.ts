/**
 * File systems that do not answer: of a machine that is away, or a process that hangs. A look at one takes for ever, and the
 * compiler looks in the thread of the server. So what others answer for is asked first, by a process that may wait for ever.
 */
import { closeSync, readFileSync } from "node:fs";
import { closesWithin, pipe } from "../../ffi/libc.ts";
import { foreignMounts, type Mounted } from "./mount-types.ts";

/** ms; a network that is slow has answered by then. */
const PATIENCE = 3_000;

/** Paths of mounts that have been asked, and have not answered yet: who asks again learns nothing. */
const unanswered = new Set<string>();

/**
 * Looks only where somebody answers: each mount is asked once, when something of it is wanted.
 * @returns of a path without links why it cannot be looked at; undefined: it can
 */
export function silences(patience = PATIENCE): (path: string) => string | undefined {
  let mounts: readonly Mounted[] | undefined;
  const known = new Map<Mounted, boolean>();
  const isSilent = (mount: Mounted): boolean => {
    const silent = known.get(mount) ?? !answers(mount.path, patience);
    known.set(mount, silent);
    return silent;
  };
  return (path) => {
    mounts ??= mountsHere();
    const silent = mounts.find((one) => isWithin(path, one) && isSilent(one));
    return (
      silent &&
      `the file system at ${silent.path} (${silent.type}) does not answer: bring back what serves it, or unmount it`
    );
  };
}

const isWithin = (path: string, mount: Mounted): boolean =>
  path === mount.path || path.startsWith(`${mount.path}/`);

/** Of a container's root the layers may be anything, but without them nothing of ours would run. */
function mountsHere(): Mounted[] {
  const known = foreignMounts(readFileSync("/proc/self/mountinfo", "utf8"));
  return known.filter(({ type }) => type !== "overlay");
}

/** By a process of its own: a thread that waits in the kernel, where nothing wakes it, would keep this one from ending. */
function answers(path: string, patience: number): boolean {
  if (unanswered.has(path)) return false;
  const [reading, writing] = pipe();
  try {
    // That it may not be looked at is an answer.
    const asking = Bun.spawn(["/bin/sh", "-c", '[ -e "$1" ]', "sh", path], {
      ...{ cwd: "/", env: {}, stdio: ["ignore", writing, "ignore"] },
    });
    unanswered.add(path);
    void asking.exited.then(() => unanswered.delete(path));
  } catch {
    // Where no shell can be started nobody is asked.
    return true;
  } finally {
    closeSync(writing);
  }
  const answered = closesWithin(reading, patience);
  closeSync(reading);
  if (answered) unanswered.delete(path);
  return answered;
}

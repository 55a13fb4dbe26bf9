/** The launcher binary and the op blobs as sealed memfds: nobody, not even root in a sandbox, can write to what runs next. */
import { closeSync, readFileSync, writeSync } from "node:fs";
import { launcherAsset } from "../../ffi/launcher/binary.ts";
import { memfdCreate, moveFd, sealMemfd, setUndumpable } from "../../ffi/libc.ts";
import { CError } from "../../ffi/errno.ts";
import { errnoOf } from "./cgroup/files.ts";
import { confinement } from "./confinement.ts";
import { hint } from "./hints.ts";
import { adoptOrphans } from "./orphans.ts";
import { statusPipe } from "./status.ts";
import { LaunchError } from "./task.ts";

/** @throws LaunchError with the words of the step, where `make` throws what the kernel said */
function told<Made>(step: "MEMFD" | "PIPE", what: string, make: () => Made): Made {
  try {
    return make();
  } catch (error) {
    const isCall = error instanceof CError;
    const errno = isCall ? error.errno : errnoOf(error);
    const words = hint({ step, errno, what }, confinement());
    throw new LaunchError(isCall ? error.call : step.toLowerCase(), what, errno, words);
  }
}

/** A memfd that nobody can write to any more. @throws LaunchError */
export const sealed = (name: string, content: Uint8Array, executable: boolean): number =>
  told("MEMFD", name, () => sealedMemfd(name, content, executable));

function sealedMemfd(name: string, content: Uint8Array, executable: boolean): number {
  const fd = memfdCreate(name, executable);
  try {
    for (let offset = 0; offset < content.length;) offset += writeSync(fd, content, offset);
    sealMemfd(fd);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  return fd;
}

let launcher: string | undefined;

/**
 * Path to execute the launcher by. Made once; the memfd lives as long as the server. From here on the server is not dumpable, so
 * that commands of its own user can neither trace it nor read its memory and environment; its fds are then found under
 * /proc/self only, which is the same table in the child that executes. And what a killed supervisor leaves behind comes to it.
 * @throws LaunchError where this machine does not allow it
 */
export function launcherPath(): string {
  if (launcher === undefined) {
    const fd = moveFd(sealed("spawnbox-launcher", readFileSync(launcherAsset), true));
    told("PIPE", "the server", () => {
      statusPipe();
      setUndumpable();
      adoptOrphans();
    });
    launcher = `/proc/self/fd/${fd}`;
  }
  return launcher;
}

const blobs = new Map<Uint8Array, number>();

/** The memfd of a plan's ops. Equal blobs are one object (see compile), so they share one fd. */
export function opsFd(ops: Uint8Array): number {
  let fd = blobs.get(ops);
  if (fd === undefined) {
    fd = sealed("spawnbox-plan", ops, false);
    blobs.set(ops, fd);
  }
  return fd;
}

/** Closes the memfds of other ops than these. A launch has its own by then, and one that comes later makes it anew. */
export function releaseOps(served: ReadonlySet<Uint8Array>): void {
  for (const [ops, fd] of blobs) {
    if (served.has(ops)) continue;
    blobs.delete(ops);
    closeSync(fd);
  }
}

/** The launcher binary and the op blobs as sealed memfds: nobody, not even root in a sandbox, can write to what runs next. */
import { closeSync, readFileSync, writeSync } from "node:fs";
import { launcherAsset } from "../../ffi/launcher/binary.ts";
import { memfdCreate, moveFd, sealMemfd, setUndumpable } from "../../ffi/libc.ts";
import { adoptOrphans } from "./orphans.ts";

function sealed(name: string, content: Uint8Array, executable: boolean): number {
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

const LOW_FDS = 16;
let launcher: string | undefined;

/**
 * Path to execute the launcher by. Made once; the memfd lives as long as the server. From here on the server is not dumpable, so
 * that commands of its own user can neither trace it nor read its memory and environment; its fds are then found under
 * /proc/self only, which is the same table in the child that executes. And what a killed supervisor leaves behind comes to it.
 */
export function launcherPath(): string {
  if (launcher === undefined) {
    // The child's stdio takes the low numbers before it executes.
    const fd = moveFd(sealed("spawnbox-launcher", readFileSync(launcherAsset), true), LOW_FDS);
    launcher = `/proc/self/fd/${fd}`;
    setUndumpable();
    adoptOrphans();
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

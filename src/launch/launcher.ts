/** The launcher binary and the op blobs as sealed memfds: nobody, not even root in a sandbox, can write to what runs next. */
import { closeSync, readFileSync, writeSync } from "node:fs";
import { launcherAsset } from "../../ffi/launcher/binary.ts";
import { memfdCreate, sealMemfd } from "../../ffi/libc.ts";

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

let launcher: string | undefined;

/** Path to execute the launcher by. Made once; the memfd lives as long as the server. */
export function launcherPath(): string {
  launcher ??= `/proc/${process.pid}/fd/${sealed("spawnbox-launcher", readFileSync(launcherAsset), true)}`;
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

/** Files that are made where some of them are secret. */
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";

/** Whole or not at all, and never readable for longer than it may be. */
export function putSecret(file: string, text: string, mode: number): void {
  const made = `${file}.new`;
  rmSync(made, { force: true });
  // A file of its own: what others may have put there meanwhile is not written to.
  const fd = openSync(made, "wx", mode);
  try {
    fchmodSync(fd, mode);
    writeSync(fd, text);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(made, file);
}

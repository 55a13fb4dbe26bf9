/** Puts files in place so that a power cut leaves the old or the new one, and nothing is written that is there already. */
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import type { InstalledFile } from "./files.ts";

export type Placed = "installed" | "updated" | "unchanged" | "kept";

/** @param root the directory that stands for `/`. Throws the error of the system. */
export function place(file: InstalledFile, root: string): Placed {
  const path = join(root, file.path);
  const there = existsSync(path);
  if (there && file.sample) return "kept";
  const content = file.content();
  if (there && readFileSync(path).equals(content) && (statSync(path).mode & 0o7777) === file.mode)
    return "unchanged";
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  const fresh = join(dirname(path), `.${process.pid}.spawnbox-new`);
  try {
    write(fresh, content, file.mode);
    renameSync(fresh, path);
  } finally {
    rmSync(fresh, { force: true });
  }
  sync(dirname(path));
  return there ? "updated" : "installed";
}

/** Whether it was there. A directory that is empty then goes too. */
export function remove(file: InstalledFile, root: string): boolean {
  const path = join(root, file.path);
  const there = existsSync(path);
  rmSync(path, { force: true });
  const dir = dirname(path);
  if (dir.endsWith("/spawnbox") && existsSync(dir) && readdirSync(dir).length === 0) rmdirSync(dir);
  return there;
}

function write(path: string, content: Uint8Array, mode: number): void {
  const fd = openSync(path, "wx", mode);
  try {
    for (let offset = 0; offset < content.length;) offset += writeSync(fd, content, offset);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  // The umask has taken its part.
  chmodSync(path, mode);
}

function sync(dir: string): void {
  const fd = openSync(dir, "r");
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

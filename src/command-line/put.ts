/** Files that are made where some of them are secret. */
import {
  closeSync,
  fchmodSync,
  fstatSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname } from "node:path";

/** What others read or change it by. */
const OTHERS = 0o066;

export interface Put {
  readonly file: string;
  readonly text: string;
  readonly mode: number;
}

/**
 * Each whole or not at all, and never readable for longer than it may be. None gets its name before all are on the disk: of what
 * belongs together there is not a part where that is full, nor where the power goes, but for the moment between two names.
 * @throws Error of the file system, or that says that it keeps no modes
 */
export function putSecrets(...files: readonly Put[]): void {
  const made: string[] = [];
  try {
    for (const { file, text, mode } of files) {
      const fresh = `${file}.new`;
      rmSync(fresh, { force: true });
      // A file of its own: what others may have put there meanwhile is not written to.
      const fd = openSync(fresh, "wx", mode);
      made.push(fresh);
      try {
        closeTo(fd, file, mode);
        writeFileSync(fd, text);
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
    }
    for (const { file } of files) renameSync(`${file}.new`, file);
  } catch (error) {
    for (const fresh of made) rmSync(fresh, { force: true });
    throw error;
  }
  for (const directory of new Set(files.map(({ file }) => dirname(file)))) sync(directory);
}

/** vfat and the like say that they do it, or refuse, and go on as they were mounted. */
function closeTo(fd: number, file: string, mode: number): void {
  let why = "";
  try {
    fchmodSync(fd, mode);
  } catch (error) {
    if (!(error instanceof Error && "code" in error && error.code === "EPERM")) throw error;
    why = " (fchmod: EPERM)";
  }
  if ((fstatSync(fd).mode & OTHERS & ~mode) === 0) return;
  throw new Error(
    `${file}: its file system keeps no modes, so others could read or change it: choose a directory on another one, or mount that with umask=077${why}`,
  );
}

/** Nobody can ask for it: of a directory on another machine (cifs), or one that this user may not list. */
const NOT_ASKED: ReadonlySet<unknown> = new Set(["EINVAL", "EACCES"]);

/** The names, too. */
function sync(directory: string): void {
  try {
    const fd = openSync(directory, "r");
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    if (!(error instanceof Error && "code" in error && NOT_ASKED.has(error.code))) throw error;
  }
}

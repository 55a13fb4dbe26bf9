/** Whether a file may tell this server what to do: whoever can write it, or replace it, has the server's rights. */
import { realpathSync, statSync, type Stats } from "node:fs";
import { dirname } from "node:path";

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/**
 * The path without links of a file that only root and the server's user can change.
 * @param uid the server's user
 * @param what it is, for messages
 * @throws Error naming what others can change, and what to do
 */
export function trusted(file: string, uid: number, what: string): string {
  const real = realpathSync(file);
  const stat = statSync(real);
  if (!stat.isFile()) throw new Error(`${real} is not a regular file`);
  requireOwn(real, stat, uid, what);
  const directory = dirname(real);
  requireOwn(directory, statSync(directory), uid, what);
  // Further up it is enough that nobody else can rename what leads here: in a directory such as /tmp only owners can.
  for (let at = dirname(directory); ; at = dirname(at)) {
    const above = statSync(at);
    if ((above.mode & STICKY) === 0 || (above.uid !== 0 && above.uid !== uid))
      requireOwn(at, above, uid, what);
    if (at === dirname(at)) return real;
  }
}

function requireOwn(path: string, { mode, uid: owner }: Stats, uid: number, what: string): void {
  if (owner !== 0 && owner !== uid) {
    const who = uid === 0 ? "root" : `root or uid ${uid}`;
    throw new Error(
      `${path} belongs to uid ${owner}: ${what} must belong to ${who}, as its directories`,
    );
  }
  if ((mode & WRITABLE_BY_OTHERS) !== 0) {
    throw new Error(`${path} can be written by others than its owner: chmod go-w ${path}`);
  }
}

/** Who may decide what a server does: whoever can write a file it obeys, or replace it, has the server's rights. */
import { realpathSync, statSync } from "node:fs";
import { dirname } from "node:path";

const WRITABLE_BY_OTHERS = 0o022;
const STICKY = 0o1000;

/** Root, the server's user, and who called it through sudo(8), who can have its rights anyway: uids. */
export function deciders(
  uid: number,
  env: Readonly<Record<string, string | undefined>> = process.env,
): readonly number[] {
  const caller = env["SUDO_UID"] ?? "";
  return [0, uid, ...(/^\d+$/.test(caller) ? [Number(caller)] : [])];
}

/**
 * Why a file is not to be obeyed, and what to do; undefined when only `owners` can change it.
 * @param file without symbolic links: realpath(3)
 * @param beside whether others may put files of their own next to it, as in /tmp
 * @throws Error of stat(2)
 */
export function distrust(
  file: string,
  owners: readonly number[],
  beside: "mine only" | "others' too",
): string | undefined {
  if (!statSync(file).isFile()) return `${file} is not a regular file`;
  const foreign: string[] = [];
  const open: string[] = [];
  for (let path = file; ; path = dirname(path)) {
    const { mode, uid } = statSync(path);
    const mine = owners.includes(uid);
    // In a directory such as /tmp only the owner of a file can rename it.
    const sticky =
      mine &&
      (mode & STICKY) !== 0 &&
      path !== file &&
      (beside === "others' too" || path !== dirname(file));
    if (!mine) foreign.push(`${path} belongs to uid ${uid}`);
    if ((mode & WRITABLE_BY_OTHERS) !== 0 && !sticky) open.push(path);
    if (path === dirname(path)) break;
  }
  if (foreign.length > 0) {
    const who = owners.map((uid) => (uid === 0 ? "root" : `uid ${uid}`));
    return `${foreign.join(", ")}, who could change what this server does: chown it to ${[...new Set(who)].join(" or ")}`;
  }
  if (open.length > 0) {
    const paths = open.join(" ");
    return `${paths} can be written by others than its owner: chmod go-w ${paths}`;
  }
  return undefined;
}

/**
 * The path without links of a file that only root and the server's user can change. Nothing of others may lie beside it, since a
 * module can take in what does.
 * @param uid the server's user
 * @throws Error naming what others can change, and what to do
 */
export function trusted(file: string, uid: number): string {
  const real = realpathSync(file);
  const complaint = distrust(real, deciders(uid), "mine only");
  if (complaint !== undefined) throw new Error(complaint);
  return real;
}

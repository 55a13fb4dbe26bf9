/** Owners of files, as they are seen in this user namespace, and told. See user_namespaces(7). */
import { existsSync, readFileSync } from "node:fs";

/**
 * The uid that files seem to have whose user this user namespace does not know: it is nobody's, even where a user has it too.
 * undefined where all users are known.
 */
export function unknownUid(): number | undefined {
  const text = (file: string) => (existsSync(file) ? readFileSync(file, "utf8") : "");
  if (/^\s*0\s+0\s+4294967295\s*$/.test(text("/proc/self/uid_map"))) return undefined;
  return Number(text("/proc/sys/kernel/overflowuid").trim() || 65534);
}

/** What to do about files of users that are not known here: nothing of theirs can be given to anybody from within. */
export const MAP_OWNERS =
  "have root mapped in the server's user namespace (--userns=host, or more ids in /etc/subuid, of a container; PrivateUsers=no in the unit)";

/** `uid 1000`, or that nobody knows whose it is. */
export const ownerWords = (uid: number, unknown = unknownUid()): string =>
  uid === unknown
    ? `one whom the server's user namespace does not map (shown as uid ${uid})`
    : `uid ${uid}`;

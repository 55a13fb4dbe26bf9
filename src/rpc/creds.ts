/** On whose behalf an importer calls: `UID:GID:PID-LABEL`, numbers in hexadecimal. WSAPI importers, ours too, say it in every call. */
import type { UserIds } from "../api/client.ts";
import { NO_LABEL } from "../api/permissions.ts";
import { AfbError } from "../errors.ts";
import { userNamed } from "../server/peer.ts";

/** Those that let a peer speak for others, by the names of both platforms. */
export const ON_BEHALF = [
  "urn:redpesk:permission:*:partner:on-behalf-credentials",
  "urn:AGL:permission:*:partner:on-behalf-credentials",
] as const;

const CREDS = /^([0-9a-f]{1,8}):([0-9a-f]{1,8}):([0-9a-f]{1,8})(?:-(.*))?$/is;

/**
 * The user that is named; undefined where that is nobody.
 * @param may whether the importer may speak for others. Throws AfbError where not, or where it says nothing that can be read
 */
export function onBehalf(creds: string, may: boolean): UserIds | undefined {
  if (!may)
    throw new AfbError(
      "insufficient-scope",
      `calls on behalf of others need the privilege ${ON_BEHALF[0]}`,
    );
  const [, uid, gid, pid, text] = CREDS.exec(creds) ?? [];
  if (uid === undefined || gid === undefined || pid === undefined)
    throw new AfbError("internal-error", "who calls is not written as UID:GID:PID-LABEL");
  const label = text === "" || text === NO_LABEL ? undefined : text;
  const number = (digits: string): number => parseInt(digits, 16);
  return userNamed({ uid: number(uid), gid: number(gid), pid: number(pid), label });
}

/** uid and gid that binders have for callers of whom nothing is known. */
const NOBODY = 99;

/**
 * How we say on whose behalf we call. Without its process, whose number may be another's by the time that it is looked at: so the
 * other end takes it for one that has no more than it is granted. What is confined is nobody, since its user may have more.
 */
export function credsOf(user: UserIds | undefined): string {
  const known = user && !user.confined ? user : undefined;
  const [uid, gid] = known ? [known.uid, known.gids[0] ?? NOBODY] : [NOBODY, NOBODY];
  return `${uid.toString(16)}:${gid.toString(16)}:0-NoLabel`;
}

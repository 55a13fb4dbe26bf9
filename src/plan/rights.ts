/** Rights of files, as path_resolution(7) has them: whom they hold, and what is lacking. */
import type { Policy } from "./policy.ts";
import type { HostFiles } from "./view.ts";

/** X_OK, W_OK and R_OK of access(2). */
export const RIGHT = { execute: 1, write: 2, read: 4 } as const;

/** CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: rights of files do not hold who has one of them. */
const OVERRIDES: ReadonlySet<number> = new Set([1, 2]);

/** Whom they hold. */
export interface User {
  readonly uid: number;
  readonly gids: ReadonlySet<number>;
  /** It has the rights of this server, which can be asked of the kernel. */
  readonly isServers?: boolean;
}

/** Who the command is to files; undefined where their rights do not hold it, or are not known. */
export function userOf({
  identity,
  server,
  groups,
  caps,
  label,
}: Pick<Policy, "identity" | "server" | "groups" | "caps" | "label">): User | undefined {
  if (caps?.some((cap) => OVERRIDES.has(cap))) return undefined;
  if (identity) {
    // Root that is left what it has.
    if (caps === undefined && identity.uid === 0) return undefined;
    return { uid: identity.uid, gids: new Set([identity.gid, ...identity.groups]) };
  }
  // Given groups or a label of its own, it may have more rights than this server, or fewer.
  if (groups !== undefined || label !== undefined) return undefined;
  const kept = server.groups.map(({ gid }) => gid);
  return { uid: server.uid, gids: new Set([server.gid, ...kept]), isServers: true };
}

/** To whose bits of the mode a right would have to be added; undefined where it is not sure that it is lacking. */
export function lacking(
  files: HostFiles,
  user: User,
  place: string,
  right: number,
): "u" | "g" | "o" | undefined {
  const file = files.lookup(place);
  if (!file) return undefined;
  const { mode, owner, group } = file;
  const isOwner = owner === user.uid;
  const isMember = user.gids.has(group);
  const whose = isOwner ? "u" : isMember ? "g" : "o";
  // Whatever the file system is, and makes of modes.
  if (user.isServers) return files.isAllowed(place, right) ? undefined : whose;
  if (isOwner) return ((mode >> 6) & right) === 0 ? whose : undefined;
  if (((isMember ? mode >> 3 : mode) & right) !== 0) return undefined;
  // What a list gives lies within the bits of the group.
  return ((mode >> 3) & right) === 0 || files.hasOnlyMode(place) ? whose : undefined;
}

/** acls.user, group, groups → numbers. See credentials(7). */
import { idOf, isId } from "../config/ranges.ts";
import type { Acls } from "../config/sandbox-schema.ts";
import type { Machine } from "./machine.ts";
import type { Identity, NamedIds } from "./policy.ts";
import type { Report } from "./report.ts";

/** What the launcher has room for: set_groups in identity.c. */
export const MOST_GROUPS = 64;
export const tellTooMany = ({ length }: readonly number[], path: string, report: Report): void =>
  report.problem(path, `${length} groups; at most ${MOST_GROUPS}`);

/** By name or number; undefined when there is none. @throws Error for what is meant to be a number, and is no id */
export function groupIdOf(name: string, machine: Machine): number | undefined {
  const gid = idOf(name) ?? machine.group(name);
  return gid === undefined || !isId(gid) ? undefined : gid;
}

function groupId(name: string, path: string, machine: Machine, report: Report): number | undefined {
  const before = report.problems.length;
  const gid = report.attempt(path, () => groupIdOf(name, machine));
  if (report.problems.length > before) return undefined;
  if (gid === undefined) {
    report.problem(path, `unknown group ${JSON.stringify(name)}: name one of /etc/group, or a gid`);
    return undefined;
  }
  return gid;
}

/**
 * The identity to switch to. Privileged, a user is required (root must be said out loud); unprivileged, none can be
 * applied, and a user other than our own is a notice; for `groups` see server-groups.ts.
 */
export function compileIdentity(
  acls: Acls,
  path: string,
  machine: Machine,
  report: Report,
): Identity | undefined {
  if (!machine.privileged) {
    for (const key of ["user", "group", "groups"] as const) {
      const given = acls[key];
      if (given === undefined) continue;
      // What no server could apply is told here too.
      for (const [i, name] of [given].flat().entries()) {
        report.attempt(key === "groups" ? `${path}.${key}[${i}]` : `${path}.${key}`, () =>
          idOf(name),
        );
      }
      // Those that are kept are told by name.
      if (key === "groups") continue;
      report.notice(
        `${path}.${key}`,
        `not applied: the server runs unprivileged, as uid ${machine.uid}, gid ${machine.gid}; commands run as that`,
      );
    }
    return undefined;
  }
  if (acls.user === undefined) {
    report.problem(
      `${path}.user`,
      `missing: the server runs as root, so say which user the commands run as, such as "nobody" ("root" must be said out loud)`,
    );
    return undefined;
  }
  const { user: name } = acls;
  const before = report.problems.length;
  const numeric = report.attempt(`${path}.user`, () => idOf(name));
  if (report.problems.length > before) return undefined;
  const user = machine.user(name);
  const uid = numeric ?? user?.uid;
  if (uid === undefined || !isId(uid)) {
    report.problem(
      `${path}.user`,
      `unknown user ${JSON.stringify(name)}: name one of /etc/passwd, or a uid`,
    );
    return undefined;
  }
  let gid = user !== undefined && isId(user.gid) ? user.gid : undefined;
  if (acls.group !== undefined) gid = groupId(acls.group, `${path}.group`, machine, report);
  else if (gid === undefined) {
    report.problem(
      `${path}.group`,
      `missing: uid ${uid} has no entry in /etc/passwd with a group, so its group must be given`,
    );
  }
  const named: NamedIds[] = [];
  const remember = (kind: NamedIds["kind"], name: string, ...ids: number[]) => {
    if (idOf(name) === undefined) named.push({ kind, name, ids });
  };
  if (gid !== undefined && acls.group !== undefined) {
    remember("user", name, uid);
    remember("group", acls.group, gid);
  } else if (gid !== undefined) {
    remember("user", name, uid, gid);
  }
  const groups: number[] = [];
  for (const [i, name] of (acls.groups ?? []).entries()) {
    const id = groupId(name, `${path}.groups[${i}]`, machine, report);
    if (id === undefined) continue;
    groups.push(id);
    remember("group", name, id);
  }
  if (groups.length > MOST_GROUPS) tellTooMany(groups, `${path}.groups`, report);
  if (gid === undefined) return undefined;
  return {
    ...{ uid, gid, groups },
    ...(user && { name: user.name, home: user.home }),
    ...(named.length > 0 && { named }),
  };
}

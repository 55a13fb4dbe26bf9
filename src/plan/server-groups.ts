/**
 * The supplementary groups of commands whose server is an ordinary user's: its own, unless it may change them. A user namespace
 * does not help: who maps only the own gid must give setgroups(2) up first, and groups that are not mapped there still count.
 * See user_namespaces(7), "Interaction with system calls that change process UIDs or GIDs".
 */
import type { Acls } from "../config/sandbox-schema.ts";
import { groupIdOf, MOST_GROUPS, tellTooMany } from "./identity.ts";
import type { Machine } from "./machine.ts";
import type { KeptGroup } from "./policy.ts";
import type { Report } from "./report.ts";
import { capabilityNumbers } from "./words.ts";

const [SETGID = -1] = capabilityNumbers(["SETGID"]);

export interface ServerGroups {
  /** What commands have of the server's, besides its gid, whatever the config says. */
  readonly kept: readonly KeptGroup[];
  /** What commands are given; undefined: nothing can be changed. */
  readonly set: readonly number[] | undefined;
}

/** Of a server of root, which gives each command its groups: see identity.ts. */
export const NO_SERVER_GROUPS: ServerGroups = { kept: [], set: undefined };

export function compileServerGroups(
  { groups: names = [] }: Acls,
  path: string,
  machine: Machine,
  report: Report,
): ServerGroups {
  if (machine.privileged) return NO_SERVER_GROUPS;
  const asked = new Map(names.map((name) => [name, idIfAny(name, machine)]));
  if (machine.ambient.has(SETGID)) {
    const set = [...new Set([...asked.values()].filter((gid) => gid !== undefined))];
    const unknown = [...asked].filter(([, gid]) => gid === undefined).map(([name]) => name);
    if (unknown.length > 0) report.problem(path, `unknown groups ${unknown.join(", ")}`);
    if (set.length > MOST_GROUPS) tellTooMany(set, path, report);
    return { kept: [], set };
  }
  const kept = keptGroups(machine);
  const lacking = names.filter((name) => {
    const gid = asked.get(name);
    return gid !== machine.gid && !kept.some((one) => one.gid === gid);
  });
  if (lacking.length > 0) {
    const who = `the server runs unprivileged, as uid ${machine.uid}, gid ${machine.gid}`;
    report.notice(path, `not applied: ${lacking.join(", ")}: ${who}, and is not in them`);
  }
  const given = new Set(asked.values());
  const unasked = kept.filter(({ gid }) => !given.has(gid));
  if (unasked.length > 0) report.notice(path, keptWords(unasked));
  return { kept, set: undefined };
}

/** What is no id is told with the identity. */
function idIfAny(name: string, machine: Machine): number | undefined {
  try {
    return groupIdOf(name, machine);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}

/** All that this process has besides its effective gid: the real one can be taken back. */
export const keptGroups = (machine: Pick<Machine, "gid" | "groups" | "groupName">): KeptGroup[] =>
  [...new Set(machine.groups)]
    .filter((gid) => gid !== machine.gid)
    .map((gid) => {
      const name = machine.groupName(gid);
      return { gid, ...(name !== undefined && { name }) };
    });

/** `adm (4), 5000` */
export const groupsWords = (groups: readonly KeptGroup[]): string =>
  groups.map(({ gid, name }) => (name === undefined ? `${gid}` : `${name} (${gid})`)).join(", ");

/** What is to be told of groups that nobody asked for. */
export const keptWords = (groups: readonly KeptGroup[]): string =>
  `commands keep the server's supplementary groups ${groupsWords(groups)}, and reach what these may: an ordinary user cannot give groups up. Serve as a user that is in none of them, or let root start the server with "setpriv --reuid USER --regid GROUP --clear-groups", or with CAP_SETGID as an ambient capability`;

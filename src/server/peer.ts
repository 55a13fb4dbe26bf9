/**
 * Who is at the other end of a unix socket, as far as privileges go by that: unix(7), SO_PEERCRED, SO_PEERGROUPS
 * and SO_PEERSEC. Asked when the connection is accepted: first for the ids alone, since who it is takes longer to find out, and
 * what has no place is refused before.
 */
import { readFileSync } from "node:fs";
import type { Wire } from "./wire.ts";
import {
  descriptorOf,
  lookAtPeer,
  peerCredentials,
  peerGroups,
  peerLabel,
} from "../../ffi/sockets.ts";
import type { UserIds } from "../api/client.ts";
import { errorLine } from "../unexpected.ts";

export interface Ids {
  /** 0 for a process that this pid namespace cannot see. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

export interface Peer extends Ids {
  /** For privileges; undefined when its ids say nothing, as those of the server's own commands. */
  readonly user: UserIds | undefined;
}

/** As a trusted peer tells it. */
export interface Named extends Omit<Peer, "user"> {
  readonly label: string | undefined;
}

/** What the kernel shows for an id that this user namespace has none for (/proc/sys/kernel/overflowuid). */
const OVERFLOW_ID = 65534;

/** undefined when nothing can be known. */
export const idsOf = (socket: Wire): Ids | undefined => looked(socket, peerCredentials);

/** undefined when nothing can be known. @param ids of this socket */
export function peerOf(socket: Wire, ids = idsOf(socket)): Peer | undefined {
  return ids && looked(socket, (fd) => ({ ...ids, user: userOf(fd, ids) }));
}

function looked<Found>(socket: Wire, look: (fd: number) => Found): Found | undefined {
  const fd = descriptorOf(socket);
  if (fd === undefined) return undefined;
  try {
    return look(fd);
  } catch (error) {
    console.error(`who connected is not known: ${errorLine(error)}`);
    return undefined;
  }
}

function userOf(fd: number, { pid, uid, gid }: Ids): UserIds | undefined {
  if (!isNumbered("uid", uid)) return undefined;
  // One that has connected and gone may have been a command of ours: nobody can tell any more.
  const confined = lookAtPeer(fd, pid, (it) => {
    const status = statusOf(it);
    return isOwnCommand(it, status) ? undefined : isConfined(status);
  });
  if (confined === undefined) return undefined;
  const gids = [...new Set([gid, ...peerGroups(fd)])].filter((id) => isNumbered("gid", id));
  const label = peerLabel(fd);
  return { uid, gids, confined, ...(label !== undefined && { label }) };
}

/** Whether an id means one user: in a user namespace, all that are not mapped look alike. */
function isNumbered(kind: "uid" | "gid", id: number): boolean {
  return id !== OVERFLOW_ID || /^\s*0\s+0\s+4294967295\s*$/.test(proc(`self/${kind}_map`) ?? "");
}

/**
 * A command runs as root, or as the user of the server, and may see its socket; that gives it nothing. All that it starts
 * descends from the server: the supervisor of a task adopts what the command leaves behind.
 */
export function isOwnCommand(pid: number, status = statusOf(pid)): boolean {
  // 0: outside of this pid namespace, where nothing descends from this process.
  for (let at = pid, shown = status; at > 1 && at !== process.pid; shown = statusOf(at)) {
    const parent = numberIn(shown, PARENT);
    // What cannot be read is not trusted.
    if (parent === undefined || parent === process.pid) return true;
    at = parent;
  }
  return false;
}

/**
 * The user that a trusted peer calls on behalf of: it tells the ids, the label, and of the process only the number. What cannot be seen is
 * taken for one that has less than its user, and one of the server's own commands for nobody.
 */
export function userNamed({ uid, gid, pid, label }: Named): UserIds | undefined {
  if (!isNumbered("uid", uid) || isOwnCommand(pid)) return undefined;
  const gids = isNumbered("gid", gid) ? [gid] : [];
  return { uid, gids, confined: isConfined(statusOf(pid)), ...(label !== undefined && { label }) };
}

const PARENT = /^PPid:\s*(\d+)$/m;
const NO_NEW_PRIVILEGES = /^NoNewPrivs:\s*(\d+)$/m;

/** Also where that cannot be seen, as of a process outside of this pid namespace. */
const isConfined = (status: string): boolean => numberIn(status, NO_NEW_PRIVILEGES) !== 0;

/** proc_pid_status(5); empty where it is not there, as that of 0 never is. */
const statusOf = (pid: number): string => proc(`${pid}/status`) ?? "";

function numberIn(status: string, field: RegExp): number | undefined {
  const value = field.exec(status)?.[1];
  return value === undefined ? undefined : Number(value);
}

/** undefined when it is not there, or hidden (hidepid). */
function proc(path: string): string | undefined {
  try {
    return readFileSync(`/proc/${path}`, "latin1");
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

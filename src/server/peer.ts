/**
 * Who is at the other end of a unix socket, as far as privileges go by that: unix(7), SO_PEERCRED, SO_PEERGROUPS
 * and SO_PEERSEC. Asked when the connection is accepted.
 */
import { readFileSync } from "node:fs";
import type { Socket } from "node:net";
import {
  descriptorOf,
  lookAtPeer,
  peerCredentials,
  peerGroups,
  peerLabel,
} from "../../ffi/sockets.ts";
import type { UserIds } from "../api/client.ts";
import { errorLine } from "../unexpected.ts";

export interface Peer {
  /** 0 for a process that this pid namespace cannot see. */
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
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
export function peerOf(socket: Socket): Peer | undefined {
  const fd = descriptorOf(socket);
  if (fd === undefined) return undefined;
  try {
    const { pid, uid, gid } = peerCredentials(fd);
    return { pid, uid, gid, user: userOf(fd, { pid, uid, gid }) };
  } catch (error) {
    console.error(`who connected is not known: ${errorLine(error)}`);
    return undefined;
  }
}

function userOf(fd: number, { pid, uid, gid }: Omit<Peer, "user">): UserIds | undefined {
  if (!isNumbered("uid", uid)) return undefined;
  // One that has connected and gone may have been a command of ours: nobody can tell any more.
  const confined = lookAtPeer(fd, pid, (it) => (isOwnCommand(it) ? undefined : isConfined(it)));
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
export function isOwnCommand(pid: number): boolean {
  // 0: outside of this pid namespace, where nothing descends from this process.
  for (let at = pid; at > 1 && at !== process.pid;) {
    const parent = statusOf(at, "PPid");
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
  if (!isNumbered("uid", uid) || (pid > 0 && isOwnCommand(pid))) return undefined;
  const gids = isNumbered("gid", gid) ? [gid] : [];
  return { uid, gids, confined: isConfined(pid), ...(label !== undefined && { label }) };
}

/** Also where that cannot be seen, as of a process outside of this pid namespace. */
const isConfined = (pid: number): boolean => statusOf(pid, "NoNewPrivs") !== 0;

function statusOf(pid: number, field: "PPid" | "NoNewPrivs"): number | undefined {
  if (pid === 0) return undefined;
  const value = new RegExp(`^${field}:\\s*(\\d+)$`, "m").exec(proc(`${pid}/status`) ?? "")?.[1];
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

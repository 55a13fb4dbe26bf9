/**
 * Paths of the host that a config names, as they lead now and as they may at each launch.
 *
 * Following a link is trusting: whoever can make it chooses what is shown. At the start, links of root and of the server's own
 * user are followed; at a launch only those that nobody but root can make, since a command may have made the others: the
 * launcher does that (ffi/launcher/follow.c). See protected_symlinks in proc(5) for the kernel's view of the same.
 */
import { posix } from "node:path";
import { MAP_OWNERS, ownerWords, unknownUid } from "../config/owners.ts";
import type { Machine } from "./machine.ts";
import type { Owner } from "./make-directory.ts";
import { type HostFiles, isUnseen } from "./view.ts";

const MOST_LINKS = 40;

export interface Source {
  /** Where it leads now, without links. */
  readonly path: string;
  /** As the config has it, without what means nothing: `..` is the parent of where a link leads. */
  readonly asked: string;
  /** The links on the way. */
  readonly links: readonly string[];
}

/** What becomes of a source that is not there. */
export type Missing = "refused" | "made" | "looked for at each launch";

/** @param owner of what is made. @throws Error naming the link that is not to be trusted, or what is missing */
export function resolveSource(
  source: string,
  missing: Missing,
  { files, mkdir, uid }: Pick<Machine, "files" | "mkdir" | "uid">,
  owner?: Owner,
): Source {
  let parts = split(source);
  const asked = `/${parts.join("/")}`;
  const links: string[] = [];
  let at = "/";
  while (parts.length > 0) {
    const [part = "", ...rest] = parts;
    const next = posix.join(at, part);
    const found = missing === "looked for at each launch" ? seen(files, next) : files.lookup(next);
    if (!found) {
      const path = posix.join(next, ...rest);
      if (missing === "refused") {
        throw new Error(
          `source ${source} does not exist on this machine: create it, correct it, or set opts.autocreate`,
        );
      }
      if (missing === "made") mkdir(path, owner);
      return { path, asked, links };
    }
    if (found.kind !== "link") {
      at = next;
      parts = rest;
      continue;
    }
    if (found.owner !== 0 && (found.owner !== uid || uid === unknownUid())) {
      const todo =
        found.owner === unknownUid()
          ? MAP_OWNERS
          : "name what it leads to, or make the link yourself";
      throw new Error(
        `source ${source} goes through the link ${next} of ${ownerWords(found.owner)}, who could thereby show any path of the host: ${todo}`,
      );
    }
    links.push(next);
    if (links.length > MOST_LINKS) throw new Error(`source ${source}: too many symbolic links`);
    const text = files.readlink(next);
    parts = [...split(text), ...rest];
    if (text.startsWith("/")) at = "/";
  }
  return { path: at, asked, links };
}

/** What nobody can look at now is not there for its commands. */
export function seen(files: HostFiles, path: string): ReturnType<HostFiles["lookup"]> {
  try {
    return files.lookup(path);
  } catch (error) {
    const isFile = error instanceof Error && "code" in error && error.code === "ENOTDIR";
    if (!isFile && !isUnseen(error)) throw error;
    return undefined;
  }
}

/**
 * Whether only root can make a link there: it and all directories above it are root's, and nobody else can exchange anything in
 * them, or make anything where it lies: another name of a link that root has made elsewhere, see protected_hardlinks in proc(5).
 */
export function isRoots(link: string, files: HostFiles): boolean {
  if (files.lookup(link)?.owner !== 0 || files.lookup(posix.dirname(link))?.open) return false;
  for (let dir = posix.dirname(link); ; dir = posix.dirname(dir)) {
    if (!files.lookup(dir)?.rootsOnly) return false;
    if (dir === "/") return true;
  }
}

/** Of one that is followed at the start only. */
export const heldNotice = (asked: string, link: string, why: string): string =>
  `${asked} goes through the link ${link}, ${why}: it is followed at the start only; a reload takes where it leads then`;

const split = (path: string): string[] =>
  path.split("/").filter((part) => part !== "" && part !== ".");

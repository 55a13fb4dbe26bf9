/**
 * A path of the host without symbolic links: what the launcher, which follows none, will open.
 *
 * Resolving is trusting: whoever owns a link on the way chooses what is shown. So only links of root and of the server's own
 * user are followed. See protected_symlinks in proc(5) for the kernel's view of the same.
 */
import { posix } from "node:path";
import type { Machine } from "./machine.ts";

const MOST_LINKS = 40;

/** `make`: makes what is missing, without which it is an error. @throws Error naming the link that is not to be trusted, or what is missing */
export function resolveSource(
  source: string,
  make: ((path: string) => void) | undefined,
  { files, uid }: Pick<Machine, "files" | "uid">,
): string {
  let parts = split(source);
  let at = "/";
  for (let links = 0; parts.length > 0;) {
    const [part = "", ...rest] = parts;
    const next = posix.join(at, part);
    const found = files.lookup(next);
    if (!found) {
      if (!make) {
        throw new Error(
          `source ${source} does not exist on this machine: create it, correct it, or set opts.autocreate`,
        );
      }
      const missing = posix.join(next, ...rest);
      make(missing);
      return missing;
    }
    if (found.kind !== "link") {
      at = next;
      parts = rest;
      continue;
    }
    if (found.owner !== 0 && found.owner !== uid) {
      throw new Error(
        `source ${source} goes through the link ${next} of uid ${found.owner}, who could thereby show any path of the host: name what it leads to, or make the link yourself`,
      );
    }
    if (++links > MOST_LINKS) throw new Error(`source ${source}: too many symbolic links`);
    const text = files.readlink(next);
    parts = [...split(text), ...rest];
    if (text.startsWith("/")) at = "/";
  }
  return at;
}

/** `..` stays: after a link it is the parent of where that leads. */
const split = (path: string): string[] =>
  path.split("/").filter((part) => part !== "" && part !== ".");

/**
 * Files of directories named on the command line, as a web server has them: a page of the user's own, or a developer's tool.
 * Only regular files, nothing hidden, and no listing of directories.
 *
 * A path is taken apart before it is decoded, and each part must be a plain name; that no symbolic link leads outside is left
 * to the kernel. A directory is opened once, at the start: what gets its name later is not served.
 */
import { type BigIntStats, closeSync, fstatSync } from "node:fs";
import { handleAt } from "../../ffi/at.ts";
import { openBeneath, openDirectory } from "../../ffi/beneath.ts";
import { errnoBehind } from "../../ffi/errno.ts";
import { trustOf } from "../config/trust.ts";
import { Walk } from "../config/walk.ts";
import { namesOf } from "./path.ts";
import { type PageFile, respondFile } from "./page-file.ts";

/** A directory, and where it appears. */
export interface PageSource {
  /** `/`, or such as `/devtools` */
  readonly prefix: string;
  readonly path: string;
}

interface Mount {
  readonly names: readonly string[];
  readonly directory: number;
}

const INDEX = "index.html";

export class Pages {
  /** The longest prefix first. */
  readonly #mounts: readonly Mount[];

  /** Throws an Error that says which directory cannot be used and why. */
  constructor(sources: readonly PageSource[]) {
    this.#mounts = sources
      .map(({ prefix, path }) => ({ names: namesOf(prefix) ?? [], directory: openRoot(path) }))
      .sort((a, b) => b.names.length - a.names.length);
  }

  /**
   * The answer to a request; undefined when there is no such page.
   * @param base What is before the path of the request, see Base.
   * @param ancestors Who may show the page in a frame: a source list of `frame-ancestors`, see CSP.
   */
  async respond(request: Request, ancestors: string, base = ""): Promise<Response | undefined> {
    const { pathname, search } = new URL(request.url);
    const names = namesOf(pathname);
    // However it is written, what is below /api are verbs.
    if (names?.[0] === "api") return undefined;
    const mount = names && this.#mounts.find((one) => one.names.every((it, i) => it === names[i]));
    if (!mount) return undefined;
    const asDirectory = pathname.endsWith("/");
    const found = find(mount.directory, names.slice(mount.names.length));
    if (!found) return undefined;
    try {
      if (found.isIndex && !asDirectory) {
        // What links are relative to. Made of plain names, so it leads to no other host.
        const location = `${base}/${names.map(encodeURIComponent).join("/")}/${search}`;
        return new Response(null, { status: 302, headers: { location } });
      }
      if (asDirectory && !found.isIndex) return undefined;
      return await respondFile(request, found, ancestors);
    } finally {
      closeSync(found.handle);
    }
  }

  close(): void {
    for (const { directory } of this.#mounts) closeSync(directory);
  }
}

const HINTS: Readonly<Record<string, string>> = {
  ENOSYS: ": pages need Linux 5.6",
  ENOENT: ": make it first, or name another",
};

function openRoot(path: string): number {
  try {
    const directory = directoryAt(path);
    // Whether this kernel can keep us inside.
    const handle = openBeneath(directory, ".");
    if (handle !== undefined) closeSync(handle);
    return directory;
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    const hint = HINTS[errnoBehind(error) ?? ""] ?? "";
    throw new Error(`cannot serve pages of ${path}: ${reason}${hint}`, { cause: error });
  }
}

/** Root publishes all that is below: through another's link, which they repoint, that would be whatever they choose. */
function directoryAt(path: string): number {
  const trust = trustOf(process.geteuid?.() ?? 0);
  if (!trust) return openDirectory(path);
  using walk = Walk.to(path, trust);
  if (!walk.isDirectory) throw new Error(`ENOTDIR: ${walk.path} is not a directory`);
  return handleAt(walk.handle, ".");
}

/** The file of these names, or the index of the directory. The caller closes the handle. */
function find(
  directory: number,
  names: readonly string[],
): (PageFile & { isIndex: boolean }) | undefined {
  const file = look(directory, names);
  if (!file?.stat.isDirectory()) return file && regular({ ...file, isIndex: false });
  closeSync(file.handle);
  const index = look(directory, [...names, INDEX]);
  return index && regular({ ...index, isIndex: true });
}

function look(directory: number, names: readonly string[]): PageFile | undefined {
  const handle = openBeneath(directory, names.length > 0 ? names.join("/") : ".");
  if (handle === undefined) return undefined;
  const stat: BigIntStats = fstatSync(handle, { bigint: true });
  return { handle, stat, name: names.at(-1) ?? "" };
}

/** A FIFO would wait for a writer; a device may do anything when it is opened. */
function regular<File extends PageFile>(file: File): File | undefined {
  if (file.stat.isFile()) return file;
  closeSync(file.handle);
  return undefined;
}

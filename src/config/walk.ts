/**
 * A path, walked step by step, each on the descriptor of the last: so that what was checked is what is then read, and a link
 * that somebody repoints meanwhile, or later, leads nowhere. What counts is each directory and each link on the way, not only
 * the end: who can change one of them chooses what is read, among all that is there.
 *
 * Without openat2(2), which older kernels and filters of containers lack; it would refuse links of root too.
 */
import { type BigIntStats, closeSync, constants, fstatSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { handleAt, openAt, readLink } from "../../ffi/at.ts";
import { openDirectory } from "../../ffi/beneath.ts";
import { CError } from "../../ffi/errno.ts";
import { madeUp } from "./filesystem.ts";
import { MAP_OWNERS, ownerWords, unknownUid } from "./owners.ts";

/** Whether others may put files of their own next to a file, as in /tmp. */
export type Beside = "mine only" | "others' too";

/** What makes a file one to be obeyed. */
export interface Trust {
  /** Who may be able to change it: {@link deciders}. */
  readonly owners: readonly number[];
  readonly beside: Beside;
}

const WRITABLE_BY_OTHERS = 0o022n;
const STICKY = 0o1000n;
/** As the kernel's, see path_resolution(7). */
const MOST_LINKS = 40;
/** Without waiting for the writer of a FIFO, or getting a terminal. */
const READ = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** Where a walk is: a handle (O_PATH), and the path there, without links. */
interface Place {
  readonly handle: number;
  readonly path: string;
  readonly stat: BigIntStats;
}

export class Walk {
  readonly #trust: Trust;
  /** The directory that the next name is looked up in. */
  #directory: Place | undefined;
  /** The end, when it is no directory. */
  #file: Place | undefined;
  readonly #foreign = new Set<string>();
  readonly #owners = new Set<number>();
  readonly #open = new Set<string>();
  /** Directories such as /tmp, where everybody can make files and only the owner of one can rename it. */
  readonly #shared = new Set<string>();
  readonly #other = new Set<string>();

  private constructor(trust: Trust) {
    this.#trust = trust;
  }

  /** To what a path names, from `/` or the current directory. @throws Error when it leads nowhere, or through a link of another */
  static to(path: string, trust: Trust): Walk {
    return Walk.#begun(trust, (walk) => {
      walk.#enter({ handle: openDirectory("/"), path: "/" });
      if (!path.startsWith("/")) {
        const here = process.cwd();
        walk.#go(here);
        walk.#mustBeHere(here);
      }
      walk.#go(path);
    });
  }

  /** To what a name in the directory at the end of this walk leads to. @throws as {@link to} */
  next(name: string): Walk {
    const from = this.#end;
    return Walk.#begun(this.#trust, (walk) => {
      for (const shared of this.#shared) walk.#shared.add(shared);
      walk.#enter({ handle: handleAt(from.handle, "."), path: from.path });
      walk.#go(name);
    });
  }

  static #begun(trust: Trust, go: (walk: Walk) => void): Walk {
    const walk = new Walk(trust);
    try {
      go(walk);
      return walk;
    } catch (error) {
      walk[Symbol.dispose]();
      throw error;
    }
  }

  /** Without links. */
  get path(): string {
    return this.#end.path;
  }

  /** Of what is at the end, for as long as the walk is not disposed of. */
  get handle(): number {
    return this.#end.handle;
  }

  /** Nobody else can change or add anything in the directory. */
  get isOwn(): boolean {
    return this.#complaint === undefined && !this.#shared.has(this.#directory?.path ?? "");
  }

  get isDirectory(): boolean {
    return this.#end.stat.isDirectory();
  }

  /** Permissions of what is at the end, and what kind of file it is. */
  get mode(): number {
    return Number(this.#end.stat.mode);
  }

  get #end(): Place {
    const end = this.#file ?? this.#directory;
    if (!end) throw new Error("the walk is over");
    return end;
  }

  /** @throws Error naming all that others can change, and what to do; or when the end is something else than is wanted */
  refuse(wanted: "file" | "file or directory"): void {
    const { path, stat } = this.#end;
    if (!stat.isFile() && !(wanted === "file or directory" && stat.isDirectory()))
      throw new Error(`${path} is not a regular file`);
    const beside = stat.isFile() ? dirname(path) : path;
    // A directory such as /tmp is meant to be so.
    if (this.#trust.beside === "mine only" && this.#shared.has(beside))
      this.#other.add(`others can put files into ${beside}: use a directory of your own`);
    this.#complain();
  }

  /** The end, opened for reading; the caller closes it. */
  open(): number {
    const directory = this.#directory;
    const { path, stat } = this.#end;
    if (!directory) throw new Error("the walk is over");
    const fd = this.#file
      ? openAt(directory.handle, basename(path), READ)
      : openAt(directory.handle, ".", READ | constants.O_DIRECTORY);
    const { dev, ino } = fstatSync(fd, { bigint: true });
    if (dev === stat.dev && ino === stat.ino) return fd;
    closeSync(fd);
    throw new Error(`${path} was replaced while it was looked at: try again`);
  }

  #go(path: string): void {
    if (path.includes("\0")) throw new Error("a path cannot contain a NUL byte");
    const ahead = namesOf(path);
    let links = 0;
    for (let name = ahead.shift(); name !== undefined; name = ahead.shift()) {
      const step = this.#look(name);
      if (step.stat.isDirectory()) this.#enter(step);
      else if (!step.stat.isSymbolicLink()) {
        this.#file = step;
        this.#judge(step);
        if (ahead.length > 0) throw new Error(`ENOTDIR: ${step.path} is not a directory`);
      } else {
        const target = this.#leave(step);
        if (++links > MOST_LINKS) throw new Error(`ELOOP: the links of ${path} go in a circle`);
        if (target.startsWith("/")) this.#enter({ handle: openDirectory("/"), path: "/" });
        ahead.unshift(...namesOf(target));
      }
    }
  }

  #look(name: string): Place {
    const from = this.#end;
    const path = name === ".." ? dirname(from.path) : join(from.path, name);
    try {
      const handle = handleAt(from.handle, name);
      return { handle, path, stat: fstatSync(handle, { bigint: true }) };
    } catch (error) {
      if (!(error instanceof CError)) throw error;
      const why = error.errno === "ENOENT" ? "ENOENT: no such file or directory" : error.errno;
      throw new Error(`${why}: ${path}`, { cause: error });
    }
  }

  #enter({
    handle,
    path,
    stat = fstatSync(handle, { bigint: true }),
  }: Omit<Place, "stat"> & Partial<Place>): void {
    if (this.#directory) closeSync(this.#directory.handle);
    this.#directory = { handle, path, stat };
    this.#judge(this.#directory);
  }

  /** Where a link leads, when it is one to be followed. */
  #leave(link: Place): string {
    try {
      this.#judge(link);
      this.#complain();
      const target = readLink(link.handle);
      if (target === undefined)
        throw new Error(`the link ${link.path} leads to what is no UTF-8 text`);
      // The kernel answers so for a link to nowhere.
      if (target === "") throw new Error(`ENOENT: the link ${link.path} is empty`);
      return target;
    } finally {
      closeSync(link.handle);
    }
  }

  /** The current directory may be one that is hidden by a mount, or was moved meanwhile. */
  #mustBeHere(path: string): void {
    const here = openDirectory(".");
    try {
      const { dev, ino } = fstatSync(here, { bigint: true });
      const { stat } = this.#end;
      if (dev !== stat.dev || ino !== stat.ino)
        throw new Error(`${path} is not the current directory any more: give an absolute path`);
    } finally {
      closeSync(here);
    }
  }

  /** Remembers what is wrong with a step. */
  #judge({ handle, path, stat }: Place): void {
    const reason = madeUp(handle);
    if (reason !== undefined) this.#other.add(`${path} ${reason}`);
    const mine = this.#trust.owners.includes(Number(stat.uid));
    const isLink = stat.isSymbolicLink();
    if (!mine) this.#foreign.add(`${isLink ? "the link " : ""}${path} belongs to uid ${stat.uid}`);
    if (!mine) this.#owners.add(Number(stat.uid));
    const open = !isLink && (stat.mode & WRITABLE_BY_OTHERS) !== 0n;
    if (stat.isDirectory()) {
      if (open && mine && (stat.mode & STICKY) !== 0n) this.#shared.add(path);
      else if (open) this.#open.add(path);
      return;
    }
    if (open) this.#open.add(path);
    // A file of root's that others have given this name: nothing prevents that where fs.protected_hardlinks is off.
    if (this.#shared.has(dirname(path)) && stat.nlink > 1n)
      this.#other.add(
        `${path} has ${stat.nlink} names, and anybody can give it one in ${dirname(path)}: copy it`,
      );
  }

  #complain(): void {
    const complaint = this.#complaint;
    if (complaint !== undefined) throw new Error(complaint);
  }

  /** All of one kind at once, from the end of the path up; undefined when there is none. */
  get #complaint(): string | undefined {
    const [other] = [...this.#other].reverse();
    if (other !== undefined) return other;
    if (this.#foreign.size > 0) {
      const who = this.#trust.owners.map((uid) => (uid === 0 ? "root" : `uid ${uid}`));
      const all = [...this.#foreign].reverse().join(", ");
      // Without -h, what a link leads to would get another owner.
      const how = /(^|, )the link /.test(all) ? "chown -h" : "chown";
      const unknown = [...this.#owners].find((uid) => uid === unknownUid());
      const todo =
        unknown !== undefined
          ? `that is ${ownerWords(unknown)}: ${MAP_OWNERS}`
          : `${how} it to ${[...new Set(who)].join(" or ")}`;
      return `${all}, who could change what this server does: ${todo}`;
    }
    const paths = [...this.#open].reverse().join(" ");
    if (paths === "") return undefined;
    return `${paths} can be written by others than its owner: chmod go-w ${paths}`;
  }

  [Symbol.dispose](): void {
    for (const place of [this.#directory, this.#file]) if (place) closeSync(place.handle);
    this.#directory = this.#file = undefined;
  }
}

/** A file with a slash behind it is none: so that is a step too. */
const namesOf = (path: string): string[] => {
  const names = path.split("/").filter((name) => name !== "" && name !== ".");
  return /\/\.?$/.test(path) && names.length > 0 ? [...names, "."] : names;
};

/**
 * The file system as a command will see it, worked out at boot: so that a program, interpreter or ELF loader that is not visible
 * inside the sandbox is found before the first launch, and not by a mute ENOENT of execve(2).
 */
import { posix } from "node:path";
import type { FileCapabilities } from "../../ffi/files.ts";
import type { ForeignFormat } from "./binfmt.ts";
import type { MountFlags, MountStep } from "./policy.ts";

interface HostFile {
  readonly kind: "file" | "dir" | "link" | "other";
  readonly executable: boolean;
  /** uid */
  readonly owner: number;
  /** gid */
  readonly group: number;
  /** The permission bits. */
  readonly mode: number;
  /** A directory in which only root can make, rename or remove what is root's. */
  readonly rootsOnly: boolean;
  /** A directory in which others can make something. */
  readonly open: boolean;
}

/** What a view needs of the host. */
export interface HostFiles {
  /** Without following a link; undefined when there is nothing. */
  lookup(path: string): HostFile | undefined;
  readlink(path: string): string;
  /** The first bytes of a file, as many as there are; undefined where we may not read it. */
  head(path: string, bytes: number): Uint8Array | undefined;
  /** Whether this server itself has a right there: R_OK, W_OK or X_OK of access(2). */
  isAllowed(path: string, right: number): boolean;
  /** Whether it is sure that no access control list allows more than the mode says: acl(5). */
  hasOnlyMode(path: string): boolean;
  /** Of the file itself; undefined where it has none. */
  capabilities(path: string): FileCapabilities | undefined;
  /** What the mount there lets nobody do. */
  mountFlags(path: string): MountFlags;
  /** What this kernel has been told to run by an interpreter. */
  foreignFormats(): readonly ForeignFormat[];
}

/**
 * Whether a look has failed for what it is about: this server may not look there, or what holds it does not answer, has lost it, or
 * has died (ENOTCONN of fuse(4)). What is there nobody knows then.
 */
export const isUnseen = (error: unknown): boolean =>
  error instanceof Error && "code" in error && UNSEEN.has(String(error.code));

const UNSEEN: ReadonlySet<string> = new Set([
  ...["EACCES", "ETIMEDOUT", "ENOTCONN", "ESTALE", "EHOSTDOWN", "EHOSTUNREACH"],
]);

/** The directory that it lies in; in the root it is shown alone. */
const topOf = (path: string): string => (posix.dirname(path) === "/" ? path : posix.dirname(path));

/** A path that was found: where it lies on the host, or nowhere for what the sandbox makes itself. */
export interface Found {
  readonly host: string | undefined;
  /** Inside, without links. */
  readonly path: string;
  readonly noexec: boolean;
  readonly nosuid: boolean;
}

const MOST_LINKS = 40;
const NOTHING: MountFlags = { readonly: false, nosuid: false, nodev: false, noexec: false };

export class View {
  readonly #steps: readonly MountStep[];

  constructor(
    mounts: readonly MountStep[] | undefined,
    readonly files: HostFiles,
  ) {
    this.#steps = mounts ?? [{ kind: "bind", source: "/", target: "/", flags: NOTHING }];
  }

  /** Follows the path as the kernel would inside. Throws naming the part that is not there. */
  resolve(path: string): Found {
    return this.#at(this.follow(path), path);
  }

  /**
   * The path inside without links, whether there is anything or not. `/proc/self` is left alone: it leads every process elsewhere.
   * @param onLink is told each link that lies on the host, and its owner
   */
  follow(path: string, onLink: (link: string, owner: number) => void = () => {}): string {
    let parts = path.split("/").filter((part) => part !== "");
    let at = "/";
    for (let links = 0; parts.length > 0;) {
      const [part = "", ...rest] = parts;
      parts = rest;
      if (part === ".") continue;
      const next = part === ".." ? posix.dirname(at) : posix.join(at, part);
      if (next === "/proc/self" || next === "/proc/thread-self") return posix.join(next, ...parts);
      const link = this.#linkAt(next);
      if (link === undefined) {
        at = next;
        continue;
      }
      const onHost = this.hostPath(next);
      const owner = onHost === undefined ? undefined : this.files.lookup(onHost)?.owner;
      if (onHost !== undefined && owner !== undefined) onLink(onHost, owner);
      if (++links > MOST_LINKS) throw new Error(`${path}: too many symbolic links`);
      parts = [...link.split("/").filter((piece) => piece !== ""), ...parts];
      if (link.startsWith("/")) at = "/";
    }
    return at;
  }

  /**
   * Whether there is a directory inside, as far as can be told at boot: what the sandbox's own file systems have in them cannot,
   * and what the server may not look at neither.
   */
  mayHaveDirectory(path: string): boolean {
    try {
      const real = this.follow(path);
      const below = real === "/" ? "/" : `${real}/`;
      // Made on the way to what is mounted there.
      if (real === "/" || this.#steps.some(({ target }) => target.startsWith(below))) return true;
      const step = this.#mountOf(real);
      if (step?.kind === "bind")
        return this.files.lookup(this.#hostOf(step, real) ?? "")?.kind === "dir";
      if (step?.kind === "tmpfs" || step?.kind === "dir") return step.target === real;
      return step !== undefined && step.kind !== "file" && step.kind !== "symlink";
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      return code !== "ENOTDIR" && code !== "ENOENT";
    }
  }

  /** Where on the host a path without links lies; undefined for what the sandbox makes itself, or does not have. */
  hostPath(path: string): string | undefined {
    const step = this.#mountOf(path);
    return step && this.#hostOf(step, path);
  }

  /** The mount that shows `path`: the last one that covers it, since a later mount hides what was there. */
  #mountOf(path: string): MountStep | undefined {
    let best: MountStep | undefined;
    for (const step of this.#steps) {
      if (step.kind === "seal" || step.kind === "rebind" || step.kind === "lock") continue;
      const covers =
        step.target === "/" || path === step.target || path.startsWith(`${step.target}/`);
      if (covers) best = step;
    }
    return best;
  }

  #hostOf(step: MountStep, path: string): string | undefined {
    return step.kind === "bind"
      ? posix.join(step.source, posix.relative(step.target, path))
      : undefined;
  }

  #linkAt(path: string): string | undefined {
    const step = this.#mountOf(path);
    if (step?.kind === "symlink" && step.target === path) return step.text;
    const host = step && this.#hostOf(step, path);
    return host !== undefined && this.files.lookup(host)?.kind === "link"
      ? this.files.readlink(host)
      : undefined;
  }

  #at(path: string, asked: string): Found {
    const step = this.#mountOf(path);
    const host = step && this.#hostOf(step, path);
    const told = path === asked ? path : `${asked} (that is, ${path})`;
    if (step?.kind === "file" && step.target === path)
      return { host: undefined, path, noexec: false, nosuid: true };
    if (step === undefined || host === undefined)
      throw new Error(
        `${told} is not visible inside the sandbox, as no mount shows it: add one that does, such as {"target": ${JSON.stringify(topOf(path))}}`,
      );
    if (this.files.lookup(host) === undefined) {
      throw new Error(
        host === path
          ? `${told} does not exist on this machine`
          : `${told} does not exist: the sandbox shows ${host} there`,
      );
    }
    const { noexec, nosuid } = step.kind === "bind" ? step.flags : NOTHING;
    return { host, path, noexec, nosuid };
  }
}

/**
 * Users and groups that change while the server runs. A plan has their numbers, and a command of a user that was given another
 * number would run as whoever has the old one: nothing but a reload makes that right, so it is told.
 */
import { type ApiPlan, launchable } from "../plan/plan.ts";
import type { Notice } from "../plan/report.ts";
import type { NamedIds } from "../plan/policy.ts";
import { statSoon } from "../stat.ts";

const FILES = { user: "/etc/passwd", group: "/etc/group" } as const;
type Kind = keyof typeof FILES;
const KINDS = Object.keys(FILES) as Kind[];

/** ms between two looks at the files. */
const LOOK = 10_000;

/** The numbers of each name; of a user uid and gid. See passwd(5), group(5). */
export function idsIn(kind: Kind, text: string): ReadonlyMap<string, readonly number[]> {
  const ids = new Map<string, readonly number[]>();
  for (const line of text.split("\n")) {
    const [name = "", , ...rest] = line.split(":");
    const numbers = rest.slice(0, kind === "user" ? 2 : 1);
    // The first of a name is the one that counts.
    if (name === "" || ids.has(name) || !numbers.every((one) => /^\d+$/.test(one))) continue;
    ids.set(name, numbers.map(Number));
  }
  return ids;
}

/** One of the files, as it was looked at last. */
interface Looked {
  /** What changes with the file; it is replaced by another, not written. */
  readonly version: string;
  readonly ids: ReadonlyMap<string, readonly number[]>;
}

export class Accounts {
  readonly #files: Readonly<Record<Kind, string>>;
  readonly #now = new Map<Kind, Looked>();
  /** Names that were in a file once: others come from elsewhere, see nsswitch.conf(5). */
  readonly #known = new Map<Kind, Set<string>>();

  constructor(files: Readonly<Record<Kind, string>> = FILES) {
    this.#files = files;
  }

  /** Reads what has changed since. A file that cannot be read is as it was. */
  async look(): Promise<void> {
    await Promise.all(KINDS.map((kind) => this.#lookAt(kind)));
  }

  async #lookAt(kind: Kind): Promise<void> {
    const file = this.#files[kind];
    let looked: Looked;
    try {
      const { ino, mtimeNs, size } = await statSoon(file);
      const version = `${ino} ${mtimeNs} ${size}`;
      if (this.#now.get(kind)?.version === version) return;
      looked = { version, ids: idsIn(kind, await Bun.file(file).text()) };
    } catch (error) {
      // It is being replaced, or this machine has none.
      if (error instanceof Error && "code" in error) return;
      throw error;
    }
    this.#now.set(kind, looked);
    const known = this.#known.get(kind) ?? new Set();
    for (const name of looked.ids.keys()) known.add(name);
    this.#known.set(kind, known);
  }

  /** What is not so any more as the plans have it. */
  notices({ sandboxes }: ApiPlan): Notice[] {
    return sandboxes.flatMap((sandbox, i) => {
      const all = launchable(sandbox).flatMap(({ policy }) => policy.identity?.named ?? []);
      const messages = new Set(all.flatMap((one) => this.#change(one) ?? []));
      return [...messages].map((message) => ({ path: `sandboxes[${i}].acls`, message }));
    });
  }

  #change({ kind, name, ids }: NamedIds): string | undefined {
    const now = this.#now.get(kind)?.ids.get(name);
    const was = `${kind === "user" ? "uid" : "gid"} ${ids.join(", gid ")}`;
    const still = `commands still run as ${was}, as it was when the config was read: a reload takes the change`;
    if (now === undefined)
      return this.#known.get(kind)?.has(name)
        ? `the ${kind} ${name} is not in ${this.#files[kind]} any more; ${still}`
        : undefined;
    if (ids.every((id, i) => id === now[i])) return undefined;
    const is = `${kind === "user" ? "uid" : "gid"} ${now.slice(0, ids.length).join(", gid ")}`;
    return `the ${kind} ${name} is ${is} now; ${still}`;
  }
}

/**
 * Looks from time to time, and tells each change once.
 * @param apis those served now
 */
export function watchAccounts(
  accounts: Accounts,
  apis: () => readonly ApiPlan[],
  tell: (file: string, notice: Notice) => void,
): { close(): void } {
  let told = new Set<string>();
  const look = async () => {
    await accounts.look();
    const now = new Set<string>();
    for (const api of apis()) {
      for (const notice of accounts.notices(api)) {
        const key = `${api.file} ${notice.path} ${notice.message}`;
        now.add(key);
        if (!told.has(key)) tell(api.file, notice);
      }
    }
    told = now;
  };
  void look();
  const timer = setInterval(() => void look(), LOOK);
  return { close: () => clearInterval(timer) };
}

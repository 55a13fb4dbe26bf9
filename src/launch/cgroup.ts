/**
 * cgroup v2 groups: one per sandbox with the limits its tasks share, in it one per task.
 *
 *     BASE/spawnbox/server                  the server, where it must not stay in BASE
 *     BASE/spawnbox/PID-RANDOM              one server, locked while it lives
 *     BASE/spawnbox/PID-RANDOM/0-SANDBOX/7  a task of its first sandbox: the eighth, or one that came later and had its group
 *
 * BASE is the group the server was started in: a systemd unit with Delegate=yes, a container's, or the root.
 */
import { closeSync, existsSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { ConfigError, type Problem } from "../config/problem.ts";
import type { CgroupPolicy, CgroupSetting, Controller } from "../plan/cgroup.ts";
import {
  enable,
  enableControllers,
  handedOn,
  lackingControllers,
  makeGroup,
} from "./cgroup/controllers.ts";
import { errnoOf } from "./cgroup/files.ts";
import { CgroupUnavailable, findPlace, GROUP, type Place } from "./cgroup/place.ts";
import { controllersOf, makeGroupOf, makeSandboxGroup } from "./cgroup/sandbox-group.ts";
import {
  keptServerGroup,
  makeServerGroup,
  removeLeftovers,
  type ServerGroup,
} from "./cgroup/server.ts";
import { type GroupPlace, makePlace, type TaskGroup, taskGroup } from "./cgroup/task-group.ts";
import { endTree, tryRemove } from "./cgroup/tree.ts";
import { isExhausted } from "../errors.ts";
import { deniedAround } from "../unexpected.ts";
import { LaunchError } from "./task.ts";

export type { GroupUsage, TaskGroup } from "./cgroup/task-group.ts";

/** A sandbox that gets a group. */
export interface SandboxCgroup {
  /** What {@link CgroupRoot.begin} names it by, such as `api/sandbox`. */
  readonly key: string;
  /** Config file, for errors. */
  readonly file: string;
  /** Undefined: no limits; its tasks get a group where that can be had, for kill and usage. */
  readonly policy: CgroupPolicy | undefined;
  /** Its tasks cannot change their group. */
  readonly reusable?: boolean;
  /** The server starts without it, where its limits cannot be had. */
  readonly mayBeMissing?: boolean;
}

export interface CgroupRoot {
  /** Directory of this server's groups; undefined: there are none here. */
  readonly path: string | undefined;
  /** What `optional` limits are not applied, and leftovers that would not go. */
  readonly notices: readonly Problem[];
  /** By key, why sandboxes that may be missing are. */
  readonly missing: ReadonlyMap<string, string>;
  /** Makes the group of a launch; undefined where the sandbox has none. @param isNew none that is kept. Throws LaunchError. */
  begin(key: string, isNew?: boolean): TaskGroup | undefined;
  /** Removes all groups once nothing runs in them: no launch begins here any more. Resolves when they are gone. */
  retire(): Promise<void>;
  /** Kills all tasks and removes all groups. */
  close(): Promise<void>;
}

/**
 * Makes the groups of all sandboxes and tries their limits; removes what a crashed server left.
 * @throws ConfigError with every limit that cannot be had, of sandboxes that must be there
 */
export async function openCgroups(
  sandboxes: readonly SandboxCgroup[],
  { lookOnly = false }: { readonly lookOnly?: boolean } = {},
): Promise<CgroupRoot> {
  const groups = new Groups(lookOnly);
  try {
    await groups.open(sandboxes);
  } catch (error) {
    await groups.close();
    throw error;
  }
  if (groups.problems.length === 0) return groups;
  await groups.close();
  throw new ConfigError(groups.problems);
}

interface SandboxGroup {
  readonly path: string;
  readonly task: readonly CgroupSetting[];
  /** Its tasks have the memory controller. */
  readonly countsMemory: boolean;
  /** Of tasks that have ended, and ready for the next; undefined: each has one of its own. */
  readonly free?: Kept[];
  /** It could not be made again as it was: what is there of it may lack limits, and nothing is launched in it. */
  readonly isLacking?: boolean;
}

/** Groups that are kept for the next task, of all sandboxes: as many as are being started at a time. Each holds two descriptors. */
const KEPT = 8;
/** ms for which one is kept that no task comes for. */
const REST = 2_000;

/** Groups of crashed servers that are named where they cannot be removed. */
const MOST_TOLD = 8;

/** Of an error of the system; any other is thrown on. */
function deniedWords(error: unknown): string {
  const errno = errnoOf(error);
  return deniedAround(error) ?? (error instanceof Error ? error.message : errno);
}

const REMOVED = "others have removed it, and it cannot be made again";

/** A group that is kept, and since when, by performance.now(). */
interface Kept {
  readonly place: GroupPlace;
  readonly since: number;
}

class Groups implements CgroupRoot {
  /** @param lookOnly groups of others stay as they are: what could only be tried by changing them is not said to be missing */
  constructor(readonly lookOnly: boolean) {}

  readonly notices: Problem[] = [];
  readonly problems: Problem[] = [];
  readonly missing = new Map<string, string>();
  /** Controllers that groups of others would have to hand on first. */
  #untried: ReadonlySet<Controller> = new Set();
  #server: ServerGroup | undefined;
  /** Makes the group of a sandbox once more, with those above it. Throws CgroupUnavailable, and what node:fs does. */
  #remake: ((key: string) => void) | undefined;
  readonly #sandboxes = new Map<string, SandboxGroup>();
  /** Groups whose dead were not gone in time. */
  readonly #stuck = new Set<string>();
  /** Launches so far, and those that have not ended. */
  #tasks = 0;
  #running = 0;
  /** Groups that are ready for the next task. */
  #kept = 0;
  #resting: ReturnType<typeof setTimeout> | undefined;
  readonly #idle = Promise.withResolvers<void>();
  #retired = false;

  get path(): string | undefined {
    return this.#server?.path;
  }

  async open(sandboxes: readonly SandboxCgroup[]): Promise<void> {
    const wanted = new Set(
      sandboxes.flatMap(({ policy }) => (policy ? controllersOf(policy) : [])),
    );
    let missing: Map<Controller, string>;
    let server: ServerGroup;
    let place: Place;
    try {
      place = findPlace(this.#mount(sandboxes));
      const parent = makeGroup(place);
      if (!this.lookOnly) this.#tellLeft(await removeLeftovers(parent));
      this.#server = server = makeServerGroup(parent);
      missing = this.lookOnly ? this.#look(place, wanted) : enableControllers(place, wanted);
    } catch (error) {
      // There are groups, and nothing is to be served without them for want of a descriptor at this moment.
      if (isExhausted(error)) {
        const message = `control groups cannot be looked at: ${deniedWords(error)}: try again, with a higher limit (LimitNOFILE= of the unit)`;
        throw new ConfigError([{ file: "", path: "", message }]);
      }
      // What is there and may not be read or written is as if it were not there.
      const why = error instanceof CgroupUnavailable ? error.message : deniedWords(error);
      await this.close().catch(errnoOf);
      for (const sandbox of sandboxes)
        if (sandbox.policy) this.#lacks(sandbox, sandbox.policy, sandbox.policy.path, why);
      return;
    }
    this.#enable(server.path, wanted, missing);
    const path = (i: number, key: string) => join(server.path, `${i}-${nameOf(key)}`);
    sandboxes.forEach((sandbox, i) => this.#add(sandbox, path(i, sandbox.key), missing));
    this.#remake = (wantedKey) => {
      this.#server = keptServerGroup(server);
      server = this.#server;
      const again = this.lookOnly ? missing : enableControllers(place, wanted);
      this.#enable(server.path, wanted, again);
      sandboxes.forEach((sandbox, i) => {
        if (sandbox.key === wantedKey) this.#add(sandbox, path(i, wantedKey), again);
      });
    };
  }

  #enable(path: string, wanted: ReadonlySet<Controller>, missing: Map<Controller, string>): void {
    for (const name of wanted) {
      const why = missing.has(name) || this.#untried.has(name) ? undefined : enable(path, name);
      if (why !== undefined) missing.set(name, why);
    }
  }

  /** @param left groups that could not be removed, with the reason */
  #tellLeft(left: readonly string[]): void {
    const tell = (message: string): void =>
      void this.notices.push({ file: "", path: "", message: `left over cgroup${message}` });
    for (const one of left.slice(0, MOST_TOLD)) tell(` ${one}`);
    if (left.length > MOST_TOLD) tell(`s: ${left.length - MOST_TOLD} more`);
  }

  /** One hierarchy is all there can be. */
  #mount(sandboxes: readonly SandboxCgroup[]): string | undefined {
    const [first, ...rest] = sandboxes.filter(({ policy }) => policy?.mount !== undefined);
    const mount = first?.policy?.mount;
    for (const { file, policy } of rest) {
      if (!policy || policy.mount === mount) continue;
      this.problems.push({
        file,
        path: `${policy.path}.mount`,
        message: `another sandbox says ${mount}`,
      });
    }
    return mount;
  }

  #lacks(
    { key, file, mayBeMissing }: SandboxCgroup,
    policy: CgroupPolicy,
    path: string,
    message: string,
  ): void {
    const before = this.missing.get(key);
    if (policy.optional) this.notices.push({ file, path, message: `not limited: ${message}` });
    else if (mayBeMissing) this.missing.set(key, before ? `${before}; ${message}` : message);
    else this.problems.push({ file, path, message: `${message}; "optional": true starts without` });
  }

  #add(sandbox: SandboxCgroup, path: string, missing: ReadonlyMap<Controller, string>): void {
    const { key, policy } = sandbox;
    try {
      this.#sandboxes.set(key, { path, ...this.#made(sandbox, path, missing) });
    } catch (error) {
      if (!(error instanceof CgroupUnavailable)) throw error;
      // Without limits it goes without a group, as where there are none.
      if (policy) this.#lacks(sandbox, policy, policy.path, error.message);
    }
  }

  /** @throws CgroupUnavailable */
  #made(
    sandbox: SandboxCgroup,
    path: string,
    missing: ReadonlyMap<Controller, string>,
  ): Omit<SandboxGroup, "path"> {
    const { policy, reusable } = sandbox;
    if (policy) {
      const lacks = (where: string, why: string) => this.#lacks(sandbox, policy, where, why);
      return makeSandboxGroup(path, this.#triable(policy), missing, lacks);
    }
    makeGroupOf(path);
    return { task: [], countsMemory: false, ...(reusable && { free: [] }) };
  }

  #look(place: Place, wanted: ReadonlySet<Controller>): Map<Controller, string> {
    const missing = lackingControllers(place, wanted);
    const granted = [...wanted].filter((name) => !missing.has(name));
    const handed = handedOn(place);
    this.#untried = new Set(granted.filter((name) => !handed.includes(name)));
    for (const name of granted) {
      const why = this.#untried.has(name) ? undefined : enable(join(place.base, GROUP), name);
      if (why !== undefined) missing.set(name, why);
    }
    return missing;
  }

  #triable(policy: CgroupPolicy): CgroupPolicy {
    const has = ({ controller }: CgroupSetting) => !this.#untried.has(controller);
    return { ...policy, shared: policy.shared.filter(has), task: policy.task.filter(has) };
  }

  begin(key: string, isNew = false): TaskGroup | undefined {
    const why = this.missing.get(key);
    if (why !== undefined) throw new LaunchError("cgroup", "", "", why);
    const found = this.#sandboxes.get(key);
    if (!found) return undefined;
    for (const path of this.#stuck) if (tryRemove(path)) this.#stuck.delete(path);
    const kept = isNew ? undefined : found.free?.pop()?.place;
    if (kept) this.#kept--;
    const made = kept ?? (found.isLacking ? undefined : this.#placeIn(found));
    const { free } = made ? found : this.#again(key, found);
    const place = made ?? this.#placeIn(this.#sandboxes.get(key) ?? found);
    if (!place) throw new LaunchError("cgroup", found.path, "ENOENT", REMOVED);
    this.#running++;
    return taskGroup(place, kept !== undefined, {
      keep: () => {
        // Nobody would empty it any more.
        if (!free || this.#kept >= KEPT || this.#retired || !this.#server) return false;
        this.#kept++;
        // The last one that came is the next to go: those in front rest.
        free.push({ place, since: performance.now() });
        this.#restSoon();
        return true;
      },
      onEnd: (gone) => {
        if (!gone) this.#stuck.add(place.path);
        this.#running--;
        this.#settle();
      },
    });
  }

  /** A new one; undefined where the group of the sandbox is not there. Throws LaunchError. */
  #placeIn({ path, task, countsMemory }: SandboxGroup): GroupPlace | undefined {
    try {
      return makePlace(join(path, `${this.#tasks++}`), task, countsMemory);
    } catch (error) {
      if (existsSync(path)) throw error;
      return undefined;
    }
  }

  /**
   * Of a sandbox whose group others have removed, as systemd does with what is empty and was not delegated: what it limits is to hold
   * all the same. Throws LaunchError.
   */
  #again(key: string, before: SandboxGroup): SandboxGroup {
    const [problems, notices] = [this.problems.length, this.notices.length];
    for (const { place } of before.free?.splice(0) ?? []) this.#letGo(place);
    // Until it is whole: a part of it may be there by then, whatever goes wrong.
    const lacking = { ...before, isLacking: true };
    this.#sandboxes.set(key, lacking);
    let why: string | undefined;
    try {
      if (before.isLacking) tryRemove(before.path);
      this.#remake?.(key);
      why = this.problems.splice(problems)[0]?.message ?? this.missing.get(key);
    } catch (error) {
      why = error instanceof CgroupUnavailable ? error.message : errnoOf(error);
    }
    // It is tried again with the next launch.
    this.missing.delete(key);
    // What is optional was told at the start, where it was missing; what was there then is to be there.
    for (const { path, message } of this.notices.splice(notices))
      if (!this.notices.some((told) => told.path === path && told.message === message))
        why ??= message;
    const made = this.#sandboxes.get(key);
    if (why === undefined && made && made !== lacking) return made;
    this.#sandboxes.set(key, lacking);
    throw new LaunchError("cgroup", before.path, "", why ? `${REMOVED}: ${why}` : REMOVED);
  }

  #restSoon(): void {
    this.#resting ??= setTimeout(() => {
      this.#resting = undefined;
      const late = performance.now() - REST;
      for (const { free = [] } of this.#sandboxes.values()) {
        const used = free.findIndex(({ since }) => since > late);
        for (const { place } of free.splice(0, used < 0 ? free.length : used)) this.#letGo(place);
      }
      if (this.#kept > 0) this.#restSoon();
    }, REST);
  }

  #letGo(place: GroupPlace): void {
    this.#kept--;
    place.close();
    try {
      if (tryRemove(place.path)) return;
    } catch (error) {
      errnoOf(error);
    }
    this.#stuck.add(place.path);
  }

  async retire(): Promise<void> {
    this.#retired = true;
    this.#settle();
    await this.#idle.promise;
    await this.close();
  }

  #settle(): void {
    if (this.#retired && this.#running === 0) this.#idle.resolve();
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = undefined;
    clearTimeout(this.#resting);
    for (const { free = [] } of this.#sandboxes.values())
      for (const { place } of free.splice(0)) place.close();
    this.#sandboxes.clear();
    if (!server) return;
    await endTree(server.path, 2_000);
    closeSync(server.fd);
    try {
      rmdirSync(dirname(server.path));
    } catch (error) {
      // Other servers, or our own leaf, are there; an error that is none of the system is thrown on.
      errnoOf(error);
    }
  }
}

/** Only for human eyes: the number before it makes it unique. */
function nameOf(key: string): string {
  return key.replaceAll(/[^\w-]+/g, "-").slice(0, 64);
}

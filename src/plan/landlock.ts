/** landlock → the rules of a ruleset. See landlock(7) and Documentation/userspace-api/landlock.rst of the kernel. */
import { ownerWords } from "../config/owners.ts";
import type { Landlock } from "../config/sandbox-schema.ts";
import { covers } from "./inside.ts";
import type { Machine } from "./machine.ts";
import type { LandlockPolicy } from "./policy.ts";
import type { Report } from "./report.ts";
import { heldNotice, isRoots } from "./source.ts";
import { tcpFilter } from "./tcp-filter.ts";
import type { View } from "./view.ts";

const bit = (n: number) => 1n << BigInt(n);
/** LANDLOCK_ACCESS_FS_…: what each version of the interface adds. */
const FILES = {
  EXECUTE: bit(0),
  WRITE_FILE: bit(1),
  READ_FILE: bit(2),
  READ_DIR: bit(3),
  /** Making, removing, renaming of every kind: bits 4 to 12. */
  CHANGE_DIR: 0x1ff0n,
  /** Version 2: link or rename across directories. */
  REFER: bit(13),
  /** Version 3. */
  TRUNCATE: bit(14),
  /** Version 5: ioctl(2) on devices. */
  IOCTL_DEV: bit(15),
} as const;
const NET = { BIND_TCP: bit(0), CONNECT_TCP: bit(1) } as const;
/** Version 6: no signal to, and no abstract socket of, a process outside. */
const SCOPES = bit(0) | bit(1);

function handledFiles(abi: number): bigint {
  const { EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, CHANGE_DIR, REFER, TRUNCATE, IOCTL_DEV } =
    FILES;
  return (
    EXECUTE |
    WRITE_FILE |
    READ_FILE |
    READ_DIR |
    CHANGE_DIR |
    (abi >= 2 ? REFER : 0n) |
    (abi >= 3 ? TRUNCATE : 0n) |
    (abi >= 5 ? IOCTL_DEV : 0n)
  );
}

/** Rights on a directory and all below it; `rw` includes what is handled but execution. */
const READ = FILES.READ_FILE | FILES.READ_DIR;

const NULL = "/dev/null";

export interface LandlockContext {
  readonly expand: (text: string) => string;
  readonly machine: Machine;
  readonly view: View;
  /** The launcher can tell whose a link is: not in a user namespace. */
  readonly seesOwners: boolean;
}

export function compileLandlock(
  landlock: Landlock | undefined,
  path: string,
  context: LandlockContext,
  report: Report,
): LandlockPolicy | undefined {
  if (landlock === undefined) return undefined;
  const abi = context.machine.landlockAbi();
  if (abi < 1) {
    report.problem(
      path,
      "this kernel has no Landlock: it needs 5.13 with CONFIG_SECURITY_LANDLOCK, and landlock in the list of lsm=",
    );
    return undefined;
  }
  const net = (landlock.bindTcp ? NET.BIND_TCP : 0n) | (landlock.connectTcp ? NET.CONNECT_TCP : 0n);
  if (net !== 0n && abi < 4) {
    report.problem(
      path,
      `connectTcp and bindTcp need version 4 of Landlock (Linux 6.7), this kernel has ${abi}`,
    );
    return undefined;
  }
  const files = handledFiles(abi);
  const rights = { ro: READ, exec: READ | FILES.EXECUTE, rw: files & ~FILES.EXECUTE } as const;
  // A path listed twice has the rights of both.
  const paths = new Map<string, bigint>();
  /** By what the launcher is given: two names may lead to the same only now. */
  const rules = new Map<string, LandlockPolicy["paths"][number]>();
  const links = new Set<string>();
  for (const [key, access] of Object.entries(rights) as [keyof typeof rights, bigint][]) {
    for (const [i, text] of (landlock[key] ?? []).entries()) {
      const full = report.attempt(`${path}.${key}[${i}]`, () => {
        const { real, links: own, held } = realOf(text, context);
        if (held !== undefined) report.notice(`${path}.${key}[${i}]`, held);
        // Who does not see whose a link is follows none, also none that the sandbox makes itself.
        const followed = held === undefined && context.seesOwners;
        const name = followed ? context.expand(text) : real;
        const rule = (rules.get(name)?.[1] ?? 0n) | access;
        rules.set(name, followed ? [real, rule, name] : [real, rule]);
        for (const link of own) links.add(link);
        const host = context.view.hostPath(real);
        if (host !== undefined && !context.machine.exists(host))
          report.notice(
            `${path}.${key}[${i}]`,
            `${real} does not exist: no command starts until it does`,
          );
        return real;
      });
      if (full !== undefined) paths.set(full, (paths.get(full) ?? 0n) | access);
    }
  }
  tellOverlaps(paths, rights.rw, path, report);
  const canWrite = ([above, access]: readonly [string, bigint]) =>
    (access & FILES.WRITE_FILE) !== 0n && covers(above, NULL);
  if (![...paths].some(canWrite) && isSeen(context.view, NULL))
    report.notice(
      path,
      `${NULL} cannot be written to, as shells and many programs do: add it to rw`,
    );
  const ports = new Map<number, bigint>();
  const allow = (list: readonly number[] | undefined, access: bigint) => {
    for (const port of list ?? []) ports.set(port, (ports.get(port) ?? 0n) | access);
  };
  allow(landlock.bindTcp, NET.BIND_TCP);
  allow(landlock.connectTcp, NET.CONNECT_TCP);
  return {
    ...{ files, net, scopes: abi >= 6 ? SCOPES : 0n },
    paths: [...rules.values()],
    ports: [...ports],
    ...(net !== 0n && {
      filter: tcpFilter(context.machine.arch, landlock.connectTcp !== undefined),
    }),
    links: [...links],
    hosts: [...new Set([...paths.keys(), ...rules.keys()])].flatMap(
      (one) => context.view.hostPath(one) ?? [],
    ),
  };
}

/**
 * The path inside without links: followed by each launch, a link of the command's user would open the rights of the config on
 * whatever that user makes it lead to, in the next launch. `held`: why those of now are followed at boot only.
 */
function realOf(
  text: string,
  { expand, view, seesOwners }: LandlockContext,
): { real: string; links: readonly string[]; held?: string } {
  const path = expand(text);
  if (!path.startsWith("/")) throw new Error(`${JSON.stringify(path)} must be an absolute path`);
  const links: string[] = [];
  const real = view.follow(path, (link, owner) => {
    links.push(link);
    if (owner === 0) return;
    throw new Error(
      `${path} goes through the link ${link} of ${ownerWords(owner)}, who could thereby open any path: name what it leads to`,
    );
  });
  const loose = links.find((link) => !isRoots(link, view.files));
  if (loose !== undefined)
    return { real, links, held: heldNotice(path, loose, "which others than root can change") };
  // Without links there is nothing to tell: a link that is put there later makes launches fail.
  if (!seesOwners) {
    const [link] = links;
    const why = "and in a user namespace of its own a command does not see whose that is";
    return { real, links, ...(link !== undefined && { held: heldNotice(path, link, why) }) };
  }
  return { real, links };
}

function isSeen(view: View, path: string): boolean {
  try {
    view.resolve(path);
    return true;
  } catch {
    return false;
  }
}

/** Rights are added up along a path: one that is meant to have fewer than a directory above it has not. */
function tellOverlaps(
  paths: ReadonlyMap<string, bigint>,
  rw: bigint,
  path: string,
  report: Report,
): void {
  for (const [inner, access] of paths) {
    if ((access & rw) === rw) continue;
    const above = [...paths].find(([outer, more]) => (more & rw) === rw && covers(outer, inner));
    if (above)
      report.notice(path, `${inner} can be written all the same: ${above[0]} above it is rw`);
  }
}

/** Whether a path without links can be executed. */
export function mayExecute(landlock: LandlockPolicy | undefined, path: string): boolean {
  return (
    landlock === undefined ||
    landlock.paths.some(([above, access]) => (access & FILES.EXECUTE) !== 0n && covers(above, path))
  );
}

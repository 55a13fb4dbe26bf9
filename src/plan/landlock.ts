/** landlock → the rules of a ruleset. See landlock(7) and Documentation/userspace-api/landlock.rst of the kernel. */
import type { Landlock } from "../config/schema.ts";
import type { Machine } from "./machine.ts";
import type { LandlockPolicy } from "./policy.ts";
import type { Report } from "./report.ts";

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

export function compileLandlock(
  landlock: Landlock | undefined,
  path: string,
  expand: (text: string) => string,
  machine: Machine,
  report: Report,
): LandlockPolicy | undefined {
  if (landlock === undefined) return undefined;
  const abi = machine.landlockAbi();
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
  for (const [key, access] of Object.entries(rights) as [keyof typeof rights, bigint][]) {
    for (const [i, text] of (landlock[key] ?? []).entries()) {
      const full = report.attempt(`${path}.${key}[${i}]`, () => {
        const expanded = expand(text);
        if (!expanded.startsWith("/"))
          throw new Error(`${JSON.stringify(expanded)} must be an absolute path`);
        return expanded;
      });
      if (full !== undefined) paths.set(full, (paths.get(full) ?? 0n) | access);
    }
  }
  const ports = new Map<number, bigint>();
  const allow = (list: readonly number[] | undefined, access: bigint) => {
    for (const port of list ?? []) ports.set(port, (ports.get(port) ?? 0n) | access);
  };
  allow(landlock.bindTcp, NET.BIND_TCP);
  allow(landlock.connectTcp, NET.CONNECT_TCP);
  return { files, net, scopes: abi >= 6 ? SCOPES : 0n, paths: [...paths], ports: [...ports] };
}

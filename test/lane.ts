/**
 * Where suites run at the same time without meeting: in namespaces of processes, mounts, network and IPC, with another ordinary user
 * and another `nobody` and `daemon` than the suites on the machine itself have. So what one suite does to all processes of a user, or
 * counts of them (their processes, keys, pipes), is nothing to the others. Only root can make one.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export interface Lane {
  /** A command that executes another there. */
  readonly enter: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Once nothing runs there any more. */
  remove(): void;
}

/** Of all numbers of processes, each lane has one of so many parts. */
const PARTS = 8;

/** On the machine as it is. */
export const MACHINE: Lane = { enter: [], env: {}, remove: () => {} };

/**
 * $0: where passwd and group are; $1: the number before that of the next process; $2: the control group, or nothing. The shell is
 * the first process there, so it buries what is left to it; in the foreground, since what runs in the background has SIGINT ignored.
 */
const SETUP = `
ip link set lo up
mount --bind "$0/passwd" /etc/passwd
mount --bind "$0/group" /etc/group
echo "$1" >/proc/sys/kernel/ns_last_pid
[ -z "$2" ] || echo 0 >"$2/cgroup.procs"
shift 2
"$@" && code=0 || code=$?
exit "$code"
`;

/** Of these two commands run in most suites; the numbers of a lane are nobody else's. */
const accounts = (lane: number) => ({ nobody: 64_000 + lane, daemon: 64_100 + lane });

/** A table of accounts (passwd(5), group(5)) where these have other numbers; the group of nobody is nogroup on some systems. */
export function renumbered(table: string, { nobody, daemon }: ReturnType<typeof accounts>): string {
  const of: Readonly<Record<string, number>> = { nobody, nogroup: nobody, daemon };
  return table.replace(/^(\w+):([^:]*):\d+:(\d+:)?/gm, (line, name: string, word: string, gid) => {
    const id = of[name];
    if (id === undefined) return line;
    return `${name}:${word}:${id}:${gid === undefined ? "" : `${id}:`}`;
  });
}

/** @param number from 1 @param scratch a directory that all may enter */
export function makeLane(number: number, scratch: string): Lane {
  const ids = accounts(number);
  const own = join(scratch, `${number}`);
  mkdirSync(own, { mode: 0o755 });
  for (const name of ["passwd", "group"]) {
    const table = readFileSync(`/etc/${name}`, "utf8");
    writeFileSync(join(own, name), renumbered(table, ids), { mode: 0o644 });
  }
  // Names of files with the number of a process in them meet none of other lanes.
  const temporary = join(own, "tmp");
  Bun.spawnSync(["mkdir", "-m", "1777", temporary]);
  // Nor do names with that number elsewhere.
  const numbers = Math.floor(Number(readFileSync("/proc/sys/kernel/pid_max", "utf8")) / PARTS);
  const before = `${(number % PARTS) * numbers}`;
  const namespaces = [
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
    "--net",
    "--ipc",
  ];
  const group = makeGroup(number);
  return {
    enter: ["unshare", ...namespaces, "/bin/sh", "-ec", SETUP, own, before, group ?? ""],
    env: { TMPDIR: temporary },
    remove: () => {
      // Servers that were killed leave theirs.
      if (group !== undefined) Bun.spawnSync(["find", group, "-depth", "-type", "d", "-delete"]);
    },
  };
}

/**
 * A server kills what is left in the groups of dead ones beside its own, below the group that it was started in. So each lane has one,
 * where there are any.
 */
function makeGroup(number: number): string | undefined {
  const [, mount] = /^\S+ (\S+) cgroup2 /m.exec(readFileSync("/proc/self/mounts", "utf8")) ?? [];
  const [, own] = /^0::(.*)$/m.exec(readFileSync("/proc/self/cgroup", "utf8")) ?? [];
  if (mount === undefined || own === undefined) return undefined;
  const group = join(mount, own, `spawnbox-lane-${process.pid}-${number}`);
  try {
    mkdirSync(group);
  } catch {
    // None can be made here, so servers have none either.
    return undefined;
  }
  return group;
}

/** Becomes each of the accounts, which a user namespace may not have. */
const TRIAL = `
for name in nobody daemon; do
  id=$(id -u $name)
  setpriv --reuid="$id" --regid="$id" --clear-groups true
done
`;

/** Whether lanes can be made here: by root, unless a container keeps it from that. */
export function canMake({ enter }: Lane): boolean {
  const tried = Bun.spawnSync([...enter, "/bin/sh", "-ec", TRIAL], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  return tried.success;
}

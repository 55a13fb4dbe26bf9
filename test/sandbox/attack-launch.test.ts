/** The server dies while launches are held at each of their steps: nothing of them stays. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { OpName } from "../../ffi/launcher/layout.ts";
import { landlockAbi } from "../../ffi/landlock.ts";
import { isRoot, PATIENCE, serve, shell, system, type User, users } from "../served.ts";
import { isTried } from "../thinned.ts";
import { acls, api } from "./attack.ts";
import { killAtEachStep } from "./launch-steps.ts";

/** What launches may reach of the host: a file that they lock, a directory that they may write to. */
const dir = mkdtempSync(join(tmpdir(), "spawnbox-steps-"));
const locked = join(dir, "locked");
const NETS = "spawnbox-steps-";
const NET = `${NETS}${process.pid}`;

/** As the kernel tells: landlock_create_ruleset(2) with the flag for its version. Ports are restricted from the fourth on. */
const abi = landlockAbi();
const ports = abi >= 4 && { connectTcp: [80], bindTcp: [8080] };
const common = {
  acls: { ...acls, nice: 19, umask: "027" },
  seccomp: {
    default: "SCMP_ACT_ALLOW",
    rules: [{ syscall: "swapon", action: "SCMP_ACT_ERRNO(EPERM)" }],
  },
  ...(abi > 0 && { landlock: { ro: ["/"], exec: ["/"], ...ports } }),
  commands: { ...shell, limits: { core: 0 } },
};
/** Neither pid nor user namespace; all of them, with all kinds of mounts; another's network. */
const sandboxes = [
  { uid: "plain", ...common },
  {
    uid: "full",
    ...common,
    namespace: {
      shares: { all: "disable" },
      opts: { hostname: "held" },
      mounts: [
        ...system,
        { target: "/made/here", mode: "execfd", source: "echo made" },
        { target: "/usr/bin/false", mode: "execfd", source: "echo covered" },
        { target: "/data", source: join(dir, "data"), mode: "rw" },
        { target: "/locked", source: locked, mode: "ro" },
        { target: "/locked", mode: "lock" },
      ],
    },
  },
  ...(isRoot
    ? [{ uid: "joined", acls, namespace: { shares: { net: `name:${NET}` } }, commands: shell }]
    : []),
];
/** What makes each of these sandboxes what it is. */
const EXPECTED: Readonly<Record<string, readonly OpName[]>> = {
  plain: abi >= 4 ? ["LANDLOCK_PORT"] : [],
  full: ["FILE", "LOCK", "ROOT_END", ...(abi >= 4 ? (["LANDLOCK_PORT"] as const) : [])],
  joined: ["JOIN_NET"],
};

/** What launches have while they are held, and the host sees. */
const SEEN: Readonly<Record<string, readonly Kind[]>> = { full: ["locks"], joined: ["inNet"] };

function ip(...args: string[]): string {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["ip", ...args]);
  if (exitCode !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr}`);
  return stdout.toString().trim();
}

/** Others may mount, make and lock meanwhile, but not what a sandbox is made of. */
function traces() {
  const lines = (file: string) => readFileSync(file, "utf8").split("\n");
  const inode = statSync(locked).ino;
  return {
    mounts: lines("/proc/self/mountinfo").filter(
      // The network of another run of these tests comes and goes.
      (line) => line.includes("spawnbox") && (line.includes(NET) || !line.includes(NETS)),
    ),
    files: readdirSync(dir, { recursive: true }).toSorted(),
    hidden: ["/", "/tmp", "/dev/shm", "/run"].filter((place) => existsSync(join(place, ".file"))),
    locks: lines("/proc/locks").filter((line) => line.includes(`:${inode} `)),
    inNet: isRoot ? ip("netns", "pids", NET) : "",
  };
}

type Kind = keyof ReturnType<typeof traces>;
const KINDS = ["mounts", "files", "hidden", "locks", "inNet"] as const;

beforeAll(() => {
  chmodSync(dir, 0o755);
  mkdirSync(join(dir, "data"));
  chmodSync(join(dir, "data"), 0o777);
  writeFileSync(locked, "locked\n");
  if (isRoot) ip("netns", "add", NET);
});
afterAll(() => {
  if (isRoot) ip("netns", "del", NET);
  expect(existsSync(`/run/netns/${NET}`)).toBe(false);
  rmSync(dir, { recursive: true });
});

/** An ordinary user may not join a network namespace. */
const cases = users.flatMap((user) =>
  sandboxes
    .filter(({ uid }) => user === "root" || uid !== "joined")
    .map(({ uid }): [name: string, User, string] => [`${user}, ${uid}`, user, uid]),
);
/** An ordinary user's test cannot trace a server, which is not dumpable. */
describe.if(isRoot)("launches held", () => {
  test.each(cases)(
    "[server] SIGKILL at each step of a launch leaves no process, mount, lock and file: %s",
    async (name, user, sandbox) => {
      const before = traces();
      const config = api(sandboxes.filter(({ uid }) => uid === sandbox));
      const meanwhile = new Set<string>();
      const look = (when: "held" | "ended") => {
        const now = traces();
        if (when === "ended") expect(now).toEqual(before);
        else
          for (const kind of KINDS) if (now[kind].length > before[kind].length) meanwhile.add(kind);
      };
      const start = () => serve(config, { user });
      const both = cases.filter(([, , uid]) => uid === sandbox).map(([, one]) => one);
      const { steps, places } = await killAtEachStep(
        ...([start, `a/${sandbox}/sh`, look, undefined] as const),
        (batch) => isTried(batch, user, both),
      );
      expect(steps).toEqual(expect.arrayContaining([...(EXPECTED[sandbox] ?? [])]));
      // What is looked for can be found.
      expect<string[]>([...meanwhile]).toEqual([...(SEEN[sandbox] ?? [])]);
      const how = `Landlock ${abi}: held at ${places} calls, at ${steps.join(", ")}`;
      console.log(`${name}, ${how}`);
    },
    240_000 * PATIENCE,
  );
});

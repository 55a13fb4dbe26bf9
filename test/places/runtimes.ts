/** Real container runtimes, of the test's own: a dockerd with its directories in a scratch place, and podman on a bare root. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { isRoot, type User } from "../served.ts";
import type { Place } from "./place.ts";
import type { Room } from "./room.ts";

const IMAGE = "spawnbox-places";
const AS: Readonly<Record<User, readonly string[]>> = {
  root: [],
  "ordinary user": ["--user", "65534:65534"],
};

const UNFILTERED = "--security-opt seccomp=unconfined --security-opt apparmor=unconfined";
const DOCKER = [
  "",
  "--read-only",
  "--ulimit nofile=512:512 --pids-limit 100",
  "--cap-drop ALL",
  "--cap-add SYS_ADMIN",
  UNFILTERED,
  `${UNFILTERED} --security-opt systempaths=unconfined`,
  `${UNFILTERED} --security-opt systempaths=unconfined --read-only`,
  `${UNFILTERED} --cap-add SYS_ADMIN`,
  "--privileged",
];
const PODMAN = [
  "",
  "--ulimit nofile=512:512 --ulimit nproc=400:400",
  UNFILTERED,
  `${UNFILTERED} --security-opt unmask=ALL`,
  "--privileged",
];

/** Where each runtime has its files: not where what is mounted in containers is, or these would see the /proc of one another. */
const stateOf = (room: Room, runtime: string) => join(`${room.path}-state`, runtime);
const socketOf = (room: Room) => `unix://${stateOf(room, "docker")}/sock`;
/** The executable and the configs are mounted, so that layers are small. */
const mountOf = (room: Room) => ["--volume", `${room.path}:/look:ro`];

/** Why it cannot be had. */
function lacks(...programs: string[]): string | undefined {
  if (!isRoot) return "only root can run it";
  const missing = programs.filter((program) => Bun.which(program) === null);
  return missing.length > 0 ? `there is no ${missing.join(", ")} here` : undefined;
}

/** A container with all capabilities can be had from who has them only. */
function lacksPower(options: string): string | undefined {
  const caps = /^CapEff:\s*(\w+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return options === "--privileged" && ((BigInt(`0x${caps}`) >> 24n) & 1n) === 0n
    ? "root of this machine lacks CAP_SYS_RESOURCE"
    : undefined;
}

export function dockerPlaces(room: Room): Place[] {
  const missing = (options: string) => () =>
    lacks("dockerd", "docker", "containerd", "runc") ?? lacksPower(options);
  return DOCKER.map((options) => ({
    name: `\`docker run${options && ` ${options}`}\``,
    kind: "containers, as they are",
    root: "/look",
    missing: missing(options),
    enter: (user) => [
      ...["docker", "--host", socketOf(room), "run", "--rm", "--network", "none", ...AS[user]],
      ...[...words(options), ...mountOf(room), IMAGE],
    ],
  }));
}

export function podmanPlaces(room: Room): Place[] {
  const missing = (options: string) => () =>
    lacks("podman", "runc", "conmon") ?? lacksPower(options);
  return PODMAN.map((options) => ({
    name: `\`podman run${options && ` ${options}`}\``,
    kind: "containers, as they are",
    root: "/look",
    missing: missing(options),
    enter: (user) => [
      ...[...podman(room), "run", "--rm", "--network", "none", "--log-driver", "none", ...AS[user]],
      ...["--cgroup-parent", `/${groupOf(room)}`],
      // A machine may have less than podman asks for by itself.
      ...(options.includes("--ulimit")
        ? []
        : ["--ulimit", "nofile=1024", "--ulimit", "nproc=1024"]),
      ...[...words(options), ...mountOf(room), "--rootfs", room.tree(0)],
    ],
  }));
}

const GROUPS = "/sys/fs/cgroup";
/** The parent of all control groups of containers, so that it can be removed. */
const groupOf = (room: Room) => basename(room.path);

const words = (text: string): string[] => text.split(" ").filter(Boolean);

function podman(room: Room): string[] {
  const state = stateOf(room, "podman");
  return [
    ...["podman", "--root", join(state, "root"), "--runroot", join(state, "run")],
    ...["--tmpdir", join(state, "tmp"), "--storage-driver", "vfs", "--events-backend", "none"],
    ...["--runtime", "runc", "--cgroup-manager", "cgroupfs"],
  ];
}

/** What is left of the runtimes when it is disposed of: nothing. */
export interface Daemon extends AsyncDisposable {
  /** Why it does not run. */
  readonly failed: string | undefined;
}

/** ms; a guard against hanging. */
const LIMIT = 30_000;

export async function startDocker(room: Room): Promise<Daemon> {
  const state = stateOf(room, "docker");
  mkdirSync(state, { recursive: true });
  const daemon = Bun.spawn(
    [
      ...["dockerd", "--host", socketOf(room), "--pidfile", join(state, "pid")],
      ...["--data-root", join(state, "data"), "--exec-root", join(state, "exec")],
      ...["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"],
      ...["--exec-opt=native.cgroupdriver=cgroupfs", `--cgroup-parent=/${groupOf(room)}`],
    ],
    { cwd: "/", stdio: ["ignore", "ignore", Bun.file(join(state, "log"))] },
  );
  const end = async () => {
    daemon.kill("SIGTERM");
    const guard = setTimeout(() => daemon.kill("SIGKILL"), LIMIT);
    await daemon.exited;
    clearTimeout(guard);
    leaveNothing(state);
  };
  const docker = (...command: string[]) =>
    Bun.spawnSync(["docker", "--host", socketOf(room), ...command], { timeout: LIMIT });
  try {
    const late = Date.now() + LIMIT;
    while (!docker("version").success) {
      if (daemon.exitCode !== null || Date.now() > late)
        throw new Error(`dockerd does not run here: ${lastLine(join(state, "log"))}`);
      await Bun.sleep(100);
    }
    const image = join(state, "image.tar");
    const packed = Bun.spawnSync(["tar", "-C", room.tree(0), "-cf", image, "."]);
    if (!packed.success) throw new Error(packed.stderr.toString());
    const imported = docker("import", image, IMAGE);
    if (!imported.success) throw new Error(imported.stderr.toString());
  } catch (error) {
    await end();
    throw error;
  }
  return { failed: undefined, [Symbol.asyncDispose]: end };
}

const lastLine = (file: string): string =>
  existsSync(file) ? (readFileSync(file, "utf8").trim().split("\n").at(-1) ?? "") : "";

/** Ends what still runs from a directory, and unmounts what is mounted below it. */
export function leaveNothing(state: string): void {
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    try {
      const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      if (line.includes(`${state}/`)) process.kill(Number(pid), "SIGKILL");
    } catch {
      // it has gone by itself
    }
  }
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "")
    .filter((point) => point.startsWith(`${state}/`));
  for (const point of points.toReversed()) Bun.spawnSync(["umount", "--lazy", point]);
  rmSync(state, { recursive: true, force: true });
}

/** After both. */
export function leavePodman(room: Room): void {
  leaveNothing(stateOf(room, "podman"));
  rmSync(`${room.path}-state`, { recursive: true, force: true });
  for (const controller of readdirSync(GROUPS)) {
    // Containers have left it; a kernel without that hierarchy has none.
    for (const group of [join(GROUPS, controller, groupOf(room)), join(GROUPS, groupOf(room))])
      Bun.spawnSync(["rmdir", group]);
  }
}

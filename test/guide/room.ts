/**
 * Where the examples of a guide run as they are typed: a machine of its own as far as they go, with namespaces for mounts, processes
 * and network. /etc can be written, /run and /tmp are empty, and nothing of it outlasts the room.
 */
import { chownSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { PATIENCE, type User } from "../served.ts";

const root = join(import.meta.dir, "../..");
export const PLACE = "/tmp/guide";

/** In the room: what serves goes on in another terminal, as its reader would have it, in place of the one before. */
const SPAWNBOX = `#!/bin/bash
[[ ( $1 = serve || $1 = early ) && " $* " != *" --help "* ]] || exec /tmp/program "$@"
if [ -e /tmp/server.pid ]; then
  pid=$(cat /tmp/server.pid)
  kill "$pid" && tail --pid="$pid" -f /dev/null
  rm /tmp/server.pid
fi
: >/tmp/server.log
setsid /tmp/program "$@" >>/tmp/server.log 2>&1 </dev/null &
pid=$!
until grep -q "serves on" /tmp/server.log; do
  kill -0 $pid 2>/dev/null || { cat /tmp/server.log >&2; exit 1; }
  sleep 0.02
done
echo $pid >/tmp/server.pid
cat /tmp/server.log
`;

/** Scripts that build are only looked up; what start runs behind the build is run. */
const NPM = `#!/bin/bash
name=$1
[ "$1" = run ] && name=$2
script=$(python3 -c 'import json, sys; print(json.load(open("/tmp/package.json"))["scripts"][sys.argv[1]])' "$name")
[ "$name" != start ] || exec bash -c "\${script##*&& }"
`;

const SETUP = `
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/lock /run/project
# It may lie below what is hidden next.
mount --bind "$1" /run/project
mount -t tmpfs -o mode=1777 tmpfs /tmp
mkdir /tmp/guide /tmp/guide/dist /tmp/bin /tmp/upper /tmp/work
mount -t overlay etc -o lowerdir=/etc,upperdir=/tmp/upper,workdir=/tmp/work /etc
touch /tmp/program
mount --bind "/run/project/dist/spawnbox" /tmp/program
[ ! -d /var/lib/mosquitto ] || mount -t tmpfs -o mode=777 tmpfs /var/lib/mosquitto
cp -R --no-preserve=all "/run/project/config" "/run/project/package.json" /tmp/guide
chmod +x /tmp/guide/config/*.sh
cp /tmp/guide/package.json /tmp
chown -R "$2" /tmp/guide
ln -s /tmp/bin/spawnbox /tmp/guide/dist/spawnbox
ip link set lo up
echo ready
# It also buries what is left to it.
while :; do sleep infinity & wait; done
`;

const ids: Readonly<Record<User, number>> = { root: 0, "ordinary user": 65534 };

/** Node.js may be where its users have put it. */
const PATH = [
  "/tmp/bin",
  ...["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"],
  dirname(Bun.which("node") ?? "/usr/bin/node"),
].join(":");

export interface Ran {
  readonly code: number;
  /** Of both outputs. */
  readonly output: string;
}

export class Room {
  private constructor(
    readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">,
    readonly pid: number,
    readonly user: User,
  ) {}

  /** @param user who types there */
  static async open(user: User): Promise<Room> {
    const executable = join(root, "dist/spawnbox");
    if (!existsSync(executable)) throw new Error("build first: npm run build");
    const namespaces = ["--mount", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const process = Bun.spawn(
      ["unshare", ...namespaces, "/bin/sh", "-ec", SETUP, "sh", root, `${ids[user]}`],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    const reader = process.stdout.getReader();
    const { value } = await reader.read();
    if (
      !Buffer.from(value ?? [])
        .toString()
        .includes("ready")
    )
      throw new Error("no room for the examples");
    reader.releaseLock();
    const children = readFileSync(`/proc/${process.pid}/task/${process.pid}/children`, "utf8");
    const room = new Room(process, Number(children.trim()), user);
    for (const [name, script] of Object.entries({ spawnbox: SPAWNBOX, npm: NPM }))
      writeFileSync(room.outside(`/tmp/bin/${name}`), script, { mode: 0o755 });
    return room;
  }

  /** A path of the room as it is reached from here. */
  outside = (path: string): string => `/proc/${this.pid}/root${path}`;

  write(name: string, text: string): void {
    const path = this.outside(join(PLACE, name));
    writeFileSync(path, text);
    chownSync(path, ids[this.user], 0);
  }

  /** As a reader of the guide types it, who stops at the first command that fails. */
  async run(script: string): Promise<Ran> {
    const inside = ["nsenter", "--target", `${this.pid}`, "--mount", "--net", "--pid", "--"];
    const shell = ["bash", "-euo", "pipefail", "-c", `exec 2>&1; cd ${PLACE}\n${script}`];
    const limit = ["timeout", `${60 * PATIENCE}`];
    const id = ids[this.user];
    const drop = id === 0 ? [] : ["setpriv", `--reuid=${id}`, `--regid=${id}`, "--clear-groups"];
    const ran = Bun.spawn([...inside, ...drop, ...limit, ...shell], {
      env: { PATH, HOME: PLACE, LANG: "C.UTF-8" },
      stdio: ["ignore", "pipe", "inherit"],
    });
    const output = await ran.stdout.text();
    return { code: await ran.exited, output };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.process.kill("SIGKILL");
    await this.process.exited;
  }
}

/**
 * Attacks by quantity: processes, memory, and limits of the server that are exhausted.
 *
 * What a cgroup limits (memory.max and its `oom`, pids.max, cpu, io) needs the controllers of cgroup v2 and is attacked in
 * the virtual machine of the boot tests; here are the limits that every kernel has.
 */
import { describe, expect, test } from "bun:test";
import type { Reply } from "../../src/api/reply.ts";
import { asOrdinary, ORDINARY } from "../accounts.ts";
import { isAlive, PATIENCE, type Ran, serve, type Served, shell, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried } from "../thinned.ts";
import {
  agentsOf,
  answering,
  api,
  exterminate,
  limitServer,
  childrenOf,
  marked,
  plainAndFull,
  python,
  pythonScript,
  canLookInside,
  isSupervisor,
  leftNothing,
  leftOf,
} from "./attack.ts";
import { parentOf } from "./launch-steps.ts";

const bomb = `
# Processes beget processes, as many as there may be.
n = 0
while True:
    try: n += os.fork() == 0
    except OSError as e:
        if n == 0: print(errno.errorcode[e.errno], flush=True)
        time.sleep(0.01)`;
/**
 * Executes the rest of its arguments in a user namespace that has limits of its own ($0 network namespaces), so that the
 * machine's are not touched: namespaces(7). All users are mapped for root, from outside; for others only themselves are.
 */
const LIMITED = `
limit='echo "$0" > /proc/sys/user/max_net_namespaces && exec setpriv --ambient-caps -all "$@"'
[ "$(id -u)" = 0 ] || exec unshare --user --map-current-user --keep-caps /bin/sh -c "$limit" "$0" "$@"
(
  while [ "$(readlink /proc/$$/ns/user)" = "$(readlink /proc/self/ns/user)" ]; do :; done
  echo 0 0 65536 > /proc/$$/gid_map
  echo 0 0 65536 > /proc/$$/uid_map
) &
exec unshare --user --keep-caps /bin/sh -c 'until grep -q 65536 /proc/self/uid_map; do :; done; '"$limit" "$0" "$@"`;
/** A tree that outruns the killing does so now and then, not always. */
const ROUNDS = process.env["CI"] === undefined ? 1 : 3;
/** Seconds until the bomb is timed out: on a busy machine it grows slowly. */
const FUSES = [0.4, 2, 16] as const;
const config = api(
  plainAndFull.map((sandbox) => ({
    ...sandbox,
    commands: [
      { ...shell },
      ...FUSES.map((timeout, i) => ({
        ...python,
        uid: `bomb${i}`,
        timeout,
        limits: { nproc: 64 },
      })),
      { ...python, uid: "late", timeout: 3 },
      { ...python, uid: "fill" },
      { ...python, uid: "memory", limits: { as: "256M" } },
      { ...python, uid: "cpu", limits: { cpu: 1 } },
      { ...python, uid: "files", limits: { nofile: 32, fsize: "64K" } },
    ],
  })),
);
/** Runs the bomb for as long as this machine needs to reach the limit. */
async function explode(served: Served, sandbox: string, script: string): Promise<Ran> {
  let ran: Ran | undefined;
  for (const fuse of FUSES.keys()) {
    ran = await served.run(`a/${sandbox}/bomb${fuse}`, { script });
    if (ran.stdout?.[0]) return ran;
  }
  if (!ran) throw new Error("no fuse");
  return ran;
}

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(config, { user }));

  test.each(["plain", "full"])(
    "[resource limits] a fork bomb is limited, timed out and gone: %s",
    async (sandbox) => {
      // Without a user namespace, the limit counts the server's own processes and all others of its user too.
      if (user !== "root" && sandbox === "plain") return;
      for (let round = 0; round < ROUNDS; round++) {
        const marker = `bomb-${process.pid}-${sandbox}-${round}`;
        const { result, ping } = await answering(
          served,
          explode(served, sandbox, `${pythonScript(bomb)}\n# ${marker}`),
        );
        const left = leftOf(marker);
        exterminate(marker);
        console.log(`${user}, ${sandbox}: fork bomb, ping at worst ${Math.round(ping)} ms`);
        expect(left).toEqual([]);
        expect(result.stdout?.[0]).toBe("EAGAIN");
        expect(result.status).toMatchObject({ signal: "Killed", info: "timeout" });
      }
    },
    60_000 * PATIENCE,
  );

  test.each(["plain", "full"])(
    "[resource limits] memory, CPU time, open files and file sizes end where the config says: %s",
    async (sandbox) => {
      const run = async (verb: string, script: string) =>
        served.run(`a/${sandbox}/${verb}`, { script: pythonScript(script) });
      const memory = await run(
        "memory",
        "try: b = bytearray(1 << 30)\nexcept MemoryError: print('refused')",
      );
      expect(memory.stdout).toEqual(["refused"]);
      // A whole second of a processor.
      if (isTried(Number(sandbox === "full"), user, users)) {
        const cpu = await run("cpu", "while True: pass");
        expect(["Killed", "CPU time limit exceeded"]).toContain(cpu.status.signal ?? "");
      }
      const files = await run(
        "files",
        `
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
opened = []
while not isinstance(opened[-1:] and opened[-1], str): opened.append(attempt(os.open, "/dev/null", 0))
print(opened[-1])
for fd in opened[:-1]: os.close(fd)
fd = os.open("/tmp/spawnbox-big-%d" % os.getpid(), os.O_CREAT | os.O_WRONLY); os.unlink("/tmp/spawnbox-big-%d" % os.getpid())
print(os.write(fd, bytes(100000)), attempt(os.write, fd, b"x"))`,
      );
      expect(files.stdout).toEqual(["EMFILE", "65536 EFBIG"]);
    },
    60_000 * PATIENCE,
  );

  // Of one's own processes anybody may; root, only with CAP_SYS_RESOURCE of other users' processes.
  const asServer = user !== "root" ? asOrdinary : [];
  const limit = (name: string, value: string) =>
    limitServer(served.pid, `--${name}=${value}`, asServer);
  const soft = (name: string) =>
    Bun.spawnSync([
      ...asServer,
      "prlimit",
      `--pid=${served.pid}`,
      `--${name}`,
      "--output=SOFT",
      "--noheadings",
    ])
      .stdout.toString()
      .trim();
  /** The reply is a success that says what it should, or an error that names a cause; nothing in between. */
  const clean = ({ request, response }: Reply): boolean => {
    if (request.status === "success") {
      expect(response).toMatchObject({ stdout: ["ran"], status: { exit: 0 } });
      return true;
    }
    expect(response).toBeUndefined();
    const info = expect.stringMatching(/E(MFILE|NFILE|AGAIN|NOMEM|NOSPC)|Resource|too many/i);
    expect(request).toMatchObject({ status: "busy", info });
    return false;
  };
  const attempts = (sandbox: string, n: number) =>
    Promise.all(
      Array.from({ length: n }, () => served.call(`a/${sandbox}/sh`, { script: "echo ran" })),
    );

  test.if(canLookInside).each(["plain", "full"])(
    "[exhaustion] out of file descriptors, calls get an error, and work again later: %s",
    async (sandbox) => {
      const before = soft("nofile");
      const open = () =>
        new Bun.Glob("*").scanSync({ cwd: `/proc/${served.pid}/fd`, onlyFiles: false });
      // Not while what was before is still being closed.
      let held = -1;
      await until("nothing opens or closes", async () => {
        const before = [...open()].length;
        await Bun.sleep(300);
        held = [...open()].length;
        return held === before;
      });
      try {
        const spares = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 18, 24];
        const shift = Number(sandbox === "full");
        for (const spare of spares.filter((_, row) => isTried(row + shift, user, users))) {
          limit("nofile", `${held + spare}:`);
          (await attempts(sandbox, 6)).forEach(clean);
        }
        // The limit is about the largest number: below that of the last one, others may be free.
        limit("nofile", "3:");
        expect((await attempts(sandbox, 6)).map(clean)).toEqual(Array(6).fill(false));
      } finally {
        // Those that come later would fail with it.
        limit("nofile", `${before}:`);
      }
      expect((await attempts(sandbox, 6)).map(clean)).toEqual(Array(6).fill(true));
      await until("descriptors are closed", () => [...open()].length <= held + 2);
    },
    60_000 * PATIENCE,
  );

  test.if(canLookInside).each(["plain", "full"])(
    "[exhaustion] out of file descriptors, what runs is timed out, stopped and swept, and the server lives: %s",
    async (sandbox) => {
      const before = soft("nofile");
      const marker = `no-descriptor-${process.pid}-${sandbox}`;
      const long = { script: `sleep 100 & sleep 100; : ${marker}` };
      const late = served.run(`a/${sandbox}/late`, {
        script: `import time; time.sleep(100) # ${marker}`,
      });
      const [stopped, orphaned] = [0, 1].map(() => served.run(`a/${sandbox}/sh`, long));
      // Not what such a shell has forked, and what is about to be another program.
      const isCommand = (pid: string) => !isSupervisor(pid) && isSupervisor(parentOf(pid));
      await until("all run", () => marked(marker).filter(isCommand).length === 3);
      limit("nofile", "3:");
      try {
        expect((await late).status).toMatchObject({ signal: "Killed", info: "timeout" });
        const supervisors = childrenOf(served.pid).filter(isSupervisor);
        expect(supervisors.length).toBeGreaterThanOrEqual(2);
        Bun.spawnSync(["kill", "-s", "KILL", supervisors.at(-1) ?? ""]);
        await served.call(`a/${sandbox}/sh`, { action: "stop" });
        // The server looks at its memory, and at what it has to sweep.
        await Bun.sleep(1000);
        expect((await served.call("a/ping")).request.status).toBe("success");
      } finally {
        limit("nofile", `${before}:`);
      }
      for (const task of [stopped, orphaned]) expect((await task)?.status).toHaveProperty("signal");
      await leftNothing(marker);
      expect((await attempts(sandbox, 6)).map(clean)).toEqual(Array(6).fill(true));
    },
    60_000 * PATIENCE,
  );

  test.if(user !== "root").each(["plain", "full"])(
    "[exhaustion] commands that fill the processes of the user leave some to the server: %s",
    async (sandbox) => {
      const uid = process.geteuid?.() || ORDINARY;
      const lines = Bun.spawnSync(["ps", "-eLo", "uid="]).stdout.toString().split("\n");
      const most = lines.filter((line) => Number(line) === uid).length + 200;
      // The soft one holds for nobody who raises it.
      const through = ["prlimit", `--nproc=${most - 50}:${most}`];
      await using limited = await serve(config, { user, through });
      const given = async () => {
        const script = "grep processes /proc/self/limits";
        const { stdout = [] } = await limited.run(`a/${sandbox}/sh`, { script });
        return stdout[0]?.match(/\d+/g);
      };
      // Of the server's own hard limit 32 are left to it; the soft one is as it was, also of what another agent makes.
      expect(await given()).toEqual([`${most - 50}`, `${most - 32}`]);
      for (const agent of agentsOf(limited.pid)) process.kill(Number(agent), "SIGKILL");
      await until("another agent launches", async () => {
        const { request } = await limited.call(`a/${sandbox}/sh`, { script: "echo ran" });
        return request.status === "success";
      });
      expect(await given()).toEqual([`${most - 50}`, `${most - 32}`]);
      const marker = `filled-${process.pid}-${sandbox}`;
      /** All that there are, but for so many. */
      const fill = async (spare: number) => {
        const script = `
import resource
hard = resource.getrlimit(resource.RLIMIT_NPROC)[1]
resource.setrlimit(resource.RLIMIT_NPROC, (hard, hard))
children = []
while True:
    pid = attempt(os.fork)
    if pid == "EAGAIN": break
    if pid == 0: time.sleep(1000)
    children.append(pid)
for pid in children[:${spare}]:
    os.kill(pid, 9)
    os.waitpid(pid, 0)
os.execv("/bin/sleep", ["${marker}", "1000"])`;
        const reply = limited.call("a/plain/fill", { script: pythonScript(script) });
        await until("all are taken", () => marked(`${marker}\0`).length > 0);
        return async () => {
          await limited.call("a/plain/fill", { action: "stop", args: { signal: 9 } });
          await reply;
          await leftNothing(marker);
        };
      };
      const some = () =>
        Promise.all(
          Array.from({ length: 6 }, () => limited.call(`a/${sandbox}/sh`, { script: "echo ran" })),
        );
      const spares = [0, 1, 2, 3, 4, 5];
      for (const spare of spares.filter((n) => n === 0 || isTried(n, sandbox, ["plain", "full"]))) {
        const empty = await fill(spare);
        // The shell may come to run and then be the one that cannot fork.
        const ran = (await some()).map(clean);
        if (spare === 0) expect(ran).toEqual(ran.map(() => false));
        await empty();
      }
      const empty = await fill(0);
      // Its threads end when they have had nothing to do for as long; they are the same whatever was launched.
      if (sandbox === "plain") await Bun.sleep(11_000);
      for (let i = 0; i < 500; i++)
        expect((await limited.call("a/ping", { i })).request.status).toBe("success");
      const [refused] = await some();
      expect(refused?.request.info).toContain(`limit ${most}, of which it keeps 32`);
      await empty();
      expect((await some()).map(clean)).toEqual(Array(6).fill(true));
      // Whoever lowers the limits of a server lowers those of what it launches.
      const lower = most - 60;
      limitServer(limited.pid, `--nproc=${lower}:${lower}`, asServer);
      await until("another agent launches", async () => clean((await some())[0] as Reply));
      const left = `${lower - Math.min(32, Math.floor(lower / 4))}`;
      expect(await given()).toEqual([left, left]);
      expect(await isAlive(limited.pid)).toBe(true);
    },
    60_000 * PATIENCE,
  );

  test("[exhaustion] out of namespaces, calls get an error that says so, and work again later", async () => {
    const most = 3;
    const through = ["/bin/sh", "-c", LIMITED, `${most}`];
    await using limited = await serve(config, { user, through });
    const start = () => limited.call("a/full/sh", { script: "exec sleep 1006" });
    const running: ReturnType<typeof start>[] = [];
    const count = () => marked("sleep\x001006").length;
    // The kernel may still be taking apart those in which the sandbox was tried at the start.
    await until("they run", async () => {
      const before = count();
      if (before < most) running.push(start());
      for (let i = 0; i < 20 && count() === before && before < most; i++) await Bun.sleep(10);
      return count() === most;
    });
    const refused = await limited.call("a/full/sh", { script: "echo ran" });
    expect(refused.request.info).toMatch(
      /^full\/sh not started: (clone|unshare): ENOSPC: .*max_\*_namespaces/,
    );
    await limited.call("a/full/sh", { action: "stop" });
    await Promise.all(running);
    // The kernel takes a namespace apart after its last process has ended.
    await until("there is room again", async () =>
      clean(await limited.call("a/full/sh", { script: "echo ran" })),
    );
  });
});

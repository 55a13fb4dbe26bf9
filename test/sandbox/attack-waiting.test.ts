/** What another command of the same user does to sandboxes that wait, and to supervisors, sticks to nobody. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { isAlive, type Served, until, users } from "../served.ts";
import { isTried } from "../thinned.ts";
import {
  acls,
  childrenOf,
  commands,
  descendantsOf,
  full,
  py,
  read,
  serveSandboxes,
  sh,
  waitingOf,
} from "./attack.ts";

const POOL = 2;
/** What a command finds itself with. */
const STANDING = `
import resource
print(*[resource.getrlimit(n) for n in range(16)])
print(os.nice(0), os.sched_getscheduler(0), sorted(os.sched_getaffinity(0)), call((252, 31)[ARM], 1, 0), call.result)`;
/** What a process may do to another of its user; \`p\` is that. */
const changes = {
  "soft limits": "for n in range(16): resource.prlimit(p, n, (0, resource.prlimit(p, n)[1]))",
  "a hard limit": "resource.prlimit(p, resource.RLIMIT_FSIZE, (4096, 4096))",
  "no descriptors": "resource.prlimit(p, resource.RLIMIT_NOFILE, (0, 0))",
  "no processes": "resource.prlimit(p, resource.RLIMIT_NPROC, (0, 0))",
  "cpu time": "resource.prlimit(p, resource.RLIMIT_CPU, (1, 1))",
  "nice value": "os.setpriority(os.PRIO_PROCESS, p, 19)",
  "only idle time": "os.sched_setscheduler(p, os.SCHED_IDLE, os.sched_param(0))",
  "batch policy": "os.sched_setscheduler(p, os.SCHED_BATCH, os.sched_param(0))",
  "reset on fork": "os.sched_setscheduler(p, 0x40000000, os.sched_param(0))",
  processors: "os.sched_setaffinity(p, {max(os.sched_getaffinity(p))})",
  "i/o priority": "call((251, 30)[ARM], 1, p, 3 << 13) == 'ok' or os.kill(0, 99)",
};

const sandboxes = [
  { uid: "plain", acls, pool: POOL, commands },
  { uid: "full", acls, namespace: full, pool: POOL, commands },
  { uid: "told", acls, seccomp: { default: "SCMP_ACT_ALLOW", report: true }, pool: POOL, commands },
  { uid: "nice", acls: { ...acls, nice: 12 }, limits: { nofile: 99 }, pool: POOL, commands },
  { uid: "cold", acls, commands },
];

const warm = sandboxes.filter(({ pool = 0 }) => pool > 0);

describe.each(users)("served by %s", (user) => {
  let served: Served;
  const all = warm.length * commands.length * POOL;
  /** One that has ended by itself is replaced at the next request only. */
  const askAll = async () => {
    for (const { uid } of sandboxes) {
      expect(await sh(served, uid, "sleep 0.02; echo fine")).toMatchObject({ lines: ["fine"] });
      expect(await py(served, uid, "print('fine')")).toMatchObject({ lines: ["fine"] });
    }
  };
  let looks = 0;
  const ready = () =>
    until("the pools are full", async () => {
      if (++looks % 50 === 0) await askAll();
      return waitingOf(served.pid).length === all && childrenOf(served.pid).length === all;
    });
  beforeAll(async () => {
    served = await serveSandboxes(sandboxes, { user });
  });
  afterAll(async () => {
    await served?.[Symbol.asyncDispose]();
  });

  /** Processes of the server, and of its sandboxes, but for the command's own. */
  const toAll = (action: string) => `
import resource
def parent(p): return int(open(f"/proc/{p}/stat").read().rpartition(")")[2].split()[1])
def family(p):
    try:
        while p > 1 and p != ${served.pid}: p = parent(p)
    except OSError: return False
    return p == ${served.pid}
done = 0
for p in [int(p) for p in os.listdir("/proc") if p.isdigit()]:
    if p in (os.getpid(), os.getppid(), ${served.pid}) or not family(p): continue
    try:
        ${action}
        done += 1
    except (OSError, ValueError): pass
print(done)`;

  const standings = async () => {
    const seen: Record<string, string[]> = {};
    for (const { uid } of sandboxes) seen[uid] = (await py(served, uid, STANDING)).lines;
    return seen;
  };
  /** Of those before any change. */
  let before: Awaited<ReturnType<typeof standings>> | undefined;
  const tried = Object.keys(changes).filter((_, row) => isTried(row, user, users));
  test.each(tried as (keyof typeof changes)[])(
    "[warm sandboxes] what others change while they wait does not reach the command: %s",
    async (what) => {
      await ready();
      before ??= await standings();
      await ready();
      const { lines } = await py(served, "cold", toAll(changes[what]));
      expect(Number(lines[0])).toBeGreaterThanOrEqual(all);
      // Each takes one that has waited, as each has a pool of its own.
      expect(await standings()).toEqual(before);
      for (const seen of Object.values(before)) expect(seen).toHaveLength(2);
      // Those that were not used: one of each Python.
      await askAll();
      for (const { uid } of warm)
        expect(await sh(served, uid, "echo fine")).toMatchObject({ lines: ["fine"] });
    },
    60_000,
  );

  test.each(["waiting sandboxes", "tasks"])(
    "[process tree] supervisors that are stopped when the server is killed leave nothing: %s",
    async (which) => {
      const waits = which === "waiting sandboxes";
      const own = warm.map((one) => ({ ...one, pool: waits ? POOL : 0 }));
      await using doomed = await serveSandboxes(own, { user });
      for (const { uid } of waits ? [] : own)
        doomed
          .call(`a/${uid}/sh`, { script: "sleep 999 & setsid sleep 999 & sleep 999" })
          .catch(() => {});
      // Who is stopped while it starts is continued for long; and who waits for the exec of what it has forked cannot be stopped.
      const sleeps = (pid: string) => read(`/proc/${pid}/comm`) === "sleep\n";
      await until("all are there", () => {
        const below = descendantsOf(doomed.pid);
        return waits ? below.length >= 2 * all : below.filter(sleeps).length === 3 * own.length;
      });
      let tree: number[] = [];
      // The server continues those that start; the others may stay stopped. One that waits may be replaced meanwhile.
      await until("they are stopped", async () => {
        tree = descendantsOf(doomed.pid).map(Number);
        for (const pid of tree)
          try {
            process.kill(pid, "SIGSTOP");
          } catch {
            // It has ended just then.
          }
        await Bun.sleep(250);
        return descendantsOf(doomed.pid).every((pid) => /\) T /.test(read(`/proc/${pid}/stat`)));
      });
      await doomed.crash();
      await until("all are gone", async () =>
        (await Promise.all(tree.map(isAlive))).every((alive) => !alive),
      );
    },
    60_000,
  );
});

/** Warm sandboxes: as tight as cold ones, each used once, and nothing is lost when one is gone before it is used. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, constants, openSync, writeSync } from "node:fs";
import { landlockAbi } from "../../ffi/landlock.ts";
import { FD } from "../../ffi/launcher/layout.ts";
import { isAlive, type Served, shell, until, users } from "../served.ts";
import { rowsOf } from "../thinned.ts";
import {
  acls,
  answering,
  canLookInside,
  childrenOf,
  commands,
  full,
  py,
  serveSandboxes,
  sh,
  waitingOf,
} from "./attack.ts";

const POOL = 2;
/** What a command sees of its sandbox. */
const LOOK = `
id; umask; pwd; env | sort; ulimit -a; ls -l /proc/self/fd | sed 's/.*[0-9]:[0-9]* //; s/[0-9]*//g'
grep -E '^(Cap|Seccomp|NoNew|Groups|Umask|Uid|Gid|Sig[PBIC]|Shd)' /proc/self/status
cut -d' ' -f4- /proc/self/mountinfo | sed 's/ - / /; s/(deleted)//; s/ino=[0-9]*//g' | sort
cut -d' ' -f19 /proc/self/stat; sed 's/[0-9]//g' /proc/self/cgroup; hostname; [ "$(ls /proc | grep -c '^[0-9]')" -lt 9 ]; echo $?
tr '\\0' '\\n' < /proc/self/cmdline | head -1; ls / /dev 2>&1; cat /proc/net/dev | wc -l
`;
/** Even what the launcher itself would need to wait for its command line. */
const filter = {
  default: "SCMP_ACT_ALLOW",
  rules: ["prctl", "getrlimit", "setsid"].map((syscall) => ({
    syscall,
    action: "SCMP_ACT_ERRNO(1)",
  })),
};
const sandboxes = [
  { uid: "plain", acls, commands },
  { uid: "full", acls, namespace: full, commands },
  { uid: "minimal", profile: "minimal", acls, commands },
  { uid: "filtered", acls, seccomp: filter, commands: [shell] },
  { uid: "told", acls, seccomp: { ...filter, report: true }, commands: [shell] },
  {
    uid: "tight",
    acls: { ...acls, umask: "027" },
    namespace: { ...full, opts: { hostname: "warm" } },
    limits: { nofile: 33, core: 0 },
    ...(landlockAbi() > 0 && { landlock: { ro: ["/"], exec: ["/usr"] } }),
    commands: [shell],
  },
];

describe.each(users)("served by %s", (user) => {
  const row = rowsOf(user, users);
  let served: Served;
  /** Supervisors of waiting sandboxes, and of running tasks. */
  const children = () => childrenOf(served.pid);
  const all =
    sandboxes.reduce((sum, { commands: { length } }) => sum + length * POOL, 0) + 2 * POOL;
  const waiting = () => waitingOf(served.pid);
  const ready = () => until("the pools are full", () => waiting().length === all);
  beforeAll(async () => {
    const warm = sandboxes.map((one) => ({ ...one, pool: POOL }));
    const cold = sandboxes.map((one) => ({ ...one, uid: `cold-${one.uid}` }));
    served = await serveSandboxes(
      [
        ...warm,
        ...cold,
        { uid: "timed", acls, pool: POOL, commands: [{ ...shell, timeout: 1 }] },
        {
          uid: "none",
          acls,
          commands: [
            { ...shell, uid: "one", pool: POOL },
            { ...shell, uid: "zero" },
          ],
        },
      ],
      // Its own mounts: what the machine mounts meanwhile would make all that waits stale.
      { user, first: canLookInside ? ["unshare", "--mount"] : [] },
    );
  });
  afterAll(async () => {
    await served?.[Symbol.asyncDispose]();
  });

  test.each(sandboxes.map(({ uid }) => uid))(
    "[warm sandboxes] the command sees what it would without a pool: %s",
    async (uid) => {
      await ready();
      const before = waiting();
      const warm = await sh(served, uid, LOOK);
      const cold = await sh(served, `cold-${uid}`, LOOK);
      const same = ({ lines }: typeof warm) => lines.map((line) => line.replaceAll("cold-", ""));
      expect(same(warm)).toEqual(same(cold));
      expect(warm.errors).toEqual(cold.errors);
      expect(warm.lines.length).toBeGreaterThan(20);
      // It was one of those that waited.
      await ready();
      expect(before.filter((pid) => !waiting().includes(pid))).toHaveLength(1);
    },
  );

  test("[warm sandboxes] each is used once, and none is shared", async () => {
    await ready();
    const script = "echo $$ > /tmp/mine; cat /tmp/mine; ls /tmp | wc -l; sleep 0.1";
    const seen = await Promise.all(
      Array.from({ length: 4 * POOL }, () => sh(served, "minimal", script)),
    );
    for (const { lines } of seen) expect(lines).toEqual([lines[0] ?? "", "1"]);
    await ready();
  });

  row("[warm sandboxes] under load none is lost, and each gets its own words", async () => {
    const { result } = await answering(
      served,
      Promise.all(
        Array.from({ length: 120 }, async (_, i) => {
          const { lines } = await sh(served, i % 2 ? "plain" : "full", `echo ${i} "it's \\$x"`);
          return lines[0];
        }),
      ),
    );
    expect(result).toEqual(Array.from({ length: 120 }, (_, i) => `${i} it's $x`));
    await ready();
  });

  row("[warm sandboxes] words that are too many to be written at once", async () => {
    await ready();
    const text = "x".repeat(100_000);
    expect((await sh(served, "plain", `set -- ${text}; echo \${#1}`)).lines).toEqual(["100000"]);
    const some = "y".repeat(50_000);
    expect((await sh(served, "plain", `set -- ${some}; echo \${#1}`)).lines).toEqual(["50000"]);
    expect((await sh(served, "plain", `set -- '' 'ä\n'; echo $# "$2"`)).lines).toEqual(["2 ä", ""]);
  });

  test("[warm sandboxes] a time-out counts from the request, and so does the wall time", async () => {
    await ready();
    await Bun.sleep(1200);
    const begin = performance.now();
    const { status } = await served.run("a/timed/sh", { script: "exit 4" });
    expect(status).toMatchObject({ exit: 4 });
    const { wall } = (status as unknown as { usage: { wall: number } }).usage;
    expect(wall).toBeLessThan(performance.now() - begin);
    const late = await served.run("a/timed/sh", { script: "sleep 30" });
    expect(late.status).toMatchObject({ signal: "Killed", info: "timeout" });
  });

  /** Opens the pipe of what waits, as its own user can while it is made, and writes to it when it is stopped. */
  const writeTo = (pid: string, fd: number, content: Uint8Array) => {
    const pipe = openSync(`/proc/${pid}/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
    try {
      for (;;) writeSync(pipe, content);
    } catch {
      // It is full.
    }
    closeSync(pipe);
  };

  test.skipIf(!canLookInside)(
    "[warm sandboxes] words of others are not run, and no full pipe makes the server wait",
    async () => {
      await using other = await serveSandboxes([{ uid: "own", acls, pool: 1, commands: [shell] }], {
        user,
      });
      const waiting = async (): Promise<string> => {
        await until("one waits", () => waitingOf(other.pid).length === 1);
        return childrenOf(Number(waitingOf(other.pid)[0]))[0] ?? "";
      };
      const stopped = await waiting();
      process.kill(Number(stopped), "SIGSTOP");
      writeTo(stopped, FD.WORDS, new Uint8Array(4096));
      expect((await sh(other, "own", "echo mine")).lines).toEqual(["mine"]);

      const words = Buffer.from("____/bin/sh\0-c\0echo foreign; sleep 0.2\0");
      words.writeUInt32LE(words.length - 4);
      const misled = await waiting();
      const pipe = openSync(`/proc/${misled}/fd/${FD.WORDS}`, "w");
      writeSync(pipe, words);
      await Bun.sleep(50);
      expect((await sh(other, "own", "echo mine")).lines).toEqual(["mine"]);
      closeSync(pipe);
    },
  );

  /** Python of a command of the user whom the waiting ones belong to: those of this server that it sees. */
  const others = () => `
def parent(p): return int(open(f"/proc/{p}/stat").read().rpartition(")")[2].split()[1])
def family(p):
    try:
        while p > 1 and p != ${served.pid}: p = parent(p)
    except OSError: return False
    return p == ${served.pid}
mine = (os.getpid(), os.getppid(), ${served.pid})
waiting = [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) not in mine and family(int(p))]
`;

  test("[warm sandboxes] what waits cannot be traced, read or written by its own user", async () => {
    await ready();
    const { lines } = await py(
      served,
      "cold-plain",
      `${others()}
print(len(waiting) >= ${POOL})
for p in waiting:
    tried = (call("ptrace", 16, p, 0, 0), attempt(lambda: open(f"/proc/{p}/mem", "r+b")), attempt(lambda: os.listdir(f"/proc/{p}/fd")))
    # Not one that a test before has used, and that was just ending.
    if os.path.exists(f"/proc/{p}/exe") or os.path.exists(f"/proc/{p}"): print(*tried)`,
    );
    const [some, ...attempts] = lines;
    expect(some).toBe("True");
    expect(new Set(attempts)).toEqual(new Set(["EPERM EACCES EACCES"]));
  });

  test("[warm sandboxes] killed while they wait: requests are served all the same", async () => {
    await ready();
    const { lines } = await py(
      served,
      "cold-plain",
      `${others()}
print(sum(attempt(os.kill, p, 9) is None for p in waiting) >= ${POOL})`,
    );
    expect(lines).toEqual(["True"]);
    const seen = await Promise.all(
      ["plain", "full", "plain", "filtered"].map((uid) => sh(served, uid, "echo fine")),
    );
    for (const one of seen) expect(one.lines).toEqual(["fine"]);
    expect((await sh(served, "plain", "echo fine")).lines).toEqual(["fine"]);
  });

  test("[warm sandboxes] stopped while they wait: a request wakes its own", async () => {
    for (const uid of ["plain", "full", "filtered"]) await sh(served, uid, "true");
    await until("there are some", () => children().length > POOL);
    await Bun.sleep(100);
    await py(served, "cold-plain", `${others()}\nfor p in waiting: attempt(os.kill, p, 19)`);
    for (const uid of ["plain", "full", "filtered"])
      expect((await sh(served, uid, "echo awake")).lines).toEqual(["awake"]);
  });

  test("[warm sandboxes] only commands that have a pool; info tells of it", async () => {
    expect((await sh(served, "none", "true").catch(String)).toString()).toContain("unknown-verb");
    const reply = await served.call("a/info");
    const text = JSON.stringify(reply.response);
    expect(text).toContain(`"verb":"none/one"`);
    expect(/"verb":"none\/one"[^}]*}[^}]*"pool":2/.test(text)).toBe(true);
    expect(/"verb":"none\/zero"[^}]*}[^}]*"pool"/.test(text)).toBe(false);
  });

  test("[warm sandboxes] nothing of them outlives a server that is killed", async () => {
    const other = await serveSandboxes(
      sandboxes.map((one) => ({ ...one, pool: POOL })),
      { user },
    );
    await until("they wait", () => childrenOf(other.pid).length >= 4 * POOL);
    const waiting = childrenOf(other.pid).flatMap((pid) => [pid, ...childrenOf(Number(pid))]);
    await other.crash();
    await until("they are gone", async () => {
      const alive = await Promise.all(waiting.map((pid) => isAlive(Number(pid))));
      return !alive.includes(true);
    });
    await other[Symbol.asyncDispose]();
  });
});

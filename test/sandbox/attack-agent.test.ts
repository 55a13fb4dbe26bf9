/** The process that forks for the server, killed, stopped, changed and looked at by commands of its own user. */
import { describe, expect, test } from "bun:test";
import { killNow } from "../../ffi/children.ts";
import { hasProcessors } from "../launch/processes.ts";
import { PATIENCE, type Served, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried, rowsOf } from "../thinned.ts";
import {
  agentsOf,
  childrenOf,
  commands,
  full,
  launchersOf,
  py,
  serveSandboxes,
  sh,
} from "./attack.ts";

const GUARD = 60_000 * PATIENCE;

/**
 * Python that finds one of both: who was made ahead is found by the command, since the one before has become what is over it. They are
 * one process group.
 */
type Whom = "it" | "who is made ahead";
/** On a single processor nobody is. */
const LOOKED_AT: readonly Whom[] = hasProcessors ? ["it", "who is made ahead"] : ["it"];
const find = (whom: Whom, agent: number) => `
def find():
    while True:
        for pid in filter(str.isdigit, os.listdir("/proc")):
            if int(pid) != ${agent} and attempt(lambda: os.getpgid(int(pid))) == ${agent}: return int(pid)
agent = ${whom === "it" ? agent : "find()"}
`;

describe.each(users)("served by %s", (user) => {
  // Of the server's user, without a namespace of pids: nothing hides the agent, or keeps a signal from it.
  const acls = user === "root" ? { user: "root" } : {};
  const served = serving(() =>
    serveSandboxes(
      [
        { uid: "plain", acls, commands },
        { uid: "full", acls, namespace: full, commands },
        { uid: "warm", acls, pool: 2, commands },
      ],
      { user },
    ),
  );
  const agent = (): number => Number(agentsOf(served.pid)[0] ?? 0);
  const ahead = () =>
    launchersOf(served.pid)
      .map(Number)
      .filter((pid) => pid !== agent());
  const fine = async (sandbox: string) =>
    expect((await sh(served, sandbox, "echo fine")).lines).toEqual(["fine"]);

  test.each(LOOKED_AT)(
    "[agent] there is one, and %s shows nothing of what it passes on",
    async (whom) => {
      await Promise.all(Array.from({ length: 20 }, () => fine("plain")));
      expect(agentsOf(served.pid)).toHaveLength(1);
      const { lines } = await py(
        served,
        "plain",
        `${find(whom, agent())}
print(open("/proc/%d/cmdline" % agent, "rb").read().strip(b"\\0 "))
for name in "mem", "environ", "fd/3", "maps":
    print(attempt(lambda: open("/proc/%d/%s" % (agent, name), "rb").read(1)))
print(call("pidfd_getfd", os.pidfd_open(agent), 3, 0))
print(call("ptrace", 16, agent, 0, 0))`,
      );
      // Root may look at everything, unless something is taken from it.
      const seen = user === "root" ? lines.slice(0, 1) : lines;
      const denied = ["EACCES", "EACCES", "EACCES", "EACCES", "EPERM", "EPERM"];
      expect(seen.map((line) => line.replace("PermissionError", "EACCES"))).toEqual([
        "b'spawnbox: agent'",
        ...(user === "root" ? [] : denied),
      ]);
    },
  );

  test(
    "[agent] killed again and again, it is made anew: what runs goes on, and each call has its reply",
    async () => {
      const long = sh(served, "plain", "sleep 3.125; echo went on");
      // Other children may be of tasks that have just ended.
      await until("it runs", () => Bun.spawnSync(["pgrep", "-fx", "sleep 3.125"]).success);
      for (let round = 0; round < 10; round++) {
        if (!isTried(round, user, users)) continue;
        const calls = Array.from({ length: 16 }, async (_, i) => {
          const verb = `a/${["plain", "full", "warm"][i % 3]}/sh`;
          const call = () => served.call(verb, { script: "echo fine" });
          let reply = await call();
          // It may have been made: whether it is to run again, who called decides.
          if (reply.request.status === "busy") {
            expect(reply.request.info).toContain("was killed");
            reply = await call();
          }
          // Who was made ahead had become what is over the command by then, which may run.
          const { status } = (reply.response ?? {}) as { status?: { cause?: string } };
          if (
            reply.request.info?.includes("it died before it could tell") ||
            status?.cause === "supervisor"
          )
            reply = await call();
          expect(reply).toMatchObject({ response: { stdout: ["fine"] } });
        });
        const whom = [[agent()], ahead(), [agent(), ...ahead()]][round % 3] ?? [];
        // One may have ended meanwhile.
        for (const pid of whom) if (pid > 0) killNow(pid);
        await Promise.all(calls);
      }
      expect((await long).lines).toEqual(["went on"]);
      await fine("plain");
      expect(agentsOf(served.pid)).toHaveLength(1);
      await until(
        "no child is left that nobody waits for",
        () => withoutWaiting(served).length === 0,
      );
    },
    GUARD,
  );

  test(
    "[agent] stopped, it goes on for the next launch",
    async () => {
      for (let round = 0; round < 5; round++) {
        // 0 would be this process, and all in its group.
        for (const pid of [agent(), ...ahead()]) if (pid > 0) process.kill(pid, "SIGSTOP");
        await fine("full");
      }
    },
    GUARD,
  );

  test(
    "[agent] what a command changes of it no other command has",
    async () => {
      const look =
        "import resource; print(resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CORE), os.getpriority(os.PRIO_PROCESS, 0), os.sched_getscheduler(0))";
      const before = await py(served, "plain", look);
      expect(before.errors).toEqual([]);
      for (const whom of LOOKED_AT)
        for (const change of [
          "resource.prlimit(agent, resource.RLIMIT_NOFILE, (5, 5))",
          "resource.prlimit(agent, resource.RLIMIT_NPROC, (1, 1))",
          "resource.prlimit(agent, resource.RLIMIT_CORE, (0, 0))",
          "os.setpriority(os.PRIO_PROCESS, agent, 19)",
          "os.sched_setscheduler(agent, os.SCHED_IDLE, os.sched_param(0))",
        ].filter((_, row) => isTried(row + LOOKED_AT.indexOf(whom), user, users))) {
          // Who was changed before is ended for it, and may take a moment to go.
          await until("there is one agent", () => agentsOf(served.pid).length === 1);
          const script = `import resource\n${find(whom, agent())}\n${change}\nprint("changed")`;
          expect(await py(served, "plain", script)).toMatchObject({
            lines: ["changed"],
            errors: [],
          });
          // Who is made ahead of the agent after it was changed, too.
          for (let i = 0; i < 2; i++)
            expect((await py(served, "plain", look)).lines).toEqual(before.lines);
        }
    },
    GUARD,
  );

  rowsOf(user, users)(
    "[agent] a command line of any length, and many at once",
    async () => {
      const long = `: ${"x".repeat(120_000)}\necho done`;
      const all = Array.from({ length: 200 }, (_, i) =>
        sh(served, i % 2 ? "plain" : "full", i % 4 ? `echo ${i}` : long),
      );
      const lines = (await Promise.all(all)).map(({ lines }) => lines[0]);
      expect(lines).toEqual(all.map((_, i) => (i % 4 ? `${i}` : "done")));
    },
    GUARD,
  );

  test(
    "[agent] it ends with its server, also when that is killed, and when it is stopped itself",
    async () => {
      for (const stopped of [false, true]) {
        await using doomed = await serveSandboxes([{ uid: "plain", acls, commands }], { user });
        await sh(doomed, "plain", ":");
        const all = launchersOf(doomed.pid);
        if (stopped) for (const pid of all) process.kill(Number(pid), "SIGSTOP");
        await doomed.crash();
        for (const pid of all)
          await until("it has ended", async () => !(await Bun.file(`/proc/${pid}/stat`).exists()));
      }
    },
    GUARD,
  );
});

/** Children of the server but for those that wait for a call, two for each command. */
const withoutWaiting = ({ pid }: Served): string[] => childrenOf(pid).slice(4);

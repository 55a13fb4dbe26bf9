/** Attacks by processes: trees that hide from a stop, signals to and looks into the server, its death in the middle of a launch. */
import { beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import type { Reply } from "../../src/api/reply.ts";
import { isAlive, PATIENCE, shell, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried } from "../thinned.ts";
import {
  acls,
  commands,
  full,
  leftNothing,
  marked,
  plainAndFull,
  py,
  python,
  pythonScript,
  scoped,
  serveSandboxes,
} from "./attack.ts";
import { type Tree, trees, ways } from "./trees.ts";

const stubborn = { ...python, uid: "stubborn" };
/** Seconds in which what replaces itself for ever takes all processors. */
const BRIEF = process.env["CI"] === undefined ? 0.4 : 0.7;
const brief = { ...python, uid: "brief", timeout: BRIEF };
const landlock = { ro: ["/proc"], exec: ["/usr", "/bin", "/lib", "/lib64", "/etc"], rw: ["/dev"] };
const config = [
  ...plainAndFull.map((sandbox) => ({ ...sandbox, commands: [...commands, brief, stubborn] })),
  ...(scoped ? [{ uid: "landlock", acls, landlock, commands: [...commands, brief] }] : []),
  { uid: "pids", acls, namespace: { shares: { pid: "disable" } }, commands: [...commands, brief] },
];
/** Against hanging: how long a kill takes is printed. */
const GUARD = 60_000 * PATIENCE;

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serveSandboxes(config, { user }));
  let planted = 0;
  const tree = (how: Tree) => {
    const marker = `tree-${user === "root" ? "r" : "o"}-${process.pid}-${planted++}`;
    return { marker, script: `${pythonScript(trees[how])}\ntime.sleep(1000) # ${marker}` };
  };
  const sandboxes = ["plain", "pids", "full"];

  /** Stopped without a signal before the tests, as the server then waits for 5 s before it kills. */
  let ignoring: { marker: string; reply: Promise<Reply> };
  beforeAll(async () => {
    const { marker, script } = tree("all signals ignored and blocked");
    const reply = served.call("a/full/stubborn", { script });
    await until("it runs", () => marked(marker).length > 3);
    await served.call("a/full/stubborn", { action: "stop" });
    ignoring = { marker, reply };
  });

  describe.each(sandboxes)("sandbox %s", (sandbox) => {
    const shift = sandboxes.indexOf(sandbox);
    // Of what is timed out here, the other user's is stopped.
    const timed = ways.filter((_, row) => isTried(row + shift + 1, user, users));
    test(
      "[process tree] a time-out leaves nothing of it, however it hides",
      async () => {
        await Promise.all(
          timed.map(async (how) => {
            const { marker, script } = tree(how);
            const { status } = await served.run(`a/${sandbox}/brief`, { script });
            expect(status).toMatchObject({ signal: "Killed", info: "timeout" });
            await leftNothing(marker);
          }),
        );
      },
      GUARD,
    );

    test.each(ways.filter((_, row) => isTried(row + shift, user, users)))(
      "[process tree] a stop leaves nothing of it: %s",
      async (how) => {
        const { marker, script } = tree(how);
        const reply = served.call(`a/${sandbox}/py`, { script });
        await until("it runs", () => marked(marker).length > 3);
        const begin = performance.now();
        await served.call(`a/${sandbox}/py`, { action: "stop", args: { signal: 9 } });
        await reply;
        console.log(`${user}, ${sandbox}, ${how}: ${Math.round(performance.now() - begin)} ms`);
        await leftNothing(marker);
      },
      GUARD,
    );
  });

  test(
    "[process tree] a stop without a signal kills what ignores it",
    async () => {
      const { marker, reply } = ignoring;
      expect((await reply).response).toMatchObject({ status: { signal: "Killed" } });
      await leftNothing(marker);
    },
    GUARD,
  );

  test.each(sandboxes)(
    "[process tree] a child that holds stdout open does not hold the end back: %s",
    async (sandbox) => {
      const { lines, status } = await py(
        served,
        sandbox,
        `
if os.fork() == 0: os.setsid(); time.sleep(1000)
print("done")`,
      );
      expect({ lines, status }).toMatchObject({ lines: ["done"], status: { exit: 0 } });
    },
  );

  /** Without a namespace of pids or Landlock, the commands of an ordinary server are its own user's, and may signal it. */
  const shielded =
    user === "root" ? ["plain", "pids", "full"] : ["pids", "full", ...(scoped ? ["landlock"] : [])];
  test.each(shielded)(
    "[server] kill, kill(-1), kill of the parent and of the init reach neither it nor the launcher: %s",
    async (sandbox) => {
      const { lines } = await py(
        served,
        sandbox,
        `
for pid in (${served.pid}, os.getppid(), 1):
    for sig in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP):
        if pid > 0: attempt(os.kill, pid, sig)
for sig in (signal.SIGCONT, signal.SIGURG): attempt(os.kill, -1, sig)
print("alive")`,
      );
      expect(lines).toEqual(["alive"]);
      await py(served, sandbox, "attempt(os.kill, -1, signal.SIGKILL)");
      expect(await isAlive(served.pid)).toBe(true);
      expect((await served.call("a/ping")).request.status).toBe("success");
    },
  );

  test.each(["plain", ...(scoped ? ["landlock"] : []), "pids", "full"])(
    "[server] its memory and environment cannot be read, and it cannot be traced: %s",
    async (sandbox) => {
      const { lines } = await py(
        served,
        sandbox,
        `
buffer = ctypes.create_string_buffer(8)
class iov(ctypes.Structure): _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
for pid in {${served.pid}, os.getppid(), 1} - {0, os.getpid()}:
    for name in ("environ", "mem", "maps", "auxv", "root/etc/passwd", "cwd/config.json", "fd/0", "io", "syscall", "stack"):
        fd = attempt(os.open, "/proc/%d/%s" % (pid, name), os.O_RDONLY)
        if isinstance(fd, str): continue
        if isinstance(attempt(os.read, fd, 1), bytes) or name == "mem": print(pid == ${served.pid} and "server" or pid, name)
    if call("process_vm_readv", pid, ctypes.byref(iov(ctypes.addressof(buffer), 8)), 1, ctypes.byref(iov(0x400000, 8)), 1, 0) not in ("EPERM", "ESRCH"): print(pid, "process_vm_readv")
    if call("ptrace", 0x4206, pid, 0, 0) == "ok": print(pid == ${served.pid} and "server" or pid, "ptrace"); call("ptrace", 17, pid, 0, 0)
print("tried")`,
      );
      expect(lines).toEqual(["tried"]);
    },
  );

  test(
    "[server] SIGKILL at any moment of a launch leaves no process and no mount",
    async () => {
      const mounts = () => readFileSync("/proc/self/mountinfo", "utf8").split("\n");
      const before = mounts();
      const ROUNDS = 8;
      for (let round = 0; round < ROUNDS; round++) {
        if (!isTried(round, user, users)) continue;
        const marker = `doomed-${process.pid}-${round}`;
        const doomed = await serveSandboxes(
          [
            { ...plainAndFull[0], commands: { ...shell, uid: marker } },
            { uid: "full", acls, namespace: full, commands: { ...shell, uid: marker } },
          ],
          { user },
        );
        // Launches are always under way: each that ends is followed by another.
        let ended = 0;
        let dead = false;
        const stream = async (sandbox: string) => {
          while (!dead) {
            const script = `setsid sleep 1000 & : ${marker}; ${ended % 3 ? "" : "sleep 1000"}`;
            const reply = await doomed
              .call(`a/${sandbox}/${marker}`, { script })
              .catch(() => undefined);
            if (!reply) return;
            ended++;
          }
        };
        const streams = ["plain", "full", "plain", "full", "full"].map(stream);
        const enough = round * 3;
        await until(
          "launches are under way",
          () => ended >= Math.min(enough, 8) || marked(marker).length > 0,
        );
        // A different moment in each round, without a clock: after so many turns of the event loop.
        for (let turn = 0; turn < round * 7; turn++) await new Promise(setImmediate);
        await doomed.crash();
        dead = true;
        await Promise.all(streams);
        await until(`no orphan in round ${round}`, () => marked(marker).length === 0);
        await doomed[Symbol.asyncDispose]();
      }
      // Those of others on this machine may go meanwhile.
      expect(mounts().filter((mount) => !before.includes(mount))).toEqual([]);
    },
    GUARD,
  );
});

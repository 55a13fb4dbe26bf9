/** The server dies while launches are held, by ptrace(2), at each of their steps. */
import { afterAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { OP } from "../../ffi/launcher/layout.ts";
import { landlockAbi } from "../../ffi/landlock.ts";
import { isRoot, serve, shell, system, until, type User, users } from "../served.ts";
import { acls, api } from "./attack.ts";

/** The system call by which each step of a plan is known. */
const STEPS: Partial<Record<keyof typeof OP, RegExp>> = {
  UID_MAP: /^supervisor:openat\(.*uid_map/,
  GID_MAP: /^supervisor:openat\(.*gid_map/,
  BOUNDING: /^child:prctl\(24\)/,
  FORK: /^child:clone/,
  ROOT_BEGIN: /^child:mount$/,
  BIND: /^child:open_tree/,
  FSMOUNT: /^child:fsopen\(proc\)/,
  SYMLINK: /^child:symlinkat/,
  DIR: /^child:mkdirat/,
  SETATTR: /^child:mount_setattr/,
  ROOT_END: /^child:pivot_root/,
  FILE: /^child:unlinkat/,
  REBIND: /^child:openat\(kallsyms\)/,
  SETTING: /^child:openat\(\/proc\/sys\/user/,
  UNSHARE: /^command:unshare/,
  LOOPBACK: /^command:ioctl/,
  HOSTNAME: /^command:sethostname/,
  NICE: /^(child|command):setpriority/,
  RLIMIT: /^(child|command):prlimit64/,
  UMASK: /^(child|command):umask/,
  CHDIR: /^(child|command):chdir/,
  SETGROUPS: /^(child|command):setgroups/,
  SETGID: /^(child|command):setresgid/,
  SECUREBITS: /^(child|command):prctl\(28\)/,
  SETUID: /^(child|command):setresuid/,
  AMBIENT: /^(child|command):prctl\(47\)/,
  CAPS: /^(child|command):capset/,
  NO_NEW_PRIVS: /^(child|command):prctl\(38\)/,
  LANDLOCK: /^(child|command):landlock_create_ruleset/,
  LANDLOCK_PATH: /^(child|command):landlock_add_rule\(1\)/,
  LANDLOCK_APPLY: /^(child|command):landlock_restrict_self/,
  SECCOMP: /^(child|command):seccomp/,
  // Not in the plan, but a step of each launch.
  CLONE: /^supervisor:clone/,
  EXEC: /^(child|command):execve/,
};
const nameOf = (code: number) =>
  Object.entries(OP).find(([, number]) => number === code)?.[0] as keyof typeof OP;

const common = {
  acls: { ...acls, nice: 3, umask: "027" },
  seccomp: {
    default: "SCMP_ACT_ALLOW",
    rules: [{ syscall: "swapon", action: "SCMP_ACT_ERRNO(EPERM)" }],
  },
  ...(landlockAbi() > 0 && { landlock: { ro: ["/"], exec: ["/"] } }),
  commands: { ...shell, limits: { core: 0 } },
};
/** Neither pid nor user namespace; and all of them. */
const sandboxes = [
  { uid: "plain", ...common },
  {
    uid: "full",
    ...common,
    namespace: { shares: { all: "disable" }, opts: { hostname: "held" }, mounts: system },
  },
];
/** So few at a time that the first is still held, and not given up by the server, when the last one is. */
const BATCH = 30;
const mounts = () => readFileSync("/proc/self/mountinfo", "utf8").split("\n");
const statusOf = (pid: string) => {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    // It has ended meanwhile.
    return "";
  }
};

const parentOf = (pid: string) => /^PPid:\s+(\d+)/m.exec(statusOf(pid))?.[1] ?? "";
/** All below a process. */
function descendants(root: number): string[] {
  const pids = readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  const parents = new Map(pids.map((pid) => [pid, parentOf(pid)]));
  const below = (pid: string): boolean => {
    const parent = parents.get(pid);
    return parent === `${root}` || (parent !== undefined && below(parent));
  };
  return [...parents.keys()].filter(below);
}

type Told = { held?: string; ops?: number[]; keys?: string[]; tracing?: number };

/** A server whose launches are traced. */
async function traced(user: User) {
  const served = await serve(api(sandboxes), user);
  const tracer = Bun.spawn(
    ["python3", "-IS", join(import.meta.dir, "launch-tracer.py"), `${served.pid}`],
    { stdin: "pipe", stdout: "pipe", stderr: "inherit" },
  );
  const reader = tracer.stdout.getReader();
  const decoder = new TextDecoder();
  let text = "";
  const told = async (): Promise<Told> => {
    for (;;) {
      const end = text.indexOf("\n");
      if (end >= 0) {
        const line = text.slice(0, end);
        text = text.slice(end + 1);
        return JSON.parse(line);
      }
      const { value, done } = await reader.read();
      if (done) throw new Error("the tracer has ended");
      text += decoder.decode(value, { stream: true });
    }
  };
  expect(await told()).toEqual({ tracing: served.pid });
  return {
    served,
    /** Starts a launch for each order to the tracer; gives what it tells of them. */
    async launch(sandbox: string, orders: readonly string[]): Promise<Told[]> {
      tracer.stdin.write(orders.map((order) => `${order}\n`).join(""));
      await tracer.stdin.flush();
      const answers: Told[] = [];
      for (const _ of orders)
        void served.call(`a/${sandbox}/sh`, { script: "exec sleep 1000" }).catch(() => undefined);
      while (answers.length < orders.length) answers.push(await told());
      return answers;
    },
    /** Kills the server, then lets go what was held: `held` launches. Whatever they had started must end. */
    async die(held: number) {
      const tree = descendants(served.pid);
      expect(tree.filter((pid) => parentOf(pid) === `${served.pid}`)).toHaveLength(held);
      await served.crash();
      tracer.kill("SIGKILL");
      await tracer.exited;
      await until("its launches have ended", () =>
        tree.every((pid) => !/^State:\s+[^ZX]/m.test(statusOf(pid))),
      );
      await served[Symbol.asyncDispose]();
    },
  };
}

describe.if(isRoot).each(users)("served by %s", (user) => {
  const before = mounts();
  afterAll(() => {
    // Others may mount meanwhile, but not what a sandbox is made of.
    expect(mounts().filter((line) => !before.includes(line) && /spawnbox/.test(line))).toEqual([]);
  });
  test.each(sandboxes.map(({ uid }) => uid))(
    "[server] SIGKILL at each step of a launch leaves no process and no mount: %s",
    async (sandbox) => {
      const recorder = await traced(user);
      const [{ ops = [], keys = [] } = {}] = await recorder.launch(sandbox, ["record"]);
      await recorder.die(1);
      const steps = [...new Set(ops.map(nameOf)), "CLONE", "EXEC"] as (keyof typeof OP)[];
      const keyOf = (step: keyof typeof OP) => keys.find((key) => STEPS[step]?.test(key));
      expect(steps.filter((step) => keyOf(step) === undefined)).toEqual([]);
      // What the supervisor does between and after them, too.
      const own = keys.filter((key) => key.startsWith("supervisor:"));
      const places = [...new Set([...own, ...steps.map((step) => keyOf(step) ?? "")])];
      for (let i = 0; i < places.length; i += BATCH) {
        const batch = places.slice(i, i + BATCH);
        const tracer = await traced(user);
        const held = await tracer.launch(
          sandbox,
          batch.map((key) => `hold ${key}`),
        );
        expect(held.map((told) => told.held).toSorted()).toEqual(batch.toSorted());
        await tracer.die(batch.length);
      }
      console.log(`${user}, ${sandbox}: held at ${places.length} calls, at ${steps.join(", ")}`);
    },
    120_000,
  );
});

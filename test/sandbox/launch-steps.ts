/** A server dies while launches of it are held, by ptrace(2), at each of their steps. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { OP, type OpName } from "../../ffi/launcher/layout.ts";
import { until } from "../served.ts";
// As text, since it also runs in a machine that has no such file.
import tracer from "./launch-tracer.py" with { type: "text" };

/** The system call by which each step of a plan is known. */
const STEPS: Partial<Record<OpName, RegExp>> = {
  UID_MAP: /^supervisor:openat\(.*uid_map/,
  GID_MAP: /^supervisor:openat\(.*gid_map/,
  CGROUP: /^supervisor:clone3/,
  JOIN_NET: /^supervisor:setns/,
  BOUNDING: /^child:prctl\(24\)/,
  LABEL: /^child:openat\(\/proc\/self\/attr/,
  FORK: /^child:clone/,
  ROOT_BEGIN: /^child:mount$/,
  BIND: /^child:open_tree/,
  FSMOUNT: /^child:fsopen\(proc\)/,
  SYMLINK: /^child:symlinkat/,
  DIR: /^child:mkdirat/,
  SETATTR: /^child:mount_setattr/,
  ROOT_END: /^child:pivot_root/,
  FILE: /^child:openat2?\(\.file\)/,
  REBIND: /^child:openat\(kallsyms\)/,
  LOCK: /^child:fcntl\(6\)/,
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
  LANDLOCK_PORT: /^(child|command):landlock_add_rule\(2\)/,
  LANDLOCK_APPLY: /^(child|command):landlock_restrict_self/,
  SECCOMP: /^(child|command):seccomp/,
  // Not in the plan, but a step of each launch.
  CLONE: /^supervisor:clone/,
  EXEC: /^(child|command):execve/,
};
/** Where a step has several calls between which something is there that must not stay. */
const WITHIN = /^child:(write|unlinkat|fcntl\(1030\)|openat\(\/proc\/self\/fd\/N\))$/;

const nameOf = (code: number) =>
  Object.entries(OP).find(([, number]) => number === code)?.[0] as OpName;

const statusOf = (pid: string) => {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    // It has ended meanwhile.
    return "";
  }
};
/** For whom it concerns that a process is still there. */
function whereabouts(pid: string): string {
  const fields = /^(Name|State|PPid|TracerPid|SigQ|ShdPnd):.*/gm;
  const read = (file: string) => {
    try {
      return readFileSync(`/proc/${pid}/${file}`, "utf8").trim();
    } catch {
      return "";
    }
  };
  return [pid, ...(statusOf(pid).match(fields) ?? []), read("wchan"), read("cgroup")].join(" ");
}
export const parentOf = (pid: string) => /^PPid:\s+(\d+)/m.exec(statusOf(pid))?.[1] ?? "";

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

/** What is needed of a server that is to die. */
export interface Doomed extends AsyncDisposable {
  readonly pid: number;
  call(verb: string, args?: unknown): Promise<unknown>;
  /** SIGKILL. */
  crash(): Promise<void>;
}

type Told = { held?: string; ops?: number[]; keys?: string[]; tracing?: number };

/** Traces the launches of a server. */
async function trace(served: Doomed) {
  const child = Bun.spawn(["/usr/bin/python3", "-IS", "-c", tracer, `${served.pid}`], {
    stdin: "pipe",
    stdout: "pipe",
    stderr: "inherit",
  });
  const reader = child.stdout.getReader();
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
  assert.deepEqual(await told(), { tracing: served.pid });
  return {
    /** Starts a launch for each order to the tracer; gives what it tells of them. */
    async launch(verb: string, orders: readonly string[]): Promise<Told[]> {
      child.stdin.write(orders.map((order) => `${order}\n`).join(""));
      await child.stdin.flush();
      const answers: Told[] = [];
      for (const _ of orders)
        void served.call(verb, { script: "exec sleep 1000" }).catch(() => undefined);
      while (answers.length < orders.length) answers.push(await told());
      return answers;
    },
    /** Kills the server, then lets go what was held: `held` launches. Whatever they had started must end. */
    async die(held: number) {
      let tree: string[] = [];
      // And what forks for the server, perhaps with who is made ahead: what is held may have their name yet. Who has told the end of
      // a trial may take a moment to go.
      await until("only these are there", () => {
        tree = descendants(served.pid);
        const children = tree.filter((pid) => parentOf(pid) === `${served.pid}`);
        return [1, 2].includes(children.length - held);
      });
      await served.crash();
      child.kill("SIGKILL");
      await child.exited;
      const left = () => tree.filter((pid) => /^State:\s+[^ZX]/m.test(statusOf(pid)));
      await until("its launches have ended", () => left().length === 0).catch((error: unknown) => {
        // Which, and where they are, is what one would look for next.
        throw new Error(`${String(error)}: ${left().map(whereabouts).join("; ")}`);
      });
      await served[Symbol.asyncDispose]();
    },
  };
}

/**
 * One server after the other is killed, until the launch of `verb`, which runs a script, was held at each of its steps. No
 * process may be left then; what else there is, is for `look` to see, each time while launches are held and after the end.
 * @returns the steps of the plan, and at how many system calls launches were held
 */
export async function killAtEachStep(
  start: () => Promise<Doomed>,
  verb: string,
  look: (when: "held" | "ended") => void | Promise<void>,
  /** So few at a time that all may be on their way: one more would wait for 2 s behind those that are held. */
  most = 8,
  /** Of those that are held together, by their number. */
  isTried: (batch: number) => boolean = () => true,
): Promise<{ steps: OpName[]; places: number }> {
  const recorder = await trace(await start());
  const [{ ops = [], keys = [] } = {}] = await recorder.launch(verb, ["record"]);
  await look("held");
  await recorder.die(1);
  await look("ended");
  const keyOf = (step: OpName) => keys.find((key) => STEPS[step]?.test(key));
  // Only looked up by others, without a call of its own; and what holds already: an ordinary user's command has no capabilities,
  // and what the agent has dropped is in no bounding set but that of a user namespace.
  const silent = (name: OpName) =>
    name === "SHARED_PLACES" ||
    (!keyOf(name) &&
      ((name === "CAPS" && !keyOf("SETUID")) || (name === "BOUNDING" && !keyOf("UID_MAP"))));
  const own = ops.map(nameOf).filter((name) => !silent(name as OpName));
  const steps = [...new Set(own), "CLONE", "EXEC"] as OpName[];
  const unknown = steps.filter((step) => keyOf(step) === undefined);
  assert.deepEqual(unknown, [], `not among ${keys.join(" ")}`);
  // What the supervisor does between and after them, too.
  const between = keys.filter((key) => key.startsWith("supervisor:") || WITHIN.test(key));
  const places = [...new Set([...between, ...steps.map((step) => keyOf(step) ?? "")])];
  for (let i = 0; i < places.length; i += most) {
    if (!isTried(i / most)) continue;
    const batch = places.slice(i, i + most);
    const tracer = await trace(await start());
    const orders = batch.map((key) => `hold ${key}`);
    const held = await tracer.launch(verb, orders);
    assert.deepEqual(held.map((told) => told.held).toSorted(), batch.toSorted());
    await look("held");
    await tracer.die(batch.length);
    await look("ended");
  }
  return { steps, places: places.length };
}

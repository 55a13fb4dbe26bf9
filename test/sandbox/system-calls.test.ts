/**
 * How many system calls a launch takes, as strace(1) counts them, from the agent's fork to the execution of the command, and of who
 * looks after it to its end. Counts can be repeated where times cannot: system-calls.json has those that were agreed on, and a launch
 * that takes 5 % more fails here. Where more is worth it: SPAWNBOX_COUNTS_WRITE=1.
 */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, type Served, serve, system, until } from "../served.ts";
import { mayTrace } from "../strace.ts";
import { acls, agentsOf, waitingOf } from "./attack.ts";
import agreed from "./system-calls.json" with { type: "json" };

/** Launches of each kind; so many are told by name where there are more calls. */
const LAUNCHES = 4;
const MOST_TOLD = 8;
const GROWTH = 1.05;

const commands = [{ uid: "true", encoder: "sync", exec: { cmdpath: "/bin/true" } }];
const namespace = { shares: { all: "disable" }, mounts: system };
const seccomp = {
  default: "SCMP_ACT_ALLOW",
  rules: [{ syscall: "swapon", action: "SCMP_ACT_ERRNO(EPERM)" }],
};
const config = {
  metadata: { uid: "n", api: "n" },
  sandboxes: [
    { uid: "plain", acls, commands },
    { uid: "cold", acls, caps: [], namespace, seccomp, commands },
    { uid: "warm", acls, caps: [], namespace, seccomp, pool: 1, commands },
  ],
};
type Kind = keyof typeof agreed;
const KINDS = Object.keys(agreed) as Kind[];

/**
 * By name, of each launch: as many as the agent has made, since a request that comes too late for what waits is launched anew. A
 * command's own are none.
 */
function countsOf(trace: string): Map<string, number> {
  const launches = trace.match(/ clone\(.*\bCLONE_PARENT\b/g)?.length ?? 0;
  expect(launches).toBeGreaterThanOrEqual(LAUNCHES);
  const executed = new Set<string>();
  const counts = new Map<string, number>();
  for (const line of trace.split("\n")) {
    const [, pid = "", name, rest = ""] = /^(\d+) +(\w+)\((.*)$/.exec(line) ?? [];
    // The execution of a command may be told in two lines.
    const done = /^(\d+) +<\.\.\. execve resumed>.*= 0$/.exec(line)?.[1];
    if (done !== undefined) executed.add(done);
    if (name === undefined || executed.has(pid)) continue;
    counts.set(name, (counts.get(name) ?? 0) + 1 / launches);
    if (name === "execve" && rest.endsWith("= 0")) executed.add(pid);
  }
  return counts;
}

async function traced(served: Served, kind: Kind, file: string): Promise<Map<string, number>> {
  const [agent = ""] = agentsOf(served.pid);
  const strace = Bun.spawn(["strace", "-f", "-qq", "-e", "signal=none", "-o", file, "-p", agent], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  try {
    await until("the agent is traced", () =>
      /^TracerPid:\s+[1-9]/m.test(readFileSync(`/proc/${agent}/status`, "utf8")),
    );
    const launch = async () => {
      await served.run(`n/${kind}/true`);
      // The next one of a pool is made by then.
      const ready = kind === "warm" ? 1 : 0;
      await until("what is left is as before", () => waitingOf(served.pid).length >= ready);
      await Bun.sleep(300);
    };
    // That which waits was made before.
    await launch();
    const begin = readFileSync(file, "latin1").length;
    for (let i = 0; i < LAUNCHES; i++) await launch();
    return countsOf(readFileSync(file, "latin1").slice(begin));
  } finally {
    strace.kill("SIGTERM");
    await strace.exited;
  }
}

// An ordinary user's launches take more of them, by what the machine lets it do. strace tells names by architecture.
const canCount = isRoot && process.arch === "x64" && mayTrace();

test.skipIf(!canCount)(
  "a launch takes no more system calls than were agreed on",
  async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-counts-"));
    try {
      await using served = await serve(config);
      await until("the pool is full", () => waitingOf(served.pid).length === 1);
      const now: Record<string, number> = {};
      for (const kind of KINDS) {
        const counts = await traced(served, kind, join(dir, kind));
        const sum = Math.round([...counts.values()].reduce((all, one) => all + one, 0));
        now[kind] = sum;
        const most = [...counts].toSorted(([, a], [, b]) => b - a).slice(0, MOST_TOLD);
        const told = most.map(([name, count]) => `${count.toFixed(0)} ${name}`).join(", ");
        console.log(`${kind}: ${sum} system calls, ${agreed[kind]} agreed on: ${told}`);
      }
      if (process.env["SPAWNBOX_COUNTS_WRITE"] === "1")
        writeFileSync(
          join(import.meta.dir, "system-calls.json"),
          `${JSON.stringify(now, undefined, 2)}\n`,
        );
      else for (const kind of KINDS) expect(now[kind], kind).toBeWithin(1, agreed[kind] * GROWTH);
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
  120_000,
);

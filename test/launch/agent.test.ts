/** The process that forks for the server, what it is told, and what becomes of that where it is killed or has no room. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { AGENT } from "../../ffi/launcher/layout.ts";
import { agentPid } from "../../src/launch/agent.ts";
import { launch } from "../../src/launch/launch.ts";
import { LOST } from "../../src/launch/no-agent.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { ORDINARY } from "../accounts.ts";
import { descriptorsOf } from "../descriptors.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, until } from "../served.ts";

const base = isRoot ? planOf(compiled({ acls: { user: "nobody" } })) : undefined;

/** A shell, with what it has printed so far. */
async function started(script: string, words: readonly string[] = [], more: Partial<Plan> = {}) {
  if (!base) throw new Error("only as root");
  const printed = { out: "", err: "" };
  const argv = ["/bin/sh", "-c", script, "sh", ...words];
  const task = await launch({ ...base, ...more }, argv, {
    stdout: (chunk) => void (printed.out += Buffer.from(chunk).toString()),
    stderr: (chunk) => void (printed.err += Buffer.from(chunk).toString()),
  });
  return { task, printed };
}
async function printed(...how: Parameters<typeof started>) {
  const { task, printed } = await started(...how);
  await task.ended;
  return printed;
}
const agent = () => agentPid() ?? -1;
/** In this turn of the event loop: nobody has been told of it. */
function killed(pid: number): void {
  process.kill(pid, "SIGKILL");
  while (!/^State:\tZ/m.test(readFileSync(`/proc/${pid}/status`, "utf8")));
}

test.if(isRoot)("words and environment come as they are, however long", async () => {
  const script = 'echo "$# ${#1} ${#2} $A ${#B}"';
  const env = { ...base?.env, A: "é", B: "b".repeat(1000) };
  expect((await printed(script, ["x", ""], { env })).out).toBe("2 1 0 é 1000\n");
  for (const size of [AGENT.MESSAGE - 4096, AGENT.MESSAGE + 1]) {
    const before = descriptorsOf("self").length;
    expect((await printed(script, ["x".repeat(size), "y"], { env })).out).toBe(
      `2 ${size} 1 é 1000\n`,
    );
    await until("nothing of it is open", () => descriptorsOf("self").length <= before);
  }
});

test.if(isRoot)(
  "pipes belong to who the command is, and an input is there where it is asked for",
  async () => {
    const owners = "stat -L -c %u:%g /dev/stdin /dev/stdout /dev/stderr; cat";
    const own = Array.from({ length: 3 }, () => `${ORDINARY}:${ORDINARY}\n`).join("");
    const { task, printed: given } = await started(owners, [], { input: 100 });
    await task.input?.give(new TextEncoder().encode("given"));
    task.input?.end();
    await task.ended;
    expect(given).toEqual({ out: `${own}given`, err: "" });
    expect(await printed("cat; echo to err >&2; cat /dev/stdin; echo over")).toEqual({
      out: "over\n",
      err: "to err\n",
    });
  },
);

test.if(isRoot)("killed, another takes its place; what runs goes on", async () => {
  const { task } = await started("exec sleep 1009");
  const first = agent();
  killed(first);
  expect((await printed("echo one")).out).toBe("one\n");
  const second = agent();
  expect(second).not.toBe(first);
  killed(second);
  await until("that is told", () => agentPid() === undefined);
  expect((await printed("echo two")).out).toBe("two\n");
  expect([first, second]).not.toContain(agent());
  task.kill();
  expect(await task.ended).toMatchObject({ signal: 9, cause: "stopped" });
});

test.if(isRoot)("what it has no room for waits, and is another's where it is killed", async () => {
  const words = ["x".repeat(AGENT.MESSAGE - 4096)];
  await printed("true");
  for (const isKilled of [false, true]) {
    const before = descriptorsOf("self").length;
    const pid = agent();
    // More than a socket takes, in this turn of the event loop.
    const all = Array.from({ length: 12 }, () => printed("echo ran", words));
    for (let i = 0; i < 100; i++) await Promise.resolve();
    if (isKilled) process.kill(pid, "SIGKILL");
    const ends = await Promise.allSettled(all);
    const ran = ends.filter((one) => one.status === "fulfilled" && one.value.out === "ran\n");
    const lost = ends.filter((one) => one.status === "rejected" && one.reason === LOST);
    expect(ran.length + lost.length).toBe(12);
    expect(ran.length).toBeGreaterThan(0);
    if (!isKilled) expect([lost.length, agent()]).toEqual([0, pid]);
    await until("nothing of it is open", () => descriptorsOf("self").length <= before);
  }
});

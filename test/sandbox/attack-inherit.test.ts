/** Attacks through what a command inherits of a server that is specially protected: before others in time, memory and files. */
import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { getPriority } from "node:os";
import { isRoot, users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, commands, plainAndFull, py, serveSandboxes } from "./attack.ts";

/** CAP_SYS_RESOURCE: a container's root may not raise limits, nor be spared when memory is short. */
const CAP_SYS_RESOURCE = 24n;
const effective = /CapEff:\s+(\w+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
const mayRaise = ((BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n) === 1n;

/** As a service manager would start it. */
const PROTECTED = [
  ...["prlimit", "--nofile=2000:3000"],
  ...(mayRaise ? ["prlimit", "--rtprio=50", "--nice=40", "choom", "-n", "-500", "--"] : []),
  // Whatever value the tests themselves have.
  ...(isRoot ? ["nice", "-n", `${-7 - getPriority()}`] : []),
  ...(isRoot ? ["chrt", "--rr", "5", "ionice", "-c", "1", "-n", "0"] : []),
  ...["setarch", "-R"],
];
const LOOK = `
import resource
print(os.sched_getscheduler(0), os.sched_getparam(0).sched_priority, os.getpriority(0, 0))
print(call((251, 30)[ARM] + 1, 1, 0), call.result >> 13)
print(libc.personality(0xffffffff))
print(open("/proc/self/oom_score_adj").read().strip())
print(resource.getrlimit(resource.RLIMIT_NOFILE), [resource.getrlimit(r) for r in (13, 14)])`;

describe.each(users)("served by %s", (user) => {
  const config = [
    ...plainAndFull,
    { uid: "root", acls: { user: "root" }, commands },
    { uid: "mine", acls: { ...acls, nice: 3 }, limits: { nofile: 1500 }, commands },
  ];
  const served = serving(() => serveSandboxes(config, { user, first: PROTECTED }));

  test.each(["plain", "full", "root"])(
    "[inheritance] no priority, address layout or raised limit of the server comes along: %s",
    async (sandbox) => {
      const { lines } = await py(served, sandbox, LOOK);
      expect(lines).toEqual(["0 0 0", "ok 0", "0", "0", "(1024, 3000) [(0, 0), (0, 0)]"]);
    },
  );

  // Where the tests may not raise anything, there is nothing that could come along.
  test.skipIf(!mayRaise)("the server itself has what does not come along", () => {
    const of = (file: string) => readFileSync(`/proc/${served.pid}/${file}`, "utf8");
    expect(of("oom_score_adj").trim()).toBe("-500");
    expect(of("limits")).toMatch(/^Max nice priority\s+40\s+40/m);
    expect(of("limits")).toMatch(/^Max realtime priority\s+50\s+50/m);
  });
  test("nor does its layout, policy or number of files, which it has", () => {
    const of = (file: string) => readFileSync(`/proc/${served.pid}/${file}`, "utf8");
    expect(of("limits")).toMatch(/^Max open files\s+\d+\s+3000/m);
    if (!isRoot) return;
    expect(of("personality").trim()).toBe("00040000");
    // Policy and priority of the real-time kind, the 41st and 40th of proc_pid_stat(5).
    expect(of("stat").slice(of("stat").lastIndexOf(")")).split(" ").slice(38, 40)).toEqual([
      "5",
      "2",
    ]);
  });

  test("what the config says is the command's", async () => {
    const { lines } = await py(served, "mine", LOOK);
    expect(lines).toEqual(["0 0 3", "ok 0", "0", "0", "(1500, 1500) [(0, 0), (0, 0)]"]);
  });

  test("being a likelier victim, when memory is short, stays", async () => {
    await using likelier = await serveSandboxes(plainAndFull, {
      user,
      first: ["choom", "-n", "123", "--"],
    });
    const { lines } = await py(likelier, "plain", `print(open("/proc/self/oom_score_adj").read())`);
    expect(lines[0]).toBe("123");
  });
});

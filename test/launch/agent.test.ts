/** The process that forks for the server, what it is told, and what becomes of that where it is killed or has no room. */
import { expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { childrenIn, sessionOf } from "../../ffi/children.ts";
import { AGENT } from "../../ffi/launcher/layout.ts";
import {
  agentPid,
  aheadOf,
  expectBounding,
  groupEnded,
  wakeAgent,
} from "../../src/launch/agent.ts";
import { launch } from "../../src/launch/launch.ts";
import { opsFd } from "../../src/launch/launcher.ts";
import { unknown } from "../../src/launch/living.ts";
import { sweepOrphans } from "../../src/launch/orphans.ts";
import { supervisorOf } from "../../src/launch/records.ts";
import { statusPipe } from "../../src/launch/status.ts";
import { Supervisor } from "../../src/launch/supervisor.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { ORDINARY } from "../accounts.ts";
import { descriptorsOf, withoutDescriptors } from "../descriptors.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, until } from "../served.ts";
import { hasProcessors, isRunning, isStopped, killed, killedAll, stopped } from "./processes.ts";

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

const KILLS: readonly [string, (pid: number) => void][] = [
  ["it", killed],
  ["who is made ahead", (pid) => aheadOf(pid).forEach(killed)],
  ["both", killedAll],
];

test.if(isRoot).each(KILLS.slice(0, hasProcessors ? 3 : 1))(
  "where %s is killed, another takes its place; what runs goes on",
  async (_, kill) => {
    const { task } = await started("exec sleep 1009");
    for (const word of ["one", "two"]) {
      const before = agent();
      if (hasProcessors) await until("another is made ahead", () => aheadOf(before).length > 0);
      kill(before);
      // In this turn of the event loop nobody has been told.
      expect((await printed(`echo ${word}`)).out).toBe(`${word}\n`);
      await until("that is told", () => agentPid() !== before);
      await until("nobody is left", () => childrenIn(before).length === 0);
      expect((await printed("echo behind")).out).toBe("behind\n");
      expect(agent()).not.toBe(before);
    }
    task.kill();
    expect(await task.ended).toMatchObject({ signal: 9, cause: "stopped" });
  },
);

test("a group whose number is another's by now is let be", async () => {
  // As a supervisor: a child that leads a group.
  await using other = Bun.spawn(["setsid", "sleep", "1013"], {
    stdio: ["ignore", "ignore", "ignore"],
  });
  await until("it leads", () => childrenIn(other.pid).includes(other.pid));
  await groupEnded(other.pid);
  expect(isRunning(other.pid)).toBe(true);
  other.kill();
  await other.exited;
  // Nor is one waited for that nobody is in.
  await groupEnded(other.pid);
});

/** The number that the next descriptor gets. */
function lowest(): number {
  const fd = openSync("/dev/null", "r");
  closeSync(fd);
  return fd;
}

/** As many at once, in this turn of the event loop, as it takes until some wait: then that is done, and others come behind them. */
function many(then: (first: Supervisor | undefined, one: (bounding: bigint) => void) => unknown) {
  if (!base) throw new Error("only as root");
  // Its supervisor has no lifeline, and ends.
  const nothing = openSync("/dev/null", "r+");
  const fds = [nothing, nothing, opsFd(base.ops), nothing];
  const words = ["many", "x".repeat(AGENT.MESSAGE - 4096)];
  const heard = new Map<number, Supervisor>();
  const all: { number: number; supervisor: Supervisor }[] = [];
  const one = (bounding = 0n) => {
    const number = statusPipe().listen((record) => {
      supervisor.is(supervisorOf(record));
      heard.set(number, supervisor);
    });
    const wanted = { ...{ number, words, fds }, variables: {}, input: undefined, own: [] };
    const supervisor: Supervisor = new Supervisor({ ...wanted, owner: undefined, bounding });
    all.push({ number, supervisor });
  };
  // Only what waits has descriptors of its own.
  for (const first = lowest(); lowest() === first && all.length < 1000;) one();
  expect(all.length).toBeLessThan(1000);
  then(all[0]?.supervisor, one);
  for (let i = 0; i < 3; i++) one();
  closeSync(nothing);
  return { all, heard };
}

/** What becomes of so many. @returns how many were not made */
async function unmadeOf(then: () => unknown): Promise<number> {
  const before = descriptorsOf("self").length;
  const { all, heard } = many(then);
  const ends = await Promise.all(all.map(({ supervisor }) => supervisor.exited));
  const unmade = all.filter(({ supervisor }) => supervisor.pid === 0);
  // One may have become a supervisor, and was killed as such.
  const alone = all.filter(({ supervisor }) => supervisor.signal !== undefined);
  expect(alone.length).toBeLessThan(2);
  expect(ends.filter((end) => end === undefined)).toHaveLength(unmade.length + alone.length);
  expect(unmade.length).toBeLessThan(all.length);
  // Who was killed may have read one; nobody has read the others.
  expect(unmade.filter(({ supervisor }) => supervisor.lost).length).toBeLessThan(2);
  for (const { number, supervisor } of all) {
    if (supervisor.pid !== 0) expect(heard.get(number)).toBe(supervisor);
    statusPipe().forget(number);
  }
  await until("nothing of it is open", () => descriptorsOf("self").length <= before);
  // What others share with it is open as it was.
  expect((await printed("echo ran")).out).toBe("ran\n");
  return unmade.length;
}

test.if(isRoot)("what it has no room for waits, and is another's where it is killed", async () => {
  await printed("true");
  const pid = agent();
  for (let i = 0; i < 2; i++) expect([await unmadeOf(() => {}), agent()]).toEqual([0, pid]);
  // It may have done all that it had before it died.
  const end = performance.now() + 30_000;
  for (const kill of [killed, killedAll])
    while ((await unmadeOf(() => kill(agent()))) === 0) expect(performance.now()).toBeLessThan(end);
});

test.if(isRoot)("where no other can be made, who waits for it is told so", async () => {
  await printed("true");
  const before = descriptorsOf("self").length;
  const { all } = many(() => killedAll(agent()));
  // In this turn of the event loop: nobody has been told.
  await withoutDescriptors(() => Promise.all(all.map(({ supervisor }) => supervisor.exited)));
  const unmade = all.filter(({ supervisor }) => supervisor.pid === 0);
  // What was sent behind those that wait was never to be made.
  expect(unmade.length).toBeGreaterThanOrEqual(4);
  expect(unmade.filter(({ supervisor }) => supervisor.lost).length).toBeLessThan(2);
  for (const { number } of all) statusPipe().forget(number);
  await until("nothing of it is open", () => descriptorsOf("self").length <= before);
  expect((await printed("echo ran")).out).toBe("ran\n");
});

test.if(isRoot)(
  "one that refuses has no other launches, and made nothing of what it had",
  async () => {
    const end = performance.now() + 30_000;
    for (let never = 0; never === 0;) {
      expect(performance.now()).toBeLessThan(end);
      await printed("true");
      const pid = agent();
      let next: number | undefined = 0;
      const { all } = many((one) => {
        one?.refused();
        next = agentPid();
        killed(pid);
      });
      expect(next).toBeUndefined();
      const ends = await Promise.all(all.map(({ supervisor }) => supervisor.exited));
      never = ends.filter((exit) => exit === undefined).length;
      expect(all.filter(({ supervisor }) => supervisor.lost)).toEqual([]);
      expect(all.filter(({ supervisor }) => supervisor.pid === 0)).toHaveLength(never);
      for (const { number } of all) statusPipe().forget(number);
      expect(agent()).not.toBe(pid);
    }
  },
);

test.if(isRoot)("what waited for one that was killed is refused by who has it then", async () => {
  await printed("true");
  const pid = agent();
  // Who was made ahead would make room for what waits, before it is told.
  const { all } = many(() => killedAll(pid));
  await until("that is told", () => ![undefined, pid].includes(agentPid()));
  const second = agent();
  all.at(-1)?.supervisor.refused();
  expect(agentPid()).toBeUndefined();
  await Promise.all(all.map(({ supervisor }) => supervisor.exited));
  for (const { number } of all) statusPipe().forget(number);
  killed(second);
  expect((await printed("echo ran")).out).toBe("ran\n");
});

test.if(isRoot)(
  "what may have more than it has left is another's; it makes what it had before, and ends",
  async () => {
    const before = descriptorsOf("self").length;
    await printed("true");
    const pid = agent();
    let next: number | undefined;
    const { all, heard } = many((_, one) => {
      one(1n << 27n);
      next = agentPid();
      // It is waited for still.
      stopped(pid);
      wakeAgent();
      while (isStopped(pid));
    });
    expect([pid, undefined]).not.toContain(next);
    await Promise.all(all.map(({ supervisor }) => supervisor.exited));
    for (const { number, supervisor } of all) {
      expect([supervisor.lost, heard.get(number)]).toEqual([false, supervisor]);
      expect(supervisor.pid).toBeGreaterThan(0);
      statusPipe().forget(number);
    }
    await until("it has ended", () => !isRunning(pid));
    expect(agentPid()).toBe(next);
    await until("nothing of it is open", () => descriptorsOf("self").length <= before + 1);
  },
);

test.if(isRoot)("stopped, it is woken by who waits for it", async () => {
  await printed("true");
  if (hasProcessors) await until("another is made ahead", () => aheadOf(agent()).length > 0);
  const all = [agent(), ...aheadOf(agent())];
  all.forEach(stopped);
  wakeAgent();
  await until("they go on", () => !all.some(isStopped));
});

test.if(isRoot)(
  "each has what its plan leaves in the bounding set, whatever those before it had",
  async () => {
    const bounding = async (caps?: readonly string[]) => {
      const plan = planOf(compiled({ acls: { user: "nobody" }, ...(caps && { caps }) }));
      return (await printed("sed -n s/^CapBnd:.//p /proc/self/status", [], plan)).out.trim();
    };
    const hex = (...caps: number[]) =>
      caps
        .reduce((mask, cap) => mask | (1n << BigInt(cap)), 0n)
        .toString(16)
        .padStart(16, "0");
    expect(await bounding([])).toBe(hex());
    const first = agent();
    expect(await bounding([])).toBe(hex());
    expect(agent()).toBe(first);
    // By which it is made anew, for both.
    expect(await bounding(["CAP_SYS_NICE", "CAP_WAKE_ALARM"])).toBe(hex(23, 35));
    const second = agent();
    expect(second).not.toBe(first);
    expect(await bounding(["CAP_WAKE_ALARM"])).toBe(hex(35));
    expect(await bounding([])).toBe(hex());
    expect(agent()).toBe(second);
    // What is said before needs no other.
    expectBounding(1n << 25n);
    killed(second);
    await until("that is told", () => agentPid() === undefined);
    expect(await bounding([])).toBe(hex());
    const third = agent();
    expect(await bounding(["CAP_SYS_TIME"])).toBe(hex(25));
    expect(agent()).toBe(third);
  },
);

test.if(isRoot && hasProcessors)(
  "who was made ahead and is taken while orphans are looked for is none of them",
  async () => {
    await printed("true");
    await until("another is made ahead", () => aheadOf(agent()).length > 0);
    const [next = -1] = aheadOf(agent());
    const turns = async () => {
      for (let i = 0; i < 50; i++) await Promise.resolve();
    };
    // What was asked for before is waited for, with the list of children in hand.
    const asked = Promise.withResolvers<void>();
    const before = { known: asked.promise, look: () => {} };
    unknown.add(before);
    const swept = sweepOrphans();
    await turns();
    const running = printed("echo ran");
    await turns();
    // In this turn of the event loop nobody hears what it says of itself.
    const end = performance.now() + 20_000;
    while (sessionOf(next) !== next) expect(performance.now()).toBeLessThan(end);
    unknown.delete(before);
    asked.resolve();
    await turns();
    expect(await running).toEqual({ out: "ran\n", err: "" });
    await swept;
  },
);

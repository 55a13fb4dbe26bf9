/** The process over a command, as the server knows it: from the word that says which it is to its end. */
import { describe, expect, test } from "bun:test";
import { closeSync, openSync } from "node:fs";
import { pipe } from "../../ffi/libc.ts";
import { agentPid } from "../../src/launch/agent.ts";
import { launch } from "../../src/launch/launch.ts";
import { opsFd } from "../../src/launch/launcher.ts";
import { allKnown, living, unknown } from "../../src/launch/living.ts";
import { sweepOrphans } from "../../src/launch/orphans.ts";
import { supervisorOf } from "../../src/launch/records.ts";
import { statusPipe } from "../../src/launch/status.ts";
import { Supervisor } from "../../src/launch/supervisor.ts";
import { isSettled } from "../api/listener.ts";
import { compiled, planOf } from "../plan/compiling.ts";
import { isRoot, until } from "../served.ts";
import { isStopped, killed, stopped } from "./processes.ts";
import { turns } from "./turns.ts";

const base = isRoot ? planOf(compiled({ acls: { user: "nobody" } })) : undefined;

/** A real one, which nobody tells what is heard of it. @param lifeline without one it ends at once */
async function made(lifeline?: number) {
  if (!base) throw new Error("only as root");
  // With an agent to make it.
  await (
    await launch(base, ["/bin/true"], { stdout() {}, stderr() {} })
  ).ended;
  const nothing = openSync("/dev/null", "r+");
  const heard: number[] = [];
  const number = statusPipe().listen((record) => void heard.push(supervisorOf(record)));
  const supervisor = new Supervisor({
    ...{ number, words: ["alone", "/bin/sleep", "1015"], variables: {}, input: undefined },
    ...{
      owner: undefined,
      bounding: 0n,
      own: [],
      fds: [nothing, nothing, opsFd(base.ops), lifeline ?? nothing],
    },
  });
  closeSync(nothing);
  const pid = async () => {
    await until("it is heard of", () => heard.length > 0);
    return heard[0] ?? 0;
  };
  return { supervisor, pid };
}

describe.if(isRoot)("a supervisor", () => {
  test("is a child like any other once it is known which", async () => {
    const { supervisor, pid } = await made();
    const others = allKnown();
    expect([supervisor.pid, unknown.has(supervisor), await isSettled(others)]).toEqual([
      ...[0, true, false],
    ]);
    const known = await pid();
    supervisor.is(known);
    await Promise.all([supervisor.known, others]);
    expect([supervisor.pid, unknown.has(supervisor)]).toEqual([known, false]);
    // What comes later says the same of the same.
    supervisor.is(known + 1);
    supervisor.never(false);
    expect([supervisor.pid, supervisor.lost, living.has(known + 1)]).toEqual([known, false, false]);
    expect(await supervisor.exited).toBeNumber();
    expect([supervisor.signal, living.has(known)]).toEqual([undefined, false]);
    // Nobody has its number by now, or somebody else has.
    supervisor.wake();
  });

  test("that has died before it is known is reaped then, with what it died of", async () => {
    const [read, write] = pipe();
    const { supervisor, pid } = await made(read);
    const known = await pid();
    killed(known);
    for (const fd of [read, write]) closeSync(fd);
    // Whoever listens for deaths has heard of it before.
    await turns(20);
    supervisor.is(known);
    expect([await supervisor.exited, living.has(known)]).toEqual([undefined, false]);
    expect(() => process.kill(known, 0)).toThrow("ESRCH");
    expect([supervisor.signal, supervisor.lost]).toEqual([9, false]);
    await sweepOrphans();
  });

  test("that was not made, or perhaps not, never exits", async () => {
    for (const [say, lost] of [
      [(one: Supervisor) => one.is(0), false],
      [(one: Supervisor) => one.never(), false],
      [(one: Supervisor) => one.never(false), true],
    ] as const) {
      const { supervisor, pid } = await made();
      const known = await pid();
      say(supervisor);
      await supervisor.known;
      expect([await supervisor.exited, supervisor.lost, supervisor.pid]).toEqual([
        ...[undefined, lost, 0],
      ]);
      expect([unknown.has(supervisor), living.has(0)]).toEqual([false, false]);
      supervisor.is(known);
      expect([supervisor.pid, living.has(known)]).toEqual([0, false]);
      // Of this one all is known here.
      const other = await made();
      other.supervisor.is(known);
      await other.supervisor.exited;
    }
  });

  test("that is not there yet is woken by way of who makes it", async () => {
    const { supervisor, pid } = await made();
    stopped(agentPid() ?? 0);
    supervisor.wake();
    await until("it goes on", () => !isStopped(agentPid() ?? 0));
    supervisor.is(await pid());
    await supervisor.exited;
  });
});

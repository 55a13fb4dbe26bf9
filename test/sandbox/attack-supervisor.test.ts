/** A command of the server's own user, without a namespace of pids, kills its supervisor: what it has left behind ends all the same. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { PATIENCE, type Served, until, users } from "../served.ts";
import { isTried } from "../thinned.ts";
import {
  answering,
  childrenOf,
  commands,
  exterminate,
  leftNothing,
  marked,
  python,
  pythonScript,
  serveSandboxes,
} from "./attack.ts";
import { type Tree, trees, ways as allWays } from "./trees.ts";

const GUARD = 120_000 * PATIENCE;

/** So many of a tree are there when the supervisor is killed; more would not be seen of one that replaces itself. */
const ENOUGH = 2;
/** What blocks every signal does not hear that it is to kill its supervisor. */
const ways = allWays.filter((how) => !how.includes("blocked"));

describe.each(users)("served by %s", (user) => {
  let served: Served;
  const family = `heir-${user === "root" ? "r" : "o"}-${process.pid}`;
  /** A child of the server that no task has started. */
  let beside = "";
  const children = () => childrenOf(served.pid).filter((pid) => pid !== beside);
  /** A task has ended when its supervisor's descriptors are closed; the process is reaped a moment later. */
  const childless = () => until("the last supervisors have left", () => children().length === 0);
  beforeAll(async () => {
    // A command of root can reach the supervisor of root, too.
    const acls = user === "root" ? { user: "root" } : {};
    const calm = { ...python, uid: "calm" };
    // As the entry of a container does: a service beside the server, which is executed in its place.
    const entry = ["/bin/sh", "-c", 'setsid sleep 98765 & exec "$@"', "sh"];
    served = await serveSandboxes([{ uid: "plain", acls, commands: [...commands, calm] }], {
      user,
      first: entry,
    });
    await until("what was there before runs", () => childrenOf(served.pid).length === 1);
    beside = `${childrenOf(served.pid)[0]}`;
  });
  afterEach(() => exterminate(family));
  afterAll(async () => {
    await childless();
    expect(childrenOf(served.pid)).toEqual([beside]);
    process.kill(Number(beside), "SIGKILL");
    await served?.[Symbol.asyncDispose]();
  });

  let tasks = 0;
  /** Runs until WINCH, which is ignored before: so the server knows that it runs when it kills its supervisor. */
  const start = (how: Tree, verb = "py") => {
    const marker = `${family}-${tasks++}.`;
    const script = `
signal.signal(signal.SIGWINCH, lambda *_: os.kill(os.getppid(), signal.SIGKILL))
${trees[how]}
while True: time.sleep(1000) # ${marker}`;
    return { marker, reply: served.call(`a/plain/${verb}`, { script: pythonScript(script) }) };
  };
  type Started = ReturnType<typeof start>;
  const running = (all: readonly Started[]) =>
    until("their trees are there", () => all.every(({ marker }) => marked(marker).length > ENOUGH));
  const statusOf = async ({ reply }: Started) =>
    ((await reply).response as { status: object }).status;
  /** Lets the commands of `py` kill their supervisors; gives what the server tells of them. */
  const hurt = async (all: readonly Started[]) => {
    let ended = false;
    const statuses = Promise.all(all.map(statusOf));
    const end = () => (ended = true);
    void statuses.then(end, end);
    while (!ended) {
      await served.call("a/plain/py", { action: "stop", args: { signal: "WINCH" } });
      await Bun.sleep(10);
    }
    return statuses;
  };
  const KILLED = { signal: "Killed", cause: "supervisor" };

  test.each(ways.filter((_, row) => isTried(row, user, users)))(
    "[process tree] a command that kills its supervisor leaves nothing behind: %s",
    async (how) => {
      const task = start(how);
      await running([task]);
      const { result, ping } = await answering(served, hurt([task]));
      console.log(`${user}, ${how}: worst ping ${Math.round(ping)} ms`);
      expect(result).toEqual([expect.objectContaining(KILLED)]);
      await leftNothing(task.marker);
      expect(children()).toEqual([]);
      expect((await served.run("a/plain/sh", { script: "exit 3" })).status.exit).toBe(3);
    },
    GUARD,
  );

  test(
    "[process tree] of several tasks, only those end whose supervisors are killed",
    async () => {
      await childless();
      // A tree that is never the same would hardly be seen among so many.
      const calm = ways.filter((how) => !how.includes("replace")).map((how) => start(how, "calm"));
      const wild = ways.map((how) => start(how));
      await running([...calm, ...wild]);
      const before = children();
      expect(before).toHaveLength(calm.length + wild.length);
      expect(await hurt(wild)).toEqual(wild.map(() => expect.objectContaining(KILLED)));
      for (const { marker } of wild) await leftNothing(marker);
      // Supervisors that lived through it, and nothing else.
      const left = children();
      expect(left).toHaveLength(calm.length);
      expect(before).toEqual(expect.arrayContaining(left));
      for (const { marker } of calm) expect(marked(marker).length).toBeGreaterThan(ENOUGH);
      await served.call("a/plain/calm", { action: "stop", args: { signal: "KILL" } });
      for (const task of calm)
        expect(await statusOf(task)).toMatchObject({ signal: "Killed", cause: "stopped" });
      for (const { marker } of calm) await leftNothing(marker);
      await childless();
    },
    GUARD,
  );
});

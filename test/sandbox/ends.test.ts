/** How tasks end: by themselves, by a time-out, a stop or the death of the server; and that nothing of them is left. */
import { describe, expect, test } from "bun:test";
import { readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupMounts, relative } from "../../src/launch/cgroup/place.ts";
import { isRoot, serve, shell, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, api, full, marked, sh } from "./attack.ts";

const commands = [
  shell,
  { ...shell, uid: "brief", timeout: 0.5 },
  { ...shell, uid: "line", encoder: "line" },
];
const config = api([
  { uid: "plain", acls, commands },
  { uid: "full", acls, namespace: full, commands },
]);
/** Of these tests, not of any others that run beside: `sleep` is told so many seconds and a fraction that is this process. */
const sleepers = (seconds: number) => marked(`sleep\0${seconds}.${process.pid}\0`);
/** A script with such sleepers in the place of its own. */
const mine = (script: string) => script.replace(/sleep (1\d{3})\b/g, `sleep $1.${process.pid}`);

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(config, { user }));
  const script = (sandbox: string, text: string) => sh(served, sandbox, text);

  describe.each(["plain", "full"])("sandbox %s", (sandbox) => {
    test("a time-out kills the whole tree, setsid and double fork included", async () => {
      const hidden = mine("setsid sh -c 'sleep 1000 & exec sleep 1000' & sleep 1000 & ");
      const started = await served.run(`a/${sandbox}/brief`, {
        script: mine(`${hidden} exec sleep 1000`),
      });
      expect(started.status).toMatchObject({ signal: "Killed", info: "timeout" });
      expect(sleepers(1000)).toEqual([]);
    });

    test("what a command leaves behind ends with it", async () => {
      const { lines } = await script(
        sandbox,
        mine("setsid sh -c 'sleep 1001 & sleep 1001' >/dev/null 2>&1 & echo done"),
      );
      expect(lines).toEqual(["done"]);
      expect(sleepers(1001)).toEqual([]);
    });

    test("the next task is none of it: after one that was killed, one that left something, and one that has ended", async () => {
      const ends = ["sleep 1003", "(setsid sleep 1003 &) >/dev/null 2>&1; exit 0", "true"];
      for (const end of [...ends, ...ends]) {
        await served.run(`a/${sandbox}/brief`, { script: mine(end) });
        const { lines, status } = await script(sandbox, "echo fine; cat /proc/self/cgroup");
        expect(lines[0]).toBe("fine");
        expect(status).toMatchObject({ exit: 0 });
      }
      expect(sleepers(1003)).toEqual([]);
    });

    test("exit codes and signals are told apart", async () => {
      expect((await script(sandbox, "exit 3")).status).toMatchObject({ exit: 3 });
      expect((await script(sandbox, "kill -TERM $$")).status).toMatchObject({
        signal: "Terminated",
      });
      expect((await script(sandbox, "kill -SEGV $$")).status).toMatchObject({
        signal: "Segmentation fault",
      });
    });
  });

  test("stop ends a task with SIGINT, also its children", async () => {
    const reply = served.call("a/full/sh", { script: mine("sleep 1002; echo never") });
    await until("sleep runs", () => sleepers(1002).length === 1);
    const stopped = await served.call("a/full/sh", { action: "stop" });
    expect(stopped.response).toEqual([expect.stringMatching(/^full\/sh@\d+$/)]);
    expect((await reply).response).toMatchObject({ status: { signal: "Interrupt" } });
    expect(sleepers(1002)).toEqual([]);
  });

  test("a stop sent right behind the start reaches the task", async () => {
    const reply = served.call("a/plain/sh", { script: "exec sleep 1004" });
    const stopped = await served.call("a/plain/sh", { action: "stop" });
    expect(stopped.response).toEqual([expect.stringMatching(/^plain\/sh@\d+$/)]);
    expect((await reply).response).toMatchObject({
      status: { signal: "Interrupt", cause: "stopped" },
    });
  });

  test.each([
    // signal of the stop, what the command does, how that ends
    ["USR1", "trap '' USR1; echo up; sleep 0.3; exit 0", { exit: 0 }, undefined],
    ["USR1", "trap 'exit 3' USR1; echo up; while :; do sleep 0.1; done", { exit: 3 }, undefined],
    ["CONT", "echo up; sleep 0.3; kill -9 $$", { signal: "Killed" }, undefined],
    ["TERM", "trap '' TERM; echo up; sleep 0.3; kill -6 $$", { signal: "Aborted" }, undefined],
    ["TERM", "trap 'exit 0' TERM; echo up; while :; do sleep 0.1; done", { exit: 0 }, "stopped"],
    ["USR1", "echo up; exec sleep 1000", { signal: "User defined signal 1" }, "stopped"],
    [undefined, "trap 'exit 7' INT; echo up; while :; do sleep 0.1; done", { exit: 7 }, "stopped"],
    ["QUIT", "echo up; exec sleep 1000", { signal: "Quit" }, "stopped"],
  ] as const)("stopped is what a stop has ended: %s, %s", async (signal, script, end, cause) => {
    const up = Promise.withResolvers<void>();
    const final = Promise.withResolvers<object>();
    const off = served.client.on("event", (_, data) => {
      const { type, stdout, status } = data as { type?: string; stdout?: string; status?: object };
      if (stdout === "up") up.resolve();
      if (type === "final-event" && status) final.resolve(status);
    });
    await served.call("a/plain/line", { script });
    await up.promise;
    await served.call("a/plain/line", { action: "stop", args: signal ? { signal } : {} });
    const status = await final.promise;
    off();
    expect(status).toMatchObject(end);
    expect(Reflect.get(status, "cause")).toBe(cause);
  });

  test("a command that stops its own supervisor, or is of one that somebody stops, ends all the same", async () => {
    const own = user === "root" ? { user: "root" } : {};
    const warm = { ...shell, uid: "warm", pool: 1 };
    await using same = await serve(
      api([{ uid: "same", acls: own, commands: [shell, warm, commands[2]] }]),
      { user },
    );
    for (const verb of ["sh", "warm", "sh", "warm"]) {
      const ran = await same.run(`a/same/${verb}`, {
        script: "kill -STOP $PPID; echo done; exit 3",
      });
      expect(ran).toMatchObject({ stdout: ["done"], status: { exit: 3 } });
    }
    const final = Promise.withResolvers<unknown>();
    same.client.on("event", (_, data) => {
      if (Reflect.get(data as object, "type") === "final-event") final.resolve(data);
    });
    await same.call("a/same/line", { script: "kill -STOP $PPID; sleep 0.3; exit 4" });
    expect(await final.promise).toMatchObject({ status: { exit: 4 } });
  });

  test("if the server is killed, its commands end", async () => {
    const doomed = await serve(config, { user });
    const calls = ["plain", "full"].map((sandbox) =>
      doomed
        .call(`a/${sandbox}/sh`, { script: mine("setsid sleep 1003 & exec sleep 1003") })
        .catch(() => "gone"),
    );
    await until("all run", () => sleepers(1003).length === 4);
    await doomed.crash();
    await until("all are gone", () => sleepers(1003).length === 0);
    await Promise.all(calls);
    await doomed[Symbol.asyncDispose]();
  });
});

const hierarchy = cgroupMounts(readFileSync("/proc/self/mountinfo", "utf8")).find(
  ({ controllers }) => controllers === undefined,
);

test.skipIf(!isRoot || hierarchy === undefined)(
  "what others have done to a group that is kept ends no task",
  async () => {
    await using served = await serve(config);
    const groupOf = async () => {
      const { lines } = await sh(served, "plain", "sed -n s/^0:://p /proc/self/cgroup");
      const { point = "", root = "/" } = hierarchy ?? {};
      return join(point, relative(root, lines.join()) ?? "");
    };
    let last = await groupOf();
    // It is kept once that is told, and the same again; that of the trial at the start may come behind it.
    await until("it is kept", async () => {
      const before = last;
      last = await groupOf();
      return last === before;
    });
    const spoil: ((group: string) => void)[] = [
      rmdirSync,
      (group) => writeFileSync(join(group, "cgroup.kill"), "1"),
    ];
    for (const spoiled of spoil) {
      const kept = await groupOf();
      await until("it is empty", () =>
        readFileSync(join(kept, "cgroup.events"), "utf8").includes("populated 0"),
      );
      spoiled(kept);
      expect(await groupOf()).not.toBe(kept);
    }
  },
);

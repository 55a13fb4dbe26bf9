/** `stop` of a config: how stop, time-out and the server's end tell a task to end, and what becomes of who does not listen. */
import { describe, expect, test } from "bun:test";
import { isAlive, type Served, serve, shell, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { rowsOf } from "../thinned.ts";
import { acls, api, full } from "./attack.ts";

const line = { ...shell, encoder: "line" };
const commands = [
  { ...line, uid: "patient", stop: { grace: 600 } },
  { ...line, uid: "short", stop: { grace: 0.3 } },
  { ...line, uid: "none", stop: { grace: 0 } },
  { ...line, uid: "usr", stop: { signal: 10, grace: 600 } },
  { ...line, uid: "brief", timeout: 0.3, stop: { grace: 600 } },
  { ...line, uid: "both", timeout: 0.3, stop: { grace: 0.3 } },
];
const stop = { signal: "term" };
const config = api([
  { uid: "plain", acls, stop, commands },
  { uid: "warm", acls, stop, commands: commands.map((one) => ({ ...one, pool: 1 })) },
  { uid: "full", acls, stop, namespace: full, exec: true, commands },
  { uid: "usual", acls, commands: [{ ...line, uid: "line" }] },
]);

/** Waits in a way that a trap ends at once: a signal for all of its group ends the sleep, too. */
const WAIT = "while :; do sleep 0.1; done";
/** Says so, and goes its own way. */
const deaf = `trap '' TERM INT USR1; echo up; ${WAIT}`;

interface Started {
  readonly pid: number;
  readonly lines: string[];
  readonly up: Promise<unknown>;
  readonly status: Promise<object>;
}

/** Starts a script that says "up" once it can be told anything. */
async function start(
  served: Served,
  verb: string,
  script: string,
  args: object = { script },
): Promise<Started> {
  const up = Promise.withResolvers<void>();
  const ended = Promise.withResolvers<object>();
  const lines: string[] = [];
  const early: object[] = [];
  let pid = 0;
  const take = (data: object): void => {
    if (Reflect.get(data, "pid") !== pid) return;
    const { stdout, status } = data as { stdout?: string; status?: object };
    if (stdout !== undefined) lines.push(stdout);
    if (stdout === "up") up.resolve();
    if (status) ended.resolve(status);
  };
  served.client.on("event", (_, data) => {
    if (pid === 0) early.push(data as object);
    else take(data as object);
  });
  const { request, response } = await served.call(`a/${verb}`, args);
  if (request.status !== "success") throw new Error(request.info);
  ({ pid } = response as { pid: number });
  for (const data of early) take(data);
  await Promise.race([
    up.promise,
    ended.promise.then((status) => {
      if (!lines.includes("up")) throw new Error(JSON.stringify(status));
    }),
  ]);
  return { pid, lines, up: up.promise, status: ended.promise };
}

const order = (served: Served, verb: string, { pid }: Started, signal?: string) =>
  served.call(`a/${verb}`, { action: "stop", args: { pid, ...(signal && { signal }) } });

const trap = (signal: string, code: number): string =>
  `trap 'echo bye; exit ${code}' ${signal}; echo up; ${WAIT}`;

describe.each(users)("served by %s", (user) => {
  const row = rowsOf(user, users);
  const served = serving(() => serve(config, { user }));

  describe.each(["plain", "warm", "full"])("sandbox %s", (sandbox) => {
    row("a stop sends the signal of the config, and waits", async () => {
      const verb = `${sandbox}/patient`;
      const task = await start(served, verb, trap("TERM", 4));
      await order(served, verb, task);
      expect(await task.status).toMatchObject({ exit: 4, cause: "stopped" });
      expect(task.lines).toEqual(["up", "bye"]);
    });

    row("one that usually means something else, too, by its number", async () => {
      const verb = `${sandbox}/usr`;
      const task = await start(served, verb, trap("USR1", 0));
      await order(served, verb, task);
      expect(await task.status).toMatchObject({ exit: 0, cause: "stopped" });
    });

    row("who was held by SIGSTOP goes on, and ends as it is told", async () => {
      const verb = `${sandbox}/patient`;
      const task = await start(served, verb, trap("TERM", 4));
      await order(served, verb, task, "STOP");
      await order(served, verb, task);
      expect(await task.status).toMatchObject({ exit: 4, cause: "stopped" });
      expect(task.lines).toEqual(["up", "bye"]);
    });

    row("its whole process group gets it", async () => {
      const verb = `${sandbox}/patient`;
      const script = `(trap 'echo child; exit' TERM; echo up; ${WAIT}) & trap 'wait; exit 0' TERM; ${WAIT}`;
      const task = await start(served, verb, script);
      await order(served, verb, task);
      await task.status;
      expect(task.lines).toEqual(["up", "child"]);
    });

    for (const uid of ["short", "none"])
      row(`who does not listen is killed after the grace: ${uid}`, async () => {
        const verb = `${sandbox}/${uid}`;
        const task = await start(served, verb, deaf);
        await order(served, verb, task);
        expect(await task.status).toMatchObject({ signal: "Killed", cause: "stopped" });
      });

    row("a stop that names a signal sends that, and nothing follows", async () => {
      const verb = `${sandbox}/none`;
      const task = await start(served, verb, `trap 'echo usr' USR2; ${trap("TERM", 0)}`);
      await order(served, verb, task, "USR2");
      await until("it has heard", () => task.lines.includes("usr"));
      expect(await isAlive(task.pid)).toBe(true);
      await order(served, verb, task, "TERM");
      expect(await task.status).toMatchObject({ exit: 0, cause: "stopped" });
    });

    row("a time-out does the same, and is the cause whatever becomes of it", async () => {
      const asked = await start(served, `${sandbox}/brief`, trap("TERM", 3));
      expect(await asked.status).toMatchObject({ exit: 3, info: "timeout", cause: "timeout" });
      expect(asked.lines).toEqual(["up", "bye"]);
      const killed = await start(served, `${sandbox}/both`, deaf);
      expect(await killed.status).toMatchObject({ signal: "Killed", cause: "timeout" });
    });

    row("who was told by a stop has its grace, and is not told again by the time-out", async () => {
      const verb = `${sandbox}/brief`;
      const script = `trap 'echo told' TERM; echo up; i=0; while [ $i -lt 8 ]; do sleep 0.1; i=$((i+1)); done; exit 5`;
      const task = await start(served, verb, script);
      await order(served, verb, task);
      expect(await task.status).toMatchObject({ exit: 5, cause: "stopped" });
      expect(task.lines).toEqual(["up", "told"]);
    });
  });

  row("what exec starts ends as its sandbox says", async () => {
    const script = trap("TERM", 6);
    const exec = { cmdpath: "/bin/sh", args: ["-c", script] };
    const task = await start(served, "exec", script, { sandbox: "full", encoder: "line", exec });
    await order(served, "exec", task);
    expect(await task.status).toMatchObject({ exit: 6, cause: "stopped" });
  });

  describe("the end of the server", () => {
    row(
      "tasks with a grace end by themselves, clients hear it, and nothing starts meanwhile",
      async () => {
        await using ending = await serve(config, { user });
        const lasting = `trap 'echo bye; sleep 0.5; echo done; exit 7' TERM; echo up; ${WAIT}`;
        const tasks = await Promise.all([
          ...["plain/patient", "warm/patient", "full/patient"].map((verb) =>
            start(ending, verb, lasting),
          ),
          start(ending, "usual/line", `trap '' TERM; echo up; ${WAIT}`),
        ]);
        const query = new URLSearchParams({ action: "start", wait: "true" });
        query.set("args", JSON.stringify({ script: lasting }));
        const waiting = fetch(`${ending.url}/api/a/plain/patient?${query}`).then((it) => it.json());
        await until("all can be told", async () => {
          const { response } = await ending.call("monitor/tasks", { state: "running" });
          const all = response as { printed: { lines: number } }[];
          return all.length === 5 && all.every(({ printed }) => printed.lines > 0);
        });
        process.kill(ending.pid, "SIGTERM");
        const [first, , , usual] = tasks;
        expect(await usual?.status).toMatchObject({ signal: "Killed", cause: "stopped" });
        await until("told", () => first?.lines.includes("bye") === true);
        const { request } = await ending.call("a/usual/line", { script: "echo up" });
        expect(request).toMatchObject({ status: "not-available" });
        expect(request.info).toContain("shutting down");
        expect((await ending.call("a/ping")).request.status).toBe("success");
        expect((await fetch(`${ending.url}/readyz`)).status).toBe(503);
        for (const { status, lines } of tasks.slice(0, 3)) {
          expect(await status).toMatchObject({ exit: 7, cause: "stopped" });
          expect(lines).toEqual(["up", "bye", "done"]);
        }
        expect(await waiting).toMatchObject({ response: { status: { exit: 7 } } });
        await until("the server has ended", async () => !(await isAlive(ending.pid)));
      },
    );

    row("what is killed at once is told to who follows it, before goodbye is said", async () => {
      await using ending = await serve(config, { user });
      const begin = { script: `trap '' TERM; echo up; ${WAIT}` };
      const tasks = [await start(ending, "usual/line", begin.script)];
      for (let i = 0; i < 4; i++) tasks.push(await start(ending, "usual/line", begin.script));
      const query = new URLSearchParams({ action: "start", wait: "true" });
      query.set("args", JSON.stringify(begin));
      const waiting = fetch(`${ending.url}/api/a/usual/line?${query}`).then((it) => it.json());
      await Promise.all(tasks.map(({ up }) => up));
      await until("the last runs", async () => {
        const { response } = await ending.call("monitor/tasks", { state: "running" });
        return (response as unknown[]).length === 6;
      });
      process.kill(ending.pid, "SIGTERM");
      const killed = { signal: "Killed", cause: "stopped" };
      for (const { status } of tasks) expect(await status).toMatchObject(killed);
      expect(await waiting).toMatchObject({ response: { status: killed } });
      await until("the server has ended", async () => !(await isAlive(ending.pid)));
    });

    row("who does not listen holds it for the grace at most", async () => {
      await using ending = await serve(config, { user });
      const task = await start(ending, "full/short", deaf);
      process.kill(ending.pid, "SIGTERM");
      expect(await task.status).toMatchObject({ signal: "Killed", cause: "stopped" });
      await until("the server has ended", async () => !(await isAlive(ending.pid)));
    });

    test.each(["SIGTERM", "SIGINT"] as const)(
      "a second signal does not wait: %s",
      async (signal) => {
        await using ending = await serve(config, { user });
        const script = `trap 'echo told' TERM; echo up; ${WAIT}`;
        const task = await start(ending, "plain/patient", script);
        task.status.catch(() => {});
        process.kill(ending.pid, "SIGTERM");
        await until("told", () => task.lines.includes("told"));
        process.kill(ending.pid, signal);
        await until("the server has ended", async () => !(await isAlive(ending.pid)));
        expect(await isAlive(task.pid)).toBe(false);
      },
    );
  });
});

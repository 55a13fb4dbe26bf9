/** The launcher and the server hold under commands and filters that work against them. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { serve, shell, system, until, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried } from "../thinned.ts";
import { noProgram } from "./no-program.ts";
import { marked } from "./attack.ts";

const dir = mkdtempSync(join(tmpdir(), "spawnbox-launcher-"));
chmodSync(dir, 0o755);
const notAProgram = join(dir, "not-a-program");
writeFileSync(notAProgram, noProgram, { mode: 0o755 });
afterAll(() => rmSync(dir, { recursive: true }));

const acls = { user: "daemon" };
const full = { shares: { all: "disable" }, mounts: [...system, { target: "/here", source: dir }] };
const deny = (...names: string[]) => ({
  default: "SCMP_ACT_ALLOW",
  rules: names.map((syscall) => ({ syscall, action: "SCMP_ACT_ERRNO(EPERM)" })),
});
const broken = (cmdpath: string) => ({ uid: "broken", exec: { cmdpath } });
const config = {
  metadata: { uid: "l", api: "l" },
  sandboxes: [
    {
      uid: "plain",
      acls,
      commands: [
        shell,
        { ...shell, uid: "brief", timeout: 0.4 },
        ...["json", "line", "text", "raw"].map((encoder) => ({
          uid: encoder,
          encoder,
          timeout: 0.4,
          exec: { cmdpath: "/usr/bin/yes" },
        })),
      ],
    },
    {
      uid: "mute",
      acls,
      seccomp: deny("write", "exit_group", "exit"),
      commands: broken(notAProgram),
    },
    {
      uid: "mutebox",
      acls,
      namespace: full,
      seccomp: deny("write", "exit_group", "exit"),
      commands: broken("/here/not-a-program"),
    },
    {
      uid: "root",
      acls: { user: "root" },
      commands: [shell, { ...shell, uid: "brief", timeout: 0.4 }],
    },
  ],
};

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(config, { user }));

  test.each(["mute", "mutebox"])(
    "an exec that fails behind a filter that denies everything is told (%s)",
    async (sandbox) => {
      const { request } = await served.call(`l/${sandbox}/broken`);
      expect(request).toMatchObject({
        status: "internal-error",
        info: expect.stringContaining("not-a-program: ENOEXEC"),
      });
    },
  );

  test.each(["json", "line", "text", "raw"].filter((_, row) => isTried(row, user, users)))(
    "endless output with the encoder %s leaves the server answering, and ends",
    async (encoder) => {
      // Over REST nobody takes the events, so nothing holds them back.
      const started = fetch(`${served.url}/api/l/plain/${encoder}`).then((reply) => reply.json());
      for (let i = 0; i < 5; i++) {
        const pong = await fetch(`${served.url}/api/l/ping`, {
          signal: AbortSignal.timeout(30_000),
        });
        expect(pong.status).toBe(200);
        await Bun.sleep(50);
      }
      await started;
      for (;;) {
        const reply = await served.call(`l/plain/${encoder}`, {
          action: "stop",
          args: { signal: "SIGCONT" },
        });
        if ((reply.response as string[]).length === 0) break;
        await Bun.sleep(50);
      }
    },
  );

  // Where the supervisor runs as the command's own user, the command can reach it.
  const reachable = user === "root" ? "root" : "plain";
  test("a command that stops its supervisor is killed all the same", async () => {
    const script = "kill -STOP $PPID; exec sleep 1000";
    // Some of many are faster than the supervisor, which then has not told the start yet.
    const all = Array.from({ length: 20 }, () => served.run(`l/${reachable}/brief`, { script }));
    for (const { status } of await Promise.all(all))
      expect(status).toMatchObject({ signal: "Killed", info: "timeout" });
  });

  // Not while its supervisor still tells that it runs, which then waits for what comes.
  const waits = 'until sed "s/.*) //" /proc/$PPID/stat | grep -q ^S; do :; done;';
  const take = (what: string) =>
    `${waits} ${what} prlimit --pid $PPID --nofile=0:0; exec sleep ${user === "root" ? 1001 : 1002}.${process.pid}`;
  const gone = () => until("the tree is gone", () => marked(`.${process.pid}`).length === 0);

  test("a command that forbids its supervisor any descriptor is killed all the same", async () => {
    const script = take(`setsid sleep 1003.${process.pid} &`);
    let causes = "";
    // On a busy machine it is woken meanwhile: then it ends by itself, with all that is its own.
    for (let i = 0; i < 10 && !causes.includes("timeout"); i++) {
      const { status } = await served.run(`l/${reachable}/brief`, { script });
      expect(status).toMatchObject({ signal: "Killed" });
      causes += ` ${status.info}`;
      await gone();
    }
    expect(causes).toContain("timeout");
  });

  test("once its supervisor has something to do, it ends, and so does what it left behind", async () => {
    let ended = false;
    const reply = served.call(`l/${reachable}/sh`, {
      script: take(`setsid sleep 1003.${process.pid} &`),
    });
    void reply.then(() => (ended = true));
    while (!ended) {
      await served.call(`l/${reachable}/sh`, { action: "stop", args: { signal: "CONT" } });
      await Bun.sleep(10);
    }
    const { status } = (await reply).response as { status: object };
    expect(status).toMatchObject({ signal: "Killed" });
    await gone();
  });

  test("a command that kills its supervisor dies with it, and the reply says so", async () => {
    // At a signal that is ignored until then: by that time the launcher has told that the command runs.
    let ended = false;
    const reply = served.call(`l/${reachable}/sh`, {
      script: "trap 'kill -KILL $PPID; exec sleep 1000' WINCH; while :; do sleep 0.1; done",
    });
    void reply.then(() => (ended = true));
    while (!ended) {
      await served.call(`l/${reachable}/sh`, { action: "stop", args: { signal: "WINCH" } });
      await Bun.sleep(10);
    }
    const { status } = (await reply).response as { status: object };
    expect(status).toMatchObject({ signal: "Killed", cause: "supervisor" });
  });
});

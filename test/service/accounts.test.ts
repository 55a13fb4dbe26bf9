/** Users and groups that change while the server runs, and what the service manager says and hears. */
import { describe, expect, jest, test } from "bun:test";
import { mkdtempSync, renameSync, rmSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ApiPlan } from "../../src/plan/plan.ts";
import { Accounts, idsIn, watchAccounts } from "../../src/service/accounts.ts";
import { inheritedSockets } from "../../src/service/activation.ts";
import { serviceManager, watchdogInterval } from "../../src/service/notify.ts";
import { createReloads } from "../../src/service/reload.ts";
import { ConfigError } from "../../src/config/problem.ts";
import { turn } from "../api/listener.ts";
import { DatagramSocket } from "../server/datagrams.ts";
import { until } from "../served.ts";

const within = async (run: (dir: string) => Promise<void>): Promise<void> => {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-service-"));
  try {
    await run(dir);
  } finally {
    rmSync(dir, { recursive: true });
  }
};

test("the numbers of names: the first line of each, whose numbers are some", () => {
  const users =
    "a:x:1:2:,,:/:/bin/sh\nb:x:3:4\na:x:9:9\nc:x:y:4\nd:x:5:z\n:x:1:2\n\nbroken\n+nis\n";
  expect([...idsIn("user", users)]).toEqual([
    ["a", [1, 2]],
    ["b", [3, 4]],
    ["broken", []],
    ["+nis", []],
  ]);
  expect([...idsIn("group", "g:x:7:a,b\nh:x:-1:\n")]).toEqual([["g", [7]]]);
});

describe("accounts", () => {
  const plan = (...named: object[]): ApiPlan =>
    ({
      file: "f",
      sandboxes: [{ plans: [] }, { plans: [{ policy: { identity: { named } } }] }],
    }) as unknown as ApiPlan;
  const user = (name: string, ...ids: number[]) => ({ kind: "user", name, ids });
  const group = (name: string, ...ids: number[]) => ({ kind: "group", name, ids });
  /** As passwd(1) does it. */
  const replace = (file: string, text: string) => {
    writeFileSync(`${file}+`, text);
    renameSync(`${file}+`, file);
  };
  const still = (was: string) =>
    `commands still run as ${was}, as it was when the config was read: a reload takes the change`;

  test("that have changed, or gone, are told; those that were never in a file are not", () =>
    within(async (dir) => {
      const files = { user: join(dir, "passwd"), group: join(dir, "group") };
      const accounts = new Accounts(files);
      const notices = (...named: object[]) =>
        accounts.notices(plan(...named)).map(({ path, message }) => `${path}: ${message}`);
      // No files at all.
      await accounts.look();
      expect(notices(user("a", 1, 2))).toEqual([]);
      replace(files.user, "a:x:1:2\nb:x:3:4\n");
      replace(files.group, "g:x:7:\n");
      await accounts.look();
      expect(notices(user("a", 1, 2), user("a", 1), group("g", 7), user("elsewhere", 5))).toEqual(
        [],
      );
      expect(notices(user("a", 1, 9), user("a", 1, 9))).toEqual([
        `sandboxes[1].acls: the user a is uid 1, gid 2 now; ${still("uid 1, gid 9")}`,
      ]);
      expect(notices(user("a", 8))).toEqual([
        `sandboxes[1].acls: the user a is uid 1 now; ${still("uid 8")}`,
      ]);
      expect(notices(group("g", 8))).toEqual([
        `sandboxes[1].acls: the group g is gid 7 now; ${still("gid 8")}`,
      ]);
      replace(files.user, "b:x:5:4\n");
      // Gone meanwhile: as it was.
      unlinkSync(files.group);
      await accounts.look();
      expect(notices(user("a", 1, 2), user("b", 3, 4), group("g", 7))).toEqual([
        `sandboxes[1].acls: the user a is not in ${files.user} any more; ${still("uid 1, gid 2")}`,
        `sandboxes[1].acls: the user b is uid 5, gid 4 now; ${still("uid 3, gid 4")}`,
      ]);
    }));
  test("are looked at from the start, and what is wrong is told", () =>
    within(async (dir) => {
      const files = { user: join(dir, "passwd"), group: join(dir, "group") };
      writeFileSync(files.user, "a:x:1:2\n");
      const told: string[] = [];
      const watch = watchAccounts(
        new Accounts(files),
        () => [plan(user("a", 3))],
        (file, { path, message }) => told.push(`${file} ${path} ${message}`),
      );
      await until("it is told", () => told.length === 1);
      watch.close();
      expect(told[0]).toStartWith("f sandboxes[1].acls the user a is uid 1 now");
    }));

  test("once for as long as it is so, at whatever look", () =>
    within(async (dir) => {
      const files = { user: join(dir, "passwd"), group: join(dir, "group") };
      replace(files.user, "a:x:1:2\n");
      replace(files.group, "");
      let looks = 0;
      let was = 3;
      const told: string[] = [];
      jest.useFakeTimers();
      const watch = watchAccounts(
        new Accounts(files),
        () => (looks++, [plan(user("a", was))]),
        (_, { message }) => told.push(message),
      );
      const looked = async (count: number): Promise<void> => {
        while (looks < count) await turn();
        await turn();
      };
      try {
        await looked(1);
        for (const [count, is] of [
          [2, 3],
          [3, 1],
          [4, 3],
        ] as const) {
          was = is;
          jest.advanceTimersByTime(10_000);
          await looked(count);
          expect(told).toHaveLength(count < 4 ? 1 : 2);
        }
      } finally {
        watch.close();
        jest.useRealTimers();
      }
    }));
});

describe("the service manager", () => {
  test("hears what goes on, each as one message", () =>
    within(async (dir) => {
      const path = join(dir, "notify");
      using socket = new DatagramSocket(path);
      const next = async () => {
        let message: string | undefined;
        await until("a message", () => (message = socket.receive()) !== undefined);
        return message ?? "";
      };
      const manager = serviceManager({ NOTIFY_SOCKET: path });
      const heard = async (say: () => void) => {
        say();
        return (await next()).split("\n");
      };
      expect(await heard(() => manager.ready("a\n\n b\u001b \nMAINPID=1"))).toEqual([
        "READY=1",
        "STATUS=a; b\\u001b; MAINPID=1",
      ]);
      expect(await heard(() => manager.ready("s", 77))).toEqual([
        "MAINPID=77",
        "READY=1",
        "STATUS=s",
      ]);
      const [reloading, time] = await heard(() => manager.reloading());
      expect([reloading, /^MONOTONIC_USEC=\d+$/.test(time ?? "")]).toEqual(["RELOADING=1", true]);
      expect(await heard(() => manager.stopping(0))).toEqual([
        "STOPPING=1",
        "STATUS=stopping: the tasks are being killed",
      ]);
      expect(await heard(() => manager.stopping(1500))).toEqual([
        "STOPPING=1",
        "EXTEND_TIMEOUT_USEC=11500000",
        "STATUS=stopping: the tasks have 1.5 s to end",
      ]);
      const watched = serviceManager({ NOTIFY_SOCKET: path, WATCHDOG_USEC: "2000" });
      expect(await next()).toBe("WATCHDOG=1");
      watched.close();
      manager.close();
    }));
  test("that cannot be reached is complained of once, and that there is none is not", () => {
    const said: string[] = [];
    const gone = serviceManager({ NOTIFY_SOCKET: "/no/where" }, (text) => said.push(text));
    gone.ready("x");
    gone.reloading();
    expect(said).toEqual([
      "the service manager is not told: sendto(/no/where): ENOENT; it is tried again",
    ]);
    for (const env of [{}, { NOTIFY_SOCKET: "" }])
      serviceManager(env, (text) => said.push(text)).ready("x");
    expect(said).toHaveLength(1);
  });
  test("wants a sign of life in half of the time that it allows", () => {
    const interval = (usec: string | undefined, pid?: string) =>
      watchdogInterval({ WATCHDOG_USEC: usec, WATCHDOG_PID: pid }, 5);
    expect([
      interval(undefined),
      interval("0"),
      interval("x"),
      interval("-5"),
      interval("1"),
      interval("30000000"),
      interval("4001"),
    ]).toEqual([...[undefined, undefined, undefined, undefined, 1, 15_000, 2]]);
    expect([interval("4000", "5"), interval("4000", "6"), interval("4000", "")]).toEqual([
      2,
      undefined,
      undefined,
    ]);
    expect(interval("9".repeat(18))).toBeLessThan(2 ** 31);
  });
  test("hands over sockets for this process alone, with their names; others are refused", () => {
    const env = (more: Record<string, string>) => ({ LISTEN_FDS: "1", LISTEN_PID: "5", ...more });
    expect(inheritedSockets({}, 5)).toEqual([]);
    expect(inheritedSockets(env({ LISTEN_PID: "6" }), 5)).toEqual([]);
    expect(inheritedSockets(env({ LISTEN_FDS: "0" }), 5)).toEqual([]);
    for (const count of ["x", "65", "-1", "1.5", ""])
      expect(() => inheritedSockets(env({ LISTEN_FDS: count }), 5)).toThrow(
        `LISTEN_FDS=${count}: expected a number of sockets, from 0 to 64`,
      );
    // 3 and the next ones are what they are in this process: none of them is a socket that listens.
    expect(() => inheritedSockets(env({ LISTEN_FDS: "64" }), 5)).toThrow();
  });
});

test("reloads come one after the other, and one that fails changes nothing", async () => {
  const log: string[] = [];
  const problem = { file: "f", path: "p", message: "m" };
  const { reload, alone } = createReloads<string, string, string>(
    async (known = "read") => {
      log.push(`prepare ${known}`);
      await Bun.sleep(2);
      if (known === "wrong") throw new ConfigError([problem]);
      return known;
    },
    (prepared) => {
      log.push(`replace ${prepared}`);
      if (prepared === "unfit") throw new Error("does not fit");
      return `loaded ${prepared}`;
    },
  );
  const all = await Promise.all([
    reload(),
    reload("wrong"),
    reload("unfit"),
    alone(async (own) => (await own("one")).loaded ?? (log.push("never"), "")),
    reload("last"),
  ]);
  expect(all).toEqual([
    { ok: true, problems: [], loaded: "loaded read" },
    { ok: false, problems: [problem] },
    { ok: false, problems: [{ file: "", path: "", message: "does not fit" }] },
    "loaded one",
    { ok: true, problems: [], loaded: "loaded last" },
  ] as never);
  expect(log).toEqual([
    ...["prepare read", "replace read", "prepare wrong", "prepare unfit", "replace unfit"],
    ...["prepare one", "replace one", "prepare last", "replace last"],
  ]);
  await expect(alone(() => Promise.reject(new Error("x")))).rejects.toThrow("x");
  expect((await reload("again")).ok).toBe(true);
});

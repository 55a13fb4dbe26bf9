/**
 * Fork bombs without any pause, where neither a pid namespace nor a cgroup kills the tree at once: only the sweep of the
 * supervisor does. A process that was killed must not make room for one that was not.
 */
import { describe, expect, test } from "bun:test";
import { PATIENCE, serve, until, type User, users } from "../served.ts";
import { serving } from "../serving.ts";
import { isTried } from "../thinned.ts";
import { acls, api, exterminate, leftNothing, marked } from "./attack.ts";

/** Each of them fills its limit within milliseconds; `keep` is what the command itself does. */
const bombs = {
  "fork in a tight loop": "fork while 1",
  "children that the kernel reaps": '$SIG{CHLD} = "IGNORE"; fork while 1',
  "processes that replace themselves": "for (1..8) { last if !fork } while (1) { exit if fork }",
  "double forks with setsid": "while (1) { my ($a, $b) = (fork, fork); exit if $a and $b; setsid }",
  "sessions that multiply and leave": "while (1) { fork; setsid; exit if fork and fork }",
  "sessions that stay": "while (1) { setsid unless fork }",
  "what is stopped is continued": 'fork for 1..5; while (1) { fork; kill "CONT", -1; setsid }',
} as const;
const ways = Object.keys(bombs) as (keyof typeof bombs)[];
/** Processes of a bomb, and seconds of one that is ended by a time-out, in which it takes all processors. */
const [NPROC, BRIEF] =
  process.env["CI"] === undefined ? ([24, 0.1] as const) : ([48, 0.2] as const);
/** The kill itself takes well below a second on an idle machine, which is printed; this is against hanging. */
const GUARD = 60_000 * PATIENCE;

const perl = (uid: string, timeout: number) => ({
  uid,
  encoder: "sync",
  timeout,
  limits: { nproc: NPROC },
  exec: { cmdpath: "/usr/bin/perl", args: ["-MPOSIX=setsid", "-e", "%script%"] },
});
const commands = [perl("brief", BRIEF), perl("long", 0)];
/** Without a user namespace, the limit counts the server's own processes and all others of its user too. */
const sandboxes = (user: User) => [
  ...(user === "root" ? [{ uid: "plain", acls, commands }] : []),
  { uid: "user", acls, namespace: { shares: { user: "disable" } }, commands },
];
let bombsSet = 0;
const bomb = (how: keyof typeof bombs) => {
  const marker = `unpaused-${process.pid}-${bombsSet++}`;
  return { marker, script: `if (fork) { sleep 1000 while 1 } ${bombs[how]}; # ${marker}` };
};

const places = users.flatMap((user) => sandboxes(user).map(({ uid }) => `${user}, ${uid}`));
const ends = ["a time-out", "a stop", "the server's death"] as const;
/** Of each way and end, those sandboxes in which it is tried. */
const waysIn = (user: User, sandbox: string, end: (typeof ends)[number]) =>
  ways.filter((_, row) => isTried(row + ends.indexOf(end), `${user}, ${sandbox}`, places));

describe.each(users)("served by %s", (user) => {
  const served = serving(() => serve(api(sandboxes(user)), { user }));

  describe.each(sandboxes(user).map(({ uid }) => uid))("sandbox %s", (sandbox) => {
    test.each(waysIn(user, sandbox, "a time-out"))(
      "[fork bombs] without a pause, pid namespace or cgroup: a time-out leaves nothing: %s",
      async (how) => {
        const { marker, script } = bomb(how);
        try {
          const begin = performance.now();
          const { status } = await served.run(`a/${sandbox}/brief`, { script });
          const late = Math.round(performance.now() - begin - BRIEF * 1000);
          console.log(`${user}, ${sandbox}, ${how}: gone ${late} ms after the time-out`);
          expect(status).toMatchObject({ signal: "Killed", info: "timeout" });
          await leftNothing(marker);
        } finally {
          exterminate(marker);
        }
      },
      GUARD,
    );

    test.each(waysIn(user, sandbox, "a stop"))(
      "[fork bombs] without a pause, pid namespace or cgroup: a stop leaves nothing: %s",
      async (how) => {
        const { marker, script } = bomb(how);
        try {
          const reply = served.call(`a/${sandbox}/long`, { script });
          await until("it explodes", () => marked(marker).length > 4);
          await served.call(`a/${sandbox}/long`, { action: "stop", args: { signal: 9 } });
          expect((await reply).response).toMatchObject({ status: { signal: "Killed" } });
          await leftNothing(marker);
        } finally {
          exterminate(marker);
        }
      },
      GUARD,
    );

    test.each(waysIn(user, sandbox, "the server's death"))(
      "[fork bombs] without a pause, pid namespace or cgroup: the server's death leaves nothing: %s",
      async (how) => {
        const { marker, script } = bomb(how);
        const doomed = await serve(api(sandboxes(user)), { user });
        try {
          const reply = doomed.call(`a/${sandbox}/long`, { script }).catch(() => undefined);
          await until("it explodes", () => marked(marker).length > 4);
          await doomed.crash();
          await reply;
          await until("nothing is left", () => marked(marker).length === 0);
        } finally {
          exterminate(marker);
          await doomed[Symbol.asyncDispose]();
        }
      },
      GUARD,
    );
  });
});

/** What the operator reads of a running server, where clients choose part of what is to be read. */
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ORDINARY } from "../accounts.ts";
import { type Served, serve, until, users } from "../served.ts";
import { rowsOf } from "../thinned.ts";

const note = (uid: string, opts: object, script: string) => ({
  uid,
  encoder: { output: "log", opts },
  exec: { cmdpath: "/bin/sh", args: ["-c", script, "sh", "%text%"] },
});

const config = (commands: readonly object[], dir: string) => ({
  metadata: { uid: "c", api: "c" },
  sandboxes: {
    uid: "a",
    acls: { user: "%user%" },
    ...{ pool: 1, envs: [{ name: "DIR", value: dir }] },
    commands,
  },
});

interface Operated {
  readonly server: Served;
  readonly dir: string;
  /** What the server has written to its standard error. */
  said(): string;
}

/** @param first Shell, as who the tests run as, before the server: its standard error is `$DIR/said`. */
async function operated(
  user: (typeof users)[number],
  commands: (dir: string) => readonly object[],
  work: (it: Operated) => Promise<void>,
  first = ":",
): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), "spawnbox-operator-"));
  chmodSync(dir, 0o777);
  const uid = user === "root" ? 0 : process.geteuid?.() || ORDINARY;
  const plain: unknown = JSON.parse(
    JSON.stringify(config(commands(dir), dir)).replace("%user%", String(uid)),
  );
  const script = `DIR=${dir}; ${first}; exec "$@" 2>>${dir}/said`;
  try {
    await using server = await serve(plain, { user, first: ["/bin/sh", "-c", script, "sh"] });
    await work({ server, dir, said: () => readFileSync(join(dir, "said"), "utf8") });
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** Starts it, and waits for how it ends. */
async function end({ client }: Served, verb: string, text = "x"): Promise<unknown> {
  const events = client.start(verb, { text });
  for (;;) {
    const { done, value } = await events.next();
    if (done) return value;
  }
}

/** The server's standard error is what somebody has who never reads. */
const unread = (made: string, uid: number) => [
  ...["/usr/bin/python3", "-ISc"],
  `import os, sys
reader, writer = os.${made}()
os.set_inheritable(reader, True)
os.fchown(writer, ${uid}, -1)
os.dup2(writer, 2)
os.execvp(sys.argv[1], sys.argv[1:])`,
];

for (const user of users) {
  describe(user, () => {
    const row = rowsOf(user, users);
    for (const made of ["pipe", "openpty"])
      row(
        `who does not read what the server says keeps neither it nor its end from others: ${made}`,
        async () => {
          const uid = user === "root" ? 0 : process.geteuid?.() || ORDINARY;
          const commands = [
            note("flood", {}, "yes 123456789 | head -c 300000"),
            note("echo", {}, ":"),
          ];
          const plain: unknown = JSON.parse(
            JSON.stringify(config(commands, "/")).replace("%user%", String(uid)),
          );
          await using server = await serve(plain, { user, first: unread(made, uid) });
          const flood = await server.call("c/flood", { text: "x" });
          expect(flood.request.status).toBe("success");
          // What waits for the reader is no part of these.
          for (let i = 0; i < 3; i++)
            expect(await server.run("c/echo", { args: { text: "x" }, wait: true })).toMatchObject({
              status: { exit: 0 },
            });
        },
        30_000,
      );
    row("a reply that waits has nothing of what is the operator's, who has all of it", async () => {
      const commands = (dir: string) => [
        note("note", { stdout: `${dir}/out` }, 'echo "$1"; echo "not $1" >&2; exit 3'),
        note("lost", { stdout: "/dev/full" }, 'echo "$1"; sleep 0'),
      ];
      await operated(user, commands, async ({ server, dir, said }) => {
        const text = "for the operator";
        for (const more of [{ wait: true }, { wait: "true" }]) {
          const reply = await server.run("c/note", { args: { text }, ...more });
          expect(reply).toMatchObject({ api: "c", command: "note", status: { exit: 3 } });
          expect(JSON.stringify(reply)).not.toContain("operator");
        }
        const query = `wait=true&text=${encodeURIComponent(text)}`;
        const rest = await fetch(`${server.url}/api/c/note?${query}`);
        expect(rest.status).toBe(200);
        expect(await rest.text()).not.toContain("operator");
        expect(readFileSync(join(dir, "out"), "utf8")).toBe(`${text}\n`.repeat(3));
        expect(said().match(/stderr: not for the operator$/gm)).toHaveLength(3);
        const lost = await server.run("c/lost", { args: { text }, wait: true });
        expect(lost).toMatchObject({
          status: { encoder: expect.stringMatching(/^\d+ bytes of stdout are lost: ENOSPC$/) },
        });
      });
    });
    row("a client's words in the server's own output are lines of the task", async () => {
      const commands = () => [note("note", {}, 'printf "%s\\n" "$1"; printf "%s" "$1" >&2')];
      await operated(user, commands, async ({ server, said }) => {
        const text =
          "x\n<0>spawnbox: on fire\n\x1b]0;t\x07\x1b[2J\nreloaded\nwarning: c: fine\r\u202e";
        for (const _ of ["cold or warm", "warm"]) {
          const before = said().length;
          expect(await end(server, "c/note", text)).toMatchObject({ exit: 0 });
          await until("its last line", () => said().slice(before).split("u202e").length > 2);
          const lines = said().slice(before).trimEnd().split("\n");
          for (const line of lines) expect(line).toMatch(/^c: a\/note@\d+ std(out|err): /);
          const out = lines.flatMap((line) => / stdout: (.*)$/.exec(line)?.[1] ?? []);
          expect(out).toEqual([
            "x",
            "<0>spawnbox: on fire",
            "\\u001b]0;t\\u0007\\u001b[2J",
            "reloaded",
            "warning: c: fine\\u000d\\u202e",
          ]);
        }
      });
    });

    row(
      "of a disk that is full, the outcome says what is lost, and the log does once",
      async () => {
        const flood = "yes 123456789 | head -c 300000; echo done >&2";
        const commands = (dir: string) => [
          note("full", { stdout: "/dev/full", stderr: `${dir}/err` }, flood),
          note("kept", { stdout: `${dir}/kept`, stderr: `${dir}/kept` }, flood),
        ];
        await operated(user, commands, async ({ server, dir, said }) => {
          const status = (await end(server, "c/full")) as { exit: number; encoder: string };
          expect(status.exit).toBe(0);
          expect(status.encoder).toMatch(/^\d+ bytes of stdout are lost: ENOSPC$/);
          expect(readFileSync(join(dir, "err"), "utf8")).toBe("done\n");
          const told = said()
            .split("\n")
            .filter((line) => line.includes("ENOSPC"));
          expect(told).toEqual([
            expect.stringMatching(
              /^error: c: a\/full@\d+: log encoder: cannot write \/dev\/full: ENOSPC/,
            ),
          ]);
          expect(await end(server, "c/kept")).not.toHaveProperty("encoder");
          expect(readFileSync(join(dir, "kept")).length).toBe(300_005);
        });
      },
    );

    row("of a limit on the size of files nobody dies", async () => {
      const commands = (dir: string) => [
        note("big", { stdout: `${dir}/big` }, "head -c 3000000 /dev/zero"),
      ];
      const limit = "ulimit -f 2000";
      const work = async ({ server }: Operated): Promise<void> => {
        const status = (await end(server, "c/big")) as { exit: number; encoder: string };
        expect(status.exit).toBe(0);
        expect(status.encoder).toMatch(/^\d+ bytes of stdout are lost: EFBIG$/);
        expect((await server.call("c/ping")).request.status).toBe("success");
      };
      await operated(user, commands, work, limit);
    });
  });
}

test.skipIf(!users.includes("root"))(
  "a small file system that is full: what had room is there",
  async () => {
    const commands = (dir: string) => [
      note("small", { stdout: `${dir}/small/log` }, "head -c 200000 /dev/zero; exit 3"),
      {
        uid: "size",
        encoder: "sync",
        exec: { cmdpath: "/bin/stat", args: ["-c", "%s", `${dir}/small/log`] },
      },
    ];
    const mount =
      'exec unshare -m /bin/sh -c \'mkdir $0/small; mount -t tmpfs -o size=64k x $0/small; exec "$@" 2>>$0/said\' $DIR "$@"';
    const work = async ({ server }: Operated): Promise<void> => {
      const status = (await end(server, "c/small")) as { exit: number; encoder: string };
      const size = Number((await server.run("c/size")).stdout?.[0]);
      expect(size).toBe(65536);
      expect(status).toMatchObject({
        exit: 3,
        encoder: `${200_000 - size} bytes of stdout are lost: ENOSPC`,
      });
    };
    await operated("root", commands, work, mount);
  },
);

/** A sandbox that waits for its words: which it takes, and that what others change of it meanwhile sticks to nobody. */
import { describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WAKE, WORDS_SIZE } from "../../ffi/launcher/layout.ts";
import { isRoot } from "../accounts.ts";
import { descriptorsOf } from "../descriptors.ts";
import type { WrittenOp } from "../plan/ops.ts";
import { until } from "../served.ts";
import { childrenOf, type Direct, launch, NEW, type Told } from "./direct.ts";

const ALONE: readonly WrittenOp[] = [["WAIT"]];
const FORKED: readonly WrittenOp[] = [["FORK"], ["WAIT"]];
const shapes: readonly [string, readonly WrittenOp[], number][] = [
  ["alone", ALONE, 0],
  ...(isRoot ? ([["in a pid namespace", FORKED, NEW.pid]] as [string, WrittenOp[], number][]) : []),
];

/** As the server writes them: their size, then each with its end. */
function words(...texts: readonly string[]): Uint8Array {
  const text = Buffer.from(texts.map((one) => `${one}\0`).join(""));
  return sized(text.length, text);
}
function sized(size: number, text: Uint8Array): Uint8Array {
  const head = Buffer.alloc(4);
  head.writeUInt32LE(size);
  return Buffer.concat([head, text]);
}
const said = (records: readonly Told[]) =>
  records.map(({ kind, failure, error, status }) =>
    failure ? `${failure}: ${error}` : kind === "ENDED" ? `ENDED ${status}` : kind,
  );
const RAN = ["STARTED", "ENDED 0"];

test("who waits has its words alone, and nothing of its supervisor's", async () => {
  let both: string[][] = [];
  const pipes = (pid: number) => descriptorsOf(pid).filter((link) => link.startsWith("pipe:"));
  await launch(ALONE, {
    ...{ orders: [], words: words("/bin/true") },
    waiting: async (supervisor, order) => {
      const waits = (pid: number, what: string) =>
        readFileSync(`/proc/${pid}/wchan`, "utf8").includes(what);
      await until("both wait", () => {
        const [child = 0] = childrenOf(supervisor);
        return child > 0 && waits(child, "pipe_read") && waits(supervisor, "poll");
      });
      both = [supervisor, ...childrenOf(supervisor)].map(pipes);
      order(WAKE);
    },
  });
  const [held = [], waiting = []] = both;
  // Its status and its lifeline; the words. What is printed goes through sockets.
  expect([held.length, waiting.length]).toEqual([2, 1]);
  expect(held.filter((pipe) => waiting.includes(pipe))).toEqual([]);
});

describe.each(shapes)("what waits %s", (_, ops, flags) => {
  const wait = (words: Uint8Array, direct: Direct = {}) =>
    launch(ops, { flags, orders: [WAKE], argv: ["/not/this"], words, ...direct });

  test("executes the words that come, as they are, and knows no others", async () => {
    const look = `import sys, os; print(sys.argv[1:], os.path.exists("/proc/self/fd/6"))`;
    const python = ["/usr/bin/python3", "-ISc", look];
    const { stdout, records } = await wait(words(...python, "a b", "", "ä", ""));
    expect(said(records)).toEqual(RAN);
    expect(stdout).toBe("['a b', '', 'ä', ''] False\n");
  });
  test("takes as many as a pipe holds, and no more", async () => {
    const [program, head] = ["/bin/true", 4];
    const filled = (size: number) => words(program, "x".repeat(size - program.length - 2));
    expect(filled(WORDS_SIZE)).toHaveLength(WORDS_SIZE + head);
    expect(said((await wait(filled(WORDS_SIZE))).records)).toEqual(RAN);
    for (const bad of [
      filled(WORDS_SIZE + 1),
      sized(0, Buffer.from("/bin/true\0")),
      // Without their end; fewer than announced; less than a size.
      sized(9, Buffer.from("/bin/true")),
      sized(11, Buffer.from("/bin/true\0")),
      sized(10, Buffer.from("")),
      Uint8Array.from([10, 0]),
    ])
      expect(said((await wait(bad)).records)).toEqual(["CLONE killed before exec: 0"]);
  });
  test("has room for as many words as can be, of one character and of none", async () => {
    const dir = mkdtempSync(join(tmpdir(), "spawnbox-waiting-"));
    try {
      chmodSync(dir, 0o755);
      symlinkSync("/bin/true", join(dir, "x"));
      const there: WrittenOp[] = [...ops.slice(0, -1), ["CHDIR", dir], ["WAIT"]];
      for (const empty of [0, 1, 9, 1000]) {
        const given = words("x", ...Array.from({ length: empty }, () => ""));
        const direct = { flags, orders: [WAKE], argv: ["/not/this"], words: given };
        expect(said((await launch(there, direct)).records)).toEqual(RAN);
      }
    } finally {
      rmSync(dir, { recursive: true });
    }
  });
  test("is given words by nobody but the server, which gives an order first", async () => {
    const { records } = await wait(words("/bin/true"), { orders: [] });
    expect(said(records)).toEqual(["WAIT words of somebody else: 1"]);
  });
  test.skipIf(!isRoot)("is told where there is no memory for them", async () => {
    // MAP_PRIVATE | MAP_ANONYMOUS
    const denied = [{ call: "mmap", errno: 13, arg: 3, is: 0x22 }];
    expect(said((await wait(words("/bin/true"), { denied })).records)).toEqual(["WAIT: 12"]);
  });
  test.skipIf(!isRoot)(
    "is ended where its supervisor cannot watch it, and that is told",
    async () => {
      // What a command of the same user comes to by prlimit(2).
      const denied = [{ call: "ppoll", errno: 22 }];
      expect(said((await wait(new Uint8Array(), { denied })).records)).toEqual([
        "CLONE killed before exec: 0",
      ]);
    },
  );
  test("has its failures as others do", async () => {
    expect(said((await wait(words("/no/such"))).records)).toEqual(["EXEC /no/such: 2"]);
  });
});

/** The words come in two pieces, so that they are waited for. */
describe.skipIf(!isRoot)("what others change while it waits", () => {
  const lastOf = (pid: number): number => childrenOf(pid).map(lastOf).at(-1) ?? pid;
  const isWaiting = (pid: number) =>
    /pipe/.test(readFileSync(`/proc/${pid}/wchan`, "utf8")) &&
    readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("launcher");

  /** Python does it to process `p`. */
  const changes: readonly [string, string][] = [
    ["limits", "resource.prlimit(p, resource.RLIMIT_NOFILE, (77, 77))"],
    ["limits", "resource.prlimit(p, 15, (12345, 12345))"],
    ["limits", "resource.prlimit(p, 0, (100, resource.prlimit(p, 0)[1]))"],
    ["scheduling", "os.setpriority(os.PRIO_PROCESS, p, os.getpriority(os.PRIO_PROCESS, p) + 3)"],
    ["scheduling", "os.sched_setscheduler(p, os.SCHED_BATCH, os.sched_param(0))"],
    ["scheduling", "os.sched_setscheduler(p, 0x40000000, os.sched_param(0))"],
    ["processors", "os.sched_setaffinity(p, {max(os.sched_getaffinity(p))})"],
    [
      "i/o priority",
      `assert libc.syscall(${process.arch === "arm64" ? 30 : 251}, 1, p, 3 << 13) == 0`,
    ],
    ["timer slack", `open(f"/proc/{p}/timerslack_ns", "w").write("12345")`],
  ];
  /** A process of its user, but for the timer slack, which asks for more. */
  const becoming = (pid: number, isUser: boolean) => `
import ctypes, os, re, resource
libc, p = ctypes.CDLL(None), ${pid}
uid, gid = [int(re.search(one + r":\\s+(\\d+)", open(f"/proc/{p}/status").read())[1]) for one in ("Uid", "Gid")]
if uid != 0 and ${isUser ? 1 : 0}: os.setgroups([]); os.setresgid(gid, gid, gid); os.setresuid(uid, uid, uid)`;
  const changed = async (
    change: string,
    ops: readonly WrittenOp[],
    whose: (pid: number) => number,
  ) => {
    const { records } = await launch(ops, {
      ...{ orders: [], words: words("/bin/true"), argv: [] },
      waiting: async (supervisor, order) => {
        await until("it waits", () => isWaiting(lastOf(supervisor)));
        const script = `${becoming(whose(supervisor), !change.includes("slack"))}\n${change}`;
        const { stderr } = Bun.spawnSync(["/usr/bin/python3", "-ISc", script]);
        expect(stderr.toString()).toBe("");
        order(WAKE);
      },
    });
    return said(records);
  };
  test("nothing: it runs", async () => {
    expect(await changed("pass", ALONE, lastOf)).toEqual(RAN);
  });
  test.each(changes)("its %s: %s", async (what, change) => {
    expect(await changed(change, ALONE, lastOf)).toEqual([`WAIT ${what}: 1`]);
    // From the change of user on.
    const switched: WrittenOp[] = [
      ["SETGID", 65534],
      ["SETUID", 65534],
      ["NO_NEW_PRIVS"],
      ["WAIT"],
    ];
    expect(await changed(change, switched, lastOf)).toEqual([`WAIT ${what}: 1`]);
  });
  test.each(changes)("its supervisor's %s: %s", async (what, change) => {
    expect(await changed(change, ALONE, (pid) => pid)).toEqual([`WAIT ${what}: 1`]);
  });
  test("before its change of user the plan's own are no change", async () => {
    const ops: WrittenOp[] = [
      ["NICE", 25],
      ["RLIMIT", 7, 50, 0],
      ["SETUID", 65534],
      ["NO_NEW_PRIVS"],
      ["WAIT"],
    ];
    expect(await changed("pass", ops, lastOf)).toEqual(RAN);
    const without: WrittenOp[] = [["NICE", 25], ["RLIMIT", 7, 50, 0], ["WAIT"]];
    expect(await changed("pass", without, lastOf)).toEqual(RAN);
  });
  test("stopped meanwhile, it goes on with an order", async () => {
    for (const [ops, flags] of [
      [ALONE, 0],
      [FORKED, NEW.pid],
    ] as const) {
      const { records } = await launch(ops, {
        ...{ flags, words: words("/bin/true"), argv: [] },
        waiting: async (supervisor, order) => {
          await until("it waits", () => isWaiting(lastOf(supervisor)));
          for (const pid of [...childrenOf(supervisor), lastOf(supervisor)])
            process.kill(pid, "SIGSTOP");
          order(WAKE);
        },
      });
      expect(said(records)).toEqual(RAN);
    }
  });
  test("it can neither be read nor debugged, and its command can", async () => {
    let owner = -1;
    const look = `import os; print(os.stat("/proc/self/environ").st_uid)`;
    const ops: WrittenOp[] = [["SETGID", 65534], ["SETUID", 65534], ["NO_NEW_PRIVS"], ["WAIT"]];
    const { stdout } = await launch(ops, {
      ...{ words: words("/usr/bin/python3", "-ISc", look), argv: [] },
      waiting: async (supervisor, order) => {
        const { statSync } = await import("node:fs");
        await until("it waits", () => isWaiting(lastOf(supervisor)));
        owner = statSync(`/proc/${lastOf(supervisor)}/environ`).uid;
        order(WAKE);
      },
    });
    expect([owner, stdout]).toEqual([0, "65534\n"]);
  });
});

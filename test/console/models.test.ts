/** What the page makes of what the server tells: each part in a window of its own, without a browser. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { sampleOf } from "../../src/console/metrics.ts";
import { until } from "../served.ts";
import { type Components, components } from "./components.ts";

interface Printed {
  readonly text: string;
  readonly from: string;
}
interface Run {
  readonly printed: readonly Printed[];
  readonly more: number;
}
/** What the modules export, as far as it is looked at here. */
interface Parts {
  runOf(reply: object): Run;
  isOwn(line: Printed, runs: readonly Run[]): boolean;
  reasonsOf(run: Run): string[];
  differencesOf(sandboxes: readonly object[]): { aspect: string; words: readonly string[] }[];
  outcomeOf(status: unknown): { readonly kind: string; readonly words: string };
  duration(ms: number): string;
  linesOf(data: object): { text: string; from: string; over?: boolean }[];
  valueOf(data: object): unknown;
  readRecord(value: unknown): Readonly<Record<string, unknown>> | undefined;
  readRecords(value: unknown): readonly unknown[];
  parseRoute(hash: string): object;
  followRoute(): void;
  readonly route: { readonly value: { readonly view: string } };
  go(to: string): void;
  verbLink(api: string, verb: string): string;
  sandboxLink(api: string, sandbox: string): string;
  taskLink(id: string): string;
  fleetLink(to: string): string;
  tryLink(api: string): string;
  deniedOf(status: object): [string, number][];
  meaningOf(call: string): string | undefined;
  commandLines(api: string, verb: string, args: object): { readonly text: string }[];
  quoted(text: string): string;
}
let page: Components;
beforeAll(async () => {
  page = await components(
    ...["differences.ts", "outcome.ts", "task-events.ts", "task-record.ts", "route.ts"],
    ...["denied-calls.ts", "command-lines.ts"],
  );
});
afterAll(() => page?.[Symbol.asyncDispose]());
const parts = () => page.from as unknown as Parts;

describe("runs of one command in several sandboxes", () => {
  const runOf = (response: unknown, status = "success") =>
    parts().runOf({ status, info: "why", response });

  test("have their lines, their end, and how long they took", () => {
    const status = { exit: 0, usage: { wall: 12.5 } };
    expect(runOf({ stdout: "a\n\nb\n", stderr: ["c", { d: 1 }, undefined], status })).toEqual({
      printed: [
        ...["a", "b"].map((text) => ({ text, from: "out" as const })),
        ...["c", '{"d":1}', ""].map((text) => ({ text, from: "err" as const })),
      ],
      ...{ more: 0, status, fault: undefined, wall: 12.5 },
    });
    expect(runOf(undefined, "denied")).toEqual({
      ...{ printed: [], more: 0, status: undefined, fault: "denied: why", wall: undefined },
    });
    const [at, over] = ["x".repeat(2000), "y".repeat(2001)];
    const long = runOf({ stdout: Array.from({ length: 301 }, () => at), stderr: [over] });
    expect([long.printed.length, long.more]).toEqual([301, 1]);
    expect(long.printed[0]?.text).toBe(at);
    expect(long.printed.at(-1)?.text).toBe(`${"y".repeat(2000)} …`);
    expect(runOf({ stdout: Array.from({ length: 300 }, () => "") }).more).toBe(0);
  });
  test("tell what is a run's own, of those that ran", () => {
    const [one, two, refused] = [
      runOf({ stdout: "a\nb" }),
      runOf({ stdout: "b\nc" }),
      runOf(0, "x"),
    ];
    const own = (text: string, ...runs: (typeof one)[]) =>
      parts().isOwn({ text, from: "out" }, runs);
    expect([own("a", one, two), own("b", one, two), own("c", one, two)]).toEqual([
      true,
      false,
      true,
    ]);
    expect([own("a", one, refused), own("a", one, one)]).toEqual([false, false]);
  });
  test("tell the reasons of what is said on stderr, each once", () => {
    const reasons = (...stderr: string[]) => parts().reasonsOf(runOf({ stderr }));
    for (const [said, reason] of [
      ["unshare: unshare failed: No space left on device", "sayNamespaces"],
      ["unshare failed: Invalid argument", "sayNamespaces"],
      ["connect: refused", "sayNetwork"],
      ["ping: Network is unreachable", "sayNetwork"],
      ["curl: Could not resolve host", "sayNetwork"],
      ["Temporary failure in name resolution", "sayNetwork"],
      ["touch: Read-only file system", "sayReadOnly"],
      ["sh: Cannot fork", "sayFork"],
      ["Resource temporarily unavailable", "sayFork"],
      ["Cannot allocate memory", "sayMemory"],
      ["memory exhausted", "sayMemory"],
      ["out of memory", "sayMemory"],
      ["cannot reserve", "sayMemory"],
      ["Address family not supported by protocol", "sayFamily"],
      ["Operation not permitted", "sayNotPermitted"],
      ["Permission denied", "sayDenied"],
      ["No such file or directory", "sayNoFile"],
      ["sh: x: not found", "sayNoFile"],
      ["dd: No space left on device", "saySpace"],
    ] as const)
      expect(reasons(said, said, "nothing else")).toEqual([reason]);
    expect(reasons("fine")).toEqual([]);
    expect(parts().reasonsOf(runOf({ stdout: "Permission denied" }))).toEqual([]);
  });

  const sandbox = (...steps: string[]) => ({ explained: { steps } }) as object;
  const differences = (...sandboxes: object[]) =>
    Object.fromEntries(
      parts()
        .differencesOf(sandboxes)
        .map(({ aspect, words }) => [aspect, words]),
    );
  test.each([
    ["run as uid 1", "user"],
    ["no capabilities", "capabilities"],
    ["keep the capability CAP_KILL", "capabilities"],
    ["no new privileges", "privileges"],
    ["NEW PRIVILEGES may be had", "privileges"],
    ["has its own pid", "namespaces"],
    ["join the network /run/netns/x", "namespaces"],
    ["see the whole file system", "files"],
    ["Landlock: no files", "files"],
    ["sockets of AF_UNIX", "sockets"],
    ["no sockets", "sockets"],
    ["AF_NETLINK of routes", "sockets"],
    ["system calls", "calls"],
    ["every system call", "calls"],
    ["every other system call", "calls"],
    ["at most 5 x", "limits"],
    ["no core", "limits"],
    ["killed after 3 x", "limits"],
    ["told to end", "limits"],
    ["no time limit", "limits"],
    ["start in a control group", "limits"],
    ["nice 3", "limits"],
    ["up to 7 processes each", "limits"],
    ["64 bytes", "limits"],
  ])("%j is about %s", (step, aspect) => {
    expect(differences(sandbox(step), sandbox())).toEqual({ [aspect]: [step, "–"] });
  });
  test("differ where not all say the same, in a few words", () => {
    const unknown = { explained: undefined };
    expect(differences(sandbox("run as a"), sandbox("run as a"))).toEqual({});
    expect(differences(sandbox(), unknown)["user"]).toEqual(["–", "?"]);
    const two = sandbox("sockets of A: the others fail", "AF_NETLINK of B: not C");
    expect(differences(two, sandbox())["sockets"]).toEqual(["sockets of A; AF_NETLINK of B", "–"]);
    const user = sandbox("run as a", "run as b");
    expect(differences(user, sandbox())["user"]).toEqual(["run as a; run as b", "–"]);
    const mounts = (count: number) => [
      "start from an empty, read-only root",
      ...Array.from({ length: count }, (_, i) => `mount /m${i} x`),
    ];
    const files = (count: number) =>
      differences(sandbox(...mounts(count)), sandbox())["files"]?.[0];
    expect(files(0)).toBe("start from an empty, read-only root");
    expect(files(6)).toBe("only /m0, /m1, /m2, /m3, /m4, /m5");
    expect(files(7)).toBe("only /m0, /m1, /m2, /m3, /m4, /m5, …");
    // A step is about one thing: the first that it fits.
    expect(differences(sandbox("run as x with 3 processes"), sandbox())).toEqual({
      user: ["run as x with 3 processes", "–"],
    });
  });
});

test("how a task ended, in words", () => {
  const { outcomeOf, duration } = parts();
  const kinds = [
    [undefined, "bad"],
    [{ exit: 0 }, "good"],
    [{ exit: 3 }, "bad"],
    [{}, "bad"],
    [{ exit: 0, cause: "timeout" }, "bad"],
    [{ exit: 0, info: "timeout" }, "bad"],
    [{ signal: "SIGTERM", cause: "stopped" }, "stopped"],
    [{ exit: 0, signal: "SIGKILL" }, "bad"],
    [{ cause: "oom", exit: 0 }, "bad"],
    [{ cause: "seccomp", exit: 0, syscall: "mount" }, "bad"],
    [{ cause: "supervisor", exit: 0 }, "bad"],
  ] as const;
  for (const [status, kind] of kinds)
    expect([status, outcomeOf(status).kind]).toEqual([status, kind]);
  const words = kinds.map(([status]) => outcomeOf(status).words);
  // Those of an exit without and with its number, and of a time-out, however it is told, are alike.
  expect(new Set(words.map((text) => text.replace(/\d|\?/, ""))).size).toBe(kinds.length - 2);
  expect([words[2], words[3]].map((text) => /[3?]/.exec(text ?? "")?.[0])).toEqual(["3", "?"]);
  expect(outcomeOf({ cause: "seccomp", syscall: "mount" }).words).toContain("mount");
  expect(outcomeOf({ signal: "SIGSEGV" }).words).toContain("SIGSEGV");
  const others = (count: number) => outcomeOf({ cause: "stopped", others: count }).words;
  expect([others(0), others(4).startsWith(`${others(0)} `), others(4).includes("4")]).toEqual([
    ...[outcomeOf({ cause: "stopped" }).words, true, true],
  ]);
  expect(outcomeOf({ cause: "timeout", others: 1 }).words).toContain("1");
  const times = [0.4, 999.4, 1000, 59_900, 60_000, 61_900, 3_599_000, 3_600_000, 7_380_000];
  expect(times.map(duration)).toEqual([
    ...[
      "0 ms",
      "999 ms",
      "1.0 s",
      "59.9 s",
      "1 min 0 s",
      "1 min 1 s",
      "59 min 59 s",
      "1 h 0 min",
      "2 h 3 min",
    ],
  ]);
});

test("lines of the events of a task", () => {
  const { linesOf, valueOf } = parts();
  const lines = (data: Record<string, unknown>) =>
    linesOf(data).map(({ text, from, over }) => [from, text, over]);
  expect(lines({ type: "data", pid: 1, seq: 2, stdout: "a\nb\n", stderr: ["c", "d\ne"] })).toEqual([
    ["out", "a", false],
    ["out", "b", false],
    ["err", "c", false],
    ["err", "d", false],
    ["err", "e", false],
  ]);
  expect(lines({ stdout: "10 %", cr: true })).toEqual([["out", "10 %", true]]);
  expect(lines({ stderr: "10 %", cr: true })).toEqual([["err", "10 %", true]]);
  expect(lines({ stdout: { a: 1 }, stderr: [1, "b"] })).toEqual([
    ["out", '{"a":1}', false],
    ["err", '[1,"b"]', false],
  ]);
  expect(lines({ more: 7, name: "x" })).toEqual([
    ["note", "more: 7", undefined],
    ["note", "name: x", undefined],
  ]);
  expect(lines({ type: "initial-event", stdout: "x" })).toEqual([]);
  expect(lines({ type: "final-event", status: {}, stdout: "x" })).toEqual([["out", "x", false]]);
  const [gone, left, none] = ["gone", "overflow", "unsubscribed"].map(
    (type) => lines({ type, events: 1234 })[0],
  );
  expect([gone?.[0], left?.[0], none?.[0]]).toEqual(["note", "note", "note"]);
  expect([gone?.[1], left?.[1]].every((text) => `${text}`.includes("1,234"))).toBe(true);
  expect(new Set([gone?.[1], left?.[1], none?.[1]]).size).toBe(3);
  expect(lines({ type: "gone" })[0]?.[1]).toContain("0");
  expect([
    valueOf({ stdout: { a: 1 } }),
    valueOf({ stdout: "a" }),
    valueOf({ stdout: [1] }),
  ]).toEqual([...[{ a: 1 }, undefined, undefined]]);
});

test("a task as the server tells it, whatever it leaves out", () => {
  const { readRecord, readRecords } = parts();
  const least = { id: "7", api: "a", verb: "v" };
  const empty = {
    ...{
      ...least,
      sandbox: "",
      state: "",
      caller: "",
      pid: undefined,
      asked: 0,
    },
    ...{ args: undefined, argv: [], hidden: false, lines: 0, status: undefined },
  };
  expect(readRecord(least)).toEqual(empty);
  const all = {
    ...{ ...least, sandbox: "s", state: "running", pid: 9, asked: 5, args: { a: 1 } },
    ...{ argv: ["x", 1, "y"], printed: { lines: 3 }, status: { exit: 0 }, hidden: true },
  };
  expect(readRecord(all)).toMatchObject({
    ...{ sandbox: "s", state: "running", pid: 9, asked: 5, args: { a: 1 } },
    ...{ argv: ["x", "y"], lines: 3, status: { exit: 0 }, hidden: true },
  });
  expect([
    readRecord({ ...least, cut: 1 })?.hidden,
    readRecord({ ...least, hidden: 1 })?.hidden,
  ]).toEqual([true, false]);
  for (const name of ["id", "api", "verb"])
    expect(readRecord({ ...least, [name]: 1 })).toBeUndefined();
  for (const none of [undefined, "x", [least]]) expect(readRecord(none)).toBeUndefined();
  expect(readRecords([least, 1, least])).toHaveLength(2);
  expect(readRecords(least)).toEqual([]);
  const caller = (given: object) => readRecord({ ...least, caller: given })?.caller;
  expect([
    caller({ info: "i", certificate: "c", address: "a", uid: 1 }),
    caller({ certificate: "c", address: "a" }),
    caller({ address: "a", uid: 1 }),
    caller({ uid: 1, via: "v" }),
    caller({ via: "v" }),
    caller({ uid: "1" }),
  ]).toEqual(["i", "c", "a", "uid 1", "v", ""]);
});

test("what is in the address leads to a view, and is read at each change, from its top", async () => {
  const { parseRoute, followRoute, route, go, ...links } = parts();
  for (const [hash, view] of [
    ["", { view: "verbs" }],
    ["#/x", { view: "verbs" }],
    ["#/v/a", { view: "verbs" }],
    ["#/v//b", { view: "verbs" }],
    ["#/s/a", { view: "verbs" }],
    ["#/s//b", { view: "verbs" }],
    ["#/t", { view: "verbs" }],
    ["#/a", { view: "activity" }],
    ["#/server", { view: "server" }],
    ["#/try", { view: "try" }],
    ["#/f", { view: "fleet", to: undefined }],
    ["#/t/%E0%A4%A", { view: "task", id: "%E0%A4%A" }],
    [links.verbLink("a", "b/c"), { view: "verb", api: "a", verb: "b/c" }],
    [links.sandboxLink("a", "s s"), { view: "sandbox", api: "a", sandbox: "s s" }],
    [links.taskLink("7"), { view: "task", id: "7" }],
    [links.fleetLink("@g"), { view: "fleet", to: "@g" }],
    [links.tryLink("a"), { view: "try", api: "a" }],
  ] as const)
    expect([hash, parseRoute(hash)]).toEqual([hash, view]);
  const top = page.window.document.documentElement;
  followRoute();
  top.scrollTop = 50;
  go("#/t/9");
  await until("it is read", () => route.value.view === "task");
  expect(top.scrollTop).toBe(0);
});

test("the calls that a sandbox denied, and what a program wants with them", () => {
  const { deniedOf, meaningOf } = parts();
  expect(deniedOf({ denied: { mount: 2, x: "1" } })).toEqual([["mount", 2]]);
  expect(deniedOf({})).toEqual([]);
  const groups = [
    ...[
      "mount umount umount2 pivot_root move_mount open_tree fsopen",
      "unshare setns clone clone3",
    ],
    ...["ptrace process_vm_readv", "clock_settime clock_adjtime64 settimeofday stime adjtimex"],
    ...[
      "init_module finit_module delete_module kexec_load",
      "reboot",
      "socket socketpair connect bind",
    ],
    ...[
      "bpf perf_event_open io_uring_setup",
      "setuid setgid setreuid setresgid setfsuid setgroups capset",
    ],
    ...[
      "chown fchown lchown fchownat chmod fchmod fchmodat2",
      "add_key keyctl request_key",
      "sethostname setdomainname",
    ],
  ].map((names) => names.split(" ").map(meaningOf));
  for (const meanings of groups)
    expect([new Set(meanings).size, meanings[0] === undefined]).toEqual([1, false]);
  expect(new Set(groups.map(([first]) => first)).size).toBe(groups.length);
  expect(["read", "mounts", "xreboot"].map(meaningOf)).toEqual([undefined, undefined, undefined]);
});

test("the same call from a shell, with what a shell would change in quotes, and no secret", () => {
  const { commandLines, quoted } = parts();
  expect(["a/b-c.d:e@f%g+h=i_1", "a b", "it's", ""].map(quoted)).toEqual([
    "a/b-c.d:e@f%g+h=i_1",
    "'a b'",
    `'it'\\''s'`,
    "''",
  ]);
  const texts = () => commandLines("api", "v w/x", { a: "\u202e" }).map(({ text }) => text);
  expect(texts()).toEqual([
    `curl http://localhost/api/api/v%20w/x -H 'Content-Type: application/json' -d '{"a":"\\u202e"}'`,
    `spawnbox call --url http://localhost 'api/v w/x' '{"a":"\\u202e"}'`,
    `afb-client --human ws://localhost/api api 'v w/x' '{"a":"\\u202e"}'`,
  ]);
  page.window.sessionStorage.setItem("spawnbox:token", "secret");
  const secret = texts();
  expect(secret.join(" ")).not.toContain("secret");
  expect(secret[0]).toStartWith(`curl -H "Authorization: Bearer $TOKEN" http`);
  expect(secret[1]).toStartWith("spawnbox call --token-file FILE --url");
  expect(secret[2]).toStartWith(`afb-client --human --token "$TOKEN" ws`);
  page.window.sessionStorage.clear();
});

test("sums of the metrics, by their names", () => {
  const text = `# HELP x\nspawnbox_launches_total{a="1"} 2\nspawnbox_launches_total{a="2"} 3\nspawnbox_tasks_running 1\nprocess_resident_memory_bytes 4096\nother 9\n`;
  expect(sampleOf(text)).toEqual({ memory: 4096, launches: 5, running: 1 });
  expect(sampleOf("")).toEqual({ memory: 0, launches: 0, running: 0 });
});

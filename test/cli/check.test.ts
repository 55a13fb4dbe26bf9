import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  expect,
  type Mock,
  spyOn,
  test,
} from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { check, run } from "../../src/cli/check.ts";
import { run as schema } from "../../src/cli/schema.ts";
import { copyOfSamples } from "../samples.ts";

const copies = copyOfSamples();
const samples = ["demo", "simple"].map((name) => join(copies, `${name}.json`)).join(":");
let dir: string;
let bad: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "check-"));
  bad = join(dir, "bad.json");
  writeFileSync(
    bad,
    '{"metadata": {"uid": "u", "api": "a"}, "sandboxes": {"uid": 5, "commandz": []}}',
  );
});
afterAll(() => {
  for (const made of [dir, copies]) rmSync(made, { recursive: true });
});

let out: Mock<typeof console.log>;
let err: Mock<typeof console.error>;
beforeEach(() => {
  out = spyOn(console, "log").mockImplementation(() => {});
  err = spyOn(console, "error").mockImplementation(() => {});
});
afterEach(() => {
  out.mockRestore();
  err.mockRestore();
});
const printed = () => out.mock.calls.flat().join("\n");

test("good configs: their verbs, exit code 0", async () => {
  expect(await run(samples.split(":"))).toBe(0);
  const lines = printed()
    .split("\n")
    .filter((line) => !line.startsWith("notice: "));
  expect(lines[0]).toBe("OK: 2 APIs, 12 verbs");
  expect(lines).toContain("  demo/box/look");
  expect(lines).toContain("  simple/uptime");
});

test("extra verbs are told with the others", async () => {
  const file = join(dir, "extra.json");
  const demo = JSON.parse(readFileSync(join(copies, "demo.json"), "utf8")) as object;
  const extra = { uid: "hi", action: "api://demo#hello" };
  writeFileSync(file, JSON.stringify({ ...demo, extra }));
  expect(await run([file])).toBe(0);
  expect(printed().split("\n")).toContain("  demo/hi");
});

test("bad configs: every problem on a line, exit code 1", async () => {
  expect(await run([bad])).toBe(1);
  const lines = printed().split("\n");
  expect(lines).toHaveLength(3);
  for (const line of lines) expect(line).toStartWith(`${bad}: sandboxes[0].`);
});

test("--json tells the same to programs", async () => {
  expect(await run(["--json", bad])).toBe(1);
  const { ok, problems, notices } = JSON.parse(printed());
  expect({ ok, notices }).toEqual({ ok: false, notices: [] });
  expect(problems).toHaveLength(3);
  expect(Object.keys(problems[0])).toEqual(["file", "path", "message"]);
});

test("what compiling finds is told too", async () => {
  const file = join(dir, "unknown.json");
  const sandbox = {
    uid: "s",
    acls: { user: "nobody" },
    seccomp: { default: "SCMP_ACT_ALLOW", rules: { syscall: "nonsense", action: "SCMP_ACT_ALOW" } },
    commands: { uid: "c", encoder: "txet", exec: { cmdpath: "/no/such/program" } },
  };
  writeFileSync(file, JSON.stringify({ metadata: { uid: "u", api: "a" }, sandboxes: sandbox }));
  const { exitCode, output } = await check(file, { json: false });
  expect(exitCode).toBe(1);
  expect(output).toContain(
    'sandboxes[0].seccomp.rules[0]: unknown action "SCMP_ACT_ALOW"; did you mean `ALLOW`? SCMP_ACT_',
  );
  expect(output).toContain(
    "sandboxes[0].commands[0].exec.cmdpath: /no/such/program does not exist on this machine",
  );
  expect(output).toContain("unknown encoder `txet`; did you mean `text`?");
});

test("wrong usage is exit code 2 with a message", async () => {
  expect(await run(["--jsn", bad])).toBe(2);
  expect(await schema(["--nope"])).toBe(2);
  expect(await schema(["more"])).toBe(2);
  expect(err.mock.calls.flat().join("\n")).toContain("--jsn");
  const saved = process.env["AFB_SPAWN_CONFIG"];
  delete process.env["AFB_SPAWN_CONFIG"];
  try {
    expect(await run([])).toBe(2);
    process.env["AFB_SPAWN_CONFIG"] = samples;
    expect(await run([])).toBe(0);
  } finally {
    if (saved === undefined) delete process.env["AFB_SPAWN_CONFIG"];
    else process.env["AFB_SPAWN_CONFIG"] = saved;
  }
});

test("schema prints JSON or Markdown", async () => {
  expect(await schema([])).toBe(0);
  expect(JSON.parse(printed())).toMatchObject({ title: "spawnbox config" });
  out.mockClear();
  expect(await schema(["--markdown"])).toBe(0);
  expect(printed()).toStartWith("| Key | Type |");
});

test("what a server would not start with besides its configs is told, and nothing is made", async () => {
  const place = mkdtempSync(join(dir, "named-"));
  const open = join(place, "open");
  mkdirSync(open);
  chmodSync(open, 0o1777);
  const key = join(place, "key.pem");
  writeFileSync(key, "no key");
  const fifo = join(place, "fifo");
  Bun.spawnSync(["mkfifo", "-m", "600", fifo]);
  const told = async (...argv: string[]): Promise<string> => {
    out.mockClear();
    const code = await run([...samples.split(":"), ...argv]);
    return `${code} ${printed()}`;
  };
  for (const [argv, expected] of [
    [["--audit", join(place, "log")], /^0 /],
    [["--audit", "journal"], /^0 /],
    [["--audit", fifo], /^0 /],
    [
      ["--audit", join(place, "none/log")],
      /^1 --audit: .*none\/log: there is no such directory: make it first \(ENOENT\)$/,
    ],
    [["--audit", place], /^1 --audit: .*it is a directory/],
    [["--audit", join(open, "log")], /^1 --audit: others can make files in .*--audit-max 0/],
    [["--audit", join(open, "log"), "--audit-max", "0"], /^0 /],
    [["--history", join(place, "history")], /^0 (?![^]*history)/],
    [["--history", join(open, "history")], /^0 [^]*no history is kept: others can put files/],
    [["--history", join(place, "none/history")], /^0 [^]*no history is kept/],
    [["--history", fifo], /^0 [^]*no history is kept/],
    [["--tls-cert", join(place, "none.pem"), "--tls-key", key], /^1 [^]*none.pem.*ENOENT/],
    // On another machine than the server's.
    [["--no-try", "--audit", join(place, "none/log")], /^0 /],
  ] as const)
    expect([argv, await told(...argv)]).toEqual([argv, expect.stringMatching(expected)]);
  for (const wrong of [
    ["--audit-files", "3"],
    ["--history", ""],
    ["--tls-cert", key],
  ])
    expect([wrong, await run([samples, ...wrong])]).toEqual([wrong, 2]);
  expect(readdirSync(place).toSorted()).toEqual(["fifo", "key.pem", "open"]);
  expect(readdirSync(open)).toEqual([]);
});

test("sandboxes are tried, unless that is not wanted", async () => {
  const file = join(dir, "tried.json");
  const sandbox = {
    ...{ uid: "s", acls: { user: process.geteuid?.() }, cgroups: { mount: "/none", pids: 9 } },
    commands: { uid: "c", exec: { cmdpath: "/bin/true" } },
  };
  writeFileSync(file, JSON.stringify({ metadata: { uid: "u", api: "a" }, sandboxes: sandbox }));
  const of = async (options: { trial?: boolean }) =>
    (await check(file, { json: false, access: "none", ...options })).output;
  const why = "/none is not a mounted cgroup v2 hierarchy";
  expect(await of({})).toContain(why);
  expect(await of({ trial: true })).toContain(why);
  expect(await of({ trial: false })).not.toContain(why);
});

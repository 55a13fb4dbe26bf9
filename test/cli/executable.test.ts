/** The executable as its user meets it: usage, exit codes, and that nothing around it changes what it does. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { copyOfSamples } from "../samples.ts";
import { asOrdinary } from "../accounts.ts";
import { isRoot, programIn, type User, users } from "../served.ts";

const PATH = "/usr/sbin:/usr/bin:/sbin:/bin";
let dir: string;
let program: string;
let samples: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-cli-"));
  chmodSync(dir, 0o755);
  program = programIn(dir);
  samples = copyOfSamples();
});
afterAll(() => {
  for (const made of [dir, samples]) rmSync(made, { recursive: true });
});

function spawnbox(...args: string[]) {
  const done = Bun.spawnSync([program, ...args], { cwd: dir, env: { PATH: "/usr/bin:/bin" } });
  return { code: done.exitCode, out: done.stdout.toString(), err: done.stderr.toString() };
}
const sample = (name: string) => join(samples, `${name}.json`);

describe("usage", () => {
  const subcommands = [
    "serve",
    "check",
    "run",
    "call",
    "mcp",
    "ps",
    "watch",
    "stop",
    "schema",
    "explain",
    "doctor",
    "compile",
    "early",
    "token",
    "cert",
    "fleet",
    "help",
    "completion",
  ];
  test("--help names every subcommand, and each explains itself", () => {
    const { code, out } = spawnbox("--help");
    expect(code).toBe(0);
    for (const name of subcommands) {
      expect(out).toContain(name);
      const own = spawnbox(name, "--help");
      expect({ name, code: own.code }).toEqual({ name, code: 0 });
      expect(own.out.toLowerCase()).toContain(`usage: spawnbox ${name}`);
      expect(spawnbox(name, "--version").out).toMatch(/^spawnbox \d+\.\d+\.\d+\n$/);
    }
  });
  test("what cannot be written is told, and is no success", () => {
    const access = "schema --access";
    for (const args of [
      "--version",
      "--help",
      "call --help",
      "help",
      "help config",
      "token",
      access,
    ]) {
      const words = ["sh", "-c", 'exec "$0" "$@" >/dev/full', program, ...args.split(" ")];
      const { exitCode, stderr } = Bun.spawnSync(words, { cwd: dir, env: { PATH } });
      expect([args, exitCode]).toEqual([args, 1]);
      expect(stderr.toString()).toMatch(/^spawnbox( \w+)?: standard output: ENOSPC: .*\n$/m);
      expect(stderr.toString()).not.toContain("bug");
    }
    // Who has read enough is no fault.
    const enough = ["bash", "-c", '"$0" schema | head -1; exit ${PIPESTATUS[0]}', program];
    expect(Bun.spawnSync(enough, { cwd: dir, env: { PATH } }).exitCode).toBe(0);
  });
  test("servers compile sooner, in words and variables as they were given", () => {
    const run = (variables: readonly string[], ...args: string[]) => {
      const through = ["env", "-i", ...variables, program, ...args];
      const { exitCode, stdout, stderr } = Bun.spawnSync(through, { cwd: dir });
      return { code: exitCode, said: stdout.toString() + stderr.toString() };
    };
    const told = "BUN_JSC_dumpOptions=1";
    const sooner = "thresholdForOptimizeAfterWarmUp=60 ";
    expect(run([told], "serve", "--help").said).toContain(sooner);
    for (const args of [["check", "--help"], ["serves"], ["serv"], ["--version"], []])
      expect(run([told], ...args).said).not.toContain("AfterWarmUp");
    // Whoever sets one has the last word.
    const own = run([told, "BUN_JSC_thresholdForOptimizeAfterWarmUp=300"], "serve", "--help");
    expect(own.said).toContain("thresholdForOptimizeAfterWarmUp=300");
    // As many as there may be: odd, even, none.
    for (let count = 0; count < 6; count++) {
      const variables = Array.from({ length: count }, (_, i) => `V${i}=${"x".repeat(i)}`);
      const { code, said } = run([...variables, "AFB_SPAWN_CONFIG=missing.json"], "serve");
      expect([code, said]).toEqual([1, expect.stringContaining("missing.json: ENOENT")]);
      const words = Array.from({ length: count }, (_, i) => `word${i}`);
      const wrong = run(variables, "serve", ...words, "--nothing");
      expect([wrong.code, wrong.said]).toEqual([2, expect.stringContaining(words[0] ?? "nothing")]);
    }
  });
  test.if(isRoot)("where /proc is missing, each says so in one line", () => {
    for (const name of [...subcommands, "install", "--version"]) {
      const hidden = 'mount -t tmpfs none /proc && exec "$0" "$@"';
      const through = ["unshare", "--mount", "sh", "-c", hidden, program, name];
      const { exitCode, stdout, stderr } = Bun.spawnSync(through, { cwd: dir, env: { PATH } });
      expect([exitCode, stdout.toString()]).toEqual([1, ""]);
      expect(stderr.toString()).toMatch(
        /^spawnbox: \/proc is not mounted, .*: mount -t proc .*\n$/,
      );
    }
  });
  const emulator = Bun.which(process.arch === "arm64" ? "qemu-aarch64" : "qemu-x86_64");
  const on = (cpu: string, ...args: string[]) => {
    const { exitCode, stdout, stderr } = Bun.spawnSync(
      [emulator ?? "", "-cpu", cpu, program, ...args],
      { cwd: dir, env: { PATH } },
    );
    // The emulator tells which features of the model it lacks.
    const said = stderr.toString().replace(/^qemu-\S+: warning: .*\n/gm, "");
    return { code: exitCode, out: stdout.toString(), err: said };
  };
  test.if(emulator !== null)(
    "the oldest processors of either architecture do",
    () => {
      const cpu = process.arch === "arm64" ? "cortex-a53" : "Nehalem";
      expect(on(cpu, "schema").out).toContain("urn:spawnbox:config");
      expect(on(cpu, "check", "--no-try", sample("simple"))).toMatchObject({ code: 0, err: "" });
    },
    120_000,
  );
  test.if(emulator !== null && process.arch === "x64")(
    "an older processor is told in one line, and no signal ends it",
    () => {
      for (const cpu of ["qemu64", "core2duo"])
        expect(on(cpu, "--version")).toEqual({
          code: 1,
          out: "",
          err: expect.stringMatching(/^spawnbox: this processor lacks SSE4\.2 .*\n$/),
        });
    },
  );
  test("wrong usage is exit code 2 and says what to do", () => {
    for (const args of [
      [],
      ["sreve"],
      ["serve"],
      ["serve", "--prot", "1"],
      ["run"],
      ["run", "x"],
      ["call"],
      ["check"],
      ["token", ""],
      ["token", "--privilege", "x"],
      ["serve", "--config", "x", "--access", ""],
      ["serve", "--config", "x", "--cynagora", "nowhere"],
      ["check", "x", "--cynagora=tcp:host"],
    ]) {
      const { code, err } = spawnbox(...args);
      expect({ args, code }).toEqual({ args, code: 2 });
      expect(err.length).toBeGreaterThan(20);
    }
    expect(spawnbox("sreve").err).toContain("did you mean `serve`?");
    expect(spawnbox("serve", "--prot", "1").err).toBe(
      "spawnbox serve: unknown option --prot; did you mean `--port`?\n\n" +
        "usage: spawnbox serve --config PATH[:PATH...] [OPTIONS]\n--help tells more.\n",
    );
    expect(spawnbox("serve", "my.json").err).toStartWith(
      "spawnbox serve: unexpected argument my.json; did you mean `--config my.json`?\n",
    );
    expect(spawnbox("schema", "x").err).toStartWith("spawnbox schema: unexpected argument x\n");
    expect(spawnbox("call", "a/b", "-1").err).toStartWith(
      "spawnbox call: unknown option -1; as an argument, it stands after --\n",
    );
    const port = spawnbox("serve", "--config", sample("demo"), "--port", "70000");
    expect(port).toMatchObject({ code: 2, err: expect.stringContaining("--port 70000") });
  });
});

test("every sample config is valid here", () => {
  for (const name of ["demo", "simple", "sandbox", "plugins"]) {
    expect(spawnbox("check", sample(name))).toMatchObject({
      code: 0,
      out: expect.stringContaining("OK: 1 API"),
    });
  }
});

test("run prints the reply, and its exit code tells the command's", () => {
  const { code, out } = spawnbox("run", "demo/hello", '{"name":"you"}', "--config", sample("demo"));
  expect(code).toBe(0);
  const lines = out
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type?: string; response?: object });
  expect(lines[0]).toMatchObject({ type: "initial-event" });
  expect(lines[1]?.response).toMatchObject({
    stdout: ["Hello you from spawnbox"],
    status: { exit: 0 },
  });
  expect(
    spawnbox("run", "demo/list", '{"dirname":"/nowhere"}', "--config", sample("demo")).code,
  ).toBe(1);
  expect(spawnbox("run", "demo/list", "{}", "--config", sample("demo")).code).toBe(1);
  expect(spawnbox("run", "demo/lst", "{}", "--config", sample("demo"))).toMatchObject({
    code: 1,
    out: expect.stringContaining("did you mean `list`"),
  });
});

test("run prints the events of a verb that starts another, and ends with its task", async () => {
  const file = join(dir, "extra.json");
  const exec = { cmdpath: "/bin/sh", args: ["-c", "echo a; exit 3"] };
  const acls = { ...(isRoot && { user: "nobody" }) };
  const sandboxes = { uid: "s", acls, commands: { uid: "line", encoder: "line", exec } };
  const extra = { uid: "via", action: "api://x#line" };
  writeFileSync(file, JSON.stringify({ metadata: { uid: "x", api: "x" }, sandboxes, extra }));
  const running = Bun.spawn([program, "run", "x/via", "--config", file], {
    ...{ env: { PATH: "/usr/bin:/bin" }, stdin: "ignore", stderr: "inherit" },
  });
  expect((await running.stdout.text()).match(/"stdout":"a"|final-event/g)).toEqual([
    '"stdout":"a"',
    "final-event",
  ]);
  expect(await running.exited).toBe(1);
});

test("run hands its standard input on, and an interrupted command has its grace", async () => {
  const file = join(dir, "run.json");
  const script =
    "trap 'sleep 0.5; echo x >good-end; exit 0' TERM; echo up; while :; do sleep 0.05; done";
  const commands = [
    { uid: "sum", encoder: "sync", stdin: "body", exec: { cmdpath: "/usr/bin/sha256sum" } },
    {
      ...{ uid: "wait", encoder: "line", stop: { signal: "TERM", grace: 60 } },
      exec: { cmdpath: "/bin/sh", args: ["-c", script] },
    },
  ];
  const acls = { chdir: dir, ...(isRoot && { user: "root" }) };
  const sandboxes = { uid: "s", acls, commands };
  writeFileSync(file, JSON.stringify({ metadata: { uid: "x", api: "x" }, sandboxes }));
  const run = (verb: string, stdin: Blob | "ignore") =>
    Bun.spawn([program, "run", `x/${verb}`, "--config", file], {
      ...{ cwd: dir, env: { PATH: "/usr/bin:/bin" }, stderr: "inherit" },
      ...{ stdin, stdout: "pipe" },
    });
  const data = "x".repeat(300_000);
  const summed = run("sum", new Blob([data]));
  expect(await summed.stdout.text()).toContain(
    new Bun.CryptoHasher("sha256").update(data).digest("hex"),
  );
  expect(await summed.exited).toBe(0);
  const waiting = run("wait", "ignore");
  for await (const chunk of waiting.stdout) if (Buffer.from(chunk).includes('"up"')) break;
  waiting.kill("SIGINT");
  expect(await waiting.exited).toBe(130);
  expect(readFileSync(join(dir, "good-end"), "utf8")).toBe("x\n");
});

test("token prints a token, and the grant that an access file needs for it", () => {
  const { code, out, err } = spawnbox("token", "--info", "the panel", "urn:a", "urn:b");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  const [token = "", grant = "", ...rest] = out.split("\n");
  expect(token).toMatch(/^[\w-]{43}$/);
  expect(rest).toEqual([""]);
  const sha256 = new Bun.CryptoHasher("sha256").update(token).digest("hex");
  expect(JSON.parse(grant)).toEqual({
    info: "the panel",
    token: `sha256:${sha256}`,
    privileges: ["urn:a", "urn:b"],
  });
  expect(spawnbox("token")).toMatchObject({ code: 0, err: expect.stringContaining("privileges") });
  expect(spawnbox("schema", "--access").out).toContain("urn:spawnbox:access");
  expect(spawnbox("schema", "--access", "--markdown").out).toContain("`grants[].token`");
  const file = join(dir, "access.json");
  writeFileSync(file, JSON.stringify({ grants: JSON.parse(grant) as object }), { mode: 0o600 });
  const checked = spawnbox("check", "--access", file, sample("demo"));
  expect(checked).toMatchObject({ code: 0 });
  expect(checked.out).toContain("grants[0].privileges: no verb needs the privilege `urn:a`");
  expect(spawnbox("check", "--access", "open", sample("demo")).out).toContain(
    "notice: --access open: whoever can connect has every privilege",
  );
  writeFileSync(file, "{}");
  const broken = spawnbox("serve", "--config", sample("demo"), "--access", file);
  expect(broken).toMatchObject({ code: 1, err: expect.stringContaining("missing key `grants`") });
});

test("a config that does not exist, is not JSON, or is wrong, does not start", () => {
  const file = join(dir, "broken.json");
  writeFileSync(
    file,
    '{"metadata": {"uid": "x", "api": "y"},\n "sandboxes": {"uid": "s" "commands": []}}',
  );
  expect(spawnbox("serve", "--config", file)).toMatchObject({
    code: 1,
    err: expect.stringContaining("line 2"),
  });
  expect(spawnbox("serve", "--config", join(dir, "none.json"))).toMatchObject({ code: 1 });
});

/** As who serves would, without what root's rights give. */
function spawnboxAs(user: User, ...args: string[]) {
  const drop = user !== "root" ? asOrdinary : [];
  const done = Bun.spawnSync([...drop, program, ...args], {
    cwd: "/",
    env: { PATH: "/usr/bin:/bin" },
  });
  return { code: done.exitCode, said: done.stdout.toString() + done.stderr.toString() };
}

test.each(users)("acls.runmod refuses the wrong user: served by %s", (user) => {
  const file = join(dir, "runmod.json");
  const write = (runmod: string) => {
    const commands = { uid: "c", exec: { cmdpath: "/bin/true" } };
    const sandboxes = { uid: "s", acls: { user: "nobody", runmod }, commands };
    writeFileSync(file, JSON.stringify({ metadata: { uid: "x", api: "x" }, sandboxes }));
  };
  const [wrong, right, why] =
    user === "root"
      ? ["user", "admin", '"user": this config must not be served by root']
      : ["admin", "user", '"admin": this config must be served by root'];
  write(wrong);
  for (const args of [
    ["check", file],
    ["serve", "--port", "0", "--config", file],
  ]) {
    expect(spawnboxAs(user, ...args)).toMatchObject({
      code: 1,
      said: expect.stringContaining(`sandboxes[0].acls.runmod: ${why}`),
    });
  }
  write(right);
  expect(spawnboxAs(user, "check", file).code).toBe(0);
});

test.if(isRoot)("root refuses a config that others can change, and others do not", () => {
  const file = join(samples, "simple.json");
  chmodSync(file, 0o664);
  for (const args of [
    ["check", file],
    ["serve", "--port", "0", "--config", file],
    ["run", "simple/uptime", "--config", file],
    ["compile", file, "-o", join(dir, "simple.plan")],
  ]) {
    expect(spawnboxAs("root", ...args)).toMatchObject({
      code: 1,
      said: expect.stringContaining(`others than its owner: chmod go-w ${file}`),
    });
  }
  expect(spawnboxAs("ordinary user", "check", file).code).toBe(0);
  chmodSync(file, 0o644);
  expect(spawnboxAs("root", "check", file).code).toBe(0);
});

test("it asks for glibc 2.17, as the page of places says, and for no later one", () => {
  const text = readFileSync(program).toString("latin1");
  const versions = [...text.matchAll(/\bGLIBC_2\.(\d+)\b/g)].map(([, minor]) => Number(minor));
  expect(Math.max(...versions)).toBe(17);
});

test("an unreachable server is exit code 3", () => {
  const { code, err } = spawnbox("call", "--url", "ws://127.0.0.1:1/api", "x/ping");
  expect(code).toBe(3);
  expect(err).toContain("127.0.0.1:1");
});

test("files of the current directory do not reach the runtime", () => {
  writeFileSync(join(dir, ".env"), "AFB_SPAWN_CONFIG=/from/dotenv\n");
  writeFileSync(join(dir, "bunfig.toml"), 'preload = ["./evil.js"]\n');
  writeFileSync(join(dir, "evil.js"), "console.log('evil ran'); process.exit(66);");
  expect(spawnbox("--version")).toMatchObject({
    code: 0,
    out: expect.not.stringContaining("evil"),
  });
  expect(spawnbox("check").err).toContain("no config");
});

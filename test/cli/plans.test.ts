/** compile, explain and doctor of the executable, as a user meets them. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ORDINARY } from "../accounts.ts";
import { isRoot, programIn } from "../served.ts";

let dir: string;
let program: string;
let config: string;
const plan = () => join(dir, "x.plan");
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), "spawnbox-plans-"));
  chmodSync(dir, 0o755);
  program = programIn(dir);
  config = join(dir, "config.json");
  const echo = {
    uid: "echo",
    encoder: "sync",
    params: { word: { type: "string", maxLength: 5 } },
    exec: {
      cmdpath: "/bin/sh",
      args: ["-c", 'echo "$0 $$SECRET"; grep Seccomp: /proc/self/status', "%word%"],
    },
  };
  const sandboxes = [
    { uid: "box", profile: "minimal", commands: [echo] },
    { uid: "bare", acls: { user: "nobody" }, commands: [echo] },
    {
      uid: "told",
      profile: "minimal",
      seccomp: { report: true, rules: { syscall: "umask", action: "SCMP_ACT_LOG" } },
      commands: [
        { ...echo, exec: { cmdpath: "/bin/sh", args: ["-c", "umask; unshare -n %word%"] } },
      ],
    },
  ];
  writeFileSync(config, JSON.stringify({ metadata: { uid: "x", api: "x" }, sandboxes }));
});
afterAll(() => rmSync(dir, { recursive: true }));

function spawnbox(...args: string[]) {
  const done = Bun.spawnSync([program, ...args], {
    cwd: dir,
    env: { PATH: "/usr/bin:/bin", SECRET: "leak" },
  });
  return { code: done.exitCode, out: done.stdout.toString(), err: done.stderr.toString() };
}

describe("compile", () => {
  test("numbers of a config are handed on as they are written, by a plan file too", () => {
    const args = '["%v%", "?w?", 1.50, 1e3, 9007199254740993]';
    const params = `{"v": {"type": "number", "minimum": 1.0, "multipleOf": 0.50, "default": 1.50},
      "w": {"type": "array", "default": [1.0, {"id": 9007199254740993}]}}`;
    const text = `{"metadata": {"uid": "n", "api": "n", "version": 1.10}, "sandboxes": {
      "uid": "box", "profile": "minimal", "acls": {"timeout": 1e1},
      "cgroups": {"optional": true, "mem": {"max": 1e9}}, "envs": {"name": "V", "value": 2.50},
      "commands": [
        {"uid": "echo", "encoder": "sync", "exec": {"cmdpath": "/bin/echo", "args": ${args}}, "params": ${params},
         "sample": {"v": 2.50}},
        {"uid": "env", "encoder": {"output": "line", "opts": {"maxlen": 1e2}},
         "exec": {"cmdpath": "/usr/bin/printenv", "args": "V"}}]},
      "extra": {"uid": "two", "action": "api://n#echo", "args": {"v": 2.50, "w": [1e0]}}}`;
    const file = join(dir, "numbers.json");
    const compiled = join(dir, "numbers.plan");
    writeFileSync(file, text);
    expect(spawnbox("compile", file, "-o", compiled).code).toBe(0);
    for (const source of [
      ["--config", file],
      ["--plan", compiled],
    ]) {
      const out = (verb: string, ...more: string[]) =>
        spawnbox("run", ...source, "--raw", `n/${verb}`, ...more).out;
      const constants = "1.50 1e3 9007199254740993";
      const printed = (line: string) => `"stdout":[${JSON.stringify(line)}]`;
      expect(out("echo")).toContain(printed(`1.50 [1.0,{"id":9007199254740993}] ${constants}`));
      expect(out("two")).toContain(printed(`2.50 [1e0] ${constants}`));
      expect(out("env")).toContain('"stdout":"2.50"');
      expect(out("echo", '{"v": 0.50}')).toContain(
        "expected a number of at least 1, a multiple of 0.5",
      );
      const info = out("info");
      expect(info).toContain('"version":"1.10"');
      expect(info).toContain('"sample":[{"v":2.50}]');
      expect(info).toContain('"default":[1.0,{"id":9007199254740993}]');
    }
  });

  test("what autocreate makes is made where the plans start, for the sandbox's user", () => {
    const state = join(dir, "state/of/box");
    const namespace = {
      opts: { autocreate: true },
      mounts: [{ target: "/state", source: state, mode: "rw" }],
    };
    const exec = { cmdpath: "/bin/sh", args: ["-c", "echo kept >/state/file; cat /state/file"] };
    const sandboxes = {
      ...{ uid: "box", profile: "minimal", acls: { user: "nobody" }, namespace },
      commands: { uid: "keep", encoder: "sync", exec },
    };
    const making = join(dir, "making.json");
    const made = join(dir, "making.plan");
    writeFileSync(making, JSON.stringify({ metadata: { uid: "m", api: "m" }, sandboxes }));
    for (const args of [
      ["compile", making, "-o", made],
      ["check", "--plan", made],
      ["explain", "--plan", made],
    ])
      expect([args[0], spawnbox(...args).code, existsSync(join(dir, "state"))]).toEqual([
        args[0],
        0,
        false,
      ]);
    expect(spawnbox("run", "--plan", made, "m/keep").out).toContain('"stdout":["kept"]');
    const { uid, mode } = statSync(state);
    expect({ uid, mode: mode & 0o7777 }).toEqual({
      uid: isRoot ? ORDINARY : (process.getuid?.() ?? -1),
      mode: 0o750,
    });
    expect(statSync(join(dir, "state/of")).mode & 0o7777).toBe(0o755);
  });

  test("to standard output, with nothing else there: to another machine by a pipe", () => {
    const piped = spawnbox("compile", config, "-o", "-");
    expect([piped.code, piped.err.split("\n").at(-2)]).toEqual([
      0,
      expect.stringContaining("standard output: x, for "),
    ]);
    spawnbox("compile", config, "-o", plan());
    expect(piped.out).toBe(readFileSync(plan(), "utf8"));
    expect(existsSync("-")).toBe(false);
  });

  test("a plan file runs, without the environment it was compiled in", () => {
    expect(spawnbox("compile", config, "-o", plan())).toMatchObject({
      code: 0,
      out: expect.stringContaining("x.plan: x, for "),
    });
    const ran = spawnbox("run", "--plan", plan(), "x/box/echo", '{"word": "hello"}');
    expect(ran.code).toBe(0);
    expect(ran.out).toContain('"hello ","Seccomp:\\t2"');
    expect(spawnbox("run", "--plan", plan(), "x/bare/echo", '{"word": "a"}').out).toContain(
      '"a ","Seccomp:\\t0"',
    );
    expect(spawnbox("run", "--plan", plan(), "x/box/echo", '{"word": "longer"}')).toMatchObject({
      code: 1,
      out: expect.stringContaining("argument `word`"),
    });
    expect(spawnbox("check", "--plan", plan())).toMatchObject({
      code: 0,
      out: expect.stringContaining("x/box/echo"),
    });
    expect(spawnbox("explain", "--plan", plan(), "box")).toMatchObject({ code: 0 });
  });

  test.each(["box", "told"])("the libraries are not opened: %s", (sandbox) => {
    // A loader that finds no such library stands for a system without them.
    const query = [`x/${sandbox}/echo`, '{"word": "a"}'];
    const trace = Bun.spawnSync([program, "run", "--plan", plan(), ...query], {
      env: { PATH: "/usr/bin:/bin", LD_DEBUG: "files" },
    }).stderr.toString();
    expect(trace).toContain("libc.so.6");
    expect(trace).not.toMatch(/libseccomp|libcap/);
  });

  test("calls are told by name", () => {
    const { code, out } = spawnbox("run", "--plan", plan(), "x/told/echo", '{"word": "true"}');
    expect(out).toMatch(/"denied":\{"unshare":1\},"logged":\{"umask":[12]\}\}/);
    expect(code).toBe(1);
  });

  test("for the other architecture: its filter, and only there", () => {
    const other = process.arch === "x64" ? "arm64" : "x64";
    expect(spawnbox("compile", config, "-o", plan(), "--arch", other).code).toBe(0);
    expect(readFileSync(plan(), "utf8")).toContain(`"arch":"${other}"`);
    expect(spawnbox("check", "--plan", plan())).toMatchObject({
      code: 1,
      out: expect.stringContaining(`it is for ${other}`),
    });
    expect(spawnbox("serve", "--plan", plan()).code).toBe(1);
  });

  test.skipIf(!isRoot)("as root, a file that others could have written is refused", () => {
    spawnbox("compile", config, "-o", plan());
    const { out } = spawnbox("check", "--plan", plan());
    expect(out).toStartWith("OK");
    chmodSync(plan(), 0o664);
    expect(spawnbox("check", "--plan", plan())).toMatchObject({
      code: 1,
      out: expect.stringContaining("chmod go-w"),
    });
    chmodSync(plan(), 0o644);
    chownSync(plan(), 65534, 65534);
    expect(spawnbox("run", "--plan", plan(), "x/box/echo")).toMatchObject({
      code: 1,
      err: expect.stringContaining("belongs to uid 65534"),
    });
  });

  test("a config with problems writes nothing; wrong usage is 2", () => {
    const bad = join(dir, "bad.json");
    writeFileSync(bad, "{}");
    const output = join(dir, "none.plan");
    expect(spawnbox("compile", bad, "-o", output).code).toBe(1);
    expect(() => readFileSync(output)).toThrow("ENOENT");
    expect(spawnbox("compile", config, "-o", join(dir, "no/such/dir")).code).toBe(1);
    for (const args of [[config], ["-o", output], [config, "-o", output, "--arch", "mips"]])
      expect(spawnbox("compile", ...args).code).toBe(2);
    expect(spawnbox("check", config, "--plan", plan()).code).toBe(2);
  });
});

describe("explain", () => {
  test("every sandbox, or one by its name, or a verb", () => {
    const all = spawnbox("explain", "--config", config);
    expect(all.code).toBe(0);
    expect(all.out).toContain("x/box/echo, in the sandbox box");
    expect(all.out).toContain("x/bare/echo, in the sandbox bare");
    const one = spawnbox("explain", "--config", config, "x/bare/echo").out;
    expect(one).not.toContain("sandbox box");
    expect(one).toContain("every system call: no seccomp filter");
    expect(one).toMatch(/exposure \d\.\d of 10/);
    expect(one).toContain('"namespace": { "shares": { "net": "disable" } }');
  });
  test("a sandbox for exec alone", () => {
    const only = join(dir, "only.json");
    const sandboxes = { uid: "free", profile: "minimal", exec: true, commands: [] };
    writeFileSync(only, JSON.stringify({ metadata: { uid: "o", api: "o" }, sandboxes }));
    for (const name of ["free", "o/exec"]) {
      const { out } = spawnbox("explain", "--config", only, name);
      expect(out).toStartWith("o/exec, in the sandbox free\n");
      expect(out).toContain("\n  execute what the caller names\n");
    }
  });
  test("to programs", () => {
    const [found] = JSON.parse(spawnbox("explain", "--config", config, "--json", "bare").out) as {
      exposure: { score: number };
      improvements: object[];
    }[];
    expect(found?.exposure.score).toBeGreaterThan(3);
    expect(found?.improvements).toHaveLength(3);
  });
  test("a name that nothing has is exit code 1, with the nearest; wrong usage 2", () => {
    const { code, err } = spawnbox("explain", "--config", config, "bax");
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("did you mean `box`") });
    expect(spawnbox("explain").code).toBe(2);
    expect(spawnbox("explain", "--config", config, "a", "b").code).toBe(2);
  });
});

describe("doctor", () => {
  test("each feature is there, or it is told what to do", () => {
    const { code, out } = spawnbox("doctor", "--json");
    expect(code).toBe(0);
    const { features } = JSON.parse(out) as {
      features: { name: string; ok: boolean; found: string; remedy?: string }[];
    };
    for (const { ok, found, remedy } of features) {
      expect(found.length).toBeGreaterThan(0);
      expect(remedy === undefined).toBe(ok);
    }
    const names = features.map(({ name }) => name);
    for (const name of [
      "kernel",
      "memfd",
      "openat2",
      "landlock",
      "cgroup-v2",
      "launch",
      "namespace-user",
      "mounts",
      "seccomp",
      "families",
      "seccomp-report",
      "yama",
    ])
      expect(names).toContain(name);
    // These tests launch sandboxes: where they can, doctor must say so.
    expect(features.find(({ name }) => name === "launch")?.ok).toBe(true);
  });
  test("a config that works, one that cannot", () => {
    expect(spawnbox("doctor", "--config", config)).toMatchObject({
      code: 0,
      out: expect.stringContaining("ok       launch"),
    });
    const bad = join(dir, "bad.json");
    writeFileSync(
      bad,
      JSON.stringify({
        metadata: { uid: "b", api: "b" },
        sandboxes: {
          uid: "s",
          acls: { user: "nobody", runmod: isRoot ? "user" : "admin" },
          commands: [],
        },
      }),
    );
    const { code, out } = spawnbox("doctor", "--config", bad);
    expect(code).toBe(1);
    expect(out).toContain("problem: ");
    expect(spawnbox("doctor", "more").code).toBe(2);
  });
  test.skipIf(!isRoot)("user namespaces that are switched off are found out", async () => {
    // In a user namespace of its own the limit is its own too, so the machine stays as it is.
    // Only an exec after the maps are written gives its root the capabilities.
    const script = `echo ready; read go; exec sh -c "echo 0 > /proc/sys/user/max_user_namespaces; exec ${program} doctor --config ${config}"`;
    const doctor = Bun.spawn(["unshare", "--user", "sh", "-c", script], {
      env: { PATH: "/usr/bin:/bin", SECRET: "x" },
      stdio: ["pipe", "pipe", "inherit"],
    });
    const decoder = new TextDecoder();
    let out = "";
    let mapped = false;
    for await (const chunk of doctor.stdout) {
      out += decoder.decode(chunk, { stream: true });
      if (mapped || !out.includes("ready")) continue;
      mapped = true;
      for (const map of ["uid_map", "gid_map"])
        writeFileSync(`/proc/${doctor.pid}/${map}`, "0 0 65536\n");
      doctor.stdin.write("go\n");
      await doctor.stdin.end();
    }
    expect(out).toMatch(/ok +launch/);
    expect(out).toMatch(/missing +namespace-user/);
    expect(out).toContain("sysctl user.max_user_namespaces=");
    // Those of the sandboxes that need one, in the words of their launch.
    const problem = (sandbox: number) =>
      expect.stringContaining(
        `sandboxes[${sandbox}]: clone: ENOSPC: user.max_user_namespaces is 0`,
      );
    expect(out.match(/^problem: .*$/gm)).toEqual([problem(0), problem(2)]);
    expect(await doctor.exited).toBe(1);
  });
});

/** What every command may rely on and every operator is promised, looked at from inside the sandbox: as root and as a user. */
import { afterAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DAEMON, ORDINARY } from "../accounts.ts";
import { isAlive, isRoot, serve, shell, system, users } from "../served.ts";
import { noProgram } from "./no-program.ts";
import { serving } from "../serving.ts";

const full = { shares: { all: "disable" }, opts: { hostname: "boxed" }, mounts: system };
/** Prints each argument between brackets, byte for byte. */
const echo = {
  uid: "echo",
  encoder: "raw",
  exec: { cmdpath: "/usr/bin/printf", args: ["[%%s]", "%first%", "x?second?y"] },
};
/** Executable as far as anybody can tell before trying. */
const dir = mkdtempSync(join(tmpdir(), "spawnbox-contract-"));
const notAProgram = join(dir, "not-a-program");
writeFileSync(notAProgram, noProgram, { mode: 0o755 });
chmodSync(dir, 0o755);
afterAll(() => rmSync(dir, { recursive: true }));

const acls = { user: "daemon", group: "daemon", umask: "027", chdir: "/tmp" };
const config = {
  metadata: { uid: "t", api: "t" },
  sandboxes: [
    {
      uid: "plain",
      acls,
      commands: [shell, echo],
    },
    {
      uid: "full",
      acls,
      namespace: full,
      commands: [shell, echo],
    },
    {
      uid: "caps",
      acls,
      caps: [{ cap: "NET_ADMIN" }, { cap: "CAP_KILL" }, { cap: "CHOWN", mode: "unset" }],
      namespace: full,
      commands: shell,
    },
    {
      uid: "filter",
      acls,
      namespace: full,
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        rules: [
          { syscall: "mkdir", action: "SCMP_ACT_ERRNO(EXDEV)" },
          { syscall: "mkdirat", action: "SCMP_ACT_ERRNO(EXDEV)" },
          { syscall: "sethostname", action: "SCMP_ACT_KILL_PROCESS" },
        ],
      },
      commands: shell,
    },
    {
      uid: "nowhere",
      optional: true,
      acls: { ...acls, chdir: "/not/there" },
      commands: shell,
    },
    {
      uid: "noexec",
      acls: { user: "daemon" },
      commands: { uid: "sh", exec: { cmdpath: notAProgram } },
    },
    {
      uid: "envs",
      acls,
      envs: [
        { name: "GIVEN", value: "a=b c" },
        { name: "SECRET_OF_SERVER", mode: "unset" },
      ],
      commands: shell,
    },
  ],
};

/** Variables of the server that are its own business, and do it no harm. */
const SERVERS = [
  ["BUN_CONFIG_TOKEN", "x"],
  ["LD_BIND_NOT", "1"],
  ["SPAWNBOX_OF_NOBODY", "x"],
] as const;

describe.each(users)("served by %s", (user) => {
  const first = ["env", ...SERVERS.map((one) => one.join("="))];
  const served = serving(() => serve(config, { user, first }));
  const script = async (sandbox: string, text: string) => {
    const {
      stdout = [],
      stderr = [],
      status,
    } = await served.run(`t/${sandbox}/sh`, { script: text });
    return { lines: stdout, errors: stderr, status };
  };
  /** An ordinary server cannot switch. */
  const ids =
    user === "root"
      ? [DAEMON, DAEMON]
      : [process.geteuid?.() || ORDINARY, process.getegid?.() || ORDINARY];

  describe.each(["plain", "full"])("sandbox %s", (sandbox) => {
    test("id shows exactly the configured uid and gid, and no other group", async () => {
      const { lines } = await script(
        sandbox,
        "id -u; id -g; id -G; grep ^Groups: /proc/self/status",
      );
      expect(lines.slice(0, 3)).toEqual([`${ids[0]}`, `${ids[1]}`, `${ids[1]}`]);
      // An ordinary user cannot drop groups; the one of these tests has none.
      expect(lines[3]?.trim()).toBe("Groups:");
    });

    test("umask and working directory", async () => {
      expect((await script(sandbox, "umask; pwd")).lines).toEqual(["0027", "/tmp"]);
    });

    test("the command holds the fds 0, 1 and 2 and no other", async () => {
      // The list is made by ls, whose own descriptor of the directory is 3.
      expect((await script(sandbox, "ls /proc/self/fd")).lines).toEqual(["0", "1", "2", "3"]);
      expect((await script(sandbox, "readlink /proc/self/fd/0")).lines).toEqual(["/dev/null"]);
    });

    test("/dev/stdout and /dev/stderr can be opened", async () => {
      const { lines, errors } = await script(
        sandbox,
        "echo out > /dev/stdout; echo err > /dev/stderr",
      );
      expect({ lines, errors }).toEqual({ lines: ["out"], errors: ["err"] });
    });

    test("no new privileges", async () => {
      expect((await script(sandbox, "grep NoNewPrivs /proc/self/status")).lines).toEqual([
        "NoNewPrivs:\t1",
      ]);
    });

    test.skipIf(user !== "root" && sandbox === "plain")("no capability in any set", async () => {
      const { lines } = await script(sandbox, "grep ^Cap /proc/self/status");
      expect(lines).toHaveLength(5);
      for (const line of lines) expect(line).toEndWith("\t0000000000000000");
    });

    test("signals are neither ignored nor blocked", async () => {
      const { lines } = await script(sandbox, "grep -E 'Sig(Blk|Ign)' /proc/self/status");
      expect(lines).toHaveLength(2);
      for (const line of lines) expect(line).toEndWith("\t0000000000000000");
    });

    test.each([
      ["5 000 bytes", "x".repeat(5000)],
      ["quotes", `'"\`\\`],
      ["a newline", "a\nb\n"],
      ["command substitution", "$(id) `id` $HOME ; id | id & id"],
      ["placeholders", "%second% ?second? %% ??"],
      ["UTF-8", "ü€😀"],
      ["an empty value", ""],
    ])("%s arrive as one exact argv element", async (_, value) => {
      const reply = await served.run(`t/${sandbox}/echo`, { first: value, second: value });
      expect(reply.stdout as unknown).toBe(`[${value}][x${value}y]`);
    });

    test("a NUL and a missing argument are refused by name, an unknown one is told", async () => {
      const refused = async (args: unknown) =>
        (await served.call(`t/${sandbox}/echo`, args)).request;
      expect(await refused({ first: "a\0b" })).toMatchObject({
        status: "invalid-request",
        code: -12,
      });
      expect((await refused({ first: "a\0b" })).info).toContain("`first`");
      expect((await refused({ second: "x" })).info).toContain("`first` is missing");
      const { notices } = (await served.run(`t/${sandbox}/echo`, { first: "x", third: 1 })) as {
        notices?: string[];
      };
      expect(notices?.join()).toContain("ignored: `third`");
    });
  });

  test("the namespace shows only the mounts", async () => {
    const { lines } = await script(
      "full",
      "echo /*; hostname; echo /dev/*; cut -d: -f1 /proc/net/dev | tail -n +3; echo /proc/[0-9]*",
    );
    const dev = "fd full null ptmx pts random shm stderr stdin stdout tty urandom zero";
    expect(lines.map((line) => line.trim())).toEqual([
      "/bin /dev /lib /lib64 /proc /tmp /usr",
      "boxed",
      dev
        .split(" ")
        .map((name) => `/dev/${name}`)
        .join(" "),
      "lo",
      // The init of the pid namespace is hidden: only the shell shows.
      "/proc/2",
    ]);
  });

  test("nothing can be written but what is meant to be", async () => {
    const { lines, errors } = await script(
      "full",
      "for f in /x /usr/x /dev/x /bin/x /proc/sys/kernel/hostname; do (echo > $f) 2>/dev/null && echo wrote $f; done; echo ok > /tmp/f; cat /tmp/f; echo > /dev/null",
    );
    expect({ lines, errors }).toEqual({ lines: ["ok"], errors: [] });
  });

  test("the loopback of a private network works, and leads nowhere else", async () => {
    const port = new URL(served.url).port;
    const probe = `python3 - <<'EOF'
import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); socket.create_connection(s.getsockname()); print("up")
try: socket.create_connection(("127.0.0.1", ${port}), 1); print("reached the server")
except OSError as e: print("refused")
EOF`;
    if (!Bun.which("python3")) throw new Error("python3 is needed here: install python3-minimal");
    expect((await script("full", probe)).lines).toEqual(["up", "refused"]);
  });

  test("capabilities are exactly those configured, in all five sets", async () => {
    const { lines } = await script("caps", "grep ^Cap /proc/self/status");
    // NET_ADMIN is 12, KILL is 5: capability.h
    const mask = ((1n << 12n) | (1n << 5n)).toString(16).padStart(16, "0");
    expect(lines).toEqual(["Inh", "Prm", "Eff", "Bnd", "Amb"].map((set) => `Cap${set}:\t${mask}`));
  });

  test("a denied syscall fails as configured; one that kills, kills", async () => {
    const denied = await script(
      "filter",
      "grep ^Seccomp: /proc/self/status; mkdir /tmp/x; echo $?",
    );
    expect(denied.lines).toEqual(["Seccomp:\t2", "1"]);
    expect(denied.errors[0]).toContain("Invalid cross-device link");
    expect((await script("filter", "exec hostname other")).status).toMatchObject({
      signal: "Bad system call",
    });
  });

  test("a sandbox that cannot be set up runs nothing, and the error names step, object and errno", async () => {
    const { request, response } = await served.call("t/nowhere/sh", {
      script: "echo ran > /tmp/ran",
    });
    expect(request.status).toBe("not-available");
    expect(request.info).toContain("chdir /not/there: ENOENT");
    expect(response).toBeUndefined();
  });

  test("an exec that fails is told apart from a sandbox that fails", async () => {
    const { request } = await served.call("t/noexec/sh");
    expect(request).toMatchObject({ status: "internal-error", code: -1 });
    expect(request.info).toContain(`exec ${notAProgram}: ENOEXEC`);
  });

  test("the environment is what the config says", async () => {
    const { lines } = await script(
      "envs",
      'echo "$GIVEN"; echo "${SECRET_OF_SERVER-none}"; env | grep -cE "^(BUN|LD|SPAWNBOX)_"',
    );
    expect(lines).toEqual(["a=b c", "none", "0"]);
    // What is not there could not come along.
    const { stdout } = Bun.spawnSync(["tr", "\\0", "\n"], {
      stdin: Bun.file(`/proc/${served.pid}/environ`),
    });
    if (isRoot) for (const [name] of SERVERS) expect(stdout.toString()).toContain(`${name}=`);
  });

  test("many at once lose no output", async () => {
    const replies = await Promise.all(
      Array.from({ length: 60 }, (_, i) => script(i % 2 ? "full" : "plain", `seq ${i} ${i + 99}`)),
    );
    replies.forEach(({ lines }, i) =>
      expect(lines).toEqual(Array.from({ length: 100 }, (_, n) => `${n + i}`)),
    );
    expect(await isAlive(served.pid)).toBe(true);
  });
});

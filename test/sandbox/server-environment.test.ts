/** What belongs to the server reaches no command: neither its settings and secrets nor what was given to it as a service. */
import { describe, expect, test } from "bun:test";
import { users } from "../served.ts";
import { serving } from "../serving.ts";
import { acls, commands, full, serveSandboxes, sh } from "./attack.ts";
import { profiles } from "./profiles.ts";

const OWN = [
  ...[
    "SPAWNBOX_TOKEN",
    "SPAWNBOX_INIT",
    "SPAWNBOX_OTHER",
    "AFB_SPAWN_CONFIG",
    "BUN_CONFIG_TOKEN",
    "JSC_useJIT",
  ],
  ...[
    "NODE_CHANNEL_SERIALIZATION_MODE",
    "NODE_OPTIONS",
    "CREDENTIALS_DIRECTORY",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
  ],
  ...[
    "MEMORY_PRESSURE_WATCH",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "SYSTEMD_EXEC_PID",
    "STATE_DIRECTORY",
    "LOG_NAMESPACE",
  ],
  ...[
    "LISTEN_FDNAMES",
    "WATCHDOG_PID",
    "SUDO_USER",
    "SUDO_COMMAND",
    "PYTHONPATH",
    "MAINPID",
    "REMOTE_ADDR",
  ],
  ...["PYTHONSTARTUP", "PYTHONWARNINGS", "PERL5LIB", "RUBYLIB", "NODE_PATH", "GIT_SSH_COMMAND"],
  ...["BASH_FUNC_x%%", "LUA_INIT_5_4", "JAVA_TOOL_OPTIONS", "LESSOPEN", "LOCPATH", "ZDOTDIR"],
];
/** What only changes how a program prints or where it finds data. */
const HARMLESS = [
  ...["PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8", "PYTHONDONTWRITEBYTECODE"],
  ...["PYTHONHASHSEED", "MALLOC_ARENA_MAX", "GIT_AUTHOR_NAME", "SSL_CERT_FILE", "TMPDIR", "TZ"],
];
/** Of the server's user, as its HOME is. */
const SESSION = ["XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK"];
/** Those that mean nothing to the server itself at these values. */
const value = (name: string): string =>
  name === "JSC_useJIT" ? "1" : name === "NODE_OPTIONS" ? "" : "server-secret";
const ENVIRONMENT = [
  "env",
  "KEPT=kept",
  "AFB_ROOTDIR=/",
  ...OWN.map((name) => `${name}=${value(name)}`),
  ...HARMLESS.map((name) => `${name}=0`),
  ...SESSION.map((name) => `${name}=/of-the-server`),
];

/** All that a command can see of it: its own environment, and that of every process that it finds. */
const LOOK = `tr '\\0' '\\n' < /proc/self/environ; for p in /proc/[0-9]*; do tr '\\0' '\\n' < $p/environ; tr '\\0' ' ' < $p/cmdline; echo; done 2>/dev/null; true`;

describe.each(users)("served by %s", (user) => {
  const sandboxes = [
    { uid: "plain", acls, commands },
    { uid: "full", acls, namespace: full, commands },
    { uid: "warm", acls, namespace: full, pool: 1, commands },
    ...profiles.map((profile) => ({ uid: `p-${profile}`, profile, acls, commands })),
    {
      uid: "asks",
      acls,
      envs: [{ name: "TOLD", value: "$SPAWNBOX_TOKEN" }, { name: "SUDO_USER" }],
      commands,
    },
    {
      uid: "boot",
      acls,
      namespace: {
        ...full,
        mounts: [...full.mounts, { target: "/told", source: "env", mode: "execfd" }],
      },
      commands,
    },
  ];
  const served = serving(() => serveSandboxes(sandboxes, { user, through: ENVIRONMENT }));

  test.each(["plain", "full", "warm", ...profiles.map((name) => `p-${name}`)])(
    "nothing of the server's own: %s",
    async (sandbox) => {
      // The second is of a sandbox that waited.
      for (let i = 0; i < 2; i++) {
        const { lines } = await sh(served, sandbox, LOOK);
        expect(lines.length).toBeGreaterThan(3);
        const seen = lines.filter((line) => OWN.some((name) => line.startsWith(`${name}=`)));
        expect(seen).toEqual([]);
        expect(lines.filter((line) => line.includes("server-secret"))).toEqual([]);
      }
    },
  );

  test("the rest is handed on, and what a config asks for", async () => {
    const { lines } = await sh(served, "plain", "env");
    expect(lines).toContain("KEPT=kept");
    expect(lines).toContain("AFB_ROOTDIR=/");
    for (const name of HARMLESS) expect(lines).toContain(`${name}=0`);
    // An ordinary server's commands are its own user's.
    const session = SESSION.map((name) => `${name}=/of-the-server`);
    expect(lines.filter((line) => session.includes(line))).toHaveLength(
      user === "root" ? 0 : session.length,
    );
    const { lines: asked } = await sh(served, "asks", "env");
    expect(asked).toContain("TOLD=server-secret");
    expect(asked).toContain("SUDO_USER=server-secret");
  });

  test("nor does a command of boot get it", async () => {
    const { lines } = await sh(served, "boot", "cat /told");
    expect(lines).toContain("KEPT=kept");
    expect(lines.filter((line) => OWN.some((name) => line.startsWith(`${name}=`)))).toEqual([]);
  });
});

/** The environment of a command: of the server's what is not its own, who it runs as, then what the config says, in order. */
import { describe, expect, test } from "bun:test";
import { inherited, KEPT_BACK, keptBack, OF_ITS_USER } from "../../src/plan/server-variables.ts";
import { board, ordinary } from "./board.ts";
import { compiled, planOf, refused } from "./compiling.ts";

const envOf = (sandbox: object, machine: object = board) =>
  planOf(compiled({ acls: { user: "pilot" }, ...sandbox }, machine)).env;
const with_ = (env: Record<string, string>, machine: object = board) => ({ ...machine, env });
const PILOT = { USER: "pilot", LOGNAME: "pilot", HOME: "/home/pilot" };
const DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

test.each([
  ["the user's own name and home", {}, { PATH: "/opt/bin:/bin", LANG: "C", ...PILOT }],
  [
    "no name of a user who has none",
    { acls: { user: "4711", group: "crew" } },
    { PATH: "/opt/bin:/bin", LANG: "C", HOME: "/" },
  ],
  [
    "a value of its own",
    { envs: { name: "A", value: "1" } },
    { PATH: "/opt/bin:/bin", LANG: "C", ...PILOT, A: "1" },
  ],
  [
    "the last of several values",
    {
      envs: [
        { name: "A", value: "1" },
        { name: "A", value: "2" },
      ],
    },
    { PATH: "/opt/bin:/bin", LANG: "C", ...PILOT, A: "2" },
  ],
  [
    "nothing that is unset",
    { envs: { name: "LANG", mode: "unset" } },
    { PATH: "/opt/bin:/bin", ...PILOT },
  ],
  [
    "what is set after it was unset",
    {
      envs: [
        { name: "LANG", mode: "unset" },
        { name: "LANG", value: "fr" },
      ],
    },
    { PATH: "/opt/bin:/bin", LANG: "fr", ...PILOT },
  ],
  [
    "nothing of the server's with * unset, wherever that stands",
    {
      envs: [
        { name: "A", value: "1" },
        { name: "*", mode: "unset" },
      ],
    },
    { PATH: DEFAULT_PATH, ...PILOT, A: "1" },
  ],
  [
    "the server's value of what is named, with * unset",
    { envs: [{ name: "*", mode: "unset" }, { name: "LANG" }] },
    { PATH: DEFAULT_PATH, ...PILOT, LANG: "C" },
  ],
  [
    "acls.path as PATH",
    { acls: { user: "pilot", path: "/x:/y" } },
    { PATH: "/x:/y", LANG: "C", ...PILOT },
  ],
  [
    "acls.ldpath as LD_LIBRARY_PATH",
    { acls: { user: "pilot", ldpath: "/l" } },
    { PATH: "/opt/bin:/bin", LANG: "C", ...PILOT, LD_LIBRARY_PATH: "/l" },
  ],
  [
    "what envs say rather than acls.path",
    { acls: { user: "pilot", path: "/x" }, envs: { name: "PATH", value: "/z" } },
    { PATH: "/z", LANG: "C", ...PILOT },
  ],
  [
    "variables in acls.path, acls.ldpath and envs",
    {
      acls: { user: "pilot", path: "/$SANDBOX_UID", ldpath: "/$LANG" },
      envs: { name: "A", value: "$LANG-$LANG" },
    },
    { PATH: "/s", LD_LIBRARY_PATH: "/C", A: "C-C", LANG: "C", ...PILOT },
  ],
  [
    "an empty value",
    { envs: { name: "A", value: "" } },
    { PATH: "/opt/bin:/bin", LANG: "C", ...PILOT, A: "" },
  ],
])("has %s", (_, sandbox, expected) => {
  expect({ ...envOf(sandbox) }).toEqual(expected);
});

test("root keeps the names of root, and an ordinary server's commands all of its own", () => {
  expect(envOf({ acls: { user: "root" } })).toMatchObject({ USER: "root", HOME: "/root" });
  const env = { USER: "me", LOGNAME: "me", HOME: "/h", PATH: "/p" };
  expect({ ...envOf({ acls: {} }, with_(env, ordinary)) }).toEqual(env);
  expect({ ...envOf({ acls: {} }, with_({}, ordinary)) }).toEqual({ PATH: DEFAULT_PATH });
});

test("an ordinary server's commands have a home with * unset too, as those of root's have", () => {
  const nothing = { acls: {}, envs: { name: "*", mode: "unset" } };
  expect({ ...envOf(nothing, ordinary) }).toEqual({ PATH: DEFAULT_PATH, ...PILOT });
  const nobodyKnows = { ...ordinary, user: () => undefined };
  expect({ ...envOf(nothing, nobodyKnows) }).toEqual({ PATH: DEFAULT_PATH, HOME: "/" });
  const homeless = { acls: {}, envs: [...[nothing.envs], { name: "HOME", mode: "unset" }] };
  expect(envOf(homeless, ordinary)["HOME"]).toBeUndefined();
  const elsewhere = { ...ordinary, inherits: false };
  expect({ ...envOf(nothing, elsewhere) }).toEqual({ PATH: DEFAULT_PATH });
});

test("plans for another server have nothing of this one's", () => {
  expect({ ...envOf({ envs: { name: "A", value: "1" } }, { ...board, inherits: false }) }).toEqual({
    ...PILOT,
    PATH: DEFAULT_PATH,
    A: "1",
  });
});

describe("what is the server's own business stays with it", () => {
  const names = KEPT_BACK.flatMap((one) => one.names.split(" "));
  const exact = (name: string) => name.replace(/\*$/, "X");
  const all = Object.fromEntries(names.map((name) => [exact(name), "v"]));
  const asPrefix = names.filter((name) => name.endsWith("*")).map((name) => name.slice(0, -1));

  test("each by name, and all that begin like one with *", () => {
    // Said here again, since code or libraries that others choose would come in by these.
    for (const name of ["LD_*", "BUN_*", "NODE_OPTIONS", "BASH_ENV", "PYTHONPATH", "PERL5*"].concat(
      [
        ...[
          "RUBYOPT",
          "NOTIFY_SOCKET",
          "SPAWNBOX_*",
          "LISTEN_*",
          "GLIBC_TUNABLES",
          "JAVA_TOOL_OPTIONS",
        ],
      ],
    ))
      expect(names).toContain(name);
    expect({ ...envOf({}, with_({ ...all, PATH: "/p" })) }).toEqual({ PATH: "/p", ...PILOT });
    const same = asPrefix.map((name) => [name, "v"]);
    expect({ ...envOf({}, with_({ ...Object.fromEntries(same), PATH: "/p" })) }).toEqual({
      PATH: "/p",
      ...PILOT,
    });
  });

  test("but for what the config names", () => {
    for (const name of Object.keys(all))
      expect(envOf({ envs: { name } }, with_(all))[name]).toBe("v");
  });

  test("longer names than those without * are others", () => {
    const others = Object.fromEntries(
      names.filter((name) => !name.endsWith("*")).map((name) => [`X${name}`, "v"]),
    );
    expect({ ...envOf({}, with_({ ...others, PATH: "/p" })) }).toEqual({
      ...others,
      PATH: "/p",
      ...PILOT,
    });
  });

  test("and the files and session of its user, where commands run as another", () => {
    const its = Object.fromEntries(OF_ITS_USER.names.split(" ").map((name) => [exact(name), "v"]));
    expect(Object.keys(its)).toContain("SSH_AUTH_SOCK");
    expect({ ...envOf({}, with_({ ...its, PATH: "/p" })) }).toEqual({ PATH: "/p", ...PILOT });
    expect(envOf({ acls: { user: "root" } }, with_(its))).toMatchObject(its);
    expect(envOf({ acls: {} }, with_(its, ordinary))).toMatchObject(its);
  });
});

test.each([
  [{ name: "*", value: "x" }, '"*" can only be unset'],
  [{ name: "*" }, '"*" can only be unset'],
  // Somebody who takes it for a pattern would leave secrets there.
  [
    { name: "AWS_*", mode: "unset" },
    "AWS_* would be one variable of that very name: write * alone, or name each",
  ],
  [{ name: "NONE" }, "NONE has no value, and the server's environment has none to hand on"],
])("refuses %j", (envs, message) => {
  expect(refused({ acls: { user: "pilot" }, envs }, board)).toEqual([
    `sandboxes[0].envs: ${message}`,
  ]);
});

test("what is not UTF-8 in the server's environment is kept back, and not handed on as something else", () => {
  const odd = with_({ PATH: "/p", LATIN: "caf\ufffd", "N\ufffd": "x", FINE: "café" });
  const api = compiled({ acls: { user: "pilot" } }, odd);
  expect({ ...planOf(api).env }).toEqual({ PATH: "/p", FINE: "café", ...PILOT });
  expect(planOf(api).keptBack).toEqual(["LATIN", "N\ufffd"]);
  expect(refused({ acls: { user: "pilot" }, envs: { name: "LATIN" } }, odd)).toEqual([
    "sandboxes[0].envs: LATIN is not UTF-8 in the server's environment, so it cannot be handed on",
  ]);
});

test("refuses a NUL byte in a value", () => {
  const nul = with_({ A: "x\0y" });
  expect(refused({ acls: { user: "pilot" }, envs: { name: "B", value: "$A" } }, nul)).toEqual([
    "sandboxes[0].envs: the value of B contains a NUL byte",
  ]);
});

test("who is started by the server as itself has all of its user's", () => {
  const env = { PATH: "/p", SSH_AUTH_SOCK: "s", LD_PRELOAD: "x", NONE: undefined };
  expect({ ...inherited(env) }).toEqual({ PATH: "/p", SSH_AUTH_SOCK: "s" });
  expect({ ...inherited(env, true) }).toEqual({ PATH: "/p" });
  expect(keptBack(env)).toEqual(["LD_PRELOAD", "NONE"]);
  expect(keptBack(env, true)).toEqual(["LD_PRELOAD", "NONE", "SSH_AUTH_SOCK"]);
});

test("no variable of another language or tool is forgotten", () => {
  const names = KEPT_BACK.flatMap((one) => one.names.split(" "));
  const some =
    "AFB_SPAWN_CONFIG JSC_* MIMALLOC_* NODE_CHANNEL_* WATCHDOG_* CREDENTIALS_DIRECTORY SUDO_* npm_* GCONV_PATH LOCPATH MALLOC_TRACE ENV BASH_FUNC_* SHELLOPTS IFS PS4 ZDOTDIR PYTHONHOME PYTHONSTARTUP PERLLIB RUBYLIB NODE_PATH _JAVA_OPTIONS DOTNET_STARTUP_HOOKS LUA_INIT* PHPRC R_PROFILE* R_LIBS* TCLLIBPATH ERL_FLAGS AWKPATH LESSOPEN VIMINIT GIT_CONFIG* GIT_SSH_COMMAND GIT_DIR OPENSSL_CONF SSLKEYLOGFILE";
  expect(some.split(" ").filter((name) => !names.includes(name))).toEqual([]);
});

/** What becomes of spawn-binding's keys, verbs, plugins and messages: the rows of the guide, each with what shows it. */

/** `same`, `better`: it does what its documentation says, or more. `notice`: it loads, and is said to do nothing. `refused`: it does not load. */
export type Verdict = "same" | "better" | "notice" | "refused";

export interface Change {
  readonly what: string;
  readonly verdict: Verdict;
  /** What it is here, and why. */
  readonly here: string;
  readonly shows: Loads | Calls | Frames;
}

/** A sandbox, or what else a config has, and what `check` says of it. */
interface Loads {
  readonly sandbox?: object;
  readonly config?: object;
  readonly says?: string;
}

/** A call of the API `m` of migration.test.ts over the WebSocket, and its reply or, of several, the last. */
interface Calls {
  readonly calls: readonly (readonly [verb: string, args?: unknown])[];
  readonly reply: object;
}

interface Frames {
  readonly frame: string;
  readonly answer: readonly unknown[];
}

const loads = (sandbox: object, says?: string): Loads => ({
  sandbox,
  ...(says !== undefined && { says }),
});
const success = { request: { status: "success" } };

export const KEYS: readonly Change[] = [
  {
    what: "`acls.user`, `group`, `umask`, `path`, `ldpath`, `timeout`, `runmod`",
    verdict: "same",
    here: "as root a user must be named, `root` too",
    shows: loads({
      acls: {
        user: "nobody",
        group: "nogroup",
        umask: "027",
        path: "/usr/bin",
        ldpath: "/usr/lib",
        timeout: 9,
        runmod: "default",
      },
    }),
  },
  {
    what: "`acls.chdir` that no mount shows",
    verdict: "notice",
    here: "the commands start in `/`",
    shows: loads(
      {
        acls: { user: "nobody", chdir: "/home/x" },
        namespace: { mounts: ["/usr", "/lib", "/lib64", "/bin"].map((target) => ({ target })) },
      },
      "the commands start in /",
    ),
  },
  {
    what: "`caps`, inline `seccomp` rules, `envs`",
    verdict: "better",
    here: "they are applied; what is named and unknown is an error",
    shows: loads({
      caps: [{ cap: "NET_ADMIN", mode: "set" }],
      envs: [{ name: "A", value: "b", mode: "set" }],
      seccomp: {
        default: "SCMP_ACT_ALLOW",
        rules: [{ syscall: "reboot", action: "SCMP_ACT_KILL" }],
      },
    }),
  },
  {
    what: "an unknown capability or system call",
    verdict: "refused",
    here: "what cannot be applied would be no protection",
    shows: loads({ caps: ["NET_ADMINN"] }, "NET_ADMINN"),
  },
  {
    what: "a key that does not exist",
    verdict: "refused",
    here: "a slip would be a setting that is not there; the nearest key is told",
    shows: loads({ comands: [] }, "did you mean `commands`?"),
  },
  {
    what: "`namespace.opts.bwrap`",
    verdict: "notice",
    here: "no external program is needed",
    shows: loads({ namespace: { opts: { bwrap: "/usr/bin/bwrap" } } }, "bwrap"),
  },
  {
    what: "`namespace.opts.autocreate`",
    verdict: "better",
    here: "the directory belongs to the sandbox's user and is closed to others; only a server makes it, not `check`",
    shows: loads({
      namespace: {
        opts: { autocreate: true },
        mounts: [
          { target: "/usr" },
          { target: "/lib" },
          { target: "/lib64" },
          { target: "/bin" },
          { target: "/x", source: "/run/spawnbox-not-made/x", mode: "rw" },
        ],
      },
    }),
  },
  {
    what: "`namespace.shares`: `default`, `enable`, `disable`",
    verdict: "same",
    here: "`default` shares the host's",
    shows: loads({ namespace: { shares: { all: "default", pid: "disable", net: "Enable" } } }),
  },
  {
    what: "`cgroups`",
    verdict: "same",
    here: "cgroup v2; as root what cannot be had stops the start unless `optional`, for an ordinary user it is a notice",
    shows: loads({
      cgroups: { cset: "0", mem: { max: "64M", hight: "32M" }, cpu: { weight: "50" }, pids: "9" },
    }),
  },
  {
    what: "`encoder`: `text`, `sync`, `line`, `raw`, `json`, `log`",
    verdict: "same",
    here: "with the same events and replies",
    shows: loads({
      commands: ["text", "sync", "line", "raw", "json", "log"].map((encoder) => ({
        uid: encoder,
        encoder,
        exec: { cmdpath: "/bin/sh" },
      })),
    }),
  },
  {
    what: '`"encoder": {"output": "log", "opts": {"maxlen": 1024}}`',
    verdict: "notice",
    here: "lines of a log have no length; the option never did anything",
    shows: loads(
      {
        commands: {
          uid: "x",
          encoder: { output: "log", opts: { maxlen: 1024 } },
          exec: { cmdpath: "/bin/sh" },
        },
      },
      "maxlen: means nothing to the encoder log",
    ),
  },
  {
    what: "`metadata.date`",
    verdict: "notice",
    here: "nothing reads it",
    shows: {
      config: { metadata: { uid: "c", api: "c", date: "2021-02-19" } },
      says: "metadata.date: not used",
    },
  },
  {
    what: "verbs that differ by case",
    verdict: "same",
    here: "`c` and `C` are two; a name in another case is found where only one is meant",
    shows: loads({
      commands: [
        { uid: "c", exec: { cmdpath: "/bin/sh" } },
        { uid: "C", exec: { cmdpath: "/bin/sh" } },
      ],
    }),
  },
  {
    what: "`plugins` of C (`.so`)",
    verdict: "refused",
    here: "foreign machine code in the server would have all that the server may do; what replaces it is a TypeScript or JavaScript module",
    shows: {
      config: { plugins: { uid: "p", libs: "encoder.so" } },
      says: "is a native plugin, and those are not loaded",
    },
  },
  {
    what: "`onload`, `onstart`, `events`, `extra`",
    verdict: "better",
    here: "what they name must exist; events without `args` get the event's data",
    shows: {
      config: {
        onload: { uid: "a", action: "api://c#x" },
        events: { uid: "x", action: "api://monitor#get" },
      },
    },
  },
  {
    what: "`lua://` actions",
    verdict: "refused",
    here: "functions of plugins do the same: `plugin://UID#NAME`",
    shows: { config: { onload: { uid: "a", action: "lua://x#y" } }, says: "onload[0].action" },
  },
];

export const CALLS: readonly Change[] = [
  {
    what: '`{"action": "start", "args": {…}}`, `{…}`',
    verdict: "same",
    here: "the same replies and events",
    shows: {
      calls: [["hello", { action: "start", args: { name: "x" } }]],
      reply: { ...success, response: { stdout: ["hello x"], status: { exit: 0 } } },
    },
  },
  {
    what: '`{"action": "start", "name": "x"}`',
    verdict: "same",
    here: "keys beside `action` are arguments",
    shows: {
      calls: [["hello", { action: "start", name: "x" }]],
      reply: { response: { stdout: ["hello x"] } },
    },
  },
  {
    what: 'true or "start" for a command without arguments',
    verdict: "same",
    here: "starts it",
    shows: {
      calls: [
        ["none", "start"],
        ["none", true],
      ],
      reply: { response: { stdout: ["none"] } },
    },
  },
  {
    what: "arguments that the command does not have",
    verdict: "better",
    here: "ignored, and the reply says so; refused where the config has `params`",
    shows: {
      calls: [["hello", { name: "x", nmae: "y" }]],
      reply: {
        response: {
          stdout: ["hello x"],
          notices: [expectText("ignored: `nmae`; did you mean `name`?")],
        },
      },
    },
  },
  {
    what: "an argument that begins with `-`",
    verdict: "refused",
    here: "the command would take it for an option; `params` can allow it",
    shows: {
      calls: [["bare", { name: "-rf" }]],
      reply: { request: { status: "invalid-request" } },
    },
  },
  {
    what: "a missing `%name%`",
    verdict: "same",
    here: "`invalid-request`, which names it",
    shows: {
      calls: [["hello", {}]],
      reply: { request: { status: "invalid-request", info: "argument `name` is missing" } },
    },
  },
  {
    what: "an unknown signal, or the pid of another verb",
    verdict: "better",
    here: "`invalid-request`, and nothing is signalled",
    shows: {
      calls: [["hello", { action: "stop", args: { signal: "SIGNOT" } }]],
      reply: { request: { status: "invalid-request" } },
    },
  },
  {
    what: "a `single` command that runs",
    verdict: "better",
    here: "`bad-state`, which names its pid",
    shows: { calls: [["single"], ["single"]], reply: { request: { status: "bad-state" } } },
  },
  {
    what: "`ping`, `info`",
    verdict: "same",
    here: "`info` has further keys at the end",
    shows: { calls: [["ping"]], reply: { response: "pong=1" } },
  },
  {
    what: "`exec`",
    verdict: "refused",
    here: 'it is there only where a sandbox says `"exec": true`',
    shows: {
      calls: [["exec", { sandbox: "s", exec: { cmdpath: "/bin/true" } }]],
      reply: { request: { status: "unknown-verb" } },
    },
  },
];

export const MESSAGES: readonly Change[] = [
  {
    what: "a call whose JSON is lenient",
    verdict: "same",
    here: "single quotes, trailing commas, comments, words and numbers as ids are read",
    shows: {
      frame: "[2,7,m/hello,{'args':{'name':'x',},},]",
      answer: [3, "7", { response: { stdout: ["hello x"] } }],
    },
  },
  {
    what: "a call that cannot be read even so",
    verdict: "better",
    here: "answered with `invalid-request`, under its id where it has one; the connection stays",
    shows: {
      frame: '[2,"7","m/hello",{"args":}]',
      answer: [4, "7", { request: { status: "invalid-request", code: -12 } }],
    },
  },
  {
    what: "a message that is no call",
    verdict: "same",
    here: "closes with 1008, `invalid-frame`",
    shows: { frame: '[2,"7","noapi",null]', answer: [1008] },
  },
];

/** A text that begins so; what compares knows it by its key. */
function expectText(begins: string): object {
  return { begins };
}

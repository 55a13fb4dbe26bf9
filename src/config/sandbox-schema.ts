/** The part of the schema that says what surrounds a command: user, limits, filters, namespaces and files. */
import { type Static, Type } from "@sinclair/typebox";
import { CAPABILITY } from "./capabilities.ts";
import { Amount, FileMode, Id, Operand, Pids, Port, Seconds, Umask, Weight } from "./ranges.ts";
import { flag, list, object, optional, text, words, written } from "./shapes.ts";

export const Env = object(
  {
    name: Type.String({
      minLength: 1,
      pattern: "^[^=\\u0000]+$",
      description: "variable name; * with unset: all that the server's environment has",
    }),
    value: optional(written({ description: "value; $NAME is expanded; absent: the server's own" })),
    file: optional(
      Type.String({
        minLength: 1,
        description:
          "absolute path of a file that has the value, such as $CREDENTIALS_DIRECTORY/key: read at each launch with the server's rights, never shown",
      }),
    ),
    mode: optional(words(["set", "unset"], { description: "set or remove", default: "set" })),
  },
  { description: "one environment variable" },
);

export const Acls = object(
  {
    umask: optional(Umask("octal file mode mask")),
    user: optional(Id("user name or uid; must be given when the server is root")),
    group: optional(Id("group name or gid; default: the user's own")),
    groups: optional(
      list(Id("group name or gid"), {
        description: "supplementary groups, exactly these; default none",
      }),
    ),
    chdir: optional(Type.String({ description: "working directory, as seen inside the sandbox" })),
    timeout: optional(Seconds("seconds before the task is killed; 0: none")),
    path: optional(Type.String({ description: "PATH of the commands" })),
    ldpath: optional(Type.String({ description: "LD_LIBRARY_PATH of the commands" })),
    runmod: optional(
      words(["default", "user", "admin"], {
        description: "admin: refuse to start unprivileged; user: refuse to start privileged",
        default: "default",
      }),
    ),
    label: optional(
      text({
        description:
          "label of the active security module: SELinux context, Smack label or AppArmor profile; selinux:, smack: or apparmor: before it insists on one",
      }),
    ),
    newPrivs: optional(
      flag({
        description:
          "let set-user-id programs and file capabilities raise privileges (default false)",
      }),
    ),
    nice: optional(
      Type.Integer({ minimum: -20, maximum: 19, description: "scheduling priority, see nice(2)" }),
    ),
  },
  { description: "discretionary access control" },
);

export const Cap = object(
  {
    cap: Type.String({ like: CAPABILITY, description: "capability name, with or without CAP_" }),
    mode: optional(words(["set", "unset"], { description: "set or unset", default: "set" })),
  },
  { description: "one capability" },
);

const Size = (description: string) => Amount(`${description}; bytes, K, M, G or max`);

const Limits = {
  cset: optional(text({ description: "CPUs, such as 0-1 (cpuset.cpus)" })),
  mem: optional(
    object(
      {
        max: optional(Size("hard limit (memory.max)")),
        high: optional(Size("throttling limit (memory.high)")),
        hight: optional(Size("old spelling of high")),
        min: optional(Size("protected memory (memory.min)")),
        swap: optional(Size("swap limit (memory.swap.max)")),
      },
      { description: "memory controller" },
    ),
  ),
  cpu: optional(
    object(
      {
        weight: optional(Weight("cpu.weight, 1 to 10000")),
        max: optional(Amount("cpu.max: quota in µs, optionally the period")),
      },
      { description: "cpu controller" },
    ),
  ),
  io: optional(list(text({ description: "one line of io.max" }), { description: "io controller" })),
  pids: optional(Pids("pids.max")),
};

export const Cgroups = object(
  {
    mount: optional(
      Type.String({ description: "cgroup v2 mount point", default: "/sys/fs/cgroup" }),
    ),
    ...Limits,
    task: optional(object(Limits, { description: "limits of each single launch" })),
    optional: optional(
      flag({ description: "start without the limits where the kernel lacks a controller" }),
    ),
  },
  { description: "cgroup v2 limits shared by all tasks of the sandbox" },
);

export const SeccompArg = object(
  {
    index: Type.Integer({ minimum: 0, maximum: 5, description: "argument number" }),
    op: words(
      ["eq", "ne", "lt", "le", "gt", "ge", "masked_eq"],
      { description: "comparison" },
      {
        "==": "eq",
        "!=": "ne",
        "<": "lt",
        "<=": "le",
        ">": "gt",
        ">=": "ge",
      },
    ),
    value: Operand("operand: a number, or a string such as 0x5412 for large ones"),
    mask: optional(Operand("mask of masked_eq")),
  },
  { description: "condition on one argument" },
);

/** What seccomp-action.ts takes; the words are those that are offered. */
const SECCOMP_ACTION = {
  pattern:
    "^\\s*(?:[sS][cC][mM][pP]_[aA][cC][tT]_)?(?:[aA][lL]{2}[oO][wW]|[kK][iI][lL]{2}(?:_[pP][rR][oO][cC][eE][sS]{2}|_[tT][hH][rR][eE][aA][dD])?|[tT][rR][aA][pP]|[nN][oO][tT][iI][fF][yY]|[lL][oO][gG]|[eE][rR]{2}[nN][oO]\\s*\\(\\s*\\w+\\s*\\))\\s*$",
  words: [
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_NOTIFY",
    "SCMP_ACT_LOG",
    "SCMP_ACT_ERRNO(EPERM)",
  ],
};

export const SeccompRule = object(
  {
    syscall: Type.String({ minLength: 1, description: "syscall name or @group" }),
    action: Type.String({ like: SECCOMP_ACTION, description: "SCMP_ACT_…, see default" }),
    args: optional(
      list(SeccompArg, {
        description: "conditions, all of which must hold; one for each argument",
      }),
    ),
  },
  { description: "one rule" },
);

export const Seccomp = object(
  {
    default: optional(
      Type.String({
        like: SECCOMP_ACTION,
        description:
          "action when no rule matches: SCMP_ACT_ALLOW, KILL, KILL_PROCESS, KILL_THREAD, TRAP, NOTIFY, LOG, ERRNO(n)",
        default: "SCMP_ACT_KILL",
      }),
    ),
    locked: optional(flag({ description: "no new privileges and not dumpable" })),
    report: optional(
      flag({ description: "tell in the outcome which calls were denied or logged, by name" }),
    ),
    abis: optional(
      list(words(["i386", "arm"], { description: "an ABI" }), {
        description:
          "32-bit programs that may run too, under the same rules: i386 on x86_64, arm on aarch64; default none",
      }),
    ),
    rules: optional(list(SeccompRule, { description: "rules by name, compiled at boot" })),
    rulespath: optional(
      Type.String({ description: "file of compiled BPF (struct sock_filter[])" }),
    ),
  },
  { description: "system call filter" },
);

const share = (what: string) =>
  optional(
    words(
      ["default", "enable", "disable"],
      {
        description: `${what}: enable keeps the host's, disable gives a private one`,
        default: "default",
      },
      { enabled: "enable", disabled: "disable" },
    ),
  );

export const Mount = object(
  {
    target: Type.String({
      minLength: 1,
      description: "absolute path inside the sandbox; / first, and ro",
    }),
    source: optional(
      Type.String({ description: "path on the host, or link text, or command; default: target" }),
    ),
    mode: optional(
      words(
        [
          "ro",
          "rw",
          "symlink",
          "dir",
          "tmpfs",
          "dev",
          "proc",
          "sys",
          "mqueue",
          "execfd",
          "hosts",
          "lock",
        ],
        {
          description:
            "what to put there; hosts: a file such as /etc/hosts with localhost and the host name",
          default: "ro",
        },
        { read: "ro", write: "rw", anonymous: "dir", devfs: "dev", procfs: "proc", sysfs: "sys" },
      ),
    ),
    size: optional(
      Amount(
        "size limit of a tmpfs or dir; bytes, K, M or G; a file for each 2K of it, 1024 at least",
      ),
    ),
    perm: optional(FileMode("octal mode of a tmpfs or dir")),
    suid: optional(flag({ description: "let set-user-id files work there (default false)" })),
    dev: optional(flag({ description: "let device nodes work there (default false)" })),
    exec: optional(flag({ description: "let programs be executed from there (default true)" })),
    optional: optional(
      flag({ description: "mounted in each launch that finds its source, left out in others" }),
    ),
  },
  { description: "one entry of the sandbox's file system" },
);

export const Namespace = object(
  {
    opts: optional(
      object(
        {
          autocreate: optional(flag({ description: "make missing mount sources at boot" })),
          hostname: optional(
            Type.String({ maxLength: 64, description: "host name in a private uts namespace" }),
          ),
          bwrap: optional(
            Type.String({ description: "accepted and ignored: no external tool is used" }),
          ),
          selinux: optional(text({ description: "accepted and ignored" })),
        },
        { description: "general behaviour" },
      ),
    ),
    shares: optional(
      object(
        {
          all: share("default of the others"),
          users: share("user namespace"),
          user: share("same as users"),
          cgroup: share("cgroup namespace"),
          cgroups: share("same as cgroup"),
          net: optional(
            Type.String({
              pattern: "^(?:(?i:default|enabled?|disabled?)|name:[A-Za-z0-9_.-]+)$",
              description:
                "network namespace: enable keeps the host's, disable gives a private one, name:X joins /run/netns/X",
              default: "default",
            }),
          ),
          ipc: share("System V IPC and POSIX queues"),
          pid: share("process ids"),
          uts: share("host name"),
        },
        { description: "which namespaces are kept from the host" },
      ),
    ),
    mounts: optional(
      list(Mount, { description: "the whole file system the commands see, in order" }),
    ),
  },
  { description: "kernel namespaces and the file system view" },
);

export const Network = object(
  {
    families: optional(
      list(text({ description: "address family such as AF_INET, or protocol NETLINK_…" }), {
        description:
          "the sockets that can be made, exactly these (AF_NETLINK: the protocols that a network namespace holds); all: every family; default: with the host's network all, else what a network namespace holds",
      }),
    ),
  },
  { description: "sockets: their families, whatever the network namespace" },
);

const Paths = (what: string) =>
  optional(
    list(Type.String({ minLength: 1, description: "a path, as seen inside the sandbox" }), {
      description: what,
    }),
  );
const Ports = (what: string) =>
  optional(
    list(Port("a TCP port"), {
      description: what,
    }),
  );

export const Landlock = object(
  {
    ro: Paths("what may be read, with everything below it"),
    rw: Paths("what may be read and written"),
    exec: Paths("what may be read and executed"),
    connectTcp: Ports("TCP ports that may be connected to; absent: any"),
    bindTcp: Ports("TCP ports that may be bound; absent: any"),
  },
  {
    description:
      "access to files by path, without any namespace: landlock(7). What is not listed is denied",
  },
);

export type Mount = Static<typeof Mount>;
export type Landlock = Static<typeof Landlock>;
export type Network = Static<typeof Network>;
export type Namespace = Static<typeof Namespace>;
export type Seccomp = Static<typeof Seccomp>;
export type SeccompRule = Static<typeof SeccompRule>;
export type Acls = Static<typeof Acls>;
export type Env = Static<typeof Env>;
export type Cap = Static<typeof Cap>;
export type Cgroups = Static<typeof Cgroups>;

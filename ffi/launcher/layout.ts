/**
 * The binary contract between the plan encoder (src/plan/encode.ts) and the launcher (C): one source, from which
 * build.ts writes `layout.gen.h`. Everything is little-endian and 8-byte aligned.
 *
 * blob   = header, then ops in the order they are executed
 * header = u32 magic, u32 version, u32 total size, u32 clone(2) flags
 * op     = u32 code, u32 size of the op, u32 count of numbers, u32 bytes of data, u64 numbers[], data, padding
 *
 * Strings in `data` end with NUL. A launch without a command is a trial: it ends where the command would begin. The launcher decides nothing: it does one step per op and stops at the first failure.
 */
export const MAGIC = 0x58425053; // "SPBX"
export const VERSION = 7;
export const HEADER_SIZE = 16;
export const OP_HEADER_SIZE = 16;

/** Fds of the launcher, by position in `Bun.spawn({ stdio })`. */
export const FD = {
  /** The op blob, a sealed memfd shared by all launches of a plan: only ever mapped, never read (one file offset). */
  PLAN: 3,
  /** Records to the server, see RECORD. */
  STATUS: 4,
  /**
   * Read end of a pipe whose only write end is the server's. Each byte is a signal to send to the command, plus
   * GROUP for its whole process group; when the pipe closes, the whole tree is killed.
   */
  LIFELINE: 5,
  /**
   * Where it is given, a directory of cgroup v2 that the tree is made in; with CGROUP in the plan it must be. With WAIT in the
   * plan it comes one later.
   */
  CGROUP: 6,
  /** With WAIT: a pipe on which the command line comes, u32 size, then so many bytes of NUL-ended words. */
  WORDS: 6,
} as const;

/**
 * The agent, see agent.c: a process that the server starts by this name, with a socket (SOCK_SEQPACKET) in the place of the plan, and the
 * status pipe in its own. Each message launches: u32 flags, number of the launch, count of words, count of variables, bytes of strings, uid, gid;
 * then the strings, each ended by NUL: first the name of the process and the words of the command, then the variables. With it come
 * descriptors: stdin, stdout, stderr, the plan, the lifeline, and what else stands in {@link FD}.
 */
export const AGENT = {
  NAME: "spawnbox: agent",
  /** Its socket. */
  FD: 3,
  /** Most bytes of a message. */
  MESSAGE: 96 * 1024,
  /** Most descriptors: those of FD, and the strings. */
  FDS: 8,
  /** Fewest. */
  LEAST_FDS: 4,
  /** Flag: the strings are in the last of the descriptors. */
  TEXT_APART: 1,
  /** Flag: the first of them is stdin; without, it is empty. */
  INPUT: 2,
  /** Flags: stdin, and stdout and stderr, are to belong to that uid and gid. */
  OWNS_INPUT: 4,
  OWNS_OUTPUT: 8,
} as const;
/** Bytes of its second word: room for the names of what it launches. */
export const AGENT_TITLE = 240;
/**
 * Of the processes that an ordinary user's server may have (RLIMIT_NPROC), so many are left to the server by all that its agent makes,
 * which takes them from its own limits at its beginning. Of few, this part.
 */
export const SPARED = { PROCESSES: 32, PART: 4 } as const;

/** Most bytes of words: what a pipe holds without anybody reading, so that writing them never waits. */
export const WORDS_SIZE = 60 * 1024;

/** Flag on a byte of the lifeline. */
export const GROUP = 0x80;
/** A byte of the lifeline that is no signal: what waited for its words may have been stopped meanwhile, and goes on. */
export const WAKE = 0x7f;

/**
 * Codes below 8 are done by the supervisor outside the namespaces, the others by the child inside; those below 16
 * before it waits for the supervisor, which writes the id maps meanwhile (but for FORK, which comes right after that).
 */
export const OP = {
  /** data: content of /proc/PID/uid_map, see user_namespaces(7) */
  UID_MAP: 1,
  /** data: content of gid_map; numbers: 1 = write "deny" to setgroups first */
  GID_MAP: 2,
  /** the tree starts in the cgroup of FD.CGROUP: no moment outside its limits */
  CGROUP: 3,
  /** data: path of a network namespace to join, such as /run/netns/vpn0 */
  JOIN_NET: 4,
  /**
   * data: struct sock_filter[], the filter as the config means it: the supervisor runs it over each call that
   * SECCOMP_LISTENER passes to it, and does what it says. Its USER_NOTIF is EPERM.
   */
  VERDICTS: 5,
  /** data: paths of the host where commands can make links as root: at or below these, BIND follows none */
  SHARED_PLACES: 6,

  /** numbers: capability mask: everything else leaves the bounding set */
  BOUNDING: 8,
  /** data: file of /proc/self/attr, text to write: the label of the command, while the host's /proc is there; see LabelPolicy */
  LABEL: 9,

  /**
   * In a pid namespace: from here on there are two processes. This one, the namespace's init, does the steps below 32
   * (the mounts); its child, the command, does at the same time those from 32 on, and waits for the init before those
   * from 47 on. Making a network namespace takes as long as building the root, so this nearly halves the launch.
   */
  FORK: 15,

  /** a private mount tree and an empty tmpfs as the future root */
  ROOT_BEGIN: 16,
  /** numbers: mount attributes, flags of BIND; data: source, target */
  BIND: 17,
  /** numbers: mount attributes; data: type, target, then key, value pairs of fsconfig(2) */
  FSMOUNT: 18,
  /** data: link text, target */
  SYMLINK: 19,
  /** numbers: mode; data: target */
  DIR: 20,
  /** numbers: mount attributes to add; data: target, a mount point */
  SETATTR: 21,
  /** pivot_root into the new root, made read-only, and detach the host's */
  ROOT_END: 22,
  /**
   * numbers: mode, 1 when the host name of the sandbox and a new line follow the content; data: target, then the content of the
   * file: a read-only file of its own on top of the target
   */
  FILE: 23,
  /** numbers: mount attributes; data: target, which is mounted onto itself with them */
  REBIND: 24,
  /** data: target, a file on which the init holds a read lock as long as the sandbox lives */
  LOCK: 25,
  /**
   * numbers: 1 where nothing else does what it is for; data: path below /proc/sys, text to write: a setting of the new namespaces,
   * written before the root is changed
   */
  SETTING: 26,

  /** numbers: flags of unshare(2) */
  UNSHARE: 32,
  /** lo up in a private network namespace */
  LOOPBACK: 33,
  /** data: name */
  HOSTNAME: 34,

  /** numbers: nice value + 20 */
  NICE: 47,
  /** numbers: resource, value of both limits, 1 where a lower hard limit of the server's holds instead */
  RLIMIT: 48,
  /** numbers: mask */
  UMASK: 49,
  /** data: path, entered with the rights of the command */
  CHDIR: 50,
  /** numbers: the supplementary groups */
  SETGROUPS: 51,
  /** numbers: gid */
  SETGID: 52,
  /**
   * numbers: columns, rows, uid and gid of who is to own it, one of PTY; data: path. A terminal of its own in the place of stdin,
   * stdout and stderr, which becomes the controlling one
   */
  PTY: 53,
  /** numbers: securebits, see capabilities(7) */
  SECUREBITS: 54,
  /** numbers: uid */
  SETUID: 55,
  /** numbers: capability mask of the inheritable and ambient sets */
  AMBIENT: 56,
  /** numbers: capability mask of the permitted, effective and inheritable sets; the ambient set keeps what is in it */
  CAPS: 57,
  NO_NEW_PRIVS: 58,
  /**
   * numbers: file access rights, network access rights, scopes that the ruleset handles, see landlock(7); data: paths, as seen
   * inside, where commands can make links as root
   */
  LANDLOCK: 59,
  /** numbers: access rights, one of LINKS; data: path, as seen inside */
  LANDLOCK_PATH: 60,
  /** numbers: access rights, TCP port */
  LANDLOCK_PORT: 61,
  LANDLOCK_APPLY: 62,
  /** A warm sandbox: waits for the command line on FD.WORDS, with everything done but the filter, which might forbid it. */
  WAIT: 63,
  /** data: struct sock_filter[] */
  SECCOMP: 64,
  /** data: struct sock_filter[], some of whose calls are passed to the supervisor: see VERDICTS, seccomp_unotify(2) */
  SECCOMP_LISTENER: 65,

  /** Not an op of the blob: the final execve(2), named in failures. */
  EXEC: 80,
  /** Not ops of the blob: steps of the supervisor, named in failures. */
  PLAN_READ: 81,
  CLONE: 82,
  /** Likewise of the child: what it gives up of the server's, see shed.c. */
  INHERIT: 83,
  /** Likewise of the agent: the process of a launch is made. */
  SPAWN: 84,
  /** Likewise of what it makes: the command is given its output. */
  OUTPUT: 85,
} as const;

export type OpName = keyof typeof OP;

/** Flags of the op BIND. */
export const BIND = {
  /** links on the way to the source are followed, where only root can make them */
  FOLLOWS: 1,
  /** where there is no source, there is no mount */
  OPTIONAL: 2,
  /** the source must be a character device */
  DEVICE: 4,
} as const;

/** Where the op PTY gets its terminal from. */
export const PTY = {
  /** an instance of devpts of its own, mounted nowhere */
  OWN: 0,
  /** the instance of devpts at the path */
  MOUNTED: 1,
  /** the path is that of the machine's multiplexer */
  MACHINE: 2,
} as const;

/** Which links LANDLOCK_PATH follows. */
export const LINKS = {
  NONE: 0,
  ALL: 1,
  /** those that only root can make; none at or below the paths of LANDLOCK */
  ROOTS: 2,
} as const;

/**
 * What an op must have, or the plan is refused: so many numbers and NUL-ended strings, or more. Those of FSMOUNT are pairs.
 * Only what comes behind the strings of FILE, and programs, may end without NUL. With SECCOMP_LISTENER there must be VERDICTS.
 */
export const SHAPE: Partial<Record<OpName, readonly [numbers: number, strings: number]>> = {
  UID_MAP: [0, 1],
  GID_MAP: [1, 1],
  JOIN_NET: [0, 1],
  BOUNDING: [1, 0],
  LABEL: [0, 2],
  SHARED_PLACES: [0, 1],
  BIND: [2, 2],
  FSMOUNT: [1, 2],
  SYMLINK: [0, 2],
  DIR: [1, 1],
  SETATTR: [1, 1],
  FILE: [2, 1],
  REBIND: [1, 1],
  LOCK: [0, 1],
  SETTING: [1, 2],
  UNSHARE: [1, 0],
  HOSTNAME: [0, 1],
  NICE: [1, 0],
  RLIMIT: [3, 0],
  UMASK: [1, 0],
  CHDIR: [0, 1],
  SETGID: [1, 0],
  PTY: [5, 1],
  SECUREBITS: [1, 0],
  SETUID: [1, 0],
  AMBIENT: [1, 0],
  CAPS: [1, 0],
  LANDLOCK: [3, 0],
  LANDLOCK_PATH: [2, 1],
  LANDLOCK_PORT: [2, 0],
};

/** Records on the status fd, each RECORD_SIZE bytes, written in one write(2) (< PIPE_BUF). */
export const RECORD = {
  /** the command was executed; pid is its process id outside */
  STARTED: 1,
  /** step `op` failed on `what` with `error`; nothing ran */
  FAILED: 2,
  /**
   * the command ended and its whole tree is gone; `status` is the wait status of waitpid(2). Where a verdict of the filter
   * ended it, `error` is 1, or 2 for a call of another ABI, and `op` the number of the call. The first byte of `what` is 1 where
   * its group was used to kill what was left
   */
  ENDED: 3,
  /**
   * before ENDED, how often calls were denied: from `what` on `op` pairs of u32, a number and a count. The number
   * TOLD_NUMBERS stands for all from there on and for those of another ABI
   */
  DENIED: 4,
  /** the same of calls that went on, and are only told */
  LOGGED: 5,
  /** of the agent: a supervisor is made, which may have told something before */
  SUPERVISES: 6,
} as const;
export const RECORD_SIZE = 256;
/** A number that no call has, which a filter with a listener passes on: the child waits in it, see SECCOMP_LISTENER. */
export const HANDOVER_CALL = 0x00ff5b0d;
/** Calls with smaller numbers are counted each: more than any architecture has. */
export const TOLD_NUMBERS = 1024;
/** Offsets in a record; numbers are u32 except the u64 times in µs. */
export const RECORD_AT = {
  kind: 0,
  pid: 4,
  op: 8,
  error: 12,
  status: 16,
  maxrss: 20,
  user: 24,
  system: 32,
  /** number of the launch, by the server's count */
  from: 40,
  /** process id of the supervisor, for the server */
  supervisor: 44,
  what: 48,
} as const;

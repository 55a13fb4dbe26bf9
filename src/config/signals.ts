/** Signals by number, name and the words of strsignal(3). Numbers as on x86_64 and aarch64, see signal(7). */

/** Index is the number. */
const NAMES =
  ". HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS".split(
    " ",
  );

const ALIASES: Readonly<Record<string, number>> = { IOT: 6, CLD: 17, POLL: 29, UNUSED: 31 };

/** What the C library says for signals 1 to 31; existing clients compare these words. */
const WORDS = [
  "Hangup",
  "Interrupt",
  "Quit",
  "Illegal instruction",
  "Trace/breakpoint trap",
  "Aborted",
  "Bus error",
  "Floating point exception",
  "Killed",
  "User defined signal 1",
  "Segmentation fault",
  "User defined signal 2",
  "Broken pipe",
  "Alarm clock",
  "Terminated",
  "Stack fault",
  "Child exited",
  "Continued",
  "Stopped (signal)",
  "Stopped",
  "Stopped (tty input)",
  "Stopped (tty output)",
  "Urgent I/O condition",
  "CPU time limit exceeded",
  "File size limit exceeded",
  "Virtual timer expired",
  "Profiling timer expired",
  "Window changed",
  "I/O possible",
  "Power failure",
  "Bad system call",
];

/** The first real-time signal that the C library leaves to programs; it keeps 32 and 33 for itself. */
const RTMIN = 34;
export const SIGNAL_MAX = 64;

/** The number of a signal given as a number from 1 to 64, or as a name with or without SIG in any case. */
export function signalNumber(value: unknown): number | undefined {
  if (typeof value === "number" || (typeof value === "string" && /^\d{1,2}$/.test(value))) {
    const number = Number(value);
    return Number.isInteger(number) && number >= 1 && number <= SIGNAL_MAX ? number : undefined;
  }
  if (typeof value !== "string") return undefined;
  const name = value.toUpperCase().replace(/^SIG/, "");
  const number = NAMES.indexOf(name);
  if (number > 0) return number;
  if (Object.hasOwn(ALIASES, name)) return ALIASES[name];
  const realtime = /^RT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name);
  if (!realtime) return undefined;
  const [, base, sign, distance = "0"] = realtime;
  const away = Number(distance);
  // Only into the range: RTMIN+n and RTMAX-n.
  if (away > SIGNAL_MAX - RTMIN || (sign && (sign === "+") !== (base === "MIN"))) return undefined;
  return base === "MIN" ? RTMIN + away : SIGNAL_MAX - away;
}

/** Names for a message about an unknown one. */
export const signalNames: readonly string[] = NAMES.slice(1).map((name) => `SIG${name}`);

/** The name of a signal, such as `SIGTERM` or `SIGRTMIN+2`. */
export function signalName(number: number): string {
  const name = NAMES[number];
  if (number > 0 && name !== undefined) return `SIG${name}`;
  return number >= RTMIN ? `SIGRTMIN+${number - RTMIN}` : String(number);
}

/** The words for a signal number, such as `Killed`. */
export function signalWords(number: number): string {
  const words = WORDS[number - 1];
  if (words !== undefined) return words;
  if (number >= RTMIN && number <= SIGNAL_MAX) return `Real-time signal ${number - RTMIN}`;
  return `Unknown signal ${number}`;
}

/** One run of a command, from its start to its outcome. */
import { Refused } from "../errors.ts";
import type { Plan } from "../plan/plan.ts";

/** Where the bytes of a task go. A returned promise holds reading back until it settles. */
export interface OutputSink {
  stdout(chunk: Uint8Array): void | Promise<void>;
  stderr(chunk: Uint8Array): void | Promise<void>;
}

/** Why a task ended. */
export interface Outcome {
  /** Exit code, when the command exited by itself. */
  exit?: number;
  /** Signal number, when a signal ended it. */
  signal?: number;
  /**
   * Who ended it, when it was not the command itself. `stopped`: it died of a signal that a stop sent, or of the kill that
   * follows, or it exited, with whatever code, after a stop without a signal or with one that asks to end (HUP, INT, QUIT,
   * KILL, TERM). `timeout`, from the moment that it was told so, however it ended then. Not when it lived through the signal and died of another, or exited after one such as USR1: then the
   * stop was not what ended it.
   */
  cause?: "timeout" | "stopped" | "seccomp" | "oom" | "supervisor";
  /** So many other processes were there when a time-out or a stop ended it, and have ended with it. */
  others?: number;
  /** Name of the system call whose denial ended the command, where the sandbox tells of them. */
  syscall?: string;
  /** How often system calls were denied, by name: `{"mount": 3}`; `other` for numbers that no call has. */
  denied?: Readonly<Record<string, number>>;
  /** The same of calls that went on, by SCMP_ACT_LOG. */
  logged?: Readonly<Record<string, number>>;
  usage: Usage;
}

/** Resources of the command and the children it waited for. */
export interface Usage {
  /** Milliseconds from launch to end. */
  wall: number;
  /** Milliseconds of CPU in user and system mode. */
  user: number;
  system: number;
  /** Largest resident set, KiB. */
  maxrss: number;
}

/** The set-up of a sandbox, or the exec of the command, failed: nothing ran. */
export class LaunchError extends Refused {
  constructor(
    /** Step of the launcher, such as `mount`, `setresuid`, `exec`. */
    readonly step: string,
    /** The object it worked on, such as a path. */
    readonly what: string,
    /** Name of the errno, such as `ENOENT`. */
    readonly errno: string,
    /** What it means and what to do. */
    explanation: string,
  ) {
    super(
      `${[step, what].filter(Boolean).join(" ")}: ${[errno, explanation].filter(Boolean).join(": ")}`,
    );
    this.name = "LaunchError";
  }
}

/** The stdin of a task. */
export interface TaskInput {
  /** In the order of the calls. Resolves once the pipe has taken all of it; false: nobody reads there any more. Never rejects. */
  give(data: Uint8Array): Promise<boolean>;
  /** Behind what was given, nothing comes. */
  end(): void;
}

export interface Task {
  readonly plan: Plan;
  /** Process id of the command, in the server's pid namespace. */
  readonly pid: number;
  /** `pool`: in a sandbox that was ready. Absent where nobody has told. */
  readonly mode?: "cold" | "pool";
  /** Where its plan has it. */
  readonly input?: TaskInput | undefined;
  /** Settles when the whole tree is gone and all output has been delivered to the sink. Never rejects. */
  readonly ended: Promise<Outcome>;
  /** Sends a signal to the command. Without one: that of its plan, and what is left after the grace is killed. */
  stop(signal?: number): void;
  /** As at the end of the server: the same where its plan says how it is to end, and else as {@link kill}. */
  end(): void;
  /** Kills the whole tree at once. */
  kill(): void;
}

/** Starts a plan. Resolves once the command has been executed. Rejects with {@link LaunchError}. */
export type Launch = (
  plan: Plan,
  argv: readonly string[],
  sink: OutputSink,
  /** Ends a launch that is still on its way. */
  abort?: AbortSignal,
) => Promise<Task>;
